"""The only way to get an object by an identifier that came from outside: load and authorise in one step.

Absent and forbidden give the same answer, `NotFound`, so that nobody can try out identifiers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, bindparam, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.model.address_book import AddressFeed, ListedContact
from zegelpost.model.contact import Contact
from zegelpost.model.department import Department, DepartmentRole, Membership
from zegelpost.model.document import Document, Upload
from zegelpost.model.event import ActorKind
from zegelpost.model.held_back import HeldBack
from zegelpost.model.identifiers import (
    DepartmentId,
    DocumentId,
    FactorId,
    RecipientId,
    StaffUserId,
    TransferId,
    UploadId,
    is_identifier,
)
from zegelpost.model.recipient import Grant, Link, Recipient, VerificationMethod
from zegelpost.model.refusals import LinkReplaced, LinkWrong, NotFound, OwnAccount, SignInRequired, VerificationRequired
from zegelpost.model.remembered_device import RememberedDevice
from zegelpost.model.second_factor import AuthenticatorApp, Passkey
from zegelpost.model.secret import SecretToken
from zegelpost.model.staff_user import HalfSignIn, SignIn, SignInKind, StaffUser
from zegelpost.model.template import Template
from zegelpost.model.transfer import Transfer, TransferKind, TransferState
from zegelpost.sealing.keys import MessageKey
from zegelpost.services.recording import Subject

MINE: Final = "mine"  # one's own mailbox, where a department is called by its identifier


@dataclass(frozen=True, slots=True)
class WorksFor:
    """A department that someone works for, and as what."""

    name: str
    email: str
    role: DepartmentRole


@dataclass(frozen=True, slots=True)
class StaffActor:
    """A signed-in staff user, the token they hold, and the departments they work for at this moment."""

    user: StaffUser
    token: SecretToken = field(repr=False)
    departments: Mapping[DepartmentId, WorksFor] = field(default_factory=dict)

    @property
    def holds(self) -> SecretToken:
        """What opens their drafts."""
        return self.token

    def subject(
        self,
        transfer: Transfer | None = None,
        *,
        recipient_id: RecipientId | None = None,
        document_id: DocumentId | None = None,
    ) -> Subject:
        """Who and what, for the record."""
        return Subject(
            actor=ActorKind.STAFF,
            staff_user_id=self.user.id,
            transfer_id=transfer.id if transfer else None,
            recipient_id=recipient_id,
            document_id=document_id,
        )


async def staff_actor(session: AsyncSession, token: SecretToken, kind: SignInKind, now: datetime) -> StaffActor:
    """Who holds this token. Raises `SignInRequired` for unknown, stale, ended, foreign-kind or switched-off."""
    sign_in = await session.get(SignIn, token.digest)
    if sign_in is None:
        raise SignInRequired
    if sign_in.kind != kind:
        raise SignInRequired
    if not sign_in.is_live(now):
        raise SignInRequired
    user = await session.get(StaffUser, sign_in.user_id)
    if user is None:
        raise SignInRequired
    if user.is_switched_off:
        raise SignInRequired
    rows = await session.execute(
        select(Membership.department_id, Department.name, Department.email, Membership.role)
        .join(Department, Department.id == Membership.department_id)
        .where(Membership.user_id == user.id, Department.closed_at.is_(None))
        .order_by(Department.name)
    )
    return StaffActor(user, token, {row.department_id: WorksFor(row.name, row.email, row.role) for row in rows})


@dataclass(frozen=True, slots=True)
class AuditorActor:
    """A signed-in staff user who may read the audit. That opens no post, and administering does not give it."""

    staff: StaffActor

    def subject(self) -> Subject:
        """Who, for the record: looking is an event too."""
        return self.staff.subject()


def auditor_actor(actor: StaffActor) -> AuditorActor:
    """The auditor that a staff user is. Raises `NotFound` for everyone else, administrators too."""
    if not actor.user.is_auditor:
        raise NotFound
    return AuditorActor(actor)


@dataclass(frozen=True, slots=True)
class HalfActor:
    """Someone who knew the password and has yet to show a second factor, or to set one up. Opens nothing."""

    user: StaffUser
    token: SecretToken = field(repr=False)

    def subject(self) -> Subject:
        """Who, for the record."""
        return Subject(actor=ActorKind.STAFF, staff_user_id=self.user.id)


async def half_actor(session: AsyncSession, token: SecretToken, now: datetime) -> HalfActor:
    """Who is halfway signing in with this token. Raises `SignInRequired`."""
    half = await session.get(HalfSignIn, token.digest)
    if half is None:
        raise SignInRequired
    if not half.is_live(now):
        raise SignInRequired
    user = await session.get_one(StaffUser, half.user_id)
    if user.is_switched_off:
        raise SignInRequired
    return HalfActor(user, token)


async def own_sign_in(session: AsyncSession, actor: StaffActor, sign_in_id: str) -> SignIn:
    """A sign-in of this very person, in any browser or program."""
    if not is_identifier(sign_in_id):
        raise NotFound
    sign_in = await session.scalar(select(SignIn).where(SignIn.id == sign_in_id))
    if sign_in is None:
        raise NotFound
    if sign_in.user_id != actor.user.id:
        raise NotFound
    return sign_in


async def own_factor(session: AsyncSession, actor: StaffActor, factor_id: str) -> AuthenticatorApp | Passkey:
    """A second factor of this very person."""
    if not is_identifier(factor_id):
        raise NotFound
    factor: AuthenticatorApp | Passkey | None = await session.get(AuthenticatorApp, FactorId(factor_id))
    if factor is None:
        factor = await session.get(Passkey, FactorId(factor_id))
    if factor is None:
        raise NotFound
    if factor.user_id != actor.user.id:
        raise NotFound
    return factor


def is_contacts_owner(actor: StaffActor) -> ColumnElement[bool]:
    """The address books of this staff user: their own and their departments'."""
    return or_(Contact.owner_id == actor.user.id, Contact.department_id.in_(list(actor.departments)))


def is_feeds_reader(actor: StaffActor) -> ColumnElement[bool]:
    """The address books that this staff user sees listed: their own, and the organisation's."""
    return or_(AddressFeed.owner_id == actor.user.id, AddressFeed.owner_id.is_(None))


def is_templates_owner(actor: StaffActor) -> ColumnElement[bool]:
    """The templates of this staff user: their own and their departments'."""
    return or_(Template.owner_id == actor.user.id, Template.department_id.in_(list(actor.departments)))


async def own_template(session: AsyncSession, actor: StaffActor, template_id: str) -> Template:
    """A template of this staff user or their departments."""
    if not is_identifier(template_id):
        raise NotFound
    template = await session.scalar(select(Template).where(Template.id == template_id, is_templates_owner(actor)))
    if template is None:
        raise NotFound
    return template


async def own_contact(session: AsyncSession, actor: StaffActor, contact_id: str) -> Contact:
    """A contact in a book of this staff user."""
    if not is_identifier(contact_id):
        raise NotFound
    contact = await session.scalar(select(Contact).where(Contact.id == contact_id, is_contacts_owner(actor)))
    if contact is None:
        raise NotFound
    return contact


async def own_listed(session: AsyncSession, actor: StaffActor, listed_id: str) -> ListedContact:
    """Someone in an address book that this staff user sees listed."""
    if not is_identifier(listed_id):
        raise NotFound
    feeds = select(AddressFeed.id).where(is_feeds_reader(actor))
    listed = await session.scalar(select(ListedContact).where(ListedContact.id == listed_id, ListedContact.feed_id.in_(feeds)))
    if listed is None:
        raise NotFound
    return listed


async def own_department(session: AsyncSession, actor: StaffActor, department_id: str) -> Department:
    """A department that this person works for, or any to an administrator, who sees who is in it and nothing of its post."""
    if not is_identifier(department_id):
        raise NotFound
    department = await session.get(Department, DepartmentId(department_id))
    if department is None:
        raise NotFound
    if department.id not in actor.departments and not actor.user.is_administrator:
        raise NotFound
    return department


async def account_of_anyone(session: AsyncSession, actor: StaffActor, user_id: str) -> StaffUser:
    """Any account, to an administrator."""
    require_administrator(actor)
    if not is_identifier(user_id):
        raise NotFound
    user = await session.get(StaffUser, StaffUserId(user_id))
    if user is None:
        raise NotFound
    return user


async def account_of_another(session: AsyncSession, actor: StaffActor, user_id: str) -> StaffUser:
    """Any account but one's own, to decide about. Raises `OwnAccount`.

    Both rows are locked, in one order: of two administrators who switch each other off, the second is none any more.
    """
    require_administrator(actor)
    if not is_identifier(user_id):
        raise NotFound
    both = select(StaffUser).where(StaffUser.id.in_([actor.user.id, user_id])).order_by(StaffUser.id).with_for_update()
    found = {user.id: user for user in await session.scalars(both)}
    # Their own row as it is now, and not as it was when the request came in.
    own = found[actor.user.id]
    if own.is_switched_off or not own.is_administrator:
        raise NotFound
    if user_id == own.id:
        raise OwnAccount
    user = found.get(StaffUserId(user_id))
    if user is None:
        raise NotFound
    return user


async def managed_department(session: AsyncSession, actor: StaffActor, department_id: str) -> Department:
    """A department that this person manages, or any to an administrator."""
    department = await own_department(session, actor, department_id)
    works_for = actor.departments.get(department.id)
    if not actor.user.is_administrator and (works_for is None or works_for.role != DepartmentRole.MANAGER):
        raise NotFound
    return department


# What guests began; staff have what came of it among what they received.
GUESTS_OWN: Final = (TransferKind.ANSWER, TransferKind.INTAKE)


def is_senders(actor: StaffActor) -> ColumnElement[bool]:
    """The transfers that are this staff user's to see and to follow up.

    Their own, and of each of their departments what its members sent. A draft is only its maker's, also for a department. Who
    left a department has nothing to do with what they sent for it.
    """
    return _is_senders(actor.user.id, list(actor.departments))


def senders_mailboxes(actor: StaffActor, mailbox: str = "") -> list[ColumnElement[bool]]:
    """As `is_senders`, of what was sent: a condition for each of their mailboxes, which have nothing in common.

    `mailbox` leaves one of them: `MINE`, or a department's identifier; none where they do not work for that.
    """
    own = and_(Transfer.sender_id == actor.user.id, Transfer.department_id.is_(None))
    mailboxes = {MINE: own} | {each: Transfer.department_id == each for each in actor.departments}
    return [condition for name, condition in mailboxes.items() if mailbox in {"", name}]


def _is_senders(user_id: Any, department_ids: Any) -> ColumnElement[bool]:
    return or_(
        and_(Transfer.sender_id == user_id, Transfer.department_id.is_(None)),
        and_(
            Transfer.department_id.in_(department_ids),
            or_(Transfer.sender_id == user_id, Transfer.state != TransferState.DRAFT),
        ),
    )


# Made once: to make a statement of SQLAlchemy and find it among the compiled ones takes ten times as long as to run it.
_OWN_TRANSFER: Final = select(Transfer).where(
    Transfer.id == bindparam("transfer_id"),
    Transfer.kind.not_in(GUESTS_OWN),
    _is_senders(bindparam("user_id"), bindparam("department_ids", expanding=True)),
)
_OWN_TRANSFER_LOCKED: Final = _OWN_TRANSFER.with_for_update()


async def own_transfer(session: AsyncSession, actor: StaffActor, transfer_id: str, *, lock: bool = False) -> Transfer:
    """A transfer this staff user or their department sends or sent. With `lock`, no other unit of work changes it meanwhile."""
    if not is_identifier(transfer_id):
        raise NotFound
    transfer = await session.scalar(
        _OWN_TRANSFER_LOCKED if lock else _OWN_TRANSFER,
        {"transfer_id": transfer_id, "user_id": actor.user.id, "department_ids": list(actor.departments)},
    )
    if transfer is None:
        raise NotFound
    return transfer


async def own_recipient(session: AsyncSession, transfer: Transfer, recipient_id: str) -> Recipient:
    """A recipient of a transfer that was already authorised."""
    if not is_identifier(recipient_id):
        raise NotFound
    recipient = await session.get(Recipient, RecipientId(recipient_id))
    if recipient is None:
        raise NotFound
    if recipient.transfer_id != transfer.id:
        raise NotFound
    return recipient


async def document_of(session: AsyncSession, transfer: Transfer, document_id: str) -> Document:
    """A document of a transfer that was already authorised."""
    if not is_identifier(document_id):
        raise NotFound
    document = await session.get(Document, DocumentId(document_id))
    if document is None:
        raise NotFound
    if document.transfer_id != transfer.id:
        raise NotFound
    return document


async def held_back_of(session: AsyncSession, transfer: Transfer, document_id: str) -> HeldBack:
    """What was held back of a transfer that was already authorised, locked: of two who judge it one is first."""
    if not is_identifier(document_id):
        raise NotFound
    held = await session.scalar(
        select(HeldBack).where(HeldBack.document_id == document_id, HeldBack.transfer_id == transfer.id).with_for_update()
    )
    if held is None:
        raise NotFound
    return held


def require_administrator(actor: StaffActor) -> None:
    """For what is nobody's own. Raises `NotFound`: to others it does not exist."""
    if not actor.user.is_administrator:
        raise NotFound


async def held_back_of_anyone(session: AsyncSession, actor: StaffActor, document_id: str) -> tuple[HeldBack, Transfer]:
    """What was held back of anything that was sent, to an administrator, who gets no key with it."""
    require_administrator(actor)
    if not is_identifier(document_id):
        raise NotFound
    transfer = await session.scalar(
        select(Transfer)
        .join(HeldBack, HeldBack.transfer_id == Transfer.id)
        .where(HeldBack.document_id == document_id, Transfer.state == TransferState.SENT)
    )
    if transfer is None:
        raise NotFound
    return await held_back_of(session, transfer, document_id), transfer


async def drafted_transfer(session: AsyncSession, actor: Sender, transfer_id: str, *, lock: bool = False) -> Transfer:
    """A transfer of whoever is making it, staff or guest. It need not be a draft any more."""
    if isinstance(actor, StaffActor):
        return await own_transfer(session, actor, transfer_id, lock=lock)
    return await own_answer(session, actor, transfer_id, lock=lock)


async def own_answer(session: AsyncSession, actor: GuestActor, transfer_id: str, *, lock: bool = False) -> Transfer:
    """What this very guest sends or sent as an answer to this very transfer."""
    if not is_identifier(transfer_id):
        raise NotFound
    query = select(Transfer).where(
        Transfer.id == transfer_id,
        Transfer.kind == TransferKind.ANSWER,
        Transfer.guest_id == actor.recipient.id,
        Transfer.answers_id == actor.transfer.id,
    )
    transfer = await session.scalar(query.with_for_update() if lock else query)
    if transfer is None:
        raise NotFound
    return transfer


async def own_upload(session: AsyncSession, actor: Sender, upload_id: str) -> tuple[Upload, Document, Transfer]:
    """An upload to a transfer of whoever is making it, with its document and transfer."""
    if not is_identifier(upload_id):
        raise NotFound
    upload = await session.get(Upload, UploadId(upload_id))
    if upload is None:
        raise NotFound
    document = await session.get_one(Document, upload.document_id)
    transfer = await drafted_transfer(session, actor, upload.transfer_id)
    if isinstance(actor, StaffActor) and transfer.sender_id != actor.user.id:
        raise NotFound
    return upload, document, transfer


def is_receivers(actor: StaffActor, email_index: bytes) -> ColumnElement[bool]:
    """The recipients that are this staff user, by `email_index`, the keyed hash of their own address, or their departments."""
    return and_(
        Recipient.method == VerificationMethod.SIGN_IN,
        or_(
            and_(
                Recipient.email_index == email_index,
                Recipient.department_id.is_(None),
                or_(Recipient.account_until.is_(None), Recipient.account_until > actor.user.created_at),
            ),
            Recipient.department_id.in_(list(actor.departments)),
        ),
    )


async def received_transfer(
    session: AsyncSession, actor: StaffActor, email_index: bytes, transfer_id: str, now: datetime
) -> tuple[Transfer, Recipient]:
    """A transfer to a staff user as a colleague, or to a department of theirs; `email_index` as in `is_receivers`."""
    if not is_identifier(transfer_id):
        raise NotFound
    recipient = await session.scalar(
        select(Recipient)
        .where(Recipient.transfer_id == transfer_id, is_receivers(actor, email_index))
        .order_by(Recipient.position)
        .limit(1)
    )
    if recipient is None:
        raise NotFound
    transfer = await session.get_one(Transfer, TransferId(transfer_id))
    if transfer.state in {TransferState.DRAFT, TransferState.ERASED}:
        raise NotFound
    transfer.require_open(now)
    recipient.require_open()
    return transfer, recipient


async def link_of(session: AsyncSession, link_id: str) -> tuple[Link, Recipient, Transfer]:
    """A link by its public part. Proves nothing yet: the secret still has to open it."""
    if not is_identifier(link_id):
        raise LinkWrong
    link = await session.get(Link, link_id)
    if link is None:
        raise LinkWrong
    recipient = await session.get_one(Recipient, link.recipient_id)
    return link, recipient, await session.get_one(Transfer, recipient.transfer_id)


async def device_of(session: AsyncSession, device_id: str) -> RememberedDevice | None:
    """A remembered device, for whoever has the address that was mailed: 128 random bits that are in that mail alone."""
    if not is_identifier(device_id):
        return None
    return await session.scalar(select(RememberedDevice).where(RememberedDevice.id == device_id))


@dataclass(frozen=True, slots=True)
class RecipientActor:
    """Someone who holds the link; once `grant.verified_at` is set also the right telephone or code."""

    recipient: Recipient
    transfer: Transfer
    grant: Grant
    cookie: SecretToken = field(repr=False)

    def subject(self, *, document_id: DocumentId | None = None) -> Subject:
        """Who and what, for the record."""
        return Subject(
            actor=ActorKind.RECIPIENT,
            transfer_id=self.transfer.id,
            recipient_id=self.recipient.id,
            document_id=document_id,
        )


@dataclass(frozen=True, slots=True)
class GuestActor:
    """A verified recipient who sends us something back. `key` opens what they answer to, and with it what they sent before."""

    recipient: Recipient
    transfer: Transfer
    key: MessageKey = field(repr=False)

    @property
    def holds(self) -> MessageKey:
        """What opens their drafts."""
        return self.key

    def subject(self, transfer: Transfer | None = None, *, document_id: DocumentId | None = None) -> Subject:
        """Who and what, for the record."""
        return Subject(
            actor=ActorKind.GUEST,
            transfer_id=transfer.id if transfer else self.transfer.id,
            recipient_id=self.recipient.id,
            document_id=document_id,
        )


Sender = StaffActor | GuestActor


async def link_holder(
    session: AsyncSession, link_id: str, cookie: SecretToken | None, now: datetime, *, is_sending: bool = False
) -> RecipientActor:
    """Who showed the link's secret a moment ago, not yet verified. Raises what stands in the way of opening.

    1. The cookie names a grant that is live.
    2. The grant belongs to this very link, and the link is the current one.
    3. The transfer is open and so is the recipient, whatever was true when the grant was made.
    """
    # 1.
    if cookie is None:
        raise VerificationRequired
    grant = await session.get(Grant, cookie.digest)
    if grant is None:
        raise VerificationRequired
    if not (grant.may_send(now) if is_sending else grant.is_live(now)):
        raise VerificationRequired
    # 2.
    if grant.link_id != link_id:
        raise VerificationRequired
    link, recipient, transfer = await link_of(session, link_id)
    if link.replaced_at is not None:
        raise LinkReplaced
    # 3.
    transfer.require_open(now)
    recipient.require_open()
    return RecipientActor(recipient, transfer, grant, cookie)


async def granted(
    session: AsyncSession, link_id: str, cookie: SecretToken | None, now: datetime, *, is_sending: bool = False
) -> RecipientActor:
    """A verified recipient. Raises `VerificationRequired` until the code was right."""
    actor = await link_holder(session, link_id, cookie, now, is_sending=is_sending)
    if actor.grant.verified_at is None:
        raise VerificationRequired
    return actor
