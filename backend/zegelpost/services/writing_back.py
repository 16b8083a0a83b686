"""Writing back: new contacts that people make here go to their own book in Exchange too, when the organisation wants that."""

from __future__ import annotations

from typing import Final

import structlog
from sqlalchemy import exists, select, update

from zegelpost.database import Database
from zegelpost.model.address_book import AddressBookChoices, AddressFeed, FeedTrouble, ListedContact
from zegelpost.model.clock import Clock
from zegelpost.model.contact import Contact, ContactSource
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.identifiers import ContactId
from zegelpost.ports import AddressBook, AddressBookError
from zegelpost.services.keeping_keys import KeepingKeys

_LOG: Final = structlog.get_logger()
# The rest waits for the next time, so that nobody keeps a worker busy.
_MOST_AT_ONCE: Final = 100


class WritingBack:
    def __init__(self, database: Database, keeping_keys: KeepingKeys, clock: Clock) -> None:
        self._database = database
        self._keys = keeping_keys
        self._clock = clock

    async def run(self, feed: AddressFeed, book: AddressBook, mailbox: EmailAddress) -> int:
        """Copy what was made since the organisation began with it; returns how many. Raises `AddressBookError`.

        Called when the book has just been read to its end: an address that it has by now is not put there again, also when
        it got there by a try of ours whose answer was lost.
        """
        count = 0
        for contact_id, sealed_card in await self._waiting(feed):
            try:
                await book.add(mailbox, self._keys.card(contact_id, sealed_card))
            except AddressBookError as error:
                if error.trouble == FeedTrouble.OTHER and error.is_permanent:
                    # Exchange does not want this one, for whatever is in it; it must not keep the others out.
                    _LOG.info("contact_not_taken", contact=contact_id, reason=error.reason)
                    continue
                if error.trouble != FeedTrouble.PERMISSION:
                    raise
                # Reading went well a moment ago, so it is only writing that we may not do.
                raise AddressBookError(error.reason, trouble=FeedTrouble.WRITE_PERMISSION, is_permanent=True) from None
            async with self._database.work() as session:
                await session.execute(
                    update(Contact)
                    .where(Contact.id == contact_id)
                    .values(copied_at=self._clock())
                    .execution_options(synchronize_session=False)
                )
            count += 1
        return count

    async def _waiting(self, feed: AddressFeed) -> list[tuple[ContactId, bytes]]:
        async with self._database.reading() as session:
            choices = await session.get(AddressBookChoices, 1)
            if choices is None or choices.writes_back_since is None:
                return []
            is_there = exists().where(ListedContact.feed_id == feed.id, ListedContact.email_index == Contact.email_index)
            rows = await session.execute(
                select(Contact.id, Contact.sealed_card)
                .where(
                    Contact.owner_id == feed.owner_id,
                    Contact.source.in_([ContactSource.TYPED, ContactSource.SENDING]),
                    Contact.created_at >= choices.writes_back_since,
                    Contact.copied_at.is_(None),
                    ~is_there,
                )
                .order_by(Contact.created_at)
                .limit(_MOST_AT_ONCE)
            )
            return [(row.id, row.sealed_card) for row in rows]
