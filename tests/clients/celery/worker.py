"""A `celery worker` in a process group of its own, which no end of the test survives."""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile

from check import until

PR_SET_PDEATHSIG = 1


class Worker:
    """Started, and ready once it answers a ping; its output is shown if the test fails."""

    def __init__(self, app, name, *arguments):
        self.app = app
        self.name = f"{name}@here"
        self.log = tempfile.NamedTemporaryFile("w+", prefix="worker-", suffix=".log")
        command = [sys.executable, "-m", "celery", "-A", "app", "worker", "-n", self.name, "-l", "INFO"]
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
            preexec_fn=lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
        )

    def __enter__(self):
        try:
            self.ready()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        self.kill()
        if kind is not None:
            self.log.seek(0)
            print(f"-- {self.name}\n{self.log.read()}", file=sys.stderr)
        self.log.close()

    def ready(self):
        def answers():
            assert self.process.poll() is None, f"the worker left with {self.process.poll()}"
            return self.app.control.ping(destination=[self.name], timeout=0.5)

        until(answers, f"{self.name} to answer")

    def stop(self):
        """A warm shutdown: what runs is finished, what is held is given back."""
        self.process.terminate()
        assert self.process.wait(60) == 0, self.process.returncode

    def kill(self):
        """The machine's death, as seen from the broker: all its processes at once."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
