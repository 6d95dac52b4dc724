import static org.springframework.amqp.core.BindingBuilder.bind;

import com.rabbitmq.client.Channel;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.springframework.amqp.AmqpRejectAndDontRequeueException;
import org.springframework.amqp.ImmediateAcknowledgeAmqpException;
import org.springframework.amqp.core.Declarables;
import org.springframework.amqp.core.DirectExchange;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.core.QueueBuilder;
import org.springframework.amqp.rabbit.annotation.RabbitListener;
import org.springframework.amqp.rabbit.config.RetryInterceptorBuilder;
import org.springframework.amqp.rabbit.config.SimpleRabbitListenerContainerFactory;
import org.springframework.amqp.rabbit.connection.ConnectionFactory;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.amqp.rabbit.retry.RejectAndDontRequeueRecoverer;
import org.springframework.amqp.rabbit.retry.RepublishMessageRecoverer;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** What becomes of a message whose listener throws, in the five ways that people set up. */
@Configuration
class Retry {
    @Bean
    Declarables declarables() {
        var errors = new DirectExchange(Check.name("errors"));
        var parking = new Queue(Check.name("parking"));
        return new Declarables(
                errors,
                parking,
                bind(parking).to(errors).with("failed"),
                new Queue(Check.name("dead")),
                new Queue(Check.name("republished")),
                toDead(QueueBuilder.durable(Check.name("rejected"))).build(),
                toDead(QueueBuilder.durable(Check.name("stateful"))).build(),
                toDead(QueueBuilder.durable(Check.name("limited")).quorum().deliveryLimit(2)).build(),
                // The ladder: rejected, it waits in a queue without consumers, expires, and is back.
                QueueBuilder.durable(Check.name("again"))
                        .deadLetterExchange("")
                        .deadLetterRoutingKey(Check.name("wait"))
                        .build(),
                QueueBuilder.durable(Check.name("wait"))
                        .ttl(200)
                        .deadLetterExchange("")
                        .deadLetterRoutingKey(Check.name("again"))
                        .build());
    }

    private static QueueBuilder toDead(QueueBuilder queue) {
        return queue.deadLetterExchange("").deadLetterRoutingKey(Check.name("dead"));
    }

    @Bean
    SimpleRabbitListenerContainerFactory republishing(ConnectionFactory connections, RabbitTemplate template) {
        var factory = new SimpleRabbitListenerContainerFactory();
        factory.setConnectionFactory(connections);
        factory.setAdviceChain(RetryInterceptorBuilder.stateless()
                .maxRetries(2)
                .backOffOptions(10, 2.0, 100)
                .recoverer(new RepublishMessageRecoverer(template, Check.name("errors"), "failed"))
                .build());
        return factory;
    }

    @Bean
    SimpleRabbitListenerContainerFactory rejecting(ConnectionFactory connections) {
        var factory = new SimpleRabbitListenerContainerFactory();
        factory.setConnectionFactory(connections);
        factory.setAdviceChain(RetryInterceptorBuilder.stateless()
                .maxRetries(1)
                .backOffOptions(10, 2.0, 100)
                .recoverer(new RejectAndDontRequeueRecoverer())
                .build());
        return factory;
    }

    @Bean
    SimpleRabbitListenerContainerFactory redelivering(ConnectionFactory connections) {
        var factory = new SimpleRabbitListenerContainerFactory();
        factory.setConnectionFactory(connections);
        factory.setAdviceChain(RetryInterceptorBuilder.stateful()
                .maxRetries(2)
                .backOffOptions(10, 2.0, 100)
                .recoverer(new RejectAndDontRequeueRecoverer())
                .build());
        return factory;
    }

    @Bean
    Listeners listeners() {
        return new Listeners();
    }

    static class Listeners {
        final BlockingQueue<String> attempts = new LinkedBlockingQueue<>();
        final BlockingQueue<Message> dead = new LinkedBlockingQueue<>();

        @RabbitListener(queues = "${run}.republished", containerFactory = "republishing")
        void republished(String body) {
            attempts.add(body);
            throw new IllegalStateException("cannot " + body);
        }

        @RabbitListener(queues = "${run}.rejected", containerFactory = "rejecting")
        void rejected(String body) {
            attempts.add(body);
            throw new IllegalStateException("cannot " + body);
        }

        @RabbitListener(queues = "${run}.stateful", containerFactory = "redelivering")
        void stateful(Message message) {
            attempts.add("redelivered " + message.getMessageProperties().isRedelivered());
            throw new IllegalStateException("cannot");
        }

        /** By hand, as Spring itself nacks, and since RabbitMQ 4.3 only what is rejected has failed. */
        @RabbitListener(queues = "${run}.limited", ackMode = "MANUAL")
        void limited(Message message, Channel channel) throws IOException {
            Object count = message.getMessageProperties().getHeader("x-delivery-count");
            attempts.add("count " + (count == null ? 0 : count));
            channel.basicReject(message.getMessageProperties().getDeliveryTag(), true);
        }

        @RabbitListener(queues = "${run}.again")
        void again(Message message) {
            List<Map<String, ?>> deaths = message.getMessageProperties().getXDeathHeader();
            long rejected = deaths == null ? 0 : deaths.stream()
                    .filter(death -> "rejected".equals(death.get("reason")))
                    .mapToLong(death -> (Long) death.get("count"))
                    .sum();
            attempts.add("rejected " + rejected);
            if (rejected == 3) {
                dead.add(message);
                throw new ImmediateAcknowledgeAmqpException("enough");
            }
            throw new AmqpRejectAndDontRequeueException("again");
        }

        @RabbitListener(queues = "${run}.dead")
        void dead(Message message) {
            dead.add(message);
        }
    }

    static void run(AnnotationConfigApplicationContext context) throws Exception {
        var template = context.getBean(RabbitTemplate.class);
        var listeners = context.getBean(Listeners.class);

        template.convertAndSend(Check.name("republished"), "be done");
        attempts(listeners, "be done", "be done", "be done");
        Message parked = template.receive(Check.name("parking"));
        Check.check(parked != null, "nothing parked");
        Map<String, Object> headers = parked.getMessageProperties().getHeaders();
        Check.equal(headers.get(RepublishMessageRecoverer.X_EXCEPTION_MESSAGE), "cannot be done");
        Check.equal(headers.get(RepublishMessageRecoverer.X_ORIGINAL_ROUTING_KEY), Check.name("republished"));
        Check.check(
                headers.get(RepublishMessageRecoverer.X_EXCEPTION_STACKTRACE).toString().contains("IllegalState"),
                headers);
        Check.ok("a retry interceptor: three attempts, then republished with the exception in its headers");

        template.convertAndSend(Check.name("rejected"), "be had");
        attempts(listeners, "be had", "be had");
        death(listeners, "rejected", "rejected");
        Check.ok("a retry interceptor: two attempts, then rejected to the dead letter queue");

        template.convertAndSend(Check.name("stateful"), (Object) "x", message -> {
            message.getMessageProperties().setMessageId("x");
            return message;
        });
        attempts(listeners, "redelivered false", "redelivered true", "redelivered true");
        death(listeners, "stateful", "rejected");
        Check.ok("a stateful retry interceptor: the broker delivers three times, flagged, then it is dead");

        template.convertAndSend(Check.name("limited"), "x");
        attempts(listeners, "count 0", "count 1", "count 2");
        death(listeners, "limited", "delivery_limit");
        Check.ok("x-delivery-limit: requeued twice with x-delivery-count, then dead");

        template.convertAndSend(Check.name("again"), "x");
        attempts(listeners, "rejected 0", "rejected 1", "rejected 2", "rejected 3");
        Message last = Check.next(listeners.dead, "the last attempt");
        List<Map<String, ?>> deaths = last.getMessageProperties().getXDeathHeader();
        Check.equal(deaths.size(), 2);
        Check.equal(deaths.get(0).get("reason"), "expired");
        Check.equal(deaths.get(0).get("queue"), Check.name("wait"));
        Check.equal(deaths.get(0).get("count"), 3L);
        Check.equal(last.getMessageProperties().getHeader("x-first-death-reason"), "rejected");
        Check.equal(last.getMessageProperties().getHeader("x-first-death-queue"), Check.name("again"));
        Check.ok("a ladder of dead letters and expiry goes round three times, counted in x-death");
    }

    private static void attempts(Listeners listeners, String... wanted) throws InterruptedException {
        for (String attempt : wanted) {
            Check.equal(Check.next(listeners.attempts, attempt), attempt);
        }
    }

    private static void death(Listeners listeners, String queue, String reason) throws InterruptedException {
        Message message = Check.next(listeners.dead, "a dead letter from " + queue);
        Map<String, ?> death = message.getMessageProperties().getXDeathHeader().get(0);
        Check.equal(death.get("queue"), Check.name(queue));
        Check.equal(death.get("reason"), reason);
        Check.equal(death.get("count"), 1L);
        Check.equal(death.get("routing-keys"), List.of(Check.name(queue)));
        Check.check(listeners.attempts.isEmpty(), listeners.attempts);
    }
}
