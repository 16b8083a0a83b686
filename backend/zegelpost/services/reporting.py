"""Reporting: the evidence of one transfer, for its sender. Who was given what, how they proved who they are, who fetched what.

Only facts: no link, no code, no note, of a telephone number two digits. What can no longer be read is reported as missing,
with the reason, because a report that leaves things out in silence proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.document import Document, DocumentState, ScanVerdict
from zegelpost.model.event import ActorKind, Event, EventTag
from zegelpost.model.file_request import RequestItem
from zegelpost.model.identifiers import DocumentId, RecipientId, StaffUserId, TransferId
from zegelpost.model.recipient import Recipient, VerificationMethod
from zegelpost.model.refusals import LinkNotReissuable, NotFound, TransferExpired, TransferNotSent
from zegelpost.model.staff_user import StaffUser
from zegelpost.model.transfer import Transfer, TransferKind, TransferState
from zegelpost.sealing.keys import MessageKey
from zegelpost.sealing.manifest import open_manifest
from zegelpost.services.access import StaffActor, own_transfer
from zegelpost.services.attesting import Attestation, attest
from zegelpost.services.conversing import name_place
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.presenting import Presenting
from zegelpost.services.sequencing import Sequencing


class Unreadable(StrEnum):
    """Why subject, reference, names and hashes are not in a report."""

    LINK_ONLY = "link_only"  # only recipients' links ever opened it
    ERASED = "erased"  # the key was destroyed
    KEY_REFUSED = "key_refused"  # the kept key does not open it: the database was changed behind our back


class Nta7516(StrEnum):
    """What an event counts as in NTA 7516, the Dutch agreement on secure mail in care."""

    SENT = "sent"
    SENT_FAILED = "sent (failed)"
    WITHDRAWN = "withdrawn"
    CHANGED = "changed"
    RECEIVED = "received"
    CONSULTED = "consulted"
    DELETED = "deleted"
    FORWARDED = "forwarded"
    RIGHTS_CHANGED = "rights changed"


# The third column of `backend/docs/events.md`, for events that a transfer can have. Others explain what is around them.
NTA_7516: Final[Mapping[EventTag, Nta7516]] = {
    EventTag.TRANSFER_CHANGED: Nta7516.CHANGED,
    EventTag.TRANSFER_SENT: Nta7516.SENT,
    EventTag.TRANSFER_REVOKED: Nta7516.WITHDRAWN,
    EventTag.TRANSFER_EXTENDED: Nta7516.CHANGED,
    EventTag.TRANSFER_ERASED: Nta7516.DELETED,
    EventTag.TRANSFER_FORWARDED: Nta7516.FORWARDED,
    EventTag.TRANSFER_REASSIGNED: Nta7516.RIGHTS_CHANGED,
    EventTag.REQUEST_CLOSED: Nta7516.CHANGED,
    EventTag.REQUEST_REOPENED: Nta7516.CHANGED,
    EventTag.DOCUMENT_REMOVED: Nta7516.CHANGED,
    EventTag.DOCUMENT_DISCARDED: Nta7516.DELETED,
    EventTag.DOCUMENT_CONSULTED: Nta7516.CONSULTED,
    EventTag.DOCUMENT_DOWNLOADED: Nta7516.RECEIVED,
    EventTag.ARCHIVE_CONSULTED: Nta7516.CONSULTED,
    EventTag.ARCHIVE_DOWNLOADED: Nta7516.RECEIVED,
    EventTag.RECIPIENT_COMPLETED: Nta7516.SENT,
    EventTag.RECIPIENT_BLOCKED: Nta7516.RIGHTS_CHANGED,
    EventTag.LINK_REISSUED: Nta7516.RIGHTS_CHANGED,
    EventTag.LINK_LOCKED: Nta7516.RIGHTS_CHANGED,
    EventTag.CODE_VERIFIED: Nta7516.CONSULTED,
    EventTag.DEVICE_REMEMBERED: Nta7516.RIGHTS_CHANGED,
    EventTag.DEVICE_RECOGNISED: Nta7516.CONSULTED,
    EventTag.DEVICE_REMOVED: Nta7516.RIGHTS_CHANGED,
    EventTag.MAIL_ACCEPTED: Nta7516.SENT,
    EventTag.MAIL_FAILED: Nta7516.SENT_FAILED,
    EventTag.MAIL_BOUNCED: Nta7516.SENT_FAILED,
    EventTag.SMS_ACCEPTED: Nta7516.SENT,
    EventTag.SMS_FAILED: Nta7516.SENT_FAILED,
    EventTag.SMS_UNDELIVERED: Nta7516.SENT_FAILED,
    EventTag.CALL_ACCEPTED: Nta7516.SENT,
    EventTag.CALL_FAILED: Nta7516.SENT_FAILED,
    EventTag.CALL_MISSED: Nta7516.SENT_FAILED,
}
# Named one by one, so that a fact that is added to an event some day is not in reports before someone thought about it.
_TOLD_FACTS: Final = ("method", "purpose", "acceptance", "failure", "reason", "days", "recipient_count", "answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedRecipient:
    """One recipient. `proved_at` is the first time that they showed who they are in the way of `method`.

    `by_device`: on a device that they had remembered when they entered a code for another transfer.
    """

    number: int
    id: RecipientId
    name: str = field(repr=False)
    email: str = field(repr=False)
    masked_mobile: str | None
    method: VerificationMethod
    proved_at: datetime | None
    by_device: bool
    fetched_at: datetime | None
    parked_at: datetime | None  # since then they wait for a number, and have got nothing
    blocked_at: datetime | None
    locked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedDocument:
    """One document. Name and hash are missing when the report says why."""

    number: int
    id: DocumentId
    name: str | None = field(repr=False)
    length_bytes: int
    sha256: str | None  # of the plaintext, in hexadecimal, from the sealed manifest
    scan_verdict: ScanVerdict | None
    completed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """One document got its last byte handed over to one recipient, alone or with all others, `count` times."""

    recipient_number: int
    document_number: int
    first_at: datetime
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedEvent:
    """`id` is the number in the record of the whole installation, so numbers of one transfer have gaps."""

    id: int
    at: datetime
    tag: EventTag
    nta_7516: Nta7516 | None
    actor: ActorKind
    staff_name: str | None = field(repr=False)
    recipient_number: int | None
    document_number: int | None
    item_name: str | None = field(repr=False)  # of a file request, while we can read it
    facts: Mapping[str, str | int | bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferReport:
    organisation: str
    software: str
    generated_at: datetime
    id: TransferId
    kind: TransferKind
    state: TransferState
    sender_name: str = field(repr=False)
    sender_email: str = field(repr=False)
    subject: str | None = field(repr=False)
    reference: str | None = field(repr=False)
    unreadable: Unreadable | None
    created_at: datetime
    sent_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    erased_at: datetime | None
    recipients: Sequence[ReportedRecipient]
    documents: Sequence[ReportedDocument]
    fetched: Sequence[Fetched]
    events: Sequence[ReportedEvent]
    attestation: Attestation


class Reporting:
    """`software` names the program and its version."""

    def __init__(
        self,
        database: Database,
        keeping_keys: KeepingKeys,
        presenting: Presenting,
        sequencing: Sequencing,
        software: str,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._presenting = presenting
        self._sequencing = sequencing
        self._software = software
        self._clock = clock

    async def report(self, actor: StaffActor, transfer_id: str) -> TransferReport:
        """All that is known now, also when the transfer is over. Raises `NotFound`, `TransferNotSent` for a draft."""
        now = self._clock()
        async with self._database.reading() as session:
            transfer = await own_transfer(session, actor, transfer_id)
            if transfer.sent_at is None or transfer.expires_at is None:
                raise TransferNotSent
            sender = await self._presenting.sender_of(session, transfer)
            events = await _events(session, transfer)
            names = await _staff_names(session, events)
            key, unreadable = self._key(actor, transfer)
            recipients = await self._recipients(session, transfer, events)
            documents = await self._documents(session, transfer, key)
            items = await self._item_names(session, transfer, key)
        # What happened a moment ago belongs in the report, proven like the rest. Afterwards, so that each event that is told
        # has its place: of one that came in between, nothing of what the report concludes would follow from what is proven.
        await self._sequencing.catch_up(waits=True)
        async with self._database.reading() as session:
            attestation = await attest(session, self._sequencing, events, (*_TOLD_FACTS, "item"))
        text = self._keys.text(key, transfer) if key else None
        return TransferReport(
            organisation=self._presenting.organisation.name,
            software=self._software,
            generated_at=now,
            id=transfer.id,
            kind=transfer.kind,
            state=_state(transfer, now),
            sender_name=sender.name,
            sender_email=sender.email,
            subject=text.subject if text else None,
            reference=text.reference if text else None,
            unreadable=unreadable,
            created_at=transfer.created_at,
            sent_at=transfer.sent_at,
            expires_at=transfer.expires_at,
            revoked_at=transfer.revoked_at,
            erased_at=transfer.erased_at,
            recipients=recipients,
            documents=documents,
            fetched=_fetched(events, recipients, documents),
            events=[_event(event, names, recipients, documents, items) for event in events],
            attestation=attestation,
        )

    def _key(self, actor: StaffActor, transfer: Transfer) -> tuple[MessageKey | None, Unreadable | None]:
        if transfer.state == TransferState.ERASED:
            return None, Unreadable.ERASED
        try:
            return self._keys.message_key(transfer, actor.token), None
        except LinkNotReissuable:
            return None, Unreadable.LINK_ONLY
        except TransferExpired:
            return None, Unreadable.ERASED
        except NotFound:
            return None, Unreadable.KEY_REFUSED

    async def _recipients(self, session: AsyncSession, transfer: Transfer, events: Sequence[Event]) -> list[ReportedRecipient]:
        proved: dict[RecipientId | None, Event] = {}
        for event in events:
            if event.tag in {EventTag.CODE_VERIFIED, EventTag.DEVICE_RECOGNISED}:
                proved.setdefault(event.recipient_id, event)
        rows = await session.scalars(select(Recipient).where(Recipient.transfer_id == transfer.id).order_by(Recipient.position))
        return [self._recipient(number, row, proved.get(row.id)) for number, row in enumerate(rows, 1)]

    def _recipient(self, number: int, recipient: Recipient, proof: Event | None) -> ReportedRecipient:
        person = self._keys.person(recipient)
        verified_at = proof.at if proof else None
        if recipient.method == VerificationMethod.SIGN_IN:
            # Colleagues enter no code: whatever they read or fetched, they read and fetched signed in.
            verified_at = min(filter(None, (recipient.opened_at, recipient.fetched_at)), default=None)
        if recipient.method == VerificationMethod.LINK:
            verified_at = recipient.opened_at
        return ReportedRecipient(
            number=number,
            id=recipient.id,
            name=person.name,
            email=str(person.email),
            masked_mobile=person.mobile.masked if person.mobile else None,
            method=recipient.method,
            proved_at=verified_at,
            by_device=proof is not None and proof.tag == EventTag.DEVICE_RECOGNISED,
            fetched_at=recipient.fetched_at,
            parked_at=recipient.parked_at,
            blocked_at=recipient.blocked_at,
            locked_at=recipient.locked_at,
        )

    async def _item_names(self, session: AsyncSession, transfer: Transfer, key: MessageKey | None) -> Mapping[str, str]:
        if key is None:
            return {}
        items = await session.scalars(select(RequestItem).where(RequestItem.transfer_id == transfer.id))
        return {item.id: self._keys.open_line(key, name_place(item), item.sealed_name) for item in items}

    async def _documents(self, session: AsyncSession, transfer: Transfer, key: MessageKey | None) -> list[ReportedDocument]:
        rows = await session.scalars(
            select(Document)
            .where(Document.transfer_id == transfer.id, Document.state == DocumentState.COMPLETE)
            .order_by(Document.position, Document.created_at)
        )
        return [self._document(number, row, key) for number, row in enumerate(rows, 1)]

    def _document(self, number: int, document: Document, key: MessageKey | None) -> ReportedDocument:
        assert document.completed_at is not None
        return ReportedDocument(
            number=number,
            id=document.id,
            name=str(self._keys.document_name(key, document)) if key else None,
            length_bytes=document.length_bytes,
            sha256=_sha256(key, document) if key else None,
            scan_verdict=document.scan_verdict,
            completed_at=document.completed_at,
        )


async def _events(session: AsyncSession, transfer: Transfer) -> list[Event]:
    return list(await session.scalars(select(Event).where(Event.transfer_id == transfer.id).order_by(Event.at, Event.id)))


async def _staff_names(session: AsyncSession, events: Sequence[Event]) -> dict[StaffUserId | None, str]:
    ids = {event.staff_user_id for event in events if event.staff_user_id is not None}
    return {user.id: user.name for user in await session.scalars(select(StaffUser).where(StaffUser.id.in_(ids)))}


def _sha256(key: MessageKey, document: Document) -> str:
    """The hash that the manifest pins. Raises `SealBroken` when the manifest is not the one that was acknowledged."""
    assert document.sealed_manifest is not None
    assert document.manifest_digest is not None
    manifest = open_manifest(
        key,
        transfer_id=document.transfer_id,
        document_id=document.id,
        sealed=document.sealed_manifest,
        expected_digest=document.manifest_digest,
    )
    return manifest.sha256.hex()


def _state(transfer: Transfer, now: datetime) -> TransferState:
    """What counts now, whether or not the worker has written it down."""
    if transfer.state == TransferState.SENT and transfer.expires_at is not None and now >= transfer.expires_at:
        return TransferState.EXPIRED
    return transfer.state


def _fetched(
    events: Sequence[Event], recipients: Sequence[ReportedRecipient], documents: Sequence[ReportedDocument]
) -> list[Fetched]:
    """Who got which document, from the hand-overs of last bytes; the sender's own do not name a recipient and do not count."""
    times: dict[tuple[int, int], list[datetime]] = {}
    recipient_numbers = {recipient.id: recipient.number for recipient in recipients}
    for event in events:
        if event.recipient_id is None or event.tag not in {EventTag.DOCUMENT_DOWNLOADED, EventTag.ARCHIVE_DOWNLOADED}:
            continue
        for document in documents:
            if event.tag == EventTag.ARCHIVE_DOWNLOADED or event.document_id == document.id:
                times.setdefault((recipient_numbers[event.recipient_id], document.number), []).append(event.at)
    return [
        Fetched(recipient_number=recipient, document_number=document, first_at=all_times[0], count=len(all_times))
        for (recipient, document), all_times in sorted(times.items())
    ]


def _event(
    event: Event,
    names: Mapping[StaffUserId | None, str],
    recipients: Sequence[ReportedRecipient],
    documents: Sequence[ReportedDocument],
    items: Mapping[str, str],
) -> ReportedEvent:
    return ReportedEvent(
        id=event.id,
        at=event.at,
        tag=event.tag,
        nta_7516=NTA_7516.get(event.tag),
        actor=event.actor_kind,
        staff_name=names.get(event.staff_user_id),
        recipient_number=next((recipient.number for recipient in recipients if recipient.id == event.recipient_id), None),
        document_number=next((document.number for document in documents if document.id == event.document_id), None),
        item_name=items.get(event.facts.get("item", "")),
        facts={name: event.facts[name] for name in _TOLD_FACTS if event.facts.get(name) is not None},
    )
