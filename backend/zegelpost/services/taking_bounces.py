"""Taking bounces: mail that a server took and could not deliver after all, told to whoever sent it.

Notices come back to a mailbox that we read or through the webhook. Anyone can write one, so it counts only for the mail whose
return address it was sent to: that address holds a keyed mark which only the servers on the way and the recipient have seen.
Without such addresses the Message-ID of the returned headers counts, which is as random but also stands in our log.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Final

import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.identifiers import OutgoingId, is_identifier
from zegelpost.model.outgoing import Outgoing, OutgoingKind, OutgoingState
from zegelpost.model.recipient import Recipient
from zegelpost.ports import BounceMailbox, OutageError
from zegelpost.services.composing import Organisation
from zegelpost.services.forgetting_devices import forget_untold
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.notifying import Notifying
from zegelpost.services.reading_delivery_notices import DeliveryNotice, Fate, read_delivery_notice
from zegelpost.services.recording import Subject, record

_LOG: Final = structlog.get_logger()
_BATCH: Final = 20  # with the longest of notices, five megabytes
_ROUND_SECONDS: Final = 60
_NO_STATUS: Final = "5.0.0"  # RFC 3463: permanent, and nothing else is known


class Taken(StrEnum):
    """What became of something that came back."""

    TOLD = "told"
    KNOWN = "known"  # told before; nothing changed
    UNRELATED = "unrelated"  # no notice, or about no mail of ours; nothing changed
    TOO_EARLY = "too_early"  # its mail is being handed over at this moment: offer the notice again


class TakingBounces:
    def __init__(
        self,
        database: Database,
        keeping_keys: KeepingKeys,
        notifying: Notifying,
        organisation: Organisation,
        mailbox: BounceMailbox | None,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._notifying = notifying
        self._organisation = organisation
        self._mailbox = mailbox
        self._clock = clock

    async def take(self, content: bytes) -> Taken:
        """One mail that came back.

        1. It is a delivery notice, whole or cut off, and says that nobody got the mail, or not yet.
        2. It belongs to a mail of ours, by what only that mail was marked with.
        3. The mail had left; the first notice of each kind changes it, in one statement, and any other changes nothing.
        4. Event and mail to the sender commit with it.
        """
        # 1. In a thread, because a hostile one takes a good part of a second.
        notice = await asyncio.to_thread(read_delivery_notice, content)
        if notice is None:
            return Taken.UNRELATED
        # 2.
        ids = self._outgoing_ids(notice)
        if len(ids) != 1:
            return Taken.UNRELATED
        return await self._tell(ids.pop(), notice)

    async def run(self, stop: asyncio.Event) -> None:
        """Read the mailbox every minute until told to stop; return at once where there is none."""
        while self._mailbox is not None and not stop.is_set():
            try:
                await self.read_mailbox()
            except OutageError as error:
                _LOG.warning("bounce_mailbox_failed", reason=error.reason)
            except Exception:  # noqa: BLE001 - logged, and tried again in a minute
                _LOG.exception("bounces_failed")
            try:
                await asyncio.wait_for(stop.wait(), _ROUND_SECONDS)
            except TimeoutError:
                continue

    async def read_mailbox(self) -> int:
        """Take all that is new in the mailbox; how many notices were told. Raises `BounceMailboxError`.

        What is settled is marked there afterwards: after a crash in between it is read again, which changes nothing.
        """
        assert self._mailbox is not None
        told_count = 0
        after = ""
        while found := await self._mailbox.unread(_BATCH, after=after):
            outcomes = [(mail, await self.take(mail.content)) for mail in found]
            await self._mailbox.settle(
                ours=[mail for mail, outcome in outcomes if outcome in {Taken.TOLD, Taken.KNOWN}],
                others=[mail for mail, outcome in outcomes if outcome == Taken.UNRELATED],
            )
            told_count += sum(outcome == Taken.TOLD for _, outcome in outcomes)
            after = found[-1].position
        return told_count

    def _outgoing_ids(self, notice: DeliveryNotice) -> set[OutgoingId]:
        address = self._organisation.return_address
        if address is not None:
            return {found.outgoing_id for found in address.marks_in(notice.addressees) if self._keys.is_return_mark(found)}
        local, _, host = (notice.message_id or "").partition("@")
        is_ours = is_identifier(local) and host.lower() == self._organisation.message_id_host
        return {OutgoingId(local)} if is_ours else set()

    async def _tell(self, outgoing_id: OutgoingId, notice: DeliveryNotice) -> Taken:
        now = self._clock()
        this_mail = (Outgoing.id == outgoing_id) & (Outgoing.kind == OutgoingKind.MAIL)
        status = notice.status or _NO_STATUS
        if notice.fate == Fate.FAILED:
            # It waits still when a server took it and broke off before it said so.
            has_left = Outgoing.state.in_([OutgoingState.ACCEPTED, OutgoingState.WAITING]) & (Outgoing.attempt_count > 0)
            change = update(Outgoing).where(this_mail, has_left)
            change = change.values(state=OutgoingState.BOUNCED, sealed_payload=None, failure=status)
        else:
            is_first = (Outgoing.state == OutgoingState.ACCEPTED) & Outgoing.delayed_at.is_(None)
            change = update(Outgoing).where(this_mail, is_first).values(delayed_at=now)
        async with self._database.work() as session:
            outgoing = await session.scalar(change.returning(Outgoing).execution_options(synchronize_session=False))
            if outgoing is None:
                state = await session.scalar(select(Outgoing.state).where(this_mail))
                if state is None:
                    return Taken.UNRELATED
                return Taken.TOO_EARLY if state == OutgoingState.SENDING else Taken.KNOWN
            subject = Subject(actor=ActorKind.SYSTEM, transfer_id=outgoing.transfer_id, recipient_id=outgoing.recipient_id)
            tag = EventTag.MAIL_BOUNCED if notice.fate == Fate.FAILED else EventTag.MAIL_DELAYED
            record(session, tag, subject, now, purpose=outgoing.purpose.value, failure=status)
            if notice.fate == Fate.FAILED:
                await forget_untold(session, outgoing, now)
            if notice.fate == Fate.FAILED and not await _is_opened(session, outgoing):
                await self._notifying.tell_sender(session, outgoing, status)
        return Taken.TOLD


async def _is_opened(session: AsyncSession, outgoing: Outgoing) -> bool:
    """Whoever opened it since then got the mail; what came back is a copy that their server sent on."""
    opened_at = await session.scalar(select(Recipient.opened_at).where(Recipient.id == outgoing.recipient_id))
    return opened_at is not None and opened_at >= outgoing.created_at
