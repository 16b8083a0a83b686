"""Presenting: under which name and address a sender appears to whoever receives."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.model.department import Department
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.identifiers import DepartmentId, RecipientId, TransferId
from zegelpost.model.intake import Intake
from zegelpost.model.recipient import Person, Recipient
from zegelpost.model.staff_user import StaffUser
from zegelpost.model.transfer import Transfer, TransferKind
from zegelpost.services.composing import Organisation
from zegelpost.services.keeping_keys import KeepingKeys

# What of a transfer tells who sent it.
SENDER_COLUMNS: Final[tuple[Any, ...]] = (
    Transfer.id,
    Transfer.kind,
    Transfer.sender_id,
    Transfer.department_id,
    Transfer.guest_id,
    Transfer.language,
)


@dataclass(frozen=True, slots=True)
class Correspondent:
    """A sender as the other side sees them. `language` is that of notices to them."""

    name: str
    email: str
    language: str = "nl"
    is_guest: bool = False

    @property
    def address(self) -> EmailAddress:
        local, _, domain = self.email.rpartition("@")
        return EmailAddress(local, domain)


class Presenting:
    def __init__(self, keeping_keys: KeepingKeys, organisation: Organisation) -> None:
        self._keys = keeping_keys
        self.organisation = organisation

    async def sender_of(self, session: AsyncSession, transfer: Transfer, *, at_hand: StaffUser | None = None) -> Correspondent:
        """Who sent a transfer: the guest, the department, the staff user, or else the organisation.

        Whoever is `at_hand` is not looked up again.
        Of an intake it is whom the guest wrote to. A colleague is then called by the address that was typed, whether or not
        there is one: the guest reads it.
        """
        if transfer.guest_id is not None:
            return _present_guest(self._keys.person(await session.get_one(Recipient, transfer.guest_id)), transfer)
        if transfer.department_id is not None:
            department = await session.get_one(Department, transfer.department_id)
            return Correspondent(department.sender_name, department.email)
        if at_hand is not None and transfer.sender_id == at_hand.id:
            return present_staff(at_hand)
        if transfer.sender_id is not None:
            return present_staff(await session.get_one(StaffUser, transfer.sender_id))
        if transfer.kind == TransferKind.INTAKE:
            intake = await session.get_one(Intake, transfer.id)
            email = self._keys.intake_colleague(intake)
            return Correspondent(email, email)
        return Correspondent(self.organisation.name, str(self.organisation.mail_from))

    async def senders_of(self, session: AsyncSession, transfers: Sequence[Any]) -> Mapping[TransferId, Correspondent]:
        """As `sender_of`, of many: as many statements for a page of them as for one, and each key is read once.

        `transfers` may be rows with `SENDER_COLUMNS`.
        """
        kinds: tuple[tuple[Any, Any, set[Any]], ...] = (
            (Department, Department.id, {transfer.department_id for transfer in transfers}),
            (StaffUser, StaffUser.id, {transfer.sender_id for transfer in transfers if transfer.department_id is None}),
            (Intake, Intake.transfer_id, {transfer.id for transfer in transfers if transfer.kind == TransferKind.INTAKE}),
        )
        # Held until all are presented: a session forgets the rows that nobody holds, and would look them up again.
        held = [
            (await session.scalars(select(kind).where(key.in_(ids - {None})))).all() for kind, key, ids in kinds if ids - {None}
        ]
        guests = await self._guests(session, {transfer.guest_id for transfer in transfers} - {None})
        senders = {
            transfer.id: _present_guest(guests[transfer.guest_id], transfer)
            if transfer.guest_id is not None
            else await self.sender_of(session, transfer)
            for transfer in transfers
        }
        held.clear()
        return senders

    async def _guests(self, session: AsyncSession, ids: Collection[RecipientId | None]) -> Mapping[RecipientId, Person]:
        if not ids:
            return {}
        # Columns instead of objects: a search looks at two thousand.
        rows = await session.execute(select(Recipient.id, Recipient.sealed_person).where(Recipient.id.in_(ids)))
        return self._keys.within(session).persons((row.id, row.sealed_person) for row in rows)

    async def colleague(self, session: AsyncSession, correspondent: Correspondent) -> tuple[Correspondent, DepartmentId | None]:
        """Who of ours has this address, as we call them; nobody is called by the address. A department's is its own."""
        address = correspondent.address.comparable
        department = await session.scalar(select(Department).where(Department.email == address, Department.closed_at.is_(None)))
        user = await session.scalar(select(StaffUser).where(StaffUser.email == address))
        if department is not None:
            return Correspondent(department.sender_name, department.email), department.id
        return present_staff(user) if user else correspondent, None

    async def follower_of(self, session: AsyncSession, transfer: Transfer) -> Correspondent | None:
        """Who wants to know how a transfer fares, if it is someone of ours."""
        if transfer.guest_id is not None:
            return None
        if transfer.kind != TransferKind.INTAKE and transfer.department_id is None and transfer.sender_id is None:
            return None
        return await self.sender_of(session, transfer)


def _present_guest(person: Person, transfer: Transfer) -> Correspondent:
    return Correspondent(person.name, str(person.email), transfer.language, is_guest=True)


def present_staff(user: StaffUser) -> Correspondent:
    return Correspondent(user.name, user.email, user.language)
