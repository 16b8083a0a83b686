"""Knowing a person: everything that is kept about one e-mail address, for whoever asks what that is (AVG, article 15).

Not what is in transfers of others: that is theirs, and sealed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.account_link import Registration
from zegelpost.model.address_book import AddressFeed, ListedContact
from zegelpost.model.clock import Clock
from zegelpost.model.contact import Contact
from zegelpost.model.department import Department, Membership
from zegelpost.model.document import Document
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import Event, EventTag
from zegelpost.model.identity import Identity
from zegelpost.model.intake import Intake, Introduction
from zegelpost.model.outgoing import Outgoing
from zegelpost.model.recipient import Challenge, Recipient
from zegelpost.model.remembered_device import RememberedDevice
from zegelpost.model.second_factor import AuthenticatorApp, Passkey, RecoveryCode
from zegelpost.model.staff_user import SignIn, StaffUser
from zegelpost.model.template import Template
from zegelpost.model.transfer import Transfer
from zegelpost.services.access import StaffActor, require_administrator
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.recording import record

Entry = dict[str, Any]
_PIECE: Final = 500


@dataclass(frozen=True, slots=True)
class Known:
    """What is kept, by kind; each entry is columns by name. `of` is the address."""

    of: str = field(repr=False)
    made_at: datetime
    kinds: dict[str, list[Entry]] = field(repr=False)

    def to_json(self) -> str:
        content = {"person": self.of, "made_at": self.made_at, **self.kinds}
        return json.dumps(content, ensure_ascii=False, indent=1, default=_plain)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


@dataclass(frozen=True, slots=True)
class Traces:
    """Rows that are somebody's, by which everything else of them is found."""

    account: StaffUser | None
    recipients: Sequence[Recipient]
    answers: Sequence[Transfer]  # what they sent us, as one of these recipients


async def traces_of(session: AsyncSession, keys: KeepingKeys, person: EmailAddress) -> Traces:
    account = await session.scalar(select(StaffUser).where(func.lower(StaffUser.email) == person.comparable))
    index = keys.index("email", person.comparable)
    found = (await session.scalars(select(Recipient).where(Recipient.email_index == index).order_by(Recipient.id))).all()
    answers: list[Transfer] = []
    for start in range(0, len(found), _PIECE):
        ids = [each.id for each in found[start : start + _PIECE]]
        answers += await session.scalars(select(Transfer).where(Transfer.guest_id.in_(ids)).order_by(Transfer.created_at))
    return Traces(account, found, answers)


class KnowingPerson:
    def __init__(self, database: Database, keeping_keys: KeepingKeys, clock: Clock) -> None:
        self._database = database
        self._keys = keeping_keys
        self._clock = clock

    async def know(self, actor: StaffActor, typed_email: str, *, is_export: bool = False) -> Known:
        """Everything about this address. That it was asked is an event. Raises `NotFound`, `EmailAddressInvalid`."""
        require_administrator(actor)
        person = EmailAddress.parse(typed_email)
        now = self._clock()
        async with self._database.work() as session:
            tag = EventTag.PERSON_EXPORTED if is_export else EventTag.PERSON_CONSULTED
            index = self._keys.index("email", person.comparable).hex()
            record(session, tag, actor.subject(), now, person_index=index)
        async with self._database.reading() as session:
            keys = self._keys.within(session)
            traces = await traces_of(session, keys, person)
            kinds: dict[str, list[Entry]] = {
                "account": await _account(session, traces.account),
                "contacts": await _contacts(session, keys, person),
                "received": await _received(session, keys, traces.recipients),
                "sent": await _sent(session, traces),
                "messages": await _messages(session, traces.recipients),
                "codes": await _codes(session, traces.recipients),
                "devices": await _devices(session, keys, person),
                "unfinished": await _unfinished(session, keys, person),
                "events": await _events(session, traces),
            }
        return Known(str(person), now, kinds)


def _row(source: Any, *names: str) -> Entry:
    return {name: getattr(source, name) for name in names if getattr(source, name) not in (None, "")}


async def _account(session: AsyncSession, user: StaffUser | None) -> list[Entry]:
    if user is None:
        return []
    own: list[Entry] = [
        {"what": "account"}
        | _row(user, "name", "email", "language", "signature", "created_at")
        | _row(user, "is_administrator", "is_auditor", "is_switched_off", "switched_off_by")
        | _row(user, "tells_first_download", "tells_unopened_after_days", "tells_expiring_before_days")
    ]
    for model, what, names in (
        (Identity, "identity", ("issuer", "subject", "created_at")),
        (AuthenticatorApp, "app", ("name", "created_at", "used_at")),
        (Passkey, "passkey", ("name", "created_at", "used_at")),
        (RecoveryCode, "recovery_code", ("created_at", "used_at")),
        (SignIn, "sign_in", ("kind", "created_at")),
    ):
        rows = await session.scalars(select(model).where(model.user_id == user.id))
        own += [{"what": what} | _row(each, *names) for each in rows]
    members = await session.execute(
        select(Department.name, Membership.role, Membership.created_at)
        .join(Department, Department.id == Membership.department_id)
        .where(Membership.user_id == user.id)
    )
    own += [{"what": "member", "department": each.name, "role": each.role, "created_at": each.created_at} for each in members]
    for what, is_own in (("templates", Template.owner_id == user.id), ("address_book", Contact.owner_id == user.id)):
        count = await session.scalar(select(func.count()).where(is_own))
        own += [{"what": what, "count": count or 0}]
    return own


async def _contacts(session: AsyncSession, keys: KeepingKeys, person: EmailAddress) -> list[Entry]:
    index = keys.index("email", person.comparable)
    owners = {str(each.id): each.name for each in await session.execute(select(StaffUser.id, StaffUser.name))}
    owners |= {str(each.id): each.name for each in await session.execute(select(Department.id, Department.name))}
    found: list[Entry] = [
        {"what": "contact", "book_of": owners.get(str(contact.owner_id or contact.department_id), "")}
        | _card(keys.card(contact.id, contact.sealed_card))
        | _row(contact, "source", "created_at", "changed_at", "number_worked_at")
        for contact in await session.scalars(select(Contact).where(Contact.email_index == index))
    ]
    listed = select(ListedContact, AddressFeed).join(AddressFeed, AddressFeed.id == ListedContact.feed_id)
    for each, feed in await session.execute(listed.where(ListedContact.email_index == index)):
        [card] = keys.listed_cards([(each.id, each.sealed_card)])
        whose = owners.get(str(feed.owner_id), "")
        found.append({"what": "listed", "book_of": whose, "place": feed.place} | _card(card.card) | _row(each, "changed_at"))
    return found


def _card(card: Any) -> Entry:
    mobile = card.mobile.e164 if card.mobile else ""
    return {"name": card.name, "organisation": card.organisation, "email": str(card.email), "mobile": mobile}


async def _received(session: AsyncSession, keys: KeepingKeys, recipients: Sequence[Recipient]) -> list[Entry]:
    """As an outsider or a colleague. Documents are counted, not named: their names are in what was sent."""
    found = []
    for recipient in recipients:
        transfer = await session.get_one(Transfer, recipient.transfer_id)
        sender = await session.get(StaffUser, transfer.sender_id) if transfer.sender_id else None
        department = await session.get(Department, transfer.department_id) if transfer.department_id else None
        documents = (
            await session.execute(
                select(func.count(), func.sum(Document.length_bytes)).where(Document.transfer_id == transfer.id)
            )
        ).one()
        person = keys.person(recipient)
        intake = await session.get(Intake, transfer.id)
        found.append(
            {"transfer": transfer.id, "kind": transfer.kind, "state": transfer.state}
            | {"name": person.name, "email": str(person.email), "mobile": person.mobile.e164 if person.mobile else ""}
            | {"sender": department.name if department else sender.name if sender else ""}
            | {"documents": documents[0], "bytes": int(documents[1] or 0)}
            | _row(transfer, "sent_at", "expires_at", "revoked_at", "erased_at")
            | _row(recipient, "method", "opened_at", "fetched_at", "reminded_at", "help_asked_at", "blocked_at", "locked_at")
            | ({"mailbox_confirmed_at": intake.email_confirmed_at} if intake else {})
        )
    return found


async def _sent(session: AsyncSession, traces: Traces) -> list[Entry]:
    """With their account, and as a guest."""
    sent = list(traces.answers)
    if traces.account is not None:
        mine = select(Transfer).where(Transfer.sender_id == traces.account.id).order_by(Transfer.created_at)
        sent += await session.scalars(mine)
    names = ("kind", "state", "created_at", "sent_at", "expires_at", "revoked_at", "erased_at")
    return [{"transfer": each.id} | _row(each, *names) for each in sent]


async def _messages(session: AsyncSession, recipients: Sequence[Recipient]) -> list[Entry]:
    names = ("kind", "purpose", "state", "created_at", "accepted_at", "acceptance", "failure", "carrier_state")
    return [_row(each, *names) for each in await _of(session, Outgoing, recipients)]


async def _codes(session: AsyncSession, recipients: Sequence[Recipient]) -> list[Entry]:
    return [_row(each, "created_at", "used_at", "try_count") for each in await _of(session, Challenge, recipients)]


async def _of(session: AsyncSession, model: Any, recipients: Sequence[Recipient]) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(recipients), _PIECE):
        ids = [each.id for each in recipients[start : start + _PIECE]]
        found += await session.scalars(select(model).where(model.recipient_id.in_(ids)).order_by(model.created_at))
    return found


async def _devices(session: AsyncSession, keys: KeepingKeys, person: EmailAddress) -> list[Entry]:
    mine = RememberedDevice.email_index == keys.index("email", person.comparable)
    return [_row(each, "created_at", "expires_at") for each in await session.scalars(select(RememberedDevice).where(mine))]


async def _unfinished(session: AsyncSession, keys: KeepingKeys, person: EmailAddress) -> list[Entry]:
    """Accounts that were asked for, and what was begun on the public page; both go by themselves within hours."""
    asked = await session.scalars(select(Registration).where(func.lower(Registration.email) == person.comparable))
    found: list[Entry] = [{"what": "registration"} | _row(each, "email", "name", "created_at") for each in asked]
    begun = await introductions_of(session, keys, person)
    return found + [
        {"what": "introduction", **json.loads(keys.introduction(each)), "created_at": each.created_at} for each in begun
    ]


async def introductions_of(session: AsyncSession, keys: KeepingKeys, person: EmailAddress) -> list[Introduction]:
    """They live for hours and are sealed, so all that there are can be opened."""
    return [
        each
        for each in await session.scalars(select(Introduction))
        if str(json.loads(keys.introduction(each)).get("email", "")).strip().lower() == person.comparable
    ]


async def _events(session: AsyncSession, traces: Traces) -> list[Entry]:
    found: list[Entry] = []
    names = ("at", "tag", "transfer_id", "document_id", "facts")
    if traces.account is not None:
        mine = select(Event).where(Event.staff_user_id == traces.account.id).order_by(Event.id)
        found += [_row(each, "id", *names) for each in await session.scalars(mine)]
    at = [(each.transfer_id, each.id) for each in traces.recipients] + [(each.id, each.guest_id) for each in traces.answers]
    for transfer_id, recipient_id in at:
        # By transfer first: events have an index for that, and none for recipients.
        theirs = (Event.transfer_id == transfer_id) & (Event.recipient_id == recipient_id)
        found += [_row(each, "id", *names) for each in await session.scalars(select(Event).where(theirs).order_by(Event.id))]
    return found
