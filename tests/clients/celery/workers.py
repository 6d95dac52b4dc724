"""What a worker owes while it works, dies, or loses its broker; and what the broker delays for it."""

import time
from pathlib import Path

from celery import chain, chord, group

from check import PATIENCE, ok, until
from worker import Worker

DAYS = 24 * 3600
SOLO = ("-P", "solo", "--without-mingle", "--without-gossip")


def ready_count(app, queue):
    with app.connection() as connection:
        return connection.default_channel.queue_declare(queue, passive=True).message_count


def chords(_directory):
    """Results in files: rpc:// has no chords, as a result of its can be read only once, by whoever asked."""
    from app import add, app, total

    with Worker(app, "chords", *SOLO):
        joined = chord(add.s(n, n) for n in range(10))(total.s())
        assert joined.get(timeout=PATIENCE) == 90
        ok("a chord: ten tasks, then their sum")
        nested = chain(group(add.s(1, 1), add.s(2, 2)), total.s(), add.s(100))()
        assert nested.get(timeout=PATIENCE) == 106
        ok("a group within a chain becomes a chord")


def priorities(_directory):
    from app import LEDGER, app, run

    given = [3, 0, 9, 5, 9, 1]
    results = [run.apply_async([f"priority {p} {n}"], priority=p) for n, p in enumerate(given)]
    with Worker(app, "priorities", *SOLO):
        for result in results:
            result.get(timeout=PATIENCE)
    ran = [line.split('"')[3] for line in LEDGER.read_text().splitlines()]
    wanted = [f"priority {p} {n}" for n, p in sorted(enumerate(given), key=lambda pair: -pair[1])]
    assert ran == wanted, ran
    ok("tasks run by priority, and in the order they came within one")


def acks_late(directory):
    from app import QUEUE, app, notes, wait_for_late

    go = Path(directory) / "go"
    with Worker(app, "killed", "-c", "1", "--without-mingle") as worker:
        wait_for_late.delay(str(go), "late")
        until(lambda: len(notes("late")) == 1, "the task to run")
        assert ready_count(app, QUEUE) == 0
        worker.kill()
        until(lambda: ready_count(app, QUEUE) == 1, "the dead worker's task back in the queue")
    go.touch()
    with Worker(app, "next", *SOLO) as worker:
        until(lambda: len(notes("late done")) == 1, "the task to end")
        assert len(notes("late")) == 2, notes("late")
        worker.stop()
    assert ready_count(app, QUEUE) == 0
    ok("acks_late: the task of a worker killed with SIGKILL runs again, and once it is done it is gone")


def restart(directory):
    from app import QUEUE, app, notes, run, wait_for

    go = Path(directory) / "go"
    with Worker(app, "survivor", *SOLO) as worker:
        wait_for.apply_async([str(go), "long"], ignore_result=True)
        until(lambda: notes("long"), "the long task to run")
        for number in range(5):
            run.apply_async([f"before {number}"], ignore_result=True)
        with app.connection() as witness:
            witness.connect()
            print("KILL ME", flush=True)
            until(lambda: broken(witness), "the broker to be killed")
        go.touch()
        run.apply_async(["after"], ignore_result=True, retry_policy={"max_retries": 100, "interval_max": 0.3})
        for name in [f"before {number}" for number in range(5)] + ["after"]:
            until(lambda name=name: notes(name), f"{name!r} to run")
        worker.ready()
        assert run.delay("result").get(timeout=PATIENCE) == "result"
        worker.stop()
    until(lambda: ready_count(app, QUEUE) == 0, "an empty queue")
    ok("a worker outlives its broker: no task of before is lost, and it takes new ones and answers")


def broken(connection):
    try:
        connection.drain_events(timeout=0.2)
    except TimeoutError:
        return False
    except OSError:
        return True


def native_delay(_directory):
    """Quorum queues: delays are 28 queues of the broker's, one for each bit, and no worker holds anything."""
    from app import app, flaky, notes, run

    def scheduled():
        return [*(app.control.inspect(timeout=PATIENCE, limit=1).scheduled() or {}).values()]

    with Worker(app, "delays", *SOLO) as worker:
        bits = (30 * DAYS).bit_length() - 1
        far = ready_count(app, f"celery_delayed_{bits}")
        asked = time.time()
        results = {seconds: run.apply_async([f"delay {seconds}"], countdown=seconds) for seconds in (1, 2, 3)}
        run.apply_async(["delay far"], countdown=30 * DAYS)
        until(lambda: ready_count(app, f"celery_delayed_{bits}") == far + 1, "the far task in its queue")
        assert scheduled() == [[]], scheduled()
        ok("a countdown of thirty days waits in the broker's queue of its highest bit, not in a worker")

        retried = flaky.delay("flaky", 2)
        sent = {seconds: None for seconds in results}
        for seconds, result in results.items():
            assert result.get(timeout=PATIENCE) == f"delay {seconds}"
            sent[seconds] = notes(f"delay {seconds}")[0]["at"]
        assert sorted(sent.values()) == list(sent.values()), sent
        assert all(at >= asked + seconds - 0.01 for seconds, at in sent.items()), (asked, sent)
        ok("countdowns of one, two and three seconds, the last through two queues, run in that order")

        assert retried.get(timeout=PATIENCE) == 2
        attempts = [entry["at"] for entry in notes("flaky")]
        assert len(attempts) == 3, attempts
        assert attempts[1] - attempts[0] >= 0.9 and attempts[2] - attempts[1] >= 1.9, attempts
        ok("autoretry with back-off by the same queues")
        assert notes("delay far") == []
        worker.stop()
