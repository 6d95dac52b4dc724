"""basic.qos with global=true: one prefetch for all consumers of the channel. Celery lives on it."""

from helpers import a_queue, consume, fill, get, put, taken, texts


def limit(channel, count, whole_channel=True):
    channel.call("basic.qos", prefetch_count=count, global_=whole_channel)


def ack(channel, message, multiple=False):
    channel.send("basic.ack", delivery_tag=message.delivery_tag, multiple=multiple)


def test_over_several_queues(channel):
    queues = [a_queue(channel) for _ in range(3)]
    for queue in queues:
        fill(channel, queue, 1, 2, 3)
    limit(channel, 4)
    for queue in queues:
        consume(channel, queue)
    found = taken(channel, 4)
    channel.nothing()
    ack(channel, found[-1], multiple=True)
    found += taken(channel, 4)
    channel.nothing()
    ack(channel, found[-1], multiple=True)
    found += taken(channel, 1)
    assert sorted(texts(found)) == sorted(["1", "2", "3"] * 3)


def test_each_ack_makes_room_for_one(channel):
    queue = a_queue(channel)
    fill(channel, queue, *range(6))
    limit(channel, 2)
    consume(channel, queue)
    out = taken(channel, 2)
    for number in range(2, 6):
        ack(channel, out.pop(0))
        out += taken(channel, 1)
        assert out[-1].body == str(number).encode()
        channel.nothing()


def test_lowered_below_what_is_out(channel):
    queue = a_queue(channel)
    fill(channel, queue, *range(6))
    limit(channel, 3)
    consume(channel, queue)
    out = taken(channel, 3)
    limit(channel, 1)
    ack(channel, out[0])
    channel.nothing()
    ack(channel, out[2], multiple=True)
    assert channel.delivery().body == b"3"
    channel.nothing()


def test_zero_takes_it_away(channel):
    queue = a_queue(channel)
    fill(channel, queue, *range(6))
    limit(channel, 2)
    consume(channel, queue)
    taken(channel, 2)
    channel.nothing()
    limit(channel, 0)
    assert texts(taken(channel, 4)) == ["2", "3", "4", "5"]


def test_it_holds_for_consumers_that_were_there(channel):
    queue = a_queue(channel)
    consume(channel, queue)
    limit(channel, 2)
    put(channel, queue, *range(5))
    out = taken(channel, 2)
    channel.nothing()
    ack(channel, out[1], multiple=True)
    taken(channel, 2)
    channel.nothing()


def test_get_does_not_count(channel):
    queue = a_queue(channel)
    fill(channel, queue, 1, 2, 3)
    limit(channel, 1)
    get(channel, queue)
    consume(channel, queue)
    assert channel.delivery().body == b"2"
    channel.nothing()


def test_auto_ack_is_not_bound(channel):
    queue = a_queue(channel)
    fill(channel, queue, *range(20))
    limit(channel, 1)
    consume(channel, queue, no_ack=True)
    assert len(taken(channel, 20)) == 20


def test_both_limits_at_once(channel):
    """Its own two, and four for all: two and two; a third consumer gets nothing."""
    queues = [a_queue(channel) for _ in range(3)]
    for queue in queues:
        fill(channel, queue, 1, 2, 3)
    limit(channel, 2, whole_channel=False)
    limit(channel, 4)
    for tag, queue in zip("abc", queues):
        consume(channel, queue, tag)
    found = taken(channel, 4)
    channel.nothing()
    tags = [message.consumer_tag for message in found]
    assert max(tags.count(tag) for tag in "abc") == 2


def test_other_channels_have_their_own(connection):
    one, two = connection.channel(), connection.channel()
    queue = a_queue(one)
    fill(one, queue, *range(6))
    for channel, count in ((one, 1), (two, 2)):
        limit(channel, count)
        consume(channel, queue)
    taken(one, 1)
    taken(two, 2)
    one.nothing()
    two.nothing()


def test_requeued_makes_room(channel):
    queue = a_queue(channel)
    fill(channel, queue, "only")
    limit(channel, 1)
    consume(channel, queue)
    for _ in range(3):
        message = channel.delivery()
        channel.send("basic.nack", delivery_tag=message.delivery_tag, requeue=True)
    assert channel.delivery().body == b"only"


def test_cancelled_consumers_messages_still_count(channel):
    queues = [a_queue(channel) for _ in range(2)]
    for queue in queues:
        fill(channel, queue, 1)
    limit(channel, 1)
    tag = consume(channel, queues[0])
    out = channel.delivery()
    channel.call("basic.cancel", consumer_tag=tag)
    consume(channel, queues[1])
    channel.nothing()
    ack(channel, out)
    assert channel.delivery().body == b"1"
