"""Changing a password: by someone who knows the old one, and by someone who forgot it and reads their mail."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.account_link import PASSWORD_LINK_HOURS, REGISTRATION_HOURS, PasswordLink, Registration
from zegelpost.model.clock import Clock
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.identifiers import StaffUserId
from zegelpost.model.outgoing import Purpose
from zegelpost.model.password import NewPassword
from zegelpost.model.refusals import AccountLinkWrong, FormRefused, PasswordIncorrect, Refusal
from zegelpost.model.secret import SecretToken
from zegelpost.model.staff_user import StaffUser
from zegelpost.services.access import StaffActor
from zegelpost.services.composing import Organisation
from zegelpost.services.governing import Governing
from zegelpost.services.hashing_passwords import hash_password
from zegelpost.services.limiting_tries import Limit, count_try
from zegelpost.services.notifying import Notifying
from zegelpost.services.recording import Subject, record
from zegelpost.services.registering import may_mail
from zegelpost.services.signing_in import SigningIn, end_sign_ins

_ASKS_PER_NETWORK: Final = 100


class ChangingPassword:
    def __init__(
        self,
        database: Database,
        notifying: Notifying,
        signing_in: SigningIn,
        governing: Governing,
        organisation: Organisation,
        clock: Clock,
    ) -> None:
        self._database = database
        self._notifying = notifying
        self._signing_in = signing_in
        self._governing = governing
        self._organisation = organisation
        self._clock = clock

    async def ask_link(self, *, email: str, network: str, language: str) -> None:
        """Ask for a link to choose a new password. The answer is the same whoever has an account, and so is the work.

        An address of the organisation without account gets a mail that says so. Raises `FormRefused` for what is no address,
        and `TooManyAttempts` by network; mail to one address is limited without a word.
        """
        try:
            address = EmailAddress.parse(email)
        except Refusal as refusal:
            raise FormRefused({"email": refusal}) from None
        now = self._clock()
        async with self._database.work() as session:
            await count_try(session, [Limit("account-network", network, _ASKS_PER_NETWORK)], now)
        async with self._database.work() as session:
            record(session, EventTag.PASSWORD_LINK_ASKED, Subject(actor=ActorKind.STRANGER), now)
            if not await may_mail(session, address, self._clock):
                return
            user = await session.scalar(select(StaffUser).where(StaffUser.email == address.comparable))
            if user is not None and not user.is_switched_off:
                secret = SecretToken.generate()
                session.add(PasswordLink(digest=secret.digest, user_id=user.id, created_at=now))
                self._notifying.queue_mail(
                    session,
                    Purpose.PASSWORD_LINK,
                    address,
                    user.language,
                    lifetime=timedelta(hours=PASSWORD_LINK_HOURS),
                    name=user.name,
                    link=f"{self._organisation.base_url}/account/reset/{secret.value}",
                    hours=PASSWORD_LINK_HOURS,
                )
            elif user is None and self._governing.policy.is_staff_address(address):
                self._notifying.queue_mail(
                    session,
                    Purpose.ACCOUNT_MISSING,
                    address,
                    language,
                    email=str(address),
                    link=f"{self._organisation.base_url}/account/new",
                )

    async def require_link(self, secret: SecretToken) -> None:
        """Look at a link without doing anything. Raises `AccountLinkWrong`."""
        async with self._database.reading() as session:
            await self._owner_of(session, secret)

    async def reset(self, secret: SecretToken, password: str) -> None:
        """Choose a new password with a link, which ends every sign-in and every other link. The second factor stays.

        Raises `AccountLinkWrong` or `FormRefused`.
        """
        async with self._database.reading() as session:
            user = await self._owner_of(session, secret)
        password_hash = await hash_password(self._parse(password, user).text)
        async with self._database.work() as session:
            gone = await session.execute(
                delete(PasswordLink).where(PasswordLink.digest == secret.digest).returning(PasswordLink.user_id)
            )
            if gone.first() is None:
                raise AccountLinkWrong
            await end_sign_ins(session, user.id)
            await self._set(session, user, password_hash, by="link")
            subject = Subject(actor=ActorKind.STAFF, staff_user_id=user.id)
            record(session, EventTag.SIGN_IN_ALL_ENDED, subject, self._clock())

    async def change(self, actor: StaffActor, *, old: str, new: str) -> None:
        """Choose a new password, knowing the old one. Ends all sign-ins but this one.

        Raises `FormRefused` or `TooManyAttempts`.
        """
        try:
            await self._signing_in.require_password(actor, old)
        except PasswordIncorrect as refusal:
            raise FormRefused({"old_password": refusal}) from None
        password_hash = await hash_password(self._parse(new, actor.user).text)
        async with self._database.work() as session:
            await end_sign_ins(session, actor.user.id, but=actor.token)
            await self._set(session, actor.user, password_hash, by="password")

    async def forget_old(self) -> None:
        """Remove links of either kind that nobody used in time, and the names and hashes that wait with them."""
        now = self._clock()
        async with self._database.work() as session:
            unused = now - timedelta(hours=REGISTRATION_HOURS)
            await session.execute(delete(Registration).where(Registration.created_at <= unused))
            unused = now - timedelta(hours=PASSWORD_LINK_HOURS)
            await session.execute(delete(PasswordLink).where(PasswordLink.created_at <= unused))

    def _parse(self, password: str, user: StaffUser) -> NewPassword:
        try:
            return NewPassword.parse(password, context=(user.name, user.email, self._organisation.name))
        except Refusal as refusal:
            raise FormRefused({"new_password": refusal}) from None

    async def _set(self, session: AsyncSession, user: StaffUser, password_hash: str, *, by: str) -> None:
        await session.execute(update(StaffUser).where(StaffUser.id == user.id).values(password_hash=password_hash))
        await session.execute(delete(PasswordLink).where(PasswordLink.user_id == user.id))
        record(session, EventTag.PASSWORD_CHANGED, Subject(actor=ActorKind.STAFF, staff_user_id=user.id), self._clock(), by=by)
        tell_owner(session, self._notifying, self._organisation, user, "password_changed")

    async def _owner_of(self, session: AsyncSession, secret: SecretToken) -> StaffUser:
        link = await session.get(PasswordLink, secret.digest)
        if link is None or not link.is_live(self._clock()):
            raise AccountLinkWrong
        user = await session.get_one(StaffUser, StaffUserId(link.user_id))
        if user.is_switched_off:
            raise AccountLinkWrong
        return user


def tell_owner(
    session: AsyncSession, notifying: Notifying, organisation: Organisation, user: StaffUser, what: str, factor: str = ""
) -> None:
    """Mail someone that their account changed, so that a stranger's change does not go unnoticed.

    `what` is a branch of the mail `account_changed`; `factor` the name its owner gave to a second factor.
    """
    local, _, domain = user.email.rpartition("@")
    notifying.queue_mail(
        session,
        Purpose.ACCOUNT_CHANGED,
        EmailAddress(local, domain),
        user.language,
        name=user.name,
        what=what,
        factor=factor,
        link=f"{organisation.base_url}/account",
    )
