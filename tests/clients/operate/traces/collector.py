"""An OTLP collector of the test's own: HTTP, JSON."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE_SECONDS = 20


def plain(attributes):
    """Attributes as a dict of Python values."""
    values = {}
    for attribute in attributes:
        [(kind, value)] = attribute["value"].items()
        values[attribute["key"]] = int(value) if kind == "intValue" else value
    return values


class Collector:
    def __init__(self):
        self.spans = []
        self.resources = []
        self.requests = []
        self.changed = threading.Condition()
        # What is answered, one after the other; then 200.
        self.answers = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = collector.take(self.path, self.headers, json.loads(body))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    def take(self, path, headers, request):
        with self.changed:
            self.requests.append((path, headers["Content-Type"]))
            if self.answers:
                status = self.answers.pop(0)
                if status != 200:
                    self.changed.notify_all()
                    return status
            for of_resource in request["resourceSpans"]:
                self.resources.append(plain(of_resource["resource"]["attributes"]))
                for of_scope in of_resource["scopeSpans"]:
                    for span in of_scope["spans"]:
                        span["attributes"] = plain(span["attributes"])
                        self.spans.append(span)
            self.changed.notify_all()
            return 200

    def of(self, trace, count):
        """Spans of a trace in the order of their beginning, once there are so many."""
        until = time.monotonic() + PATIENCE_SECONDS
        with self.changed:
            while True:
                found = [span for span in self.spans if span["traceId"] == trace]
                if len(found) >= count:
                    # One commit may begin when a delivery does.
                    return sorted(found, key=lambda span: int(span["startTimeUnixNano"]))
                left = until - time.monotonic()
                assert left > 0, f"{count} spans of {trace} expected, there are {found}"
                self.changed.wait(left)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
