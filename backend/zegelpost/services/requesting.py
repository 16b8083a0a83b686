"""Requesting: asking an outsider for documents, and following it up.

The answers themselves are received transfers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.event import Event, EventTag
from zegelpost.model.file_request import (
    LONGEST_REASON,
    FileRequest,
    ItemState,
    RequestItem,
    RequestState,
    request_state,
)
from zegelpost.model.identifiers import DepartmentId, ItemId, RecipientId, TransferId, is_identifier, new_identifier
from zegelpost.model.outgoing import Purpose
from zegelpost.model.recipient import Person, Recipient, VerificationMethod
from zegelpost.model.refusals import (
    FormRefused,
    NotFound,
    NothingToRemind,
    ReasonMissing,
    ReasonTooLong,
    RemindedRecently,
    TransferExpired,
)
from zegelpost.model.transfer import Transfer, TransferKind, TransferState, TransferText, receipt_number
from zegelpost.sealing.keys import MessageKey
from zegelpost.services.access import StaffActor, own_transfer, senders_mailboxes
from zegelpost.services.conversing import AskedItem, name_place, reason_place
from zegelpost.services.following_up import FollowingUp
from zegelpost.services.governing import Governing
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.leafing import leaf
from zegelpost.services.presenting import Presenting
from zegelpost.services.recording import record
from zegelpost.services.sending import Sending

PAGE: Final = 20
_AFTER_DUE: Final = timedelta(days=14)  # in which what comes late still arrives
_REMIND_EVERY: Final = timedelta(hours=12)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContent:
    """What is asked, of whom; already parsed."""

    text: TransferText
    guest: Person
    items: Sequence[str] = field(default=(), repr=False)
    due_on: date | None
    language: str
    department_id: DepartmentId | None = None


@dataclass(frozen=True, slots=True)
class ReceivedAnswer:
    """One answer, as staff see it in the request; it opens on its own page."""

    id: TransferId
    number: str
    sent_at: datetime
    is_opened: bool
    is_withdrawn: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOverview:
    id: TransferId
    state: RequestState
    text: TransferText
    guest: Person = field(repr=False)
    recipient_id: RecipientId
    method: VerificationMethod
    due_on: date | None
    sent_at: datetime
    expires_at: datetime
    closed_at: datetime | None
    items: Sequence[AskedItem]
    answers: Sequence[ReceivedAnswer]
    history: Sequence[Event] = field(default=())


@dataclass(frozen=True, slots=True)
class RequestPage:
    items: Sequence[RequestOverview]
    number: int
    total_count: int

    @property
    def last(self) -> int:
        return max(1, -(-self.total_count // PAGE))


class Requesting:
    def __init__(
        self,
        database: Database,
        keeping_keys: KeepingKeys,
        presenting: Presenting,
        sending: Sending,
        following_up: FollowingUp,
        governing: Governing,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._presenting = presenting
        self._sending = sending
        self._following_up = following_up
        self._governing = governing
        self._clock = clock

    async def ask(self, actor: StaffActor, content: RequestContent) -> TransferId:
        """Make a request and mail its link. Raises `NotFound` for a department that is not the actor's.

        1. The request is a transfer without documents, with one recipient: the guest.
        2. A number means a code; without one the link alone opens it, so it holds nothing but what is asked.
        3. It stays open some time after the date that was given: what comes late is better than what never comes.
        """
        now = self._clock()
        if content.department_id is not None and content.department_id not in actor.departments:
            raise NotFound
        days = self._governing.policy.default_expiry_days
        if content.due_on is not None:
            days = max(days, (content.due_on - now.date() + _AFTER_DUE).days)
        async with self._database.work() as session:
            # 1.
            transfer = Transfer(
                id=TransferId(new_identifier()),
                kind=TransferKind.REQUEST,
                sender_id=actor.user.id,
                department_id=content.department_id,
                state=TransferState.SENT,
                language=content.language,
                has_sender_copy=True,
                expires_in_days=days,
                created_at=now,
                sent_at=now,
                expires_at=now + timedelta(days=days),
            )
            key = MessageKey.generate()
            assert transfer.expires_at is not None
            self._keys.seal_for_sending(key, transfer, transfer.expires_at)
            self._keys.seal_text(key, transfer, content.text)
            session.add(transfer)
            await session.flush()
            session.add(FileRequest(transfer_id=transfer.id, due_on=content.due_on))
            for position, name in enumerate(content.items):
                item = RequestItem(id=ItemId(new_identifier()), transfer_id=transfer.id, position=position, state=ItemState.ASKED)
                item.sealed_name = self._keys.seal_line(key, name_place(item), name)
                session.add(item)
            # 2.
            recipient = self._recipient(transfer, content.guest)
            session.add(recipient)
            await session.flush()
            # 3.
            sender = await self._presenting.sender_of(session, transfer)
            self._sending.invite(session, Purpose.REQUEST, sender, transfer, recipient, key, due_on=content.due_on)
            record(session, EventTag.TRANSFER_SENT, actor.subject(transfer), now, recipient_count=1)
        return transfer.id

    async def requests(self, actor: StaffActor, *, page: int = 1) -> RequestPage:
        """Requests of this staff user and their departments, newest first."""
        async with self._database.reading() as session:
            transfers, total = await leaf(session, senders_mailboxes(actor), TransferKind.REQUEST, page=page, count=PAGE)
            around = await _around(session, transfers)
            keys = self._keys.within(session)
            return RequestPage([_overview(keys, transfer, around, []) for transfer in transfers], page, total)

    async def request(self, actor: StaffActor, transfer_id: str) -> RequestOverview:
        """One request with everything that happened to it. Raises `NotFound`."""
        async with self._database.reading() as session:
            transfer, _ = await _own_request(session, actor, transfer_id)
            events = await session.scalars(select(Event).where(Event.transfer_id == transfer.id).order_by(Event.id))
            return _overview(self._keys.within(session), transfer, await _around(session, [transfer]), list(events))

    async def remind(self, actor: StaffActor, transfer_id: str) -> None:
        """Mail the guest again, with a new link. Raises `NothingToRemind` when all has come, `RemindedRecently`."""
        now = self._clock()
        async with self._database.work() as session:
            transfer, request = await _own_request(session, actor, transfer_id, lock=True)
            request.require_open()
            transfer.require_open(now)
            overview = _overview(self._keys, transfer, await _around(session, [transfer]), [])
            if overview.state == RequestState.ANSWERED:
                raise NothingToRemind
            recipient = await session.get_one(Recipient, overview.recipient_id)
            if recipient.reminded_at is not None and now - recipient.reminded_at < _REMIND_EVERY:
                raise RemindedRecently(retry_after_seconds=int(_REMIND_EVERY.total_seconds()))
            recipient.reminded_at = now
            key = self._keys.sender_key(transfer)
            await self._following_up.new_way_in(
                session, Purpose.REQUEST_REMINDER, transfer, recipient, key, now, due_on=request.due_on
            )
            record(session, EventTag.RECIPIENT_REMINDED, actor.subject(transfer, recipient_id=recipient.id), now)

    async def close(self, actor: StaffActor, transfer_id: str) -> None:
        """Take nothing more. What was sent stays where it is, and the guest still sees it."""
        now = self._clock()
        async with self._database.work() as session:
            transfer, request = await _own_request(session, actor, transfer_id, lock=True)
            request.require_open()
            request.closed_at = now
            record(session, EventTag.REQUEST_CLOSED, actor.subject(transfer), now)

    async def reopen(self, actor: StaffActor, transfer_id: str) -> None:
        """Let the guest add something after all. Raises `TransferExpired` when the link has run out."""
        now = self._clock()
        async with self._database.work() as session:
            transfer, request = await _own_request(session, actor, transfer_id, lock=True)
            if transfer.expires_at is None or now >= transfer.expires_at:
                raise TransferExpired
            if request.closed_at is None:
                return
            request.closed_at = None
            record(session, EventTag.REQUEST_REOPENED, actor.subject(transfer), now)

    async def accept(self, actor: StaffActor, transfer_id: str, item_id: str) -> None:
        """Say that this item is what was asked for."""
        now = self._clock()
        async with self._database.work() as session:
            transfer, _ = await _own_request(session, actor, transfer_id, lock=True)
            item = await _item_of(session, transfer, item_id)
            item.state, item.sealed_reason = ItemState.ACCEPTED, None
            record(session, EventTag.ITEM_ACCEPTED, actor.subject(transfer), now, item=item.id)

    async def send_back(self, actor: StaffActor, transfer_id: str, item_id: str, reason: str) -> None:
        """Ask for an item again and say why; the guest gets a mail with a new link, the reason is behind it.

        Raises `FormRefused` without a usable reason.
        """
        reason = reason.replace("\r\n", "\n").strip()
        if not reason:
            raise FormRefused({f"reason-{item_id}": ReasonMissing()})
        if len(reason) > LONGEST_REASON:
            raise FormRefused({f"reason-{item_id}": ReasonTooLong(limit=LONGEST_REASON)})
        now = self._clock()
        async with self._database.work() as session:
            transfer, request = await _own_request(session, actor, transfer_id, lock=True)
            request.require_open()
            transfer.require_open(now)
            item = await _item_of(session, transfer, item_id)
            key = self._keys.sender_key(transfer)
            item.state = ItemState.SENT_BACK
            item.sealed_reason = self._keys.seal_line(key, reason_place(item), reason)
            recipient = await _guest_of(session, transfer)
            await self._following_up.new_way_in(
                session, Purpose.ITEM_SENT_BACK, transfer, recipient, key, now, due_on=request.due_on
            )
            record(session, EventTag.ITEM_RETURNED, actor.subject(transfer), now, item=item.id)

    def _recipient(self, transfer: Transfer, guest: Person) -> Recipient:
        recipient = Recipient(
            id=RecipientId(new_identifier()),
            transfer_id=transfer.id,
            position=0,
            method=VerificationMethod.SMS if guest.mobile else VerificationMethod.LINK,
            email_index=self._keys.index("email", guest.email.comparable),
            number_index=self._keys.index("number", guest.mobile.e164) if guest.mobile else None,
        )
        recipient.sealed_person = self._keys.seal_person(guest, recipient.id)
        return recipient


def _overview(keys: KeepingKeys, transfer: Transfer, around: _Around, events: Sequence[Event]) -> RequestOverview:
    key = keys.sender_key(transfer)
    request, recipient = around.requests[transfer.id], around.guests[transfer.id]
    items, answers = around.items.get(transfer.id, []), around.answers.get(transfer.id, [])
    assert transfer.sent_at is not None
    assert transfer.expires_at is not None
    return RequestOverview(
        id=transfer.id,
        state=request_state(
            request, [item.state for item in items], has_answers=any(not answer.is_withdrawn for answer in answers)
        ),
        text=keys.text(key, transfer),
        guest=keys.person(recipient),
        recipient_id=recipient.id,
        method=recipient.method,
        due_on=request.due_on,
        sent_at=transfer.sent_at,
        expires_at=transfer.expires_at,
        closed_at=request.closed_at,
        items=[_item(keys, key, item) for item in items],
        answers=answers,
        history=events,
    )


def _item(keys: KeepingKeys, key: MessageKey, item: RequestItem) -> AskedItem:
    return AskedItem(
        id=item.id,
        name=keys.open_line(key, name_place(item), item.sealed_name),
        state=item.state,
        reason=keys.open_line(key, reason_place(item), item.sealed_reason) if item.sealed_reason else "",
    )


async def _own_request(
    session: AsyncSession, actor: StaffActor, transfer_id: str, *, lock: bool = False
) -> tuple[Transfer, FileRequest]:
    transfer = await own_transfer(session, actor, transfer_id, lock=lock)
    if transfer.kind != TransferKind.REQUEST or transfer.state == TransferState.ERASED:
        raise NotFound
    return transfer, await session.get_one(FileRequest, transfer.id)


async def _guest_of(session: AsyncSession, transfer: Transfer) -> Recipient:
    found = await session.scalars(select(Recipient).where(Recipient.transfer_id == transfer.id))
    return found.one()


async def _item_of(session: AsyncSession, transfer: Transfer, item_id: str) -> RequestItem:
    """An item of a request that was already authorised."""
    item: Any = await session.get(RequestItem, item_id) if is_identifier(item_id) else None
    if item is None:
        raise NotFound
    if item.transfer_id != transfer.id:
        raise NotFound
    found: RequestItem = item
    return found


@dataclass(frozen=True, slots=True)
class _Around:
    """What belongs to each of some requests: items in their order, answers newest first."""

    requests: Mapping[TransferId, FileRequest]
    guests: Mapping[TransferId, Recipient]
    items: Mapping[TransferId, Sequence[RequestItem]]
    answers: Mapping[TransferId, Sequence[ReceivedAnswer]]


async def _around(session: AsyncSession, transfers: Sequence[Transfer]) -> _Around:
    """As many statements for a page of requests as for one."""
    ids = [transfer.id for transfer in transfers]
    requests = await session.scalars(select(FileRequest).where(FileRequest.transfer_id.in_(ids)))
    guests = await session.scalars(select(Recipient).where(Recipient.transfer_id.in_(ids)))
    items: dict[TransferId, list[RequestItem]] = {}
    for item in await session.scalars(select(RequestItem).where(RequestItem.transfer_id.in_(ids)).order_by(RequestItem.position)):
        items.setdefault(item.transfer_id, []).append(item)
    return _Around(
        {request.transfer_id: request for request in requests},
        {guest.transfer_id: guest for guest in guests},
        items,
        await _answers(session, ids),
    )


async def _answers(session: AsyncSession, ids: Sequence[TransferId]) -> dict[TransferId, list[ReceivedAnswer]]:
    rows = await session.execute(
        select(Transfer.answers_id, Transfer.id, Transfer.sent_at, Transfer.revoked_at, Recipient.opened_at)
        .join(Recipient, (Recipient.transfer_id == Transfer.id) & (Recipient.position == 0))
        .where(Transfer.answers_id.in_(ids), Transfer.kind == TransferKind.ANSWER, Transfer.sent_at.is_not(None))
        .order_by(Transfer.sent_at.desc())
    )
    found: dict[TransferId, list[ReceivedAnswer]] = {}
    for answers_id, answer_id, sent_at, revoked_at, opened_at in rows:
        assert answers_id is not None
        assert sent_at is not None
        answer = ReceivedAnswer(answer_id, receipt_number(answer_id), sent_at, opened_at is not None, revoked_at is not None)
        found.setdefault(answers_id, []).append(answer)
    return found
