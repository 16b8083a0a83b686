"""Proving a second factor: a code of an authenticator app, a recovery code, or a passkey's signature."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import pyotp
import webauthn
from sqlalchemy import delete, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import AuthenticatorTransport, PublicKeyCredentialDescriptor

from zegelpost.model.identifiers import StaffUserId
from zegelpost.model.refusals import PasskeyRefused, SecondFactorIncorrect
from zegelpost.model.second_factor import (
    MOST_FACTORS,
    STEP_SECONDS,
    AuthenticatorApp,
    FactorKind,
    Passkey,
    PasskeyChallenge,
    RecoveryCode,
    plain_code,
)
from zegelpost.model.secret import SecretToken
from zegelpost.model.staff_user import StaffUser
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.limiting_tries import LONGEST_WINDOW, Limit, count_try, forget_tries

CHALLENGE_LONGEST: Final = timedelta(minutes=5)
# Three of a million codes are right at any moment: five tries in a quarter and twenty a day leave a guesser, who must have
# the password already, about one chance in seventeen thousand a day (NIST SP 800-63B-4, section 3.2.2).
_TRIES: Final = 5
_TRIES_A_DAY: Final = 20
# What a hostile answer of a browser can make the library raise: its own, and Python's about shapes and numbers.
MALFORMED: Final = (WebAuthnException, ValueError, TypeError, KeyError, IndexError)


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Who we are to a passkey (WebAuthn 3, section 5.1.2): it signs for this host and origin only."""

    host: str
    origin: str
    name: str


async def has_second_factor(session: AsyncSession, user_id: StaffUserId) -> bool:
    app = exists().where(AuthenticatorApp.user_id == user_id)
    passkey = exists().where(Passkey.user_id == user_id)
    return bool(await session.scalar(select(or_(app, passkey))))


class ProvingSecondFactor:
    """Runs within the caller's unit of work, so that what is used up and what it lets in commit together."""

    def __init__(self, keeping_keys: KeepingKeys, party: RelyingParty) -> None:
        self._keys = keeping_keys
        self._party = party

    async def count_try(self, session: AsyncSession, user: StaffUser, now: datetime) -> None:
        """Count a try, in a unit of work of its own. Raises `TooManyAttempts`."""
        # One at a time for one person: PostgreSQL would otherwise let tries at the same moment not see each other.
        await session.execute(select(StaffUser.id).where(StaffUser.id == user.id).with_for_update())
        await count_try(session, _limits(user.id), now)

    async def require_code(self, session: AsyncSession, user: StaffUser, typed: str, now: datetime) -> FactorKind:
        """Use up a code. Raises `SecondFactorIncorrect` for a wrong one and for one that was used.

        1. Six digits are compared with every app of this person, for this half minute, the one before and the one after.
        2. The step is moved on in one statement: of two who come with the same code, one gets in.
        3. Anything else may be a recovery code, which is crossed off in one statement too.
        """
        code = plain_code(typed)
        # 1.
        for app in await session.scalars(select(AuthenticatorApp).where(AuthenticatorApp.user_id == user.id).limit(MOST_FACTORS)):
            step = matching_step(self._keys.app_secret(app), code, now)
            if step is None:
                continue
            # 2.
            moved = await session.execute(
                update(AuthenticatorApp)
                .where(AuthenticatorApp.id == app.id, AuthenticatorApp.last_step < step)
                .values(last_step=step, used_at=now)
                .returning(AuthenticatorApp.id)
                .execution_options(synchronize_session=False)
            )
            if moved.first() is not None:
                await forget_tries(session, _limits(user.id)[0].key)
                return FactorKind.APP
        # 3.
        crossed_off = await session.execute(
            update(RecoveryCode)
            .where(
                RecoveryCode.digest == self._keys.recovery_code_digest(user.id, code),
                RecoveryCode.user_id == user.id,
                RecoveryCode.used_at.is_(None),
            )
            .values(used_at=now)
            .returning(RecoveryCode.user_id)
            .execution_options(synchronize_session=False)
        )
        if crossed_off.first() is None:
            raise SecondFactorIncorrect
        await forget_tries(session, _limits(user.id)[0].key)
        return FactorKind.RECOVERY_CODE

    async def ask_passkey(self, session: AsyncSession, user: StaffUser, token: SecretToken, now: datetime) -> str:
        """A question that this person's passkeys can answer, as the JSON that browsers take (WebAuthn 3, section 5.5)."""
        passkeys = await session.scalars(select(Passkey).where(Passkey.user_id == user.id).limit(MOST_FACTORS))
        options = webauthn.generate_authentication_options(
            rp_id=self._party.host, allow_credentials=[descriptor(passkey) for passkey in passkeys]
        )
        await keep_challenge(session, token, options.challenge, now)
        return webauthn.options_to_json(options)

    async def require_passkey(
        self, session: AsyncSession, user: StaffUser, challenge: bytes | None, answer: str, now: datetime
    ) -> FactorKind:
        """Check a passkey's answer to what was asked (WebAuthn 3, section 7.2). Raises `PasskeyRefused`."""
        if challenge is None:
            raise PasskeyRefused
        try:
            credential_id = base64url_to_bytes(str(json.loads(answer)["id"]))
        except MALFORMED:
            raise PasskeyRefused from None
        passkey = await session.scalar(
            select(Passkey).where(Passkey.credential_id == credential_id, Passkey.user_id == user.id).with_for_update()
        )
        if passkey is None:
            raise PasskeyRefused
        try:
            verified = webauthn.verify_authentication_response(
                credential=answer,
                expected_challenge=challenge,
                expected_rp_id=self._party.host,
                expected_origin=self._party.origin,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=passkey.use_count,
            )
        except MALFORMED:
            raise PasskeyRefused from None
        passkey.use_count = verified.new_sign_count
        passkey.used_at = now
        await forget_tries(session, _limits(user.id)[0].key)
        return FactorKind.PASSKEY


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """The step of RFC 6238 that `code` belongs to, or nothing. One step of drift either way (section 5.2)."""
    if len(code) != 6 or not (code.isascii() and code.isdecimal()):  # noqa: PLR2004 - digits that apps show
        return None
    totp = pyotp.TOTP(secret)
    current = int(now.timestamp()) // STEP_SECONDS
    matching = [step for step in (current - 1, current, current + 1) if hmac.compare_digest(totp.generate_otp(step), code)]
    return matching[-1] if matching else None


def descriptor(passkey: Passkey) -> PublicKeyCredentialDescriptor:
    """Names a passkey to a browser, with how it was reached before."""
    known = {transport.value for transport in AuthenticatorTransport}
    transports = [AuthenticatorTransport(name) for name in passkey.transports if name in known]
    return PublicKeyCredentialDescriptor(id=passkey.credential_id, transports=transports or None)


async def keep_challenge(session: AsyncSession, token: SecretToken, challenge: bytes, now: datetime) -> None:
    """Remember what this sign-in asked; a new question replaces the one before."""
    await session.execute(delete(PasskeyChallenge).where(PasskeyChallenge.digest == token.digest))
    session.add(PasskeyChallenge(digest=token.digest, challenge=challenge, created_at=now))


async def take_challenge(session: AsyncSession, token: SecretToken, now: datetime) -> bytes | None:
    """The question, which can be answered once; nothing when none was asked, or too long ago.

    In a unit of work of its own, because a wrong answer uses it up too.
    """
    taken = await session.execute(
        delete(PasskeyChallenge)
        .where(PasskeyChallenge.digest == token.digest)
        .returning(PasskeyChallenge.challenge, PasskeyChallenge.created_at)
        .execution_options(synchronize_session=False)
    )
    row = taken.first()
    return row.challenge if row is not None and now - row.created_at < CHALLENGE_LONGEST else None


def _limits(user_id: StaffUserId) -> tuple[Limit, Limit]:
    return Limit("factor", user_id, _TRIES), Limit("factor", user_id, _TRIES_A_DAY, LONGEST_WINDOW)
