import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Apache Kafka's Java clients: one scenario, named by the argument, each behaviour an `ok`. */
public class Client {
    static final String BOOTSTRAP = System.getenv().getOrDefault("KAFKA_BOOTSTRAP", "127.0.0.1:9092");
    static final Duration DEADLINE = Duration.ofSeconds(20);
    static final Map<String, Scenario> SCENARIOS = Map.of(
            "producer", Producing::run,
            "consumer", Consuming::classic,
            "consumer_protocol", Consuming::next,
            "share", Sharing::run,
            "transactions", Transacting::run,
            "admin", Administering::run,
            "refused", Refused::run,
            "tls", UnderTls::run);

    interface Scenario {
        void run() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        Thread watch = new Thread(() -> {
            sleep(90_000);
            for (StackTraceElement frame : MAIN.getStackTrace()) {
                System.out.println("  at " + frame);
            }
            System.out.println("not done after 90 s");
            Runtime.getRuntime().halt(1);
        });
        watch.setDaemon(true);
        watch.start();
        SCENARIOS.get(arguments[0]).run();
        // A client that failed to close must not keep the process.
        System.exit(0);
    }

    static final Thread MAIN = Thread.currentThread();

    static void ok(String behaviour) {
        System.out.println("ok " + behaviour);
    }

    static void equal(Object found, Object wanted, String what) {
        if (!Objects.equals(found, wanted)) {
            throw new AssertionError(what + ": " + found + " instead of " + wanted);
        }
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError("not so: " + what);
        }
    }

    interface Action {
        void run() throws Exception;
    }

    /** The action must fail with this exception, directly or as a cause. */
    static <T extends Throwable> T fails(Class<T> wanted, Action action, String what) throws Exception {
        try {
            action.run();
        } catch (Throwable thrown) {
            for (Throwable at = thrown; at != null; at = at.getCause()) {
                if (wanted.isInstance(at)) {
                    return wanted.cast(at);
                }
            }
            throw new AssertionError(what + ": " + thrown + " instead of " + wanted.getName(), thrown);
        }
        throw new AssertionError(what + ": nothing was thrown, not " + wanted.getName());
    }

    static <T> T eventually(Supplier<T> probe, String what) {
        long deadline = System.nanoTime() + DEADLINE.toNanos();
        while (true) {
            T found = probe.get();
            if (found != null && !Boolean.FALSE.equals(found)) {
                return found;
            }
            check(System.nanoTime() < deadline, what + " in time");
            sleep(10);
        }
    }

    static void until(BooleanSupplier holds, String what) {
        eventually(() -> holds.getAsBoolean(), what);
    }

    static void sleep(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException stopped) {
            throw new IllegalStateException(stopped);
        }
    }

    static String unique(String prefix) {
        return prefix + "-" + UUID.randomUUID().toString().substring(0, 13);
    }

    /** The common options with these, given as name and value in turn. */
    static Map<String, Object> options(Object... pairs) {
        Map<String, Object> options = new HashMap<>();
        options.put("bootstrap.servers", BOOTSTRAP);
        for (int at = 0; at < pairs.length; at += 2) {
            options.put((String) pairs[at], pairs[at + 1]);
        }
        return options;
    }

    static KafkaProducer<String, String> producer(Object... pairs) {
        return new KafkaProducer<>(options(pairs), new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(Object... pairs) {
        Map<String, Object> options = options("auto.offset.reset", "earliest", "enable.auto.commit", false,
                "fetch.max.wait.ms", 100);
        options.putAll(options(pairs));
        return new KafkaConsumer<>(options, new StringDeserializer(), new StringDeserializer());
    }

    static Admin admin() {
        return Admin.create(options());
    }

    static String topic(int partitions) throws Exception {
        return topic(partitions, Map.of());
    }

    static String topic(int partitions, Map<String, String> configs) throws Exception {
        String name = unique("java");
        try (Admin admin = admin()) {
            admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(configs))).all().get();
        }
        return name;
    }

    static void send(KafkaProducer<String, String> producer, String topic, String... values) throws Exception {
        for (String value : values) {
            producer.send(new ProducerRecord<>(topic, value));
        }
        producer.flush();
    }

    static void fill(String topic, String... values) throws Exception {
        try (KafkaProducer<String, String> producer = producer()) {
            send(producer, topic, values);
        }
    }

    /** Polls until so many records are here, and once more to see that there are no others. */
    static List<ConsumerRecord<String, String>> take(Consumer<String, String> consumer, int count) {
        List<ConsumerRecord<String, String>> taken = new ArrayList<>();
        until(() -> {
            consumer.poll(Duration.ofMillis(100)).forEach(taken::add);
            return taken.size() >= count;
        }, count + " records");
        equal(taken.size(), count, "records");
        return taken;
    }

    static List<String> values(Collection<ConsumerRecord<String, String>> records) {
        return records.stream().map(ConsumerRecord::value).toList();
    }

    /** Configures a group before it is there: `share.…` or `consumer.…`. */
    static void configure(String group, String... pairs) throws Exception {
        List<AlterConfigOp> changes = new ArrayList<>();
        for (int at = 0; at < pairs.length; at += 2) {
            changes.add(new AlterConfigOp(new ConfigEntry(pairs[at], pairs[at + 1]), AlterConfigOp.OpType.SET));
        }
        try (Admin admin = admin()) {
            admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.GROUP, group), changes))
                    .all().get();
        }
    }
}
