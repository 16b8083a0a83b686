"""Introducing: an outsider starts unasked, and shows that the mailbox they name is theirs.

Nothing is delivered and no document is taken before the code from the mail was right. Whether an address of a colleague exists
is not looked up at all, so that nothing can tell: what is sent to it waits for whoever has that mailbox.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.department import Department
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.identifiers import DepartmentId, LinkId, RecipientId, TransferId, new_identifier
from zegelpost.model.intake import (
    INTRODUCTION_LIFETIME,
    MAILED_CODE_LIFETIME,
    MAILED_CODES,
    TRIES_PER_MAILED_CODE,
    Intake,
    Introduction,
    TypedIntroduction,
)
from zegelpost.model.outgoing import Purpose
from zegelpost.model.recipient import CODE_COOL_DOWNS, CODE_DIGITS, Grant, Person, Recipient, VerificationMethod
from zegelpost.model.refusals import (
    AddresseeMissing,
    CodeAskedTooSoon,
    CodeExpired,
    CodeIncomplete,
    CodeIncorrect,
    CodeLimitReached,
    CodeTriesExhausted,
    EmailAddressNotStaff,
    FormRefused,
    IntakeClosed,
    IntakeOver,
    Refusal,
    TooManyUnfinished,
)
from zegelpost.model.secret import SecretToken
from zegelpost.model.transfer import Transfer, TransferKind, TransferState, TransferText
from zegelpost.sealing.keys import MessageKey
from zegelpost.services.access import RecipientActor
from zegelpost.services.addressing import TypedRecipient, address
from zegelpost.services.governing import Governing
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.limiting_tries import Limit, count_try
from zegelpost.services.notifying import Notifying
from zegelpost.services.presenting import Presenting
from zegelpost.services.proving_work import ProvingWork
from zegelpost.services.recording import Subject, record
from zegelpost.services.sending import Sending

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_STARTS_PER_NETWORK: Final = 30  # an hour; a hospital is one network
_UNPROVED_PER_NETWORK: Final = 5  # an hour: browsers without script, and programs that do not want to work
_MAILS_PER_ADDRESS: Final = 4  # an hour
_MAILS_PER_ADDRESS_A_DAY: Final = 10
_WRONG_CODES_PER_NETWORK: Final = 60  # an hour
_OPENED_PER_ADDRESS: Final = 10  # a day
_MOST_UNFINISHED: Final = 3  # of one mailbox


@dataclass(frozen=True, slots=True)
class Addressable:
    """A department that outsiders can choose."""

    id: DepartmentId
    name: str

    @property
    def choice(self) -> tuple[str, str]:
        """As lists of choices take it: what is sent, and what people read."""
        return self.id, self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An introduction that waits for its code."""

    email: str = field(repr=False)
    code_expires_at: datetime
    may_ask_again: bool


@dataclass(frozen=True, slots=True)
class Begun:
    """The mailbox is the guest's. The cookie lets this browser send; the link in the mail lets any."""

    link_id: LinkId
    cookie: SecretToken


class Introducing:
    def __init__(
        self,
        database: Database,
        keeping_keys: KeepingKeys,
        notifying: Notifying,
        presenting: Presenting,
        sending: Sending,
        proving: ProvingWork,
        governing: Governing,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._proving = proving
        self._notifying = notifying
        self._presenting = presenting
        self._sending = sending
        self._governing = governing
        self._clock = clock

    def require_open(self) -> None:
        """Raise `IntakeClosed` where the policy takes nothing unasked."""
        if not self._governing.policy.has_intake:
            raise IntakeClosed

    async def addressable(self) -> list[Addressable]:
        """Departments to choose from, by name. Raises `IntakeClosed`."""
        self.require_open()
        async with self._database.reading() as session:
            rows = await session.execute(
                select(Department.id, Department.sender_name)
                .where(Department.is_on_intake, Department.closed_at.is_(None))
                .order_by(Department.sender_name)
            )
            return [Addressable(row.id, row.sender_name) for row in rows]

    async def introduce(self, typed: TypedIntroduction, *, proof: str, network: str, language: str) -> SecretToken:
        """Check what was typed and mail a code; returns what the browser keeps.

        1. Everything typed is checked at once. Raises `FormRefused`, which tells nothing about who exists.
        2. Guests are limited by network, much more so without a proof of work, and mail to one address is limited: our mail
           is no tool to trouble others with. Raises `TooManyAttempts`.
        3. What was typed is sealed, the code is mailed. The mail holds nothing that anyone typed.
        """
        # 1.
        self.require_open()
        person, _ = await self._checked(typed)
        is_proved = await asyncio.to_thread(self._proving.is_proved, proof)
        now = self._clock()
        # 2.
        async with self._database.work() as session:
            limits = [
                Limit("intake-network", network, _STARTS_PER_NETWORK, _HOUR),
                Limit("intake-mail", person.email.comparable, _MAILS_PER_ADDRESS, _HOUR),
                Limit("intake-mail-day", person.email.comparable, _MAILS_PER_ADDRESS_A_DAY, _DAY),
            ]
            if not is_proved or not await self._proving.spend(session, proof, now):
                limits.append(Limit("intake-unproved", network, _UNPROVED_PER_NETWORK, _HOUR))
            await count_try(session, limits, now)
        # 3.
        token = SecretToken.generate()
        introduction = Introduction(
            digest=token.digest,
            sealed_words=self._keys.seal_introduction(token.digest, json.dumps(asdict(typed))),
            language=language,
            code_count=1,
            try_count=0,
            created_at=now,
        )
        async with self._database.work() as session:
            self._mail_code(session, introduction, person, now)
            session.add(introduction)
            record(session, EventTag.INTAKE_ASKED, Subject(actor=ActorKind.STRANGER), now)
        return token

    async def waiting(self, token: SecretToken | None) -> Waiting:
        """What waits for a code in this browser. Raises `IntakeOver`."""
        async with self._database.reading() as session:
            introduction = await self._live(session, token)
            return Waiting(
                email=self._typed(introduction).email.strip(),
                code_expires_at=introduction.code_sent_at + MAILED_CODE_LIFETIME,
                may_ask_again=introduction.code_count < MAILED_CODES,
            )

    async def typed(self, token: SecretToken | None) -> TypedIntroduction | None:
        """What this browser typed before, to change a slip in it."""
        async with self._database.reading() as session:
            try:
                return self._typed(await self._live(session, token))
            except IntakeOver:
                return None

    async def send_again(self, token: SecretToken | None) -> None:
        """Mail a new code; the one before stops working. Raises `CodeAskedTooSoon`, `CodeLimitReached`, `TooManyAttempts`."""
        now = self._clock()
        async with self._database.work() as session:
            introduction = await self._live(session, token)
            person, _ = await self._checked(self._typed(introduction))
            since = now - introduction.code_sent_at
            if since < CODE_COOL_DOWNS[0]:
                raise CodeAskedTooSoon(retry_after_seconds=int((CODE_COOL_DOWNS[0] - since).total_seconds()) + 1)
            if introduction.code_count >= MAILED_CODES:
                raise CodeLimitReached(retry_after_seconds=int(INTRODUCTION_LIFETIME.total_seconds()))
            await count_try(
                session,
                [
                    Limit("intake-mail", person.email.comparable, _MAILS_PER_ADDRESS, _HOUR),
                    Limit("intake-mail-day", person.email.comparable, _MAILS_PER_ADDRESS_A_DAY, _DAY),
                ],
                now,
            )
            introduction.code_count += 1
            introduction.try_count = 0
            self._mail_code(session, introduction, person, now)

    async def confirm(self, token: SecretToken | None, code: str, *, network: str) -> Begun:
        """From a right code to an intake that its guest can send with.

        1. What was typed could be a code, and is not too old. The try is counted before anything is compared, in one statement
           that refuses beyond the limit, and committed whatever the outcome. Tries are also counted by network.
        2. The keyed hashes are compared in constant time. Raises `CodeIncorrect` and its sisters.
        3. The introduction is used up: of two browsers with the same code one goes on.
        4. Transfer, guest and link are made; the link is mailed, and this browser gets a grant of its own.
        """
        digits = "".join(c for c in code if c.isdigit())
        now = self._clock()
        # 1.
        async with self._database.work() as session:
            introduction = await self._live(session, token)
            if len(digits) != CODE_DIGITS:
                raise CodeIncomplete
            await count_try(session, [Limit("intake-code", network, _WRONG_CODES_PER_NETWORK, _HOUR)], now)
            if now >= introduction.code_sent_at + MAILED_CODE_LIFETIME:
                raise CodeExpired
            tries = await session.scalar(
                update(Introduction)
                .where(Introduction.digest == introduction.digest, Introduction.try_count < TRIES_PER_MAILED_CODE)
                .values(try_count=Introduction.try_count + 1)
                .returning(Introduction.try_count)
                .execution_options(synchronize_session=False)
            )
            if tries is None:
                raise CodeTriesExhausted
            is_right = self._keys.is_code(_challenge_of(introduction.digest), digits, introduction.code_hash)
            if not is_right:
                record(session, EventTag.CODE_FAILED, Subject(actor=ActorKind.STRANGER), now, method="mail")
        # 2.
        if not is_right:
            left = TRIES_PER_MAILED_CODE - tries
            raise CodeIncorrect(tries_left=left) if left else CodeTriesExhausted()
        person, department_id = await self._checked(self._typed(introduction))
        async with self._database.work() as session:
            # 3.
            used = await session.scalar(
                delete(Introduction).where(Introduction.digest == introduction.digest).returning(Introduction.digest)
            )
            if used is None:
                raise IntakeOver
            await count_try(session, [Limit("intake-opened", person.email.comparable, _OPENED_PER_ADDRESS, _DAY)], now)
            await self._require_few_unfinished(session, person)
            # 4.
            return await self._open(session, introduction, person, department_id, now)

    async def forget_old(self) -> None:
        """Drop introductions that are of no use any more. Part of the sweep."""
        now = self._clock()
        async with self._database.work() as session:
            await session.execute(delete(Introduction).where(Introduction.created_at <= now - INTRODUCTION_LIFETIME))
            await self._proving.forget_old(session, now)

    async def _require_few_unfinished(self, session: AsyncSession, person: Person) -> None:
        """Raise `TooManyUnfinished` for a mailbox with several intakes in which nothing was ever sent: each may fill a quota."""
        now = self._clock()
        answer = aliased(Transfer)
        count = await session.scalar(
            select(func.count())
            .select_from(Transfer)
            .join(Recipient, Recipient.transfer_id == Transfer.id)
            .where(
                Transfer.kind == TransferKind.INTAKE,
                Transfer.state == TransferState.SENT,
                Transfer.expires_at > now,
                Recipient.email_index == self._keys.index("email", person.email.comparable),
                ~exists().where(answer.answers_id == Transfer.id, answer.sent_at.is_not(None)),
            )
        )
        if (count or 0) >= _MOST_UNFINISHED:
            raise TooManyUnfinished(limit=_MOST_UNFINISHED)

    async def _open(
        self,
        session: AsyncSession,
        introduction: Introduction,
        person: Person,
        department_id: DepartmentId | None,
        now: datetime,
    ) -> Begun:
        typed = self._typed(introduction)
        transfer = Transfer(
            id=TransferId(new_identifier()),
            kind=TransferKind.INTAKE,
            department_id=department_id,
            state=TransferState.SENT,
            language=introduction.language,
            has_sender_copy=False,  # what staff read is in the answers, which are wrapped for them
            expires_in_days=self._governing.policy.default_expiry_days,
            created_at=now,
            sent_at=now,
            expires_at=now + timedelta(days=self._governing.policy.default_expiry_days),
        )
        key = MessageKey.generate()
        assert transfer.expires_at is not None
        self._keys.seal_for_sending(key, transfer, transfer.expires_at)
        self._keys.seal_text(key, transfer, TransferText.parse(subject=typed.subject, reference=typed.reference, note=""))
        session.add(transfer)
        await session.flush()
        intake = Intake(transfer_id=transfer.id, email_confirmed_at=now)
        if department_id is None:
            colleague = EmailAddress.parse(typed.colleague)
            intake.sealed_colleague = self._keys.seal_intake_colleague(str(colleague), transfer.id)
        guest = Recipient(
            id=RecipientId(new_identifier()),
            transfer_id=transfer.id,
            position=0,
            method=VerificationMethod.LINK,
            email_index=self._keys.index("email", person.email.comparable),
            opened_at=now,
        )
        guest.sealed_person = self._keys.seal_person(person, guest.id)
        session.add_all([intake, guest])
        await session.flush()
        addressee = await self._presenting.sender_of(session, transfer)
        link = self._sending.invite(session, Purpose.INTAKE_OPENED, addressee, transfer, guest, key)
        cookie = SecretToken.generate()
        grant = Grant(
            digest=cookie.digest,
            link_id=link.id,
            recipient_id=guest.id,
            wrap=self._keys.wrap_for_grant(key, transfer.id, guest.id, cookie),
            created_at=now,
            last_used_at=now,
            verified_at=now,
        )
        await session.flush()
        session.add(grant)
        record(session, EventTag.INTAKE_OPENED, RecipientActor(guest, transfer, grant, cookie).subject(), now)
        return Begun(link.id, cookie)

    async def _checked(self, typed: TypedIntroduction) -> tuple[Person, DepartmentId | None]:
        """Who it is, and for which department; none means for the colleague. Raises `FormRefused`."""
        refused: dict[str, Refusal] = {}
        addressable = await self.addressable()
        department_id = next((each.id for each in addressable if each.id == typed.to), None)
        if typed.to and department_id is None:
            # Where no department is left there is nothing to choose from, and only an employee can be written to.
            refused["to" if addressable else "colleague"] = AddresseeMissing()
        if not typed.to:
            try:
                self._require_colleague(typed.colleague)
            except Refusal as refusal:
                refused["colleague"] = refusal
        try:
            rows = [TypedRecipient(typed.name, typed.email, typed.mobile, VerificationMethod.LINK.value)]
            addressees = address(rows, self._governing.policy, is_guest=True)
        except FormRefused as form:
            refused |= {name.removeprefix("recipients.0."): refusal for name, refusal in form.fields.items()}
        try:
            TransferText.parse(subject=typed.subject, reference=typed.reference, note="")
        except FormRefused as form:
            refused |= form.fields
        if refused:
            raise FormRefused(refused)
        return addressees[0].person, department_id

    def _require_colleague(self, typed: str) -> None:
        if not typed.strip():
            raise AddresseeMissing
        if not self._governing.policy.is_staff_address(EmailAddress.parse(typed)):
            raise EmailAddressNotStaff

    def _mail_code(self, session: AsyncSession, introduction: Introduction, person: Person, now: datetime) -> None:
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
        introduction.code_hash = self._keys.code_hash(_challenge_of(introduction.digest), code)
        introduction.code_sent_at = now
        self._notifying.queue_mail(
            session,
            Purpose.INTAKE_CODE,
            person.email,
            introduction.language,
            lifetime=MAILED_CODE_LIFETIME,
            code=code,
            minutes=int(MAILED_CODE_LIFETIME.total_seconds() // 60),
        )

    def _typed(self, introduction: Introduction) -> TypedIntroduction:
        return TypedIntroduction(**json.loads(self._keys.introduction(introduction)))

    async def _live(self, session: AsyncSession, token: SecretToken | None) -> Introduction:
        introduction = await session.get(Introduction, token.digest) if token else None
        if introduction is None or not introduction.is_live(self._clock()):
            raise IntakeOver
        return introduction


def _challenge_of(digest: bytes) -> str:
    """What a mailed code is bound to."""
    return f"introduction/{digest.hex()}"
