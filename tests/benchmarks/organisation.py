"""An organisation that is made up: who works there, and what a year of its post is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from zegelpost.model.department import Department, DepartmentRole, Membership
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import ActorKind, EventTag
from zegelpost.model.staff_user import StaffUser

LENGTH: Final = timedelta(days=365)
DOMAIN: Final = "zegelpost.example"
DEPARTMENTS: Final = 100
LINKS_KNOWN: Final = 20  # of as many units as are made at once
REQUESTED: Final = 0.125  # of all units; each is a request and, nearly always, the answer to it
ANSWERED: Final = 0.9
NAMES: Final = ("Fatima", "Jan", "Sanne", "Mohamed", "Els", "Piet", "Noor", "Willem", "Aylin", "Kees", "Rosa", "Guus")
FAMILIES: Final = ("de Vries", "Jansen", "el Amrani", "Bakker", "van den Berg", "Yilmaz", "Visser", "Smit", "Meijer", "Kok")


class Happened(NamedTuple):
    """An event that has no number yet; in the order of time by its first two fields."""

    at: datetime
    order: int
    tag: EventTag
    actor: ActorKind
    staff: str | None
    transfer: str | None
    recipient: str | None
    document: str | None
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class KnownLink:
    """A link that a benchmark can follow, as its recipient would."""

    id: str
    secret: str
    number: str


@dataclass(slots=True)
class Rows:
    """By table, and what happened besides; `links` are a few of those that still open."""

    tables: dict[Any, list[dict[str, Any]]] = field(default_factory=dict)
    events: list[Happened] = field(default_factory=list)
    links: list[KnownLink] = field(default_factory=list)

    def add(self, kind: Any, /, **columns: Any) -> None:
        self.tables.setdefault(kind.__table__, []).append(columns)


@dataclass(frozen=True, slots=True)
class Plan:
    """How large an organisation, and until when its year lasts."""

    transfers: int
    staff: int
    until: datetime
    password_hash: str
    system_share: float = 0.02  # of all that is sent, by the account of a system
    post_room_share: float = 0.05  # and for the first department

    @property
    def units(self) -> int:
        return round(self.transfers / (1 + REQUESTED * ANSWERED))

    def begins(self, unit: int) -> datetime:
        """Units follow each other in time, the last one a moment ago."""
        return self.until - LENGTH + LENGTH * (unit / self.units)


def staff_id(number: int) -> str:
    """An identifier that everyone who makes rows knows without looking it up."""
    return _named("s", number)


def department_id(number: int) -> str:
    return _named("d", number)


def _named(letter: str, number: int) -> str:
    digits = "".join("abcdefghij"[int(digit)] for digit in f"{number:024d}")
    return f"{letter}{digits}a"


# Whom the benchmarks look at: someone like most, an account that a system sends with, and those who watch.
USUAL, SYSTEM, ADMINISTRATOR, AUDITOR, MEMBER = range(5)
ADDRESSES: Final = {USUAL: "anna", SYSTEM: "systeem", ADMINISTRATOR: "chris", AUDITOR: "bram", MEMBER: "postkamer"}


def address_of(number: int) -> str:
    return f"{ADDRESSES.get(number, f'm{number}')}@{DOMAIN}"


def people(plan: Plan) -> Rows:
    """Staff, departments and who works for which."""
    rows = Rows()
    began = plan.until - LENGTH - timedelta(days=30)
    for number in range(plan.staff):
        rows.add(
            StaffUser,
            id=staff_id(number),
            email=address_of(number),
            name=f"{NAMES[number % len(NAMES)]} {FAMILIES[number // 7 % len(FAMILIES)]} {number}",
            password_hash=plan.password_hash,
            language="nl",
            signature="",
            tells_first_download=False,
            tells_unopened_after_days=3,
            tells_expiring_before_days=3,
            is_administrator=number == ADMINISTRATOR,
            is_auditor=number == AUDITOR,
            is_switched_off=number % 50 == 49,
            created_at=began,
        )
    for number in range(DEPARTMENTS):
        rows.add(
            Department,
            id=department_id(number),
            name=f"Afdeling {number}",
            sender_name=f"Afdeling {number}",
            email=f"afdeling{number}@{DOMAIN}",
            is_on_intake=number == 0,
            created_at=began,
        )
        members = [10 + number * 10 + place for place in range(10)]
        # Nobody is in two of them; in the first is who is looked at besides.
        for member in [MEMBER, *members] if number == 0 else members:
            if member < plan.staff:
                rows.add(
                    Membership,
                    department_id=department_id(number),
                    user_id=staff_id(member),
                    role=DepartmentRole.MEMBER,
                    created_at=began,
                )
    return rows


def reference_of(unit: int) -> str:
    return f"Z-{unit:07d}"


def outsider_address(number: int) -> EmailAddress:
    return EmailAddress(f"client{number}", f"praktijk{number % 997}.example")


def number_of(staff: str) -> int:
    return int(staff[1:25].translate(_DIGITS))


_DIGITS: Final = str.maketrans("abcdefghij", "0123456789")
