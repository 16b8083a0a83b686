"""Signing in and out of staff users, by browser and by program."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.identifiers import SignInId, StaffUserId, new_identifier
from zegelpost.model.identity import Identity
from zegelpost.model.refusals import (
    PasskeyRefused,
    PasswordIncorrect,
    Refusal,
    SecondFactorIncorrect,
    SecondFactorNotSetUp,
    SecondFactorRequired,
    SignInAtProvider,
    SignInIncorrect,
    SignInRequired,
)
from zegelpost.model.second_factor import FactorKind, Passkey, PasskeyChallenge
from zegelpost.model.secret import SecretToken
from zegelpost.model.staff_user import (
    HALF_SIGN_IN_LONGEST,
    SIGN_IN_IDLE,
    SIGN_IN_LONGEST,
    HalfSignIn,
    SignIn,
    SignInAttempt,
    SignInKind,
    StaffUser,
)
from zegelpost.services.access import HalfActor, StaffActor, half_actor, own_sign_in, staff_actor
from zegelpost.services.governing import Governing
from zegelpost.services.hashing_passwords import NOBODY, is_password
from zegelpost.services.limiting_tries import Limit, count_try, forget_old_tries
from zegelpost.services.proving_second_factor import (
    CHALLENGE_LONGEST,
    ProvingSecondFactor,
    has_second_factor,
    take_challenge,
)
from zegelpost.services.recording import Subject, record

_ATTEMPTS_PER_ADDRESS: Final = 10
_ATTEMPTS_PER_NETWORK: Final = 100
_SEEN_EVERY: Final = timedelta(minutes=1)  # finer would write to the database at every request


@dataclass(frozen=True, slots=True)
class SignedIn:
    token: SecretToken
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class HalfSignedIn:
    """The password was right. `has_factor`: one has to be shown now; without, one has to be set up."""

    token: SecretToken
    has_factor: bool


@dataclass(frozen=True, slots=True)
class SignInOverview:
    """One of the places where someone is signed in."""

    id: SignInId
    kind: SignInKind
    created_at: datetime
    last_seen_at: datetime
    is_this_one: bool


def start_sign_in(
    session: AsyncSession, user: StaffUser, kind: SignInKind, now: datetime, *, factor: FactorKind | None
) -> SignedIn:
    """Let a person in, who proved to be who they are: the caller did that, in this unit of work."""
    token = SecretToken.generate()
    expires_at = now + SIGN_IN_LONGEST
    session.add(
        SignIn(
            digest=token.digest,
            id=SignInId(new_identifier()),
            user_id=user.id,
            kind=kind,
            created_at=now,
            last_seen_at=now,
            expires_at=expires_at,
        )
    )
    subject = Subject(actor=ActorKind.STAFF, staff_user_id=user.id)
    record(session, EventTag.SIGN_IN_SUCCEEDED, subject, now, kind=kind.value, factor=factor.value if factor else None)
    return SignedIn(token, expires_at)


async def finish_half(session: AsyncSession, half: HalfActor, factor: FactorKind, now: datetime) -> SignedIn:
    """From half to whole, in a browser. The half token ends: what was worth little never becomes worth much."""
    gone = await session.execute(delete(HalfSignIn).where(HalfSignIn.digest == half.token.digest).returning(HalfSignIn.user_id))
    if gone.first() is None:
        raise SignInRequired
    return start_sign_in(session, half.user, SignInKind.PORTAL, now, factor=factor)


async def end_sign_ins(session: AsyncSession, user_id: StaffUserId, *, but: SecretToken | None = None) -> None:
    """End everything someone has open, halves included; with `but`, all others."""
    mine = delete(SignIn).where(SignIn.user_id == user_id)
    await session.execute(mine.where(SignIn.digest != but.digest) if but else mine)
    await session.execute(delete(HalfSignIn).where(HalfSignIn.user_id == user_id))


class SigningIn:
    def __init__(self, database: Database, proving: ProvingSecondFactor, governing: Governing, clock: Clock) -> None:
        self._database = database
        self._proving = proving
        self._governing = governing
        self._clock = clock

    async def sign_in(
        self, *, email: str, password: str, network: str, kind: SignInKind, second_factor: str | None = None
    ) -> SignedIn:
        """Sign in with everything at once, as programs do.

        Raises `SignInIncorrect` or `TooManyAttempts`; and once the password is right `SecondFactorRequired`,
        `SecondFactorIncorrect`, `SecondFactorNotSetUp` or `SignInAtProvider`.
        """
        user = await self._owner_of_password(email, password, network)
        async with self._database.reading() as session:
            has_factor = await has_second_factor(session, user.id)
        if not has_factor:
            if self._governing.policy.requires_second_factor:
                raise SecondFactorNotSetUp
            async with self._database.work() as session:
                await _require_unchanged(session, user)
                return start_sign_in(session, user, kind, self._clock(), factor=None)
        if not second_factor:
            raise SecondFactorRequired
        await self._count_factor_try(user)
        try:
            async with self._database.work() as session:
                await _require_unchanged(session, user)
                factor = await self._proving.require_code(session, user, second_factor, self._clock())
                return start_sign_in(session, user, kind, self._clock(), factor=factor)
        except SecondFactorIncorrect as refusal:
            raise await self._factor_refused(user, refusal) from None

    async def begin(self, *, email: str, password: str, network: str) -> SignedIn | HalfSignedIn:
        """The first step in a browser. Raises `SignInIncorrect`, `SignInAtProvider` or `TooManyAttempts`."""
        user = await self._owner_of_password(email, password, network)
        async with self._database.work() as session:
            return await self.after_password(session, user)

    async def after_password(self, session: AsyncSession, user: StaffUser) -> SignedIn | HalfSignedIn:
        """Whole when nothing more is asked of this person, else half; for whoever just proved to know the password."""
        now = self._clock()
        await _require_unchanged(session, user)
        has_factor = await has_second_factor(session, user.id)
        if not has_factor and not self._governing.policy.requires_second_factor:
            return start_sign_in(session, user, SignInKind.PORTAL, now, factor=None)
        token = SecretToken.generate()
        session.add(HalfSignIn(digest=token.digest, user_id=user.id, created_at=now))
        return HalfSignedIn(token, has_factor)

    # The second step

    async def half_actor(self, token: SecretToken) -> tuple[HalfActor, bool]:
        """Who is halfway, and whether they have a second factor. Raises `SignInRequired`."""
        async with self._database.reading() as session:
            half = await half_actor(session, token, self._clock())
            return half, await has_second_factor(session, half.user.id)

    async def has_passkey(self, half: HalfActor) -> bool:
        """Whether there is any use in asking for one."""
        async with self._database.reading() as session:
            return await session.scalar(select(Passkey.id).where(Passkey.user_id == half.user.id).limit(1)) is not None

    async def ask_passkey(self, half: HalfActor) -> str:
        """What the browser has to have signed, as JSON."""
        async with self._database.work() as session:
            return await self._proving.ask_passkey(session, half.user, half.token, self._clock())

    async def finish_with_code(self, half: HalfActor, typed: str) -> SignedIn:
        """Raises `SecondFactorIncorrect`, `TooManyAttempts` or `SignInRequired`."""
        await self._count_factor_try(half.user)
        try:
            async with self._database.work() as session:
                factor = await self._proving.require_code(session, half.user, typed, self._clock())
                return await finish_half(session, half, factor, self._clock())
        except SecondFactorIncorrect as refusal:
            raise await self._factor_refused(half.user, refusal) from None

    async def finish_with_passkey(self, half: HalfActor, answer: str) -> SignedIn:
        """Raises `PasskeyRefused`, `TooManyAttempts` or `SignInRequired`."""
        await self._count_factor_try(half.user)
        async with self._database.work() as session:
            challenge = await take_challenge(session, half.token, self._clock())
        try:
            async with self._database.work() as session:
                factor = await self._proving.require_passkey(session, half.user, challenge, answer, self._clock())
                return await finish_half(session, half, factor, self._clock())
        except PasskeyRefused as refusal:
            raise await self._factor_refused(half.user, refusal) from None

    # Being signed in

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

    async def require_password(self, actor: StaffActor, typed: str) -> None:
        """Ask again who it is, before something that matters (ASVS 5.0, 7.5.1). Raises `PasswordIncorrect`, `TooManyAttempts`."""
        async with self._database.work() as session:
            [attempt] = await count_try(session, [_per_address(actor.user.email)], self._clock())
        if not await is_password(actor.user.password_hash, typed):
            raise PasswordIncorrect
        async with self._database.work() as session:
            await session.execute(delete(SignInAttempt).where(SignInAttempt.id == attempt.id))

    async def sign_ins(self, actor: StaffActor) -> list[SignInOverview]:
        """Where this person is signed in, latest first."""
        now = self._clock()
        async with self._database.reading() as session:
            rows = await session.scalars(
                select(SignIn)
                .where(SignIn.user_id == actor.user.id, SignIn.expires_at > now, SignIn.last_seen_at > now - SIGN_IN_IDLE)
                .order_by(SignIn.last_seen_at.desc(), SignIn.created_at.desc())
            )
            return [
                SignInOverview(row.id, row.kind, row.created_at, row.last_seen_at, row.digest == actor.token.digest)
                for row in rows
            ]

    async def sign_out(self, actor: StaffActor) -> None:
        """End this sign-in; the token is worth nothing from now on, in every web process."""
        async with self._database.work() as session:
            await session.execute(delete(SignIn).where(SignIn.digest == actor.token.digest))
            record(session, EventTag.SIGN_IN_ENDED, actor.subject(), self._clock())

    async def end(self, actor: StaffActor, sign_in_id: str) -> None:
        """End one of one's own sign-ins. Raises `NotFound`."""
        async with self._database.work() as session:
            await session.delete(await own_sign_in(session, actor, sign_in_id))
            record(session, EventTag.SIGN_IN_ENDED, actor.subject(), self._clock())

    async def end_all(self, actor: StaffActor) -> None:
        """Sign out everywhere, here too."""
        async with self._database.work() as session:
            await end_sign_ins(session, actor.user.id)
            record(session, EventTag.SIGN_IN_ALL_ENDED, actor.subject(), self._clock())

    async def forget_old(self) -> None:
        """Remove sign-ins that ended, questions nobody answered and attempts that no longer count."""
        now = self._clock()
        async with self._database.work() as session:
            await session.execute(delete(SignIn).where(SignIn.expires_at < now))
            await session.execute(delete(HalfSignIn).where(HalfSignIn.created_at <= now - HALF_SIGN_IN_LONGEST))
            await session.execute(delete(PasskeyChallenge).where(PasskeyChallenge.created_at <= now - CHALLENGE_LONGEST))
            await forget_old_tries(session, now)

    async def _owner_of_password(self, email: str, password: str, network: str) -> StaffUser:
        """Check a password.

        1. Refuse when this address or this network has failed too often, before any hashing. What is let through counts as
           failed until it is right, so that many tries at once are not one.
        2. Compare the password, also when there is no such account.
        3. A success forgets the failures of the address.
        4. Whoever is joined to the sign-in provider signs in there: a password would outlive what its directory says of them.
        """
        address = email.strip().lower()
        # 1.
        async with self._database.work() as session:
            limits = [_per_address(address), Limit("network", network, _ATTEMPTS_PER_NETWORK)]
            of_address, of_network = await count_try(session, limits, self._clock())
            # PostgreSQL cannot even be asked for text with a NUL in it.
            user = None if "\x00" in address else await session.scalar(select(StaffUser).where(StaffUser.email == address))
        # 2.
        is_right = await is_password(user.password_hash if user else NOBODY, password)
        if user is None or not is_right or user.is_switched_off:
            async with self._database.work() as session:
                record(session, EventTag.SIGN_IN_FAILED, Subject(actor=ActorKind.STRANGER), self._clock())
            raise SignInIncorrect
        # 3.
        async with self._database.work() as session:
            mine = or_(SignInAttempt.key == of_address.key, SignInAttempt.id == of_network.id)
            await session.execute(delete(SignInAttempt).where(mine))
            # 4.
            is_joined = await session.scalar(select(Identity.user_id).where(Identity.user_id == user.id)) is not None
        if is_joined and self._governing.policy.has_sign_in_provider:
            raise SignInAtProvider
        return user

    async def _count_factor_try(self, user: StaffUser) -> None:
        async with self._database.work() as session:
            await self._proving.count_try(session, user, self._clock())

    async def _factor_refused(self, user: StaffUser, refusal: Refusal) -> Refusal:
        async with self._database.work() as session:
            subject = Subject(actor=ActorKind.STRANGER, staff_user_id=user.id)
            record(session, EventTag.SECOND_FACTOR_FAILED, subject, self._clock())
        return refusal


async def _require_unchanged(session: AsyncSession, user: StaffUser) -> None:
    """Nobody gets in with a password that was replaced while it was being compared. Raises `SignInIncorrect`."""
    current = select(StaffUser.password_hash).where(StaffUser.id == user.id).with_for_update()
    if await session.scalar(current) != user.password_hash:
        raise SignInIncorrect


def _per_address(address: str) -> Limit:
    return Limit("address", address, _ATTEMPTS_PER_ADDRESS)
