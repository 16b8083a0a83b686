"""What the log says of something that went wrong: where and of what kind, never what people typed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

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


def test_no_address_of_ours_logs_what_people_type(tmp_path: Path) -> None:
    """Every route, asked for nonsense in its path, its query and its form; and then once more while tables are missing."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.asking_everything", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    well, broken = (ast.literal_eval(line) for line in done.stdout.splitlines())
    assert sum(well.values()) > 200
    assert broken[500] > 50
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    failed = [line for line in lines if "exception" in line]
    assert len(failed) > 50
    assert "kanarie" not in done.stderr.casefold()
    # Where it went wrong is there, or nobody could mend it.
    assert all(each["exception"][0]["exc_type"] and each["exception"][0]["frames"] for each in failed)
