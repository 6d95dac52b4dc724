"""The management API: most of these pass against RabbitMQ 3.10 as they are; `ours` marks what does
not, each with its reason."""

import os
import uuid

import pytest
from http_api import Api, part

JUDGED = os.environ.get("BONGSU_JUDGE", "bongsu")


def pytest_configure(config):
    config.addinivalue_line("markers", "ours(reason): not as RabbitMQ has it")


def pytest_collection_modifyitems(items):
    for item in items:
        marker = item.get_closest_marker("ours")
        if marker and JUDGED != "bongsu":
            item.add_marker(pytest.mark.skip(reason=marker.args[0]))


@pytest.fixture
def space(api):
    """A virtual host of the test's own: its name, as a path has it too."""
    name = f"admin/{uuid.uuid4().hex[:8]}"
    assert api.put(f"/api/vhosts/{part(name)}").status_code == 201
    yield part(name)
    api.delete(f"/api/vhosts/{part(name)}")


@pytest.fixture
def person(api):
    """Makes users who are gone after the test: tags, and permissions in a space."""
    made = []

    def make(tags, space=None, configure=".*", write=".*", read=".*"):
        name = f"person-{uuid.uuid4().hex[:8]}"
        made.append(name)
        answer = api.put(f"/api/users/{name}", {"password": "secret", "tags": tags})
        assert answer.status_code == 201, answer.text
        if space:
            rights = {"configure": configure, "write": write, "read": read}
            assert api.put(f"/api/permissions/{space}/{name}", rights).status_code == 201
        person = Api(api.url, name, "secret")
        person.name = name
        return person

    yield make
    for name in made:
        api.delete(f"/api/users/{name}")
