"""Arguments that are refused: wrong types, values out of range, and RabbitMQ's words for each."""

import pytest
from helpers import a_queue, consume, only_rabbitmq, put, refused, unique
from wire import Typed

DECLARE, CONSUME = (50, 10), (60, 20)

# By RabbitMQ's names, a value of each type the tables of AMQP 0-9-1 know.
OF_TYPE = {
    "longstr": "soon",
    "bool": True,
    "void": None,
    "double": Typed("d", 1.5),
    "float": Typed("f", 1.5),
    "timestamp": Typed("T", 5),
    "array": [1],
    "table": {"a": 1},
    "binary": Typed("x", b"5"),
    "decimal": Typed("D", (0, 5)),
}
# What a number was on the wire is not kept: a value is compared and named as the number it is.
AS_A_NUMBER = only_rabbitmq("names the width an integer or a float had on the wire")
KINDS = [pytest.param(kind, marks=AS_A_NUMBER) if kind == "float" else kind for kind in OF_TYPE]


def kinds_but(*left_out):
    """Every type but these, and an integer."""
    return [kind for kind in KINDS if kind not in left_out] + ["signedint"]


INTEGERS = ["x-message-ttl", "x-expires", "x-max-length", "x-max-length-bytes", "x-max-priority"]
TEXTS = ["x-overflow", "x-dead-letter-routing-key", "x-queue-type"]


def invalid(queue, argument, why):
    return f"PRECONDITION_FAILED - invalid arg '{argument}' for queue '{queue}' in vhost '/': {why}"


def declared(channel, arguments, why, **options):
    """The declaration is refused, `why` being said of its last argument."""
    queue = unique()
    with refused(406, invalid(queue, list(arguments)[-1], why), method=DECLARE):
        a_queue(channel, queue, arguments=arguments, **options)


@pytest.mark.parametrize("argument", INTEGERS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_integer(channel, argument, kind):
    declared(channel, {argument: OF_TYPE[kind]}, f'"expected integer, got {kind}"')


@pytest.mark.parametrize("argument", INTEGERS)
@pytest.mark.parametrize("value", [-1, Typed("b", -7), Typed("s", -7), Typed("l", -(2**40))])
def test_below_zero(channel, argument, value):
    number = value if isinstance(value, int) else value.value
    declared(channel, {argument: value}, f"{{value_negative,{number}}}")


def test_expires_of_zero(channel):
    declared(channel, {"x-expires": 0}, "{value_zero,0}")


@pytest.mark.parametrize("argument", ["x-message-ttl", "x-expires"])
@pytest.mark.parametrize("value", [315360000001, 2**63 - 1])
def test_time_beyond_ten_years(channel, argument, value):
    declared(channel, {argument: Typed("l", value)}, f"{{value_too_large,{value}}}")


@pytest.mark.parametrize("value", [256, 1000, 2**31 - 1, Typed("l", 2**40)])
def test_priority_beyond_255(channel, value):
    number = value if isinstance(value, int) else value.value
    declared(channel, {"x-max-priority": value}, f"{{max_value_exceeded,{number}}}")


@pytest.mark.parametrize("argument", TEXTS)
@pytest.mark.parametrize("kind", kinds_but("longstr"))
def test_no_text(channel, argument, kind):
    value = OF_TYPE.get(kind, 1)
    declared(channel, {"x-dead-letter-exchange": "", argument: value}, f"{{unacceptable_type,{kind}}}")


@pytest.mark.parametrize("kind", kinds_but("longstr"))
def test_dead_letter_exchange_that_is_no_name(channel, kind):
    queue = unique()
    text = f"PRECONDITION_FAILED - invalid type '{kind}' for arg 'x-dead-letter-exchange' in queue '{queue}' in vhost '/'"
    with refused(406, text, method=DECLARE):
        a_queue(channel, queue, arguments={"x-dead-letter-exchange": OF_TYPE.get(kind, 1)})


@pytest.mark.parametrize("key", ["key", ""])
def test_dead_letter_key_without_an_exchange(channel, key):
    declared(channel, {"x-dead-letter-routing-key": key}, "routing_key_but_no_dlx_defined")


@pytest.mark.parametrize("value", ["bogus", "", "DROP-HEAD", "drop_head"])
def test_overflow_nobody_knows(channel, value):
    declared(channel, {"x-overflow": value}, "invalid_overflow")


@pytest.mark.parametrize("value", ["bogus", "", "Classic"])
def test_queue_type_nobody_knows(channel, value):
    declared(channel, {"x-queue-type": value}, f"\"unsupported queue type '{value}'\"")


@pytest.mark.parametrize("kind", kinds_but("bool"))
def test_single_active_consumer_that_is_no_boolean(channel, kind):
    declared(channel, {"x-single-active-consumer": OF_TYPE.get(kind, 1)}, f"{{unacceptable_type,{kind}}}")


@pytest.mark.parametrize("value", ["bogus", "", "Lazy"])
def test_queue_mode_nobody_knows(channel, value):
    """Without effect, here and in newer RabbitMQ, and still looked at."""
    declared(channel, {"x-queue-mode": value}, f"\"unsupported queue mode '{value}'\"")


@pytest.mark.parametrize("value", [0, 3])
def test_queue_version_nobody_knows(channel, value):
    declared(channel, {"x-queue-version": value}, f"\"unsupported queue version '{value}'\"")


@pytest.mark.parametrize("argument", ["x-quorum-initial-group-size", "x-max-in-memory-length"])
@pytest.mark.parametrize("value, why", [("a", '"expected integer, got longstr"'), (-1, "{value_negative,-1}")])
def test_arguments_of_quorum_queues_without_effect(channel, argument, value, why):
    declared(channel, {"x-queue-type": "quorum", argument: value}, why, durable=True, exclusive=False)


def test_queue_leader_locator_nobody_knows(channel):
    arguments = {"x-queue-type": "quorum", "x-queue-leader-locator": "bogus"}
    declared(channel, arguments, "invalid_queue_locator_arg", durable=True, exclusive=False)


@pytest.mark.parametrize("value, why", [("bogus", "invalid_dlx_strategy"), (1, "{unacceptable_type,signedint}")])
def test_dead_letter_strategy_nobody_knows(channel, value, why):
    declared(
        channel,
        {"x-queue-type": "quorum", "x-dead-letter-strategy": value},
        why,
        durable=True,
        exclusive=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"x-message-ttl": 0},
        {"x-message-ttl": Typed("l", 315360000000)},
        {"x-message-ttl": Typed("B", 255)},
        {"x-message-ttl": Typed("u", 65535)},
        {"x-message-ttl": Typed("i", 2**32 - 1)},
        {"x-expires": Typed("l", 315360000000)},
        {"x-expires": Typed("s", 32000)},
        {"x-max-length": 0},
        {"x-max-length": Typed("l", 2**63 - 1)},
        {"x-max-length-bytes": 0},
        {"x-max-length-bytes": Typed("l", 2**63 - 1)},
        {"x-max-priority": 0},
        {"x-max-priority": 255},
        {"x-max-priority": Typed("B", 7)},
        {"x-overflow": "drop-head"},
        {"x-overflow": "reject-publish"},
        {"x-overflow": "reject-publish-dlx"},
        {"x-dead-letter-exchange": ""},
        {"x-dead-letter-exchange": "nowhere"},
        {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": ""},
        {"x-single-active-consumer": True},
        {"x-single-active-consumer": False},
        {"x-queue-type": "classic"},
    ],
    ids=str,
)
def test_at_the_edge_it_is_taken(channel, arguments):
    queue = unique()
    for _ in range(2):
        a_queue(channel, queue, arguments=arguments)


def test_same_number_in_another_width_is_the_same_declaration(channel):
    queue = unique()
    for kind in "BbsuIil":
        a_queue(channel, queue, arguments={"x-max-length": Typed(kind, 100)})


@pytest.mark.parametrize(
    "argument, first, second, said",
    [
        ("x-message-ttl", 60000, 50000, "received '50000' but current is '60000'"),
        ("x-expires", 60000, 50000, "received '50000' but current is '60000'"),
        ("x-max-length", 1, 2, "received '2' but current is '1'"),
        ("x-max-length-bytes", 1, 2, "received '2' but current is '1'"),
        ("x-max-priority", 1, 2, "received '2' but current is '1'"),
        ("x-overflow", "drop-head", "reject-publish", "received 'reject-publish' but current is 'drop-head'"),
        ("x-dead-letter-exchange", "a", "b", "received 'b' but current is 'a'"),
        ("x-single-active-consumer", True, False, "received 'false' but current is 'true'"),
        ("x-overflow", "drop-head", None, "received none but current is the value 'drop-head' of type 'longstr'"),
        ("x-max-length", None, 5, "received the value '5' of type 'signedint' but current is none"),
        pytest.param("x-expires", Typed("l", 50000), None, "received none but current is the value '50000' of type 'long'", marks=AS_A_NUMBER),
        pytest.param("x-max-priority", None, Typed("s", 5), "received the value '5' of type 'short' but current is none", marks=AS_A_NUMBER),
        pytest.param("x-max-priority", None, Typed("B", 5), "received the value '5' of type 'unsignedbyte' but current is none", marks=AS_A_NUMBER),
        ("x-single-active-consumer", None, True, "received the value 'true' of type 'bool' but current is none"),
    ],
)
def test_declared_otherwise(channel, argument, first, second, said):
    queue = unique()
    a_queue(channel, queue, arguments={} if first is None else {argument: first})
    text = f"PRECONDITION_FAILED - inequivalent arg '{argument}' for queue '{queue}' in vhost '/': {said}"
    with refused(406, text, method=DECLARE):
        a_queue(channel, queue, arguments={} if second is None else {argument: second})


def test_dead_letter_key_declared_otherwise(channel):
    queue = unique()
    a_queue(channel, queue, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "a"})
    text = (
        f"PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-routing-key' for queue '{queue}' in vhost '/': "
        "received 'b' but current is 'a'"
    )
    with refused(406, text, method=DECLARE):
        a_queue(channel, queue, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "b"})


def test_passive_declaration_does_not_look_at_arguments(channel):
    queue = a_queue(channel, arguments={"x-max-length": 5})
    channel.call("queue.declare", queue=queue, passive=True, arguments={"x-max-length": "nonsense"})


def test_refused_declaration_declares_nothing(connection, channel):
    queue = unique()
    with refused(406, invalid(queue, "x-max-length", "{value_negative,-1}")):
        a_queue(channel, queue, arguments={"x-max-length": -1})
    with refused(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
        connection.channel().call("queue.declare", queue=queue, passive=True)


def test_arguments_nobody_knows_are_kept_and_not_compared(channel):
    queue = unique()
    a_queue(channel, queue, arguments={"note": "mine", "x-carrier-pigeon": 7})
    a_queue(channel, queue, arguments={"note": "yours"})
    a_queue(channel, queue)


@pytest.mark.parametrize(
    "arguments",
    [{"note": "mine"}, {"x-carrier-pigeon": True}, {"x-cancel-on-ha-failover": True}, {"x-cancel-on-ha-failover": False}],
    ids=str,
)
def test_consumer_arguments_that_are_taken(channel, arguments):
    queue = a_queue(channel)
    consume(channel, queue, no_ack=True, arguments=arguments)
    put(channel, queue, "m")
    assert channel.delivery().body == b"m"


@pytest.mark.parametrize("value, kind", [("yes", "longstr"), (None, "void"), (1, "signedint")])
def test_cancel_on_failover_that_is_no_boolean(channel, value, kind):
    queue = a_queue(channel)
    with refused(406, invalid(queue, "x-cancel-on-ha-failover", f"{{unacceptable_type,{kind}}}"), method=CONSUME):
        consume(channel, queue, arguments={"x-cancel-on-ha-failover": value})
