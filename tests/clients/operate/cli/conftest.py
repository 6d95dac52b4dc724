"""The command line as people and programs use it: its output, its exit codes."""

import json
import os
import subprocess

import pytest


class Outcome:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        return json.loads(self.out)


class Line:
    """Runs `bongsu …` against a broker, without a terminal."""

    def __init__(self, home, url, **environment):
        self.home, self.url, self.more = home, url, environment

    def __call__(self, *words, stdin="", code=0, timeout=40, **environment):
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("BONGSU_")}
        known = {"HOME": str(self.home), "XDG_CONFIG_HOME": "", "BONGSU_URL": self.url}
        done = subprocess.run(
            [os.environ["BROKER_PROGRAM"], *map(str, words)],
            env=inherited | known | self.more | environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        outcome = Outcome(done)
        assert outcome.code == code, f"{words}: {outcome.code}\n{outcome.out}\n{outcome.err}"
        return outcome


@pytest.fixture
def line(tmp_path):
    """Makes lines for brokers."""
    return lambda broker, **environment: Line(tmp_path, broker.http, **environment)


@pytest.fixture
def amqp_to():
    """Opens pika connections to a broker of the test's own."""
    import pika

    opened = []

    def connect(broker):
        parameters = pika.ConnectionParameters(port=broker.amqp_port)
        opened.append(pika.BlockingConnection(parameters))
        return opened[-1]

    yield connect
    for connection in opened:
        if connection.is_open:
            connection.close()
