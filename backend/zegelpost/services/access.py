"""The only way to get an object by an identifier that came from outside: load and authorise in one step.

Absent and forbidden give the same answer, `NotFound`, so that nobody can try out identifiers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.model.document import Document, Upload
from zegelpost.model.event import ActorKind
from zegelpost.model.identifiers import DocumentId, FactorId, RecipientId, TransferId, UploadId, is_identifier
from zegelpost.model.recipient import Grant, Link, Recipient, VerificationMethod
from zegelpost.model.refusals import LinkReplaced, LinkWrong, NotFound, SignInRequired, VerificationRequired
from zegelpost.model.second_factor import AuthenticatorApp, Passkey
from zegelpost.model.secret import SecretToken
from zegelpost.model.staff_user import HalfSignIn, SignIn, SignInKind, StaffUser
from zegelpost.model.transfer import Transfer, TransferState
from zegelpost.services.recording import Subject


@dataclass(frozen=True, slots=True)
class StaffActor:
    """A signed-in staff user and the token they hold."""

    user: StaffUser
    token: SecretToken = field(repr=False)

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
    return StaffActor(user, token)


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


async def own_transfer(session: AsyncSession, actor: StaffActor, transfer_id: str, *, lock: bool = False) -> Transfer:
    """A transfer this staff user sends or sent. With `lock`, no other unit of work changes it meanwhile."""
    if not is_identifier(transfer_id):
        raise NotFound
    query = select(Transfer).where(Transfer.id == transfer_id)
    transfer = await session.scalar(query.with_for_update() if lock else query)
    if transfer is None:
        raise NotFound
    if transfer.sender_id != actor.user.id:
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


async def own_upload(session: AsyncSession, actor: StaffActor, upload_id: str) -> tuple[Upload, Document, Transfer]:
    """An upload this staff user started, with its document and transfer."""
    if not is_identifier(upload_id):
        raise NotFound
    upload = await session.get(Upload, UploadId(upload_id))
    if upload is None:
        raise NotFound
    if upload.owner_id != actor.user.id:
        raise NotFound
    document = await session.get_one(Document, upload.document_id)
    return upload, document, await own_transfer(session, actor, upload.transfer_id)


async def received_transfer(
    session: AsyncSession, email_index: bytes, transfer_id: str, now: datetime
) -> tuple[Transfer, Recipient]:
    """A transfer that names a staff user as a colleague; `email_index` is the keyed hash of their own address."""
    if not is_identifier(transfer_id):
        raise NotFound
    recipient = await session.scalar(
        select(Recipient).where(Recipient.transfer_id == transfer_id, Recipient.email_index == email_index)
    )
    if recipient is None:
        raise NotFound
    if recipient.method != VerificationMethod.SIGN_IN:
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


async def link_holder(session: AsyncSession, link_id: str, cookie: SecretToken | None, now: datetime) -> RecipientActor:
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
    if not grant.is_live(now):
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


async def granted(session: AsyncSession, link_id: str, cookie: SecretToken | None, now: datetime) -> RecipientActor:
    """A verified recipient. Raises `VerificationRequired` until the code was right."""
    actor = await link_holder(session, link_id, cookie, now)
    if actor.grant.verified_at is None:
        raise VerificationRequired
    return actor
