import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.springframework.amqp.core.Declarables;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.core.QueueBuilder;
import org.springframework.amqp.core.QueueBuilder.Overflow;
import org.springframework.amqp.rabbit.connection.CachingConnectionFactory.ConfirmType;
import org.springframework.amqp.rabbit.connection.CorrelationData;
import org.springframework.amqp.rabbit.core.RabbitAdmin;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** Publisher confirms and returns, each found again by its correlation. */
@Configuration
class Confirms {
    @Bean
    Declarables declarables() {
        return new Declarables(
                new Queue(Check.name("open")),
                QueueBuilder.durable(Check.name("full")).maxLength(1).overflow(Overflow.rejectPublish).build());
    }

    static void run(AnnotationConfigApplicationContext context) throws Exception {
        var admin = context.getBean(RabbitAdmin.class);
        var template = context.getBean(RabbitTemplate.class);
        List<CorrelationData> sent = new ArrayList<>();
        for (int number = 0; number < 200; number++) {
            var correlation = new CorrelationData("message " + number);
            template.convertAndSend("", Check.name("open"), "body", correlation);
            sent.add(correlation);
        }
        for (CorrelationData correlation : sent) {
            Check.check(confirm(correlation).ack(), correlation);
            Check.equal(correlation.getReturned(), null);
        }
        Check.equal(admin.getQueueInfo(Check.name("open")).getMessageCount(), 200L);
        Check.ok("two hundred messages, each confirmed under its own correlation");

        var lost = new CorrelationData("lost");
        template.convertAndSend("", Check.name("nowhere"), "body", lost);
        Check.check(confirm(lost).ack(), lost);
        Check.equal(lost.getReturned().getReplyCode(), 312);
        Check.equal(lost.getReturned().getReplyText(), "NO_ROUTE");
        Check.equal(lost.getReturned().getRoutingKey(), Check.name("nowhere"));
        Check.ok("what no queue takes is returned, and then confirmed");

        for (boolean taken : new boolean[] {true, false, false}) {
            var correlation = new CorrelationData();
            template.convertAndSend("", Check.name("full"), "body", correlation);
            Check.equal(confirm(correlation).ack(), taken);
        }
        Check.ok("what a full queue rejects is nacked");

        var nowhere = new CorrelationData();
        template.convertAndSend(Check.name("no exchange"), "key", "body", nowhere);
        // Not by its reason: that depends on whether Spring hears of the close before it closes the channel itself.
        Check.check(!confirm(nowhere).ack(), nowhere);
        Check.ok("an exchange that is not there closes the channel, and what waited on it learns so");

        var simple = Base.connect(ConfirmType.SIMPLE);
        var operations = new RabbitTemplate(simple);
        boolean all = operations.invoke(channel -> {
            for (int number = 0; number < 50; number++) {
                channel.convertAndSend(Check.name("open"), "body");
            }
            channel.waitForConfirmsOrDie(Check.PATIENCE.toMillis());
            return true;
        });
        Check.check(all, "not confirmed");
        simple.destroy();
        Check.equal(admin.getQueueInfo(Check.name("open")).getMessageCount(), 250L);
        Check.ok("fifty messages on one channel, waited for together");
    }

    private static CorrelationData.Confirm confirm(CorrelationData correlation) throws Exception {
        return correlation.getFuture().get(Check.PATIENCE.toSeconds(), TimeUnit.SECONDS);
    }
}
