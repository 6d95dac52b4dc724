import static org.springframework.amqp.core.BindingBuilder.bind;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.springframework.amqp.core.Declarables;
import org.springframework.amqp.core.DirectExchange;
import org.springframework.amqp.core.ExchangeBuilder;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.rabbit.annotation.RabbitListener;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Lazy;

/** Messages for later, through an exchange that Spring calls delayed. */
@Configuration
class Delayed {
    @Bean
    Declarables declarables() {
        if (Check.judgedByRabbitMq()) {
            return new Declarables();
        }
        DirectExchange later = ExchangeBuilder.directExchange(Check.name("later")).delayed().durable(true).build();
        Queue work = new Queue(Check.name("work"));
        return new Declarables(later, work, bind(work).to(later).with("work"));
    }

    /** Lazy, as there is no queue to listen to where it is skipped. */
    @Bean
    @Lazy
    Listeners listeners() {
        return new Listeners();
    }

    record Arrival(String body, long delayMillis, long atNanos) {}

    static class Listeners {
        final BlockingQueue<Arrival> arrivals = new LinkedBlockingQueue<>();

        @RabbitListener(queues = "${run}.work")
        void work(Message message) {
            Long delay = message.getMessageProperties().getReceivedDelayLong();
            // The plugin gives it negated, so that it is not obeyed twice.
            arrivals.add(new Arrival(
                    new String(message.getBody()), delay == null ? 0 : Math.abs(delay), System.nanoTime()));
        }
    }

    static void run(AnnotationConfigApplicationContext context) throws Exception {
        if (Check.judgedByRabbitMq()) {
            System.out.println("skipped as Debian's RabbitMQ has no x-delayed-message to judge by");
            return;
        }
        var template = context.getBean(RabbitTemplate.class);
        template.execute(channel -> null);
        var listeners = context.getBean(Listeners.class);
        long asked = System.nanoTime();
        for (long delay : new long[] {1500, 500, 1000}) {
            template.convertAndSend(Check.name("later"), "work", (Object) ("after " + delay), message -> {
                message.getMessageProperties().setDelayLong(delay);
                return message;
            });
        }
        template.convertAndSend(Check.name("later"), "work", "at once");
        Check.equal(Check.next(listeners.arrivals, "what is not delayed").body(), "at once");
        for (long delay : new long[] {500, 1000, 1500}) {
            Arrival arrival = Check.next(listeners.arrivals, "after " + delay);
            Check.equal(arrival.body(), "after " + delay);
            Check.equal(arrival.delayMillis(), delay);
            Check.check(arrival.atNanos() - asked >= delay * 1_000_000, arrival);
        }
        Check.ok("messages come in the order of their delays, not before, and say what they were");
    }
}
