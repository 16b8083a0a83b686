"""What guests do who start unasked, as several tests need it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping

import altcha
import httpx2
from sqlalchemy import select
from tests.conftest import Outbox
from tests.web.acts import DOCUMENT, sentences, words

from zegelpost.main import Services
from zegelpost.model.department import Department, DepartmentRole, Membership
from zegelpost.model.identifiers import DepartmentId, new_identifier
from zegelpost.model.staff_user import StaffUser

GUUS = "guus@praktijk.example"
TYPED = {
    "to": "",
    "colleague": "anna@zegelpost.example",
    "name": "Guus Gast",
    "email": GUUS,
    "mobile": "06 12 34 56 99",
    "subject": "Melding over de nachtdienst",
    "reference": "Z-9",
}


async def open_department(services: Services, *, is_on_intake: bool = True, name: str = "Klachten") -> str:
    """A department that Anna manages; returns its identifier."""
    async with services.database.work() as session:
        department = Department(
            id=DepartmentId(new_identifier()),
            name=name,
            sender_name=name,
            email=f"{name.lower()}@zegelpost.example",
            is_on_intake=is_on_intake,
            created_at=services.clock(),
        )
        session.add(department)
        await session.flush()
        anna = (await session.scalars(select(StaffUser.id).where(StaffUser.email == "anna@zegelpost.example"))).one()
        session.add(
            Membership(department_id=department.id, user_id=anna, role=DepartmentRole.MANAGER, created_at=services.clock())
        )
        return department.id


def puzzle_of(page: httpx2.Response) -> dict[str, object]:
    found = re.search(r'data-puzzle="([^"]*)"', page.text)
    assert found
    puzzle: dict[str, object] = json.loads(html.unescape(found.group(1)))
    return puzzle


def solve(puzzle: Mapping[str, object]) -> str:
    """What the script on the page does."""
    challenge = altcha.Challenge.from_dict(dict(puzzle))
    solution = altcha.solve_challenge(challenge)
    assert solution is not None
    return altcha.Payload(challenge, solution).to_base64()


async def mailed_code(outbox: Outbox, email: str = GUUS) -> str:
    mails = [each for each in await outbox.all(kind="mail", to=email) if re.search(r"(?:code is|code is:) \d{6}", each["text"])]
    found = re.search(r"\b(\d{6})\b", mails[-1]["text"])
    assert found
    return found.group(1)


async def introduce(guest: httpx2.AsyncClient, **fields: str) -> httpx2.Response:
    return await guest.post("/i/new", data=TYPED | fields)


async def come_in(guest: httpx2.AsyncClient, outbox: Outbox, **fields: str) -> str:
    """From the public page to adding documents; returns where the guest's pages begin."""
    asked = await introduce(guest, **fields)
    assert asked.url.path == "/i/confirm", sentences(asked)
    inside = await guest.post("/i/confirm", data={"code": await mailed_code(outbox, fields.get("email", GUUS))})
    found = re.fullmatch(r"(/i/[a-z2-7]{26})/answer", inside.url.path)
    assert found, words(inside)
    return found.group(1)


async def hand_in(
    guest: httpx2.AsyncClient, base: str, note: str = "Zie de bijlage.", name: str = "melding.pdf"
) -> httpx2.Response:
    await guest.post(f"{base}/answer")
    added = await guest.post(f"{base}/answer/documents", files={"documents": (name, DOCUMENT)})
    assert added.status_code == 200, words(added)
    return await guest.post(f"{base}/answer/send", data={"note": note})
