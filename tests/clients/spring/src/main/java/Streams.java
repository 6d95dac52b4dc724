import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.springframework.amqp.core.AcknowledgeMode;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.core.QueueBuilder;
import org.springframework.amqp.rabbit.connection.ConnectionFactory;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.amqp.rabbit.listener.SimpleMessageListenerContainer;
import org.springframework.amqp.rabbit.listener.api.ChannelAwareMessageListener;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** A stream read by plain containers, each from its own place, as often as one likes. */
@Configuration
class Streams {
    private static final int MESSAGES = 30;

    record Place(String body, long offset) {}

    @Bean
    Queue stream() {
        return QueueBuilder.durable(Check.name("stream")).stream().withArgument("x-max-age", "1D").build();
    }

    static void run(AnnotationConfigApplicationContext context) throws Exception {
        var template = context.getBean(RabbitTemplate.class);
        for (int number = 0; number < MESSAGES; number++) {
            String body = "message " + number;
            // One channel and one confirm for each, so that the order is the one they are sent in.
            template.invoke(channel -> {
                channel.convertAndSend(Check.name("stream"), body);
                return channel.waitForConfirms(Check.PATIENCE.toMillis());
            });
        }
        for (int from : new int[] {0, 20}) {
            BlockingQueue<Place> places = new LinkedBlockingQueue<>();
            Object offset = from == 0 ? "first" : (Object) (long) from;
            var container = read(context.getBean(ConnectionFactory.class), offset, places);
            for (int number = from; number < MESSAGES; number++) {
                Check.equal(Check.next(places, "a message"), new Place("message " + number, number));
            }
            container.stop();
        }
        Check.ok("two readers of one stream: from the first message, and from an offset");

        BlockingQueue<Place> places = new LinkedBlockingQueue<>();
        var tail = read(context.getBean(ConnectionFactory.class), "next", places);
        Check.until(() -> tail.getActiveConsumerCount() == 1, "the reader");
        // The container counts its consumer before the broker has placed it, so one message may be too early.
        Check.until(
                () -> {
                    template.convertAndSend(Check.name("stream"), "news");
                    return !places.isEmpty();
                },
                "news");
        Place first = Check.next(places, "news");
        Check.equal(first.body(), "news");
        Check.check(first.offset() >= MESSAGES, first);
        tail.stop();
        Check.ok("a reader from the end gets only what is new");
    }

    private static SimpleMessageListenerContainer read(
            ConnectionFactory connections, Object offset, BlockingQueue<Place> into) {
        var container = new SimpleMessageListenerContainer(connections);
        container.setQueueNames(Check.name("stream"));
        container.setPrefetchCount(10);
        container.setAcknowledgeMode(AcknowledgeMode.MANUAL);
        container.setConsumerArguments(Map.of("x-stream-offset", offset));
        container.setMessageListener((ChannelAwareMessageListener) (message, channel) -> {
            into.add(new Place(
                    new String(message.getBody()), message.getMessageProperties().getHeader("x-stream-offset")));
            channel.basicAck(message.getMessageProperties().getDeliveryTag(), false);
        });
        container.afterPropertiesSet();
        container.start();
        return container;
    }
}
