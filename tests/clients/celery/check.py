"""What all programs of this folder share: deadlines, names of their own, a line for what held."""

import socket
import time
import uuid

PATIENCE = 30.0


def ok(behaviour):
    print(f"ok {behaviour}", flush=True)


def until(done, what, step=lambda: time.sleep(0.02)):
    """Repeats `step` until `done()` is true and returns that, or fails naming `what` was awaited."""
    deadline = time.monotonic() + PATIENCE
    while not (result := done()):
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}"
        step()
    return result


def unique(name):
    return f"{name}-{uuid.uuid4().hex[:12]}"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
