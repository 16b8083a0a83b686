"""Which process this is, and whether another one on this machine still lives: what a crash left need not wait for its time."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import secrets
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_HOST_CHARACTERS: Final = 6
_PROCESS_CHARACTERS: Final = 8
_RANDOM_CHARACTERS: Final = 12  # 60 bits, unique within a process


def new_writer() -> str:
    """A name of 26 characters for something that this process does, which tells where it was done."""
    return _host() + _process(os.getpid()) + _characters(secrets.token_bytes(8), _RANDOM_CHARACTERS)


def is_gone(writer: str) -> bool:
    """Whether the process that made this name is certainly dead. False for one on another machine or in another container."""
    if not writer.startswith(_host()):
        return False
    process = writer[_HOST_CHARACTERS : _HOST_CHARACTERS + _PROCESS_CHARACTERS]
    return process not in {_process(int(path.name)) for path in _PROC.glob("[0-9]*")}


@functools.cache
def _host() -> str:
    """Name this boot of this machine and this container: only among these are process numbers comparable (namespaces(7))."""
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return _characters(f"{boot}/{(_PROC / 'self/ns/pid').readlink()}".encode(), _HOST_CHARACTERS)


def _process(pid: int) -> str:
    """Number and start: numbers are used again, but not with the same start (proc_pid_stat(5), starttime)."""
    try:
        started = (_PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()[19]
    except OSError:
        started = ""  # ended while we looked
    return _characters(f"{pid}/{started}".encode(), _PROCESS_CHARACTERS)


def _characters(data: bytes, count: int) -> str:
    return base64.b32encode(hashlib.sha256(data).digest()).decode().lower()[:count]
