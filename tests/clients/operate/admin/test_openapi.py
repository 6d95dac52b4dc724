"""The OpenAPI document, and requests made up from it."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.ours("RabbitMQ has no such document")

SECONDS = 60


def test_the_document_is_valid(api):
    document = api.json("/bongsu/v1/openapi.json")
    assert document["openapi"].startswith("3.")
    assert len(document["paths"]) > 100
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            named = {part[1:-1] for part in path.split("/") if part.startswith("{")}
            given = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert named == given, (method, path)


@pytest.mark.patient(SECONDS * 2 + 60)
def test_made_up_requests(own_broker, tmp_path):
    broker = own_broker()
    (tmp_path / "schemathesis.toml").write_text("")
    command = [
        os.path.join(os.path.dirname(sys.executable), "schemathesis"), "run",
        f"{broker.http}/bongsu/v1/openapi.json", "--url", broker.http,
        "--auth", "guest:guest", "--phases", "examples,coverage,fuzzing", "--max-examples", "5",
        "--checks", "not_a_server_error,status_code_conformance,content_type_conformance",
        # What these take away is who asks; a check's answer to a thing that is not there is 503.
        "--exclude-path-regex",
        "^/api/users|^/api/permissions|/log-levels|/logout|/backup|/connections/username"
        "|/checks/(port|protocol)-listener",
        "--workers", "2", "--request-timeout", "20", "--generation-deterministic",
        "--max-failures", "20", "--max-time", str(SECONDS),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS * 2 + 30)
    told = done.stdout[done.stdout.find("= FAILURES"):][:6000]
    assert done.returncode == 0, told + done.stderr[-2000:] + broker.log()[-2000:]
    assert "panicked" not in broker.log()
