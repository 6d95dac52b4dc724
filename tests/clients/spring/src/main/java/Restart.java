import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.springframework.amqp.AmqpException;
import org.springframework.amqp.core.AnonymousQueue;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.rabbit.annotation.RabbitListener;
import org.springframework.amqp.rabbit.connection.CachingConnectionFactory;
import org.springframework.amqp.rabbit.connection.Connection;
import org.springframework.amqp.rabbit.connection.ConnectionListener;
import org.springframework.amqp.rabbit.connection.CorrelationData;
import org.springframework.amqp.rabbit.core.RabbitAdmin;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.amqp.rabbit.listener.RabbitListenerEndpointRegistry;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** The broker is killed under listeners: they come back, and so do the queues that died with it. */
@Configuration
class Restart {
    @Bean
    Queue kept() {
        return new Queue(Check.name("kept"));
    }

    @Bean
    Queue mine() {
        return new AnonymousQueue(() -> Check.name("mine"));
    }

    @Bean
    Listeners listeners() {
        return new Listeners();
    }

    static class Listeners {
        final BlockingQueue<String> kept = new LinkedBlockingQueue<>();
        final BlockingQueue<String> mine = new LinkedBlockingQueue<>();

        @RabbitListener(id = "kept", queues = "${run}.kept", autoStartup = "false")
        void kept(String body) {
            kept.add(body);
        }

        @RabbitListener(queues = "${run}.mine", containerFactory = "direct")
        void mine(String body) {
            mine.add(body);
        }
    }

    static void run(AnnotationConfigApplicationContext context) throws Exception {
        var admin = context.getBean(RabbitAdmin.class);
        var template = context.getBean(RabbitTemplate.class);
        var listeners = context.getBean(Listeners.class);
        BlockingQueue<String> losses = new LinkedBlockingQueue<>();
        context.getBean("connections", CachingConnectionFactory.class).addConnectionListener(new ConnectionListener() {
            @Override
            public void onCreate(Connection connection) {}

            @Override
            public void onShutDown(com.rabbitmq.client.ShutdownSignalException signal) {
                losses.add(signal.getMessage());
            }
        });

        Set<String> wanted = new HashSet<>();
        for (int number = 0; number < 100; number++) {
            Check.check(send(template, "kept", "message " + number), number);
            wanted.add("message " + number);
        }
        template.convertAndSend(Check.name("mine"), "before");
        Check.equal(Check.next(listeners.mine, "a message of one's own"), "before");

        System.out.println("KILL ME");
        System.out.flush();
        Check.next(losses, "the broker to be killed");
        Check.until(() -> send(template, "kept", "after"), "a confirm from the broker that came back");
        wanted.add("after");
        context.getBean(RabbitListenerEndpointRegistry.class).getListenerContainer("kept").start();
        Set<String> found = new HashSet<>();
        while (found.size() < wanted.size()) {
            found.add(Check.next(listeners.kept, "a message of before"));
        }
        Check.equal(found, wanted);
        Check.ok("everything confirmed before the broker was killed is there after it");

        // Exclusive and of the broken connection: the admin declares it on the new one.
        Check.until(() -> admin.getQueueInfo(Check.name("mine")) != null, "the queue of one's own");
        Check.until(
                () -> {
                    send(template, "mine", "after");
                    return "after".equals(listeners.mine.poll(200, TimeUnit.MILLISECONDS));
                },
                "the listener to a queue of one's own");
        Check.ok("an exclusive queue is declared and listened to again");
    }

    private static boolean send(RabbitTemplate template, String queue, String body) throws Exception {
        var correlation = new CorrelationData();
        try {
            template.convertAndSend("", Check.name(queue), body, correlation);
            return correlation.getFuture().get(Check.PATIENCE.toSeconds(), TimeUnit.SECONDS).ack();
        } catch (AmqpException away) {
            return false;
        }
    }
}
