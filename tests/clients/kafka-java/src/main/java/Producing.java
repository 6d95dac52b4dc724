import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;

class Producing {
    static void run() throws Exception {
        codecs();
        idempotent();
        content();
        partitioning();
        withoutConfirms();
        appendTime();
    }

    static void codecs() throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            String topic = Client.topic(1);
            try (KafkaProducer<String, String> producer = Client.producer("compression.type", codec, "linger.ms", 5)) {
                for (int at = 0; at < 500; at++) {
                    producer.send(new ProducerRecord<>(topic, "key" + at, "value ".repeat(20) + at));
                }
            }
            try (KafkaConsumer<String, String> consumer = Client.consumer()) {
                consumer.assign(List.of(new TopicPartition(topic, 0)));
                List<ConsumerRecord<String, String>> records = Client.take(consumer, 500);
                for (int at = 0; at < 500; at++) {
                    Client.equal(records.get(at).key(), "key" + at, "key");
                    Client.equal(records.get(at).offset(), (long) at, "offset");
                }
            }
        }
        Client.ok("500 records in each of five codecs");
    }

    static void idempotent() throws Exception {
        String topic = Client.topic(1);
        try (KafkaProducer<String, String> producer = Client.producer("acks", "all", "enable.idempotence", true,
                "batch.size", 200, "max.in.flight.requests.per.connection", 5)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int at = 0; at < 1000; at++) {
                sent.add(producer.send(new ProducerRecord<>(topic, "value " + at)));
            }
            for (int at = 0; at < 1000; at++) {
                Client.equal(sent.get(at).get().offset(), (long) at, "offset");
            }
        }
        Client.ok("an idempotent producer with five requests in flight keeps its order");
    }

    static void content() throws Exception {
        String topic = Client.topic(1);
        String large = "x".repeat(1_000_000);
        try (KafkaProducer<String, String> producer = Client.producer()) {
            ProducerRecord<String, String> record = new ProducerRecord<>(topic, 0, 1234567L, "k", "v");
            record.headers().add("a", new byte[] {1, 2}).add("a", new byte[0]).add("n", null);
            producer.send(record).get();
            producer.send(new ProducerRecord<>(topic, "k", null)).get();
            RecordMetadata last = producer.send(new ProducerRecord<>(topic, large)).get();
            Client.equal(last.offset(), 2L, "offset");
        }
        try (KafkaConsumer<String, String> consumer = Client.consumer()) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            List<ConsumerRecord<String, String>> records = Client.take(consumer, 3);
            ConsumerRecord<String, String> first = records.get(0);
            Client.equal(first.timestamp(), 1234567L, "timestamp");
            Client.equal(first.headers().toArray().length, 3, "headers");
            Client.equal(first.headers().lastHeader("a").value().length, 0, "the last a");
            Client.check(first.headers().lastHeader("n").value() == null, "a null header");
            Client.check(records.get(1).value() == null, "a null value");
            Client.check(records.get(2).value().equals(large), "a megabyte");
        }
        Client.ok("timestamp, headers, null value, a megabyte");
    }

    static void partitioning() throws Exception {
        String topic = Client.topic(4);
        try (KafkaProducer<String, String> producer = Client.producer()) {
            Client.equal(producer.partitionsFor(topic).size(), 4, "partitions");
            for (int at = 0; at < 40; at++) {
                int partition = producer.send(new ProducerRecord<>(topic, "key" + at % 10, "v")).get().partition();
                int again = producer.send(new ProducerRecord<>(topic, "key" + at % 10, "v")).get().partition();
                Client.equal(partition, again, "partition of a key");
            }
            for (int at = 0; at < 4; at++) {
                Client.equal(producer.send(new ProducerRecord<>(topic, at, "k", "v")).get().partition(), at, "asked for");
            }
        }
        Client.ok("keys stay in their partition");
    }

    static void withoutConfirms() throws Exception {
        String topic = Client.topic(1);
        try (KafkaProducer<String, String> producer = Client.producer("acks", "0", "enable.idempotence", false)) {
            for (int at = 0; at < 10; at++) {
                Client.equal(producer.send(new ProducerRecord<>(topic, "v" + at)).get().offset(), -1L, "offset");
            }
        }
        try (KafkaConsumer<String, String> consumer = Client.consumer()) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            Client.equal(Client.take(consumer, 10).get(9).value(), "v9", "the last");
        }
        Client.ok("acks=0");
    }

    static void appendTime() throws Exception {
        String topic = Client.topic(1, Map.of("message.timestamp.type", "LogAppendTime"));
        try (KafkaProducer<String, String> producer = Client.producer()) {
            long time = producer.send(new ProducerRecord<>(topic, 0, 1000L, "k", "v")).get().timestamp();
            Client.check(Math.abs(System.currentTimeMillis() - time) < 60_000, "time of the append");
        }
        Client.ok("LogAppendTime is told to the producer");
    }
}
