"""What the log says of something that went wrong: where and of what kind, never what people typed."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging
from zegelpost.logs import set_up_logs
import structlog

set_up_logs()

def fail(secret):
    try:
        raise ValueError(f"kanarie {secret}")
    except ValueError as error:
        error.add_note("kanarie in a note")
        raise ExceptionGroup("kanarie group", [KeyError("kanarie key"), error]) from error

for log in (structlog.get_logger(), logging.getLogger("uvicorn.error")):
    try:
        fail("kanarie")
    except ExceptionGroup:
        log.exception("went wrong")
"""


def test_exceptions_are_told_by_kind_and_place_only() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]

    assert [line["event"] for line in lines] == ["went wrong", "went wrong"]
    assert "kanarie" not in done.stderr
    for line in lines:
        assert line["exception"][0]["exc_type"] == "ExceptionGroup"
        assert line["exception"][0]["frames"][-1]["name"] == "fail"
