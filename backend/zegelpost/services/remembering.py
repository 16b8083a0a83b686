"""Remembering devices: thirty days without a code by text message, where the recipient asked for that.

A device stands for one code: the one that this organisation sent to this address at this number. It opens nothing by itself; the
link does. Codes that were agreed elsewhere are never remembered, because each transfer has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import delete, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.identifiers import DeviceId, new_identifier
from zegelpost.model.outgoing import Purpose
from zegelpost.model.recipient import Grant, Recipient, VerificationMethod
from zegelpost.model.remembered_device import MOST_DEVICES, REMEMBERED_FOR, RememberedDevice
from zegelpost.model.secret import SecretToken
from zegelpost.model.transfer import Transfer
from zegelpost.services.access import RecipientActor, device_of
from zegelpost.services.governing import Governing
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.notifying import Notifying
from zegelpost.services.recording import Subject, record

METHOD: Final = "remembered_device"  # as events and reports call it


@dataclass(frozen=True, slots=True)
class DeviceCookie:
    """What a remembered device keeps. `name` tells one recipient of this browser from another, and nobody who they are."""

    name: str
    token: SecretToken = field(repr=False)


class Remembering:
    def __init__(
        self,
        database: Database,
        keeping_keys: KeepingKeys,
        notifying: Notifying,
        governing: Governing,
        base_url: str,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._notifying = notifying
        self._governing = governing
        self._base_url = base_url
        self._clock = clock

    def may_remember(self, recipient: Recipient) -> bool:
        """Whether this recipient is offered it."""
        return self._governing.policy.remembers_devices and recipient.method == VerificationMethod.SMS

    async def recognises(self, session: AsyncSession, recipient: Recipient, tokens: Sequence[SecretToken], now: datetime) -> bool:
        """Whether one of the browser's cookies stands for the code that this recipient would get.

        1. The organisation allows it, and a text message is how this recipient proves who they are.
        2. The cookie is of this very address and this very number, and not too old.
        3. Since then, no sender of this transfer made a new link or shut them out.
        """
        # 1.
        if not self.may_remember(recipient) or recipient.number_index is None:
            return False
        # 2.
        found = await session.scalar(
            select(RememberedDevice.id).where(
                RememberedDevice.digest.in_([token.digest for token in tokens]),
                RememberedDevice.email_index == recipient.email_index,
                RememberedDevice.number_index == recipient.number_index,
                RememberedDevice.expires_at > now,
                # 3.
                true() if recipient.devices_from is None else RememberedDevice.created_at > recipient.devices_from,
            )
        )
        return found is not None

    async def remember(
        self, session: AsyncSession, actor: RecipientActor, tokens: Sequence[SecretToken], now: datetime
    ) -> DeviceCookie | None:
        """Remember this browser, in the unit of work in which a code was right; the recipient hears of it by mail.

        `tokens`: what the browser has already; the one of this recipient is replaced. Nothing when it is not allowed.
        """
        recipient = actor.recipient
        if not self.may_remember(recipient) or recipient.number_index is None:
            return None
        token = SecretToken.generate()
        device = RememberedDevice(
            digest=token.digest,
            id=DeviceId(new_identifier()),
            recipient_id=recipient.id,
            email_index=recipient.email_index,
            number_index=recipient.number_index,
            created_at=now,
            expires_at=now + REMEMBERED_FOR,
        )
        await self._make_room(session, recipient, tokens)
        session.add(device)
        person = self._keys.person(recipient)
        self._notifying.queue_mail(
            session,
            Purpose.DEVICE_REMEMBERED,
            person.email,
            actor.transfer.language,
            transfer=actor.transfer,
            recipient=recipient,
            name=person.name,
            remembered_at=now,
            remembered_until=device.expires_at,
            link=f"{self._base_url}/o/device/{device.id}",
        )
        record(session, EventTag.DEVICE_REMEMBERED, actor.subject(), now)
        return DeviceCookie(recipient.email_index.hex()[:16], token)

    async def remove(self, device_id: str) -> None:
        """Forget one device, for whoever has the mail about it; what is open anywhere with that address closes too.

        The answer is always the same, also for one that is gone: that it is not remembered is what was asked for.
        """
        now = self._clock()
        async with self._database.work() as session:
            device = await device_of(session, device_id)
            if device is None:
                return
            recipient = await session.get_one(Recipient, device.recipient_id)
            theirs = select(Recipient.id).where(Recipient.email_index == device.email_index).scalar_subquery()
            await session.execute(
                delete(Grant).where(Grant.recipient_id.in_(theirs)).execution_options(synchronize_session=False)
            )
            await session.delete(device)
            transfer = await session.get_one(Transfer, recipient.transfer_id)
            subject = Subject(actor=ActorKind.STRANGER, transfer_id=transfer.id, recipient_id=recipient.id)
            record(session, EventTag.DEVICE_REMOVED, subject, now, reason="asked")

    async def forget_old(self) -> None:
        """Remove what is past its thirty days."""
        async with self._database.work() as session:
            await session.execute(delete(RememberedDevice).where(RememberedDevice.expires_at <= self._clock()))

    async def _make_room(self, session: AsyncSession, recipient: Recipient, tokens: Sequence[SecretToken]) -> None:
        """Take out what this browser had of this recipient, and the oldest of too many."""
        mine = RememberedDevice.email_index == recipient.email_index
        await session.execute(
            delete(RememberedDevice).where(mine, RememberedDevice.digest.in_([token.digest for token in tokens]))
        )
        oldest = select(RememberedDevice.digest).where(mine).order_by(RememberedDevice.created_at.desc()).offset(MOST_DEVICES - 1)
        await session.execute(
            delete(RememberedDevice)
            .where(RememberedDevice.digest.in_(list(await session.scalars(oldest))))
            .execution_options(synchronize_session=False)
        )
