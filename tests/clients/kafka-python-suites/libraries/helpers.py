"""What the tests of several libraries say."""

import time


def eventually(probe, what="it", seconds=20):
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline, f"{what} did not come to be"
    return found
