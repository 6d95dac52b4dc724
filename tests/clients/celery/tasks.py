"""Celery's everyday: results, retries, delays, control and events, with results over rpc://."""

import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

from celery import chain, group
from celery.exceptions import TaskRevokedError
from celery.result import allow_join_result

from check import PATIENCE, ok, until
from worker import Worker

DAYS = 24 * 3600


class Events(threading.Thread):
    """Everything the workers say about themselves, as a monitor such as Flower receives it."""

    def __init__(self, app):
        super().__init__(daemon=True)
        self.seen = []
        self.listening = threading.Event()
        self.connection = app.connection()
        self.receiver = app.events.Receiver(self.connection, handlers={"*": self.seen.append})
        wake = self.receiver.on_consume_ready

        def on_consume_ready(*arguments, **options):
            wake(*arguments, **options)
            self.listening.set()

        self.receiver.on_consume_ready = on_consume_ready

    def run(self):
        self.receiver.capture(limit=None, timeout=None, wakeup=True)

    def of(self, task_id):
        return [event["type"] for event in self.seen if event.get("uuid") == task_id]

    def __enter__(self):
        self.start()
        assert self.listening.wait(PATIENCE)
        return self

    def __exit__(self, *_):
        self.receiver.should_stop = True
        self.join(PATIENCE)
        self.connection.release()


def ready_count(app, queue):
    with app.connection() as connection:
        return connection.default_channel.queue_declare(queue, passive=True).message_count


def tasks(directory):
    from app import QUEUE, add, app, flaky, notes, run, wait_for

    with Events(app) as events, Worker(app, "one", "-c", "2", "-E") as one, Worker(app, "two", "-c", "1", "-E"):
        assert add.delay(2, 2).get(timeout=PATIENCE) == 4
        assert group(add.s(n, n) for n in range(20))().get(timeout=PATIENCE) == [2 * n for n in range(20)]
        assert chain(add.s(1, 2), add.s(4), add.s(10))().get(timeout=PATIENCE) == 17
        ok("results over rpc://: a task, a group of twenty, a chain")

        far = run.apply_async(["far"], countdown=30 * DAYS)
        now = datetime.now(timezone.utc)
        eta = now + timedelta(seconds=1.5)
        timed = [run.apply_async(["countdown"], countdown=1), run.apply_async(["eta"], eta=eta)]
        retried = flaky.delay("flaky", 2)
        assert [result.get(timeout=PATIENCE) for result in timed] == ["countdown", "eta"]
        assert notes("countdown")[0]["at"] >= now.timestamp() + 1, notes("countdown")
        assert notes("eta")[0]["at"] >= eta.timestamp(), notes("eta")
        ok("countdown and eta: run, and not before their time")

        assert retried.get(timeout=PATIENCE) == 2
        attempts = notes("flaky")
        assert [entry["attempt"] for entry in attempts] == [0, 1, 2], attempts
        gaps = [later["at"] - sooner["at"] for sooner, later in zip(attempts, attempts[1:])]
        assert gaps[0] >= 0.9 and gaps[1] >= 1.9, gaps
        until(lambda: events.of(retried.id).count("task-retried") == 2, "two task-retried")
        ok("autoretry with back-off: three attempts, one and two seconds apart")

        def scheduled():
            found = app.control.inspect(timeout=1).scheduled() or {}
            return [entry["request"]["id"] for entries in found.values() for entry in entries]

        until(lambda: scheduled() == [far.id], "the far task in a worker's schedule")
        assert ready_count(app, QUEUE) == 0
        assert notes("far") == []
        ok("a countdown of thirty days is held by a worker and does not run")

        control(app, events, Path(directory), wait_for)
        succeeded = add.delay(1, 1)
        assert succeeded.get(timeout=PATIENCE) == 2
        wanted = ["task-sent", "task-received", "task-started", "task-succeeded"]
        until(lambda: sorted(events.of(succeeded.id)) == sorted(wanted), f"{wanted}")
        kinds = {event["type"] for event in events.seen}
        assert {"worker-online", "worker-heartbeat"} <= kinds, kinds
        ok("events: a task's whole life, and the workers' heartbeats")

        one.stop()
        until(lambda: "worker-offline" in {event["type"] for event in events.seen}, "worker-offline")
    until(lambda: ready_count(app, QUEUE) == 1, "the far task back in the queue")
    assert notes("far") == []
    ok("without workers it is ready in the queue again")


def control(app, events, directory, wait_for):
    inspect = app.control.inspect(timeout=PATIENCE, limit=2)
    assert inspect.ping() == {"one@here": {"ok": "pong"}, "two@here": {"ok": "pong"}}
    assert all("app.add" in tasks for tasks in inspect.registered().values())
    assert sorted(stats["pool"]["max-concurrency"] for stats in inspect.stats().values()) == [1, 2]
    ok("remote control: ping, registered, stats from both workers")

    running = wait_for.delay(str(directory / "never"), "running")

    def active():
        return [task["id"] for tasks in inspect.active().values() for task in tasks]

    until(lambda: active() == [running.id], "the task among the active ones")
    app.control.revoke(running.id, terminate=True)
    try:
        with allow_join_result():
            running.get(timeout=PATIENCE)
        raise AssertionError("a revoked task has no result")
    except TaskRevokedError:
        pass
    until(lambda: active() == [], "nothing active")
    until(lambda: "task-revoked" in events.of(running.id), "task-revoked")
    ok("remote control: active, and a running task is revoked")

    other = f"{app.conf.task_default_queue}-other"
    [answer] = app.control.add_consumer(other, reply=True, destination=["one@here"], timeout=PATIENCE, limit=1)
    assert "ok" in answer["one@here"], answer
    path = directory / "go"
    path.touch()
    assert wait_for.apply_async([str(path), "elsewhere"], queue=other).get(timeout=PATIENCE) == "elsewhere"
    [answer] = app.control.cancel_consumer(other, reply=True, destination=["one@here"], timeout=PATIENCE, limit=1)
    assert "ok" in answer["one@here"], answer
    ok("remote control: a worker takes up another queue and leaves it")
