"""Forgetting devices that recipients had remembered, in the unit of work that says why."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, delete
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.outgoing import Outgoing, Purpose
from zegelpost.model.recipient import Recipient
from zegelpost.model.remembered_device import RememberedDevice
from zegelpost.services.recording import Subject, record


async def forget_all(session: AsyncSession, recipient: Recipient, subject: Subject, now: datetime, *, reason: str) -> None:
    """Every device of this address, whoever sent to it: somebody who is not them is at one of their links."""
    await _forget(session, RememberedDevice.email_index == recipient.email_index, subject, now, reason)


async def forget_here(session: AsyncSession, recipient: Recipient, subject: Subject, now: datetime, *, reason: str) -> None:
    """What was remembered in this very transfer; and for this recipient, no device of before counts any more.

    A sender who doubts who is there has seen only their own transfer. What others sent stays as it was.
    """
    recipient.devices_from = now
    await _forget(session, RememberedDevice.recipient_id == recipient.id, subject, now, reason)


async def forget_untold(session: AsyncSession, outgoing: Outgoing, now: datetime) -> None:
    """The mail about a device did not arrive, so nobody knows how to get rid of it: it goes. Other mail changes nothing."""
    if outgoing.purpose != Purpose.DEVICE_REMEMBERED or outgoing.recipient_id is None:
        return
    subject = Subject(actor=ActorKind.SYSTEM, transfer_id=outgoing.transfer_id, recipient_id=outgoing.recipient_id)
    theirs = RememberedDevice.recipient_id == outgoing.recipient_id
    # A later one of this transfer has a mail of its own, which may have arrived.
    await _forget(session, theirs & (RememberedDevice.created_at <= outgoing.created_at), subject, now, "untold")


async def _forget(session: AsyncSession, which: ColumnElement[bool], subject: Subject, now: datetime, reason: str) -> None:
    gone = await session.execute(
        delete(RememberedDevice).where(which).returning(RememberedDevice.id).execution_options(synchronize_session=False)
    )
    if gone.first() is not None:
        record(session, EventTag.DEVICE_REMOVED, subject, now, reason=reason)
