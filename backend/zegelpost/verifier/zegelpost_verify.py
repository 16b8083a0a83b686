#!/usr/bin/env python3
"""Checks exports of the audit and reports of Zegelpost, without Zegelpost and without a network.

    python3 zegelpost_verify.py FILE [--key KEY] [--checkpoint FILE]… [--earlier EXPORT]…

FILE is an export of the audit, a report as PDF or as JSON, or a mail with a checkpoint. KEY is the verifier key as it stands in
every such mail.
`--checkpoint` is such a mail or its text, saved as a file. `--earlier` is an export from before, to compare each entry with.

Needs Python 3.9 and nothing else. It follows `audit-format.md` of Zegelpost and shares no code with it. Ends with 0 when all
holds, 1 when something does not, 2 when the file cannot be read.
"""

from __future__ import annotations

import argparse
import base64
import email
import hashlib
import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple, TextIO

FIVE_YEARS = timedelta(days=5 * 365 + 2)
EXPORT_FORMAT = "zegelpost-audit/1"
REPORT_FORMAT = "zegelpost transfer report 2"
LARGEST_REPORT = 256 * 1024 * 1024  # bytes; a small file can be made to unpack to more than any memory holds


class Wrong(Exception):
    """Something does not hold. `position` is the first bad entry, where one can be named."""

    def __init__(self, words: str, position: int | None = None) -> None:
        super().__init__(words)
        self.position = position


class Unreadable(Exception):
    """Not a file that this program knows."""


# Ed25519 (RFC 8032, section 5.1), verifying only. No secret is handled here, so it need not be quick nor take equal time.

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
Point = tuple[int, int, int, int]


def _recover(y: int, sign: int) -> int | None:
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    return x if x & 1 == sign else P - x


def _point(encoded: bytes) -> Point | None:
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    x = _recover(y, sign) if y < P else None
    return None if x is None else (x, y, 1, x * y % P)


def _add(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _times(factor: int, point: Point) -> Point:
    result: Point = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            result = _add(result, point)
        point = _add(point, point)
        factor >>= 1
    return result


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = _recover(BASE_Y, 0) or 0
BASE: Point = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether this is the signature of the message by the holder of the key."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, r, s = _point(public), _point(signature[:32]), int.from_bytes(signature[32:], "little")
    if key is None or r is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    left, right = _times(s, BASE), _add(r, _times(h, key))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# Signed notes and checkpoints (https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint)


class Key(NamedTuple):
    name: str
    public: bytes

    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n\x01" + self.public).digest()[:4]


class Checkpoint(NamedTuple):
    origin: str
    size: int
    root: bytes


def read_key(text: str) -> Key:
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    packed = _base64(encoded)
    if not name or packed[:1] != b"\x01" or len(packed) != 33 or Key(name, packed[1:]).id().hex() != key_id:
        raise Unreadable("this is no verifier key: copy it whole, from a mail with a checkpoint")
    return Key(name, packed[1:])


def open_checkpoint(note: str, key: Key) -> Checkpoint:
    """The checkpoint in a note that this key signed."""
    text, separator, below = note.rpartition("\n\n")
    if not separator:
        raise Wrong("the checkpoint is no signed note")
    text += "\n"
    is_found = False
    for line in below.strip("\n").split("\n"):
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014":
            raise Wrong("a line under the checkpoint is no signature")
        packed = _base64(parts[2])
        if parts[1] == key.name and packed[:4] == key.id():
            if not is_signed(key.public, text.encode(), packed[4:]):
                raise Wrong("the signature under the checkpoint does not fit it")
            is_found = True
    if not is_found:
        raise Wrong("the checkpoint is not signed with the key " + key.name + "+" + key.id().hex())
    lines = text.split("\n")
    if len(lines) < 4 or not re.fullmatch("0|[1-9][0-9]*", lines[1]) or lines[0] != key.name:
        raise Wrong("what was signed is no checkpoint of this record")
    return Checkpoint(lines[0], int(lines[1]), _base64(lines[2]))


def text_of(content: bytes) -> str:
    """Any text, such as that of a saved mail; mail programs encode, break lines and mark them."""
    mail = email.message_from_bytes(content)
    parts = [part.get_payload(decode=True) for part in mail.walk() if part.get_content_type() == "text/plain"]
    text = "\n".join(part.decode("utf-8", "replace") for part in [content, *parts] if isinstance(part, bytes))
    return re.sub(r"(?m)^(?:[>|][ \t]?)+", "", text.replace("\r\n", "\n").replace("\xa0", " "))


def find_notes(content: bytes) -> list[str]:
    """Checkpoints in any text."""
    text = text_of(content)
    pattern = (
        r"(?m)^[ \t]*(\S+/audit)[ \t]*\n[ \t]*(\d+)[ \t]*\n[ \t]*([A-Za-z0-9+/]{43}=)[ \t]*\n"
        r"\s*\u2014\s+(\S+)\s+([A-Za-z0-9+/]{90,}=*)"
    )
    return list(dict.fromkeys(f"{o}\n{n}\n{r}\n\n\u2014 {k} {s}\n" for o, n, r, k, s in re.findall(pattern, text)))


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Wrong("something that should be base64 is not") from None


# The tree (RFC 9162, section 2.1)


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """Grows leaf by leaf; knows its root at any moment."""

    def __init__(self) -> None:
        self.size = 0
        self._perfect: list[tuple[int, bytes]] = []  # leaves and hash of each perfect subtree, left to right

    def append(self, hashed: bytes) -> None:
        width = 1
        while self._perfect and self._perfect[-1][0] == width:
            hashed = node_hash(self._perfect.pop()[1], hashed)
            width *= 2
        self._perfect.append((width, hashed))
        self.size += 1

    def root(self) -> bytes:
        if not self._perfect:
            return hashlib.sha256(b"").digest()
        root = self._perfect[-1][1]
        for _, left in reversed(self._perfect[:-1]):
            root = node_hash(left, root)
        return root


def root_by_proof(hashed: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Where a proof leads from a leaf (section 2.1.3.2)."""
    if index >= size:
        raise Wrong("there is no such place in a tree of that size")
    place, last = index, size - 1
    for step in proof:
        if last == 0:
            raise Wrong("the proof is too long")
        if place & 1 or place == last:
            hashed = node_hash(step, hashed)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            hashed = node_hash(hashed, step)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise Wrong("the proof is too short")
    return hashed


def begins_with(old: Checkpoint, new: Checkpoint, proof: Sequence[bytes]) -> bool:
    """Whether a consistency proof leads from the older tree to the newer (section 2.1.4.2)."""
    if not 0 < old.size < new.size or not proof:
        return False
    steps = [old.root, *proof] if old.size & (old.size - 1) == 0 else list(proof)
    place, last = old.size - 1, new.size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    older = newer = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            older, newer = node_hash(step, older), node_hash(step, newer)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            newer = node_hash(newer, step)
        place, last = place >> 1, last >> 1
    return last == 0 and older == old.root and newer == new.root


# Entries


class Entry(NamedTuple):
    """An event as it is in the tree, with what could be checked of who it was."""

    position: int
    leaf: dict[str, Any]
    personal: dict[str, Any] | None  # nothing once erased
    hash: bytes
    is_early: bool = False  # erased before five years were over: somebody has to have asked for it


def blanked_by(entry: Entry) -> set[int]:
    """The places that an entry `person:erased` names: `3-7,9`."""
    if entry.leaf.get("tag") != "person:erased" or entry.personal is None:
        return set()
    facts = entry.personal.get("facts")
    text = str(facts.get("positions", "")) if isinstance(facts, dict) else ""
    if not re.fullmatch("(?:[0-9]{1,18}(?:-[0-9]{1,18})?(?:,(?!$)|$))*", text):
        raise Wrong(f"entry {entry.position} does not name entries as it should", entry.position)
    found: set[int] = set()
    for piece in filter(None, text.split(",")):
        first, _, last = piece.partition("-")
        if int(last or first) >= entry.position:
            raise Wrong(f"entry {entry.position} names entries that come after it", entry.position)
        found.update(range(int(first), int(last or first) + 1))
    return found


class Blanks:
    """Entries without who it was, whose five years are not over, and what other entries say of them."""

    def __init__(self) -> None:
        self.early: dict[int, Entry] = {}
        self.named: set[int] = set()

    def see(self, entry: Entry) -> None:
        self.named |= blanked_by(entry)
        if entry.is_early:
            self.early[entry.position] = entry

    def words(self, *, is_whole: bool) -> list[str]:
        """Of a whole record, each has to be named. Raises `Wrong` for the first that is not."""
        unnamed = sorted(set(self.early) - self.named)
        if is_whole and unnamed:
            leaf = self.early[unnamed[0]].leaf
            raise Wrong(
                f"entry {unnamed[0]} (event {leaf.get('event')}, {leaf.get('tag')}): who it was is missing, five years are not"
                " over, and no entry says that it was erased on request",
                unnamed[0],
            )
        words = []
        if self.early:
            words.append(f"Of {len(self.early)} of those it was erased before that, on the request of who it was about.")
        if unnamed:
            words.append(
                f"NOT proven: that {len(unnamed)} of those were erased on request; the entries that say so are not in this part."
            )
        return words


def read_entry(line: dict[str, Any], now: datetime | None) -> Entry:
    """One entry, held against its own commitments. Without `now`, who it was may be left out at any age."""
    position, text, personal, salt = (line.get(name) for name in ("position", "leaf", "personal", "salt"))
    if not isinstance(position, int) or not isinstance(text, str):
        raise Wrong("a line is no entry")
    leaf = _plain(text, position)
    if not isinstance(leaf, dict) or leaf.get("v") != 1:
        raise Wrong(f"entry {position} has another version than 1", position)
    name = f"entry {position} (event {leaf.get('event')}, {leaf.get('tag')})"
    if leaf.get("position") != position:
        raise Wrong(f"entry {position} was moved: it says that it is number {leaf.get('position')}", position)
    if personal is None and salt is None:
        is_early = now is not None and _moment(leaf.get("at"), position) + FIVE_YEARS > now
        return Entry(position, leaf, None, leaf_hash(text.encode("ascii")), is_early)
    if not isinstance(personal, str) or not isinstance(salt, str) or not re.fullmatch("[0-9a-f]{64}", salt):
        raise Wrong(f"{name}: who it was cannot be checked", position)
    who = _plain(personal, position)
    if hashlib.sha256(bytes.fromhex(salt) + personal.encode("ascii")).hexdigest() != leaf.get("personal"):
        raise Wrong(f"{name}: who it was, or a fact of it, was changed", position)
    return Entry(position, leaf, who, leaf_hash(text.encode("ascii")))


def _plain(text: str, position: int) -> Any:
    """JSON that is written in the one way that is allowed."""
    try:
        value = json.loads(text)
    except ValueError:
        raise Wrong(f"entry {position} is no JSON", position) from None
    if json.dumps(value, sort_keys=True, separators=(",", ":")) != text:
        raise Wrong(f"entry {position} is not written as it should be", position)
    return value


def _moment(text: Any, position: int) -> datetime:
    try:
        return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    except ValueError:
        raise Wrong(f"entry {position} has no time", position) from None


# Exports


class Trust(NamedTuple):
    """What the reader brings along: the key, if any, checkpoints and hashes of entries that were kept earlier."""

    key: Key | None
    notes: list[str]
    known: dict[int, bytes]
    now: datetime


def json_lines(text: str) -> Iterator[dict[str, Any]]:
    # Not `splitlines`: that also breaks at characters that may stand in somebody's name, such as U+2028.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError:
            raise Wrong(f"line {number} is no JSON") from None
        if not isinstance(value, dict):
            raise Wrong(f"line {number} is no entry")
        yield value


def verify_export(lines: Iterable[dict[str, Any]], trust: Trust) -> list[str]:
    """What holds, in words. Raises `Wrong` for the first entry that does not."""
    rest = iter(lines)
    head = next(rest)
    key = trust.key or read_key(str(head.get("key")))
    newest = open_checkpoint(str(head.get("checkpoint")), key)
    earlier = sorted((open_checkpoint(note, key) for note in trust.notes), key=lambda checkpoint: checkpoint.size)
    is_whole, tree = bool(head.get("is_whole")), Tree()
    ahead = [*(each for each in earlier if each.size <= newest.size), newest] if is_whole else []
    good, count, erased, previous = 0, 0, 0, -1
    blanks = Blanks()
    good = _pass(ahead, tree, good)
    for line in rest:
        entry = read_entry(line, trust.now)
        if is_whole and entry.position != tree.size:
            raise Wrong(f"entry {tree.size} is missing, or not in its place", tree.size)
        if entry.position <= previous or entry.position >= newest.size:
            raise Wrong(f"entry {entry.position} is not in its place", entry.position)
        if trust.known.get(entry.position, entry.hash) != entry.hash:
            raise Wrong(f"entry {entry.position} is not what the earlier export has", entry.position)
        if is_whole:
            tree.append(entry.hash)
            good = _pass(ahead, tree, good)
        else:
            _include(line, entry, newest)
        blanks.see(entry)
        count, erased, previous = count + 1, erased + (entry.personal is None), entry.position
    if is_whole and tree.size < newest.size:
        raise Wrong(f"entry {tree.size} is missing: the export ends there, and its checkpoint tells of {newest.size}", tree.size)
    said = blanks.words(is_whole=is_whole)
    for checkpoint in earlier:
        if checkpoint.size > newest.size:
            raise Wrong(
                f"the record ends at {newest.size} entries, but an earlier checkpoint tells of {checkpoint.size}:"
                " its end was cut off",
                newest.size,
            )
    beyond = [position for position in trust.known if position >= newest.size]
    if beyond:
        raise Wrong(f"entry {min(beyond)} of the earlier export is gone: the end was cut off", min(beyond))
    return _export_words(count, erased, is_whole=is_whole, key=key, checkpoints=len(earlier), trust=trust) + said


def _pass(ahead: list[Checkpoint], tree: Tree, good: int) -> int:
    """Hold the tree against checkpoints of its size; returns up to where they fit."""
    while ahead and ahead[0].size == tree.size:
        checkpoint = ahead.pop(0)
        if checkpoint.root != tree.root():
            last = checkpoint.size - 1
            which = f"entry {good}" if good >= last else f"an entry from {good} to {last}"
            raise Wrong(
                f"{which} is not what the checkpoint of {checkpoint.size} entries tells:"
                " it was changed, or there are two histories",
                good,
            )
        good = checkpoint.size
    return good


def _include(line: dict[str, Any], entry: Entry, checkpoint: Checkpoint) -> None:
    proof = line.get("proof")
    if not isinstance(proof, list) or not all(isinstance(step, str) and re.fullmatch("[0-9a-f]{64}", step) for step in proof):
        raise Wrong(f"entry {entry.position} has no proof", entry.position)
    try:
        root = root_by_proof(entry.hash, entry.position, checkpoint.size, [bytes.fromhex(step) for step in proof])
    except Wrong as wrong:
        raise Wrong(f"entry {entry.position}: {wrong}", entry.position) from None
    if root != checkpoint.root:
        raise Wrong(f"entry {entry.position} was changed: its proof does not lead to the checkpoint", entry.position)


def _export_words(count: int, erased: int, *, is_whole: bool, key: Key, checkpoints: int, trust: Trust) -> list[str]:
    words = [f"{count} events, as they stood in the record when its checkpoint was signed."]
    if is_whole:
        words.append("That is the whole record up to that checkpoint: none is missing, and none was put in afterwards.")
    else:
        words.append("That is a part of the record. What was left out of it cannot be seen from here.")
    if erased:
        words.append(f"Of {erased} of them it is not known any more who did it: that is erased after five years at the latest.")
    if is_whole and checkpoints:
        words.append(f"It fits {checkpoints} checkpoint(s) that you kept: nothing before the last of these was rewritten since.")
    else:
        words.append(
            "NOT proven: that this is the history that was signed earlier. Give checkpoints that you kept (--checkpoint)."
        )
    words += _key_words(key, trust)
    words.append("NOT proven: that what was recorded is true, nor the names and addresses beside it.")
    return words


def _key_words(key: Key, trust: Trust) -> list[str]:
    if trust.key is not None:
        return []
    encoded = base64.b64encode(b"\x01" + key.public).decode()
    return [
        "NOT proven: whose signature it is. The key came from this file. Compare it with the one in a mail that you trust:",
        f"    {key.name}+{key.id().hex()}+{encoded}",
    ]


# Mails


def verify_mail(content: bytes, notes: Sequence[str], trust: Trust) -> list[str]:
    """What a mail with a checkpoint holds: its signature, and how it follows on earlier ones that were kept."""
    text = text_of(content)
    written = re.search(r"\S+/audit\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}", text)
    key = trust.key or read_key(written[0] if written else "")
    newest = max((open_checkpoint(note, key) for note in notes), key=lambda checkpoint: checkpoint.size)
    words = [f"PROVEN: the record {newest.origin} had {newest.size} events when this checkpoint was signed."]
    growth = re.search(r"(\d+)\s*\u2192\s*(\d+)\s*\n((?:\s*[A-Za-z0-9+/]{43}=\s*\n?)+)", text)
    for note in trust.notes:
        kept = open_checkpoint(note, key)
        if kept.size == newest.size and kept.root != newest.root:
            raise Wrong(f"two checkpoints of {kept.size} entries differ: there are two histories")
        if kept.size >= newest.size:
            continue
        if growth is None or (int(growth[1]), int(growth[2])) != (kept.size, newest.size):
            words.append(
                f"NOT proven: that it goes on from the checkpoint of {kept.size} events; this mail is about another one."
            )
        elif begins_with(kept, newest, [_base64(step) for step in growth[3].split()]):
            words.append(f"PROVEN: it goes on from the checkpoint of {kept.size} events; nothing before that was rewritten.")
        else:
            raise Wrong(f"it does not go on from the checkpoint of {kept.size} entries: something before that was rewritten")
    return words + _key_words(key, trust)


# Reports


OPENED = ("code:verified", "device:recognised")
DOWNLOADED = ("document:downloaded", "archive:downloaded")
WITHOUT_CODE = ("sign_in", "link")


def verify_report(report: dict[str, Any], trust: Trust, where: str) -> list[str]:
    """What holds of a report's facts, in words. Raises `Wrong` for the first that does not.

    1. The checkpoint is signed.
    2. Each event with a proof is in the tree, is of this transfer, and is told as it is there.
    3. What the report concludes (who opened, who was handed over what) follows from those events, and leaves none of them out.
    """
    # 1.
    key = trust.key or read_key(str(report.get("key")))
    checkpoint = open_checkpoint(str(report.get("checkpoint")), key)
    for note in trust.notes:
        kept = open_checkpoint(note, key)
        if kept.size == checkpoint.size and kept.root != checkpoint.root:
            raise Wrong("the checkpoint you kept tells another history of the same size")
    # 2.
    entries = [entry for event in _list(report, "events") if (entry := _reported(event, report, checkpoint, trust)) is not None]
    missing = len(_list(report, "events")) - len(entries)
    # 3.
    opened, fetched = _conclusions(report, entries)
    first = (
        f"PROVEN: {len(entries)} events of transfer {_of(report, 'transfer', 'id')} stood in the record {checkpoint.origin}, of"
        f" {checkpoint.size} events, when its checkpoint was signed. They say what they said then: what, when and by whom."
    )
    words = [first, *opened, *fetched]
    closed = sum(entry.personal is None for entry in entries)
    if closed:
        words.append(
            f"Of {closed} of these events it cannot be checked who did it: that was erased, or is not shown in a report."
        )
    if missing:
        words.append(f"NOT proven: {missing} events that had no place in the record yet when the report was made.")
    words.append(
        "NOT proven: that these are all events of the transfer. An auditor can tell, from an export of the whole record."
    )
    words.append(
        "NOT proven: names, addresses, subject, names, sizes and hashes of documents, state and moments of the transfer, ways of"
        f" verifying: what is not in an event. The organisation states these; {where}."
    )
    words.append(
        "NOT proven: that what the server recorded is true. Times are those of its clock. Opened means that a right code was"
        " entered; downloaded, that the last byte was handed over; not that somebody read it."
    )
    return words + _key_words(key, trust)


def _reported(event: dict[str, Any], report: dict[str, Any], checkpoint: Checkpoint, trust: Trust) -> Entry | None:
    """An event of a report, held against its leaf."""
    name = f"event {event.get('id')} ({event.get('event')})"
    line = event.get("proof")
    if line is None:
        return None
    if not isinstance(line, dict):
        raise Wrong(f"{name} has a proof that cannot be read")
    entry = read_entry(line, None)
    _include(line, entry, checkpoint)
    if trust.known.get(entry.position, entry.hash) != entry.hash:
        raise Wrong(f"{name} is not what the export has at entry {entry.position}", entry.position)
    documents = {each.get("id"): each.get("number") for each in _list(report, "documents")}
    recipients = {each.get("id"): each.get("number") for each in _list(report, "recipients")}
    leaf = entry.leaf
    told = [
        ("transfer", _of(report, "transfer", "id"), leaf.get("transfer")),
        ("number", event.get("id"), leaf.get("event")),
        ("kind", event.get("event"), leaf.get("tag")),
        ("actor", event.get("actor"), leaf.get("actor")),
        ("time", _utc(_of(event, "at", "utc")), _moment(leaf.get("at"), entry.position)),
        ("document", event.get("document_number"), documents.get(leaf.get("document"))),
    ]
    if entry.personal is not None:
        facts = {
            fact: value for fact, value in (entry.personal.get("facts") or {}).items() if value is not None and fact != "item"
        }
        told += [
            ("recipient", event.get("recipient_number"), recipients.get(entry.personal.get("recipient"))),
            ("facts", event.get("facts"), facts),
        ]
    for what, said, proven in told:
        if said != proven:
            raise Wrong(f"{name}: the report tells another {what} than the record", entry.position)
    return entry


def _conclusions(report: dict[str, Any], entries: Sequence[Entry]) -> tuple[list[str], list[str]]:
    """Who opened and who was handed over what, from proven events alone; and that the report says the same."""
    recipients = {each.get("id"): each for each in _list(report, "recipients")}
    documents = {each.get("id"): each.get("number") for each in _list(report, "documents")}
    first_opened: dict[Any, str] = {}
    downloads: dict[tuple[Any, Any], list[str]] = {}
    for entry in entries:
        who = (entry.personal or {}).get("recipient")
        if who is None:
            continue
        if entry.leaf.get("tag") in OPENED:
            first_opened.setdefault(who, str(entry.leaf.get("at")))
        if entry.leaf.get("tag") in DOWNLOADED:
            for document, number in documents.items():
                if entry.leaf.get("document") in (document, None):
                    downloads.setdefault((_of(recipients, who, "number"), number), []).append(str(entry.leaf.get("at")))
    opened = [words for who, recipient in recipients.items() if (words := _opened_words(recipient, first_opened.get(who)))]
    said_downloads = {}
    for each in _list(report, "fetched"):
        said_downloads[each.get("recipient_number"), each.get("document_number")] = (
            each.get("count"),
            _utc(_of(each, "first", "utc")),
        )
    found_downloads = {pair: (len(times), _moment(times[0], 0)) for pair, times in downloads.items()}
    if said_downloads != found_downloads:
        raise Wrong("what the report says about downloads is not what its proven events say")
    _require_fetched(report, [entry for entry in entries if entry.leaf.get("tag") in DOWNLOADED], len(entries))
    fetched = [
        f"PROVEN: document {document} was downloaded by recipient {recipient} (the last byte was handed over),"
        f" {len(times)} time(s), first at {times[0]}."
        for (recipient, document), times in sorted(downloads.items())
    ]
    return opened, fetched


def _opened_words(recipient: dict[str, Any], at: str | None) -> str:
    """Whether a recipient opened it, given when the first proven event says so; nothing when they did not."""
    number, said = recipient.get("number"), recipient.get("proved")
    if recipient.get("method") in WITHOUT_CODE:
        if said is not None and at is None:
            return (
                f"NOT proven: that recipient {number} opened it at {_of(said, 'utc')}: no code was asked of them."
                " The organisation states it."
            )
    elif (said is not None) != (at is not None):
        raise Wrong(f"the report is wrong about recipient {number}: no proven event says what it says of the code")
    if at is None:
        return ""
    if said is not None and _utc(_of(said, "utc")) != _moment(at, 0):
        raise Wrong(f"recipient {number} entered the first right code at another time than the report says")
    return f"PROVEN: recipient {number} opened it (a right code was entered) at {at}."


def _require_fetched(report: dict[str, Any], downloads: Sequence[Entry], proven_count: int) -> None:
    """That each recipient fetched something at a moment at which they did."""
    handed_over: dict[Any, list[datetime]] = {}
    for entry in downloads:
        handed_over.setdefault((entry.personal or {}).get("recipient"), []).append(_moment(entry.leaf.get("at"), entry.position))
    # Of an event that is closed or has no place yet, nobody can tell here whose download it was.
    is_told = proven_count == len(_list(report, "events")) and all(entry.personal is not None for entry in downloads)
    for recipient in _list(report, "recipients"):
        said, moments = recipient.get("fetched"), handed_over.get(recipient.get("id"), [])
        if (said is None and moments) or (said is not None and is_told and _utc(_of(said, "utc")) not in moments):
            raise Wrong(
                f"the report is wrong about recipient {recipient.get('number')}: no proven event says what it says of fetching"
            )


def _list(value: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = value.get(name)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Wrong(f"the report has no {name}")
    return found


def _of(value: Any, *names: Any) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _utc(text: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00"))  # noqa: FURB162 - older Pythons cannot read Z
    except ValueError:
        raise Wrong("the report has something that is no time") from None


def reports_in_pdf(content: bytes) -> list[dict[str, Any]]:
    """The facts attached to a PDF. Streams are found by their mark, so that no library for PDF is needed."""
    found: list[dict[str, Any]] = []
    for start in re.finditer(rb"stream\r?\n", content):
        end = content.find(b"endstream", start.end())
        for text in (content[start.end() : end], _unpacked(memoryview(content)[start.end() :])):
            if REPORT_FORMAT.encode() not in text[:200]:
                continue
            try:
                value = json.loads(text)
            except ValueError:
                continue
            if isinstance(value, dict) and value not in found:
                found.append(value)
    return found


def _unpacked(data: memoryview) -> bytes:
    """A stream that is compressed, whole when it begins like a report; else its beginning, or nothing."""
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(data[:1024], 200)
        if REPORT_FORMAT.encode() not in text:
            return text
        text += unpacking.decompress(unpacking.unconsumed_tail + bytes(data[1024:]), LARGEST_REPORT)
    except zlib.error:
        return b""
    if not unpacking.eof:
        raise Unreadable("the facts in this PDF are cut off, or too large")
    return text


# Files


def main(arguments: Sequence[str] | None = None, now: datetime | None = None) -> int:
    parser = argparse.ArgumentParser(description="Checks exports of the audit and reports of Zegelpost.")
    parser.add_argument("file", help="an export of the audit, or a report (PDF or JSON)")
    parser.add_argument("--key", help="the verifier key, from a mail with a checkpoint")
    parser.add_argument("--checkpoint", action="append", default=[], metavar="FILE", help="a mail with a checkpoint, or its text")
    parser.add_argument("--earlier", action="append", default=[], metavar="EXPORT", help="an export from before")
    chosen = parser.parse_args(arguments)
    try:
        notes = [note for path in chosen.checkpoint for note in kept_notes(path)]
        known: dict[int, bytes] = {}
        for path in chosen.earlier:
            for line in json_lines(_read(path).decode("utf-8", "replace")):
                entry = line.get("position"), line.get("leaf")
                if isinstance(entry[0], int) and isinstance(entry[1], str):
                    known.setdefault(entry[0], leaf_hash(entry[1].encode()))
        trust = Trust(read_key(chosen.key) if chosen.key else None, notes, known, now or datetime.now(timezone.utc))
        words = verify(_read(chosen.file), trust)
    except Wrong as wrong:
        say("wrong: " + str(wrong), sys.stdout)
        return 1
    except (Unreadable, OSError) as error:
        say("cannot be read: " + str(error), sys.stderr)
        return 2
    except (AttributeError, LookupError, MemoryError, OverflowError, RecursionError, TypeError, ValueError):
        # Whoever forges a file can put anything anywhere in it.
        say("cannot be read: something in it does not have the form that Zegelpost gives it", sys.stderr)
        return 2
    for sentence in words:
        say(sentence, sys.stdout)
    return 0


def say(sentence: str, where: TextIO) -> None:
    """A line that shows as it is: with what a forger puts in a file, terminals could be made to show other words."""
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in sentence)
    encoding = where.encoding or "utf-8"
    print(shown.encode(encoding, "replace").decode(encoding), file=where)


def kept_notes(path: str) -> list[str]:
    """The checkpoints in a file."""
    found = find_notes(_read(path))
    if not found:
        raise Unreadable(f"{path} holds no checkpoint")
    return found


def verify(content: bytes, trust: Trust) -> list[str]:
    """What holds of a file, in words. Raises `Wrong`, `Unreadable`."""
    if content.startswith(b"%PDF-"):
        reports = reports_in_pdf(content)
        if len(reports) > 1:
            raise Wrong("the PDF holds the facts more than once, and they differ: it was changed")
        if not reports:
            raise Unreadable("no facts of a report are attached to this PDF")
        where = "its seal on the PDF, which your PDF reader shows, is for these"
        return verify_report(reports[0], trust, where)
    text = content.decode("utf-8", "replace").lstrip("\ufeff")
    for one in (text, next(iter(text.lstrip().splitlines()), "")):
        try:
            head = json.loads(one)
        except ValueError:
            continue
        if isinstance(head, dict) and head.get("report") == REPORT_FORMAT:
            return verify_report(head, trust, "the PDF of this report has its seal")
        if isinstance(head, dict) and head.get("format") == EXPORT_FORMAT:
            return verify_export(json_lines(text), trust)
    notes = find_notes(content)
    if notes:
        return verify_mail(content, notes, trust)
    raise Unreadable("this is no export of the audit, no report of this version and no mail with a checkpoint")


def _read(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read()
    return Path(path).read_bytes()


if __name__ == "__main__":
    sys.exit(main())
