"""What only many tries show; the table of names and contents is in tests/web."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import cast

import pytest

from zegelpost.model.file_name import FileName
from zegelpost.model.refusals import ContentMismatch
from zegelpost.sealing.document import DocumentReader
from zegelpost.services.inspecting import inspect


class Plain:
    """A document that is not sealed."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.total_bytes = len(content)

    def read_range(self, start: int, stop: int) -> list[bytes]:
        return [self.content[start:stop]]


def look_at(name: str, content: bytes) -> None:
    inspect(FileName.parse(name), cast("DocumentReader", Plain(content)))


def test_noise_is_no_program() -> None:
    """Formats that libmagic does not know look like noise, and noise looks like an old program now and then."""
    for number in range(2000):
        look_at("beeld.dcm", hashlib.shake_128(number.to_bytes(4)).digest(5000))


@pytest.mark.parametrize(
    "content",
    [b"MZ\x90\0" + bytes(60), Path(sys.executable).read_bytes(), b"#!/bin/sh\nrm -r /\n"],
    ids=["windows", "linux", "shell"],
)
def test_a_program_is_one_under_any_name(content: bytes) -> None:
    with pytest.raises(ContentMismatch):
        look_at("beeld.dcm", content)
