import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.springframework.amqp.core.Declarables;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.rabbit.annotation.RabbitListener;
import org.springframework.amqp.rabbit.config.SimpleRabbitListenerContainerFactory;
import org.springframework.amqp.rabbit.connection.CachingConnectionFactory;
import org.springframework.amqp.rabbit.connection.CachingConnectionFactory.ConfirmType;
import org.springframework.amqp.rabbit.core.RabbitAdmin;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.amqp.rabbit.transaction.RabbitTransactionManager;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.transaction.support.TransactionTemplate;

/** Transactions: of a template over two queues, and of a listener with what it publishes. */
@Configuration
class Transactions {
    @Bean
    Declarables declarables() {
        return new Declarables(
                new Queue(Check.name("left")), new Queue(Check.name("right")),
                new Queue(Check.name("in")), new Queue(Check.name("out")));
    }

    @Bean
    CachingConnectionFactory transacted() {
        return Base.connect(ConfirmType.NONE);
    }

    @Bean
    RabbitTemplate transactedTemplate(@Qualifier("transacted") CachingConnectionFactory transacted) {
        var template = new RabbitTemplate(transacted);
        template.setChannelTransacted(true);
        return template;
    }

    @Bean
    SimpleRabbitListenerContainerFactory transactedListeners(@Qualifier("transacted") CachingConnectionFactory transacted) {
        var factory = new SimpleRabbitListenerContainerFactory();
        factory.setConnectionFactory(transacted);
        factory.setChannelTransacted(true);
        return factory;
    }

    @Bean
    Listeners listeners(@Qualifier("transactedTemplate") RabbitTemplate transactedTemplate) {
        return new Listeners(transactedTemplate);
    }

    static class Listeners {
        final BlockingQueue<String> attempts = new LinkedBlockingQueue<>();
        private final RabbitTemplate template;

        Listeners(RabbitTemplate template) {
            this.template = template;
        }

        @RabbitListener(queues = "${run}.in", containerFactory = "transactedListeners")
        void move(Message message) {
            boolean again = message.getMessageProperties().isRedelivered();
            attempts.add(again ? "again" : "once");
            template.convertAndSend(Check.name("out"), again ? "second" : "first");
            if (!again) {
                throw new IllegalStateException("after it has published");
            }
        }
    }

    static void run(AnnotationConfigApplicationContext context) throws Exception {
        var admin = context.getBean(RabbitAdmin.class);
        var plain = context.getBean("template", RabbitTemplate.class);
        var template = context.getBean("transactedTemplate", RabbitTemplate.class);
        var transaction = new TransactionTemplate(
                new RabbitTransactionManager(context.getBean("transacted", CachingConnectionFactory.class)));

        transaction.executeWithoutResult(status -> {
            template.convertAndSend(Check.name("left"), "one");
            template.convertAndSend(Check.name("right"), "two");
            Check.equal(admin.getQueueInfo(Check.name("left")).getMessageCount(), 0L);
        });
        Check.equal(admin.getQueueInfo(Check.name("left")).getMessageCount(), 1L);
        Check.equal(admin.getQueueInfo(Check.name("right")).getMessageCount(), 1L);
        Check.ok("a transaction over two queues shows nothing before it is committed");

        try {
            transaction.executeWithoutResult(status -> {
                Check.equal(template.receiveAndConvert(Check.name("left")), "one");
                template.convertAndSend(Check.name("right"), "never");
                throw new IllegalStateException("rolled back");
            });
            throw new AssertionError("the exception was lost");
        } catch (IllegalStateException expected) {
            Check.equal(expected.getMessage(), "rolled back");
        }
        Check.until(() -> admin.getQueueInfo(Check.name("left")).getMessageCount() == 1, "the message given back");
        Check.equal(admin.getQueueInfo(Check.name("right")).getMessageCount(), 1L);
        Check.ok("rolled back: what was received is there again, what was published never was");

        transaction.executeWithoutResult(status -> {
            Check.equal(template.receiveAndConvert(Check.name("left")), "one");
            template.convertAndSend(Check.name("right"), "moved");
        });
        Check.equal(admin.getQueueInfo(Check.name("left")).getMessageCount(), 0L);
        Check.equal(admin.getQueueInfo(Check.name("right")).getMessageCount(), 2L);
        Check.ok("a message is moved from one queue to another in one transaction");

        var listeners = context.getBean(Listeners.class);
        plain.convertAndSend(Check.name("in"), "work");
        Check.equal(Check.next(listeners.attempts, "the first attempt"), "once");
        Check.equal(Check.next(listeners.attempts, "the second attempt"), "again");
        Check.equal(plain.receiveAndConvert(Check.name("out")), "second");
        Check.equal(admin.getQueueInfo(Check.name("out")).getMessageCount(), 0L);
        Check.ok("a listener that throws after it has published has published nothing");
    }
}
