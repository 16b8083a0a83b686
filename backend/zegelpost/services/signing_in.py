"""Signing in and out of staff users, by browser and by program."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import delete, func, or_, select, update

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.identifiers import StaffUserId, new_identifier
from zegelpost.model.refusals import SignInIncorrect, TooManyAttempts
from zegelpost.model.secret import SecretToken
from zegelpost.model.staff_user import SIGN_IN_LONGEST, SignIn, SignInAttempt, SignInKind, StaffUser
from zegelpost.services.access import StaffActor, staff_actor
from zegelpost.services.recording import Subject, record

_WINDOW: Final = timedelta(minutes=15)
_ATTEMPTS_PER_ADDRESS: Final = 10
_ATTEMPTS_PER_NETWORK: Final = 100
_SEEN_EVERY: Final = timedelta(minutes=1)  # finer would write to the database at every request
# ASVS 5.0, appendix C: Argon2id with t=2 and at least 19 MiB.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=46 * 1024, parallelism=1)
# Two at once: each takes a core and 46 MiB, and uploads must not stall behind a burst of sign-ins.
_HASHING: Final = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")


@dataclass(frozen=True, slots=True)
class SignedIn:
    token: SecretToken
    expires_at: datetime


def hash_password(password: str) -> str:
    """Argon2id (RFC 9106) with its parameters in the text. Takes tens of milliseconds: run it in a thread."""
    return _HASHER.hash(password)


# Compared against when no account has the address, so that both cases take as long.
_NOBODY: Final = "$argon2id$v=19$m=47104,t=2,p=1$xNoC4zJVb++SZ4u9CgeC7g$5hMTyJNUDOuiaenLQTjfx0W7Vk/HpwfqsCKYroPqGso"


class SigningIn:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def sign_in(self, *, email: str, password: str, network: str, kind: SignInKind) -> SignedIn:
        """Check a password and start a sign-in. Raises `SignInIncorrect` or `TooManyAttempts`.

        1. Refuse when this address or this network has failed too often, before any hashing. What is let through counts as
           failed until it is right, so that many tries at once are not one.
        2. Compare the password, also when there is no such account.
        3. A success forgets the failures of the address.
        """
        now = self._clock()
        address = email.strip().lower()
        attempts = [
            SignInAttempt(key=_attempt_key("address", address), at=now),
            SignInAttempt(key=_attempt_key("network", network), at=now),
        ]
        # 1.
        async with self._database.work() as session:
            for attempt, limit in zip(attempts, (_ATTEMPTS_PER_ADDRESS, _ATTEMPTS_PER_NETWORK), strict=True):
                count = await session.scalar(
                    select(func.count()).where(SignInAttempt.key == attempt.key, SignInAttempt.at > now - _WINDOW)
                )
                if (count or 0) >= limit:
                    raise TooManyAttempts(retry_after_seconds=int(_WINDOW.total_seconds()))
            session.add_all(attempts)
            # PostgreSQL cannot even be asked for text with a NUL in it.
            user = None if "\x00" in address else await session.scalar(select(StaffUser).where(StaffUser.email == address))
        # 2.
        is_right = await is_password(user.password_hash if user else _NOBODY, password)
        # 3.
        if user is None or not is_right or user.is_switched_off:
            async with self._database.work() as session:
                record(session, EventTag.SIGN_IN_FAILED, Subject(actor=ActorKind.STRANGER), now)
            raise SignInIncorrect
        token = SecretToken.generate()
        expires_at = now + SIGN_IN_LONGEST
        async with self._database.work() as session:
            mine = or_(SignInAttempt.key == attempts[0].key, SignInAttempt.id == attempts[1].id)
            await session.execute(delete(SignInAttempt).where(mine))
            session.add(
                SignIn(digest=token.digest, user_id=user.id, kind=kind, created_at=now, last_seen_at=now, expires_at=expires_at)
            )
            record(
                session, EventTag.SIGN_IN_SUCCEEDED, Subject(actor=ActorKind.STAFF, staff_user_id=user.id), now, kind=kind.value
            )
        return SignedIn(token, expires_at)

    async def actor(self, token: SecretToken, kind: SignInKind) -> StaffActor:
        """Who holds the token; keeps the sign-in from running idle. Raises `SignInRequired`."""
        now = self._clock()
        async with self._database.reading() as session:
            actor = await staff_actor(session, token, kind, now)
            sign_in = await session.get_one(SignIn, token.digest)
            is_stale = now - sign_in.last_seen_at > _SEEN_EVERY
        if is_stale:
            async with self._database.work() as session:
                await session.execute(update(SignIn).where(SignIn.digest == token.digest).values(last_seen_at=now))
        return actor

    async def sign_out(self, actor: StaffActor) -> None:
        """End this sign-in; the token is worth nothing from now on, in every web process."""
        async with self._database.work() as session:
            await session.execute(delete(SignIn).where(SignIn.digest == actor.token.digest))
            record(session, EventTag.SIGN_IN_ENDED, actor.subject(), self._clock())

    async def create_account(self, *, email: str, name: str, password: str, is_administrator: bool = False) -> StaffUserId:
        """Add a staff user unless the address has an account already; returns whose it is."""
        async with self._database.reading() as session:
            if known := await session.scalar(select(StaffUser).where(StaffUser.email == email.lower())):
                return known.id
        password_hash = await asyncio.to_thread(hash_password, password)
        async with self._database.work() as session:
            if user := await session.scalar(select(StaffUser).where(StaffUser.email == email.lower())):
                return user.id
            user = StaffUser(
                id=StaffUserId(new_identifier()),
                email=email.lower(),
                name=name,
                password_hash=password_hash,
                is_administrator=is_administrator,
                created_at=self._clock(),
            )
            session.add(user)
            return user.id

    async def forget_old(self) -> None:
        """Remove sign-ins that ended and attempts that no longer count."""
        now = self._clock()
        async with self._database.work() as session:
            await session.execute(delete(SignIn).where(SignIn.expires_at < now))
            await session.execute(delete(SignInAttempt).where(SignInAttempt.at < now - _WINDOW))


def _attempt_key(kind: str, value: str) -> bytes:
    return hashlib.sha256(f"{kind}\x00{value}".encode()).digest()


async def is_password(password_hash: str, password: str) -> bool:
    """Compare in a thread, few at a time."""
    return await asyncio.get_running_loop().run_in_executor(_HASHING, _verify, password_hash, password)


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except VerificationError:
        return False
