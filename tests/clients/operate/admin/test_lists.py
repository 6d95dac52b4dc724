"""Pages, filters, orders and columns."""

import pytest
from test_things import error


@pytest.fixture
def queues(api, space):
    for name in ["q3", "q1", "x2", "q2"]:
        assert api.put(f"/api/queues/{space}/{name}", {}).status_code == 201
    return f"/api/queues/{space}"


def names(listed):
    return [item["name"] for item in listed]


def test_pages(api, queues):
    page = api.json(f"{queues}?page=1&page_size=3&columns=name")
    assert page == {
        "total_count": 4, "filtered_count": 4, "item_count": 3, "page": 1, "page_size": 3,
        "page_count": 2, "items": [{"name": "q1"}, {"name": "q2"}, {"name": "q3"}],
    }
    assert names(api.json(f"{queues}?page=2&page_size=3")["items"]) == ["x2"]
    assert api.json(f"{queues}?page=1")["page_size"] == 100


def test_filters(api, queues):
    page = api.json(f"{queues}?page=1&name=Q")
    assert (page["filtered_count"], page["total_count"]) == (3, 4)
    assert names(page["items"]) == ["q1", "q2", "q3"]
    page = api.json(f"{queues}?page=1&name=%5B12%5D%24&use_regex=true&pagination=true")
    assert names(page["items"]) == ["q1", "q2", "x2"]


@pytest.mark.parametrize(
    "query, kind",
    [
        ("page=9", "page_out_of_range"),
        ("page=0", "invalid_pagination_parameters"),
        ("page=1&page_size=0", "invalid_pagination_parameters"),
        ("page=1&page_size=-1", "invalid_pagination_parameters"),
        ("page=1&page_size=501", "invalid_pagination_parameters"),
        ("page=x", "bad_request"),
        ("page=1&page_size=x", "bad_request"),
        ("page=99999999999999999999", None),
        ("page=1&name=(&use_regex=true", "bad_request"),
    ],
)
def test_pages_that_there_are_not(api, queues, query, kind):
    answer = api.get(f"{queues}?{query}")
    assert answer.status_code == 400
    assert kind is None or error(answer) == (400, kind)


def test_orders(api, queues):
    assert names(api.json(queues)) == ["q1", "q2", "q3", "x2"]
    assert names(api.json(f"{queues}?sort=name&sort_reverse=true")) == ["x2", "q3", "q2", "q1"]


def test_columns(api, space, queues):
    api.put(f"{queues}/arguments", {"arguments": {"x-message-ttl": 5}})
    listed = api.json(f"{queues}?columns=name,arguments.x-message-ttl")
    assert {"name": "arguments", "arguments": {"x-message-ttl": 5}} in listed
    assert all(set(item) <= {"name", "arguments"} for item in listed)


def test_less_is_told_when_asked(api, queues):
    listed = api.json(f"{queues}?disable_stats=true")
    assert "messages" not in listed[0] and "message_stats" not in listed[0]
    listed = api.json(f"{queues}?disable_stats=true&enable_queue_totals=true")
    assert listed[0]["messages"] == 0 and "message_stats" not in listed[0]


@pytest.mark.ours("percent-encoding that is none makes RabbitMQ close the connection")
def test_percents_that_say_nothing(api):
    assert error(api.get("/api/queues?page=%zz")) == (400, "bad_request")
    assert error(api.get("/api/queues/%FF")) == (400, "bad_request")
