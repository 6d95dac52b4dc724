import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InconsistentGroupProtocolException;
import org.apache.kafka.common.errors.InvalidGroupIdException;
import org.apache.kafka.common.errors.InvalidSessionTimeoutException;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.UnsupportedAssignorException;

/** The exception, by class, for everything a broker refuses. */
class Refused {
    static void run() throws Exception {
        String topic = Client.topic(1, Map.of("max.message.bytes", "2000"));
        try (KafkaProducer<String, String> producer = Client.producer("max.block.ms", 1000)) {
            Client.fails(RecordTooLargeException.class,
                    () -> producer.send(new ProducerRecord<>(topic, "x".repeat(3000))).get(), "too large");
            producer.send(new ProducerRecord<>(topic, "fits")).get();
            Client.fails(InvalidTopicException.class,
                    () -> producer.send(new ProducerRecord<>("no/such name", "v")).get(), "a bad topic name");
            Client.fails(TimeoutException.class,
                    () -> producer.send(new ProducerRecord<>(topic, 9, "k", "v")).get(), "no such partition");
            Client.fails(InvalidTimestampException.class, () -> producer.send(new ProducerRecord<>(topic, 0,
                    System.currentTimeMillis() + 2 * 3_600_000L, "k", "v")).get(), "a time in the future");
            String compacted = Client.topic(1, Map.of("cleanup.policy", "compact"));
            Client.fails(InvalidRecordException.class,
                    () -> producer.send(new ProducerRecord<>(compacted, "v")).get(), "no key in a compacted topic");
            producer.send(new ProducerRecord<>(compacted, "k", "v")).get();
        }
        Client.ok("a producer's errors by class");

        try (KafkaConsumer<String, String> consumer = Client.consumer()) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            Client.fails(InvalidGroupIdException.class, consumer::commitSync, "a commit without a group");
        }
        try (KafkaConsumer<String, String> consumer = Client.consumer("group.id", Client.unique("g"),
                "session.timeout.ms", 100, "heartbeat.interval.ms", 50)) {
            consumer.subscribe(List.of(topic));
            Client.fails(InvalidSessionTimeoutException.class, () -> Consuming.pollFor(consumer), "a short session");
        }
        String group = Client.unique("g");
        try (KafkaConsumer<String, String> one = Client.consumer("group.id", group,
                "partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor");
                KafkaConsumer<String, String> other = Client.consumer("group.id", group,
                        "partition.assignment.strategy", "org.apache.kafka.clients.consumer.RoundRobinAssignor")) {
            one.subscribe(List.of(topic));
            Client.take(one, 1);
            other.subscribe(List.of(topic));
            Client.fails(InconsistentGroupProtocolException.class, () -> Consuming.pollFor(other),
                    "assignors without a common one");
        }
        try (KafkaConsumer<String, String> consumer = Client.consumer("group.id", Client.unique("g"),
                "group.protocol", "consumer", "group.remote.assignor", "nobody")) {
            consumer.subscribe(List.of(topic));
            Client.fails(UnsupportedAssignorException.class, () -> Consuming.pollFor(consumer), "an unknown assignor");
        }
        Client.ok("a consumer's errors by class");

        try (Admin admin = Client.admin()) {
            String name = Client.unique("validated");
            admin.createTopics(List.of(new NewTopic(name, 1, (short) 1)),
                    new org.apache.kafka.clients.admin.CreateTopicsOptions().validateOnly(true)).all().get();
            Client.check(!admin.listTopics().names().get().contains(name), "only validated");
        }
        Client.ok("a topic only validated is not made");
    }
}
