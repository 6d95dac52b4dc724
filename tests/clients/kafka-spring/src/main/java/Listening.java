import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.listener.AcknowledgingMessageListener;
import org.springframework.kafka.listener.ConcurrentMessageListenerContainer;
import org.springframework.kafka.listener.ContainerProperties;
import org.springframework.kafka.listener.ContainerProperties.AckMode;
import org.springframework.kafka.listener.DeadLetterPublishingRecoverer;
import org.springframework.kafka.listener.DefaultErrorHandler;
import org.springframework.kafka.listener.MessageListener;
import org.springframework.kafka.support.KafkaHeaders;
import org.springframework.kafka.transaction.KafkaTransactionManager;
import org.springframework.util.backoff.FixedBackOff;

/** Spring's listener containers, as annotations would make them. */
final class Listening {
    private static DefaultKafkaProducerFactory<String, String> producers(Object... pairs) {
        return new DefaultKafkaProducerFactory<>(
                Client.options(pairs), new StringSerializer(), new StringSerializer());
    }

    private static ConcurrentMessageListenerContainer<String, String> container(
            String topic, String group, Object listener, Object... pairs) {
        Map<String, Object> options = Client.options(
                "auto.offset.reset", "earliest", "enable.auto.commit", false, "fetch.max.wait.ms", 100);
        options.putAll(Client.options(pairs));
        var consumers = new DefaultKafkaConsumerFactory<>(options, new StringDeserializer(), new StringDeserializer());
        var properties = new ContainerProperties(topic);
        properties.setGroupId(group);
        properties.setMessageListener(listener);
        return new ConcurrentMessageListenerContainer<>(consumers, properties);
    }

    private static long committed(String group, String topic) {
        try (Admin admin = Admin.create(Client.options())) {
            var offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
            return offsets.entrySet().stream()
                    .filter(entry -> entry.getKey().topic().equals(topic))
                    .mapToLong(entry -> entry.getValue() == null ? 0 : entry.getValue().offset())
                    .sum();
        } catch (Exception failure) {
            throw new IllegalStateException(failure);
        }
    }

    /** Three consumers in one container, acknowledged one by one. */
    static void plain() throws Exception {
        String topic = Client.unique("spring");
        String group = Client.unique("group");
        Client.create(3, topic);
        BlockingQueue<ConsumerRecord<String, String>> records = new LinkedBlockingQueue<>();
        Set<String> threads = Collections.synchronizedSet(new HashSet<>());
        AcknowledgingMessageListener<String, String> listener = (record, acknowledgment) -> {
            threads.add(Thread.currentThread().getName());
            records.add(record);
            acknowledgment.acknowledge();
        };
        var container = container(topic, group, listener);
        container.setConcurrency(3);
        container.getContainerProperties().setAckMode(AckMode.MANUAL_IMMEDIATE);
        container.start();
        Client.until(
                () -> container.getContainers().stream().allMatch(one -> one.getAssignedPartitions().size() == 1),
                "a partition for each consumer");
        var template = new KafkaTemplate<>(producers());
        Set<String> wanted = new HashSet<>();
        for (int at = 0; at < 60; at++) {
            template.send(topic, "key " + at, "value " + at);
            wanted.add("value " + at);
        }
        template.flush();
        Set<String> seen = new HashSet<>();
        for (int at = 0; at < 60; at++) {
            seen.add(Client.next(records, "a record").value());
        }
        Client.equal(seen, wanted, "values");
        Client.equal(threads.size(), 3, "consumers that had some");
        Client.until(() -> committed(group, topic) == 60, "commits");
        container.stop();
        Client.check(records.isEmpty(), "nothing came twice");
        template.destroy();
        Client.ok("three consumers in a container, acknowledged one by one");
    }

    /** A record whose listener throws is tried again, in its place, and then put away. */
    static void retries() throws Exception {
        String topic = Client.unique("spring");
        String dead = topic + "-dlt";
        String group = Client.unique("group");
        Client.create(2, topic, dead);
        BlockingQueue<String> attempts = new LinkedBlockingQueue<>();
        BlockingQueue<ConsumerRecord<String, String>> buried = new LinkedBlockingQueue<>();
        MessageListener<String, String> listener = record -> {
            attempts.add(record.value());
            if (record.value().startsWith("bad")) {
                throw new IllegalStateException("cannot do " + record.value());
            }
            if (record.value().startsWith("hopeless")) {
                throw new IllegalArgumentException("never " + record.value());
            }
        };
        var template = new KafkaTemplate<>(producers("enable.idempotence", true));
        var handler = new DefaultErrorHandler(new DeadLetterPublishingRecoverer(template), new FixedBackOff(20, 2));
        handler.addNotRetryableExceptions(IllegalArgumentException.class);
        var container = container(topic, group, listener);
        container.setCommonErrorHandler(handler);
        var undertaker = container(dead, group + "-dlt", (MessageListener<String, String>) buried::add);
        undertaker.start();
        container.start();
        for (String value : List.of("good 1", "bad", "good 2", "hopeless", "good 3")) {
            template.send(topic, 1, "key of " + value, value).get();
        }
        List<String> seen = new ArrayList<>();
        while (!seen.contains("good 3")) {
            seen.add(Client.next(attempts, "an attempt"));
        }
        Client.equal(seen, List.of("good 1", "bad", "bad", "bad", "good 2", "hopeless", "good 3"), "attempts");
        Client.ok("a record is tried three times, in its place; one that is hopeless once");

        var first = Client.next(buried, "a dead letter");
        Client.equal(first.value(), "bad", "value");
        Client.equal(first.key(), "key of bad", "key");
        Client.equal(first.partition(), 1, "partition");
        Client.equal(text(first, KafkaHeaders.DLT_ORIGINAL_TOPIC), topic, "its topic");
        Client.equal(text(first, KafkaHeaders.DLT_ORIGINAL_CONSUMER_GROUP), group, "its group");
        Client.check(text(first, KafkaHeaders.DLT_EXCEPTION_STACKTRACE).contains("cannot do bad"), "its exception");
        Client.equal(Client.next(buried, "a dead letter").value(), "hopeless", "value");
        Client.until(() -> committed(group, topic) == 5, "commits");
        container.stop();
        undertaker.stop();
        template.destroy();
        Client.ok("what cannot be done is in the dead letter topic, with its story");
    }

    private static String text(ConsumerRecord<?, ?> record, String header) {
        var found = record.headers().lastHeader(header);
        Client.check(found != null, "there is a header " + header);
        return new String(found.value(), StandardCharsets.UTF_8);
    }

    /** Each record's answer and offset in one transaction; one fails after it has answered. */
    static void transactions() throws Exception {
        String topic = Client.unique("spring");
        String answers = topic + "-answers";
        String group = Client.unique("group");
        Client.create(1, topic, answers);
        var factory = producers();
        factory.setTransactionIdPrefix(Client.unique("transactional"));
        var template = new KafkaTemplate<>(factory);
        Set<String> failed = new HashSet<>();
        MessageListener<String, String> listener = record -> {
            // An abort would drop what is not sent yet.
            template.send(answers, record.key(), "answer to " + record.value()).join();
            if (record.value().equals("2") && failed.add(record.value())) {
                throw new IllegalStateException("after it was sent");
            }
        };
        var container = container(topic, group, listener, "isolation.level", "read_committed", "max.poll.records", 1);
        container.getContainerProperties().setKafkaAwareTransactionManager(new KafkaTransactionManager<>(factory));
        container.start();
        template.executeInTransaction(operations -> {
            for (String value : List.of("1", "2", "3")) {
                operations.send(topic, "key", value);
            }
            return null;
        });
        BlockingQueue<String> committed = new LinkedBlockingQueue<>();
        BlockingQueue<String> all = new LinkedBlockingQueue<>();
        var reader = container(answers, group + "-committed", (MessageListener<String, String>)
                record -> committed.add(record.value()), "isolation.level", "read_committed");
        var other = container(answers, group + "-all", (MessageListener<String, String>)
                record -> all.add(record.value()));
        reader.start();
        other.start();
        for (int at = 1; at <= 3; at++) {
            Client.equal(Client.next(committed, "an answer"), "answer to " + at, "answers");
        }
        List<String> written = new ArrayList<>();
        for (int at = 0; at < 4; at++) {
            written.add(Client.next(all, "an answer"));
        }
        Client.equal(written.stream().filter("answer to 2"::equals).count(), 2L, "answers to 2 in the log");
        // Each transaction ends with a marker, which has an offset of its own.
        Client.until(() -> committed(group, topic) >= 3, "commits");
        container.stop();
        reader.stop();
        other.stop();
        Client.check(committed.isEmpty(), "no other answer is committed");
        factory.destroy();
        Client.ok("exactly one answer to each is committed, though one failed");
    }

    private Listening() {}
}
