"""Mail from people's own mailboxes in Exchange Online, through Microsoft Graph with an app-only token.

Not the MIME form of `sendMail`: that always leaves the mail in Sent Items, and it holds a link. The JSON form can leave it out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, Final
from urllib.parse import quote

from zegelpost.adapters.address_book_graph_calls import VERSION, GraphCalls
from zegelpost.ports import AddressBookError, MailAcceptance, MailError

SETTING: Final = "ZEGELPOST_MAILBOXES_URL"
_ACCEPTED: Final = 202
# [MS-OXCMSG] 2.2.1.6, PidTagMessageFlags: read, and no draft, which is what Graph makes otherwise. Only at creation.
_FLAGS: Final = {"id": "Integer 0x0E07", "value": "1"}
_SUBMITTED_AT: Final = "SystemTime 0x0039"  # PidTagClientSubmitTime: without it, a copy has no date of sending


class GraphMailboxes:
    """`graph://CLIENT_ID:SECRET@TENANT_ID`; the app needs `Mail.Send`, and `Mail.ReadWrite` for the copies."""

    def __init__(self, url: str, *, timeout_seconds: float = 30, longest_seconds: float = 45) -> None:
        """`longest_seconds` bounds the wait for a turn, and again the asking: with the relay, within the lease of the outbox."""
        self._graph = GraphCalls(url, timeout_seconds, setting=SETTING)
        self._longest_seconds = longest_seconds
        # One at a time: sessions of `requests` are not made for more, and Graph allows four per mailbox.
        self._turn = asyncio.Lock()

    async def deliver(self, *, mailbox: str, recipient: str, message: bytes) -> MailAcceptance:
        body = {"message": _message(message, recipient), "saveToSentItems": False}
        await self._ask(lambda: self._graph.post(f"{self._user(mailbox)}/sendMail", body))
        return MailAcceptance("graph", _ACCEPTED, "TLS")

    async def keep(self, *, mailbox: str, message: bytes) -> None:
        parsed = _parsed(message)
        folder = f"{self._user(mailbox)}/mailFolders/sentitems/messages"
        # A retry after a crash finds the copy that it made before.
        known = quote(f"internetMessageId eq '{str(parsed['Message-ID']).replace(chr(39), chr(39) * 2)}'")
        sent_at = parsed["Date"].datetime.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = _message(message, str(parsed["To"])) | {
            "isRead": True,
            "from": {"emailAddress": {"address": mailbox}},
            "singleValueExtendedProperties": [_FLAGS, {"id": _SUBMITTED_AT, "value": sent_at}],
        }

        def put() -> None:
            if not self._graph.get(f"{folder}?$select=id&$top=1&$filter={known}").get("value"):
                self._graph.post(folder, body)

        await self._ask(put)

    async def probe(self) -> None:
        """Whether Entra takes our credentials. Raises `MailError`."""
        await self._ask(self._graph.sign_in)

    def _user(self, mailbox: str) -> str:
        return f"{self._graph.api}{VERSION}/users/{quote(mailbox, safe='@')}"

    async def _ask(self, call: Callable[[], None]) -> None:
        try:
            async with asyncio.timeout(self._longest_seconds):
                await self._turn.acquire()
        except TimeoutError:
            raise MailError(f"{SETTING}: too many mails wait for Graph") from None
        asking = asyncio.create_task(asyncio.to_thread(call))
        # A thread cannot be ended: it keeps its turn until it is through, whether or not anyone still waits for it.
        asking.add_done_callback(self._end_turn)
        try:
            async with asyncio.timeout(self._longest_seconds):
                await asyncio.shield(asking)
        except TimeoutError:
            raise MailError(f"{SETTING}: Graph did not answer in time") from None
        except AddressBookError as error:
            raise MailError(
                f"{SETTING}: {error.reason}",
                is_permanent=error.is_permanent,
                retry_after_seconds=error.retry_after_seconds,
            ) from None

    def _end_turn(self, asking: asyncio.Task[None]) -> None:
        self._turn.release()
        if not asking.cancelled():
            asking.exception()  # looked at, or it would be written to the log with all that it quotes


def _parsed(message: bytes) -> EmailMessage:
    return message_from_bytes(message, policy=default)


def _message(message: bytes, recipient: str) -> dict[str, Any]:
    """What Graph takes, from our own bytes: always the same of the same, so that a retry is the same mail."""
    parsed = _parsed(message)
    html = parsed.get_body(("html",))
    assert html is not None
    return {
        "subject": str(parsed["Subject"]),
        "internetMessageId": str(parsed["Message-ID"]),
        "body": {"contentType": "HTML", "content": html.get_content().replace("\r\n", "\n")},
        "toRecipients": [{"emailAddress": {"address": recipient}}],
    }
