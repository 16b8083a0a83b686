"""The public page stays useful when someone means harm, and when things change while a guest is busy."""

from __future__ import annotations

import asyncio
import html
import re
from datetime import datetime

import httpx2
import pytest
from sqlalchemy import select, update
from starlette.applications import Starlette
from tests.conftest import Outbox, Portal, browser
from tests.web.acts import sentences, words
from tests.web.intake_acts import GUUS, TYPED, come_in, hand_in, introduce, mailed_code, open_department, puzzle_of, solve
from tests.web.test_opening import everything

from zegelpost.main import Services, build_app, build_services
from zegelpost.model.event import Event, EventTag
from zegelpost.model.staff_user import StaffUser
from zegelpost.model.transfer import Transfer
from zegelpost.settings import Settings

pytestmark = pytest.mark.anyio


async def close(portal: Portal, department: str) -> None:
    closed = await portal.press(f"/departments/{department}/close")
    assert closed.status_code == 200, words(closed)


async def proved(guest: httpx2.AsyncClient, **fields: str) -> httpx2.Response:
    """With proof of work, as a browser with script does."""
    return await introduce(guest, proof=solve(puzzle_of(await guest.get("/i/new"))), **fields)


async def sent_at(services: Services) -> list[datetime | None]:
    """Of each answer, also those that are still drafts."""
    async with services.database.reading() as session:
        return list(await session.scalars(select(Transfer.sent_at).where(Transfer.kind == "answer")))


async def test_what_nobody_would_read_is_not_taken_in_and_not_lost(
    app: Starlette, services: Services, chris_portal: Portal, outbox: Outbox, database_kind: str
) -> None:
    department = await open_department(services)
    async with browser(app) as guest:
        base = await come_in(guest, outbox, to=department, colleague="")
        await close(chris_portal, department)
        refused = await hand_in(guest, base, note="Dit blijft staan.")
        assert refused.status_code == 409
        assert "does not take documents any more" in words(refused)
        page = await guest.get(f"{base}/answer")
        assert "melding.pdf" in words(page)
    assert await sent_at(services) == [None]
    assert await outbox.all(kind="mail", to="klachten@zegelpost.example") == []
    async with services.database.reading() as session:
        assert EventTag.ANSWER_RECEIVED not in set(await session.scalars(select(Event.tag)))


@pytest.mark.parametrize(("others", "field"), [(("Bezwaar",), "to"), ((), "colleague")])
@pytest.mark.parametrize("step", ["/i/confirm", "/i/confirm/again"])
async def test_a_department_that_closes_while_the_code_is_out_leads_back_to_the_form(
    app: Starlette,
    services: Services,
    chris_portal: Portal,
    outbox: Outbox,
    step: str,
    others: tuple[str, ...],
    field: str,
    database_kind: str,
) -> None:
    department = await open_department(services)
    for name in others:
        await open_department(services, name=name)
    async with browser(app) as guest:
        await introduce(guest, to=department, colleague="")
        code = await mailed_code(outbox)
        await close(chris_portal, department)
        back = await guest.post(step, data={"code": code})
        assert back.status_code == 422
        assert sentences(back) == {field: "Choose for whom it is."}
        for typed in ("name", "email", "mobile", "subject", "reference"):
            assert f'value="{html.escape(TYPED[typed])}"' in back.text
    assert await sent_at(services) == []


async def test_starts_at_once_are_counted_one_by_one(
    app: Starlette, services: Services, outbox: Outbox, database_kind: str
) -> None:
    async with browser(app) as guest:
        answers = await asyncio.gather(*(introduce(guest, email=f"g{number}@praktijk.example") for number in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429] * 15
    assert len(await outbox.all(kind="mail")) == 5


async def test_a_colleague_is_not_flooded_with_what_they_did_not_ask_for(
    app: Starlette, services: Services, outbox: Outbox, database_kind: str
) -> None:
    async with browser(app) as guest:
        base = await come_in(guest, outbox)
        for number in range(10):
            done = await hand_in(guest, base, name=f"bijlage-{number}.pdf")
            assert "We have received it" in words(done)
        refused = await hand_in(guest, base, name="bijlage-te-veel.pdf")
        assert refused.status_code == 429
        assert "bijlage-te-veel.pdf" in words(await guest.get(f"{base}/answer"))
    assert len(await outbox.all(kind="mail", to="anna@zegelpost.example")) == 10


async def test_one_mailbox_does_not_fill_the_store_with_what_it_never_sends(
    app: Starlette, services: Services, outbox: Outbox, database_kind: str
) -> None:
    bases = []
    for _ in range(3):
        async with browser(app) as guest:
            await proved(guest)
            inside = await guest.post("/i/confirm", data={"code": await mailed_code(outbox)})
            bases.append(inside.url.path)
            cookies = guest.cookies
    assert len(set(bases)) == 3
    async with browser(app) as another:
        await proved(another)
        code = await mailed_code(outbox)
        refused = await another.post("/i/confirm", data={"code": code})
        assert refused.status_code == 429
        assert "You began 3 times and sent nothing yet" in sentences(refused)["code"]
        # Whoever finishes one may go on with the code that waits.
        async with browser(app) as guest:
            guest.cookies = cookies
            assert "We have received it" in words(await hand_in(guest, bases[-1].removesuffix("/answer")))
        assert (await another.post("/i/confirm", data={"code": code})).url.path.endswith("/answer")


async def test_the_notice_says_what_was_confirmed_and_not_what_was_typed(
    app: Starlette, services: Services, outbox: Outbox, database_kind: str
) -> None:
    async with browser(app) as guest:
        base = await come_in(guest, outbox, name="Bank www.evil.example/inloggen", subject="Uw wachtwoord")
        await hand_in(guest, base)
    notice = (await outbox.all(kind="mail", to="anna@zegelpost.example"))[-1]
    told = notice["subject"] + notice["text"] + notice["html"]
    assert GUUS in told
    for typed in ("evil", "Bank", "wachtwoord"):
        assert typed not in told


async def test_a_colleague_who_left_looks_like_any_other(
    app: Starlette, services: Services, outbox: Outbox, database_kind: str
) -> None:
    pages = []
    for number in range(2):
        async with browser(app) as guest:
            email = f"guus{number}@praktijk.example"
            base = await come_in(guest, outbox, colleague="bram@zegelpost.example", email=email)
            seen = [words(await guest.get(f"{base}/answer")), words(await hand_in(guest, base))]
        pages.append([re.sub(r"[A-Z2-7]{4}-[A-Z2-7]{4}", "…", each).replace(email, "Y") for each in seen])
        async with services.database.work() as session:
            await session.execute(
                update(StaffUser).where(StaffUser.email == "bram@zegelpost.example").values(is_switched_off=True)
            )
    assert pages[0] == pages[1]


async def test_a_scanner_that_visits_the_mailed_link_changes_nothing(
    app: Starlette, services: Services, outbox: Outbox, database_kind: str
) -> None:
    async with browser(app) as guest:
        await come_in(guest, outbox)
    path, secret = await outbox.link(GUUS)
    before, sent = await everything(services), len(await outbox.all())
    async with browser(app) as scanner:
        for address in (path, f"{path}?fbclid=1", f"{path}%23{secret}", f"{path}/transfer", f"{path}/answer"):
            for method in ("GET", "HEAD"):
                looked = await scanner.request(method, address)
                assert TYPED["subject"] not in looked.text
        assert not scanner.cookies
    assert await everything(services) == before
    assert len(await outbox.all()) == sent


async def test_an_organisation_that_wants_no_public_page_switches_it_off(
    services: Services, settings: Settings, outbox: Outbox
) -> None:
    environment = {
        "ZEGELPOST_DEMO": "1",
        "ZEGELPOST_BASE_URL": settings.base_url,
        "ZEGELPOST_DATA_DIR": str(settings.data_dir),
        "ZEGELPOST_INTAKE": "off",
    }
    closed = build_services(Settings.from_environment(environment))
    async with browser(build_app(closed, has_worker=False)) as guest:
        assert (await guest.get("/i")).status_code == 404
        assert (await introduce(guest)).status_code == 404
    await closed.database.close()
