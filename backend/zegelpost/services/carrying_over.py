"""Carrying over: tying a transfer to the keys of a later week, so that the week it was tied to can be destroyed on time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.model.recipient import Link, Recipient
from zegelpost.model.transfer import Transfer
from zegelpost.services.keeping_keys import KeepingKeys


async def carry_over(session: AsyncSession, keys: KeepingKeys, transfer: Transfer, until: datetime) -> None:
    """Tie every wrap to the week of `until`; links without their secret. Raises `TransferExpired` when the week is gone."""
    recipients = list(
        await session.scalars(select(Recipient).where(Recipient.transfer_id == transfer.id).order_by(Recipient.position))
    )
    # Whoever has a wrap without a link of their own opens with an account.
    colleague_keys = {
        recipient.id: keys.colleague_key(transfer, recipient) for recipient in recipients if recipient.staff_wrap is not None
    }
    keys.carry_transfer(transfer, until)
    assert transfer.week is not None
    for recipient in recipients:
        if recipient.id in colleague_keys:
            keys.wrap_for_colleague(colleague_keys[recipient.id], transfer, recipient)
        for link in await session.scalars(select(Link).where(Link.recipient_id == recipient.id)):
            keys.carry_link(link, transfer.week)
