"""HTTP as a tool of whoever runs a broker speaks it."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import requests

PATIENCE = 30


def part(name):
    """A name as one part of a path."""
    return quote(name, safe="")


class Api:
    def __init__(self, url, user=None, password=None):
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        if user is not None:
            self.session.auth = (user, password)

    def request(self, method, path, **options):
        options.setdefault("timeout", PATIENCE)
        return self.session.request(method, self.url + path, **options)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def put(self, path, json=None, **options):
        return self.request("PUT", path, json=json, **options)

    def post(self, path, json=None, **options):
        return self.request("POST", path, json=json, **options)

    def delete(self, path, **options):
        return self.request("DELETE", path, **options)

    def json(self, path, **options):
        """What a successful GET answers."""
        response = self.get(path, **options)
        assert response.status_code == 200, (path, response.status_code, response.text)
        return response.json()


def guess(url, user, passwords):
    """Logs in with each at once; what is answered."""
    def one(password):
        return Api(url, user, password).get("/api/whoami").status_code

    with ThreadPoolExecutor(len(passwords)) as all_at_once:
        return list(all_at_once.map(one, passwords))
