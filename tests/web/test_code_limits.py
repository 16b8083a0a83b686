"""Codes cost money and disturb people: how many may be asked for, by whom, and who hears of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx2
import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs
from tests.conftest import BASE_URL, MovableClock, Outbox, Portal, browser, make_administrator
from tests.stand_ins.gateways import FakeMail, FakeSms
from tests.web.acts import Row, form_of, recognise, send, sentences, words

from zegelpost.main import Services, build_app, build_services
from zegelpost.model.policy import Policy
from zegelpost.model.recipient import CODES_PER_HOUR
from zegelpost.ports import SmsError, SmsErrorKind
from zegelpost.services import limiting_codes
from zegelpost.services.dispatching import Gateways
from zegelpost.settings import Settings

CHRIS = "chris@zegelpost.example"
REFUSED = "Too many codes have been sent. Try again later."


@pytest.fixture
def policy(policy: Policy) -> Policy:
    return replace(policy, codes_per_day=10, codes_per_sender_and_day=6)


@pytest.fixture
async def chris(services: Services, app: Starlette) -> str:
    await make_administrator(services)
    return CHRIS


def person(number: int) -> Row:
    return Row(f"R {number}", f"r{number}@zorg.example", f"06-12 34 56 {number:02d}", f"+316123456{number:02d}")


async def ask(app: Starlette, outbox: Outbox, row: Row, address: str = "198.51.100.1") -> httpx2.Response:
    """Open the link on a device somewhere, and ask for a code."""
    link = await outbox.link(row.email)
    transport = httpx2.ASGITransport(app=app, client=(address, 1))
    async with httpx2.AsyncClient(
        transport=transport, base_url=BASE_URL, follow_redirects=True, headers={"Accept-Language": "en"}
    ) as someone:
        await recognise(someone, link)
        return await someone.post(f"{link[0]}/code")


async def portal_of(app: Starlette, name: str) -> Portal:
    portal = Portal(browser(app))
    await portal.sign_in(f"{name}@zegelpost.example")
    return portal


async def mails(outbox: Outbox, to: str) -> list[str]:
    return [" ".join(mail["text"].split()) for mail in await outbox.all(kind="mail", to=to)]


async def test_the_codes_of_one_sender_have_a_limit_and_an_alarm(
    app: Starlette, chris: str, anna_portal: Portal, outbox: Outbox, clock: MovableClock
) -> None:
    rows = [person(number) for number in range(8)]
    await send(anna_portal, *rows)
    with capture_logs() as lines:
        statuses = [(await ask(app, outbox, row)).status_code for row in rows]

    assert statuses == [200] * 6 + [429] * 2
    assert len(await outbox.all(kind="sms")) == 6
    assert [line["alarm"] for line in lines if line["event"] == "alarm"] == ["codes_of_sender"]
    [mail] = await mails(outbox, chris)
    assert "één afzender zijn in 24 uur 6 codes aangevraagd" in mail
    bram = await portal_of(app, "bram")
    await send(bram, person(9))
    assert (await ask(app, outbox, person(9))).status_code == 200

    clock.forward(days=1)
    assert (await ask(app, outbox, rows[7])).status_code == 200


async def test_the_day_has_a_limit_with_a_warning_before(
    database_kind: str, app: Starlette, chris: str, anna_portal: Portal, outbox: Outbox
) -> None:
    mine, theirs = [person(n) for n in range(5)], [person(n) for n in range(10, 16)]
    await send(anna_portal, *mine)
    await send(await portal_of(app, "bram"), *theirs)
    for row in mine:
        await ask(app, outbox, row)
    assert await mails(outbox, chris) == []
    for row in theirs[:3]:
        await ask(app, outbox, row)
    [warning] = await mails(outbox, chris)
    assert "vier vijfde verstuurd van de 10 codes" in warning

    # Many at once are not more than are left.
    answers = await asyncio.gather(*(ask(app, outbox, row) for row in theirs[3:]))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 429]
    assert [REFUSED in words(answer) for answer in answers].count(True) == 1
    assert len(await outbox.all(kind="sms")) == 10
    assert len(await mails(outbox, chris)) == 2
    assert "alle 10 codes verstuurd" in (await mails(outbox, chris))[1]


async def test_one_number_gets_no_more_from_many_links_at_once(
    database_kind: str, app: Starlette, anna_portal: Portal, outbox: Outbox
) -> None:
    rows = [Row(f"R {number}", f"r{number}@zorg.example", "06-12 34 56 78", "+31612345678") for number in range(6)]
    await send(anna_portal, *rows)
    await outbox.deliver()  # every link, before several look for theirs

    answers = await asyncio.gather(*(ask(app, outbox, row) for row in rows))

    assert sorted(answer.status_code for answer in answers) == [200] * CODES_PER_HOUR + [429]
    assert len(await outbox.all(kind="sms")) == CODES_PER_HOUR


async def test_a_network_has_a_limit_and_others_do_not_suffer(
    app: Starlette, chris: str, anna_portal: Portal, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiting_codes, "CODES_PER_NETWORK_AND_HOUR", 2)
    rows = [person(number) for number in range(4)]
    await send(anna_portal, *rows)

    statuses = [(await ask(app, outbox, row)).status_code for row in rows[:3]]
    elsewhere = await ask(app, outbox, rows[3], "203.0.113.9")

    assert (statuses, elsewhere.status_code) == ([200, 200, 429], 200)
    [mail] = await mails(outbox, chris)
    assert "Vanaf één netwerk zijn in een uur 2 codes aangevraagd" in mail


async def test_nobody_is_alarmed_twice_a_day(
    app: Starlette, chris: str, anna_portal: Portal, outbox: Outbox, clock: MovableClock
) -> None:
    rows = [person(number) for number in range(13)]
    await send(anna_portal, *rows)
    for row in rows[:6]:
        await ask(app, outbox, row)
        clock.forward(minutes=10)
    clock.forward(hours=23, minutes=10)
    assert (await ask(app, outbox, rows[7])).status_code == 200  # the first of yesterday no longer counts
    assert len(await mails(outbox, chris)) == 1


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (SmsErrorKind.OUR_SETUP, "niet goed is ingesteld"),
        (SmsErrorKind.SUSPICIOUS, "voor misbruik aanziet"),
        (SmsErrorKind.NUMBER_WRONG, None),
    ],
)
async def test_what_no_sender_can_mend_goes_to_administrators(
    settings: Settings, clock: MovableClock, policy: Policy, services: Services, chris: str, kind: SmsErrorKind, said: str | None
) -> None:
    mail, sms = FakeMail(), FakeSms()
    failing = build_services(settings, gateways=Gateways(mail, sms), clock=clock, policy=policy)
    app = build_app(failing, has_worker=False)
    outbox = Outbox(services)  # its demo outbox is where links are read from
    sms.failures.append(SmsError("no", kind=kind, is_permanent=True, may_have_been_sent=False))
    portal = await portal_of(app, "anna")
    await send(portal, person(1))
    await ask(app, outbox, person(1))
    while await failing.dispatching.dispatch():
        pass
    await failing.database.close()

    told = [delivered.message.decode() for delivered in mail.delivered if delivered.recipient == chris]
    assert len(told) == (said is not None)


async def test_only_to_countries_of_the_policy(
    settings: Settings, clock: MovableClock, services: Services, app: Starlette
) -> None:
    narrow = build_services(replace(settings, sms_countries=("+31",)), clock=clock)
    assert narrow.policy.country_prefixes == ("+31",)
    assert "+32" in services.policy.country_prefixes
    portal = await portal_of(build_app(narrow, has_worker=False), "anna")

    answer = await portal.press("/transfers", **form_of(Row("B", "b@zorg.example", "+32 470 12 34 56")))
    await narrow.database.close()

    assert "+32" in sentences(answer)["recipient-0-mobile"]
