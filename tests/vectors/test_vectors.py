"""Every vector file does what it says: opens to its plaintext, or is refused by exactly the name it gives."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.vectors.make_vectors import vectors

from zegelpost.sealing.document import DocumentReader
from zegelpost.sealing.errors import SealBroken
from zegelpost.sealing.keys import MessageKey
from zegelpost.sealing.manifest import open_manifest
from zegelpost.sealing.text import open_bytes
from zegelpost.sealing.wrapping import WrapPurpose, link_check, unwrap_under_secret

FILES = sorted(Path(__file__).parent.glob("*.txt"))
Vector = dict[str, list[str]]


def read_vector(file: Path) -> Vector:
    found: Vector = defaultdict(list)
    for line in file.read_text(encoding="utf-8").splitlines():
        label, _, value = line.partition(":")
        found[label].append(value.strip())
    return found


def hexed(vector: Vector, label: str) -> bytes:
    return bytes.fromhex(vector[label][0])


def open_document(vector: Vector) -> bytes:
    stored = [None if part == "missing" else bytes.fromhex(part) for part in vector["part"]]
    message_key = MessageKey(hexed(vector, "message-key"))
    manifest = open_manifest(
        message_key,
        transfer_id=vector["transfer"][0],
        document_id=vector["document"][0],
        sealed=hexed(vector, "manifest"),
        expected_digest=hexed(vector, "manifest-digest"),
    )

    def read(number: int, start: int, length: int) -> bytes:
        part = stored[number]
        assert part is not None
        return part[start : start + length]

    def size(number: int) -> int | None:
        part = stored[number]
        return None if part is None else len(part)

    reader = DocumentReader(message_key, manifest, read, size)
    plain = b"".join(reader.read_range(0, manifest.total_bytes))
    assert b"".join(map(bytes, reader.view_range(0, manifest.total_bytes))) == plain
    assert hashlib.sha256(plain).digest() == manifest.sha256
    return plain


def open_sealed_text(vector: Vector) -> bytes:
    return open_bytes(hexed(vector, "key"), vector["context"][0], hexed(vector, "sealed"))


def open_wrap(vector: Vector) -> bytes:
    if "link-check" in vector:
        check = link_check(hexed(vector, "salt"), hexed(vector, "secret"), vector["holder"][0])
        assert check == hexed(vector, "link-check")
    return unwrap_under_secret(
        hexed(vector, "sealed"),
        purpose=WrapPurpose[vector["purpose"][0]],
        secret=hexed(vector, "secret"),
        salt=hexed(vector, "salt"),
        transfer_id=vector["transfer"][0],
        holder_id=vector["holder"][0],
        key_id=vector["key-id"][0],
    ).material


OPEN: dict[str, Callable[[Vector], bytes]] = {"document": open_document, "text": open_sealed_text, "wrap": open_wrap}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_vector(file: Path) -> None:
    vector = read_vector(file)
    (expect,) = vector["expect"]
    open_it = OPEN[vector["kind"][0]]

    if expect == "success":
        assert hashlib.sha256(open_it(vector)).hexdigest() == vector["plaintext-sha256"][0]
    else:
        with pytest.raises(SealBroken) as refused:
            open_it(vector)
        assert type(refused.value).__name__ == expect


def test_every_refusal_has_a_vector_and_every_vector_a_refusal() -> None:
    expected = {read_vector(file)["expect"][0] for file in FILES}
    assert expected == {refusal.__name__ for refusal in SealBroken.__subclasses__()} | {"success"}


def test_the_files_are_what_the_generator_makes() -> None:
    assert {file.name: file.read_text(encoding="utf-8") for file in FILES} == vectors()
