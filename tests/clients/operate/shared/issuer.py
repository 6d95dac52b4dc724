"""Somebody who signs tokens, with keys of its own, and publishes them."""

import http.server
import json
import threading
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm


class Issuer:
    def __init__(self, folder):
        self.name = "https://issuer.test"
        self.keys = {}
        self.add_key("first", "RS256")
        self.file = folder / "jwks.json"
        self.publish()

    def add_key(self, key_id, algorithm):
        if algorithm.startswith("ES"):
            key, form = ec.generate_private_key(ec.SECP256R1()), ECAlgorithm
        else:
            key, form = rsa.generate_private_key(public_exponent=65537, key_size=2048), RSAAlgorithm
        self.keys[key_id] = (key, algorithm, form)

    def published(self):
        keys = []
        for key_id, (key, _, form) in self.keys.items():
            public = form.to_jwk(key.public_key(), as_dict=True)
            public.pop("key_ops", None)
            keys.append(public | {"kid": key_id, "use": "sig"})
        return json.dumps({"keys": keys}).encode()

    def publish(self):
        self.file.write_bytes(self.published())

    def token(self, key_id="first", *, lasts=600, **claims):
        """`claim=None` leaves one out."""
        key, algorithm, _ = self.keys[key_id]
        now = time.time()
        usual = {
            "iss": self.name,
            "sub": "anna",
            "aud": "bongsu",
            "iat": int(now),
            "exp": now + lasts,
            "scope": "bongsu.read:*/* bongsu.write:*/* bongsu.configure:*/*",
        }
        said = {name: value for name, value in (usual | claims).items() if value is not None}
        return jwt.encode(said, key, algorithm=algorithm, headers={"kid": key_id})

    def settings(self, **more):
        return {
            "oauth_jwks": str(self.file),
            "oauth_issuer": self.name,
            "oauth_audience": "bongsu",
            "oauth_clock_skew": "0s",
            **more,
        }


class Published:
    """The issuer's keys by HTTP; `reads` counts who asked."""

    def __init__(self, issuer):
        self.reads = 0
        published = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                published.reads += 1
                body = issuer.published()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"
