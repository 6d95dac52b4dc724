"""A backup of a broker at work, what comes of it, and what repair makes of damage."""

import threading
from pathlib import Path

import pika
import pytest


def load(broker, stop, confirmed):
    """Publishes numbers, and notes each that was confirmed."""
    with pika.BlockingConnection(pika.ConnectionParameters(port=broker.amqp_port)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        persistent = pika.BasicProperties(delivery_mode=2)
        number = 0
        while not stop.is_set():
            # Some are large, and go straight to a segment.
            body = f"{number} ".encode() + b"x" * (300_000 if number % 40 == 7 else 100)
            channel.basic_publish("", "load", body, persistent)
            confirmed.append(number)
            number += 1


def numbers(broker, queue):
    with pika.BlockingConnection(pika.ConnectionParameters(port=broker.amqp_port)) as connection:
        channel = connection.channel()
        found = []
        while True:
            method, _, body = channel.basic_get(queue, auto_ack=True)
            if method is None:
                return found
            found.append(int(body.split(b" ")[0]))


@pytest.mark.patient(120)
@pytest.mark.parametrize("form", ["copy.tar", "copy"])
def test_what_was_confirmed_before_a_backup_is_in_it(own_broker, line, tmp_path, form):
    broker = own_broker()
    bongsu = line(broker)
    bongsu("queue", "declare", "load")
    bongsu("exchange", "declare", "events", "--type", "topic")
    bongsu("exchange", "bind", "events", "load", "-k", "a.*")
    bongsu("space", "add", "tenant")
    stop, confirmed = threading.Event(), []
    loading = threading.Thread(target=load, args=(broker, stop, confirmed))
    loading.start()
    try:
        while len(confirmed) < 200:
            assert loading.is_alive()
        before = len(confirmed)
        place = tmp_path / form
        done = bongsu("backup", place, "--json", timeout=90).json
        assert done["bytes"] > 0
        after = len(confirmed)
    finally:
        stop.set()
        loading.join()
    broker.kill()
    data = place
    if form.endswith(".tar"):
        assert (place.stat().st_mode & 0o777) == 0o600
        bongsu("backup", place, code=2)
        data = tmp_path / "restored"
        bongsu("restore", place, "--data", data)
        assert "already" in bongsu("restore", place, "--data", data, code=1).err
    restored = own_broker(data_dir=str(data))
    again = line(restored)
    found = numbers(restored, "load")
    assert found == list(range(len(found)))
    # Everything confirmed before it began, nothing published after it was done.
    assert before <= len(found) <= after + 1
    again("publish", "a.x", "7 ", "-e", "events")
    assert numbers(restored, "load") == [7]
    assert "tenant" in [space["name"] for space in again("space", "list", "--json").json]


def test_half_a_backup_is_refused(own_broker, line, tmp_path):
    bongsu = line(own_broker())
    whole = tmp_path / "whole.tar"
    bongsu("backup", whole)
    half = tmp_path / "half.tar"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    said = bongsu("restore", half, "--data", tmp_path / "data", code=1).err
    assert "not whole" in said
    assert not (tmp_path / "data" / "register").exists()


@pytest.mark.patient(90)
def test_repair_names_what_is_lost_and_keeps_the_rest(own_broker, line):
    broker = own_broker()
    bongsu = line(broker)
    data = Path(broker.settings["data_dir"])
    assert "another broker" in bongsu("repair", "--data", data, code=4).err
    bongsu("queue", "declare", "kept")
    with pika.BlockingConnection(pika.ConnectionParameters(port=broker.amqp_port)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for number in range(6):
            body = f"{number} ".encode() + bytes([65 + number]) * 400_000
            channel.basic_publish("", "kept", body, pika.BasicProperties(delivery_mode=2))
    assert broker.stop() == 0
    assert "sound" in bongsu("repair", "--data", data).out
    (segment,) = (data / "data").glob("segment-*")
    bytes_ = bytearray(segment.read_bytes())
    place = bytes_.index(b"C" * 64) + 1000
    bytes_[place] ^= 0xFF
    segment.write_bytes(bytes_)
    before = segment.read_bytes()
    looked = bongsu("repair", "--data", data, "--dry-run", "--json", code=1).json
    assert looked["state"] == "damaged"
    (lost,) = looked["lost"]
    assert (lost["queue"], lost["from"], lost["to"]) == ("'kept' in space '/'", 2, 3)
    assert segment.read_bytes() == before
    # Nobody can be asked here, and nobody said yes.
    bongsu("repair", "--data", data, code=2)
    assert segment.read_bytes() == before
    done = bongsu("repair", "--data", data, "--yes").out
    assert "lost: queue 'kept' in space '/', offsets 2 to 2" in done
    assert Path(data / "damaged" / f"{segment.name}.0").read_bytes() == before
    broker.start()
    assert numbers(broker, "kept") == [0, 1, 3, 4, 5]
    assert bongsu("queue", "show", "kept", "--json").json["depth"]["total"] == 0
    assert broker.stop() == 0
    assert "sound" in bongsu("repair", "--data", data).out


def test_a_broker_that_does_not_start_names_repair(own_broker, line):
    broker = own_broker()
    bongsu = line(broker)
    bongsu("queue", "declare", "q")
    assert broker.stop() == 0
    register = Path(broker.settings["data_dir"]) / "register"
    damaged = bytearray(register.read_bytes())
    damaged[30] ^= 0xFF
    register.write_bytes(damaged)
    broker.start(wait=False)
    assert broker.process.wait(20) == 1
    assert "bongsu repair" in broker.log()
    bongsu("repair", "--data", broker.settings["data_dir"], "--yes")
    broker.start()
    assert [q["name"] for q in bongsu("queue", "list", "--json").json] == ["q"]
