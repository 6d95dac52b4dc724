import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.springframework.amqp.core.Declarables;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.rabbit.annotation.RabbitListener;
import org.springframework.amqp.rabbit.batch.SimpleBatchingStrategy;
import org.springframework.amqp.rabbit.config.SimpleRabbitListenerContainerFactory;
import org.springframework.amqp.rabbit.connection.ConnectionFactory;
import org.springframework.amqp.rabbit.core.BatchingRabbitTemplate;
import org.springframework.amqp.rabbit.core.RabbitAdmin;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.amqp.rabbit.listener.RabbitListenerEndpointRegistry;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.scheduling.concurrent.ThreadPoolTaskScheduler;

/** Many messages at once: gathered by the consumer, or by the producer into one. */
@Configuration
class Batch {
    @Bean
    Declarables declarables() {
        return new Declarables(new Queue(Check.name("gathered")), new Queue(Check.name("packed")));
    }

    @Bean
    SimpleRabbitListenerContainerFactory gathering(ConnectionFactory connections) {
        var factory = new SimpleRabbitListenerContainerFactory();
        factory.setConnectionFactory(connections);
        factory.setBatchListener(true);
        factory.setConsumerBatchEnabled(true);
        factory.setBatchSize(10);
        factory.setPrefetchCount(20);
        factory.setReceiveTimeout(300L);
        return factory;
    }

    @Bean
    Listeners listeners() {
        return new Listeners();
    }

    static class Listeners {
        final BlockingQueue<List<String>> gathered = new LinkedBlockingQueue<>();
        final BlockingQueue<String> packed = new LinkedBlockingQueue<>();

        @RabbitListener(id = "gathered", queues = "${run}.gathered", containerFactory = "gathering", autoStartup = "false")
        void gathered(List<String> bodies) {
            gathered.add(bodies);
        }

        @RabbitListener(id = "packed", queues = "${run}.packed", autoStartup = "false")
        void packed(String body) {
            packed.add(body);
        }
    }

    static void run(AnnotationConfigApplicationContext context) throws Exception {
        var admin = context.getBean(RabbitAdmin.class);
        var template = context.getBean(RabbitTemplate.class);
        var listeners = context.getBean(Listeners.class);
        var registry = context.getBean(RabbitListenerEndpointRegistry.class);

        Set<String> wanted = new HashSet<>();
        for (int number = 0; number < 25; number++) {
            template.convertAndSend(Check.name("gathered"), "message " + number);
            wanted.add("message " + number);
        }
        Check.until(() -> admin.getQueueInfo(Check.name("gathered")).getMessageCount() == 25, "25 messages");
        registry.getListenerContainer("gathered").start();
        List<String> found = new ArrayList<>();
        while (found.size() < wanted.size()) {
            List<String> batch = Check.next(listeners.gathered, "a batch");
            Check.check(batch.size() <= 10, batch);
            found.addAll(batch);
        }
        // A channel that waits for its confirm is not used again, so these went over several.
        Check.equal(Set.copyOf(found), wanted);
        registry.getListenerContainer("gathered").stop();
        Check.equal(admin.getQueueInfo(Check.name("gathered")).getMessageCount(), 0L);
        Check.ok("a consumer gathers up to ten messages and acks them as one");

        var scheduler = new ThreadPoolTaskScheduler();
        scheduler.initialize();
        var packing = new BatchingRabbitTemplate(
                context.getBean(ConnectionFactory.class),
                new SimpleBatchingStrategy(10, 1 << 20, Check.PATIENCE.toMillis()),
                scheduler);
        for (int number = 0; number < 20; number++) {
            packing.convertAndSend(Check.name("packed"), "message " + number);
        }
        Check.until(() -> admin.getQueueInfo(Check.name("packed")).getMessageCount() == 2, "two messages of ten");
        registry.getListenerContainer("packed").start();
        Set<String> unpacked = new HashSet<>();
        while (unpacked.size() < 20) {
            Check.check(unpacked.add(Check.next(listeners.packed, "a message")), unpacked);
        }
        scheduler.shutdown();
        Check.ok("a producer packs ten into one, and the listener gets them singly");
    }
}
