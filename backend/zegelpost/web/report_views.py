"""The report of a transfer as JSON: what the API answers, what staff download, and what is attached to the PDF."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from zegelpost.model.document import ScanVerdict
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.recipient import VerificationMethod
from zegelpost.model.transfer import TransferKind, TransferState
from zegelpost.services.reporting import (
    Fetched,
    Nta7516,
    ReportedDocument,
    ReportedEvent,
    ReportedRecipient,
    TransferReport,
    Unreadable,
)
from zegelpost.web.api_models import View
from zegelpost.web.rendering import TIME_ZONE


class MomentView(View):
    """One moment, by the clock of the server."""

    utc: datetime
    local: Annotated[datetime, Field(description="In the time zone that the report names, with its difference from UTC.")]

    @classmethod
    def of(cls, at: datetime) -> MomentView:
        return cls(utc=at.astimezone(UTC), local=at.astimezone(TIME_ZONE))

    @classmethod
    def maybe(cls, at: datetime | None) -> MomentView | None:
        return cls.of(at) if at else None


class ReportedPersonView(View):
    name: str
    email: str


class ReportedTransferView(View):
    id: str
    kind: TransferKind
    state: TransferState
    sender: ReportedPersonView
    subject: str | None
    reference: str | None
    created: MomentView
    sent: MomentView
    expires: MomentView
    revoked: MomentView | None
    erased: MomentView | None


class ReportedRecipientView(View):
    number: int
    id: str
    name: str
    email: str
    mobile: Annotated[str | None, Field(description="Country and last two digits.")]
    method: VerificationMethod
    proved: Annotated[MomentView | None, Field(description="When they first showed who they are, in the way of `method`.")]
    by_device: Annotated[
        bool, Field(description="They did so on a device that was remembered after a code by text message for another transfer.")
    ]
    fetched: Annotated[MomentView | None, Field(description="When the first document was handed over whole.")]
    parked: Annotated[MomentView | None, Field(description="Since when they wait for a number, and have got nothing.")]
    blocked: MomentView | None
    locked: MomentView | None

    @classmethod
    def of(cls, recipient: ReportedRecipient) -> ReportedRecipientView:
        return cls(
            number=recipient.number,
            id=recipient.id,
            name=recipient.name,
            email=recipient.email,
            mobile=recipient.masked_mobile,
            method=recipient.method,
            proved=MomentView.maybe(recipient.proved_at),
            by_device=recipient.by_device,
            fetched=MomentView.maybe(recipient.fetched_at),
            parked=MomentView.maybe(recipient.parked_at),
            blocked=MomentView.maybe(recipient.blocked_at),
            locked=MomentView.maybe(recipient.locked_at),
        )


class ReportedDocumentView(View):
    number: int
    id: str
    name: str | None
    length_bytes: int
    sha256: Annotated[str | None, Field(description="Of the document as it was sent and is downloaded, in hexadecimal.")]
    scan: ScanVerdict | None
    arrived: MomentView

    @classmethod
    def of(cls, document: ReportedDocument) -> ReportedDocumentView:
        return cls(
            number=document.number,
            id=document.id,
            name=document.name,
            length_bytes=document.length_bytes,
            sha256=document.sha256,
            scan=document.scan_verdict,
            arrived=MomentView.of(document.completed_at),
        )


class FetchedView(View):
    """The last byte of one document was handed over to one recipient."""

    recipient_number: int
    document_number: int
    first: MomentView
    count: int

    @classmethod
    def of(cls, fetched: Fetched) -> FetchedView:
        return cls(
            recipient_number=fetched.recipient_number,
            document_number=fetched.document_number,
            first=MomentView.of(fetched.first_at),
            count=fetched.count,
        )


class ProofView(View):
    """What it takes to check an event without this server: audit-format.md, section 8."""

    position: Annotated[int, Field(description="Its place in the record of the whole installation, from 0.")]
    leaf: Annotated[str, Field(description="To the byte what is hashed.")]
    personal: Annotated[str | None, Field(description="What the leaf commits to; null where not all of it is told here.")]
    salt: str | None
    proof: Annotated[list[str], Field(description="Hashes from the leaf up to the root (RFC 9162, section 2.1.3).")]


class ReportedEventView(View):
    id: Annotated[int, Field(description="Number in the record of the whole installation; one transfer has gaps.")]
    at: MomentView
    event: EventTag
    nta_7516: Annotated[Nta7516 | None, Field(description="What it counts as in NTA 7516.")]
    actor: ActorKind
    staff_name: str | None
    recipient_number: int | None
    document_number: int | None
    item_name: Annotated[str | None, Field(description="What a file request asked for.")]
    facts: dict[str, str | int | bool]
    proof: Annotated[ProofView | None, Field(description="Null while it has no place in the record yet.")]

    @classmethod
    def of(cls, event: ReportedEvent, entry: Mapping[str, Any] | None) -> ReportedEventView:
        return cls(
            id=event.id,
            at=MomentView.of(event.at),
            event=event.tag,
            nta_7516=event.nta_7516,
            actor=event.actor,
            staff_name=event.staff_name,
            recipient_number=event.recipient_number,
            document_number=event.document_number,
            item_name=event.item_name,
            facts=dict(event.facts),
            proof=ProofView.model_validate(entry) if entry else None,
        )


class ReportView(View):
    """The evidence of one transfer. Holds no link, no code and no note."""

    report: Literal["zegelpost transfer report 2"] = "zegelpost transfer report 2"
    generated: MomentView
    organisation: str
    software: str
    time_zone: str
    transfer: ReportedTransferView
    unreadable: Annotated[Unreadable | None, Field(description="Why subject, reference, names and hashes are null.")]
    recipients: list[ReportedRecipientView]
    documents: list[ReportedDocumentView]
    fetched: list[FetchedView]
    events: list[ReportedEventView]
    checkpoint: Annotated[str, Field(description="Signed note (C2SP tlog-checkpoint) under which events are proven.")]
    key: Annotated[str, Field(description="Verifier key of the checkpoint. Compare it with one from elsewhere.")]

    @classmethod
    def of(cls, report: TransferReport) -> ReportView:
        return cls(
            generated=MomentView.of(report.generated_at),
            organisation=report.organisation,
            software=report.software,
            time_zone=TIME_ZONE.key,
            transfer=ReportedTransferView(
                id=report.id,
                kind=report.kind,
                state=report.state,
                sender=ReportedPersonView(name=report.sender_name, email=report.sender_email),
                subject=report.subject,
                reference=report.reference,
                created=MomentView.of(report.created_at),
                sent=MomentView.of(report.sent_at),
                expires=MomentView.of(report.expires_at),
                revoked=MomentView.maybe(report.revoked_at),
                erased=MomentView.maybe(report.erased_at),
            ),
            unreadable=report.unreadable,
            recipients=[ReportedRecipientView.of(recipient) for recipient in report.recipients],
            documents=[ReportedDocumentView.of(document) for document in report.documents],
            fetched=[FetchedView.of(fetched) for fetched in report.fetched],
            events=[ReportedEventView.of(event, report.attestation.entries.get(event.id)) for event in report.events],
            checkpoint=report.attestation.head.checkpoint,
            key=report.attestation.head.key,
        )
