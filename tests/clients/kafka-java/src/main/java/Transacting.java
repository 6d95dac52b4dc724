import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;

class Transacting {
    static void run() throws Exception {
        commitAndAbort();
        readProcessWrite();
        fenced();
        expired();
        admin();
        manyPartitions();
    }

    static KafkaProducer<String, String> producer(String id, Object... pairs) {
        return Client.producer(Consuming.with(pairs, "transactional.id", id));
    }

    static KafkaConsumer<String, String> reader(String isolation, String topic) {
        KafkaConsumer<String, String> consumer = Client.consumer("isolation.level", isolation);
        List<TopicPartition> all = consumer.partitionsFor(topic).stream()
                .map(row -> new TopicPartition(topic, row.partition())).toList();
        consumer.assign(all);
        return consumer;
    }

    static void commitAndAbort() throws Exception {
        String topic = Client.topic(1);
        TopicPartition at = new TopicPartition(topic, 0);
        try (KafkaProducer<String, String> producer = producer(Client.unique("t"));
                KafkaConsumer<String, String> committed = reader("read_committed", topic);
                KafkaConsumer<String, String> all = reader("read_uncommitted", topic)) {
            producer.initTransactions();
            producer.beginTransaction();
            Client.send(producer, topic, "a1", "a2");
            Client.equal(Client.values(Client.take(all, 2)), List.of("a1", "a2"), "seen uncommitted");
            Client.check(committed.poll(Duration.ofMillis(150)).isEmpty(), "not yet committed");
            Client.equal(committed.endOffsets(List.of(at)).get(at), 0L, "the stable end");
            Client.equal(all.endOffsets(List.of(at)).get(at), 2L, "the end");
            producer.abortTransaction();
            producer.beginTransaction();
            Client.send(producer, topic, "b1");
            producer.commitTransaction();
            Client.fill(topic, "c");
            Client.equal(Client.values(Client.take(committed, 2)), List.of("b1", "c"), "what was committed");
            Client.equal(Client.values(Client.take(all, 2)), List.of("b1", "c"), "and by the other");
            Client.until(() -> committed.endOffsets(List.of(at)).get(at) == 6L, "two markers in the log");
            producer.beginTransaction();
            producer.commitTransaction();
            producer.beginTransaction();
            producer.abortTransaction();
        }
        Client.ok("commit, abort, nothing, and what either isolation sees");
    }

    static void readProcessWrite() throws Exception {
        String from = Client.topic(1);
        String to = Client.topic(1);
        String group = Client.unique("g");
        TopicPartition at = new TopicPartition(from, 0);
        Client.fill(from, "1", "2", "3", "4");
        try (KafkaProducer<String, String> producer = producer(Client.unique("t"));
                KafkaConsumer<String, String> consumer = Client.consumer("group.id", group,
                        "isolation.level", "read_committed", "max.poll.records", 2);
                Admin admin = Client.admin()) {
            producer.initTransactions();
            consumer.subscribe(List.of(from));
            int[] round = new int[1];
            Client.until(() -> {
                var records = consumer.poll(Duration.ofMillis(100));
                if (records.isEmpty()) {
                    return false;
                }
                producer.beginTransaction();
                long last = 0;
                for (ConsumerRecord<String, String> record : records) {
                    producer.send(new ProducerRecord<>(to, "seen " + record.value()));
                    last = record.offset() + 1;
                }
                producer.sendOffsetsToTransaction(Map.of(at, new OffsetAndMetadata(last)), consumer.groupMetadata());
                if (round[0]++ == 0) {
                    producer.abortTransaction();
                    Client.check(consumer.committed(Set.of(at)).get(at) == null, "nothing is committed by an abort");
                    consumer.seek(at, 0);
                    return false;
                }
                producer.commitTransaction();
                Client.equal(consumer.committed(Set.of(at)).get(at).offset(), last, "committed with the records");
                return last == 4;
            }, "all four are processed");
            try (KafkaConsumer<String, String> reader = reader("read_committed", to)) {
                Client.equal(Client.values(Client.take(reader, 4)), List.of("seen 1", "seen 2", "seen 3", "seen 4"),
                        "exactly once");
            }
        }
        Client.ok("read, process, write: records and offsets as one");
    }

    static void fenced() throws Exception {
        String topic = Client.topic(1);
        String id = Client.unique("t");
        try (KafkaProducer<String, String> old = producer(id);
                KafkaProducer<String, String> young = producer(id)) {
            old.initTransactions();
            old.beginTransaction();
            Client.send(old, topic, "old");
            young.initTransactions();
            KafkaException failed = Client.fails(KafkaException.class, () -> {
                old.send(new ProducerRecord<>(topic, "zombie")).get();
                old.commitTransaction();
            }, "a zombie's send");
            boolean found = false;
            for (Throwable cause = failed; cause != null; cause = cause.getCause()) {
                found |= cause instanceof ProducerFencedException || cause instanceof InvalidProducerEpochException;
            }
            Client.check(found, "fenced, not " + failed);
            Client.fails(ProducerFencedException.class, () -> {
                try {
                    old.abortTransaction();
                } catch (InvalidProducerEpochException late) {
                    throw new ProducerFencedException(late.getMessage());
                }
                old.beginTransaction();
                old.send(new ProducerRecord<>(topic, "zombie")).get();
                old.commitTransaction();
            }, "and for good");
            young.beginTransaction();
            Client.send(young, topic, "young");
            young.commitTransaction();
        }
        try (KafkaConsumer<String, String> reader = reader("read_committed", topic)) {
            Client.equal(Client.values(Client.take(reader, 1)), List.of("young"), "nothing of the fenced one");
        }
        Client.ok("the second of a transactional id fences the first");
    }

    /** One that never ends is aborted by the broker, and its producer told. */
    static void expired() throws Exception {
        String topic = Client.topic(1);
        try (KafkaProducer<String, String> producer = producer(Client.unique("t"), "transaction.timeout.ms", 500);
                KafkaConsumer<String, String> reader = reader("read_committed", topic)) {
            producer.initTransactions();
            producer.beginTransaction();
            Client.send(producer, topic, "late");
            Client.fill(topic, "other");
            Client.equal(Client.values(Client.take(reader, 1)), List.of("other"), "not held up for ever");
            Client.fails(KafkaException.class, producer::commitTransaction, "a commit after the time");
        }
        Client.ok("a transaction that timed out holds nobody up");
    }

    static void admin() throws Exception {
        String topic = Client.topic(1);
        String id = Client.unique("t");
        try (KafkaProducer<String, String> producer = producer(id); Admin admin = Client.admin()) {
            producer.initTransactions();
            producer.beginTransaction();
            Client.send(producer, topic, "v");
            var described = admin.describeTransactions(List.of(id)).description(id).get();
            Client.equal(described.state().toString(), "Ongoing", "state");
            Client.equal(described.topicPartitions(), Set.of(new TopicPartition(topic, 0)), "partitions");
            List<String> listed = new ArrayList<>();
            admin.listTransactions().all().get().forEach(row -> listed.add(row.transactionalId()));
            Client.check(listed.contains(id), "listed");
            var at = new TopicPartition(topic, 0);
            var states = admin.describeProducers(List.of(at)).partitionResult(at).get().activeProducers();
            Client.equal(states.size(), 1, "producers of the partition");
            Client.equal(states.get(0).currentTransactionStartOffset().getAsLong(), 0L, "where it began");
            producer.commitTransaction();
            Client.until(() -> {
                try {
                    return admin.describeTransactions(List.of(id)).description(id).get().state().toString()
                            .equals("CompleteCommit");
                } catch (Exception failed) {
                    throw new IllegalStateException(failed);
                }
            }, "complete");
            admin.fenceProducers(List.of(id)).all().get();
            Client.fails(KafkaException.class, () -> {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(topic, "v")).get();
                producer.commitTransaction();
            }, "fenced by an administrator");
        }
        Client.ok("transactions and producers listed, described and fenced");
    }

    static void manyPartitions() throws Exception {
        String topic = Client.topic(10);
        try (KafkaProducer<String, String> producer = producer(Client.unique("t"));
                KafkaConsumer<String, String> reader = reader("read_committed", topic)) {
            producer.initTransactions();
            for (int round = 0; round < 10; round++) {
                producer.beginTransaction();
                for (int at = 0; at < 20; at++) {
                    producer.send(new ProducerRecord<>(topic, at % 10, null, round + "." + at));
                }
                if (round % 2 == 0) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
            }
            Client.check(Client.take(reader, 100).stream().allMatch(
                    record -> record.value().charAt(0) % 2 == 0), "only the committed rounds");
        }
        Client.ok("ten transactions over ten partitions");
    }
}
