"""Rekeying indexes: keyed hashes for exact search made anew under the index key of now, from what was hashed.

A hash that was compared with one under another key would find nothing, so whoever looks for something looks for every form of it
(`BlindIndex`). Two hashes that stand in the database are compared as they are: until their batch has come, a remembered device
may be asked for a code, and codes to one number from before may not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.address_book import AddressFeed, ListedContact, ListedWord
from zegelpost.model.base import BlindIndex
from zegelpost.model.contact import Contact
from zegelpost.model.identifiers import ContactId
from zegelpost.model.recipient import Challenge, Recipient
from zegelpost.model.refusals import LinkNotReissuable, NotFound, TransferExpired
from zegelpost.model.remembered_device import RememberedDevice
from zegelpost.model.transfer import Transfer
from zegelpost.sealing.errors import SealBroken
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.listing_contacts import ListingContacts

_BATCH: Final = 500
_UNSYNCHRONISED: Final = {"synchronize_session": False}


class RekeyingIndexes:
    def __init__(self, database: Database, keeping_keys: KeepingKeys, listing: ListingContacts) -> None:
        self._database = database
        self._keys = keeping_keys
        self._listing = listing

    async def run(self) -> tuple[int, int]:
        """Go along everything once, a batch at a time; returns how many were made anew, and how many could not be."""
        made_anew = unreadable = 0
        batches: Sequence[tuple[Any, Any]] = (
            (Recipient, self._recipients),
            (Contact, self._contacts),
            (ListedContact, self._listed),
        )
        for model, batch in batches:
            last = ""
            while True:
                async with self._database.work() as session:
                    keys = self._keys.within(session)
                    rows = list(await session.scalars(select(model).where(model.id > last).order_by(model.id).limit(_BATCH)))
                    if not rows:
                        break
                    last = rows[-1].id
                    done, failed = await batch(session, keys, rows)
                    made_anew, unreadable = made_anew + done, unreadable + failed
        return made_anew + await self._references(), unreadable

    async def has_references_of_before(self, session: AsyncSession, replaced_at: datetime) -> bool:
        """Whether references are still looked for that only a link can open; they go when their transfers are erased."""
        closed = select(Transfer.id).where(
            Transfer.reference_index.is_not(None), Transfer.sender_wrap.is_(None), Transfer.created_at <= replaced_at
        )
        return await session.scalar(closed.limit(1)) is not None

    async def _recipients(self, session: AsyncSession, keys: KeepingKeys, rows: list[Recipient]) -> tuple[int, int]:
        done = failed = 0
        for recipient in rows:
            try:
                person = keys.person(recipient)
            except SealBroken:
                failed += 1
                continue
            email = keys.index("email", person.email.comparable)
            number = keys.index("number", person.mobile.e164) if person.mobile and recipient.number_index else None
            if (recipient.email_index, recipient.number_index) == (email, number):
                continue
            # What was copied from here stands under the same key as this, or devices would be forgotten and codes uncounted.
            for column, old, new in (
                (RememberedDevice.email_index, recipient.email_index, email),
                (RememberedDevice.number_index, recipient.number_index, number),
                (Challenge.number_index, recipient.number_index, number),
            ):
                if old is not None and new is not None and old != new:
                    await _move(session, column, old, new)
            recipient.email_index, recipient.number_index = email, number
            done += 1
        return done, failed

    async def _contacts(self, _session: AsyncSession, keys: KeepingKeys, rows: list[Contact]) -> tuple[int, int]:
        done = failed = 0
        for contact in rows:
            try:
                card = keys.card(contact.id, contact.sealed_card)
            except SealBroken:
                failed += 1
                continue
            email = keys.index("email", card.email.comparable)
            number = keys.index("number", card.mobile.e164) if card.mobile else None
            if (contact.email_index, contact.number_index) == (email, number):
                continue
            if contact.corrects_index == contact.email_index:
                contact.corrects_index = email
            contact.email_index, contact.number_index = email, number
            done += 1
        return done, failed

    async def _listed(self, session: AsyncSession, keys: KeepingKeys, rows: list[ListedContact]) -> tuple[int, int]:
        feeds = await session.execute(select(AddressFeed.id, AddressFeed.owner_id))
        owners: dict[Any, Any] = {feed.id: feed.owner_id for feed in feeds}
        corrected = set(await session.scalars(select(Contact.corrects_index).where(Contact.corrects_index.is_not(None))))
        done = failed = 0
        for listed in rows:
            try:
                [card] = keys.listed_cards([(listed.id, listed.sealed_card)])
            except SealBroken:
                failed += 1
                continue
            email = keys.index("email", card.card.email.comparable)
            number = keys.index("number", card.card.mobile.e164) if card.card.mobile else None
            if (listed.email_index, listed.number_index) == (email, number):
                continue
            if listed.email_index in corrected:
                await _move(session, Contact.corrects_index, listed.email_index, email)
            listed.email_index, listed.number_index = email, number
            if owners[listed.feed_id] is None:
                await self._words(session, listed.id, self._listing.beginnings(card.card))
            done += 1
        return done, failed

    async def _words(self, session: AsyncSession, listed_id: ContactId, beginnings: list[bytes]) -> None:
        await session.execute(delete(ListedWord).where(ListedWord.listed_id == listed_id).execution_options(**_UNSYNCHRONISED))
        if beginnings:
            await session.execute(insert(ListedWord), [{"beginning": each, "listed_id": listed_id} for each in beginnings])

    async def _references(self) -> int:
        """Of transfers that the organisation keeps a copy of the key of. Others keep what they have until they are erased."""
        last, done = "", 0
        while True:
            async with self._database.work() as session:
                keys = self._keys.within(session)
                with_copy = select(Transfer).where(
                    Transfer.id > last, Transfer.reference_index.is_not(None), Transfer.sender_wrap.is_not(None)
                )
                rows = list(await session.scalars(with_copy.order_by(Transfer.id).limit(_BATCH)))
                if not rows:
                    return done
                last = rows[-1].id
                for transfer in rows:
                    try:
                        text = keys.text(keys.sender_key(transfer), transfer)
                    except (LinkNotReissuable, NotFound, TransferExpired, SealBroken):
                        continue
                    index = keys.reference_index(text)
                    if index != transfer.reference_index:
                        transfer.reference_index = index
                        done += 1


async def _move(session: AsyncSession, column: Any, old: bytes, new: BlindIndex) -> None:
    await session.execute(
        update(column.class_).where(column == old).values({column.name: bytes(new)}).execution_options(**_UNSYNCHRONISED)
    )
