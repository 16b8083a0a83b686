"""What programs send and get: the JSON of the API, as pydantic models. `openapi.py` makes the public document from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from zegelpost.model.department import DepartmentRole
from zegelpost.model.document import ScanVerdict
from zegelpost.model.event import Event, EventTag
from zegelpost.model.outgoing import CodeState, MailFault
from zegelpost.model.policy import GuardMode, Policy
from zegelpost.model.recipient import VerificationMethod
from zegelpost.model.transfer import LONGEST_NOTE, LONGEST_REFERENCE, LONGEST_SUBJECT, TransferState
from zegelpost.services.access import StaffActor
from zegelpost.services.handling import ReceivedOverview, ReceivedPage
from zegelpost.services.overseeing import (
    CodeOverview,
    Page,
    Progress,
    RecipientOverview,
    TransferOverview,
)
from zegelpost.services.receiving import ReadableDocument, ReadableTransfer
from zegelpost.web.translation import Language


def _whole(value: object) -> object:
    # To JSON Schema 28.0 is an integer (draft 2020-12, 4.2.3); to a strict model it is not.
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
# No account has a control character in its address, and PostgreSQL takes none in text.
_Printable = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$")]


class Input(BaseModel):
    """Strict: a field that we don't know is a mistake of the caller, and saying so beats ignoring it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class View(BaseModel):
    model_config = ConfigDict(frozen=True)


# What programs send


class SignInInput(Input):
    email: Annotated[_Printable, Field(max_length=320)]
    password: Annotated[str, Field(max_length=1000)]
    second_factor: Annotated[
        str | None,
        Field(max_length=100, description="Code of the authenticator app, or a recovery code; refused as missing when needed."),
    ] = None


class SignInCodeInput(Input):
    code: Annotated[str, Field(max_length=200, description="From the add-in's dialog; works once, for two minutes.")]


class SignInProviderInput(Input):
    access_token: Annotated[
        str, Field(max_length=32_768, description="Of our own client and scope, from the organisation's tenant.")
    ]


class RecipientInput(Input):
    name: str
    email: str
    mobile: Annotated[str | None, Field(description="In any notation; needed for `sms`.")] = None
    method: Annotated[
        VerificationMethod | None, Field(description="Left out: `sign_in` for colleagues, `sms` for everyone else.")
    ] = None
    access_code: Annotated[str | None, Field(max_length=200, description="Needed for `access_code`.")] = None
    hint: Annotated[
        str | None, Field(description="Helps the recipient to think of the access code; shown behind the link, above the box.")
    ] = None
    is_parked: Annotated[
        bool,
        Field(description="Send without a usable `mobile` too: they get nothing until it is given by `complete`."),
    ] = False


class TransferInput(Input):
    subject: str
    reference: str = ""
    note: str = ""
    recipients: list[RecipientInput]
    expires_in_days: Whole | None = None
    language: Annotated[Language | None, Field(description="Of notices and pages; left out: the sender's own.")] = None
    department_id: Annotated[str | None, Field(description="On whose behalf; left out: one's own.")] = None


class TransferChange(Input):
    """What is left out, or null, stays. `recipients` replaces all of them, and every change gives recipients new ids."""

    subject: str | None = None
    reference: str | None = None
    note: str | None = None
    recipients: Annotated[
        list[RecipientInput] | None,
        Field(description="Access codes are not kept readable: as long as a recipient has one, name the recipients again."),
    ] = None
    expires_in_days: Whole | None = None
    language: Language | None = None
    department_id: Annotated[str | None, Field(description="Empty: one's own.")] = None


class RevokeInput(Input):
    tell_recipients: bool = True


class CompleteInput(Input):
    mobile: Annotated[str, Field(description="In any notation.")]


class ExtendInput(Input):
    days: Annotated[Whole, Field(description="From now.")]


class BoxQuery(BaseModel):
    """Read from the address, where everything is text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    box: Literal["sent", "received"] = "sent"
    department_id: Annotated[str | None, Field(description="Only what this department sent or received.")] = None
    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class ReportQuery(BaseModel):
    """Which PDF of a report: the quick one, or the one that is tagged and kept in archives."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variant: Annotated[
        Literal["plain", "archive"], Field(description="`archive`: PDF/A-3a, tagged for screen readers; takes longer.")
    ] = "plain"


# What programs get


class SignInView(View):
    access_token: str
    expires_at: datetime


class DepartmentView(View):
    """A department that the person works for; its id is what `department_id` takes, `email` is its shared mailbox."""

    id: str
    name: str
    email: str
    role: DepartmentRole


class MeView(View):
    id: str
    name: str
    email: str
    language: str
    is_administrator: bool
    is_auditor: bool
    departments: Sequence[DepartmentView]

    @classmethod
    def of(cls, actor: StaffActor) -> MeView:
        user = actor.user
        return cls(
            id=user.id,
            name=user.name,
            email=user.email,
            language=user.language,
            is_administrator=user.is_administrator,
            is_auditor=user.is_auditor,
            departments=[
                DepartmentView(id=each, name=works_for.name, email=works_for.email, role=works_for.role)
                for each, works_for in actor.departments.items()
            ],
        )


class LimitsView(View):
    document_bytes: int
    transfer_bytes: int
    quota_bytes: int
    document_count: int
    recipient_count: int
    subject_characters: int
    reference_characters: int
    note_characters: int


class PolicyView(View):
    limits: LimitsView
    extensions: Sequence[str]
    staff_domains: Sequence[str]
    methods: Sequence[VerificationMethod]
    country_prefixes: Sequence[str]
    default_expiry_days: int
    longest_expiry_days: int
    has_sender_copy: bool
    remembers_devices: Annotated[bool, Field(description="Whether recipients may have a device remembered for thirty days.")]
    is_scanning: bool
    guard_mode: Annotated[GuardMode, Field(description="What Outlook does with a mail that should go through here.")]

    @classmethod
    def of(cls, policy: Policy) -> PolicyView:
        return cls(
            limits=LimitsView(
                document_bytes=policy.largest_document_bytes,
                transfer_bytes=policy.largest_transfer_bytes,
                quota_bytes=policy.quota_bytes,
                document_count=policy.most_documents,
                recipient_count=policy.most_recipients,
                subject_characters=LONGEST_SUBJECT,
                reference_characters=LONGEST_REFERENCE,
                note_characters=LONGEST_NOTE,
            ),
            extensions=policy.extensions,
            staff_domains=policy.staff_domains,
            methods=policy.methods,
            country_prefixes=policy.country_prefixes,
            default_expiry_days=policy.default_expiry_days,
            longest_expiry_days=policy.longest_expiry_days,
            has_sender_copy=policy.has_sender_copy,
            remembers_devices=policy.remembers_devices,
            is_scanning=policy.is_scanning,
            guard_mode=policy.guard_mode,
        )


class EventView(View):
    at: datetime
    event: EventTag
    facts: dict[str, Any]

    @classmethod
    def of(cls, event: Event) -> EventView:
        return cls(at=event.at, event=event.tag, facts=event.facts)


class CodeView(View):
    """The latest code of one recipient. That it was delivered is the telephone company's word."""

    state: CodeState
    at: datetime
    failure: Annotated[str | None, Field(description="Why it did not arrive: a class such as `number_wrong` or `unreachable`.")]

    @classmethod
    def maybe(cls, code: CodeOverview | None) -> CodeView | None:
        if code is None:
            return None
        is_failure = code.state in {CodeState.FAILED, CodeState.UNDELIVERED, CodeState.UNKNOWN}
        return cls(state=code.state, at=code.at, failure=code.failure if is_failure else None)


class RecipientView(View):
    id: str
    name: str
    email: str
    mobile: str | None
    method: VerificationMethod
    hint: Annotated[str | None, Field(description="About the access code; null when there is none, or only the link opens it.")]
    state: Progress
    mail_fault: Annotated[MailFault | None, Field(description="Why the e-mail did not arrive, when `state` is `undelivered`.")]
    opened_at: datetime | None
    fetched_at: datetime | None
    code: CodeView | None
    history: list[EventView]

    @classmethod
    def of(cls, recipient: RecipientOverview) -> RecipientView:
        person = recipient.person
        return cls(
            id=recipient.id,
            name=person.name,
            email=str(person.email),
            mobile=person.mobile.e164 if person.mobile else None,
            method=recipient.method,
            hint=recipient.hint or None,
            state=recipient.progress,
            mail_fault=recipient.mail_fault,
            opened_at=recipient.opened_at,
            fetched_at=recipient.fetched_at,
            code=CodeView.maybe(recipient.code),
            history=[EventView.of(event) for event in recipient.history],
        )


class DocumentView(View):
    id: str
    name: str
    length_bytes: int
    scan: Annotated[ScanVerdict | None, Field(description="Null until the document has fully arrived.")]
    is_complete: bool

    @classmethod
    def of(cls, document: ReadableDocument) -> DocumentView:
        return cls(
            id=document.id,
            name=str(document.name),
            length_bytes=document.length_bytes,
            scan=document.scan_verdict,
            is_complete=document.is_complete,
        )


class TransferView(View):
    """A transfer of one's own. Texts are null, and documents left out, when only recipients' links open it."""

    id: str
    box: Literal["sent"] = "sent"
    department_id: str | None
    state: TransferState
    subject: str | None
    reference: str | None
    note: str | None
    language: str
    created_at: datetime
    sent_at: datetime | None
    expires_at: datetime | None
    expires_in_days: int
    has_sender_copy: bool
    recipients: list[RecipientView]
    documents: list[DocumentView]
    history: list[EventView]

    @classmethod
    def of(cls, transfer: TransferOverview) -> TransferView:
        text = transfer.text
        return cls(
            id=transfer.id,
            department_id=transfer.department_id,
            state=transfer.state,
            subject=text.subject if text else None,
            reference=text.reference if text else None,
            note=text.note if text else None,
            language=transfer.language,
            created_at=transfer.created_at,
            sent_at=transfer.sent_at,
            expires_at=transfer.expires_at,
            expires_in_days=transfer.expires_in_days,
            has_sender_copy=transfer.has_sender_copy,
            recipients=[RecipientView.of(recipient) for recipient in transfer.recipients],
            documents=[DocumentView.of(document) for document in transfer.documents],
            history=[EventView.of(event) for event in transfer.history],
        )


class ReceivedSummary(View):
    """A line of the received box."""

    id: str
    box: Literal["received"] = "received"
    sender_name: str
    subject: str
    reference: str
    sent_at: datetime
    expires_at: datetime
    is_opened: bool
    is_handled: bool

    @classmethod
    def of(cls, transfer: ReceivedOverview) -> ReceivedSummary:
        return cls(
            id=transfer.id,
            sender_name=transfer.sender.name,
            subject=transfer.text.subject,
            reference=transfer.text.reference,
            sent_at=transfer.sent_at,
            expires_at=transfer.expires_at,
            is_opened=transfer.is_opened,
            is_handled=transfer.handled_at is not None,
        )


class ReceivedView(View):
    """A transfer from a colleague. Reading it counts as opening it."""

    id: str
    box: Literal["received"] = "received"
    sender_name: str
    sender_email: str
    subject: str
    reference: str
    note: str
    language: str
    sent_at: datetime
    expires_at: datetime
    documents: list[DocumentView]

    @classmethod
    def of(cls, transfer: ReadableTransfer) -> ReceivedView:
        return cls(
            id=transfer.id,
            sender_name=transfer.sender_name,
            sender_email=transfer.sender_email,
            subject=transfer.text.subject,
            reference=transfer.text.reference,
            note=transfer.text.note,
            language=transfer.language,
            sent_at=transfer.sent_at,
            expires_at=transfer.expires_at,
            documents=[DocumentView.of(document) for document in transfer.documents],
        )


class BoxView(View):
    """One page of a box, newest first. Sent transfers come without their history."""

    items: Sequence[TransferView | ReceivedSummary]
    page: int
    page_count: int
    total_count: int

    @classmethod
    def sent(cls, page: Page) -> BoxView:
        items = [TransferView.of(item) for item in page.items]
        return cls(items=items, page=page.number, page_count=page.last, total_count=page.total_count)

    @classmethod
    def received(cls, page: ReceivedPage) -> BoxView:
        items = [ReceivedSummary.of(item) for item in page.items]
        return cls(items=items, page=page.number, page_count=page.last, total_count=page.total_count)


class RemindedView(View):
    reminded: Annotated[int, Field(description="How many recipients were mailed.")]
