import com.rabbitmq.client.Channel;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.springframework.amqp.core.Declarables;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.core.QueueBuilder;
import org.springframework.amqp.rabbit.annotation.RabbitListener;
import org.springframework.amqp.rabbit.core.RabbitAdmin;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.amqp.rabbit.listener.RabbitListenerEndpointRegistry;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** Simple and direct containers: how many consumers, whose turn it is, and how each settles. */
@Configuration
class Containers {
    @Bean
    Declarables declarables() {
        return new Declarables(
                new Queue(Check.name("simple")),
                new Queue(Check.name("direct")),
                new Queue(Check.name("preferred")),
                QueueBuilder.durable(Check.name("urgent")).maxPriority(10).build());
    }

    @Bean
    Listeners listeners() {
        return new Listeners();
    }

    static class Listeners {
        final CyclicBarrier two = new CyclicBarrier(2);
        final BlockingQueue<String> simple = new LinkedBlockingQueue<>();
        final BlockingQueue<String> direct = new LinkedBlockingQueue<>();
        final BlockingQueue<String> preferred = new LinkedBlockingQueue<>();
        final BlockingQueue<String> urgent = new LinkedBlockingQueue<>();
        final CountDownLatch release = new CountDownLatch(1);

        @RabbitListener(queues = "${run}.simple", concurrency = "2-4")
        void simple(String body) throws Exception {
            if (body.equals("together")) {
                // Only if two consumers have one at the same time does this go on.
                two.await(Check.PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
            }
            simple.add(body);
        }

        @RabbitListener(queues = "${run}.direct", containerFactory = "direct", ackMode = "MANUAL")
        void direct(Message message, Channel channel) throws Exception {
            var properties = message.getMessageProperties();
            String body = new String(message.getBody());
            direct.add(body + (properties.isRedelivered() ? " again" : ""));
            if (body.equals("requeue") && !properties.isRedelivered()) {
                channel.basicNack(properties.getDeliveryTag(), false, true);
            } else {
                channel.basicAck(properties.getDeliveryTag(), false);
            }
        }

        @RabbitListener(id = "first", queues = "${run}.preferred", priority = "10", autoStartup = "false")
        void first(String body) throws Exception {
            preferred.add("first " + body);
            release.await();
        }

        @RabbitListener(id = "second", queues = "${run}.preferred", priority = "1", autoStartup = "false")
        void second(String body) {
            preferred.add("second " + body);
        }

        @RabbitListener(id = "urgent", queues = "${run}.urgent", autoStartup = "false")
        void urgent(String body) {
            urgent.add(body);
        }
    }

    static void run(AnnotationConfigApplicationContext context) throws Exception {
        var admin = context.getBean(RabbitAdmin.class);
        var template = context.getBean(RabbitTemplate.class);
        var listeners = context.getBean(Listeners.class);
        var registry = context.getBean(RabbitListenerEndpointRegistry.class);

        Check.until(() -> admin.getQueueInfo(Check.name("simple")).getConsumerCount() >= 2, "two consumers");
        template.convertAndSend(Check.name("simple"), "together");
        template.convertAndSend(Check.name("simple"), "together");
        for (int count = 0; count < 2; count++) {
            Check.equal(Check.next(listeners.simple, "two at a time"), "together");
        }
        List<String> wanted = new ArrayList<>();
        for (int number = 1000; number < 1200; number++) {
            template.convertAndSend(Check.name("simple"), String.valueOf(number));
            wanted.add(String.valueOf(number));
        }
        List<String> found = new ArrayList<>();
        while (found.size() < wanted.size()) {
            found.add(Check.next(listeners.simple, "200 messages"));
        }
        found.sort(null);
        Check.equal(found, wanted);
        Check.ok("a simple container with two to four consumers: two at a time, each message once");

        Check.until(() -> admin.getQueueInfo(Check.name("direct")).getConsumerCount() == 2, "two consumers");
        template.convertAndSend(Check.name("direct"), "requeue");
        Check.equal(Check.next(listeners.direct, "a message"), "requeue");
        Check.equal(Check.next(listeners.direct, "it again"), "requeue again");
        Check.ok("a direct container acks by hand and gives back");

        // Consumers take more than one ahead by default; only with one is the choice seen.
        for (String id : new String[] {"second", "first"}) {
            var container = (org.springframework.amqp.rabbit.listener.AbstractMessageListenerContainer)
                    registry.getListenerContainer(id);
            container.setPrefetchCount(1);
            container.start();
        }
        Check.until(() -> admin.getQueueInfo(Check.name("preferred")).getConsumerCount() == 2, "two consumers");
        template.convertAndSend(Check.name("preferred"), "a");
        Check.equal(Check.next(listeners.preferred, "a message"), "first a");
        template.convertAndSend(Check.name("preferred"), "b");
        Check.equal(Check.next(listeners.preferred, "a message"), "second b");
        template.convertAndSend(Check.name("preferred"), "c");
        Check.equal(Check.next(listeners.preferred, "a message"), "second c");
        listeners.release.countDown();
        Check.ok("a listener's priority: the first gets what it has room for, the second what is left");

        int[] priorities = {1, 0, 9, 5, 9};
        for (int priority : priorities) {
            template.convertAndSend(Check.name("urgent"), (Object) ("priority " + priority), message -> {
                message.getMessageProperties().setPriority(priority);
                return message;
            });
        }
        Check.until(() -> admin.getQueueInfo(Check.name("urgent")).getMessageCount() == 5, "five messages");
        registry.getListenerContainer("urgent").start();
        for (int priority : new int[] {9, 9, 5, 1, 0}) {
            Check.equal(Check.next(listeners.urgent, "a message"), "priority " + priority);
        }
        Check.ok("a queue with x-max-priority gives the most urgent first");

        registry.stop();
        for (String queue : new String[] {"simple", "direct", "preferred", "urgent"}) {
            Check.until(() -> admin.getQueueInfo(Check.name(queue)).getConsumerCount() == 0, "no consumer");
            Check.equal(admin.getQueueInfo(Check.name(queue)).getMessageCount(), 0L);
        }
        Check.ok("stopped containers leave no consumer and no message behind");
    }
}
