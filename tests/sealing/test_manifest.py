from __future__ import annotations

import struct

import pytest
from tests.sealing.sealed_document import DOCUMENT, TRANSFER, SealedDocument

from zegelpost.sealing.box import seal_box
from zegelpost.sealing.errors import FormatUnknown, ManifestAltered, ManifestInconsistent, ManifestOutdated
from zegelpost.sealing.keys import MessageKey, labelled
from zegelpost.sealing.manifest import Manifest, PartEntry, manifest_digest, open_manifest, seal_manifest

KEY = MessageKey(bytes(range(32)))


def header(fill: int) -> bytes:
    return b"\x28" + bytes([fill]) * 39


def manifest(*lengths: int) -> Manifest:
    parts = [PartEntry(number, sum(lengths[:number]), length, header(number)) for number, length in enumerate(lengths)]
    return Manifest(TRANSFER, DOCUMENT, parts, sum(lengths), bytes(32))


def reopened(sealed: bytes, *, key: MessageKey = KEY, transfer_id: str = TRANSFER, document_id: str = DOCUMENT) -> Manifest:
    """Opened with its own digest, so that only the seal can refuse."""
    digest = manifest_digest(sealed)
    return open_manifest(key, transfer_id=transfer_id, document_id=document_id, sealed=sealed, expected_digest=digest)


@pytest.mark.parametrize("lengths", [(), (0,), (5,), (5, 0, 7), (1,) * 200, (2**40, 2**40)])
def test_a_manifest_comes_back_as_it_was(lengths: tuple[int, ...]) -> None:
    sealed = seal_manifest(KEY, manifest(*lengths))
    assert reopened(sealed) == manifest(*lengths)
    assert len(sealed) == 73 + 56 * len(lengths)


def test_every_flipped_byte_is_refused() -> None:
    sealed = seal_manifest(KEY, manifest(5, 7))
    for position in range(len(sealed)):
        flipped = bytearray(sealed)
        flipped[position] ^= 0x04
        with pytest.raises(FormatUnknown if position == 0 else ManifestAltered):
            reopened(bytes(flipped))


def test_every_shortened_or_lengthened_manifest_is_refused() -> None:
    sealed = seal_manifest(KEY, manifest(5, 7))
    for wrong in [sealed[:length] for length in range(len(sealed))] + [sealed + b"\x00"]:
        with pytest.raises(ManifestAltered):
            reopened(wrong)


def test_a_manifest_opens_only_for_its_document() -> None:
    sealed = seal_manifest(KEY, manifest(5))
    with pytest.raises(ManifestAltered):
        reopened(sealed, document_id="document-of-bram")
    with pytest.raises(ManifestAltered):
        reopened(sealed, transfer_id="transfer-of-bram")
    with pytest.raises(ManifestAltered):
        reopened(sealed, key=MessageKey(bytes(32)))


def test_an_older_genuine_manifest_is_refused() -> None:
    older = SealedDocument([b"first version"], message_key=KEY)
    document = SealedDocument([b"later version"], message_key=KEY)
    document.sealed_manifest = older.sealed_manifest
    with pytest.raises(ManifestOutdated):
        document.opened_manifest()


def test_the_same_manifest_sealed_again_is_not_the_acknowledged_one() -> None:
    first, again = seal_manifest(KEY, manifest(5)), seal_manifest(KEY, manifest(5))
    with pytest.raises(ManifestOutdated):
        open_manifest(KEY, transfer_id=TRANSFER, document_id=DOCUMENT, sealed=again, expected_digest=manifest_digest(first))


def test_a_flipped_bit_is_called_altered_and_not_outdated() -> None:
    sealed = seal_manifest(KEY, manifest(5))
    flipped = sealed[:-1] + bytes([sealed[-1] ^ 1])
    with pytest.raises(ManifestAltered):
        open_manifest(KEY, transfer_id=TRANSFER, document_id=DOCUMENT, sealed=flipped, expected_digest=manifest_digest(sealed))


@pytest.mark.parametrize(
    ("parts", "total_bytes", "sha256"),
    [
        ([PartEntry(1, 0, 5, header(0))], 5, bytes(32)),
        ([PartEntry(0, 0, 5, header(0)), PartEntry(0, 5, 5, header(1))], 10, bytes(32)),
        ([PartEntry(0, 1, 5, header(0))], 5, bytes(32)),
        ([PartEntry(0, 0, 5, header(0)), PartEntry(1, 4, 5, header(1))], 9, bytes(32)),
        ([PartEntry(0, 0, 5, header(0)), PartEntry(1, 6, 5, header(1))], 11, bytes(32)),
        ([PartEntry(0, 0, 5, header(0))], 6, bytes(32)),
        ([], 1, bytes(32)),
        ([PartEntry(0, 0, 5, header(0)), PartEntry(1, 5, -5, header(1))], 0, bytes(32)),
        ([PartEntry(0, 0, 5, header(0)), PartEntry(1, 5, 5, header(0))], 10, bytes(32)),
        ([PartEntry(0, 0, 5, header(0)[:-1])], 5, bytes(32)),
        ([PartEntry(0, 0, 5, bytes(40))], 5, bytes(32)),
        ([PartEntry(0, 0, 5, header(0))], 5, bytes(31)),
    ],
)
def test_a_manifest_adds_up(parts: list[PartEntry], total_bytes: int, sha256: bytes) -> None:
    with pytest.raises(ManifestInconsistent):
        Manifest(TRANSFER, DOCUMENT, parts, total_bytes, sha256)


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        bytes(43),
        struct.pack(">Q32sI", 0, bytes(32), 1),
        struct.pack(">Q32sI", 0, bytes(32), 0) + bytes(1),
        struct.pack(">Q32sI", 0, bytes(32), 2**32 - 1),
        struct.pack(">Q32sI", 9, bytes(32), 0),
        struct.pack(">Q32sIQQ40s", 5, bytes(32), 1, 3, 5, header(0)),
    ],
)
def test_sealed_nonsense_is_refused_on_opening(plain: bytes) -> None:
    context = labelled("zegelpost/1/manifest", TRANSFER, DOCUMENT)
    with pytest.raises(ManifestInconsistent):
        reopened(seal_box(KEY.manifest_key(DOCUMENT), plain, context=context))
