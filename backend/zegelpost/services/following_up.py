"""Following up: what a sender does after sending. Revoke, block one recipient, extend, make a new link, remind."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.event import EventTag
from zegelpost.model.outgoing import Purpose
from zegelpost.model.recipient import Challenge, Grant, Link, Recipient, VerificationMethod
from zegelpost.model.refusals import (
    ExpiryOutOfRange,
    FormRefused,
    NothingToRemind,
    PhoneNumberIsLandline,
    PhoneNumberMissing,
    PhoneNumberNotMobile,
    RecipientNotParked,
    Refusal,
    RemindedRecently,
    TransferExpired,
    TransferNotSent,
)
from zegelpost.model.transfer import GRACE, Transfer, TransferKind, TransferState
from zegelpost.sealing.keys import MessageKey
from zegelpost.services.access import StaffActor, own_recipient, own_transfer
from zegelpost.services.addressing import usable_number
from zegelpost.services.carrying_over import carry_over
from zegelpost.services.forgetting_devices import forget_here
from zegelpost.services.governing import Governing
from zegelpost.services.holding import is_held
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.notifying import Notifying, recipient_facts
from zegelpost.services.presenting import Presenting
from zegelpost.services.recording import record
from zegelpost.services.sending import Sending

_REMIND_EVERY: Final = timedelta(hours=12)
_BRINGS_A_WAY_IN: Final = (
    Purpose.INVITATION,
    Purpose.COLLEAGUE_INVITATION,
    Purpose.NEW_LINK,
    Purpose.REMINDER,
    Purpose.REQUEST,
    Purpose.REQUEST_REMINDER,
    Purpose.REQUEST_NEW_LINK,
    Purpose.CODE,
)


class FollowingUp:
    def __init__(
        self,
        database: Database,
        keeping_keys: KeepingKeys,
        notifying: Notifying,
        presenting: Presenting,
        sending: Sending,
        governing: Governing,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._notifying = notifying
        self._presenting = presenting
        self._sending = sending
        self._governing = governing
        self._clock = clock

    async def revoke(self, actor: StaffActor, transfer_id: str, *, tell_recipients: bool = True) -> None:
        """Nobody can open the transfer any more, also who is reading now. What was downloaded stays where it is."""
        now = self._clock()
        async with self._database.work() as session:
            transfer = await own_transfer(session, actor, transfer_id, lock=True)
            _require_sending(transfer)
            transfer.require_sent()
            transfer.state = TransferState.REVOKED
            transfer.revoked_at = now
            sender = await self._presenting.sender_of(session, transfer)
            recipients = await _recipients(session, transfer)
            for recipient in recipients:
                await self._shut(session, transfer, recipient)
                subject = actor.subject(transfer, recipient_id=recipient.id)
                await forget_here(session, recipient, subject, now, reason="revoked")
                # Who was parked never heard of it.
                if tell_recipients and recipient.blocked_at is None and recipient.parked_at is None:
                    person = self._keys.person(recipient)
                    self._notifying.queue_mail(
                        session,
                        Purpose.REVOKED,
                        person.email,
                        transfer.language,
                        transfer=transfer,
                        recipient=recipient,
                        **recipient_facts(person, sender, transfer),
                    )
            record(session, EventTag.TRANSFER_REVOKED, actor.subject(transfer), now)

    async def block(self, actor: StaffActor, transfer_id: str, recipient_id: str) -> None:
        """Shut out one recipient. A new link lets them in again."""
        now = self._clock()
        async with self._database.work() as session:
            transfer = await own_transfer(session, actor, transfer_id, lock=True)
            _require_sending(transfer)
            transfer.require_sent()
            recipient = await own_recipient(session, transfer, recipient_id)
            recipient.blocked_at = recipient.blocked_at or now
            await self._shut(session, transfer, recipient)
            subject = actor.subject(transfer, recipient_id=recipient.id)
            await forget_here(session, recipient, subject, now, reason="blocked")
            record(session, EventTag.RECIPIENT_BLOCKED, subject, now)

    async def extend(self, actor: StaffActor, transfer_id: str, days: int) -> None:
        """Let the transfer expire `days` from now instead; also re-opens one that expired within the grace period.

        Existing links keep working. Raises `ExpiryOutOfRange` for a day that is not later. Links
        are carried to the later week without the message key.
        """
        self._governing.policy.require_expiry(days)
        now = self._clock()
        async with self._database.work() as session:
            transfer = await own_transfer(session, actor, transfer_id, lock=True)
            transfer.require_sent()
            if transfer.expires_at is not None and now >= transfer.expires_at + GRACE:
                # A legal hold keeps it from being erased, and gives nobody more than they had.
                raise TransferExpired
            expires_at = now + timedelta(days=days)
            if transfer.expires_at is not None and expires_at <= transfer.expires_at:
                raise ExpiryOutOfRange(
                    shortest=(transfer.expires_at - now).days + 1, longest=self._governing.policy.longest_expiry_days
                )
            await carry_over(session, self._keys, transfer, expires_at)
            transfer.expires_at = expires_at
            transfer.expiring_told_at = None  # of another day than it expires on now
            transfer.state = TransferState.SENT
            record(session, EventTag.TRANSFER_EXTENDED, actor.subject(transfer), now, days=days)

    async def reissue(self, actor: StaffActor, transfer_id: str, recipient_id: str) -> None:
        """Mail a new link; the old one stops working, and wrong codes are forgotten. Link-only: `LinkNotReissuable`."""
        now = self._clock()
        async with self._database.work() as session:
            transfer = await own_transfer(session, actor, transfer_id, lock=True)
            transfer.require_sent()
            if transfer.state == TransferState.EXPIRED or (transfer.expires_at and now >= transfer.expires_at):
                raise TransferExpired
            recipient = await own_recipient(session, transfer, recipient_id)
            if recipient.parked_at is not None:
                raise PhoneNumberMissing
            key = self._keys.sender_key(transfer)
            recipient.blocked_at = recipient.locked_at = None
            recipient.wrong_code_count = 0
            purpose = Purpose.REQUEST_NEW_LINK if transfer.kind == TransferKind.REQUEST else Purpose.NEW_LINK
            await self.new_way_in(session, purpose, transfer, recipient, key, now)
            subject = actor.subject(transfer, recipient_id=recipient.id)
            await forget_here(session, recipient, subject, now, reason="reissued")
            record(session, EventTag.LINK_REISSUED, subject, now, reason="asked")

    async def complete(self, actor: StaffActor, transfer_id: str, recipient_id: str, typed_mobile: str) -> None:
        """Give the number of a parked recipient, and send it to them as it was sent to the others.

        Raises `FormRefused` about `mobile`, `RecipientNotParked` (also for the second of two clicks), `RecipientBlocked`, and
        what stands in the way of opening the transfer.
        """
        now = self._clock()
        async with self._database.work() as session:
            transfer = await _open_sending(session, actor, transfer_id, now)
            recipient = await own_recipient(session, transfer, recipient_id)
            recipient.require_open()
            if recipient.parked_at is None:
                raise RecipientNotParked
            try:
                mobile = usable_number(typed_mobile, self._governing.policy, recipient.method)
            except PhoneNumberIsLandline:
                # How they get their codes was chosen when it was sent.
                raise FormRefused({"mobile": PhoneNumberNotMobile()}) from None
            except Refusal as refusal:
                raise FormRefused({"mobile": refusal}) from None
            person = replace(self._keys.person(recipient), mobile=mobile)
            recipient.sealed_person = self._keys.seal_person(person, recipient.id)
            recipient.number_index = self._keys.index("number", mobile.e164)
            recipient.parked_at = None
            key = self._keys.sender_key(transfer)
            sender = await self._presenting.sender_of(session, transfer)
            self._sending.invite(session, Purpose.INVITATION, sender, transfer, recipient, key)
            record(session, EventTag.RECIPIENT_COMPLETED, actor.subject(transfer, recipient_id=recipient.id), now)

    async def remind(self, actor: StaffActor, transfer_id: str) -> int:
        """Mail who has not fetched it; returns how many. Raises `NothingToRemind`, `RemindedRecently`.

        A link cannot be mailed twice, because only the recipient has it: with a sender copy the reminder brings a new one.
        """
        now = self._clock()
        async with self._database.work() as session:
            transfer = await _open_sending(session, actor, transfer_id, now)
            waiting = [
                recipient
                for recipient in await _recipients(session, transfer)
                if recipient.fetched_at is None
                and recipient.blocked_at is None
                and recipient.locked_at is None
                and recipient.parked_at is None
            ]
            if not waiting:
                raise NothingToRemind
            due = [r for r in waiting if r.reminded_at is None or now - r.reminded_at >= _REMIND_EVERY]
            if not due:
                raise RemindedRecently(retry_after_seconds=int(_REMIND_EVERY.total_seconds()))
            for recipient in due:
                recipient.reminded_at = now
                await self._remind_one(session, transfer, recipient, now)
                record(session, EventTag.RECIPIENT_REMINDED, actor.subject(transfer, recipient_id=recipient.id), now)
            return len(due)

    async def _remind_one(self, session: AsyncSession, transfer: Transfer, recipient: Recipient, now: datetime) -> None:
        if transfer.has_sender_copy or recipient.method == VerificationMethod.SIGN_IN:
            key = (
                self._keys.colleague_key(transfer, recipient)
                if recipient.method == VerificationMethod.SIGN_IN
                else self._keys.sender_key(transfer)
            )
            await self.new_way_in(session, Purpose.REMINDER, transfer, recipient, key, now)
            return
        person = self._keys.person(recipient)
        sender = await self._presenting.sender_of(session, transfer)
        self._notifying.queue_mail(
            session,
            Purpose.REMINDER,
            person.email,
            transfer.language,
            transfer=transfer,
            recipient=recipient,
            **recipient_facts(person, sender, transfer),
        )

    async def new_way_in(
        self,
        session: AsyncSession,
        purpose: Purpose,
        transfer: Transfer,
        recipient: Recipient,
        key: MessageKey,
        now: datetime,
        **facts: Any,
    ) -> None:
        """Mail a new link, or a colleague the way to sign in; the old link stops working."""
        sender = await self._presenting.sender_of(session, transfer)
        if recipient.method == VerificationMethod.SIGN_IN:
            self._sending.invite_colleague(session, sender, transfer, recipient, key)
            return
        await self._shut(session, transfer, recipient)
        await session.execute(
            update(Link)
            .where(Link.recipient_id == recipient.id, Link.replaced_at.is_(None))
            .values(replaced_at=now)
            .execution_options(synchronize_session=False)
        )
        self._sending.invite(session, purpose, sender, transfer, recipient, key, **facts)

    async def _shut(self, session: AsyncSession, transfer: Transfer, recipient: Recipient) -> None:
        """Take away every way in: what the link opens, grants on any device, and what is under way."""
        await self._notifying.withdraw(session, recipient, *_BRINGS_A_WAY_IN)
        if not await self._is_only_copy_held(session, transfer):
            await session.execute(
                update(Link)
                .where(Link.recipient_id == recipient.id)
                .values(wrap=None)
                .execution_options(synchronize_session=False)
            )
            recipient.staff_wrap = None
        await session.execute(delete(Grant).where(Grant.recipient_id == recipient.id))
        await session.execute(
            update(Challenge)
            .where(Challenge.recipient_id == recipient.id, Challenge.replaced_at.is_(None))
            .values(replaced_at=Challenge.created_at)
            .execution_options(synchronize_session=False)
        )

    async def _is_only_copy_held(self, session: AsyncSession, transfer: Transfer) -> bool:
        """Whether a legal hold keeps what nothing else would open. Its recipients are refused by its state all the same."""
        return transfer.sender_wrap is None and await is_held(session, self._keys, transfer, self._clock())


async def _open_sending(session: AsyncSession, actor: StaffActor, transfer_id: str, now: datetime) -> Transfer:
    """A transfer of this person's that its recipients can open now, locked."""
    transfer = await own_transfer(session, actor, transfer_id, lock=True)
    _require_sending(transfer)
    transfer.require_sent()
    transfer.require_open(now)
    return transfer


def _require_sending(transfer: Transfer) -> None:
    """Requests are reminded, closed and opened again in `requesting`."""
    if transfer.kind != TransferKind.SENDING:
        raise TransferNotSent


async def _recipients(session: AsyncSession, transfer: Transfer) -> list[Recipient]:
    found = await session.scalars(select(Recipient).where(Recipient.transfer_id == transfer.id).order_by(Recipient.position))
    return list(found)
