"""The examples of docs/cli.md are command lines that there are."""

import os
import shlex
import subprocess
from pathlib import Path

DOCUMENT = Path(__file__).parents[4] / "docs" / "cli.md"


def examples():
    lines = (line.strip() for line in DOCUMENT.read_text().splitlines() if line.startswith("    bongsu "))
    for line in lines:
        words = shlex.split(line, comments=True)
        yield words[1 : words.index(">")] if ">" in words else words[1:]


def test_every_example_is_understood(tmp_path):
    all_examples = list(examples())
    assert len(all_examples) > 50
    nowhere = ["--url", "http://127.0.0.1:1"]
    for words in all_examples:
        if words[0] in ("completion", "restore", "repair", "doctor") or "replay" in words:
            # What follows asks no broker; that it is understood is enough.
            words, expected = [*words, "--help"], {0}
        elif "--url" in words:
            continue
        else:
            # A password is asked for, or a file is not there: 2 with a reason of its own.
            words, expected = [*words, *nowhere], {5, 2}
        done = subprocess.run(
            [os.environ["BROKER_PROGRAM"], *words],
            capture_output=True, text=True, cwd=tmp_path, stdin=subprocess.DEVNULL, timeout=30,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        )
        assert done.returncode in expected, f"{words}: {done.returncode}\n{done.stderr}"
        assert "Usage:" not in done.stderr, f"{words}\n{done.stderr}"
