"""A year of an organisation's post, made up: who works there, what they sent and asked for, and everything that came of it.

Rows are those that the product would have written, with keys, texts, names and links sealed by its own code, so that every
transfer that is still there opens. Two things are not real: the sealed bytes of documents, of which there are none, and the texts
of what was erased, which nobody can open.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from tests.benchmarks.organisation import (
    ANSWERED,
    DEPARTMENTS,
    FAMILIES,
    LINKS_KNOWN,
    MEMBER,
    NAMES,
    REQUESTED,
    SYSTEM,
    USUAL,
    Happened,
    KnownLink,
    Plan,
    Rows,
    address_of,
    department_id,
    number_of,
    outsider_address,
    reference_of,
    staff_id,
)

from zegelpost.model.document import Document, DocumentState, Part, ScanVerdict, Upload
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.file_name import FileName
from zegelpost.model.file_request import FileRequest, ItemState, RequestItem
from zegelpost.model.identifiers import ItemId, LinkId, RecipientId, TransferId, new_identifier
from zegelpost.model.link import LinkSecret
from zegelpost.model.outgoing import CarrierState, Outgoing, OutgoingKind, OutgoingState, Purpose
from zegelpost.model.phone_number import PhoneNumber
from zegelpost.model.recipient import Challenge, Link, Person, Recipient, VerificationMethod
from zegelpost.model.secret import SecretToken
from zegelpost.model.transfer import DRAFT_LIFETIME, GRACE, Transfer, TransferKind, TransferState, TransferText
from zegelpost.sealing.keys import MessageKey
from zegelpost.services.conversing import name_place
from zegelpost.services.keeping_keys import KeepingKeys

_SUBJECTS: Final = ("Dossier", "Verslag van het onderzoek", "Aanvraag", "Besluit op bezwaar", "Uitslag", "Inspectierapport")
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Outsider:
    person: Person
    email_index: bytes
    number_index: bytes


class Year:
    """Makes the rows of one unit after another: a transfer, or a request and its answer."""

    def __init__(self, plan: Plan, keys: KeepingKeys) -> None:
        self._plan = plan
        self._keys = keys

    def rows(self, first: int, last: int) -> Rows:
        """Of the units from `first` up to `last`."""
        rows = Rows()
        for unit in range(first, last):
            _Unit(self._plan, self._keys, rows, unit).make()
        return rows


class _Unit:
    def __init__(self, plan: Plan, keys: KeepingKeys, rows: Rows, number: int) -> None:
        self._plan = plan
        self._keys = keys
        self._rows = rows
        self._number = number
        self._chance = Random(number)
        self._order = number * 100

    def make(self) -> None:
        at = self._plan.begins(self._number)
        for _ in range(2):
            self._told(at, EventTag.SIGN_IN_SUCCEEDED, ActorKind.STAFF, staff=self._someone(), kind="portal", factor="passkey")
        if self._chance.random() < REQUESTED:
            self._request(at)
        else:
            self._sending(at)

    # What is sent

    def _sending(self, at: datetime) -> None:
        sender, department = self._sender()
        transfer, key = self._transfer(TransferKind.SENDING, at, sender, department)
        self._told(at, EventTag.TRANSFER_CREATED, ActorKind.STAFF, staff=sender, transfer=transfer.id)
        self._documents(transfer, key, self._drawn((0.6, 0.85, 0.95, 0.99)))
        if transfer.state == TransferState.DRAFT:
            self._recipient(transfer, key, 0)
        else:
            count = self._drawn((0.85, 0.95, 0.98, 0.99))
            if self._chance.random() < 0.12:
                self._colleague(transfer, key, count)
            for position in range(count):
                self._recipient(transfer, key, position)
            self._told(
                self._sent(transfer),
                EventTag.TRANSFER_SENT,
                ActorKind.STAFF,
                staff=sender,
                transfer=transfer.id,
                recipient_count=count,
            )
        self._ended(transfer, sender)
        self._keep(transfer)

    def _request(self, at: datetime) -> None:
        sender, department = self._sender()
        request, key = self._transfer(TransferKind.REQUEST, at, sender, department)
        self._rows.add(FileRequest, transfer_id=request.id, due_on=None)
        item = RequestItem(id=ItemId(new_identifier()), transfer_id=request.id, position=0, state=ItemState.SENT)
        item.sealed_name = self._keys.seal_line(key, name_place(item), "Kopie van het diploma") if key else os.urandom(60)
        self._rows.tables.setdefault(RequestItem.__table__, []).append(_columns(item))
        self._told(self._sent(request), EventTag.TRANSFER_SENT, ActorKind.STAFF, staff=sender, transfer=request.id)
        guest = self._recipient(request, key, 0)
        if self._chance.random() < ANSWERED:
            self._answer(request, key, guest, sender)
        self._ended(request, sender)
        self._keep(request)

    def _answer(self, request: Transfer, key: MessageKey | None, guest: RecipientId, sender: str) -> None:
        at = min(self._sent(request) + timedelta(days=self._chance.random() * 7), self._plan.until - _MINUTE)
        answer, answer_key = self._transfer(TransferKind.ANSWER, at, None, None, answers=request, guest=guest, days=60)
        self._told(at, EventTag.TRANSFER_CREATED, ActorKind.GUEST, transfer=answer.id, recipient=guest)
        self._documents(answer, answer_key, self._drawn((0.5, 0.8, 0.95)))
        self._colleague(answer, answer_key, 0, whom=sender, department=request.department_id)
        self._told(at, EventTag.TRANSFER_SENT, ActorKind.GUEST, transfer=answer.id, recipient=guest)
        self._told(at, EventTag.ANSWER_RECEIVED, ActorKind.GUEST, transfer=request.id, recipient=guest)
        if answer_key is not None and key is not None:
            self._keys.wrap_for_guest(answer_key, answer, key)
        self._ended(answer, None)
        self._keep(answer)

    def _transfer(
        self,
        kind: TransferKind,
        at: datetime,
        sender: str | None,
        department: str | None,
        *,
        answers: Transfer | None = None,
        guest: RecipientId | None = None,
        days: int = 0,
    ) -> tuple[Transfer, MessageKey | None]:
        """And its key, unless it was erased."""
        days = days or (28, 90, 365)[self._drawn((0.7, 0.9)) - 1]
        until = self._plan.until
        sent_at = min(at + timedelta(minutes=4), until)
        expires_at = sent_at + timedelta(days=days)
        is_draft = kind == TransferKind.SENDING and until - at < DRAFT_LIFETIME and self._chance.random() < 0.05
        is_revoked = not is_draft and self._chance.random() < 0.01 and until - sent_at > timedelta(days=1)
        state = _state(expires_at, until, is_draft=is_draft, is_revoked=is_revoked)
        transfer = Transfer(
            id=TransferId(new_identifier()),
            kind=kind,
            sender_id=sender,
            department_id=department,
            answers_id=answers.id if answers else None,
            guest_id=guest,
            state=state,
            language="nl",
            has_sender_copy=True,
            expires_in_days=days,
            created_at=at,
        )
        if state != TransferState.DRAFT:
            transfer.sent_at, transfer.expires_at = sent_at, expires_at
            transfer.unopened_told_at = sent_at + timedelta(days=3) if until - sent_at > timedelta(days=3) else None
            transfer.expiring_told_at = expires_at - timedelta(days=3) if until > expires_at - timedelta(days=3) else None
            transfer.revoked_at = sent_at + timedelta(days=1) if is_revoked else None
        if state == TransferState.ERASED:
            transfer.erased_at = expires_at + GRACE
            transfer.sealed_subject, transfer.sealed_reference, transfer.sealed_note = map(os.urandom, (70, 45, 300))
            return transfer, None
        if state == TransferState.DRAFT:
            key = self._keys.new_message_key(transfer, SecretToken.generate(), at)
        else:
            key = MessageKey.generate()
            self._keys.seal_for_sending(key, transfer, expires_at)
        subject = f"{_SUBJECTS[self._number % len(_SUBJECTS)]} {self._number}"
        note = f"Geachte heer, mevrouw,\n\nHierbij de stukken over zaak {self._number}.\n\nMet vriendelijke groet"
        self._keys.seal_text(key, transfer, TransferText(subject, reference_of(self._number), note))
        return transfer, key

    def _documents(self, transfer: Transfer, key: MessageKey | None, count: int) -> None:
        for position in range(count):
            document, at = new_identifier(), transfer.created_at + _MINUTE
            # Many of some megabytes and a few of many: 34 MB on average, which makes 50 TB of a million transfers.
            length = int(min(2e10, 3e6 * 2 ** self._chance.expovariate(0.76)))
            self._rows.add(
                Document,
                id=document,
                transfer_id=transfer.id,
                state=DocumentState.COMPLETE,
                position=position,
                sealed_name=self._keys.seal_document_name(key, document, FileName(f"stuk-{self._number}-{position}.pdf"))  # type: ignore[arg-type]
                if key
                else os.urandom(55),
                length_bytes=length,
                sealed_manifest=os.urandom(230) if key else None,
                manifest_digest=os.urandom(32) if key else None,
                scan_verdict=ScanVerdict.CLEAN,
                created_at=transfer.created_at,
                completed_at=at,
            )
            actor = ActorKind.GUEST if transfer.kind == TransferKind.ANSWER else ActorKind.STAFF
            self._told(
                at,
                EventTag.DOCUMENT_COMPLETED,
                actor,
                staff=transfer.sender_id,
                transfer=transfer.id,
                recipient=transfer.guest_id,
                document=document,
            )
            if key is not None:
                self._upload(transfer, document, length, at)

    def _upload(self, transfer: Transfer, document: str, length: int, at: datetime) -> None:
        self._rows.add(
            Upload,
            id=new_identifier(),
            document_id=document,
            transfer_id=transfer.id,
            length_bytes=length,
            offset_bytes=length,
            part_count=1,
            created_at=transfer.created_at,
            expires_at=at + timedelta(days=7),
        )
        self._rows.add(
            Part,
            document_id=document,
            number=0,
            offset_bytes=0,
            length_bytes=length,
            header=os.urandom(40),
            blob=new_identifier(),
        )

    # To whom

    def _recipient(self, transfer: Transfer, key: MessageKey | None, position: int) -> RecipientId:
        """An outsider with a link, who in most cases opens and fetches it."""
        whom, recipient_id = self._outsider(), RecipientId(new_identifier())
        row: dict[str, Any] = {
            "id": recipient_id,
            "transfer_id": transfer.id,
            "position": position,
            "method": VerificationMethod.SMS,
            "sealed_person": self._keys.seal_person(whom.person, recipient_id),
            "email_index": whom.email_index,
            "number_index": whom.number_index,
            "wrong_code_count": 0,
        }
        if transfer.state != TransferState.DRAFT:
            self._invited(transfer, recipient_id, Purpose.INVITATION)
            self._link(transfer, key, recipient_id, whom)
            if self._chance.random() < 0.85:
                row |= self._fetched(transfer, recipient_id, whom)
        self._rows.add(Recipient, **row)
        return recipient_id

    def _link(self, transfer: Transfer, key: MessageKey | None, recipient: RecipientId, whom: _Outsider) -> None:
        link_id, secret = LinkId(new_identifier()), LinkSecret.generate()
        sealed: dict[str, Any] = {"week": transfer.week or "2025-W01"}
        if key is not None:
            sealed = self._keys.wrap_for_link(key, transfer, link_id, recipient, secret)
        self._rows.add(Link, id=link_id, recipient_id=recipient, created_at=transfer.sent_at, **sealed)
        is_open = transfer.state == TransferState.SENT and transfer.kind == TransferKind.SENDING
        if is_open and len(self._rows.links) < LINKS_KNOWN and whom.person.mobile:
            self._rows.links.append(KnownLink(link_id, secret.text, whom.person.mobile.e164))

    def _colleague(
        self, transfer: Transfer, key: MessageKey | None, position: int, *, whom: str = "", department: str | None = None
    ) -> None:
        """Someone of ours, or a department, who signs in to read it."""
        staff = whom or self._someone()
        recipient = Recipient(
            id=RecipientId(new_identifier()),
            transfer_id=transfer.id,
            position=position,
            method=VerificationMethod.SIGN_IN,
            department_id=department,
            wrong_code_count=0,
        )
        address = EmailAddress.parse(address_of(number_of(staff)))
        recipient.sealed_person = self._keys.seal_person(Person("Collega", address, None), recipient.id)
        recipient.email_index = self._keys.index("email", address.comparable)
        if key is not None:
            self._keys.wrap_for_colleague(key, transfer, recipient)
        self._invited(transfer, recipient.id, Purpose.COLLEAGUE_INVITATION)
        at = self._sent(transfer) + timedelta(hours=self._chance.random() * 48)
        if at < self._plan.until and self._chance.random() < 0.8:
            recipient.opened_at = recipient.fetched_at = at
            for tag in (EventTag.DOCUMENT_CONSULTED, EventTag.DOCUMENT_DOWNLOADED):
                self._told(at, tag, ActorKind.STAFF, staff=staff, transfer=transfer.id, recipient=recipient.id)
            if self._chance.random() < 0.7:
                recipient.handled_at, recipient.handled_by_id = at, staff  # type: ignore[assignment]
        self._rows.tables.setdefault(Recipient.__table__, []).append(_columns(recipient))

    def _invited(self, transfer: Transfer, recipient: RecipientId, purpose: Purpose) -> None:
        at = self._sent(transfer) + timedelta(seconds=5)
        has_failed = self._chance.random() < 0.01
        self._outgoing(OutgoingKind.MAIL, purpose, transfer, recipient, at, has_failed=has_failed)
        tag = EventTag.MAIL_FAILED if has_failed else EventTag.MAIL_ACCEPTED
        self._told(at, tag, ActorKind.SYSTEM, transfer=transfer.id, recipient=recipient, purpose=purpose.value)

    def _fetched(self, transfer: Transfer, recipient: RecipientId, whom: _Outsider) -> dict[str, Any]:
        """Code, note and documents; nothing of it when that would still have to happen."""
        at = self._sent(transfer) + timedelta(hours=self._chance.expovariate(0.05))
        if at + _MINUTE * 5 >= self._plan.until or (transfer.expires_at and at > transfer.expires_at):
            return {}
        challenge = new_identifier()
        self._rows.add(
            Challenge,
            id=challenge,
            recipient_id=recipient,
            number_index=whom.number_index,
            code_hash=os.urandom(32),
            try_count=0,
            created_at=at,
            expires_at=at + _MINUTE * 10,
            used_at=at + _MINUTE,
        )
        self._outgoing(OutgoingKind.SMS, Purpose.CODE, transfer, recipient, at, challenge=challenge)
        about: dict[str, Any] = {"transfer": transfer.id, "recipient": recipient}
        self._told(at, EventTag.LINK_RECOGNISED, ActorKind.RECIPIENT, **about)
        self._told(at, EventTag.CODE_REQUESTED, ActorKind.RECIPIENT, **about, method="sms")
        self._told(at, EventTag.SMS_ACCEPTED, ActorKind.SYSTEM, **about, purpose="code")
        self._told(at + _MINUTE, EventTag.CODE_VERIFIED, ActorKind.RECIPIENT, **about, method="sms")
        for tag in (EventTag.DOCUMENT_CONSULTED, EventTag.DOCUMENT_DOWNLOADED):
            self._told(at + _MINUTE * 2, tag, ActorKind.RECIPIENT, **about)
        return {"opened_at": at + _MINUTE, "fetched_at": at + _MINUTE * 2}

    def _outgoing(
        self,
        kind: OutgoingKind,
        purpose: Purpose,
        transfer: Transfer,
        recipient: RecipientId,
        at: datetime,
        *,
        has_failed: bool = False,
        challenge: str | None = None,
    ) -> None:
        self._rows.add(
            Outgoing,
            id=new_identifier(),
            kind=kind,
            purpose=purpose,
            transfer_id=transfer.id,
            recipient_id=recipient,
            challenge_id=challenge,
            state=OutgoingState.FAILED if has_failed else OutgoingState.ACCEPTED,
            day=at.date().isoformat(),
            created_at=at,
            due_at=at,
            useless_after=at + timedelta(days=3),
            attempt_count=1,
            accepted_at=None if has_failed else at,
            acceptance=None if has_failed else "mail.example.nl 250 TLSv1.3",
            failure="550 5.1.1 no such user" if has_failed else None,
            carrier_state=CarrierState.DELIVERED if challenge else None,
            carrier_told_at=at if challenge else None,
        )

    # What came of it

    def _ended(self, transfer: Transfer, sender: str | None) -> None:
        about: dict[str, Any] = {"transfer": transfer.id}
        if transfer.revoked_at is not None:
            self._told(transfer.revoked_at, EventTag.TRANSFER_REVOKED, ActorKind.STAFF, staff=sender, **about)
        if transfer.expires_at is not None and transfer.expires_at <= self._plan.until:
            self._told(transfer.expires_at, EventTag.TRANSFER_EXPIRED, ActorKind.SYSTEM, **about)
        if transfer.erased_at is not None:
            self._told(transfer.erased_at, EventTag.TRANSFER_ERASED, ActorKind.SYSTEM, **about)

    def _keep(self, transfer: Transfer) -> None:
        self._rows.tables.setdefault(Transfer.__table__, []).append(_columns(transfer))

    def _told(
        self,
        at: datetime,
        tag: EventTag,
        actor: ActorKind,
        *,
        staff: str | None = None,
        transfer: str | None = None,
        recipient: str | None = None,
        document: str | None = None,
        **facts: str | int,
    ) -> None:
        if at < self._plan.until:
            self._order += 1
            self._rows.events.append(Happened(at, self._order, tag, actor, staff, transfer, recipient, document, facts))

    # Who

    def _sender(self) -> tuple[str, str | None]:
        draw = self._chance.random()
        plan = self._plan
        if draw < plan.system_share:
            return staff_id(SYSTEM), None
        if draw < plan.system_share + plan.post_room_share:
            return staff_id(MEMBER), department_id(0)
        if draw < plan.system_share + plan.post_room_share + 0.13:
            number = self._chance.randrange(1, DEPARTMENTS)
            return staff_id(min(10 + number * 10, self._plan.staff - 1)), department_id(number)
        return self._someone(), None

    def _someone(self) -> str:
        """Some send much more than others; the first, who is looked at, as much as the middle one of them."""
        if self._chance.random() < 1 / self._plan.staff:
            return staff_id(USUAL)
        return staff_id(5 + int((self._plan.staff - 5) * self._chance.random() ** 1.5))

    def _outsider(self) -> _Outsider:
        number = int(0.3 * self._plan.transfers * self._chance.random() ** 1.5)
        email = outsider_address(number)
        name = f"{NAMES[number % len(NAMES)]} {FAMILIES[number // 12 % len(FAMILIES)]}"
        mobile = PhoneNumber(f"+3161{number % 10_000_000:07d}")
        indexes = self._keys.indexes([("email", email.comparable), ("number", mobile.e164)])
        return _Outsider(Person(name, email, mobile), *indexes)

    def _drawn(self, bounds: tuple[float, ...]) -> int:
        """One more than the number of bounds that were passed."""
        draw = self._chance.random()
        return 1 + sum(draw >= bound for bound in bounds)

    @staticmethod
    def _sent(transfer: Transfer) -> datetime:
        assert transfer.sent_at is not None
        return transfer.sent_at


def _state(expires_at: datetime, now: datetime, *, is_draft: bool, is_revoked: bool) -> TransferState:
    if is_draft:
        return TransferState.DRAFT
    if now >= expires_at + GRACE:
        return TransferState.ERASED
    if is_revoked:
        return TransferState.REVOKED
    return TransferState.EXPIRED if now >= expires_at else TransferState.SENT


def _columns(row: Any) -> dict[str, Any]:
    return {column: getattr(row, column) for column in _names(type(row))}


def _names(kind: Any) -> list[str]:
    found: list[str] | None = _NAMES_OF.get(kind)
    if found is None:
        found = _NAMES_OF[kind] = [column.name for column in kind.__table__.columns]
    return found


_NAMES_OF: Final[dict[Any, list[str]]] = {}
