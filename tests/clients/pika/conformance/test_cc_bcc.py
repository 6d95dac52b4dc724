"""CC and BCC: headers that add routing keys."""

import pytest
from helpers import a_queue, an_exchange, bind, bodies, get, headers, put, refused, unique
from wire import Typed

PUBLISH = (60, 40)


@pytest.fixture
def exchange(connect, channel):
    made = []

    def exchange(kind="direct", **options):
        made.append(an_exchange(channel, kind, **options))
        return made[-1]

    yield exchange
    sweeper = connect().channel()
    for name in made:
        sweeper.call("exchange.delete", exchange=name)


@pytest.mark.parametrize("name", ["CC", "BCC"])
def test_reaches_the_key_and_the_copies(channel, name):
    queues = [a_queue(channel) for _ in range(4)]
    put(channel, queues[0], ("m", {"headers": {name: queues[1:3]}}))
    assert [bodies(channel, queue) for queue in queues] == [["m"], ["m"], ["m"], []]


def test_cc_is_told_and_bcc_is_not(channel):
    one, copy, blind = (a_queue(channel) for _ in range(3))
    sent = {"CC": [copy], "BCC": [blind], "mine": 1}
    put(channel, one, ("m", {"headers": sent}))
    for queue in (one, copy, blind):
        message = get(channel, queue, no_ack=True)
        assert headers(message) == {"CC": [copy], "mine": 1}
        # Each copy says the key it was published with.
        assert (message.exchange, message.routing_key) == ("", one)


def test_bcc_alone_leaves_an_empty_table(channel):
    one, blind = a_queue(channel), a_queue(channel)
    put(channel, one, ("m", {"headers": {"BCC": [blind]}}))
    assert headers(get(channel, blind)) == {}


def test_one_queue_gets_one_however_often_it_is_named(channel):
    queue = a_queue(channel)
    put(channel, queue, ("m", {"headers": {"CC": [queue, queue], "BCC": [queue]}}))
    assert bodies(channel, queue) == ["m"]


def test_through_a_direct_exchange(channel, exchange):
    name, one, two = exchange("direct"), a_queue(channel), a_queue(channel)
    bind(channel, one, name, "a")
    bind(channel, two, name, "b")
    put(channel, "nobody", ("m", {"headers": {"CC": ["a"], "BCC": ["b"]}}), exchange=name)
    assert get(channel, one).routing_key == get(channel, two).routing_key == "nobody"


def test_through_a_topic_exchange(channel, exchange):
    name, one, two = exchange("topic"), a_queue(channel), a_queue(channel)
    bind(channel, one, name, "a.*")
    bind(channel, two, name, "#.z")
    put(channel, "x", ("m", {"headers": {"CC": ["a.b", "y.z"]}}), exchange=name)
    assert (bodies(channel, one), bodies(channel, two)) == (["m"], ["m"])


def test_through_bound_exchanges(channel, exchange):
    outer, inner, queue = exchange("topic"), exchange("direct"), a_queue(channel)
    channel.call("exchange.bind", source=outer, destination=inner, routing_key="a.#")
    bind(channel, queue, inner, "a.b")
    put(channel, "a.c", ("m", {"headers": {"CC": ["a.b"]}}), exchange=outer)
    assert bodies(channel, queue) == ["m"]


def test_fanout_and_headers_do_not_care(channel, exchange):
    fanout, by_headers, one, two = exchange("fanout"), exchange("headers"), a_queue(channel), a_queue(channel)
    bind(channel, one, fanout)
    bind(channel, two, by_headers, "", {"n": 1})
    sent = {"CC": ["a", "b"], "n": 1}
    put(channel, "", ("m", {"headers": sent}), exchange=fanout)
    put(channel, "", ("m", {"headers": sent}), exchange=by_headers)
    assert (bodies(channel, one), bodies(channel, two)) == (["m"], ["m"])


def test_mandatory_counts_the_copies(channel):
    copy = a_queue(channel)
    channel.publish("", unique("nowhere"), b"m", {"headers": {"CC": [copy]}}, mandatory=True)
    assert bodies(channel, copy) == ["m"]
    channel.nothing()


def test_mandatory_that_reaches_nobody_comes_back(channel):
    key = unique("nowhere")
    channel.publish("", key, b"m", {"headers": {"CC": [unique("nowhere")], "a": 1}}, mandatory=True)
    back = channel.event()
    assert (back.name, back.routing_key, back.reply_text) == ("basic.return", key, "NO_ROUTE")
    assert headers(back)["a"] == 1


def test_what_comes_back_does_not_tell_bcc(channel):
    key, nowhere = unique("nowhere"), unique("nowhere")
    sent = {"CC": [nowhere], "BCC": [nowhere], "mine": 1}
    channel.publish("", key, b"m", {"headers": sent}, mandatory=True)
    assert headers(channel.event()) == {"CC": [nowhere], "mine": 1}


def test_empty_lists_are_fine(channel):
    queue = a_queue(channel)
    put(channel, queue, ("m", {"headers": {"CC": [], "BCC": []}}))
    assert bodies(channel, queue) == ["m"]


def test_keys_that_are_no_strings_are_passed_over(channel):
    queue, copy = a_queue(channel), a_queue(channel)
    put(channel, queue, ("m", {"headers": {"CC": [1, None, copy]}}))
    assert (bodies(channel, queue), bodies(channel, copy)) == (["m"], ["m"])


@pytest.mark.parametrize("name", ["cc", "Cc", "bcc"])
def test_only_in_capitals(channel, name):
    queue, copy = a_queue(channel), a_queue(channel)
    put(channel, queue, ("m", {"headers": {name: [copy]}}))
    assert headers(get(channel, queue)) == {name: [copy]}
    assert bodies(channel, copy) == []


@pytest.mark.parametrize("name", ["CC", "BCC"])
@pytest.mark.parametrize(
    "value, kind",
    [
        ("queue", "longstr"),
        (1, "signedint"),
        (Typed("l", 1), "long"),
        (Typed("d", 1.0), "double"),
        (True, "bool"),
        (None, "void"),
        ({"a": 1}, "table"),
        (Typed("x", b"queue"), "binary"),
        (Typed("T", 1), "timestamp"),
    ],
)
def test_no_array(channel, name, value, kind):
    queue = a_queue(channel)
    text = f'PRECONDITION_FAILED - invalid message: {{unacceptable_type_in_header,"{name}",{kind}}}'
    with refused(406, text, method=PUBLISH):
        channel.publish("", queue, b"m", {"headers": {name: value}})
        channel.sync()


def test_two_hundred_copies(channel):
    queues = [a_queue(channel) for _ in range(200)]
    put(channel, "", ("m", {"headers": {"BCC": queues}}), exchange="")
    assert all(bodies(channel, queue) == ["m"] for queue in queues)
