"""Who is let in over HTTP, and what probes are told without a login."""

import os

import pytest
import requests
from http_api import Api


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_probes_need_no_login(path):
    response = Api(os.environ["HTTP_URL"]).get(path)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_guest_comes_in_and_is_an_administrator(api):
    told = api.json("/api/whoami")
    assert told["name"] == "guest"
    assert "administrator" in told["tags"]


@pytest.mark.parametrize(
    "authorization",
    [None, "Basic", "Basic %%%", "Basic Z3Vlc3Q=", "Basic Z3Vlc3Q6d3Jvbmc=", "Digest x", "Bearer x"],
)
def test_others_do_not(authorization):
    headers = {"Authorization": authorization} if authorization else {}
    response = requests.get(os.environ["HTTP_URL"] + "/api/whoami", headers=headers, timeout=30)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Basic ")
    assert response.json()["error"].startswith("not_authori")
