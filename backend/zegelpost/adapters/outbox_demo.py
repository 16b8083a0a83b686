"""Mail, SMS and calls that would have left, kept in memory for whoever tries the demo. Never outside it."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, Final

from zegelpost.ports import CallReport, MailAcceptance, Script, SmsAcceptance, Speech

_MOST: Final = 1000


class DemoOutbox:
    """All gateways at once; accepts everything."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=_MOST)
        self.mail = _DemoMail(self._entries)
        self.sms = _DemoSms(self._entries)
        self.telephone = _DemoTelephone(self._entries)

    def entries(self) -> list[dict[str, Any]]:
        """Oldest first; `kind`, `to`, `subject`, `text`, `html`, `sent_at`; of a call also `key_to`, where its key goes."""
        return list(self._entries)


class _DemoMail:
    def __init__(self, entries: deque[dict[str, Any]]) -> None:
        self._entries = entries

    async def deliver(self, *, sender: str, recipient: str, message: bytes) -> MailAcceptance:  # noqa: ARG002 - the port's signature
        parsed = message_from_bytes(message, policy=default)
        text, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
        self._entries.append(
            {
                "kind": "mail",
                "to": recipient,
                "subject": parsed["Subject"],
                "text": text.get_content().replace("\r\n", "\n") if text else None,
                "html": _whole(parsed, html.get_content().replace("\r\n", "\n")) if html else None,
                "sent_at": datetime.now(UTC).isoformat(),
            }
        )
        return MailAcceptance("demo", 250, None)


def _whole(mail: EmailMessage, html: str) -> str:
    """The page with the pictures that came along in it."""
    for part in mail.walk():
        content = part.get_payload(decode=True)
        if part["Content-ID"] and isinstance(content, bytes):
            data = f"data:{part.get_content_type()};base64,{base64.b64encode(content).decode('ascii')}"
            html = html.replace(f"cid:{part['Content-ID'].strip('<>')}", data)
    return html


class _DemoSms:
    def __init__(self, entries: deque[dict[str, Any]]) -> None:
        self._entries = entries

    async def deliver(self, *, recipient: str, text: str, valid_seconds: int, report_to: str) -> SmsAcceptance:  # noqa: ARG002 - the port's signature
        self._entries.append(
            {
                "kind": "sms",
                "to": recipient,
                "subject": None,
                "text": text,
                "html": None,
                "sent_at": datetime.now(UTC).isoformat(),
            }
        )
        return SmsAcceptance("demo")


class _DemoTelephone:
    """It rings on the page of the outbox, and there the key is pressed. Nothing is signed: demo is loopback only."""

    def __init__(self, entries: deque[dict[str, Any]]) -> None:
        self._entries = entries

    async def call(self, *, recipient: str, speech: Speech, valid_seconds: int, key_to: str, report_to: str) -> SmsAcceptance:  # noqa: ARG002 - the port's signature
        self._entries.append(
            {
                "kind": "call",
                "to": recipient,
                "subject": None,
                "text": " ".join(speech.sentences),
                "html": None,
                "sent_at": datetime.now(UTC).isoformat(),
                "key_to": key_to,
            }
        )
        return SmsAcceptance("demo")

    def read(self, *, address: str, fields: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> CallReport:  # noqa: ARG002 - the port's signature
        return CallReport("demo", key=dict(fields).get("Digits", ""))

    def ask(self, speech: Speech, *, key_to: str) -> Script:  # noqa: ARG002 - the port's signature
        return self.say(speech)

    def say(self, speech: Speech) -> Script:
        return Script("text/plain", " ".join(speech.sentences))
