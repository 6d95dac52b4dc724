import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;

/**
 * What services built on Spring for Apache Kafka and on Kafka Streams do, one scenario a run, each
 * behaviour an `ok`.
 *
 * <p>Usage: KAFKA_BOOTSTRAP=127.0.0.1:9092 java Client SCENARIO
 */
final class Client {
    static final String BOOTSTRAP = System.getenv().getOrDefault("KAFKA_BOOTSTRAP", "127.0.0.1:9092");
    static final Duration PATIENCE = Duration.ofSeconds(60);

    interface Scenario {
        void run() throws Exception;
    }

    private static final Map<String, Scenario> SCENARIOS = Map.of(
            "listeners", Listening::plain,
            "retries", Listening::retries,
            "transactions", Listening::transactions,
            "word_count", Counting::run);

    public static void main(String[] arguments) {
        // Listeners throw here on purpose, and each time would be a page of warnings.
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", System.getProperty("log", "off"));
        try {
            SCENARIOS.get(arguments[0]).run();
        } catch (Throwable failure) {
            failure.printStackTrace();
            System.exit(1);
        }
        System.exit(0);
    }

    static void ok(String behaviour) {
        System.out.println("ok " + behaviour);
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError("not so: " + what);
        }
    }

    static void equal(Object found, Object wanted, String what) {
        if (!Objects.equals(found, wanted)) {
            throw new AssertionError(what + ": " + found + " instead of " + wanted);
        }
    }

    static <T> T next(BlockingQueue<T> queue, String what) throws InterruptedException {
        T found = queue.poll(PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
        check(found != null, what + " in time");
        return found;
    }

    static void until(BooleanSupplier holds, String what) throws InterruptedException {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (!holds.getAsBoolean()) {
            check(System.nanoTime() < deadline, what + " in time");
            Thread.sleep(20);
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

    static void create(int partitions, String... names) throws Exception {
        try (Admin admin = Admin.create(options())) {
            for (String name : names) {
                admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1))).all().get();
            }
        }
    }

    private Client() {}
}
