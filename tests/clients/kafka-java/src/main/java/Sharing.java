import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.errors.InvalidRecordStateException;
import org.apache.kafka.common.serialization.StringDeserializer;

class Sharing {
    static void run() throws Exception {
        implicit();
        outcomes();
        two();
        limit();
        expires();
    }

    static KafkaShareConsumer<String, String> consumer(String group, Object... pairs) {
        Map<String, Object> options = Client.options("group.id", group, "fetch.max.wait.ms", 100);
        options.putAll(Client.options(pairs));
        return new KafkaShareConsumer<>(options, new StringDeserializer(), new StringDeserializer());
    }

    /** A group whose first read begins at the first record. */
    static String group(String... more) throws Exception {
        String group = Client.unique("share");
        List<String> pairs = new ArrayList<>(List.of(more));
        pairs.addAll(List.of("share.auto.offset.reset", "earliest", "share.heartbeat.interval.ms", "200"));
        Client.configure(group, pairs.toArray(new String[0]));
        return group;
    }

    static List<ConsumerRecord<String, String>> take(KafkaShareConsumer<String, String> consumer) {
        List<ConsumerRecord<String, String>> taken = new ArrayList<>();
        Client.until(() -> {
            consumer.poll(Duration.ofMillis(200)).forEach(taken::add);
            return !taken.isEmpty();
        }, "records");
        return taken;
    }

    static List<String> takeValues(KafkaShareConsumer<String, String> consumer, int count) {
        List<String> taken = new ArrayList<>();
        Client.until(() -> {
            consumer.poll(Duration.ofMillis(200)).forEach(record -> taken.add(record.value()));
            return taken.size() >= count;
        }, count + " records");
        return taken;
    }

    static void implicit() throws Exception {
        String topic = Client.topic(2);
        String group = group();
        Set<String> wanted = new HashSet<>();
        for (int at = 0; at < 100; at++) {
            wanted.add("v" + at);
        }
        Client.fill(topic, wanted.toArray(new String[0]));
        try (KafkaShareConsumer<String, String> consumer = consumer(group)) {
            consumer.subscribe(List.of(topic));
            List<String> seen = takeValues(consumer, 100);
            Client.equal(seen.size(), 100, "each once");
            Client.equal(new HashSet<>(seen), wanted, "all");
            consumer.commitSync().forEach((at, failed) -> Client.check(failed.isEmpty(), "acknowledged: " + failed));
        }
        Client.fill(topic, "next");
        try (KafkaShareConsumer<String, String> consumer = consumer(group)) {
            consumer.subscribe(List.of(topic));
            Client.equal(takeValues(consumer, 1), List.of("next"), "nothing comes twice");
        }
        Client.ok("a share group accepts what it polled");
    }

    static void outcomes() throws Exception {
        String topic = Client.topic(1);
        String group = group();
        Client.fill(topic, "accept", "release", "reject");
        try (KafkaShareConsumer<String, String> consumer = consumer(group,
                "share.acknowledgement.mode", "explicit")) {
            consumer.subscribe(List.of(topic));
            List<ConsumerRecord<String, String>> records = take(consumer);
            Client.equal(Client.values(records), List.of("accept", "release", "reject"), "in order");
            for (ConsumerRecord<String, String> record : records) {
                Client.equal(record.deliveryCount().orElse((short) 0), (short) 1, "delivery count");
                consumer.acknowledge(record, AcknowledgeType.valueOf(record.value().toUpperCase()));
            }
            consumer.commitSync().forEach((at, failed) -> Client.check(failed.isEmpty(), "acknowledged: " + failed));
            List<ConsumerRecord<String, String>> again = take(consumer);
            Client.equal(Client.values(again), List.of("release"), "only what was released comes again");
            Client.equal(again.get(0).deliveryCount().orElse((short) 0), (short) 2, "delivery count");
            consumer.acknowledge(again.get(0));
            consumer.commitSync();
            Client.fill(topic, "next");
            List<ConsumerRecord<String, String>> next = take(consumer);
            Client.equal(Client.values(next), List.of("next"), "nothing else");
            consumer.acknowledge(next.get(0));
        }
        Client.ok("accept, release, reject, and their delivery counts");
    }

    static void two() throws Exception {
        String topic = Client.topic(1);
        String group = group();
        List<String> seen = new ArrayList<>();
        try (KafkaShareConsumer<String, String> one = consumer(group, "max.poll.records", 5);
                KafkaShareConsumer<String, String> other = consumer(group, "max.poll.records", 5)) {
            one.subscribe(List.of(topic));
            other.subscribe(List.of(topic));
            one.poll(Duration.ofMillis(200));
            other.poll(Duration.ofMillis(200));
            int[] each = new int[2];
            for (int round = 0; round < 20; round++) {
                String[] values = new String[10];
                for (int at = 0; at < 10; at++) {
                    values[at] = "v" + (round * 10 + at);
                }
                Client.fill(topic, values);
                one.poll(Duration.ofMillis(20)).forEach(record -> {
                    seen.add(record.value());
                    each[0]++;
                });
                other.poll(Duration.ofMillis(20)).forEach(record -> {
                    seen.add(record.value());
                    each[1]++;
                });
            }
            Client.until(() -> {
                one.poll(Duration.ofMillis(50)).forEach(record -> seen.add(record.value()));
                other.poll(Duration.ofMillis(50)).forEach(record -> seen.add(record.value()));
                return seen.size() >= 200;
            }, "two hundred");
            Client.equal(seen.size(), 200, "each once");
            Client.equal(new HashSet<>(seen).size(), 200, "all");
        }
        Client.ok("two consumers on one partition get each record once");
    }

    /** Released five times, a record is given up. */
    static void limit() throws Exception {
        String topic = Client.topic(1);
        String group = group();
        Client.fill(topic, "poison");
        try (KafkaShareConsumer<String, String> consumer = consumer(group,
                "share.acknowledgement.mode", "explicit")) {
            consumer.subscribe(List.of(topic));
            for (int time = 1; time <= 5; time++) {
                ConsumerRecord<String, String> record = take(consumer).get(0);
                Client.equal(record.deliveryCount().orElse((short) 0), (short) time, "delivery count");
                consumer.acknowledge(record, AcknowledgeType.RELEASE);
                consumer.commitSync();
            }
            Client.fill(topic, "good");
            ConsumerRecord<String, String> record = take(consumer).get(0);
            Client.equal(record.value(), "good", "what comes after the fifth time");
            consumer.acknowledge(record);
        }
        Client.ok("five deliveries, then a record is given up");
    }

    /** What a consumer keeps too long is another's. */
    static void expires() throws Exception {
        String topic = Client.topic(1);
        String group = group("share.record.lock.duration.ms", "1000");
        Client.fill(topic, "slow");
        try (KafkaShareConsumer<String, String> slow = consumer(group, "share.acknowledgement.mode", "explicit");
                KafkaShareConsumer<String, String> quick = consumer(group)) {
            slow.subscribe(List.of(topic));
            ConsumerRecord<String, String> record = take(slow).get(0);
            quick.subscribe(List.of(topic));
            ConsumerRecord<String, String> again = take(quick).get(0);
            Client.equal(again.value(), "slow", "the same");
            Client.equal(again.deliveryCount().orElse((short) 0), (short) 2, "delivery count");
            slow.acknowledge(record);
            slow.commitSync().forEach((at, failed) -> Client.check(
                    failed.orElse(null) instanceof InvalidRecordStateException, "too late to acknowledge"));
            quick.commitSync().forEach((at, failed) -> Client.check(failed.isEmpty(), "acknowledged: " + failed));
        }
        Client.ok("an acquisition lock that ran out");
    }
}
