"""Adding and removing second factors: passkeys, authenticator apps and recovery codes."""

from __future__ import annotations

import base64
import binascii
import io
import json
from dataclasses import dataclass
from datetime import datetime

import pyotp
import segno
import webauthn
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.event import EventTag
from zegelpost.model.identifiers import FactorId, StaffUserId, is_identifier, new_identifier
from zegelpost.model.refusals import (
    FormRefused,
    NotFound,
    PasskeyRefused,
    PasswordIncorrect,
    Refusal,
    SecondFactorIncorrect,
    SecondFactorNeeded,
    SignInRequired,
    TooManySecondFactors,
)
from zegelpost.model.second_factor import (
    MOST_FACTORS,
    RECOVERY_CODE_COUNT,
    AuthenticatorApp,
    FactorKind,
    Passkey,
    RecoveryCode,
    factor_name,
    new_recovery_code,
    plain_code,
)
from zegelpost.model.staff_user import StaffUser
from zegelpost.sealing.errors import TextAltered
from zegelpost.services.access import HalfActor, StaffActor, own_factor
from zegelpost.services.changing_password import tell_owner
from zegelpost.services.composing import Organisation
from zegelpost.services.governing import Governing
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.notifying import Notifying
from zegelpost.services.proving_second_factor import (
    MALFORMED,
    RelyingParty,
    descriptor,
    has_second_factor,
    keep_challenge,
    matching_step,
    take_challenge,
)
from zegelpost.services.recording import record
from zegelpost.services.signing_in import SignedIn, SigningIn, finish_half


@dataclass(frozen=True, slots=True)
class NewApp:
    """What an authenticator app needs, and what comes back with the first code. Nothing is kept before that code is right."""

    id: FactorId
    sealed: str
    secret: str
    address: str
    picture: str


@dataclass(frozen=True, slots=True)
class Added:
    """What adding gave: recovery codes with the first factor, and a sign-in for whoever was halfway."""

    recovery_codes: list[str]
    signed_in: SignedIn | None


@dataclass(frozen=True, slots=True)
class Factor:
    """A second factor as its owner sees it."""

    id: FactorId
    kind: FactorKind
    name: str
    created_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Factors:
    ways: list[Factor]
    unused_code_count: int


class AddingSecondFactor:
    """Whoever is halfway signing in adds their first one; after that it takes a whole sign-in and the password again."""

    def __init__(
        self,
        database: Database,
        keeping_keys: KeepingKeys,
        notifying: Notifying,
        signing_in: SigningIn,
        governing: Governing,
        organisation: Organisation,
        party: RelyingParty,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keys = keeping_keys
        self._notifying = notifying
        self._signing_in = signing_in
        self._governing = governing
        self._organisation = organisation
        self._party = party
        self._clock = clock

    async def factors(self, actor: StaffActor) -> Factors:
        """Someone's own second factors, oldest first."""
        async with self._database.reading() as session:
            apps = await session.scalars(select(AuthenticatorApp).where(AuthenticatorApp.user_id == actor.user.id))
            passkeys = await session.scalars(select(Passkey).where(Passkey.user_id == actor.user.id))
            ways = [Factor(row.id, FactorKind.APP, row.name, row.created_at, row.used_at) for row in apps]
            ways += [Factor(row.id, FactorKind.PASSKEY, row.name, row.created_at, row.used_at) for row in passkeys]
            unused = select(func.count()).where(RecoveryCode.user_id == actor.user.id, RecoveryCode.used_at.is_(None))
            return Factors(sorted(ways, key=lambda way: way.created_at), await session.scalar(unused) or 0)

    # Authenticator app

    def new_app(self, holder: StaffActor | HalfActor) -> NewApp:
        """A new secret. It travels in the form, sealed for this person, so that looking at a page stores nothing."""
        app_id = FactorId(new_identifier())
        return self._app(app_id, pyotp.random_base32(), holder.user)

    def same_app(self, holder: StaffActor | HalfActor, app_id: str, sealed: str) -> NewApp:
        """The secret that was shown before, after a code that was not right. Raises `NotFound` for what we did not seal."""
        identifier, _, secret = self._opened(holder, app_id, sealed)
        return self._app(identifier, secret, holder.user)

    async def add_app(
        self, holder: StaffActor | HalfActor, *, app_id: str, sealed: str, name: str, code: str, password: str
    ) -> Added:
        """Keep the app once it shows the right code. Raises `FormRefused`, `NotFound`, `TooManyAttempts` or `SignInRequired`."""
        identifier, sealed_secret, secret = self._opened(holder, app_id, sealed)
        name = _named(name)
        await self._require_password(holder, password)
        now = self._clock()
        # Not counted as a try: whoever asks has the secret, so there is nothing to guess.
        step = matching_step(secret, plain_code(code), now)
        if step is None:
            raise FormRefused({"code": SecondFactorIncorrect()})
        async with self._database.work() as session:
            await self._require_room(session, holder)
            if await session.get(AuthenticatorApp, identifier) is not None:
                raise NotFound  # the form was sent twice
            session.add(
                AuthenticatorApp(
                    id=identifier,
                    user_id=holder.user.id,
                    name=name,
                    sealed_secret=sealed_secret,
                    last_step=step,
                    created_at=now,
                )
            )
            return await self._added(session, holder, FactorKind.APP, name)

    # Passkey

    async def ask_new_passkey(self, holder: StaffActor | HalfActor) -> str:
        """What the browser needs to make a passkey, as JSON (WebAuthn 3, section 5.4)."""
        async with self._database.work() as session:
            known = await session.scalars(select(Passkey).where(Passkey.user_id == holder.user.id))
            options = webauthn.generate_registration_options(
                rp_id=self._party.host,
                rp_name=self._party.name,
                user_id=holder.user.id.encode(),
                user_name=holder.user.email,
                user_display_name=holder.user.name,
                # Discoverable where possible: those are the ones that people's telephones keep and carry over.
                authenticator_selection=AuthenticatorSelectionCriteria(
                    resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
                ),
                exclude_credentials=[descriptor(passkey) for passkey in known],
            )
            await keep_challenge(session, holder.token, options.challenge, self._clock())
        return webauthn.options_to_json(options)

    async def add_passkey(self, holder: StaffActor | HalfActor, *, answer: str, name: str, password: str) -> Added:
        """Keep the passkey that the browser made (WebAuthn 3, section 7.1).

        Raises `PasskeyRefused`, `FormRefused`, `TooManyAttempts` or `SignInRequired`.
        """
        name = _named(name)
        await self._require_password(holder, password)
        now = self._clock()
        async with self._database.work() as session:
            challenge = await take_challenge(session, holder.token, now)
        if challenge is None:
            raise PasskeyRefused
        try:
            verified = webauthn.verify_registration_response(
                credential=answer,
                expected_challenge=challenge,
                expected_rp_id=self._party.host,
                expected_origin=self._party.origin,
            )
            transports = [str(transport) for transport in json.loads(answer)["response"].get("transports", [])][:8]
        except (*MALFORMED, AttributeError):
            raise PasskeyRefused from None
        async with self._database.work() as session:
            await self._require_room(session, holder)
            if await session.scalar(select(Passkey.id).where(Passkey.credential_id == verified.credential_id)) is not None:
                raise PasskeyRefused
            session.add(
                Passkey(
                    id=FactorId(new_identifier()),
                    user_id=holder.user.id,
                    name=name,
                    credential_id=verified.credential_id,
                    public_key=verified.credential_public_key,
                    use_count=verified.sign_count,
                    transports=transports,
                    created_at=now,
                )
            )
            return await self._added(session, holder, FactorKind.PASSKEY, name)

    # Removing, and new recovery codes

    async def factor(self, actor: StaffActor, factor_id: str) -> Factor:
        """One of someone's own. Raises `NotFound`."""
        async with self._database.reading() as session:
            row = await own_factor(session, actor, factor_id)
            return Factor(row.id, _kind(row), row.name, row.created_at, row.used_at)

    async def remove(self, actor: StaffActor, factor_id: str, password: str) -> None:
        """Raises `NotFound`, `SecondFactorNeeded`, `FormRefused` or `TooManyAttempts`."""
        await self.factor(actor, factor_id)
        await self._require_password(actor, password)
        async with self._database.work() as session:
            await _lock(session, actor.user.id)
            row = await own_factor(session, actor, factor_id)
            await session.delete(row)
            await session.flush()
            if not await has_second_factor(session, actor.user.id):
                if self._governing.policy.requires_second_factor:
                    raise SecondFactorNeeded
                # Codes stand in for a factor; without one they would be asked for nowhere and lie about.
                await session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == actor.user.id))
            record(session, EventTag.SECOND_FACTOR_REMOVED, actor.subject(), self._clock(), kind=_kind(row).value)
            self._tell(session, actor.user, "factor_removed", row.name)

    async def renew_codes(self, actor: StaffActor, password: str) -> list[str]:
        """Ten new recovery codes instead of the old ones. Raises `FormRefused`, `SecondFactorNeeded` or `TooManyAttempts`."""
        await self._require_password(actor, password)
        async with self._database.work() as session:
            await _lock(session, actor.user.id)
            if not await has_second_factor(session, actor.user.id):
                raise SecondFactorNeeded
            self._tell(session, actor.user, "codes_renewed")
            return await self._new_codes(session, actor)

    # What the above share

    def _app(self, app_id: FactorId, secret: str, user: StaffUser) -> NewApp:
        address = pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=f"Zegelpost {self._organisation.name}")
        picture = io.BytesIO()
        segno.make(address, error="m").save(picture, kind="svg", border=4, xmldecl=False, svgns=True, dark="#000", light="#fff")
        sealed = base64.b64encode(self._keys.seal_app_secret(secret, user.id, app_id)).decode()
        encoded = base64.b64encode(picture.getvalue()).decode()
        return NewApp(app_id, sealed, secret, address, f"data:image/svg+xml;base64,{encoded}")

    def _opened(self, holder: StaffActor | HalfActor, app_id: str, sealed: str) -> tuple[FactorId, bytes, str]:
        if not is_identifier(app_id):
            raise NotFound
        try:
            sealed_secret = base64.b64decode(sealed, validate=True)
            secret = self._keys.open_app_secret(sealed_secret, holder.user.id, FactorId(app_id))
        except (binascii.Error, ValueError, TextAltered):
            raise NotFound from None
        return FactorId(app_id), sealed_secret, secret

    async def _require_password(self, holder: StaffActor | HalfActor, password: str) -> None:
        if isinstance(holder, HalfActor):
            return  # gave it a moment ago
        try:
            await self._signing_in.require_password(holder, password)
        except PasswordIncorrect as refusal:
            raise FormRefused({"password": refusal}) from None

    async def _require_room(self, session: AsyncSession, holder: StaffActor | HalfActor) -> None:
        """Whoever is halfway may add their first factor and no other: that would be a way around the one they have."""
        await _lock(session, holder.user.id)
        if isinstance(holder, HalfActor) and await has_second_factor(session, holder.user.id):
            raise SignInRequired
        count = 0
        for table in (AuthenticatorApp, Passkey):
            count += await session.scalar(select(func.count()).where(table.user_id == holder.user.id)) or 0
        if count >= MOST_FACTORS:
            raise TooManySecondFactors(limit=MOST_FACTORS)

    async def _added(self, session: AsyncSession, holder: StaffActor | HalfActor, kind: FactorKind, name: str) -> Added:
        """Record it, tell its owner, give codes with the first one, and let in whoever was halfway: one unit of work."""
        await session.flush()
        record(session, EventTag.SECOND_FACTOR_ADDED, holder.subject(), self._clock(), kind=kind.value)
        self._tell(session, holder.user, f"{kind.value}_added", name)
        has_codes = await session.scalar(select(RecoveryCode.user_id).where(RecoveryCode.user_id == holder.user.id).limit(1))
        codes = [] if has_codes else await self._new_codes(session, holder)
        signed_in = await finish_half(session, holder, kind, self._clock()) if isinstance(holder, HalfActor) else None
        return Added(codes, signed_in)

    async def _new_codes(self, session: AsyncSession, holder: StaffActor | HalfActor) -> list[str]:
        await session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == holder.user.id))
        codes = [new_recovery_code() for _ in range(RECOVERY_CODE_COUNT)]
        for code in codes:
            digest = self._keys.recovery_code_digest(holder.user.id, plain_code(code))
            session.add(RecoveryCode(digest=digest, user_id=holder.user.id, created_at=self._clock()))
        record(session, EventTag.RECOVERY_CODES_RENEWED, holder.subject(), self._clock())
        return codes

    def _tell(self, session: AsyncSession, user: StaffUser, what: str, factor: str = "") -> None:
        tell_owner(session, self._notifying, self._organisation, user, what, factor)


async def _lock(session: AsyncSession, user_id: StaffUserId) -> None:
    """One change at a time to someone's second factors, or two at once could leave none, or too many."""
    await session.execute(select(StaffUser.id).where(StaffUser.id == user_id).with_for_update())


def _kind(row: AuthenticatorApp | Passkey) -> FactorKind:
    return FactorKind.APP if isinstance(row, AuthenticatorApp) else FactorKind.PASSKEY


def _named(typed: str) -> str:
    try:
        return factor_name(typed)
    except Refusal as refusal:
        raise FormRefused({"name": refusal}) from None
