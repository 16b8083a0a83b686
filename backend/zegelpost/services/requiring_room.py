"""Requiring room: what the policy lets one transfer hold, and one sender keep."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.model.document import Document
from zegelpost.model.policy import Policy
from zegelpost.model.recipient import Recipient
from zegelpost.model.staff_user import StaffUser
from zegelpost.model.transfer import NOT_ERASED, Transfer, TransferKind
from zegelpost.services.access import GuestActor, Sender, StaffActor


async def lock_sender(session: AsyncSession, actor: Sender) -> None:
    """So that two documents announced at once cannot both be the last that fits."""
    if isinstance(actor, StaffActor):
        await session.get_one(StaffUser, actor.user.id, with_for_update=True)
    else:
        await session.get_one(Recipient, actor.recipient.id, with_for_update=True)


async def require_room(session: AsyncSession, actor: Sender, transfer: Transfer, policy: Policy, length_bytes: int) -> int:
    """Room for one more document of this length; returns how many there are. Raises what `Policy.require_room` does."""
    count, total = await _sizes(session, Document.transfer_id == transfer.id)
    policy.require_room(
        document_count=count + 1,
        transfer_bytes=total + length_bytes,
        sender_bytes=await _kept_bytes(session, actor) + length_bytes,
        is_guest=isinstance(actor, GuestActor),
        is_unasked=isinstance(actor, GuestActor) and actor.transfer.kind == TransferKind.INTAKE,
    )
    return count


async def _sizes(session: AsyncSession, condition: Any) -> tuple[int, int]:
    row = (await session.execute(select(func.count(), func.coalesce(func.sum(Document.length_bytes), 0)).where(condition))).one()
    return int(row[0]), int(row[1])


async def _kept_bytes(session: AsyncSession, actor: Sender) -> int:
    is_theirs = Transfer.sender_id == actor.user.id if isinstance(actor, StaffActor) else Transfer.guest_id == actor.recipient.id
    total = await session.scalar(
        select(func.coalesce(func.sum(Document.length_bytes), 0))
        .join(Transfer, Transfer.id == Document.transfer_id)
        .where(is_theirs, Transfer.state.in_(NOT_ERASED))
    )
    return int(total or 0)
