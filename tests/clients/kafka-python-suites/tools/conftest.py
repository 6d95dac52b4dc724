"""The standard tools, in one virtual machine that lives as long as the tests."""

import base64
import glob
import os
import signal
import subprocess
import uuid

import pytest

BOOTSTRAP = os.environ.get("KAFKA_BOOTSTRAP", "127.0.0.1:9092")
HERE = os.path.dirname(os.path.abspath(__file__))
JARS = os.path.join(HERE, "../../kafka-broker/target/dependency")
DEADLINE_SECONDS = 60
MAINS = {
    "configs": "kafka.admin.ConfigCommand",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "share-groups": "org.apache.kafka.tools.consumer.group.ShareGroupCommand",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "console-share-consumer": "org.apache.kafka.tools.consumer.ConsoleShareConsumer",
    "topics": "org.apache.kafka.tools.TopicCommand",
    "transactions": "org.apache.kafka.tools.TransactionsCommand",
    "groups": "org.apache.kafka.tools.GroupsCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "cluster": "org.apache.kafka.tools.ClusterTool",
    "features": "org.apache.kafka.tools.FeatureCommand",
    "producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "transactional-message-copier": "org.apache.kafka.tools.TransactionalMessageCopier",
    "e2e-latency": "org.apache.kafka.tools.EndToEndLatency",
}
# These say it another way, or not at all.
OWN_BOOTSTRAP = {
    "transactional-message-copier": ("--broker-list", BOOTSTRAP),
}


class Tools:
    def __init__(self):
        self.process = None

    def __call__(self, tool, *arguments, feed="", fails=False):
        """Standard output; standard error too where the tool is to fail."""
        place = OWN_BOOTSTRAP.get(tool, ("--bootstrap-server", BOOTSTRAP))
        arguments = map(str, arguments)
        # Where the parts of a tool have options of their own, they come after its name.
        arguments = [*arguments, *place] if tool == "cluster" else [*place, *arguments]
        words = [MAINS[tool], feed, *arguments]
        process = self._running()
        line = " ".join("." + base64.b64encode(word.encode()).decode() for word in words)
        process.stdin.write(line + "\n")
        process.stdin.flush()
        code, out, err = process.stdout.readline().split()
        out, err = (base64.b64decode(text[1:]).decode() for text in (out, err))
        assert (code != "0") == fails, f"{tool} left with {code}\n{out}\n{err}"
        return out + err if fails else out

    def _running(self):
        if self.process is None:
            jars = ":".join(glob.glob(os.path.join(JARS, "*.jar")))
            self.process = subprocess.Popen(
                ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", jars,
                 os.path.join(HERE, "Tools.java")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )
        return self.process

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture(scope="session")
def machine():
    machine = Tools()
    yield machine
    machine.stop()


@pytest.fixture
def tool(machine):
    """Runs a tool; one that hangs is given up, and the next gets a new machine."""

    def late(_signal, _frame):
        machine.stop()
        raise TimeoutError(f"not done after {DEADLINE_SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(DEADLINE_SECONDS)
    yield machine
    signal.alarm(0)


@pytest.fixture
def unique():
    return lambda prefix: f"{prefix}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def topic(tool, unique):
    name = unique("tools")
    tool("topics", "--create", "--topic", name, "--partitions", 1)
    return name
