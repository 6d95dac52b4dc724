import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

class Administering {
    static void run() throws Exception {
        try (Admin admin = Client.admin()) {
            cluster(admin);
            topics(admin);
            configs(admin);
            partitions(admin);
            records(admin);
            groups(admin);
        }
    }

    static void cluster(Admin admin) throws Exception {
        var cluster = admin.describeCluster();
        Client.equal(cluster.nodes().get().size(), 1, "nodes");
        Client.check(cluster.clusterId().get().length() > 10, "a cluster id");
        Client.check(cluster.controller().get() != null, "a controller");
        var features = admin.describeFeatures().featureMetadata().get().finalizedFeatures();
        for (String name : List.of("group.version", "transaction.version", "share.version")) {
            Client.check(features.containsKey(name), "feature " + name);
        }
        Client.check(!admin.describeLogDirs(cluster.nodes().get().stream().map(node -> node.id()).toList())
                .allDescriptions().get().isEmpty(), "log directories");
        Client.ok("cluster, features, log directories");
    }

    static void topics(Admin admin) throws Exception {
        String name = Client.unique("admin");
        var created = admin.createTopics(List.of(new NewTopic(name, 3, (short) 1)));
        created.all().get();
        Uuid id = created.topicId(name).get();
        Client.equal(created.numPartitions(name).get(), 3, "partitions said");
        TopicDescription described = admin.describeTopics(List.of(name)).allTopicNames().get().get(name);
        Client.equal(described.topicId(), id, "id");
        Client.equal(described.partitions().size(), 3, "partitions");
        Client.check(!described.isInternal(), "not internal");
        Client.equal(admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get().get(id).name(),
                name, "by id");
        Client.check(admin.listTopics().names().get().contains(name), "listed");
        Client.fails(TopicExistsException.class, () -> admin.createTopics(
                List.of(new NewTopic(name, 3, (short) 1))).all().get(), "a second time");
        Client.fails(InvalidTopicException.class, () -> admin.createTopics(
                List.of(new NewTopic("a/b", 1, (short) 1))).all().get(), "a bad name");
        Client.fails(InvalidPartitionsException.class, () -> admin.createTopics(
                List.of(new NewTopic(Client.unique("bad"), 0, (short) 1))).all().get(), "no partitions");
        Client.fails(InvalidReplicationFactorException.class, () -> admin.createTopics(
                List.of(new NewTopic(Client.unique("bad"), 1, (short) 3))).all().get(), "three replicas on one node");
        Client.fails(InvalidConfigurationException.class, () -> admin.createTopics(
                List.of(new NewTopic(Client.unique("bad"), 1, (short) 1).configs(Map.of("retention.ms", "soon"))))
                .all().get(), "a bad config");
        admin.deleteTopics(List.of(name)).all().get();
        Client.fails(UnknownTopicOrPartitionException.class,
                () -> admin.deleteTopics(List.of(name)).all().get(), "deleted twice");
        Client.until(() -> {
            try {
                return !admin.listTopics().names().get().contains(name);
            } catch (Exception failed) {
                throw new IllegalStateException(failed);
            }
        }, "gone");
        admin.createTopics(List.of(new NewTopic(name, 1, (short) 1))).all().get();
        Client.check(!admin.describeTopics(List.of(name)).allTopicNames().get().get(name).topicId().equals(id),
                "made again, it has another id");
        Client.ok("topics created, described by name and id, deleted, and what is refused");
    }

    static void configs(Admin admin) throws Exception {
        String name = Client.topic(1, Map.of("retention.ms", "3600000"));
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, name);
        Config config = admin.describeConfigs(List.of(topic)).all().get().get(topic);
        Client.equal(config.get("retention.ms").value(), "3600000", "as created");
        Client.equal(config.get("retention.ms").source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "source");
        Client.equal(config.get("cleanup.policy").value(), "delete", "default");
        Client.check(config.get("cleanup.policy").isDefault(), "said to be a default");
        admin.incrementalAlterConfigs(Map.of(topic, List.of(
                change("retention.ms", "7200000", OpType.SET),
                change("cleanup.policy", "compact", OpType.APPEND)))).all().get();
        Client.until(() -> value(admin, topic, "retention.ms").equals("7200000"), "set");
        Client.equal(Set.of(value(admin, topic, "cleanup.policy").split(",")), Set.of("compact", "delete"), "appended");
        admin.incrementalAlterConfigs(Map.of(topic, List.of(
                change("retention.ms", "", OpType.DELETE),
                change("cleanup.policy", "compact", OpType.SUBTRACT)))).all().get();
        Client.until(() -> value(admin, topic, "retention.ms").equals("604800000"), "back to the default");
        Client.equal(value(admin, topic, "cleanup.policy"), "delete", "subtracted");
        Client.fails(InvalidConfigurationException.class, () -> admin.incrementalAlterConfigs(Map.of(topic,
                List.of(change("no.such.thing", "1", OpType.SET)))).all().get(), "an unknown config");
        Client.fails(InvalidConfigurationException.class, () -> admin.incrementalAlterConfigs(Map.of(topic,
                List.of(change("max.message.bytes", "much", OpType.SET)))).all().get(), "a bad value");
        ConfigResource missing = new ConfigResource(ConfigResource.Type.TOPIC, Client.unique("nowhere"));
        Client.fails(UnknownTopicOrPartitionException.class,
                () -> admin.describeConfigs(List.of(missing)).all().get(), "of no topic");
        int node = admin.describeCluster().nodes().get().iterator().next().id();
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, String.valueOf(node));
        Client.check(!admin.describeConfigs(List.of(broker)).all().get().get(broker).entries().isEmpty(),
                "the broker's configs");
        Client.ok("configs set, appended, subtracted, deleted, and what is refused");
    }

    static AlterConfigOp change(String name, String value, OpType type) {
        return new AlterConfigOp(new ConfigEntry(name, value), type);
    }

    static String value(Admin admin, ConfigResource resource, String name) {
        try {
            return admin.describeConfigs(List.of(resource)).all().get().get(resource).get(name).value();
        } catch (InterruptedException | ExecutionException failed) {
            throw new IllegalStateException(failed);
        }
    }

    static void partitions(Admin admin) throws Exception {
        String name = Client.topic(2);
        admin.createPartitions(Map.of(name, NewPartitions.increaseTo(5))).all().get();
        Client.until(() -> {
            try {
                return admin.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().size() == 5;
            } catch (Exception failed) {
                throw new IllegalStateException(failed);
            }
        }, "five partitions");
        Client.fails(InvalidPartitionsException.class, () -> admin.createPartitions(
                Map.of(name, NewPartitions.increaseTo(3))).all().get(), "fewer");
        Client.fails(UnknownTopicOrPartitionException.class, () -> admin.createPartitions(
                Map.of(Client.unique("nowhere"), NewPartitions.increaseTo(3))).all().get(), "of no topic");
        Client.ok("partitions added, never taken away");
    }

    static void records(Admin admin) throws Exception {
        String name = Client.topic(1);
        TopicPartition at = new TopicPartition(name, 0);
        Client.fill(name, "a", "b", "c", "d");
        Client.equal(offset(admin, at, OffsetSpec.latest()), 4L, "latest");
        Client.equal(admin.deleteRecords(Map.of(at, RecordsToDelete.beforeOffset(3))).lowWatermarks().get(at).get()
                .lowWatermark(), 3L, "the first left");
        Client.equal(offset(admin, at, OffsetSpec.earliest()), 3L, "earliest");
        try (KafkaConsumer<String, String> consumer = Client.consumer()) {
            consumer.assign(List.of(at));
            Client.equal(Client.values(Client.take(consumer, 1)), List.of("d"), "what is left");
        }
        Client.fails(OffsetOutOfRangeException.class, () -> admin.deleteRecords(
                Map.of(at, RecordsToDelete.beforeOffset(9))).all().get(), "beyond the end");
        admin.deleteRecords(Map.of(at, RecordsToDelete.beforeOffset(-1))).all().get();
        Client.equal(offset(admin, at, OffsetSpec.earliest()), 4L, "all of them");
        Client.ok("records deleted up to an offset");
    }

    static long offset(Admin admin, TopicPartition at, OffsetSpec spec) throws Exception {
        ListOffsetsResultInfo found = admin.listOffsets(Map.of(at, spec)).partitionResult(at).get();
        return found.offset();
    }

    static void groups(Admin admin) throws Exception {
        String name = Client.topic(2);
        String group = Client.unique("g");
        TopicPartition at = new TopicPartition(name, 0);
        TopicPartition other = new TopicPartition(name, 1);
        Client.fill(name, "a", "b", "c", "d");
        try (KafkaConsumer<String, String> consumer = Client.consumer("group.id", group, "client.id", "the-client")) {
            consumer.subscribe(List.of(name));
            Client.take(consumer, 4);
            consumer.commitSync();
            var described = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
            Client.equal(described.groupState(), GroupState.STABLE, "state");
            Client.equal(described.members().size(), 1, "members");
            var member = described.members().iterator().next();
            Client.equal(member.clientId(), "the-client", "client id");
            Client.equal(new HashSet<>(member.assignment().topicPartitions()), Set.of(at, other), "assignment");
            Client.fails(GroupNotEmptyException.class,
                    () -> admin.deleteConsumerGroups(List.of(group)).all().get(), "a group in use");
        }
        List<String> listed = new ArrayList<>();
        admin.listGroups().all().get().forEach(row -> listed.add(row.groupId()));
        Client.check(listed.contains(group), "listed");
        Client.equal(admin.describeConsumerGroups(List.of(group)).all().get().get(group).groupState(),
                GroupState.EMPTY, "empty");
        Map<TopicPartition, OffsetAndMetadata> offsets =
                admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        Client.equal(offsets.get(at).offset() + offsets.get(other).offset(), 4L, "offsets");
        admin.alterConsumerGroupOffsets(group, Map.of(at, new OffsetAndMetadata(0), other, new OffsetAndMetadata(0)))
                .all().get();
        Client.equal(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(at).offset(), 0L,
                "reset");
        admin.deleteConsumerGroupOffsets(group, Set.of(other)).all().get();
        Client.check(!admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().containsKey(other),
                "an offset deleted");
        admin.deleteConsumerGroups(List.of(group)).all().get();
        Client.fails(GroupIdNotFoundException.class,
                () -> admin.deleteConsumerGroups(List.of(group)).all().get(), "deleted twice");
        Client.fails(GroupIdNotFoundException.class,
                () -> admin.describeConsumerGroups(List.of(group)).all().get(), "not described any more");
        Client.ok("groups listed, described, their offsets altered and deleted, and they too");
    }
}
