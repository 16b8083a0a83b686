"""Overseeing: what senders see of their own transfers, and colleagues of what they received."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.document import Document, Upload
from zegelpost.model.event import Event, EventTag
from zegelpost.model.identifiers import DepartmentId, DocumentId, RecipientId, StaffUserId, TransferId, UploadId
from zegelpost.model.outgoing import DELAY_LASTS, CodeState, MailFault, Outgoing, OutgoingKind, OutgoingState, Purpose
from zegelpost.model.recipient import Person, Recipient, VerificationMethod
from zegelpost.model.refusals import LinkNotReissuable, NotFound, TransferExpired
from zegelpost.model.staff_user import StaffUser
from zegelpost.model.transfer import Transfer, TransferKind, TransferState, TransferText
from zegelpost.sealing.keys import MessageKey
from zegelpost.services.access import StaffActor, is_senders, own_transfer, senders_mailboxes
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.leafing import leaf
from zegelpost.services.notifying import WITHDRAWN
from zegelpost.services.presenting import Correspondent, Presenting
from zegelpost.services.receiving import ReadableDocument, readable

PAGE: Final = 20


class Progress(StrEnum):
    """How far one recipient has come, worst news first."""

    LOCKED = "locked"
    BLOCKED = "blocked"
    UNDELIVERED = "undelivered"
    DELAYED = "delayed"
    PARKED = "parked"  # waits for a number, and has got nothing
    FETCHED = "fetched"
    OPENED = "opened"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class CodeOverview:
    """The latest code of one recipient; `failure` is a class of `SmsErrorKind`, or `interrupted`."""

    state: CodeState
    at: datetime
    failure: str | None
    is_call: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientOverview:
    id: RecipientId
    person: Person
    method: VerificationMethod
    hint: str = field(default="", repr=False)  # empty too when we cannot read it
    progress: Progress
    mail_fault: MailFault | None  # why the mail with the link did not arrive
    opened_at: datetime | None
    fetched_at: datetime | None
    code: CodeOverview | None = None
    history: Sequence[Event] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferOverview:
    """A transfer as its sender sees it. `text` is missing when it was sent link-only: then we cannot read it either."""

    id: TransferId
    kind: TransferKind
    department_id: DepartmentId | None
    department_name: str
    sender: Correspondent  # as recipients see them
    state: TransferState
    text: TransferText | None
    language: str
    created_at: datetime
    sent_at: datetime | None
    expires_at: datetime | None
    held_at: datetime | None  # since when a legal hold keeps it from being erased
    expires_in_days: int
    has_sender_copy: bool
    recipients: Sequence[RecipientOverview]
    documents: Sequence[ReadableDocument] = field(default=())
    history: Sequence[Event] = field(default=())
    # Who of the department did what; for one's own transfers it goes without saying.
    staff_names: Mapping[StaffUserId, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ArrivingUpload:
    """An upload that has not finished, to go on with."""

    id: UploadId
    document_id: DocumentId
    offset_bytes: int
    length_bytes: int


@dataclass(frozen=True, slots=True)
class Page:
    items: Sequence[TransferOverview]
    number: int
    total_count: int

    @property
    def last(self) -> int:
        return max(1, -(-self.total_count // PAGE))


class Overseeing:
    def __init__(self, database: Database, keeping_keys: KeepingKeys, presenting: Presenting, clock: Clock) -> None:
        self._database = database
        self._keys = keeping_keys
        self._presenting = presenting
        self._clock = clock

    async def sent(self, actor: StaffActor, *, page: int = 1, count: int = PAGE, mailbox: str = "") -> Page:
        """Sent transfers, newest first; erased ones are gone. `mailbox` narrows them, see `senders_mailboxes`."""
        mailboxes = senders_mailboxes(actor, mailbox)
        async with self._database.reading() as session:
            transfers, total = await leaf(session, mailboxes, TransferKind.SENDING, page=page, count=count)
            return Page(await self._overviews(session, actor, transfers), page, total)

    async def drafts(self, actor: StaffActor) -> Page:
        """Drafts that this sign-in can open, newest first."""
        mine = (is_senders(actor), Transfer.kind == TransferKind.SENDING, Transfer.state == TransferState.DRAFT)
        async with self._database.reading() as session:
            total = await session.scalar(select(func.count()).select_from(Transfer).where(*mine)) or 0
            newest = select(Transfer).where(*mine).order_by(Transfer.created_at.desc(), Transfer.id).limit(PAGE)
            drafts = await self._overviews(session, actor, (await session.scalars(newest)).all())
            return Page([draft for draft in drafts if draft.text is not None], 1, total)

    async def transfer(self, actor: StaffActor, transfer_id: str) -> TransferOverview:
        """One transfer with everything that happened to it. Raises `NotFound`."""
        async with self._database.reading() as session:
            transfer = await own_transfer(session, actor, transfer_id)
            if transfer.state == TransferState.ERASED:
                raise NotFound
            events = list(await session.scalars(select(Event).where(Event.transfer_id == transfer.id).order_by(Event.id)))
            names = await _staff_names(session, events) if transfer.department_id else {}
            keys = self._keys.within(session)
            return self._overview(keys, actor, transfer, await self._around(session, [transfer]), events, names)

    async def arriving(self, actor: StaffActor, transfer_id: str) -> list[ArrivingUpload]:
        """Uploads of a draft that have not finished."""
        async with self._database.reading() as session:
            transfer = await own_transfer(session, actor, transfer_id)
            uploads = await session.scalars(select(Upload).where(Upload.transfer_id == transfer.id).order_by(Upload.created_at))
            return [ArrivingUpload(u.id, u.document_id, u.offset_bytes, u.length_bytes) for u in uploads]

    async def _overviews(self, session: AsyncSession, actor: StaffActor, transfers: Sequence[Transfer]) -> list[TransferOverview]:
        around = await self._around(session, transfers)
        keys = self._keys.within(session)
        return [self._overview(keys, actor, transfer, around) for transfer in transfers]

    async def _around(self, session: AsyncSession, transfers: Sequence[Transfer]) -> _Around:
        """As many statements for a page of transfers as for one."""
        ids = [transfer.id for transfer in transfers]
        recipients = await session.scalars(select(Recipient).where(Recipient.transfer_id.in_(ids)).order_by(Recipient.position))
        documents = await session.scalars(
            select(Document).where(Document.transfer_id.in_(ids)).order_by(Document.position, Document.created_at)
        )
        outgoing = await session.scalars(
            select(Outgoing)
            .options(load_only(*_OUTGOING_COLUMNS))
            .where(Outgoing.transfer_id.in_(ids), Outgoing.purpose.in_([*_BRINGS_THE_LINK, Purpose.REMINDER, Purpose.CODE]))
            .order_by(Outgoing.created_at, Outgoing.id)
        )
        return _Around(
            await self._presenting.senders_of(session, transfers),
            _by_transfer(recipients),
            _by_transfer(documents),
            _by_transfer(outgoing),
        )

    def _overview(
        self,
        keys: KeepingKeys,
        actor: StaffActor,
        transfer: Transfer,
        around: _Around,
        events: Sequence[Event] = (),
        staff_names: Mapping[StaffUserId, str] | None = None,
    ) -> TransferOverview:
        key = _key(keys, actor, transfer)
        outgoing = around.outgoing.get(transfer.id, [])
        # A link-only reminder brings no link, so nothing is lost with it.
        bringing = _BRINGS_THE_LINK | {Purpose.REMINDER} if transfer.has_sender_copy else _BRINGS_THE_LINK
        # The latest one counts: a new link that arrived makes up for the first that did not.
        latest = {each.recipient_id: each for each in outgoing if each.purpose in bringing}
        codes = _latest_codes(outgoing)
        now = self._clock()
        return TransferOverview(
            id=transfer.id,
            kind=transfer.kind,
            department_id=transfer.department_id,
            department_name=actor.departments[transfer.department_id].name if transfer.department_id else "",
            sender=around.senders[transfer.id],
            state=_state(transfer, now),
            text=keys.text(key, transfer) if key else None,
            language=transfer.language,
            created_at=transfer.created_at,
            sent_at=transfer.sent_at,
            expires_at=transfer.expires_at,
            held_at=transfer.held_at,
            expires_in_days=transfer.expires_in_days,
            has_sender_copy=transfer.has_sender_copy,
            recipients=[
                RecipientOverview(
                    id=recipient.id,
                    person=keys.person(recipient),
                    method=recipient.method,
                    hint=keys.hint(key, recipient) if key else "",
                    progress=(progress := _progress(recipient, latest.get(recipient.id), now)),
                    mail_fault=MailFault.of(latest[recipient.id].failure) if progress == Progress.UNDELIVERED else None,
                    opened_at=recipient.opened_at,
                    fetched_at=recipient.fetched_at,
                    code=codes.get(recipient.id),
                    history=[event for event in events if event.recipient_id == recipient.id],
                )
                for recipient in around.recipients.get(transfer.id, [])
            ],
            documents=readable(keys, key, around.documents.get(transfer.id, []), with_arriving=True) if key else [],
            history=[event for event in events if event.recipient_id is None and event.tag not in _FINE_PRINT],
            staff_names=staff_names or {},
        )


@dataclass(frozen=True, slots=True)
class _Around:
    """Who sent some transfers, and what belongs to each: recipients and documents in order, mails and codes oldest first."""

    senders: Mapping[TransferId, Correspondent]
    recipients: Mapping[TransferId, Sequence[Recipient]]
    documents: Mapping[TransferId, Sequence[Document]]
    outgoing: Mapping[TransferId, Sequence[Outgoing]]


def _by_transfer(rows: Iterable[Any]) -> dict[TransferId, list[Any]]:
    found: dict[TransferId, list[Any]] = {}
    for row in rows:
        found.setdefault(row.transfer_id, []).append(row)
    return found


def _latest_codes(outgoing: Sequence[Outgoing]) -> dict[RecipientId | None, CodeOverview]:
    return {
        each.recipient_id: CodeOverview(
            each.code_state,
            each.carrier_told_at or each.accepted_at or each.created_at,
            each.carrier_failure or each.failure,
            is_call=each.kind == OutgoingKind.CALL,
        )
        for each in outgoing
        if each.purpose == Purpose.CODE and each.failure != WITHDRAWN
    }


def _key(keys: KeepingKeys, actor: StaffActor, transfer: Transfer) -> MessageKey | None:
    try:
        return keys.message_key(transfer, actor.token)
    except (LinkNotReissuable, TransferExpired, NotFound):
        return None


async def _staff_names(session: AsyncSession, events: Sequence[Event]) -> dict[StaffUserId, str]:
    ids = {event.staff_user_id for event in events if event.staff_user_id is not None}
    rows = await session.execute(select(StaffUser.id, StaffUser.name).where(StaffUser.id.in_(ids)))
    return {row.id: row.name for row in rows}


_BRINGS_THE_LINK: Final = {Purpose.INVITATION, Purpose.COLLEAGUE_INVITATION, Purpose.NEW_LINK}
_FINE_PRINT: Final = {EventTag.TRANSFER_CHANGED}
# What is looked at of a mail or a code; the sealed mail itself, some thousands of bytes, is not.
_OUTGOING_COLUMNS: Final = (
    *(Outgoing.transfer_id, Outgoing.recipient_id, Outgoing.kind, Outgoing.purpose, Outgoing.state, Outgoing.created_at),
    *(Outgoing.accepted_at, Outgoing.failure, Outgoing.delayed_at),
    *(Outgoing.carrier_state, Outgoing.carrier_told_at, Outgoing.carrier_failure),
)


def _state(transfer: Transfer, now: datetime) -> TransferState:
    """What counts now, whether or not the worker has written it down."""
    if transfer.state == TransferState.SENT and transfer.expires_at is not None and now >= transfer.expires_at:
        return TransferState.EXPIRED
    return transfer.state


def _progress(recipient: Recipient, mail: Outgoing | None, now: datetime) -> Progress:
    if recipient.locked_at is not None:
        return Progress.LOCKED
    if recipient.blocked_at is not None:
        return Progress.BLOCKED
    if recipient.parked_at is not None:
        return Progress.PARKED
    if recipient.fetched_at is not None:
        return Progress.FETCHED
    if recipient.opened_at is not None:
        return Progress.OPENED
    return Progress.WAITING if mail is None else _progress_of(mail, now)


def _progress_of(mail: Outgoing, now: datetime) -> Progress:
    """How the latest mail with the link fared."""
    if mail.state in {OutgoingState.FAILED, OutgoingState.BOUNCED}:
        return Progress.UNDELIVERED
    is_delayed = mail.delayed_at is not None and now < mail.delayed_at + DELAY_LASTS
    return Progress.DELAYED if is_delayed else Progress.WAITING
