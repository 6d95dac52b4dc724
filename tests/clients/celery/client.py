"""What users of kombu and Celery do, one scenario a run.

Usage: AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f python client.py SCENARIO
"""

import os
import sys
import tempfile

import monitor
import plain
import tasks
import workers
from check import unique

# What each scenario's workers and callers have in their environment; see app.py.
RPC = {"RESULT_BACKEND": "rpc://"}
SCENARIOS = {
    "plain": (plain.plain, {}),
    "tasks": (tasks.tasks, RPC),
    "chords": (workers.chords, {"RESULT_BACKEND": "file://{directory}"}),
    "priorities": (workers.priorities, RPC),
    "acks_late": (workers.acks_late, RPC),
    "native_delay": (workers.native_delay, RPC | {"QUEUE_TYPE": "quorum"}),
    "restart": (workers.restart, RPC),
    "flower": (monitor.flower, RPC),
}

scenario, environment = SCENARIOS[sys.argv[1]]
with tempfile.TemporaryDirectory(prefix="celery-") as directory:
    os.environ["QUEUE"] = unique("tasks")
    os.environ["LEDGER"] = os.path.join(directory, "ledger")
    os.environ.update({name: value.format(directory=directory) for name, value in environment.items()})
    # The workers import the tasks from here too.
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    scenario(directory)
