"""Mailing: from whom a mail leaves, and by which way.

Everything is fixed when the mail is put in the outbox: its bytes, its return address, whose mailbox it is to leave from and the
copy that is kept there. Settings that change while it waits change nothing about it.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from zegelpost.model.email_address import EmailAddress
from zegelpost.model.identifiers import OutgoingId
from zegelpost.model.outgoing import LONGEST_MAILBOX_PAUSE, MOST_MAILBOX_TRIES, Outgoing, Purpose
from zegelpost.model.transfer import Transfer, TransferKind
from zegelpost.ports import MailAcceptance, MailError, MailGateway, SenderMailboxes
from zegelpost.services.composing import Composing
from zegelpost.services.keeping_keys import KeepingKeys

_LOG: Final = structlog.get_logger()
# What a sender could have mailed themselves. What is about them, or only from us, comes from us.
_FROM_A_PERSON: Final = {
    Purpose.INVITATION,
    Purpose.NEW_LINK,
    Purpose.REMINDER,
    Purpose.REQUEST,
    Purpose.REQUEST_REMINDER,
    Purpose.REQUEST_NEW_LINK,
}
# Where the sender follows it. What guests start has no sender of ours.
_PAGES: Final = {TransferKind.SENDING: "transfers", TransferKind.REQUEST: "requests"}


class Mailing:
    def __init__(
        self, composing: Composing, keeping_keys: KeepingKeys, relay: MailGateway, mailboxes: SenderMailboxes | None
    ) -> None:
        self._composing = composing
        self._keys = keeping_keys
        self._relay = relay
        self._mailboxes = mailboxes

    def envelope(
        self,
        purpose: Purpose,
        language: str,
        to: EmailAddress,
        outgoing_id: OutgoingId,
        now: datetime,
        transfer: Transfer | None,
        facts: dict[str, Any],
    ) -> dict[str, str]:
        """A notice rendered to its final bytes, with all that handing it over needs. It holds the link: for the outbox only."""
        message = self._composing.mail(purpose, language, to, outgoing_id, now, **facts)
        envelope = {"from": self._return_path(outgoing_id), "to": str(to), "message": base64.b64encode(message).decode()}
        if self._mailboxes is None or transfer is None or transfer.kind not in _PAGES or purpose not in _FROM_A_PERSON:
            return envelope
        link = f"{self._composing.organisation.base_url}/{_PAGES[transfer.kind]}/{transfer.id}"
        told = {name: facts[name] for name in ("name", "sender_name")}
        copy = self._composing.mail(Purpose.SENT_COPY, language, to, outgoing_id, now, **told, email=str(to), link=link)
        return envelope | {"mailbox": str(facts["sender_email"]), "copy": base64.b64encode(copy).decode()}

    async def deliver(self, outgoing: Outgoing, envelope: dict[str, str]) -> MailAcceptance:
        """From the sender's own mailbox where that can be, else by the relay. Raises `MailError`.

        A mailbox that is busy is waited for, a few minutes at most; after that, and when it refuses, the relay takes over.
        """
        message, to, mailbox = base64.b64decode(envelope["message"]), envelope["to"], envelope.get("mailbox")
        if self._mailboxes is not None and mailbox is not None and outgoing.attempt_count <= MOST_MAILBOX_TRIES:
            try:
                acceptance = await self._mailboxes.deliver(mailbox=mailbox, recipient=to, message=message)
            except MailError as error:
                pause = timedelta(seconds=error.retry_after_seconds or 0)
                if not error.is_permanent and pause <= LONGEST_MAILBOX_PAUSE:
                    raise
                _LOG.warning("mailbox_refused", outgoing=outgoing.id, reason=error.reason)
            else:
                await self._keep_copy(self._mailboxes, outgoing, mailbox, base64.b64decode(envelope["copy"]))
                return acceptance
        return await self._relay.deliver(sender=envelope["from"], recipient=to, message=message)

    async def _keep_copy(self, mailboxes: SenderMailboxes, outgoing: Outgoing, mailbox: str, copy: bytes) -> None:
        """The mail has left by now: whatever goes wrong here must not make it leave again."""
        try:
            await mailboxes.keep(mailbox=mailbox, message=copy)
        except MailError as error:
            _LOG.warning("sent_copy_failed", outgoing=outgoing.id, reason=error.reason)

    def _return_path(self, outgoing_id: OutgoingId) -> str:
        organisation = self._composing.organisation
        if organisation.return_address is None:
            return str(organisation.mail_from)
        return organisation.return_address.of(self._keys.return_mark(outgoing_id))
