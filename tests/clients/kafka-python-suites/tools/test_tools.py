"""Apache Kafka's own command line tools, and what they print."""

import re


def lines(text):
    return [line for line in text.splitlines() if line.strip()]


def put(tool, topic, *values):
    tool("console-producer", "--topic", topic, feed="".join(f"{value}\n" for value in values))


def get(tool, topic, count, *more):
    return lines(
        tool("console-consumer", "--topic", topic, "--from-beginning", "--max-messages", count,
             "--timeout-ms", 20_000, *more)
    )


def test_topics(tool, unique):
    name = unique("tools")
    out = tool("topics", "--create", "--topic", name, "--partitions", 3, "--config",
               "retention.ms=3600000")
    assert f"Created topic {name}." in out
    assert name in lines(tool("topics", "--list"))
    first, *parts = lines(tool("topics", "--describe", "--topic", name))
    assert "PartitionCount: 3" in first and "ReplicationFactor: 1" in first
    assert "retention.ms=3600000" in first
    assert len(parts) == 3 and all("Leader: 1" in part for part in parts)
    tool("topics", "--alter", "--topic", name, "--partitions", 5)
    assert "PartitionCount: 5" in tool("topics", "--describe", "--topic", name)
    out = tool("topics", "--create", "--topic", name, fails=True)
    assert f"Topic '{name}' already exists" in out
    tool("topics", "--create", "--topic", name, "--if-not-exists")
    tool("topics", "--delete", "--topic", name)
    assert name not in lines(tool("topics", "--list"))
    assert "does not exist" in tool("topics", "--describe", "--topic", name, fails=True)


def test_console(tool, topic):
    out = tool("console-producer", "--topic", topic, "--reader-property", "parse.key=true",
               "--reader-property", "key.separator=:", feed="k1:one\nk2:two\n")
    assert out.strip(">\n") == ""
    got = get(tool, topic, 2, "--formatter-property", "print.key=true", "--formatter-property",
              "print.offset=true", "--formatter-property", "print.partition=true")
    assert got == ["Partition:0\tOffset:0\tk1\tone", "Partition:0\tOffset:1\tk2\ttwo"]


def test_configs(tool, topic):
    target = ("--entity-type", "topics", "--entity-name", topic)
    tool("configs", "--alter", *target, "--add-config", "retention.ms=5000000,cleanup.policy=compact")
    out = tool("configs", "--describe", *target)
    assert "retention.ms=5000000" in out and "cleanup.policy=compact" in out
    assert "DYNAMIC_TOPIC_CONFIG:retention.ms=5000000" in out
    tool("configs", "--alter", *target, "--delete-config", "retention.ms")
    assert "retention.ms" not in tool("configs", "--describe", *target)
    assert "max.message.bytes=" in tool("configs", "--describe", *target, "--all")
    out = tool("configs", "--alter", *target, "--add-config", "retention.ms=soon", fails=True)
    assert "InvalidConfigurationException" in out
    assert "node.id" in tool("configs", "--describe", "--entity-type", "brokers", "--entity-name",
                             1, "--all")


def test_consumer_groups(tool, topic, unique):
    group = unique("g")
    put(tool, topic, "a", "b", "c")
    assert get(tool, topic, 3, "--group", group) == ["a", "b", "c"]
    assert group in lines(tool("consumer-groups", "--list"))
    # Its columns: group, topic, partition, offset, end, lag, member, host, client.
    def row():
        out = tool("consumer-groups", "--describe", "--group", group)
        return next(line.split() for line in lines(out) if line.startswith(group))

    assert row()[1:6] == [topic, "0", "3", "3", "0"]
    put(tool, topic, "d")
    assert row()[1:6] == [topic, "0", "3", "4", "1"]
    tool("consumer-groups", "--reset-offsets", "--group", group, "--topic", topic, "--to-earliest",
         "--execute")
    assert row()[1:6] == [topic, "0", "0", "4", "4"]
    tool("consumer-groups", "--reset-offsets", "--group", group, "--topic", topic, "--shift-by", 2,
         "--execute")
    assert row()[3] == "2"
    assert "Empty" in tool("consumer-groups", "--describe", "--group", group, "--state")
    tool("consumer-groups", "--delete-offsets", "--group", group, "--topic", topic)
    tool("consumer-groups", "--delete", "--group", group)
    assert group not in lines(tool("consumer-groups", "--list"))
    assert group not in tool("groups", "--list")


def test_share_groups(tool, topic, unique):
    group = unique("share")
    tool("configs", "--alter", "--entity-type", "groups", "--entity-name", group, "--add-config",
         "share.auto.offset.reset=earliest,share.heartbeat.interval.ms=200")
    put(tool, topic, "a", "b")
    out = tool("console-share-consumer", "--topic", topic, "--group", group, "--max-messages", 2,
               "--timeout-ms", 20_000)
    assert lines(out) == ["a", "b"]
    assert group in lines(tool("share-groups", "--list"))
    # Its columns: group, topic, partition, start, lag.
    out = tool("share-groups", "--describe", "--group", group)
    row = next(line.split() for line in lines(out) if line.startswith(group))
    assert (row[1:3], row[4]) == ([topic, "0"], "0")
    tool("share-groups", "--reset-offsets", "--group", group, "--topic", topic, "--to-earliest",
         "--execute")
    out = tool("console-share-consumer", "--topic", topic, "--group", group, "--max-messages", 2,
               "--timeout-ms", 20_000)
    assert lines(out) == ["a", "b"]
    tool("share-groups", "--delete", "--group", group)
    assert group not in lines(tool("share-groups", "--list"))


def test_get_offsets_and_delete_records(tool, topic, tmp_path):
    put(tool, topic, "a", "b", "c")
    assert lines(tool("get-offsets", "--topic", topic)) == [f"{topic}:0:3"]
    assert lines(tool("get-offsets", "--topic", topic, "--time", "earliest")) == [f"{topic}:0:0"]
    assert re.fullmatch(f"{topic}:0:[0-2]\n", tool("get-offsets", "--topic", topic, "--time", "-3"))
    file = tmp_path / "offsets.json"
    file.write_text('{"partitions": [{"topic": "%s", "partition": 0, "offset": 2}], "version": 1}'
                    % topic)
    out = tool("delete-records", "--offset-json-file", file)
    assert "low_watermark: 2" in out
    assert get(tool, topic, 1) == ["c"]


def test_transactions(tool, unique, topic):
    target, group, name = unique("copied"), unique("g"), unique("t")
    tool("topics", "--create", "--topic", target)
    put(tool, topic, *range(20))
    out = tool("transactional-message-copier", "--transactional-id", name, "--consumer-group",
               group, "--input-topic", topic, "--input-partition", 0, "--output-topic", target,
               "--max-messages", 20, "--transaction-size", 5, "--enable-random-aborts")
    assert '"shutdown_complete"' in out or '"consumed":20' in out
    got = get(tool, target, 20, "--isolation-level", "read_committed")
    assert got == [str(number) for number in range(20)]
    assert name in tool("transactions", "list")
    assert re.search(r"Complete(Commit|Abort)", tool("transactions", "describe",
                                                     "--transactional-id", name))
    assert "ProducerId" in tool("transactions", "describe-producers", "--topic", target,
                                "--partition", 0)


def test_cluster(tool, topic):
    out = tool("broker-api-versions")
    for api in ("Produce(0)", "Fetch(1)", "ShareFetch(78)", "ConsumerGroupHeartbeat(68)"):
        assert api in out
    assert "Cluster ID: " in tool("cluster", "cluster-id")
    assert "transaction.version" in tool("features", "describe")
    assert topic in tool("log-dirs", "--describe", "--topic-list", topic)


def test_perf(tool, topic):
    out = tool("producer-perf-test", "--topic", topic, "--num-records", 5000, "--record-size", 100,
               "--throughput", -1, "--command-property", "acks=all")
    assert "5000 records sent" in out
    out = tool("consumer-perf-test", "--topic", topic, "--num-records", 5000)
    assert ", 5000, " in out


def test_latency(tool, topic):
    out = tool("e2e-latency", "--topic", topic, "--num-records", 20, "--producer-acks", "all",
               "--record-size", 100)
    assert "99.9th" in out

