"""Write the test vectors next to this file, always the same bytes.

This is a second implementation of `backend/docs/sealed-format.md`, from the page and without our package, so that the
vectors judge the code and not itself. Its "random" bytes follow from a counter. Run it with
`python tests/vectors/make_vectors.py`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE: Final = Path(__file__).parent
Line = tuple[str, str]


class Generator:
    """Bytes that look random and are the same on every run."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._counter = 0

    def take(self, count: int) -> bytes:
        self._counter += 1
        return hashlib.shake_256(f"{self._seed}/{self._counter}".encode()).digest(count)


# The format


def fields(*parts: bytes | str) -> bytes:
    encoded = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join(len(part).to_bytes(2, "big") + part for part in encoded)


def extract(salt: bytes, material: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), material, "sha256")


def expand(key: bytes, info: bytes) -> bytes:
    return hmac.digest(key, info + b"\x01", "sha256")


def box(key: bytes, nonce: bytes, plain: bytes, context: bytes, head: bytes = b"\x01") -> bytes:
    return head + nonce + AESGCM(key).encrypt(nonce, plain, context)


def document_key(message_key: bytes, document_id: str) -> bytes:
    return expand(message_key, fields("zegelpost/1/document", document_id))


def seal_part(key: bytes, transfer_id: str, document_id: str, number: int, plain: bytes, random: Generator) -> bytes:
    """A part of one segment."""
    salt, prefix = random.take(32), random.take(7)
    associated_data = fields("zegelpost/1/part", transfer_id, document_id, number.to_bytes(4, "big"))
    part_key = expand(extract(salt, key), associated_data)
    return b"\x28" + salt + prefix + AESGCM(part_key).encrypt(prefix + bytes(4) + b"\x01", plain, None)


def manifest_plain(entries: list[tuple[int, int, bytes]], total_bytes: int, sha256: bytes) -> bytes:
    plain = total_bytes.to_bytes(8, "big") + sha256 + len(entries).to_bytes(4, "big")
    return plain + b"".join(offset.to_bytes(8, "big") + length.to_bytes(8, "big") + header for offset, length, header in entries)


# Documents


@dataclass
class Case:
    """One document as it was sealed, and what Mallory made of it in the store."""

    expect: str
    comment: str
    seed: str
    pieces: list[bytes] = field(default_factory=lambda: [b"Zeer geachte heer,", b"hierbij het verslag."])
    message_key: bytes = b""
    transfer_id: str = "transfer-anna"
    document_id: str = "document-anna"
    parts: list[bytes | None] = field(default_factory=list)
    entries: list[tuple[int, int, bytes]] = field(default_factory=list)
    manifest: bytes = b""
    digest: bytes = b""

    def __post_init__(self) -> None:
        self.random = Generator(self.seed)
        self.message_key = self.random.take(32)
        self.parts = [self.part(number) for number in range(len(self.pieces))]
        position = 0
        for number, piece in enumerate(self.pieces):
            self.entries.append((position, len(piece), self.stored(number)[:40]))
            position += len(piece)
        self.seal(self.plain_manifest())

    @property
    def plain(self) -> bytes:
        return b"".join(self.pieces)

    def stored(self, number: int) -> bytes:
        part = self.parts[number]
        assert part is not None
        return part

    def part(
        self, number: int, *, transfer_id: str | None = None, document_id: str | None = None, plain: bytes | None = None
    ) -> bytes:
        """A genuine part with a fresh header, for here or for elsewhere."""
        transfer_id, document_id = transfer_id or self.transfer_id, document_id or self.document_id
        key = document_key(self.message_key, document_id)
        plain = self.pieces[number] if plain is None else plain
        return seal_part(key, transfer_id, document_id, number, plain, self.random)

    def plain_manifest(self) -> bytes:
        return manifest_plain(self.entries, len(self.plain), hashlib.sha256(self.plain).digest())

    def seal(self, plain: bytes, *, transfer_id: str | None = None, document_id: str | None = None) -> None:
        """Seal a manifest and acknowledge it."""
        transfer_id, document_id = transfer_id or self.transfer_id, document_id or self.document_id
        key = expand(self.message_key, fields("zegelpost/1/manifest", document_id))
        self.manifest = box(key, self.random.take(12), plain, fields("zegelpost/1/manifest", transfer_id, document_id))
        self.digest = hashlib.sha256(self.manifest).digest()

    def lines(self) -> list[Line]:
        return [
            ("kind", "document"),
            ("expect", self.expect),
            ("comment", self.comment),
            ("message-key", self.message_key.hex()),
            ("transfer", self.transfer_id),
            ("document", self.document_id),
            ("plaintext-sha256", hashlib.sha256(self.plain).hexdigest()),
            ("manifest-digest", self.digest.hex()),
            ("manifest", self.manifest.hex()),
            *(("part", "missing" if part is None else part.hex()) for part in self.parts),
        ]


def flipped(data: bytes, position: int) -> bytes:
    position %= len(data)
    return data[:position] + bytes([data[position] ^ 0x01]) + data[position + 1 :]


def genuine_documents() -> Iterator[tuple[str, Case]]:
    yield "one_part", Case("success", "One part of one byte.", "one part", [b"x"])
    yield "two_parts", Case("success", "Two parts.", "two parts")
    yield "empty_part", Case("success", "One part without plaintext.", "empty part", [b""])
    yield "no_parts", Case("success", "An empty document needs no part.", "no parts", [])


def hostile_parts() -> Iterator[tuple[str, Case]]:
    case = Case("PartMissing", "The last part was dropped.", "dropped")
    case.parts[1] = None
    yield "part_dropped", case

    case = Case("PartMisplaced", "The parts were swapped.", "swapped")
    case.parts.reverse()
    yield "parts_swapped", case

    case = Case("PartMisplaced", "The first part lies in the second place too.", "duplicated", [b"even long", b"long even"])
    case.parts[1] = case.parts[0]
    yield "part_duplicated", case

    case = Case("PartMisplaced", "An attempt at the first part that was never acknowledged was put back.", "replayed")
    case.parts[0] = case.part(0)
    yield "part_replayed", case

    case = Case("SegmentAltered", "The same, under the header that the manifest pins.", "replayed under header")
    case.parts[0] = case.stored(0)[:40] + case.part(0)[40:]
    yield "part_replayed_under_pinned_header", case

    case = Case("PartMisplaced", "A part of another document of the transfer.", "other document")
    case.parts[0] = case.part(0, document_id="document-bram")
    yield "part_of_another_document", case

    case = Case("PartMisplaced", "A part of another transfer.", "other transfer")
    case.parts[0] = case.part(0, transfer_id="transfer-bram")
    yield "part_of_another_transfer", case

    for name, length in {"a_byte": -1, "its_tag": -16, "its_segment": 40, "half_its_header": 20, "everything": 0}.items():
        case = Case("PartTruncated", f"Cut off from the first part: {name.replace('_', ' ')}.", f"cut {name}")
        case.parts[0] = case.stored(0)[:length]
        yield f"part_cut_by_{name}", case

    case = Case("PartExtended", "A byte was appended to the first part.", "appended byte")
    case.parts[0] = case.stored(0) + b"\x00"
    yield "part_extended_by_a_byte", case

    case = Case("PartExtended", "The second part was appended to the first.", "appended part")
    case.parts[0] = case.stored(0) + case.stored(1)
    yield "part_extended_by_a_part", case

    flips = {
        "header_length": (0, "HeaderMalformed"),
        "salt": (1, "PartMisplaced"),
        "nonce_prefix": (39, "PartMisplaced"),
        "ciphertext": (40, "SegmentAltered"),
        "tag": (-1, "SegmentAltered"),
    }
    for name, (position, expect) in flips.items():
        case = Case(expect, f"One bit was flipped in the first part: {name.replace('_', ' ')}.", f"flipped {name}")
        case.parts[0] = flipped(case.stored(0), position)
        yield f"part_flipped_in_{name}", case

    case = Case("SegmentAltered", "The manifest is genuine; the content was sealed under another message key.", "other key")
    key = document_key(bytes(32), case.document_id)
    forged = seal_part(key, case.transfer_id, case.document_id, 0, case.pieces[0], case.random)
    case.entries[0] = (0, len(case.pieces[0]), forged[:40])
    case.parts[0] = forged
    case.seal(case.plain_manifest())
    yield "part_under_another_key", case


def hostile_manifests() -> Iterator[tuple[str, Case]]:
    case = Case("ManifestOutdated", "A genuine manifest of this document that is not the acknowledged one.", "outdated")
    acknowledged = case.digest
    case.seal(case.plain_manifest())
    case.digest = acknowledged
    yield "manifest_outdated", case

    case = Case("ManifestOutdated", "The same, and it names fewer parts, which are all there.", "outdated and shorter")
    acknowledged = case.digest
    first = case.pieces[0]
    case.seal(manifest_plain(case.entries[:1], len(first), hashlib.sha256(first).digest()))
    case.digest = acknowledged
    case.parts = case.parts[:1]
    yield "manifest_outdated_and_shorter", case

    case = Case("ManifestAltered", "The manifest of another document of the transfer.", "manifest of other document")
    case.seal(case.plain_manifest(), document_id="document-bram")
    yield "manifest_of_another_document", case

    case = Case("ManifestAltered", "The manifest of a document of another transfer.", "manifest of other transfer")
    case.seal(case.plain_manifest(), transfer_id="transfer-bram")
    yield "manifest_of_another_transfer", case

    for name, position in {"nonce": 1, "ciphertext": 13, "tag": -1}.items():
        case = Case("ManifestAltered", f"One bit was flipped in the manifest: {name}.", f"manifest flipped {name}")
        case.manifest = flipped(case.manifest, position)
        yield f"manifest_flipped_in_{name}", case

    case = Case("ManifestAltered", "Cut off from the manifest: its last part.", "manifest cut")
    case.manifest = case.manifest[:-56]
    yield "manifest_cut", case

    case = Case("ManifestAltered", "Nothing is left of the manifest.", "manifest empty")
    case.manifest = b""
    yield "manifest_empty", case

    case = Case("FormatUnknown", "The manifest says it has version 2.", "manifest version")
    case.manifest = b"\x02" + case.manifest[1:]
    yield "manifest_of_unknown_version", case

    yield from nonsense_manifests()


def nonsense_manifests() -> Iterator[tuple[str, Case]]:
    case = Case("ManifestInconsistent", "Sealed nonsense: a gap between the parts.", "nonsense gap")
    offset, length, header = case.entries[1]
    case.entries[1] = (offset + 1, length, header)
    case.seal(case.plain_manifest())
    yield "manifest_with_a_gap", case

    case = Case("ManifestInconsistent", "Sealed nonsense: the parts do not add up to the total.", "nonsense total")
    case.seal(manifest_plain(case.entries, len(case.plain) + 1, hashlib.sha256(case.plain).digest()))
    yield "manifest_with_a_wrong_total", case

    case = Case("ManifestInconsistent", "Sealed nonsense: two parts share a header.", "nonsense header")
    offset, length, _ = case.entries[1]
    case.entries[1] = (offset, length, case.entries[0][2])
    case.seal(case.plain_manifest())
    yield "manifest_with_a_header_twice", case

    case = Case("ManifestInconsistent", "Sealed nonsense: a header that does not begin with its length.", "nonsense form")
    offset, length, header = case.entries[1]
    case.entries[1] = (offset, length, b"\x00" + header[1:])
    case.seal(case.plain_manifest())
    yield "manifest_with_a_malformed_header", case

    case = Case("ManifestInconsistent", "Sealed nonsense: a byte after the last part.", "nonsense tail")
    case.seal(case.plain_manifest() + b"\x00")
    yield "manifest_with_a_tail", case


# Texts and wraps


def texts() -> Iterator[tuple[str, list[Line]]]:
    random = Generator("texts")
    key, place, plain = random.take(32), "transfer/transfer-anna/subject", "Uw dossiër: € 12".encode()
    context = fields("zegelpost/1/text", place)
    sealed = box(expand(key, context), random.take(12), plain, context)

    def lines(expect: str, comment: str, stored: bytes, *, at: str = place) -> list[Line]:
        return [
            ("kind", "text"),
            ("expect", expect),
            ("comment", comment),
            ("key", key.hex()),
            ("context", at),
            ("plaintext-sha256", hashlib.sha256(plain).hexdigest()),
            ("sealed", stored.hex()),
        ]

    yield "text", lines("success", "A subject.", sealed)
    yield "text_flipped_in_nonce", lines("TextAltered", "One bit was flipped in the nonce.", flipped(sealed, 1))
    yield "text_flipped_in_tag", lines("TextAltered", "One bit was flipped in the tag.", flipped(sealed, -1))
    yield "text_cut", lines("TextAltered", "The last byte was cut off.", sealed[:-1])
    yield "text_empty", lines("TextAltered", "Nothing is left.", b"")
    yield "text_moved", lines("TextAltered", "Read in another place.", sealed, at="transfer/transfer-anna/note")
    yield "text_of_unknown_version", lines("FormatUnknown", "It says it has version 2.", b"\x02" + sealed[1:])


PURPOSES: Final = {"LINK": 1, "SENDER": 2, "DRAFT": 3, "GRANT": 4}


def wraps() -> Iterator[tuple[str, list[Line]]]:
    random = Generator("wraps")
    message_key = random.take(32)
    circumstances = {
        "LINK": (random.take(20), random.take(32), "rosa", "2026-W52"),
        "SENDER": (random.take(32), b"", "sender", "2026-W52"),
        "DRAFT": (random.take(64), b"zegelpost token wrap v1", "sender", "token"),
        "GRANT": (random.take(64), b"zegelpost token wrap v1", "rosa", "cookie"),
    }

    def wrap(purpose: str) -> bytes:
        secret, salt, holder, key_id = circumstances[purpose]
        head = bytes([1, PURPOSES[purpose]])
        context = fields("zegelpost/1/wrap", head, "transfer-anna", holder, key_id)
        return box(expand(extract(salt, secret), context), random.take(12), message_key, context, head)

    def lines(expect: str, comment: str, stored: bytes, of: str = "LINK", **wrong: str) -> list[Line]:
        secret, salt, holder, key_id = circumstances[of]
        right = {
            "purpose": of,
            "secret": secret.hex(),
            "salt": salt.hex(),
            "transfer": "transfer-anna",
            "holder": holder,
            "key-id": key_id,
        }
        check = expand(extract(salt, secret), fields("zegelpost/1/link-check", holder))
        return [
            ("kind", "wrap"),
            ("expect", expect),
            ("comment", comment),
            *(right | {name.replace("_", "-"): value for name, value in wrong.items()}).items(),
            *([("link-check", check.hex())] if expect == "success" and of == "LINK" else []),
            ("plaintext-sha256", hashlib.sha256(message_key).hexdigest()),
            ("sealed", stored.hex()),
        ]

    for purpose in PURPOSES:
        yield f"wrap_for_{purpose.lower()}", lines("success", f"A wrap for purpose {purpose}.", wrap(purpose), purpose)
    link = wrap("LINK")
    refused = "WrapRefused"
    yield "wrap_with_another_secret", lines(refused, "Another link's secret.", link, secret=random.take(20).hex())
    yield "wrap_with_another_salt", lines(refused, "Another week's salt.", link, salt=random.take(32).hex())
    yield "wrap_of_another_holder", lines(refused, "Another recipient.", link, holder="mallory")
    yield "wrap_of_another_transfer", lines(refused, "Another transfer.", link, transfer="transfer-bram")
    yield "wrap_of_another_week", lines(refused, "Another week.", link, key_id="2026-W51")
    yield "wrap_for_another_purpose", lines(refused, "Used as a draft's wrap.", link, purpose="DRAFT")
    relabelled = link[:1] + bytes([PURPOSES["DRAFT"]]) + link[2:]
    yield "wrap_relabelled", lines(refused, "Relabelled as a draft's wrap, and used as one.", relabelled, purpose="DRAFT")
    yield "wrap_flipped", lines(refused, "One bit was flipped.", flipped(link, 20))
    yield "wrap_cut", lines(refused, "The last byte was cut off.", link[:-1])
    yield "wrap_extended", lines(refused, "A byte was appended.", link + b"\x00")
    yield "wrap_empty", lines(refused, "Nothing is left.", b"")
    yield "wrap_of_unknown_version", lines(refused, "It says it has version 2; wraps do not say why.", b"\x02" + link[1:])


def vectors() -> dict[str, str]:
    """File name to content."""
    made: dict[str, list[Line]] = {}
    for cases in (genuine_documents(), hostile_parts(), hostile_manifests()):
        made |= {f"document_{name}": case.lines() for name, case in cases}
    made |= dict(texts())
    made |= dict(wraps())
    return {f"{name}.txt": "".join(f"{label}: {value}".rstrip() + "\n" for label, value in lines) for name, lines in made.items()}


if __name__ == "__main__":
    for stale in HERE.glob("*.txt"):
        stale.unlink()
    for name, content in vectors().items():
        (HERE / name).write_text(content, encoding="utf-8")
