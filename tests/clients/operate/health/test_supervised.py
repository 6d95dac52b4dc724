"""What systemd is told: that clients may come, that the broker lives, that it stops."""

import socket

import pytest


@pytest.fixture
def supervisor(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        yield listener, str(tmp_path / "notify")


def test_a_start_a_life_and_a_stop_are_told(own_broker, supervisor):
    listener, path = supervisor
    environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"}
    broker = own_broker(environment=environment)
    told = []
    while len(told) < 4:
        told.append(listener.recv(4096).decode().strip())
    assert "READY=1" in told, told
    assert told.count("WATCHDOG=1") >= 2, told
    assert broker.stop() == 0
    while told[-1] != "STOPPING=1":
        told.append(listener.recv(4096).decode().strip())
