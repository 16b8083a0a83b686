"""Erasing a person: what nobody has to keep about one address goes now; what has to stay is named, with the reason (AVG, 17)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.evidence.leaf import commitment
from zegelpost.model.account_link import PasswordLink, Registration
from zegelpost.model.address_book import AddressFeed, ListedContact
from zegelpost.model.audit import TREE, AuditLeaf, AuditTree
from zegelpost.model.clock import Clock
from zegelpost.model.contact import Contact
from zegelpost.model.department import Membership
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import Event, EventTag
from zegelpost.model.identity import Identity
from zegelpost.model.recipient import Person, Recipient
from zegelpost.model.refusals import AccountStillOn, OwnAccount
from zegelpost.model.remembered_device import RememberedDevice
from zegelpost.model.second_factor import AuthenticatorApp, Passkey, RecoveryCode
from zegelpost.model.staff_user import StaffUser
from zegelpost.model.template import Template
from zegelpost.model.transfer import Transfer, TransferState
from zegelpost.services.access import StaffActor, require_administrator
from zegelpost.services.hashing_passwords import NOBODY
from zegelpost.services.holding import held_transfers
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.knowing_person import Traces, introductions_of, traces_of
from zegelpost.services.recording import record
from zegelpost.services.sequencing import EVENT_COLUMNS, Sequencing, personal_of
from zegelpost.services.signing_in import end_sign_ins

_UNSYNCHRONISED: Final = {"synchronize_session": False}
_NOWHERE: Final = "erased.invalid"  # RFC 2606: nobody ever gets mail there
_PIECE: Final = 500
_NOBODY: Final = "-"


class Kept(StrEnum):
    """Why something stays."""

    TRANSFER_OPEN = "transfer_open"  # not erased yet: it goes by itself
    HOLD = "hold"
    RECORD = "record"  # who did what, for five years
    LISTED = "listed"  # an address book of the organisation lists them


@dataclass(slots=True)
class ErasedPerson:
    erased: Counter[str] = field(default_factory=Counter)
    kept: Counter[Kept] = field(default_factory=Counter)


class ErasingPerson:
    def __init__(self, database: Database, keeping_keys: KeepingKeys, sequencing: Sequencing, clock: Clock) -> None:
        self._database = database
        self._keys = keeping_keys
        self._sequencing = sequencing
        self._clock = clock

    async def erase(self, actor: StaffActor, typed_email: str, *, with_record: bool = False) -> ErasedPerson:
        """Erase what may go. Safe to repeat. Raises `NotFound`, `EmailAddressInvalid`, `AccountStillOn`, `OwnAccount`.

        1. An account was switched off before, by someone who looked at it.
        2. Address books, devices, what was begun, and all that makes an account one, go.
        3. `with_record`, by a decision of the organisation: also who they were, in transfers that are erased and in the record
           of events. Never of what is still there or held.
        4. That it was done is an event, without the address; it names the entries, so that whoever verifies sees why they are
           blank.
        """
        require_administrator(actor)
        person = EmailAddress.parse(typed_email)
        now = self._clock()
        done = ErasedPerson()
        # Whatever is still to be given its place has it, so that the entries can be named.
        await self._sequencing.catch_up(waits=True)
        async with self._database.work() as session:
            keys = self._keys.within(session)
            traces = await traces_of(session, keys, person)
            # 1.
            if traces.account is not None and traces.account.id == actor.user.id:
                raise OwnAccount
            if traces.account is not None and not traces.account.is_switched_off:
                raise AccountStillOn
            # 2.
            await self._erase_loose(session, keys, person, done)
            if traces.account is not None:
                await _strip(session, traces.account, done)
            # 3.
            held = await held_transfers(session, self._keys, now)
            gone = await _recipients(session, traces, held, done)
            account = traces.account
            if account is not None and (why := await _why_kept(session, account, held)):
                done.kept[why] += 1
                account = None
            positions: list[int] = []
            if with_record:
                positions = await _blank(session, account, gone, traces.answers)
                for recipient in gone:
                    _forget(keys, recipient)
                if account is not None:
                    account.name, account.email, account.signature = _NOBODY, f"{account.id}@{_NOWHERE}", ""
                done.erased["names"] += len(gone) + (account is not None)
                done.erased["events"] += len(positions)
            else:
                done.kept[Kept.RECORD] += len(gone) + (account is not None)
            # 4.
            record(
                session,
                EventTag.PERSON_ERASED,
                actor.subject(),
                now,
                positions=_ranges(positions),
                kept_count=done.kept.total(),
            )
        await self._sequencing.catch_up(waits=True)
        return done

    async def _erase_loose(self, session: AsyncSession, keys: KeepingKeys, person: EmailAddress, done: ErasedPerson) -> None:
        index = keys.index("email", person.comparable)
        for what, model, condition in (
            ("contacts", Contact, Contact.email_index == index),
            ("devices", RememberedDevice, RememberedDevice.email_index == index),
            ("unfinished", Registration, func.lower(Registration.email) == person.comparable),
        ):
            done.erased[what] += await _remove(session, model, condition)
        for introduction in await introductions_of(session, keys, person):
            await session.delete(introduction)
            done.erased["unfinished"] += 1
        listed = select(func.count()).select_from(ListedContact).where(ListedContact.email_index == index)
        done.kept[Kept.LISTED] += await session.scalar(listed) or 0


async def _strip(session: AsyncSession, user: StaffUser, done: ErasedPerson) -> None:
    """Take everything from an account but the row that others refer to, with its name."""
    await end_sign_ins(session, user.id)
    for what, model, condition in (
        ("sign_in", Identity, Identity.user_id == user.id),
        ("sign_in", AuthenticatorApp, AuthenticatorApp.user_id == user.id),
        ("sign_in", Passkey, Passkey.user_id == user.id),
        ("sign_in", RecoveryCode, RecoveryCode.user_id == user.id),
        ("sign_in", PasswordLink, PasswordLink.user_id == user.id),
        ("memberships", Membership, Membership.user_id == user.id),
        ("templates", Template, Template.owner_id == user.id),
        ("address_book", Contact, Contact.owner_id == user.id),
        ("address_book", AddressFeed, AddressFeed.owner_id == user.id),
    ):
        done.erased[what] += await _remove(session, model, condition)
    user.password_hash, user.signature = NOBODY, ""
    user.is_administrator = user.is_auditor = False
    user.tells_first_download, user.tells_unopened_after_days, user.tells_expiring_before_days = False, 0, 0


async def _remove(session: AsyncSession, model: Any, condition: Any) -> int:
    result: Any = await session.execute(delete(model).where(condition).execution_options(**_UNSYNCHRONISED))
    return int(result.rowcount)


async def _recipients(session: AsyncSession, traces: Traces, held: Any, done: ErasedPerson) -> list[Recipient]:
    """Those in transfers that are erased, with all that they sent us as them. Why the others stay is told."""
    gone = []
    for recipient in traces.recipients:
        received = await session.get_one(Transfer, recipient.transfer_id)
        theirs = [received, *(each for each in traces.answers if each.guest_id == recipient.id)]
        left = [each.id for each in theirs if each.state != TransferState.ERASED]
        if not left:
            gone.append(recipient)
            continue
        is_held = await session.scalar(select(Transfer.id).where(Transfer.id.in_(left), held).limit(1)) is not None
        done.kept[Kept.HOLD if is_held else Kept.TRANSFER_OPEN] += 1
    return gone


async def _why_kept(session: AsyncSession, user: StaffUser, held: Any) -> Kept | None:
    """Why the name of an account stays, if it does: recipients of what is still there read who sent it."""
    for why, condition in ((Kept.HOLD, held), (Kept.TRANSFER_OPEN, Transfer.state != TransferState.DRAFT)):
        left = select(Transfer.id).where(Transfer.sender_id == user.id, Transfer.state != TransferState.ERASED, condition)
        if await session.scalar(left.limit(1)) is not None:
            return why
    return None


def _forget(keys: KeepingKeys, recipient: Recipient) -> None:
    address = EmailAddress(recipient.id, _NOWHERE)
    recipient.sealed_person = keys.seal_person(Person(_NOBODY, address, None), recipient.id)
    recipient.email_index = keys.index("email", address.comparable)
    recipient.number_index = recipient.access_code_hash = recipient.sealed_hint = None


async def _blank(
    session: AsyncSession, account: StaffUser | None, recipients: Sequence[Recipient], answers: Sequence[Transfer]
) -> list[int]:
    """Erase the personal parts of their events; returns the places. The leaves, and so the tree, stay as they are.

    But not of events that name such places: with these the others would have no reason to be blank.
    """
    # Nobody places or blanks entries meanwhile.
    await session.scalar(select(AuditTree).where(AuditTree.id == TREE).with_for_update())
    conditions = [] if account is None else [Event.staff_user_id == account.id]
    gone = {each.id for each in recipients}
    at = [(each.transfer_id, each.id) for each in recipients]
    at += [(each.id, each.guest_id) for each in answers if each.guest_id in gone]
    for start in range(0, len(at), _PIECE):
        # By transfer first: events have an index for that, and none for recipients.
        transfers, theirs = zip(*at[start : start + _PIECE], strict=True)
        conditions.append(Event.transfer_id.in_(transfers) & Event.recipient_id.in_(theirs))
    if not conditions:
        return []
    rows = (
        await session.execute(
            select(AuditLeaf.position, AuditLeaf.salt, *EVENT_COLUMNS)
            .join(Event, Event.id == AuditLeaf.event_id)
            .where(or_(*conditions), AuditLeaf.salt.is_not(None), Event.tag != EventTag.PERSON_ERASED)
            .order_by(AuditLeaf.position)
        )
    ).all()
    for row in rows:
        await session.execute(
            update(AuditLeaf)
            .where(AuditLeaf.position == row.position)
            .values(salt=None, commitment=commitment(row.salt, personal_of(row)))
            .execution_options(**_UNSYNCHRONISED)
        )
        await session.execute(
            update(Event)
            .where(Event.id == row.id)
            .values(staff_user_id=None, recipient_id=None, facts={})
            .execution_options(**_UNSYNCHRONISED)
        )
    return [row.position for row in rows]


def _ranges(positions: Iterable[int]) -> str:
    """Rising places as `3-7,9`."""
    pieces: list[list[int]] = []
    for position in positions:
        if pieces and position == pieces[-1][1] + 1:
            pieces[-1][1] = position
        else:
            pieces.append([position, position])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in pieces)
