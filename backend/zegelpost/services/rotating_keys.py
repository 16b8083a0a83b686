"""Rotating keys: new keys of the installation and new sender keys of the weeks, and everything under them made anew.

May be killed at any instant and run again. In between, and while everybody works on, what stands under a key of before is read
with that one: `services/keeping_keys.py` tries each key that is still kept.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.address_book import AddressFeed, ListedContact
from zegelpost.model.clock import Clock
from zegelpost.model.contact import Contact
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.intake import Intake, Introduction
from zegelpost.model.legal_hold import LegalHold
from zegelpost.model.recipient import Recipient
from zegelpost.model.second_factor import AuthenticatorApp, RecoveryCode
from zegelpost.model.template import Template
from zegelpost.model.transfer import Transfer, TransferState
from zegelpost.ports import EarlierKey, KeyDestroyedError, KeyRing, KeyRingError
from zegelpost.sealing.errors import SealBroken, TextAltered, WrapRefused
from zegelpost.sealing.text import open_text, seal_text
from zegelpost.sealing.wrapping import WrapPurpose, unwrap_under_secret, wrap_under_secret
from zegelpost.services.observing_time import ObservingTime
from zegelpost.services.recording import Subject, record
from zegelpost.services.rekeying_indexes import RekeyingIndexes

_LOG: Final = structlog.get_logger()
_BATCH: Final = 500
_MOST_PASSES: Final = 5
# A unit of work that read its keys before the rotation may still write under them; none takes nearly as long.
_REST: Final = timedelta(hours=1)
# A mail comes back within five days, and its return address has a mark under the key of the day it left.
_CODES_REST: Final = timedelta(days=8)
SENDERS: Final = "senders"  # what stands under sender keys of weeks


@dataclass(slots=True)
class Rotated:
    """What was made anew, by the key it is under, and what opens under no key that we have."""

    rotation: str
    made_anew: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A column that is sealed under a key of the installation, and the place its boxes are bound to."""

    purpose: str
    column: Any
    key: Any
    place: Callable[[Any], str]
    more: tuple[Any, ...] = ()


_SEALED: Final = (
    _Sealed("people", Recipient.sealed_person, Recipient.id, lambda row: f"recipient/{row.key}"),
    _Sealed("people", Contact.sealed_card, Contact.id, lambda row: f"contact/{row.key}/card"),
    _Sealed("people", ListedContact.sealed_card, ListedContact.id, lambda row: f"listed/{row.key}/card"),
    _Sealed("people", AddressFeed.sealed_cursor, AddressFeed.id, lambda row: f"feed/{row.key}/cursor"),
    _Sealed("people", Template.sealed_text, Template.id, lambda row: f"template/{row.key}/text"),
    _Sealed("people", Introduction.sealed_words, Introduction.digest, lambda row: f"introduction/{row.key.hex()}"),
    _Sealed("people", Intake.sealed_colleague, Intake.transfer_id, lambda row: f"intake/{row.key}/colleague"),
    _Sealed("people", LegalHold.sealed_words, LegalHold.id, lambda row: f"hold/{row.key}/words"),
    _Sealed(
        "factors",
        AuthenticatorApp.sealed_secret,
        AuthenticatorApp.id,
        lambda row: f"staff/{row.user_id}/app/{row.key}",
        (AuthenticatorApp.user_id,),
    ),
)


class RotatingKeys:
    def __init__(
        self, database: Database, ring: KeyRing, indexes: RekeyingIndexes, observing: ObservingTime, clock: Clock
    ) -> None:
        self._database = database
        self._ring = ring
        self._indexes = indexes
        self._observing = observing
        self._clock = clock
        self._looked_at: datetime | None = None

    async def run(self) -> Rotated:
        """Rotate, or go on with what was interrupted. Raises `KeyRingError` when another process is at it.

        1. New keys take the place of those of before, which are kept and still read.
        2. What stands under those is made anew, a batch at a time, until a pass finds nothing to do.
        3. That it was done is an event. What was kept is destroyed by `finish`, later.
        """
        with self._ring.rotating():
            # 1.
            rotation = await asyncio.to_thread(self._ring.begin_rotation, self._clock())
            await asyncio.to_thread(self._ring.renew, rotation, self._clock())
            # 2.
            rotated = await self._pass(Rotated(rotation))
            for _ in range(_MOST_PASSES):
                before = rotated.made_anew.total()
                rotated.unreadable.clear()
                await self._pass(rotated)
                if rotated.made_anew.total() == before:
                    break
            # 3.
            async with self._database.work() as session:
                record(session, EventTag.KEYS_ROTATED, Subject(actor=ActorKind.SYSTEM), self._clock())
            await asyncio.to_thread(self._ring.end_rotation)
        return rotated

    async def finish(self) -> list[str]:
        """Destroy each key of before that has rested and that nothing needs any more; returns their names.

        1. Nobody rotates meanwhile, and nobody can still be writing under it, by the time that is believed.
        2. What can only be waited for is gone: recovery codes, mail that may come back, references that only a link opens.
        3. A whole pass finds nothing under it. Doubt, such as a value that opens under no key, keeps it.
        """
        if not await asyncio.to_thread(self._ring.earlier_keys):
            return []
        now = await self._observing.believed()
        try:
            with self._ring.rotating():
                # 1.
                rested = [key for key in self._ring.earlier_keys() if key.replaced_at <= now - _REST]
                # 2.
                free = [key for key in rested if not await self._is_waited_for(key, now)]
                if not free or (self._looked_at is not None and now - self._looked_at < _REST):
                    return []
                # 3.
                self._looked_at = now
                found = await self._pass(Rotated(""))
                free = [key for key in free if not found.unreadable[_purpose(key)] and not found.made_anew[_purpose(key)]]
                for key in free:
                    await asyncio.to_thread(self._ring.destroy_earlier, key)
                return [key.name for key in free]
        except KeyRingError as error:
            _LOG.warning("earlier_keys_kept", reason=error.reason)
            return []

    async def _is_waited_for(self, key: EarlierKey, now: datetime) -> bool:
        async with self._database.reading() as session:
            if _purpose(key) == "codes":
                on_paper = select(RecoveryCode.user_id).where(
                    RecoveryCode.created_at <= key.replaced_at, RecoveryCode.used_at.is_(None)
                )
                return now - key.replaced_at < _CODES_REST or await session.scalar(on_paper.limit(1)) is not None
            if _purpose(key) == "index":
                return await self._indexes.has_references_of_before(session, key.replaced_at)
        return False

    async def _pass(self, rotated: Rotated) -> Rotated:
        """Go along everything once."""
        for sealed in _SEALED:
            await self._reseal(sealed, rotated)
        await self._rewrap(Transfer.sender_wrap, Transfer.id, rotated, lambda row: (row.key, "sender"))
        await self._rewrap(Recipient.staff_wrap, Recipient.id, rotated, lambda row: (row.transfer_id, row.key))
        made_anew, unreadable = await self._indexes.run()
        rotated.made_anew["index"] += made_anew
        rotated.unreadable["index"] += unreadable
        return rotated

    async def _reseal(self, sealed: _Sealed, rotated: Rotated) -> None:
        current, *earlier = await asyncio.to_thread(self._ring.installation_keys, sealed.purpose)

        def anew(row: Any) -> bytes | None:
            place = sealed.place(row)
            try:
                open_text(current, place, row.value)
            except TextAltered:
                for key in earlier:
                    try:
                        return seal_text(current, place, open_text(key, place, row.value))
                    except TextAltered:
                        continue
                raise
            return None

        query = select(sealed.key.label("key"), sealed.column.label("value"), *sealed.more).where(sealed.column.is_not(None))
        await self._walk(query, sealed.key, sealed.column, anew, sealed.purpose, rotated)

    async def _rewrap(self, column: Any, key: Any, rotated: Rotated, holder: Callable[[Any], tuple[str, str]]) -> None:
        """Of message keys: wrapped anew under the new sender key of the same week."""

        def anew(row: Any) -> bytes | None:
            try:
                keys = self._ring.week(row.week)
            except KeyDestroyedError:
                return None  # what it wrapped is erased, whatever still stands there
            transfer_id, holder_id = holder(row)
            shared: dict[str, Any] = {
                "purpose": WrapPurpose.SENDER,
                "salt": b"",
                "transfer_id": transfer_id,
                "holder_id": holder_id,
                "key_id": row.week,
            }
            for secret in (keys.sender_key, *keys.earlier_sender_keys):
                try:
                    message_key = unwrap_under_secret(row.value, secret=secret, **shared)
                except WrapRefused:
                    continue
                if secret == keys.sender_key:
                    return None
                return wrap_under_secret(message_key, secret=keys.sender_key, **shared)
            raise WrapRefused

        query = select(key.label("key"), column.label("value"), Transfer.week.label("week"), Transfer.id.label("transfer_id"))
        if key is not Transfer.id:
            query = query.join(Transfer, Transfer.id == Recipient.transfer_id)
        query = query.where(column.is_not(None), Transfer.week.is_not(None), Transfer.state != TransferState.ERASED)
        await self._walk(query, key, column, anew, SENDERS, rotated)

    async def _walk(
        self, query: Any, key: Any, column: Any, anew: Callable[[Any], bytes | None], purpose: str, rotated: Rotated
    ) -> None:
        """Along all rows in the order of their keys, each batch a unit of work. What someone changed meanwhile stays as it is."""
        last: Any = None
        while True:
            further = query.order_by(key).limit(_BATCH) if last is None else query.where(key > last).order_by(key).limit(_BATCH)
            async with self._database.reading() as session:
                rows = (await session.execute(further)).all()
            if not rows:
                return
            last = rows[-1].key
            changed, unreadable = await asyncio.to_thread(_changed, rows, anew)
            rotated.unreadable[purpose] += unreadable
            if changed:
                async with self._database.work() as session:
                    await _write(session, key, column, changed)
                rotated.made_anew[purpose] += len(changed)


def _changed(rows: Sequence[Any], anew: Callable[[Any], bytes | None]) -> tuple[list[dict[str, Any]], int]:
    changed, unreadable = [], 0
    for row in rows:
        try:
            new = anew(row)
        except SealBroken:
            unreadable += 1
            continue
        if new is not None:
            changed.append({"of_key": row.key, "old": row.value, "new": new})
    return changed, unreadable


async def _write(session: AsyncSession, key: Any, column: Any, changed: list[dict[str, Any]]) -> None:
    table = key.class_.__table__
    statement = (
        update(table)
        .where(table.c[key.name] == bindparam("of_key"), table.c[column.name] == bindparam("old"))
        .values({column.name: bindparam("new")})
    )
    await session.execute(statement, changed)


def _purpose(key: EarlierKey) -> str:
    return SENDERS if key.name.endswith(".sender") else key.name
