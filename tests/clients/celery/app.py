"""The tasks and their settings, as both the workers and their callers import them.

The environment says which queue (`QUEUE`, `QUEUE_TYPE`), where results go (`RESULT_BACKEND`), and the file in which
every task notes that it ran (`LEDGER`): what a test believes is what was done, not what was answered.
"""

import json
import os
import time
from pathlib import Path

from celery import Celery
from kombu import Exchange, Queue

QUEUE = os.environ["QUEUE"]
LEDGER = Path(os.environ["LEDGER"])
QUORUM = os.environ.get("QUEUE_TYPE") == "quorum"

app = Celery("app", broker=os.environ["AMQP_URL"], backend=os.environ.get("RESULT_BACKEND", "rpc://"))
app.conf.update(
    accept_content=["json"],
    broker_connection_retry_on_startup=True,
    broker_heartbeat=10,
    broker_transport_options={"confirm_publish": True},
    result_expires=600,
    task_default_queue=QUEUE,
    task_send_sent_event=True,
    task_track_started=True,
    worker_prefetch_multiplier=1,
)
if QUORUM:
    # The delays are queues of the broker's, so the exchange must be one that can match their keys.
    app.conf.update(
        task_default_exchange_type="topic",
        task_default_queue_type="quorum",
        task_queues=[
            Queue(QUEUE, Exchange(QUEUE, type="topic"), routing_key=QUEUE, queue_arguments={"x-queue-type": "quorum"})
        ],
        task_default_exchange=QUEUE,
        task_default_routing_key=QUEUE,
    )
else:
    app.conf.task_queues = [
        Queue(QUEUE, Exchange(QUEUE), routing_key=QUEUE, queue_arguments={"x-max-priority": 10}),
    ]


def note(what, **more):
    line = json.dumps({"what": what, "at": time.time(), **more}) + "\n"
    with LEDGER.open("a") as ledger:
        ledger.write(line)


def notes(what):
    """What tasks noted under this name, in the order they ran."""
    if not LEDGER.exists():
        return []
    return [entry for entry in map(json.loads, LEDGER.read_text().splitlines()) if entry["what"] == what]


@app.task
def add(left, right):
    return left + right


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def run(name):
    note(name)
    return name


@app.task(bind=True, autoretry_for=(ConnectionError,), retry_backoff=1, retry_jitter=False, max_retries=3)
def flaky(self, name, failures):
    note(name, attempt=self.request.retries)
    if self.request.retries < failures:
        raise ConnectionError(f"attempt {self.request.retries}")
    return self.request.retries


@app.task
def wait_for(path, name="wait"):
    """Runs until there is a file of that name."""
    note(name)
    while not Path(path).exists():
        time.sleep(0.02)
    note(f"{name} done")
    return name


@app.task(acks_late=True, reject_on_worker_lost=True)
def wait_for_late(path, name):
    return wait_for(path, name)
