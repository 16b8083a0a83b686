"""Signing in at the organisation's own sign-in provider: there, back, and whose account that is.

An identity is joined to an account once, and found by issuer and subject ever after. An e-mail address never finds an account:
whoever can write one into some directory would get in as anyone (the takeover known as nOAuth).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.identifiers import StaffUserId, new_identifier
from zegelpost.model.identity import JOINING_LONGEST, VISIT_LONGEST, Identity, Joining, ProviderVisit
from zegelpost.model.refusals import (
    AccountSwitchedOff,
    IdentityNotStaff,
    IdentityOver,
    IdentityTaken,
    IdentityUnknown,
    Refusal,
)
from zegelpost.model.second_factor import FactorKind
from zegelpost.model.secret import SecretToken
from zegelpost.model.staff_user import SignIn, SignInAttempt, SignInKind, StaffUser
from zegelpost.ports import IdentityError, IdentityProvider, ProvenIdentity
from zegelpost.sealing.text import open_text, seal_text
from zegelpost.services.access import StaffActor
from zegelpost.services.changing_password import tell_owner
from zegelpost.services.composing import Organisation
from zegelpost.services.governing import Governing
from zegelpost.services.hashing_passwords import hash_password
from zegelpost.services.limiting_tries import Limit, count_try
from zegelpost.services.notifying import Notifying
from zegelpost.services.recording import Subject, record
from zegelpost.services.signing_in import SignedIn, SigningIn, start_sign_in

_VISITS_PER_NETWORK: Final = 300  # an office that starts on one morning comes from one address
_TOKENS_PER_NETWORK: Final = 300  # that prove nothing
_LONGEST_WANTED: Final = 500
_KEPT: Final = "provider_visit/kept"
_LOG: Final = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ToBeJoined:
    """Proven at the provider, but the address has an account already: its owner has to sign in once more in the old way."""

    token: SecretToken


@dataclass(frozen=True, slots=True)
class JoiningOverview:
    """What is to be joined. `needs_password`: the sign-in of whoever looks is older than the proof at the provider."""

    email: str
    wanted: str
    needs_password: bool


class Identifying:
    def __init__(
        self,
        database: Database,
        provider: IdentityProvider,
        signing_in: SigningIn,
        notifying: Notifying,
        governing: Governing,
        organisation: Organisation,
        clock: Clock,
    ) -> None:
        self._database = database
        self._provider = provider
        self._signing_in = signing_in
        self._notifying = notifying
        self._organisation = organisation
        self._governing = governing
        self._clock = clock

    async def depart(self, *, wanted: str, network: str) -> tuple[SecretToken, str]:
        """The token for this browser alone, and where to send it. Raises `TooManyAttempts`, `IdentityError`."""
        async with self._database.work() as session:
            await count_try(session, [Limit("provider-visit", network, _VISITS_PER_NETWORK)], self._clock())
        departure = await self._provider.begin()
        token = SecretToken.generate()
        async with self._database.work() as session:
            session.add(
                ProviderVisit(
                    digest=token.digest,
                    sealed_kept=seal_text(token.key_material[:32], _KEPT, departure.kept),
                    wanted=wanted if len(wanted) <= _LONGEST_WANTED else "/",
                    created_at=self._clock(),
                )
            )
        return token, departure.url

    async def arrive(self, token: SecretToken, answer: Mapping[str, str], *, language: str) -> tuple[SignedIn | ToBeJoined, str]:
        """Judge what a browser brings from the provider; with it, where it was going.

        1. The browser was sent there by us, a short while ago; it comes back once. Raises `IdentityOver`.
        2. The provider's answer proves who it is. Raises `IdentityRefused`, `IdentityError`.
        3. Who is known by issuer and subject is signed in, unless switched off. Raises `AccountSwitchedOff`.
        4. Who is not gets an account, if the address is of the organisation (`IdentityNotStaff`) and has none.
        5. If it has one, whose it is has to be shown first.
        """
        # 1.
        now = self._clock()
        async with self._database.work() as session:
            visit = await session.get(ProviderVisit, token.digest)
            gone = await session.execute(
                delete(ProviderVisit).where(ProviderVisit.digest == token.digest).returning(ProviderVisit.digest)
            )
            is_expected = gone.first() is not None and visit is not None and visit.is_live(now)
        if not is_expected or visit is None:
            raise IdentityOver
        # 2.
        try:
            proven = await self._provider.finish(open_text(token.key_material[:32], _KEPT, visit.sealed_kept), answer)
        except Refusal:
            async with self._database.work() as session:
                record(session, EventTag.SIGN_IN_FAILED, Subject(actor=ActorKind.STRANGER), now)
            raise
        # Two browsers that come for the first time at once: of the second, the account is there the second time.
        try:
            return await self._let_in(proven, visit.wanted, language), visit.wanted
        except IntegrityError:
            return await self._let_in(proven, visit.wanted, language), visit.wanted

    async def take_token(self, access_token: str, *, network: str) -> SignedIn:
        """A sign-in for the add-in's pane, for whoever its access token at the provider proves it to be.

        1. Those who try are limited by network (`TooManyAttempts`); what is let through counts until it turns out right.
        2. The token proves who it is. Raises `IdentityRefused`, `IdentityError`.
        3. An account is joined to exactly that person (`IdentityUnknown`: nothing is opened or joined here, where nobody
           sees it), and not switched off (`AccountSwitchedOff`).
        """
        # 1.
        now = self._clock()
        async with self._database.work() as session:
            [attempt] = await count_try(session, [Limit("provider-token", network, _TOKENS_PER_NETWORK)], now)
        # 2.
        try:
            proven = await self._provider.check(access_token)
        except Refusal:
            async with self._database.work() as session:
                record(session, EventTag.SIGN_IN_FAILED, Subject(actor=ActorKind.STRANGER), now)
            raise
        # 3.
        async with self._database.work() as session:
            await session.execute(delete(SignInAttempt).where(SignInAttempt.id == attempt.id))
            user = await _owner_of(session, proven)
            if user is not None and not user.is_switched_off:
                return start_sign_in(session, user, SignInKind.API, now, factor=FactorKind.PROVIDER)
        raise IdentityUnknown if user is None else AccountSwitchedOff

    async def joining(self, token: SecretToken, actor: StaffActor | None) -> JoiningOverview:
        """What waits to be joined in this browser. Raises `IdentityOver`."""
        async with self._database.reading() as session:
            joining = await self._live_joining(session, token)
            needs_password = await self._is_older(session, actor, joining) if actor else False
            return JoiningOverview(joining.email, joining.wanted, needs_password)

    async def join(self, token: SecretToken, actor: StaffActor, password: str) -> str:
        """Join the identity to the account of whoever is signed in; returns where they were going.

        1. Whoever left a signed-in browser alone must not lose the account to a passer-by: a sign-in from before the proof
           at the provider has to give the password again. Raises `PasswordIncorrect`, `TooManyAttempts`.
        2. Neither is joined to another. Raises `IdentityTaken`.
        """
        # 1.
        async with self._database.reading() as session:
            joining = await self._live_joining(session, token)
            needs_password = await self._is_older(session, actor, joining)
        if needs_password:
            await self._signing_in.require_password(actor, password)
        # 2.
        try:
            async with self._database.work() as session:
                gone = await session.execute(delete(Joining).where(Joining.digest == token.digest).returning(Joining.digest))
                if gone.first() is None:
                    raise IdentityOver
                session.add(
                    Identity(issuer=joining.issuer, subject=joining.subject, user_id=actor.user.id, created_at=self._clock())
                )
                record(session, EventTag.ACCOUNT_JOINED, actor.subject(), self._clock())
                tell_owner(session, self._notifying, self._organisation, actor.user, "provider_joined")
        except IntegrityError:
            raise IdentityTaken from None
        return joining.wanted

    async def is_joined(self, user_id: StaffUserId) -> bool:
        """Whether someone signs in at the provider."""
        async with self._database.reading() as session:
            return await session.scalar(select(Identity.user_id).where(Identity.user_id == user_id)) is not None

    async def sign_out_url(self, user_id: StaffUserId) -> str | None:
        """Where someone who signed out here may sign out at the provider too. That it fails keeps nobody signed in."""
        if not await self.is_joined(user_id):
            return None
        try:
            return await self._provider.sign_out_url()
        except IdentityError as error:
            _LOG.warning("outage", kind=type(error).__name__, reason=error.reason)
            return None

    async def forget_old(self) -> None:
        """Drop visits from which nobody came back, and identities that nobody joined. Part of the sweep."""
        now = self._clock()
        async with self._database.work() as session:
            await session.execute(delete(ProviderVisit).where(ProviderVisit.created_at <= now - VISIT_LONGEST))
            await session.execute(delete(Joining).where(Joining.created_at <= now - JOINING_LONGEST))

    async def _let_in(self, proven: ProvenIdentity, wanted: str, language: str) -> SignedIn | ToBeJoined:
        now = self._clock()
        unusable_hash = ""
        async with self._database.reading() as session:
            if await _owner_of(session, proven) is None:
                # Nobody's password. Hashed, so that trying one takes as long as with any other account.
                unusable_hash = await hash_password(SecretToken.generate().value)
        async with self._database.work() as session:
            # 3.
            user = await _owner_of(session, proven)
            if user is None:
                # 4.
                address = self._staff_address(proven)
                if await session.scalar(select(StaffUser.id).where(StaffUser.email == address.comparable)) is not None:
                    # 5.
                    return self._to_be_joined(session, proven, address, wanted)
                user = await self._new_account(session, proven, address, unusable_hash, language)
            if user.is_switched_off:
                raise AccountSwitchedOff
            self._take_over_rights(session, user, proven)
            return start_sign_in(session, user, SignInKind.PORTAL, now, factor=FactorKind.PROVIDER)

    def _staff_address(self, proven: ProvenIdentity) -> EmailAddress:
        for text in proven.emails:
            try:
                address = EmailAddress.parse(text)
            except Refusal:
                continue
            if self._governing.policy.is_staff_address(address):
                return address
        raise IdentityNotStaff

    async def _new_account(
        self, session: AsyncSession, proven: ProvenIdentity, address: EmailAddress, password_hash: str, language: str
    ) -> StaffUser:
        now = self._clock()
        user = StaffUser(
            id=StaffUserId(new_identifier()),
            email=address.comparable,
            name=proven.name or str(address),
            password_hash=password_hash,
            language=language,
            is_administrator=False,
            is_switched_off=False,
            created_at=now,
        )
        session.add(user)
        await session.flush()
        session.add(Identity(issuer=proven.issuer, subject=proven.subject, user_id=user.id, created_at=now))
        await session.flush()
        record(session, EventTag.ACCOUNT_OPENED, Subject(actor=ActorKind.STAFF, staff_user_id=user.id), now, by="provider")
        return user

    def _to_be_joined(self, session: AsyncSession, proven: ProvenIdentity, address: EmailAddress, wanted: str) -> ToBeJoined:
        token = SecretToken.generate()
        session.add(
            Joining(
                digest=token.digest,
                issuer=proven.issuer,
                subject=proven.subject,
                email=address.comparable,
                wanted=wanted,
                created_at=self._clock(),
            )
        )
        return ToBeJoined(token)

    def _take_over_rights(self, session: AsyncSession, user: StaffUser, proven: ProvenIdentity) -> None:
        """The provider says who administers and who audits, both ways, at every sign-in; where nothing is set, we do."""
        changed: dict[str, bool] = {}
        for right, roles in (
            ("is_administrator", self._governing.policy.administrator_roles),
            ("is_auditor", self._governing.policy.auditor_roles),
        ):
            has_right = not proven.roles.isdisjoint(roles)
            if roles and has_right != getattr(user, right):
                setattr(user, right, has_right)
                changed[right] = has_right
        if changed:
            subject = Subject(actor=ActorKind.SYSTEM, staff_user_id=user.id)
            record(session, EventTag.ACCOUNT_RIGHTS_CHANGED, subject, self._clock(), **changed)

    async def _live_joining(self, session: AsyncSession, token: SecretToken) -> Joining:
        joining = await session.get(Joining, token.digest)
        if joining is None or not joining.is_live(self._clock()):
            raise IdentityOver
        return joining

    async def _is_older(self, session: AsyncSession, actor: StaffActor, joining: Joining) -> bool:
        sign_in = await session.get_one(SignIn, actor.token.digest)
        return sign_in.created_at < joining.created_at


async def _owner_of(session: AsyncSession, proven: ProvenIdentity) -> StaffUser | None:
    user: StaffUser | None = await session.scalar(
        select(StaffUser)
        .join(Identity, Identity.user_id == StaffUser.id)
        .where(Identity.issuer == proven.issuer, Identity.subject == proven.subject)
    )
    return user
