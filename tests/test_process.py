"""Who is gone and who is not."""

from __future__ import annotations

import subprocess
import sys

from zegelpost.process import is_gone, new_writer

MAKE_ONE = "from zegelpost.process import new_writer; print(new_writer(), flush=True); input()"


def test_we_are_here() -> None:
    assert len(new_writer()) == 26
    assert new_writer() != new_writer()
    assert not is_gone(new_writer())


def test_another_process_is_gone_when_it_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", MAKE_ONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        writer = other.stdout.readline().strip()
        assert not is_gone(writer)
        other.kill()
    assert is_gone(writer)


def test_doubt_waits() -> None:
    """A process on another machine may well live."""
    assert not is_gone("a" * 26)
