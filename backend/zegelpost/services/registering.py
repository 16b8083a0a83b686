"""Registering: how someone of the organisation gets an account.

Whether an address has an account is told to its mailbox only: the page answers the same, after the same work.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.account_link import REGISTRATION_HOURS, Registration
from zegelpost.model.clock import Clock
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.identifiers import StaffUserId, new_identifier
from zegelpost.model.outgoing import Purpose
from zegelpost.model.password import NewPassword
from zegelpost.model.refusals import (
    AccountLinkWrong,
    EmailAddressNotStaff,
    FormRefused,
    NameMissing,
    NameTooLong,
    PasswordIncorrect,
    Refusal,
    TooManyAttempts,
)
from zegelpost.model.secret import SecretToken
from zegelpost.model.staff_user import StaffUser
from zegelpost.services.composing import Organisation
from zegelpost.services.governing import Governing
from zegelpost.services.hashing_passwords import hash_password, is_password
from zegelpost.services.limiting_tries import Limit, count_try
from zegelpost.services.notifying import Notifying
from zegelpost.services.recording import Subject, record
from zegelpost.services.signing_in import HalfSignedIn, SignedIn, SigningIn

LONGEST_NAME: Final = 120
_ASKS_PER_NETWORK: Final = 100  # an office that starts with Zegelpost on one morning comes from one address
_MAILS_PER_ADDRESS: Final = 3
_TRIES_PER_LINK: Final = 10


async def create_account(
    database: Database, clock: Clock, *, email: str, name: str, password: str, is_administrator: bool = False
) -> StaffUserId:
    """Add a staff user, unless the address has an account already; returns whose it is.

    For the people of the demonstration and for operators: nothing is mailed, and the password is taken as it is.
    """
    async with database.reading() as session:
        if known := await _account_of(session, email.lower()):
            return known.id
    password_hash = await hash_password(password)
    async with database.work() as session:
        if known := await _account_of(session, email.lower()):
            return known.id
        user = StaffUser(
            id=StaffUserId(new_identifier()),
            email=email.lower(),
            name=name,
            password_hash=password_hash,
            is_administrator=is_administrator,
            created_at=clock(),
        )
        session.add(user)
        return user.id


class Registering:
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

    async def create_account(self, *, email: str, name: str, password: str, is_administrator: bool = False) -> StaffUserId:
        """See the function of this name."""
        return await create_account(
            self._database, self._clock, email=email, name=name, password=password, is_administrator=is_administrator
        )

    async def ask(self, *, name: str, email: str, password: str, network: str, language: str) -> None:
        """Ask for an account. What happens next is in the mail: a link, or that there is an account already.

        1. Everything typed is checked at once. Raises `FormRefused`, with the same fields whoever has an account.
        2. Askers are limited by network (`TooManyAttempts`); mail to one address is limited without a word.
        3. The password is hashed, a mail is composed and the database commits, in both cases.
        """
        # 1.
        name = " ".join(name.replace("\x00", "").split())
        address, new_password = self._checked(name, email, password)
        now = self._clock()
        # 2.
        async with self._database.work() as session:
            await count_try(session, [Limit("account-network", network, _ASKS_PER_NETWORK)], now)
        # 3.
        password_hash = await hash_password(new_password.text)
        async with self._database.work() as session:
            record(session, EventTag.ACCOUNT_ASKED, Subject(actor=ActorKind.STRANGER), now)
            if not await may_mail(session, address, self._clock):
                return
            user = await _account_of(session, address.comparable)
            if user is not None:
                self._notifying.queue_mail(
                    session,
                    Purpose.ACCOUNT_EXISTS,
                    address,
                    user.language,
                    name=user.name,
                    link=f"{self._organisation.base_url}/account/forgot",
                )
                return
            secret = SecretToken.generate()
            session.add(
                Registration(
                    digest=secret.digest,
                    email=address.comparable,
                    name=name,
                    password_hash=password_hash,
                    language=language,
                    created_at=now,
                )
            )
            self._notifying.queue_mail(
                session,
                Purpose.ACCOUNT_CONFIRM,
                address,
                language,
                name=name,
                link=f"{self._organisation.base_url}/account/confirm/{secret.value}",
                hours=REGISTRATION_HOURS,
            )

    async def require_link(self, secret: SecretToken) -> None:
        """Look at a link without doing anything: mail scanners look too. Raises `AccountLinkWrong`."""
        async with self._database.reading() as session:
            await self._live(session, secret)

    async def confirm(self, secret: SecretToken, password: str) -> SignedIn | HalfSignedIn:
        """Open the account, for whoever has the link and the password.

        The link alone would not do: someone else may have asked for this account, in the name of whoever gets the mail, and
        the account would then have a password that the other one knows.
        Raises `AccountLinkWrong`, `PasswordIncorrect` or `TooManyAttempts`.
        """
        async with self._database.work() as session:
            asked = await self._live(session, secret)
            await count_try(session, [Limit("account-link", secret.digest.hex(), _TRIES_PER_LINK)], self._clock())
        if not await is_password(asked.password_hash, password):
            raise PasswordIncorrect
        now = self._clock()
        async with self._database.work() as session:
            # All of this address: whoever asked for the others may no longer open them.
            gone = await session.scalars(
                delete(Registration)
                .where(Registration.email == asked.email)
                .returning(Registration.digest)
                .execution_options(synchronize_session=False)
            )
            if secret.digest not in gone.all() or await _account_of(session, asked.email) is not None:
                raise AccountLinkWrong
            user = StaffUser(
                id=StaffUserId(new_identifier()),
                email=asked.email,
                name=asked.name,
                password_hash=asked.password_hash,
                language=asked.language,
                created_at=now,
            )
            session.add(user)
            await session.flush()
            record(session, EventTag.ACCOUNT_OPENED, Subject(actor=ActorKind.STAFF, staff_user_id=user.id), now)
            return await self._signing_in.after_password(session, user)

    def _checked(self, name: str, email: str, password: str) -> tuple[EmailAddress, NewPassword]:
        refused: dict[str, Refusal] = {}
        address = new_password = None
        if not name:
            refused["name"] = NameMissing()
        elif len(name) > LONGEST_NAME:
            refused["name"] = NameTooLong(limit=LONGEST_NAME)
        try:
            address = EmailAddress.parse(email)
            if not self._governing.policy.is_staff_address(address):
                refused["email"] = EmailAddressNotStaff()
        except Refusal as refusal:
            refused["email"] = refusal
        try:
            new_password = NewPassword.parse(password, context=(name, email, self._organisation.name))
        except Refusal as refusal:
            refused["password"] = refusal
        if refused:
            raise FormRefused(refused)
        assert address is not None
        assert new_password is not None
        return address, new_password

    async def _live(self, session: AsyncSession, secret: SecretToken) -> Registration:
        asked = await session.get(Registration, secret.digest)
        if asked is None or not asked.is_live(self._clock()):
            raise AccountLinkWrong
        return asked


async def may_mail(session: AsyncSession, address: EmailAddress, clock: Clock) -> bool:
    """Whether this mailbox may get another account mail now. No refusal: that would tell who gets mail."""
    try:
        await count_try(session, [Limit("account-mail", address.comparable, _MAILS_PER_ADDRESS)], clock())
    except TooManyAttempts:
        return False
    return True


async def _account_of(session: AsyncSession, email: str) -> StaffUser | None:
    user: StaffUser | None = await session.scalar(select(StaffUser).where(StaffUser.email == email))
    return user
