"""HTTP itself: methods, heads, bodies, other sites, cookies."""

import os
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest
import requests
from http_api import Api
from test_things import error


def test_methods(api):
    answer = api.request("POST", "/api/queues/%2F/q", json={})
    assert answer.status_code == 405
    allowed = {method.strip() for method in answer.headers["allow"].split(",")}
    assert allowed == {"DELETE", "GET", "HEAD", "OPTIONS", "PUT"}
    head = api.request("HEAD", "/api/overview")
    assert (head.status_code, head.content) == (200, b"")
    assert api.request("OPTIONS", "/api/overview").status_code == 200
    assert error(api.get("/api/nope")) == (404, "Object Not Found")


@pytest.mark.ours("RabbitMQ answers without a body")
def test_methods_are_told_in_json(api):
    assert error(api.request("PATCH", "/api/queues/%2F/q")) == (405, "method_not_allowed")


def test_no_other_site_is_let_in(api):
    answer = api.get("/api/overview", headers={"origin": "http://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.ours("RabbitMQ asks browsers nothing")
@pytest.mark.parametrize(
    "headers, status",
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 404),
        ({}, 404),
    ],
)
def test_changes_come_from_our_own_pages(api, headers, status):
    assert api.delete("/api/queues/%2F/nowhere", headers=headers).status_code == status


@pytest.mark.ours("RabbitMQ has no such login")
def test_a_cookie_stands_for_a_password(api):
    browser = requests.Session()
    answer = browser.post(f"{api.url}/bongsu/v1/login", json={"user": "guest", "password": "guest"}, timeout=30)
    assert answer.status_code == 200 and answer.json()["user"] == "guest"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert len(browser.cookies["bongsu_session"]) == 64
    assert browser.get(f"{api.url}/api/whoami", timeout=30).json()["name"] == "guest"
    # A page of another site can make a browser send the cookie, and not the header.
    put = lambda **more: browser.put(f"{api.url}/api/queues/%2F/by-cookie", json={}, timeout=30, **more)
    assert put().status_code == 403
    assert put(headers={"x-bongsu-console": "1"}).status_code == 201
    assert put(headers={"x-bongsu-console": "1", "origin": "http://evil.example"}).status_code == 403
    api.delete("/api/queues/%2F/by-cookie")
    assert browser.post(f"{api.url}/bongsu/v1/logout", timeout=30).status_code == 204
    stolen = cookie.split(";")[0]
    assert requests.get(f"{api.url}/api/whoami", headers={"cookie": stolen}, timeout=30).status_code == 401


@pytest.mark.ours("RabbitMQ has no such login")
def test_a_cookie_ends_with_its_user(api, person):
    somebody = person("management")
    browser = requests.Session()
    login = {"user": somebody.name, "password": "secret"}
    assert browser.post(f"{api.url}/bongsu/v1/login", json=login, timeout=30).status_code == 200
    assert browser.get(f"{api.url}/api/whoami", timeout=30).status_code == 200
    api.delete(f"/api/users/{somebody.name}")
    assert browser.get(f"{api.url}/api/whoami", timeout=30).status_code == 401


@pytest.mark.ours("RabbitMQ has no such login")
def test_who_may_not_manage_gets_no_cookie(api, person):
    somebody = person("")
    for login in [{"user": somebody.name, "password": "secret"}, {"user": "guest", "password": "x"}]:
        answer = requests.post(f"{api.url}/bongsu/v1/login", json=login, timeout=30)
        assert answer.status_code == 401 and "set-cookie" not in answer.headers
    answer = requests.post(f"{api.url}/bongsu/v1/login", data="x", timeout=30)
    assert answer.status_code == 400


@pytest.mark.ours("bounds of our own")
def test_responses_protect_browsers(api):
    headers = api.get("/api/overview").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


def connected(api):
    url = urlsplit(api.url)
    return socket.create_connection((url.hostname, url.port), timeout=30)


@pytest.mark.ours("bounds of our own")
def test_large_bodies_are_not_read(api):
    with connected(api) as stream:
        stream.sendall(b"POST /api/definitions HTTP/1.1\r\nHost: x\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n"
                       b"Content-Length: 99999999999\r\n\r\n")
        assert stream.recv(64).startswith(b"HTTP/1.1 413 ")
    with connected(api) as stream:
        # Who has not logged in is answered before anything is read.
        stream.sendall(b"POST /api/definitions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        assert stream.recv(64).startswith(b"HTTP/1.1 401 ")


@pytest.mark.ours("bounds of our own")
def test_large_heads_are_not_read(api):
    with connected(api) as stream:
        stream.sendall(b"GET /api/overview HTTP/1.1\r\nHost: x\r\n")
        stream.sendall(b"".join(b"X-%d: y\r\n" % index for index in range(200)) + b"\r\n")
        assert stream.recv(64).startswith(b"HTTP/1.1 431 ")


@pytest.mark.ours("bounds of our own")
def test_the_slow_do_not_hold_up_others(api):
    slow = [connected(api) for _ in range(200)]
    for stream in slow:
        stream.sendall(b"GET /api/over")
    assert api.get("/api/whoami").status_code == 200
    for stream in slow:
        stream.close()
