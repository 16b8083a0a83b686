"""Accounts as administrators run them: who gets in and with which rights; over others only, and all of it on record."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx2
import pytest
from sqlalchemy import select, update
from starlette.applications import Starlette
from tests.conftest import PASSWORD, Portal, browser, make_administrator
from tests.web.acts import words

from zegelpost.main import Services, build_app, build_services
from zegelpost.model.event import Event, EventTag
from zegelpost.model.policy import Policy
from zegelpost.model.staff_user import SignIn, StaffUser, SwitchedOffBy
from zegelpost.settings import Settings

pytestmark = pytest.mark.anyio
ANNA, BRAM, CHRIS = (f"{name}@zegelpost.example" for name in ("anna", "bram", "chris"))


async def account_id(services: Services, email: str) -> str:
    async with services.database.reading() as session:
        return str((await session.scalars(select(StaffUser.id).where(StaffUser.email == email))).one())


async def page_of(services: Services, email: str) -> str:
    return f"/admin/accounts/{await account_id(services, email)}"


async def events(services: Services) -> list[tuple[str, str | None, dict[str, object]]]:
    async with services.database.reading() as session:
        rows = await session.scalars(select(Event).where(Event.tag.startswith("account:")).order_by(Event.id))
        return [(event.tag, event.staff_user_id, event.facts) for event in rows]


async def test_who_is_switched_off_is_out_at_once_and_comes_back(
    services: Services, chris_portal: Portal, anna_portal: Portal, anna: httpx2.AsyncClient, database_kind: str
) -> None:
    page, chris = await page_of(services, ANNA), await account_id(services, CHRIS)
    assert "Let in no more" in words(await chris_portal.client.get(page))
    done = words(await chris_portal.press(f"{page}/switch-off"))
    assert "has been switched off" in done
    assert "An administrator switched this account off" in done
    assert (await anna_portal.client.get("/sent", follow_redirects=False)).status_code == 303
    assert (await anna.get("/api/v1/me")).status_code == 401
    async with services.database.reading() as session:
        assert list(await session.scalars(select(SignIn.user_id).where(SignIn.user_id != chris))) == []
    refused = await anna_portal.client.post("/sign-in", data={"email": ANNA, "password": PASSWORD})
    assert refused.status_code == 401
    # Once more changes nothing, and is on record once.
    await chris_portal.press(f"{page}/switch-off")
    assert "switched on again" in words(await chris_portal.press(f"{page}/switch-on"))
    await chris_portal.press(f"{page}/switch-on")
    await anna_portal.sign_in(ANNA)
    facts = {"by": "administrator", "account": page.rsplit("/", 1)[-1]}
    assert await events(services) == [("account:closed", chris, facts), ("account:reopened", chris, facts)]


async def test_an_administrators_word_goes_over_the_directorys(services: Services, chris_portal: Portal) -> None:
    page = await page_of(services, ANNA)
    async with services.database.work() as session:
        values = {"is_switched_off": True, "switched_off_by": SwitchedOffBy.DIRECTORY}
        await session.execute(update(StaffUser).where(StaffUser.email == ANNA).values(values))
    assert "Microsoft 365 switched this person off" in words(await chris_portal.client.get(page))
    assert "An administrator switched" in words(await chris_portal.press(f"{page}/switch-off"))
    assert [tag for tag, _, _ in await events(services)] == [EventTag.ACCOUNT_CLOSED]


async def test_rights_count_at_once_and_are_taken_again(
    services: Services, chris_portal: Portal, anna_portal: Portal, database_kind: str
) -> None:
    page, chris = await page_of(services, ANNA), await account_id(services, CHRIS)
    for path in ("/admin", "/audit"):
        assert (await anna_portal.client.get(path)).status_code == 404
    assert "They count at once" in words(await chris_portal.press(f"{page}/rights", is_administrator="1"))
    assert (await anna_portal.client.get("/admin")).status_code == 200
    assert (await anna_portal.client.get("/audit")).status_code == 404
    await chris_portal.press(f"{page}/rights", is_auditor="1")
    assert (await anna_portal.client.get("/admin")).status_code == 404
    assert (await anna_portal.client.get("/audit")).status_code == 200
    await chris_portal.press(f"{page}/rights", is_auditor="1")
    fixed = {"by": "administrator", "account": page.rsplit("/", 1)[-1]}
    assert await events(services) == [
        ("account:rights_changed", chris, fixed | {"is_administrator": True}),
        ("account:rights_changed", chris, fixed | {"is_administrator": False, "is_auditor": True}),
    ]


async def test_nobody_decides_about_themselves(services: Services, chris_portal: Portal) -> None:
    page = await page_of(services, CHRIS)
    told = words(await chris_portal.client.get(page))
    assert "Only another administrator" in told
    assert "Let in no more" not in told
    for verb in ("switch-off", "switch-on", "rights"):
        answer = await chris_portal.press(f"{page}/{verb}", is_auditor="1")
        assert (answer.status_code, "This is your own account" in words(answer)) == (409, True)
    assert await events(services) == []
    assert (await chris_portal.client.get("/admin")).status_code == 200


async def test_of_two_who_switch_each_other_off_one_stays(
    app: Starlette, services: Services, chris_portal: Portal, anna_portal: Portal, database_kind: str
) -> None:
    await make_administrator(services, ANNA)
    anna, chris = await page_of(services, ANNA), await page_of(services, CHRIS)
    await asyncio.gather(chris_portal.press(f"{anna}/switch-off"), anna_portal.press(f"{chris}/switch-off"))
    async with services.database.reading() as session:
        query = select(StaffUser.id).where(StaffUser.is_administrator.is_(True), StaffUser.is_switched_off.is_(False))
        assert len(list(await session.scalars(query))) == 1


async def test_rights_that_the_provider_gives_are_changed_there(
    settings: Settings, services: Services, policy: Policy, chris_portal: Portal
) -> None:
    built = build_services(settings, clock=services.clock, policy=replace(policy, administrator_roles=("Beheer",)))
    page = await page_of(services, ANNA)
    async with browser(build_app(built, has_worker=False)) as client:
        chris = Portal(client)
        await chris.sign_in(CHRIS)
        shown = (await client.get(page)).text
        assert 'name="is_auditor"' in shown
        assert 'name="is_administrator"' not in shown
        assert "given by the work account" in shown
        await chris.press(f"{page}/rights", is_administrator="1", is_auditor="1")
    await built.database.close()
    assert [facts for _, _, facts in await events(services)] == [
        {"by": "administrator", "account": page.rsplit("/", 1)[-1], "is_auditor": True}
    ]


async def test_finding_an_account(services: Services, chris_portal: Portal, database_kind: str) -> None:
    everyone = words(await chris_portal.client.get("/admin/accounts"))
    for name in ("Anna de Vries", "Bram Jansen", "Chris Bakker", "Mallory Kwaad"):
        assert name in everyone
    assert everyone.index("Anna de Vries") < everyone.index("Bram Jansen") < everyone.index("Chris Bakker")
    for letters, found in (
        ("JANSEN", ["Bram"]),
        ("anna@", ["Anna"]),
        ("%", []),
        ("_", []),
        ("zegelpost.example", ["Anna", "Bram"]),
    ):
        shown = words(await chris_portal.press("/admin/accounts", letters=letters))
        assert [name for name in ("Anna", "Bram") if name in shown] == found, letters
    for page in ("0", "-1", "x", "99999999", "%00"):
        assert (await chris_portal.client.get("/admin/accounts", params={"page": page})).status_code == 200
    async with services.database.work() as session:
        anna = (await session.scalars(select(StaffUser).where(StaffUser.email == ANNA))).one()
        columns = {name: getattr(anna, name) for name in ("password_hash", "created_at")}
        session.add_all(
            StaffUser(
                id=f"{number:02}".translate(_LETTERS).rjust(26, "a"),
                email=f"z{number}@x.example",
                name=f"Zoë {number:02}",
                **columns,
            )
            for number in range(60)
        )
    first = words(await chris_portal.client.get("/admin/accounts"))
    second = words(await chris_portal.client.get("/admin/accounts", params={"page": "2"}))
    assert ("Page 1 of 2" in first, "Page 2 of 2" in second) == (True, True)
    assert ("Zoë 59" in first, "Zoë 59" in second) == (False, True)
    assert "These are 50 of 60." in words(await chris_portal.press("/admin/accounts", letters="@x.example"))


_LETTERS = str.maketrans("0123456789", "bcdefghijk")


async def test_someone_is_found_by_any_letters_of_their_name(
    services: Services, chris_portal: Portal, database_kind: str
) -> None:
    await services.registering.create_account(email="elise@zegelpost.example", name="Élise Öztürk", password=PASSWORD)
    for letters in ("Élise", "élise", "ÖZT", "öztürk", "ELISE@"):
        found = words(await chris_portal.press("/admin/accounts", letters=letters))
        assert ("Élise Öztürk" in found, "Bram Jansen" in found) == (True, False), letters


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/admin/accounts", "letters"),
        ("/departments", "manager"),
        ("/departments", "name"),
        ("/templates/signature", "signature"),
    ],
)
async def test_a_character_that_no_database_holds_breaks_nothing(
    chris_portal: Portal, database_kind: str, path: str, field: str
) -> None:
    assert (await chris_portal.press(path, **{field: "Anna\x00 "})).status_code in {200, 422}
