"""Flower, started as its user would, shows what the broker's management API says of Celery's queues."""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from check import free_port, ok, until
from worker import PR_SET_PDEATHSIG, Worker

PAGES = f"http://127.0.0.1:{free_port()}"


def page(path):
    """Nothing until Flower answers."""
    try:
        with urllib.request.urlopen(PAGES + path, timeout=10) as answer:
            return answer.read().decode()
    except OSError:
        return None


def shows(queue, wanted):
    """Waits until the row is so; the last one is in the failure. RabbitMQ counts some seconds later."""
    seen = []

    def so():
        seen[:] = [row(queue)]
        return seen[0] == wanted

    try:
        until(so, f"Flower to show {wanted}")
    except AssertionError as late:
        raise AssertionError(f"{late}, not {seen}") from None


def row(queue):
    """Messages, unacknowledged, ready and consumers, as Flower's page of the broker has them."""
    html = page("/broker") or ""
    found = re.search(rf'<tr id="{queue}">(.*?)</tr>', html, re.DOTALL)
    if found is None:
        return None
    cells = [re.sub("<.*?>", "", cell).strip() for cell in re.findall("<td.*?>(.*?)</td>", found[1], re.DOTALL)]
    assert cells[0] == queue, cells
    return cells[1:5]


def lengths():
    told = page("/api/queues/length")
    return told and {queue["name"]: queue["messages"] for queue in json.loads(told)["active_queues"]}


def flower(directory):
    from app import QUEUE, add, app, notes, wait_for_late

    waiting = [add.delay(number, 1) for number in range(3)]
    api = urlsplit(os.environ["HTTP_URL"])
    command = [sys.executable, "-m", "celery", "-A", "app", "flower", "--address=127.0.0.1",
               f"--port={urlsplit(PAGES).port}", f"--broker-api=http://guest:guest@{api.netloc}/api/"]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env=os.environ | {"FLOWER_UNAUTHENTICATED_API": "true"},
            preexec_fn=lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
        )
        try:
            shows(QUEUE, ["3", "0", "3", "0"])
            ok("Flower shows how many tasks wait in a queue")
            assert lengths() == {QUEUE: 3}, lengths()
            ok("Flower's API tells the lengths of queues")

            go = Path(directory) / "go"
            with Worker(app, "seen", "-E", "-c", "1", "--without-mingle", "--without-gossip"):
                assert [result.get(timeout=30) for result in waiting] == [1, 2, 3]
                blocking = wait_for_late.delay(str(go), "late")
                until(lambda: notes("late"), "the task to run")
                shows(QUEUE, ["1", "1", "0", "1"])
                ok("Flower shows a task that is held, and that somebody consumes")
                until(lambda: "seen@here" in json.loads(page("/api/workers?status=1")), "Flower to know the worker")
                until(lambda: blocking.id in json.loads(page("/api/tasks")), "Flower to know the task")
                go.touch()
                blocking.get(timeout=30)
                until(lambda: json.loads(page(f"/api/task/info/{blocking.id}"))["state"] == "SUCCESS",
                      "Flower to know that it succeeded")
                ok("Flower follows workers and tasks by their events")
        except BaseException:
            log.seek(0)
            print(f"-- Flower\n{log.read()}", file=sys.stderr)
            raise
        finally:
            process.kill()
            process.wait()
