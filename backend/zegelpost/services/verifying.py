"""Verifying: from a link to a grant. The link secret is the key, the code is the gate; both are needed, in that order."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.identifiers import ChallengeId, new_identifier
from zegelpost.model.link import LinkSecret
from zegelpost.model.outgoing import CodeState, Outgoing, Purpose
from zegelpost.model.recipient import (
    CODE_DIGITS,
    CODE_LIFETIME,
    TRIES_PER_CODE,
    WRONG_CODES_PER_LINK,
    Challenge,
    Grant,
    Recipient,
    VerificationMethod,
)
from zegelpost.model.refusals import (
    AccessCodeIncorrect,
    CodeExpired,
    CodeIncomplete,
    CodeIncorrect,
    CodeNotSent,
    CodeTriesExhausted,
    LinkLocked,
    LinkReplaced,
    LinkWrong,
    Refusal,
    VerificationMethodNotAllowed,
)
from zegelpost.model.secret import SecretToken
from zegelpost.model.transfer import TransferKind
from zegelpost.services.access import RecipientActor, link_holder, link_of
from zegelpost.services.forgetting_devices import forget_all
from zegelpost.services.governing import Governing
from zegelpost.services.hashing_passwords import is_password
from zegelpost.services.keeping_contacts import number_worked
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.limiting_codes import count_code
from zegelpost.services.notifying import Notifying
from zegelpost.services.presenting import Correspondent, Presenting
from zegelpost.services.recording import Subject, record
from zegelpost.services.remembering import METHOD, DeviceCookie, Remembering

_HELP_EVERY: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What someone who holds the link, and nothing more, may see. `is_open`: they were let in already."""

    is_open: bool
    method: VerificationMethod
    last_digits: str
    hint: str = field(repr=False)  # about the access code, of the sender
    sender_name: str
    sender_email: str
    language: str
    is_code_waiting: bool
    code_state: CodeState | None
    may_remember: bool
    code_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Recognised:
    """A grant that was just made, and what kind of transfer it is for."""

    cookie: SecretToken = field(repr=False)
    kind: TransferKind
    is_verified: bool


class Verifying:
    def __init__(
        self,
        database: Database,
        keeping_keys: KeepingKeys,
        notifying: Notifying,
        presenting: Presenting,
        remembering: Remembering,
        governing: Governing,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._notifying = notifying
        self._presenting = presenting
        self._remembering = remembering
        self._governing = governing
        self._clock = clock

    async def recognise(self, link_id: str, typed_secret: str, devices: Sequence[SecretToken] = ()) -> Recognised:
        """Turn the link's secret into a grant that still waits for the code, unless the link alone is enough.

        `devices`: what this browser keeps from codes that were entered on it before.

        1. The secret is this link's. Nothing else is told to whoever does not have it.
        2. The link is the current one, and transfer and recipient are open.
        3. The message key is unwrapped with the secret and wrapped again under the cookie. Neither is stored.
        4. A device that the recipient had remembered stands for the code.
        """
        now = self._clock()
        secret = LinkSecret.parse(typed_secret)
        async with self._database.work() as session:
            # 1.
            link, recipient, transfer = await link_of(session, link_id)
            self._keys.require_secret(link, secret)
            # 2.
            if link.replaced_at is not None:
                raise LinkReplaced
            transfer.require_open(now)
            recipient.require_open()
            # 3.
            key = self._keys.link_key(transfer.id, link, secret)
            cookie = SecretToken.generate()
            grant = Grant(
                digest=cookie.digest,
                link_id=link.id,
                recipient_id=recipient.id,
                wrap=self._keys.wrap_for_grant(key, transfer.id, recipient.id, cookie),
                created_at=now,
                last_used_at=now,
            )
            if recipient.method == VerificationMethod.LINK:
                grant.verified_at = now
                recipient.opened_at = recipient.opened_at or now
            session.add(grant)
            actor = RecipientActor(recipient, transfer, grant, cookie)
            record(session, EventTag.LINK_RECOGNISED, actor.subject(), now)
            # 4.
            if devices and await self._remembering.recognises(session, recipient, devices, now):
                await self._open(session, actor, now)
                record(session, EventTag.DEVICE_RECOGNISED, actor.subject(), now, method=METHOD)
        return Recognised(cookie, transfer.kind, is_verified=grant.verified_at is not None)

    async def door(self, link_id: str, cookie: SecretToken | None) -> Door:
        """What to show before the code was right. Raises `VerificationRequired` when the link has to be opened again."""
        now = self._clock()
        async with self._database.reading() as session:
            actor = await link_holder(session, link_id, cookie, now)
            sender = await self._presenting.sender_of(session, actor.transfer)
            person = self._keys.person(actor.recipient)
            key = self._keys.grant_key(actor.transfer.id, actor.grant, actor.cookie)
            challenge = await _current_challenge(session, actor.recipient, now)
            outgoing: Outgoing | None = None
            if challenge is not None:
                outgoing = await session.scalar(select(Outgoing).where(Outgoing.challenge_id == challenge.id))
            return Door(
                is_open=actor.grant.verified_at is not None,
                method=actor.recipient.method,
                last_digits=person.mobile.last_digits if person.mobile else "",
                hint=self._keys.hint(key, actor.recipient),
                sender_name=sender.name,
                sender_email=sender.email,
                language=actor.transfer.language,
                is_code_waiting=challenge is not None,
                code_state=outgoing.code_state if outgoing else None,
                code_expires_at=challenge.expires_at if challenge else None,
                may_remember=self._remembering.may_remember(actor.recipient),
            )

    async def send_code(self, link_id: str, cookie: SecretToken | None, language: str, *, network: str) -> None:
        """Make a code and put its SMS or call in the outbox. Earlier codes of this recipient stop working.

        Raises `CodeAskedTooSoon` and `CodeLimitReached`, see `limiting_codes.py`; `network` is where the asker is.
        """
        now = self._clock()
        async with self._database.work() as session:
            actor = await link_holder(session, link_id, cookie, now)
            recipient = await session.get_one(Recipient, actor.recipient.id, with_for_update=True)
            person = self._keys.person(recipient)
            if not recipient.method.needs_number or person.mobile is None or recipient.number_index is None:
                raise VerificationMethodNotAllowed
            await count_code(session, self._notifying, self._governing.policy, actor.transfer, recipient, network, now)
            await session.execute(
                update(Challenge)
                .where(Challenge.recipient_id == recipient.id, Challenge.replaced_at.is_(None))
                .values(replaced_at=now)
            )
            await self._notifying.withdraw(session, recipient, Purpose.CODE)
            challenge_id = ChallengeId(new_identifier())
            code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
            session.add(
                Challenge(
                    id=challenge_id,
                    recipient_id=recipient.id,
                    number_index=recipient.number_index,
                    code_hash=self._keys.code_hash(challenge_id, code),
                    try_count=0,
                    created_at=now,
                    expires_at=now + CODE_LIFETIME,
                )
            )
            await session.flush()
            self._notifying.queue_code(
                session,
                challenge_id,
                person.mobile,
                code,
                language,
                transfer=actor.transfer,
                recipient=recipient,
                useless_after=now + CODE_LIFETIME,
            )
            record(session, EventTag.CODE_REQUESTED, actor.subject(), now, method=recipient.method.value)

    async def verify_code(
        self,
        link_id: str,
        cookie: SecretToken | None,
        typed: str,
        *,
        remembers: bool = False,
        devices: Sequence[SecretToken] = (),
    ) -> DeviceCookie | None:
        """Check a code; the grant is good from now on. Raises `CodeIncorrect` and its sisters.

        `remembers`: the recipient asks to have this device remembered, which only a right code can do; what it is to keep
        comes back. `devices` as in `recognise`.

        1. The code is current, not used and not too old, and what was typed could be one: a finger that slipped costs no try.
        2. The try is counted before anything is compared, in one statement that refuses beyond the limit, and committed
           whatever the outcome: neither parallel tries nor a crash gives a free one.
        3. The keyed hashes are compared in constant time; a wrong code also counts against the link's life.
        4. The challenge is used up and the grant verified together.
        """
        digits = "".join(c for c in typed if c.isdigit())
        now = self._clock()
        refusal: Refusal | None = None
        remembered: DeviceCookie | None = None
        async with self._database.work() as session:
            actor = await link_holder(session, link_id, cookie, now)
            # 1.
            challenge = await session.scalar(
                select(Challenge)
                .where(Challenge.recipient_id == actor.recipient.id, Challenge.replaced_at.is_(None))
                .order_by(Challenge.created_at.desc())
                .limit(1)
            )
            if challenge is None or challenge.used_at is not None:
                raise CodeNotSent
            if now >= challenge.expires_at:
                raise CodeExpired
            if len(digits) != CODE_DIGITS:
                raise CodeIncomplete
            # 2.
            tries = await session.scalar(
                update(Challenge)
                .where(Challenge.id == challenge.id, Challenge.try_count < TRIES_PER_CODE, Challenge.used_at.is_(None))
                .values(try_count=Challenge.try_count + 1)
                .returning(Challenge.try_count)
                .execution_options(synchronize_session=False)
            )
            if tries is None:
                raise CodeTriesExhausted
            # 3.
            if not self._keys.is_code(challenge.id, digits, challenge.code_hash):
                count = await self._count_try(session, actor)
                is_locked = count is None or await self._record_wrong(session, actor, count, now)
                left = TRIES_PER_CODE - tries
                if not left:
                    await forget_all(session, actor.recipient, actor.subject(), now, reason="too_many_wrong")
                refusal = LinkLocked() if is_locked else CodeIncorrect(tries_left=left) if left else CodeTriesExhausted()
            else:
                # 4.
                await session.execute(update(Challenge).where(Challenge.id == challenge.id).values(used_at=now))
                await self._let_in(session, actor, now)
                if remembers:
                    remembered = await self._remembering.remember(session, actor, devices, now)
        if refusal is not None:
            raise refusal
        return remembered

    async def verify_access_code(self, link_id: str, cookie: SecretToken | None, typed: str) -> None:
        """Check a code that was agreed elsewhere. The same fifteen tries in the link's life, and nothing typed is no try.

        1. The try is counted before the slow comparison, which runs outside the transaction, and refused beyond the limit:
           however many come at once, no more than fifteen are compared.
        2. A wrong one is written down; the fifteenth locks the link.
        3. A right one is given back, and the grant is verified.
        """
        now = self._clock()
        # 1.
        async with self._database.work() as session:
            actor = await link_holder(session, link_id, cookie, now)
            if actor.recipient.method != VerificationMethod.ACCESS_CODE or actor.recipient.access_code_hash is None:
                raise VerificationMethodNotAllowed
            if not typed.strip():
                raise CodeIncomplete
            count = await self._count_try(session, actor)
        if count is None:
            raise LinkLocked
        if not await is_password(actor.recipient.access_code_hash, typed.strip()):
            # 2.
            async with self._database.work() as session:
                is_locked = await self._record_wrong(session, actor, count, now)
            raise LinkLocked if is_locked else AccessCodeIncorrect(tries_left=WRONG_CODES_PER_LINK - count)
        # 3.
        async with self._database.work() as session:
            actor = await link_holder(session, link_id, cookie, now)
            await session.execute(
                update(Recipient)
                .where(Recipient.id == actor.recipient.id)
                .values(wrong_code_count=Recipient.wrong_code_count - 1)
                .execution_options(synchronize_session=False)
            )
            await self._let_in(session, actor, now)

    async def ask_help(self, link_id: str) -> None:
        """Tell the sender that this recipient cannot get in. At most once an hour; the answer is always the same."""
        now = self._clock()
        async with self._database.work() as session:
            try:
                _, recipient, transfer = await link_of(session, link_id)
            except LinkWrong:
                return
            asked = await session.scalar(
                update(Recipient)
                .where(
                    Recipient.id == recipient.id,
                    (Recipient.help_asked_at.is_(None)) | (Recipient.help_asked_at <= now - _HELP_EVERY),
                )
                .values(help_asked_at=now)
                .returning(Recipient.id)
                .execution_options(synchronize_session=False)
            )
            if asked is None:
                return
            await self._notifying.queue_to_sender(session, Purpose.HELP_ASKED, transfer=transfer, recipient=recipient)
            record(
                session,
                EventTag.RECIPIENT_HELP_ASKED,
                Subject(actor=ActorKind.STRANGER, transfer_id=transfer.id, recipient_id=recipient.id),
                now,
            )

    async def contact(self, link_id: str) -> Correspondent | None:
        """Whom to call about this link; nothing for a link we do not know."""
        async with self._database.reading() as session:
            try:
                _, _, transfer = await link_of(session, link_id)
            except LinkWrong:
                return None
            return await self._presenting.sender_of(session, transfer)

    async def leave(self, cookie: SecretToken) -> None:
        """End the grant on this device."""
        async with self._database.work() as session:
            if (grant := await session.get(Grant, cookie.digest)) is not None:
                await session.delete(grant)

    async def _let_in(self, session: AsyncSession, actor: RecipientActor, now: datetime) -> None:
        await self._open(session, actor, now)
        if actor.recipient.method == VerificationMethod.SMS:
            await number_worked(session, actor.transfer, actor.recipient, now)
        record(session, EventTag.CODE_VERIFIED, actor.subject(), now, method=actor.recipient.method.value)

    async def _open(self, session: AsyncSession, actor: RecipientActor, now: datetime) -> None:
        actor.grant.verified_at = now
        actor.grant.last_used_at = now
        if actor.recipient.opened_at is None:
            await session.execute(
                update(Recipient)
                .where(Recipient.id == actor.recipient.id)
                .values(opened_at=now)
                .execution_options(synchronize_session=False)
            )

    async def _count_try(self, session: AsyncSession, actor: RecipientActor) -> int | None:
        """Count against the link's life, in one statement; nothing when there are no tries left."""
        count: int | None = await session.scalar(
            update(Recipient)
            .where(
                Recipient.id == actor.recipient.id,
                Recipient.locked_at.is_(None),
                Recipient.wrong_code_count < WRONG_CODES_PER_LINK,
            )
            .values(wrong_code_count=Recipient.wrong_code_count + 1)
            .returning(Recipient.wrong_code_count)
            .execution_options(synchronize_session=False)
        )
        return count

    async def _record_wrong(self, session: AsyncSession, actor: RecipientActor, count: int, now: datetime) -> bool:
        """Write down the `count`th wrong code; the last one locks the link and tells the sender. Returns whether it did."""
        record(session, EventTag.CODE_FAILED, actor.subject(), now, method=actor.recipient.method.value)
        if count < WRONG_CODES_PER_LINK:
            return False
        await session.execute(
            update(Recipient)
            .where(Recipient.id == actor.recipient.id)
            .values(locked_at=now)
            .execution_options(synchronize_session=False)
        )
        await self._notifying.queue_to_sender(session, Purpose.LINK_LOCKED, transfer=actor.transfer, recipient=actor.recipient)
        record(session, EventTag.LINK_LOCKED, actor.subject(), now)
        await forget_all(session, actor.recipient, actor.subject(), now, reason="too_many_wrong")
        return True


async def _current_challenge(session: AsyncSession, recipient: Recipient, now: datetime) -> Challenge | None:
    return await session.scalar(
        select(Challenge).where(
            Challenge.recipient_id == recipient.id,
            Challenge.replaced_at.is_(None),
            Challenge.used_at.is_(None),
            Challenge.expires_at > now,
            Challenge.try_count < TRIES_PER_CODE,
        )
    )
