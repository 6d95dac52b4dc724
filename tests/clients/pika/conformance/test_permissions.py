"""Virtual hosts, permissions, topic permissions and limits, set by the management API."""

import base64
import json
import os
import urllib.error
import urllib.request
from urllib.parse import quote

import pytest
from helpers import a_queue, refused, unique
from wire import Closed

QUEUE_DECLARE = (50, 10)


class Api:
    def __init__(self):
        self.vhosts, self.users = [], []

    def ask(self, method, *path, body=None):
        url = "/".join([os.environ["HTTP_URL"], "api", *(quote(part, safe="") for part in path)])
        request = urllib.request.Request(url, method=method)
        request.add_header("Authorization", "Basic " + base64.b64encode(b"guest:guest").decode())
        request.add_header("Content-Type", "application/json")
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(request, data, timeout=20) as answer:
            return answer.read()

    def vhost(self):
        self.vhosts.append(unique("vhost"))
        self.ask("PUT", "vhosts", self.vhosts[-1], body={})
        return self.vhosts[-1]

    def user(self):
        self.users.append(unique("user"))
        self.ask("PUT", "users", self.users[-1], body={"password": "secret", "tags": ""})
        return self.users[-1]

    def permit(self, vhost, user, configure, write, read):
        patterns = {"configure": configure, "write": write, "read": read}
        self.ask("PUT", "permissions", vhost, user, body=patterns)

    def permit_keys(self, vhost, user, exchange, write, read):
        patterns = {"exchange": exchange, "write": write, "read": read}
        self.ask("PUT", "topic-permissions", vhost, user, body=patterns)

    def sweep(self):
        for kind, names in (("vhosts", self.vhosts), ("users", self.users)):
            for name in names:
                try:
                    self.ask("DELETE", kind, name)
                except urllib.error.HTTPError as error:
                    assert error.code == 404, error


@pytest.fixture
def api():
    api = Api()
    yield api
    api.sweep()


@pytest.fixture
def enter(api, connect):
    """A new user in a new virtual host, with these permissions; by name, and its connection."""

    def enter(configure, write, read):
        vhost, user = api.vhost(), api.user()
        api.permit(vhost, user, configure, write, read)
        return vhost, user, connect(user=user, password="secret", vhost=vhost)

    return enter


def access_refused(vhost, user, kind, name):
    return refused(403, f"ACCESS_REFUSED - access to {kind} '{name}' in vhost '{vhost}' refused for user '{user}'")


def test_a_vhost_that_is_not_there(connect):
    with refused(530, "NOT_ALLOWED - vhost nosuch not found", connection=True):
        connect(vhost="nosuch")


def test_a_vhost_without_permissions(api, connect):
    user = api.user()
    with refused(530, f"NOT_ALLOWED - access to vhost '/' refused for user '{user}'", connection=True):
        connect(user=user, password="secret", vhost="/")


def test_a_wrong_password(api, connect):
    user = api.user()
    text = (
        "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
        "For details see the broker logfile."
    )
    with refused(403, text, connection=True):
        connect(user=user, password="wrong", capabilities={"authentication_failure_close": True})


def test_virtual_hosts_know_nothing_of_each_other(enter):
    everything = (".*", ".*", ".*")
    (one, _, here), (other, _, there) = enter(*everything), enter(*everything)
    queue = a_queue(here.channel())
    with refused(404, f"NOT_FOUND - no queue '{queue}' in vhost '{other}'"):
        there.channel().call("queue.declare", queue=queue, passive=True)


def test_declaring_needs_configure(enter):
    vhost, user, connection = enter("^own", "", "")
    connection.channel().call("queue.declare", queue="own")
    with access_refused(vhost, user, "queue", "other"):
        connection.channel().call("queue.declare", queue="other")
    with access_refused(vhost, user, "exchange", "other"):
        connection.channel().call("exchange.declare", exchange="other", type="direct")
    with access_refused(vhost, user, "queue", "other"):
        connection.channel().call("queue.delete", queue="other")
    with access_refused(vhost, user, "exchange", "other"):
        connection.channel().call("exchange.delete", exchange="other")


def test_a_name_made_up_is_a_name_like_any_other(enter):
    _, _, connection = enter("^amq\\.gen-", "", "")
    assert a_queue(connection.channel(), "").startswith("amq.gen-")
    vhost, user, connection = enter("^own", "", "")
    with pytest.raises(Closed) as caught:
        a_queue(connection.channel(), "")
    assert caught.value.text.startswith("ACCESS_REFUSED - access to queue 'amq.gen-")


def test_a_name_is_looked_at_as_it_will_be_known(enter):
    vhost, user, connection = enter("^(?!other)", "", "")
    with access_refused(vhost, user, "queue", "other"):
        connection.channel().call("queue.declare", queue="\nother")


def test_asking_needs_nothing(enter):
    vhost, _, connection = enter("^$", "^$", "^$")
    connection.channel().call("exchange.declare", exchange="amq.topic", passive=True)
    with refused(404, f"NOT_FOUND - no queue 'other' in vhost '{vhost}'"):
        connection.channel().call("queue.declare", queue="other", passive=True)


@pytest.mark.parametrize("name", ["amq.topic", ""])
def test_what_is_nobodys_to_delete_is_said_before_permissions(enter, name):
    vhost, _, connection = enter("^$", "^$", "^$")
    text = {
        "": "ACCESS_REFUSED - operation not permitted on the default exchange",
        "amq.topic": f"ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '{vhost}' not allowed",
    }
    with refused(403, text[name]):
        connection.channel().call("exchange.delete", exchange=name)


@pytest.mark.parametrize(
    ("patterns", "missing"),
    [(("^own", "^elsewhere", "^own"), None), (("^own", "", "^own"), "elsewhere"), (("^own", ".*", ""), "own")],
)
def test_a_dead_letter_exchange_is_written_to_and_the_queue_read(enter, patterns, missing):
    vhost, user, connection = enter(*patterns)
    arguments = {"x-dead-letter-exchange": "elsewhere"}
    declare = {"queue": "own", "arguments": arguments}
    if missing is None:
        connection.channel().call("queue.declare", **declare)
        return
    kind = "queue" if missing == "own" else "exchange"
    with access_refused(vhost, user, kind, missing):
        connection.channel().call("queue.declare", **declare)


def test_what_is_there_is_compared_before_its_dead_letter_exchange_is_asked_about(enter):
    vhost, _, connection = enter("^own", "", "")
    connection.channel().call("queue.declare", queue="own")
    text = (
        f"PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-exchange' for queue 'own' in vhost '{vhost}': "
        "received the value 'elsewhere' of type 'longstr' but current is none"
    )
    with refused(406, text):
        arguments = {"x-dead-letter-exchange": "elsewhere"}
        connection.channel().call("queue.declare", queue="own", arguments=arguments)


@pytest.mark.parametrize(
    ("patterns", "missing"),
    [(("^own", "^elsewhere", "^own"), None), (("^own", "", "^own"), "elsewhere"), (("^own", ".*", ""), "own")],
)
def test_an_alternate_exchange_is_written_to_and_the_exchange_read(enter, patterns, missing):
    vhost, user, connection = enter(*patterns)
    arguments = {"alternate-exchange": "elsewhere"}
    declare = {"exchange": "own", "type": "fanout", "arguments": arguments}
    if missing is None:
        connection.channel().call("exchange.declare", **declare)
        return
    with access_refused(vhost, user, "exchange", missing):
        connection.channel().call("exchange.declare", **declare)


@pytest.mark.parametrize("method", ["queue.bind", "queue.unbind"])
def test_binding_writes_to_the_queue_and_reads_the_exchange(enter, method):
    vhost, user, connection = enter(".*", "^good", "^amq\\.direct$")
    for queue in ("good", "bad"):
        connection.channel().call("queue.declare", queue=queue)
    connection.channel().call(method, queue="good", exchange="amq.direct", routing_key="k")
    with access_refused(vhost, user, "queue", "bad"):
        connection.channel().call(method, queue="bad", exchange="amq.direct", routing_key="k")
    with access_refused(vhost, user, "exchange", "amq.topic"):
        connection.channel().call(method, queue="good", exchange="amq.topic", routing_key="k")


def test_binding_the_default_exchange_is_refused_before_it_is_read(enter):
    vhost, user, connection = enter("^own", "", "")
    connection.channel().call("queue.declare", queue="own")
    with access_refused(vhost, user, "queue", "own"):
        connection.channel().call("queue.bind", queue="own", exchange="", routing_key="k")
    _, _, connection = enter("^own", "^own", "")
    connection.channel().call("queue.declare", queue="own")
    with refused(403, "ACCESS_REFUSED - operation not permitted on the default exchange"):
        connection.channel().call("queue.bind", queue="own", exchange="", routing_key="k")


def publish(connection, exchange, key):
    channel = connection.channel()
    channel.call("confirm.select")
    channel.publish(exchange, key, b"body")
    channel.sync()


def test_publishing_writes_to_the_exchange(enter):
    vhost, user, connection = enter("", "^amq\\.fanout$", "")
    publish(connection, "amq.fanout", "k")
    with access_refused(vhost, user, "exchange", "amq.topic"):
        publish(connection, "amq.topic", "k")


def test_the_default_exchange_has_a_name_in_permissions(enter):
    vhost, user, connection = enter("", "^own$", "")
    with access_refused(vhost, user, "exchange", "amq.default"):
        publish(connection, "", "own")
    _, _, connection = enter("", "^amq\\.default$", "")
    publish(connection, "", "own")


def test_getting_consuming_and_purging_read_the_queue(enter):
    vhost, user, connection = enter(".*", "", "^good$")
    for queue in ("good", "bad"):
        connection.channel().call("queue.declare", queue=queue)
    connection.channel().call("queue.purge", queue="good")
    for method in ("basic.get", "basic.consume", "queue.purge"):
        with access_refused(vhost, user, "queue", "bad"):
            connection.channel().call(method, queue="bad")


def test_answers_may_be_consumed_by_anybody(enter):
    _, _, connection = enter("^$", "^$", "^$")
    connection.channel().call("basic.consume", queue="amq.rabbitmq.reply-to", no_ack=True)


def key_refused(vhost, user, key):
    text = f"ACCESS_REFUSED - access to topic '{key}' in exchange 'amq.topic' in vhost '{vhost}' refused for user '{user}'"
    return refused(403, text)


def test_topic_permissions_bound_routing_keys(api, enter):
    vhost, user, connection = enter(".*", ".*", ".*")
    api.permit_keys(vhost, user, "amq.topic", "^a\\.{username}$", "^b\\.{vhost}$")
    publish(connection, "amq.topic", f"a.{user}")
    with key_refused(vhost, user, "a.other"):
        publish(connection, "amq.topic", "a.other")
    publish(connection, "amq.direct", "a.other")
    queue = a_queue(connection.channel())
    bind = {"queue": queue, "exchange": "amq.topic"}
    connection.channel().call("queue.bind", routing_key=f"b.{vhost}", **bind)
    for method in ("queue.bind", "queue.unbind"):
        with key_refused(vhost, user, "b.other"):
            connection.channel().call(method, routing_key="b.other", **bind)


def test_topic_permissions_of_other_exchanges_mean_nothing(api, enter):
    vhost, user, connection = enter(".*", ".*", ".*")
    api.permit_keys(vhost, user, "amq.direct", "^$", "^$")
    publish(connection, "amq.direct", "k")
    publish(connection, "amq.topic", "k")


def test_a_vhost_takes_as_many_queues_as_it_may(api, enter):
    vhost, _, connection = enter(".*", ".*", ".*")
    api.ask("PUT", "vhost-limits", vhost, "max-queues", body={"value": 1})
    connection.channel().call("queue.declare", queue="one")
    text = f"PRECONDITION_FAILED - cannot declare queue 'two': queue limit in vhost '{vhost}' (1) is reached"
    with refused(406, text, QUEUE_DECLARE):
        connection.channel().call("queue.declare", queue="two")
    connection.channel().call("queue.declare", queue="one")


def until_closed(connection, seconds=10):
    """What the broker closes it with."""
    with pytest.raises(Closed) as caught:
        connection.control.wait("connection.close", patience=seconds)
    return caught.value.code, caught.value.text


def test_a_user_that_is_deleted_is_sent_away(api, enter):
    _, user, connection = enter(".*", ".*", ".*")
    api.ask("DELETE", "users", user)
    assert until_closed(connection) == (320, f"CONNECTION_FORCED - user '{user}' is deleted")


def test_a_vhost_that_is_deleted_is_left(api, enter):
    vhost, user, connection = enter(".*", ".*", ".*")
    a_queue(connection.channel(), "q", exclusive=False)
    api.ask("DELETE", "vhosts", vhost)
    code, text = until_closed(connection)
    assert (code, text) == (320, f"CONNECTION_FORCED - vhost '{vhost}' is down")
