"""Sending: from an empty draft to a sent transfer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database, insert_all
from zegelpost.model.clock import Clock
from zegelpost.model.department import Department
from zegelpost.model.event import Event, EventTag
from zegelpost.model.identifiers import DepartmentId, LinkId, RecipientId, TransferId, new_identifier
from zegelpost.model.link import LinkSecret, link_address, link_page
from zegelpost.model.outgoing import Purpose
from zegelpost.model.recipient import SHORTEST_ACCESS_CODE, Link, Recipient, VerificationMethod
from zegelpost.model.refusals import (
    AccessCodeTooShort,
    DepartmentNotFound,
    FormRefused,
    PhoneCountryNotAllowed,
    PhoneNumberMissing,
    RecipientsMissing,
    Refusal,
    TooManyRecipients,
)
from zegelpost.model.transfer import Transfer, TransferState, TransferText
from zegelpost.sealing.keys import MessageKey
from zegelpost.services.access import StaffActor, own_transfer, received_transfer
from zegelpost.services.addressing import Addressee
from zegelpost.services.governing import Governing
from zegelpost.services.hashing_passwords import hash_password
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.notifying import Notifying, recipient_facts
from zegelpost.services.presenting import Correspondent, Presenting
from zegelpost.services.recording import fact, record
from zegelpost.services.requiring_content import require_content

# Made once, as in `access.py`.
_RECIPIENTS: Final = select(Recipient).where(Recipient.transfer_id == bindparam("transfer_id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftContent:
    """What a draft says and to whom; already parsed."""

    text: TransferText
    addressees: Sequence[Addressee] = field(default=())
    expires_in_days: int
    language: str
    department_id: str | None = None  # on whose behalf
    answers_id: str | None = None  # what the actor received and answers now


class Sending:
    def __init__(
        self,
        database: Database,
        keeping_keys: KeepingKeys,
        notifying: Notifying,
        presenting: Presenting,
        governing: Governing,
        base_url: str,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._notifying = notifying
        self._presenting = presenting
        self._governing = governing
        self._base_url = base_url
        self._clock = clock

    async def create(self, actor: StaffActor, content: DraftContent) -> TransferId:
        """Make a draft.

        Raises `ExpiryOutOfRange`, `DepartmentNotFound` for one that the actor does not work for, and `NotFound` when it
        answers what they did not receive.
        """
        self._governing.policy.require_expiry(content.expires_in_days)
        now = self._clock()
        hashes = await _access_code_hashes(content.addressees)
        async with self._database.work() as session:
            transfer = Transfer(
                id=TransferId(new_identifier()),
                sender_id=actor.user.id,
                state=TransferState.DRAFT,
                has_sender_copy=self._governing.policy.has_sender_copy,
                created_at=now,
            )
            if content.answers_id:
                index = self._keys.index("email", actor.user.email)
                answered, _ = await received_transfer(session, actor, index, content.answers_id, now)
                transfer.answers_id = answered.id
            key = self._keys.new_message_key(transfer, actor.token, now)
            self._write(transfer, key, content, actor)
            session.add(transfer)
            await session.flush()
            await self._write_recipients(session, transfer, key, content.addressees, hashes, {})
            record(session, EventTag.TRANSFER_CREATED, actor.subject(transfer), now)
        return transfer.id

    async def change(self, actor: StaffActor, transfer_id: str, content: DraftContent) -> None:
        """Replace what a draft says and to whom; its documents stay. Raises `NotFound`, `TransferNotDraft`."""
        self._governing.policy.require_expiry(content.expires_in_days)
        hashes = await _access_code_hashes(content.addressees)
        async with self._database.work() as session:
            transfer = await own_transfer(session, actor, transfer_id, lock=True)
            transfer.require_draft()
            key = self._keys.message_key(transfer, actor.token)
            self._write(transfer, key, content, actor)
            known = await session.scalars(_RECIPIENTS, {"transfer_id": transfer.id})
            await self._write_recipients(
                session, transfer, key, content.addressees, hashes, {each.email_index: each for each in known}
            )
            record(session, EventTag.TRANSFER_CHANGED, actor.subject(transfer), self._clock())

    async def send(self, actor: StaffActor, transfer_id: str) -> None:
        """Give the documents to the recipients. State, links, notices and event commit together or not at all.

        1. The transfer is this sender's and still a draft; two clicks have one winner.
        2. It is complete: recipients, and documents that have fully arrived or a note. It goes by the policy of now, which may
           be another than when it was drafted.
        3. The message key is wrapped for the week in which the transfer expires.
        4. Each recipient gets a way in (link or account) and a notice; who is parked gets nothing, and the sender a reminder.
        """
        now = self._clock()
        async with self._database.work() as session:
            # 1.
            transfer = await own_transfer(session, actor, transfer_id, lock=True)
            transfer.require_draft()
            keys = self._keys.within(session)
            key = keys.message_key(transfer, actor.token)
            # 2.
            recipients = list(await session.scalars(_RECIPIENTS, {"transfer_id": transfer.id}))
            if not recipients:
                raise RecipientsMissing
            await require_content(session, transfer, keys.text(key, transfer))
            self._require_policy(keys, transfer, recipients)
            # Before anything changes, so that everything is written in one go.
            sender = await self._presenting.sender_of(session, transfer, at_hand=actor.user)
            # 3.
            transfer.sent_at = now
            transfer.expires_at = now + timedelta(days=transfer.expires_in_days)
            keys.seal_for_sending(key, transfer, transfer.expires_at)
            transfer.state = TransferState.SENT
            # 4.
            parked = [recipient for recipient in recipients if recipient.parked_at is not None]
            links: list[dict[str, Any]] = []
            mails: list[dict[str, Any]] = []
            events: list[dict[str, Any]] = []
            for recipient in recipients:
                if recipient.parked_at is not None:
                    recipient.parked_at = now
                    events.append(fact(EventTag.RECIPIENT_PARKED, actor.subject(transfer, recipient_id=recipient.id), now))
                elif recipient.method == VerificationMethod.SIGN_IN:
                    mails.append(self._colleague_invitation(session, sender, transfer, recipient, key))
                else:
                    link, mail = self._invitation(session, Purpose.INVITATION, sender, transfer, recipient, key, {})
                    links.append(link)
                    mails.append(mail)
            count = len(recipients) - len(parked)
            events.append(fact(EventTag.TRANSFER_SENT, actor.subject(transfer), now, recipient_count=count))
            await insert_all(session, Link.__table__, links)
            await self._notifying.queue_all(session, mails)
            await insert_all(session, Event.__table__, events)
            if parked:
                await self._tell_of_parked(session, transfer, parked)

    def _require_policy(self, keys: KeepingKeys, transfer: Transfer, recipients: Sequence[Recipient]) -> None:
        """Raises the refusal with which the draft would not be made any more. What it holds was judged as it was added."""
        policy = self._governing.policy
        policy.require_expiry(transfer.expires_in_days)
        if len(recipients) > policy.most_recipients:
            raise TooManyRecipients(limit=policy.most_recipients)
        for recipient in recipients:
            policy.require_method(recipient.method)
            mobile = keys.person(recipient).mobile if recipient.method.needs_number else None
            if mobile is not None and mobile.country_prefix not in policy.country_prefixes:
                raise PhoneCountryNotAllowed(prefix=mobile.country_prefix)
        if transfer.has_sender_copy and not policy.has_sender_copy:
            if any(recipient.parked_at is not None for recipient in recipients):
                # Nobody could give them their link later on.
                raise PhoneNumberMissing
            transfer.has_sender_copy = False

    def invite(
        self,
        session: AsyncSession,
        purpose: Purpose,
        sender: Correspondent,
        transfer: Transfer,
        recipient: Recipient,
        key: MessageKey,
        **facts: Any,
    ) -> Link:
        """Make a link and mail it, with the `facts` that the notice needs. The secret is in the sealed mail and nowhere else."""
        row, mail = self._invitation(session, purpose, sender, transfer, recipient, key, facts)
        link = Link(**row)
        session.add(link)
        self._notifying.queue(session, mail)
        return link

    def _invitation(
        self,
        session: AsyncSession,
        purpose: Purpose,
        sender: Correspondent,
        transfer: Transfer,
        recipient: Recipient,
        key: MessageKey,
        facts: dict[str, Any],
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The rows of the link and of its mail; they are to be written together."""
        keys = self._keys.within(session)
        secret = LinkSecret.generate()
        link_id = LinkId(new_identifier())
        link = {
            "id": link_id,
            "recipient_id": recipient.id,
            "created_at": self._clock(),
            **keys.wrap_for_link(key, transfer, link_id, recipient.id, secret),
        }
        person = keys.person(recipient)
        mail = self._notifying.mail(
            session,
            purpose,
            person.email,
            transfer.language,
            transfer=transfer,
            recipient=recipient,
            facts={
                "link": link_address(self._base_url, transfer.kind, link_id, secret),
                "page": link_page(self._base_url, transfer.kind, link_id),
                "printed_code": secret.printed,
                "needs_mobile": recipient.method == VerificationMethod.SMS,
                "is_called": recipient.method == VerificationMethod.SPOKEN,
                "last_digits": person.mobile.last_digits if person.mobile else "",
                **facts,
                **recipient_facts(person, sender, transfer),
            },
        )
        return link, mail

    def invite_colleague(
        self,
        session: AsyncSession,
        sender: Correspondent,
        transfer: Transfer,
        recipient: Recipient,
        key: MessageKey,
        language: str = "",
    ) -> None:
        """Colleagues sign in; the mail holds no secret. In the transfer's language unless another is named."""
        self._notifying.queue(session, self._colleague_invitation(session, sender, transfer, recipient, key, language))

    def _colleague_invitation(
        self,
        session: AsyncSession,
        sender: Correspondent,
        transfer: Transfer,
        recipient: Recipient,
        key: MessageKey,
        language: str = "",
    ) -> dict[str, Any]:
        keys = self._keys.within(session)
        person = keys.person(recipient)
        keys.wrap_for_colleague(key, transfer, recipient)
        link = f"{self._base_url}/received/{transfer.id}"
        return self._notifying.mail(
            session,
            Purpose.COLLEAGUE_INVITATION,
            person.email,
            language or transfer.language,
            transfer=transfer,
            recipient=recipient,
            facts={"link": link, **recipient_facts(person, sender, transfer)},
        )

    async def _tell_of_parked(self, session: AsyncSession, transfer: Transfer, parked: Sequence[Recipient]) -> None:
        """One mail to the sender or their department, with the page where the rest is done."""
        follower = await self._presenting.follower_of(session, transfer)
        if follower is None:
            return
        self._notifying.queue_mail(
            session,
            Purpose.PARKED,
            follower.address,
            follower.language,
            transfer=transfer,
            sender_name=follower.name,
            names=", ".join(self._keys.person(recipient).name for recipient in parked),
            count=len(parked),
            expires_at=transfer.expires_at,
            link=f"{self._base_url}/transfers/{transfer.id}",
        )

    def _write(self, transfer: Transfer, key: MessageKey, content: DraftContent, actor: StaffActor) -> None:
        if content.department_id is not None and content.department_id not in actor.departments:
            raise DepartmentNotFound
        transfer.department_id = DepartmentId(content.department_id) if content.department_id else None
        self._keys.seal_text(key, transfer, content.text)
        transfer.expires_in_days = content.expires_in_days
        transfer.language = content.language

    async def _write_recipients(
        self,
        session: AsyncSession,
        transfer: Transfer,
        key: MessageKey,
        addressees: Sequence[Addressee],
        hashes: Sequence[str | None],
        known: dict[bytes, Recipient],
    ) -> None:
        """Who is addressed again stays the same recipient, with the access code that was agreed; the others go.

        The address of a department makes it a recipient: whoever works for it then reads it.
        """
        departments = await _departments_at(session, addressees)
        for position, (addressee, access_code_hash) in enumerate(zip(addressees, hashes, strict=True)):
            person = addressee.person
            index = self._keys.index("email", person.email.comparable)
            recipient = next((known.pop(form) for form in index.all if form in known), None)
            if recipient is None:
                recipient = Recipient(id=RecipientId(new_identifier()), transfer_id=transfer.id, email_index=index)
                session.add(recipient)
            recipient.position = position
            recipient.department_id = departments.get(person.email.comparable)
            recipient.sealed_person = self._keys.seal_person(person, recipient.id)
            recipient.number_index = self._keys.index("number", person.mobile.e164) if person.mobile else None
            is_kept = addressee.method == VerificationMethod.ACCESS_CODE and access_code_hash is None
            if is_kept and recipient.access_code_hash is None:
                raise FormRefused({f"recipients.{position}.access_code": AccessCodeTooShort(limit=SHORTEST_ACCESS_CODE)})
            recipient.access_code_hash = recipient.access_code_hash if is_kept else access_code_hash
            if addressee.is_parked and not transfer.has_sender_copy:
                raise FormRefused({f"recipients.{position}.mobile": PhoneNumberMissing()})
            recipient.parked_at = (recipient.parked_at or self._clock()) if addressee.is_parked else None
            recipient.method = addressee.method
            recipient.sealed_hint = self._keys.seal_hint(key, recipient.id, addressee.hint) if addressee.hint else None
        for recipient in known.values():
            await session.delete(recipient)


async def _departments_at(session: AsyncSession, addressees: Sequence[Addressee]) -> dict[str, DepartmentId]:
    """Which of the addresses are departments'. Raises `FormRefused` for one that is closed: nobody would ever read it."""
    addresses = [each.person.email.comparable for each in addressees if each.method == VerificationMethod.SIGN_IN]
    rows = await session.execute(
        select(Department.email, Department.id, Department.closed_at).where(Department.email.in_(addresses))
    )
    found = {row.email: row for row in rows}
    refused: dict[str, Refusal] = {
        f"recipients.{position}.email": DepartmentNotFound()
        for position, addressee in enumerate(addressees)
        if (row := found.get(addressee.person.email.comparable)) is not None and row.closed_at is not None
    }
    if refused:
        raise FormRefused(refused)
    return {email: row.id for email, row in found.items()}


async def _access_code_hashes(addressees: Sequence[Addressee]) -> list[str | None]:
    return [await hash_password(addressee.access_code) if addressee.access_code else None for addressee in addressees]
