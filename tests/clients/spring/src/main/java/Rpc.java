import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.springframework.amqp.core.AmqpMessageReturnedException;
import org.springframework.amqp.core.Declarables;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.rabbit.AsyncRabbitTemplate;
import org.springframework.amqp.rabbit.annotation.RabbitListener;
import org.springframework.amqp.rabbit.connection.ConnectionFactory;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.amqp.rabbit.listener.SimpleMessageListenerContainer;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** Request and reply: direct reply-to, a queue for each request, a queue for all. */
@Configuration
class Rpc {
    @Bean
    Declarables declarables() {
        return new Declarables(
                new Queue(Check.name("upper")), new Queue(Check.name("deaf")), new Queue(Check.name("replies")));
    }

    @Bean
    Listeners listeners() {
        return new Listeners();
    }

    static class Listeners {
        @RabbitListener(queues = "${run}.upper", concurrency = "3")
        String upper(Message message) {
            String replyTo = message.getMessageProperties().getReplyTo();
            return new String(message.getBody()).toUpperCase() + " " + kind(replyTo);
        }

        private static String kind(String replyTo) {
            if (replyTo.startsWith("amq.rabbitmq.reply-to.")) {
                return "direct";
            }
            return replyTo.equals(Check.name("replies")) ? "shared" : "temporary";
        }
    }

    static void run(AnnotationConfigApplicationContext context) throws Exception {
        var template = context.getBean(RabbitTemplate.class);
        Check.equal(template.convertSendAndReceive(Check.name("upper"), "hello"), "HELLO direct");
        var callers = Executors.newFixedThreadPool(10);
        List<Future<Object>> answers = new ArrayList<>();
        for (int number = 0; number < 100; number++) {
            String body = "call " + number;
            answers.add(callers.submit(() -> template.convertSendAndReceive(Check.name("upper"), body)));
        }
        for (int number = 0; number < 100; number++) {
            Object answer = answers.get(number).get(Check.PATIENCE.toSeconds(), TimeUnit.SECONDS);
            Check.equal(answer, "CALL " + number + " direct");
        }
        callers.shutdown();
        Check.ok("a hundred requests from ten threads over direct reply-to, each its own answer");

        try {
            template.convertSendAndReceive(Check.name("nowhere"), "hello");
            throw new AssertionError("a request to nobody was answered");
        } catch (AmqpMessageReturnedException returned) {
            Check.equal(returned.getReplyCode(), 312);
        }
        Check.ok("a request that no queue takes comes back as an exception");

        var connections = context.getBean(ConnectionFactory.class);
        var hasty = new RabbitTemplate(connections);
        hasty.setReplyTimeout(200);
        Check.equal(hasty.convertSendAndReceive(Check.name("deaf"), "hello"), null);
        Check.ok("a request that nobody answers gives nothing in time");

        var temporary = new RabbitTemplate(connections);
        temporary.setUseTemporaryReplyQueues(true);
        temporary.setReplyTimeout(Check.PATIENCE.toMillis());
        for (int count = 0; count < 5; count++) {
            Check.equal(temporary.convertSendAndReceive(Check.name("upper"), "hello"), "HELLO temporary");
        }
        Check.ok("a reply queue for each request");

        var shared = new RabbitTemplate(connections);
        shared.setReplyAddress(Check.name("replies"));
        shared.setReplyTimeout(Check.PATIENCE.toMillis());
        var replies = new SimpleMessageListenerContainer(connections);
        replies.setQueueNames(Check.name("replies"));
        replies.setMessageListener(shared);
        replies.afterPropertiesSet();
        replies.start();
        for (int count = 0; count < 5; count++) {
            Check.equal(shared.convertSendAndReceive(Check.name("upper"), "hello"), "HELLO shared");
        }
        replies.stop();
        Check.ok("one reply queue for all requests, told apart by correlation");

        var async = new AsyncRabbitTemplate(template);
        async.start();
        List<Future<String>> futures = new ArrayList<>();
        for (int number = 0; number < 20; number++) {
            futures.add(async.convertSendAndReceive(Check.name("upper"), "async " + number));
        }
        for (int number = 0; number < 20; number++) {
            String answer = futures.get(number).get(Check.PATIENCE.toSeconds(), TimeUnit.SECONDS);
            Check.equal(answer, "ASYNC " + number + " direct");
        }
        async.stop();
        Check.ok("twenty requests at once without a thread for each");
    }
}
