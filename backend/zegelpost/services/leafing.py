"""Leafing: a page of what was sent from someone's mailboxes, newest first, and how many there are."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce

from sqlalchemy import ColumnElement, and_, func, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.model.transfer import IS_KEPT, Transfer, TransferKind


async def leaf(
    session: AsyncSession, mailboxes: Sequence[ColumnElement[bool]], kind: TransferKind, *, page: int, count: int
) -> tuple[Sequence[Transfer], int]:
    """The transfers of one page, and the number of all that were sent and are not erased.

    Each mailbox is gone through by itself, because an index keeps the order of one and not of several together. Until it is known
    which transfers stand on the page, nothing but that index is read: ten times as fast where there are ten thousand of them.
    """
    is_kept = text(f"transfer.{IS_KEPT}")  # in the words of the indexes
    kept = [and_(mailbox, Transfer.kind == kind, is_kept) for mailbox in mailboxes]
    if not kept:
        return [], 0
    counts = [select(func.count()).select_from(Transfer).where(each).scalar_subquery() for each in kept]
    total = await session.scalar(select(reduce(operator.add, counts))) or 0
    order = (Transfer.sent_at.desc(), Transfer.id.desc())
    newest = [select(Transfer.id, Transfer.sent_at).where(each).order_by(*order).limit(page * count).subquery() for each in kept]
    merged = union_all(*(select(each.c.id, each.c.sent_at) for each in newest)).subquery()
    there = select(merged.c.id).order_by(merged.c.sent_at.desc(), merged.c.id.desc()).limit(count).offset((page - 1) * count)
    ids = (await session.scalars(there)).all()
    return (await session.scalars(select(Transfer).where(Transfer.id.in_(ids)).order_by(*order))).all(), total
