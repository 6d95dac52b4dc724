"""How a ledger speaks with whoever runs it: lines out, one word in.

    tick confirmed=120 delivered=118 again=0 behind=2 …   ten times a second
    violation TEXT                                        at once, and the run has failed
    done TEXT                                             after `stop` was read and all has come

What moves is counted, not timed: who reads the lines has a clock of its own.
"""

import sys
import threading
import time

VIOLATIONS_TOLD_MAX = 20


class Told:
    def __init__(self):
        self.lock = threading.Lock()
        self.violations = 0
        self.stopping = threading.Event()
        # A thread that is no more would look like a broker that does not answer.
        threading.excepthook = lambda died: self.violation(f"{died.thread.name} ended with {died.exc_value!r}")
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        """A closed input is as good as the word: who started us has gone."""
        for line in sys.stdin:
            if line.strip() == "stop":
                break
        self.stopping.set()

    def say(self, line):
        with self.lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    def violation(self, text):
        self.violations += 1
        if self.violations <= VIOLATIONS_TOLD_MAX:
            self.say(f"violation {text}")

    def tick(self, **counts):
        self.say("tick " + " ".join(f"{name}={count}" for name, count in counts.items()))

    def until(self, holds, what, seconds, on_tick):
        """Waits while `on_tick` goes on; what does not come to hold is a violation."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                self.violation(f"still waiting for {what} after {seconds} s")
                return False
            on_tick()
            time.sleep(0.1)
        return True
