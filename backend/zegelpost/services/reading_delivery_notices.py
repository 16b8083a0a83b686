"""Reading what mail servers say about a mail that did not arrive: RFC 3464, and RFC 6533 for addresses in other scripts.

Anyone may send such a notice, of any form. Nothing in it is believed but what the mail itself was marked with; its words are
neither kept nor shown, as they may quote addresses and, where a server returns the whole mail, its link.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.policy import compat32
from enum import StrEnum
from typing import Final

# The parts that count stand at the beginning, before what is returned of the mail. Cutting off the rest also bounds what a
# hostile one costs: the parser of Python takes time by lines and by depth.
LONGEST_NOTICE_BYTES: Final = 256 * 1024
_MOST_LINES: Final = 6000
# Gateways wrap notices once or twice to add a disclaimer.
_DEEPEST: Final = 3
_MOST_PARTS: Final = 20
_MOST_ADDRESSEES: Final = 20
_STATUS_TYPES: Final = {"message/delivery-status", "message/global-delivery-status"}
_RETURNED_TYPES: Final = {
    "message/rfc822",
    "message/rfc822-headers",
    "text/rfc822-headers",
    "message/global",
    "message/global-headers",
}
# Where a notice says whom it was for; servers that deliver it add the envelope's address.
_ADDRESSEE_HEADERS: Final = ("to", "delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "x-rcpt-to")
_STATUS: Final = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_MESSAGE_ID: Final = re.compile(r"\s*<([!-;=?-~]{1,250})>\s*\Z")


class Fate(StrEnum):
    FAILED = "failed"  # for good: nobody tries again
    DELAYED = "delayed"  # a server keeps trying


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryNotice:
    """What a notice says, nothing believed yet."""

    fate: Fate
    status: str | None  # the enhanced status code (RFC 3463), digits and dots only
    addressees: str  # raw header text
    message_id: str | None  # of the mail that it returns


def read_delivery_notice(content: bytes) -> DeliveryNotice | None:
    """The notice in these bytes of a mail, or nothing when it is another mail. Never raises."""
    try:
        return _read(message_from_bytes(_bounded(content), policy=compat32))
    except Exception:  # noqa: BLE001 - the parser raises many things on hostile input, and none of them is a notice
        return None


def _bounded(content: bytes) -> bytes:
    lines = content[:LONGEST_NOTICE_BYTES].split(b"\n", _MOST_LINES)
    return b"\n".join(lines[:_MOST_LINES])


def _read(mail: Message) -> DeliveryNotice | None:
    report = next(_reports(mail, 0), None)
    if report is None:
        return None
    status_part: Message | None = None
    message_id: str | None = None
    for part in _children(report):
        kind = part.get_content_type()
        if status_part is None and kind in _STATUS_TYPES:
            status_part = part
        elif status_part is not None and message_id is None and kind in _RETURNED_TYPES:
            message_id = _message_id(part)
    if status_part is None:
        return None
    verdict = _verdict(_recipients(_text(status_part)))
    if verdict is None:
        return None
    fate, status = verdict
    return DeliveryNotice(fate=fate, status=status, addressees=_addressees(mail), message_id=message_id)


def _reports(mail: Message, depth: int) -> Iterator[Message]:
    if mail.get_content_type() == "multipart/report":
        kind = mail.get_param("report-type", "delivery-status")
        if isinstance(kind, str) and kind.lower() == "delivery-status":
            yield mail
    elif mail.get_content_maintype() == "multipart" and depth < _DEEPEST:
        # Not into what is returned: a notice that someone forwards is none to us.
        for part in _children(mail):
            yield from _reports(part, depth + 1)


def _children(mail: Message) -> list[Message]:
    parts = mail.get_payload()
    return [part for part in parts if isinstance(part, Message)][:_MOST_PARTS] if isinstance(parts, list) else []


def _addressees(mail: Message) -> str:
    found = [value for name, value in mail.items() if name.lower() in _ADDRESSEE_HEADERS]
    return "\n".join(str(value) for value in found[:_MOST_ADDRESSEES])


def _text(part: Message) -> str:
    """What stands in a part, whichever way the parser took it apart: the blocks of a notice are headers to it."""
    blocks = part.get_payload()
    if isinstance(blocks, list):
        raw = b"\n".join(block.as_bytes() for block in blocks if isinstance(block, Message))
    else:
        raw = str(blocks).encode("utf-8", "replace")
    encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    if encoding == "base64":
        try:
            raw = base64.b64decode(b"".join(raw.split()), validate=True)
        except binascii.Error:
            return ""
    elif encoding == "quoted-printable":
        raw = quopri.decodestring(raw)
    return raw.decode("utf-8", "replace")


def _recipients(text: str) -> list[dict[str, str]]:
    """The groups that speak of a recipient; the first group speaks of the mail (RFC 3464, section 2.1)."""
    unfolded = re.sub(r"\r?\n[ \t]+", " ", text)
    groups = []
    for block in re.split(r"\r?\n[ \t]*(?:\r?\n)+", unfolded):
        fields = (line.partition(":") for line in block.splitlines() if ":" in line)
        group = {name.strip().lower(): value.strip() for name, _, value in fields}
        if "action" in group:
            groups.append(group)
    return groups


def _verdict(recipients: list[dict[str, str]]) -> tuple[Fate, str | None] | None:
    """Each mail of ours has one recipient; several groups mean that their server passed it on to several mailboxes.

    Lost only when no mailbox got it. A failure is final whatever its status says: 4.4.7 is what a server writes that gave up.
    """
    actions = [group["action"].split()[0].lower() if group["action"] else "" for group in recipients]
    if not actions or {"delivered", "relayed", "expanded"} & set(actions):
        return None
    for fate in (Fate.DELAYED, Fate.FAILED):
        if fate.value in actions:
            found = _STATUS.match(recipients[actions.index(fate.value)].get("status", ""))
            return fate, found[1] if found else None
    return None


def _message_id(part: Message) -> str | None:
    """Of the mail that a notice returns, whole or as headers alone."""
    inner = part.get_payload()
    if isinstance(inner, list):
        value = inner[0].get("Message-ID") if inner and isinstance(inner[0], Message) else None
    else:
        decoded = part.get_payload(decode=True)
        value = message_from_bytes(decoded, policy=compat32).get("Message-ID") if isinstance(decoded, bytes) else None
    found = _MESSAGE_ID.match(str(value or ""))
    return found[1] if found else None
