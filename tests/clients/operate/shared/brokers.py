"""A broker process of a test's own: free ports, a fresh directory, its log kept for reading."""

import os
import random
import signal
import socket
import subprocess
import time

START_SECONDS = 20
STOP_SECONDS = 20


def free_port():
    """One that nobody has. Not of those that connections are given, or one takes it meanwhile."""
    while True:
        port = random.randrange(10_000, 20_000)
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class OwnBroker:
    """Settings are `section_name=value`, as in the environment without its prefix."""

    def __init__(self, directory, settings, environment=None):
        self.directory = directory
        self.more_environment = environment or {}
        directory.mkdir(parents=True, exist_ok=True)
        self.amqp_port, self.kafka_port, self.http_port = (free_port() for _ in range(3))
        self.settings = {
            "data_dir": str(directory / "data"),
            "amqp_listen": f"127.0.0.1:{self.amqp_port}",
            "kafka_listen": f"127.0.0.1:{self.kafka_port}",
            "admin_listen": f"127.0.0.1:{self.http_port}",
            **settings,
        }
        self.process = None
        self.start()

    @property
    def http(self):
        return f"http://127.0.0.1:{self.http_port}"

    def environment(self):
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("BONGSU_")
        }
        own = {f"BONGSU_{name.upper()}": str(value) for name, value in self.settings.items()}
        return inherited | own | self.more_environment

    def start(self, *, wait=True):
        log = open(self.directory / "log", "ab")
        self.process = subprocess.Popen(
            [os.environ["BROKER_PROGRAM"], "serve"],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        if wait:
            self.await_start()

    def await_start(self):
        # The last address is bound last.
        address = self.settings["admin_listen"] or self.settings["amqp_listen"]
        host, port = address.split(",")[0].rsplit(":", 1)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
                return
            except OSError:
                assert self.process.poll() is None, self.log()
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.02)

    def log(self):
        return (self.directory / "log").read_text(errors="replace")

    def stop(self):
        """Politely; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()
