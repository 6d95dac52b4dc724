import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.Stores;

/** Kafka Streams' word count, exactly once: a repartition topic, a store, its changelog. */
final class Counting {
    static void run() throws Exception {
        String lines = Client.unique("lines");
        String counts = Client.unique("counts");
        String application = Client.unique("word-count");
        Client.create(2, lines, counts);
        send(lines, "All streams lead to Kafka", "hello kafka streams");
        try (var consumer = new KafkaConsumer<>(
                Client.options("group.id", application + "-reader", "auto.offset.reset", "earliest",
                        "isolation.level", "read_committed", "fetch.max.wait.ms", 100),
                new StringDeserializer(), new LongDeserializer())) {
            consumer.subscribe(List.of(counts));
            Map<String, List<Long>> seen = new HashMap<>();
            String first = counted(application, lines, counts, streams -> {
                await(consumer, seen, Map.of("all", 1L, "streams", 2L, "lead", 1L, "to", 1L, "kafka", 2L, "hello", 1L));
            });
            Client.ok("words are counted over a repartition topic, exactly once");
            topics(application);

            // The state directory is gone: the store comes back from its changelog.
            delete(Path.of(first));
            send(lines, "join kafka summit");
            String second = counted(application, lines, counts, streams -> {
                await(consumer, seen, Map.of("all", 1L, "streams", 2L, "kafka", 3L, "join", 1L, "summit", 1L));
            });
            delete(Path.of(second));
            for (var word : seen.entrySet()) {
                List<Long> sorted = word.getValue().stream().distinct().sorted().toList();
                Client.equal(word.getValue(), sorted, "each count of " + word.getKey() + " once and in order");
            }
            Client.ok("a second instance goes on from the changelog and the committed offsets");
        }
    }

    private interface Body {
        void run(KafkaStreams streams) throws Exception;
    }

    /** Runs an instance around the body; its state's directory. */
    private static String counted(String application, String lines, String counts, Body body) throws Exception {
        String state = Files.createTempDirectory("bongsu-streams").toString();
        var properties = new Properties();
        properties.putAll(Client.options(
                "application.id", application,
                "processing.guarantee", "exactly_once_v2",
                "commit.interval.ms", 100,
                "num.stream.threads", 1,
                "replication.factor", 1,
                "auto.offset.reset", "earliest",
                "statestore.cache.max.bytes", 0L,
                // An instance that stops does not say so, in case it is soon back.
                "session.timeout.ms", 6000,
                "heartbeat.interval.ms", 500,
                "state.dir", state));
        AtomicReference<Throwable> failure = new AtomicReference<>();
        try (var streams = new KafkaStreams(topology(lines, counts), properties)) {
            streams.setUncaughtExceptionHandler(thrown -> {
                failure.set(thrown);
                thrown.printStackTrace();
                return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
            });
            streams.start();
            body.run(streams);
            Client.check(streams.close(Duration.ofSeconds(20)), "it closes in time");
        }
        Client.equal(failure.get(), null, "failure");
        return state;
    }

    private static Topology topology(String lines, String counts) {
        var builder = new StreamsBuilder();
        builder.stream(lines, Consumed.with(Serdes.String(), Serdes.String()))
                .flatMapValues(line -> Arrays.asList(line.toLowerCase(Locale.ROOT).split(" ")))
                .groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String()))
                .count(Materialized.<String, Long>as(Stores.inMemoryKeyValueStore("words"))
                        .withKeySerde(Serdes.String())
                        .withValueSerde(Serdes.Long()))
                .toStream()
                .to(counts, Produced.with(Serdes.String(), Serdes.Long()));
        return builder.build();
    }

    private static void await(
            KafkaConsumer<String, Long> consumer, Map<String, List<Long>> seen, Map<String, Long> wanted)
            throws InterruptedException {
        Client.until(() -> {
            consumer.poll(Duration.ofMillis(100)).forEach(record ->
                    seen.computeIfAbsent(record.key(), word -> new ArrayList<>()).add(record.value()));
            return wanted.entrySet().stream().allMatch(entry -> {
                List<Long> found = seen.getOrDefault(entry.getKey(), List.of());
                return !found.isEmpty() && found.get(found.size() - 1).equals(entry.getValue());
            });
        }, "counts " + wanted);
    }

    /** What it made: one topic to repartition, one that keeps the last of each key. */
    private static void topics(String application) throws Exception {
        try (Admin admin = Admin.create(Client.options())) {
            var names = admin.listTopics().names().get();
            Client.check(names.contains(application + "-words-repartition"), "a repartition topic is there");
            Client.check(names.contains(application + "-words-changelog"), "a changelog is there");
            var resource = new ConfigResource(ConfigResource.Type.TOPIC, application + "-words-changelog");
            var config = admin.describeConfigs(List.of(resource)).all().get().get(resource);
            Client.equal(config.get("cleanup.policy").value(), "compact", "the changelog's policy");
        }
        Client.ok("it makes its own topics, a compacted one among them");
    }

    private static void send(String topic, String... values) {
        try (var producer = new KafkaProducer<>(Client.options(), new StringSerializer(), new StringSerializer())) {
            for (String value : values) {
                producer.send(new ProducerRecord<>(topic, value));
            }
        }
    }

    private static void delete(Path directory) throws Exception {
        try (var paths = Files.walk(directory)) {
            for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }

    private Counting() {}
}
