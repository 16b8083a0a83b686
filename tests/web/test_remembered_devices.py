"""A remembered device: thirty days without a code for one recipient, and nothing more than that."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace
from http.cookies import SimpleCookie
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select, text
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.stand_ins.bounces import postfix
from tests.stand_ins.gateways import FakeMail, FakeSms
from tests.web.acts import DOCUMENT, ROSA, SAM, Row, enter, other_than, recognise, send, words

from zegelpost.main import Services, build_app, build_services, build_worker
from zegelpost.model.event import Event, EventTag
from zegelpost.model.outgoing import Outgoing, Purpose
from zegelpost.model.policy import Policy
from zegelpost.model.remembered_device import MOST_DEVICES, RememberedDevice
from zegelpost.ports import MailError
from zegelpost.services.dispatching import Gateways
from zegelpost.services.taking_bounces import Taken
from zegelpost.settings import Settings

TICK = "Remember this device for 30 days"


@pytest.fixture
async def rosa(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    async with browser(app) as someone:
        yield someone


async def invitation(outbox: Outbox, to: str) -> tuple[str, str]:
    """Path and secret of the latest link, whatever was mailed after it."""
    for mail in reversed(await outbox.all(kind="mail", to=to)):
        if found := re.search(r"(/o/[a-z2-7]{26})#([a-z2-7]{32})$", mail["text"], re.MULTILINE):
            return found.group(1), found.group(2)
    raise AssertionError("no link")


async def about_device(outbox: Outbox, to: str = ROSA.email) -> dict[str, Any]:
    """The one mail about a device."""
    [mail] = [mail for mail in await outbox.all(kind="mail", to=to) if "device remembered" in mail["subject"]]
    return mail


async def open_remembering(someone: httpx2.AsyncClient, outbox: Outbox, row: Row = ROSA) -> httpx2.Response:
    """Open with a code and the tick; returns the answer to the code, with its cookie."""
    link = await invitation(outbox, row.email)
    await recognise(someone, link)
    await someone.post(f"{link[0]}/code")
    code = await outbox.code(row.number)
    answer = await someone.post(f"{link[0]}/verify", data={"code": code, "remember": "1"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{link[0]}/transfer")
    return answer


async def knock(someone: httpx2.AsyncClient, outbox: Outbox, row: Row = ROSA) -> bool:
    """Press the button behind the latest link; whether that alone opened it."""
    link = await invitation(outbox, row.email)
    answer = await recognise(someone, link)
    assert answer.url.path in {f"{link[0]}/transfer", f"{link[0]}/verify"}, words(answer)
    return answer.url.path == f"{link[0]}/transfer"


async def device_events(services: Services) -> list[tuple[EventTag, dict[str, Any]]]:
    tags = {EventTag.DEVICE_REMEMBERED, EventTag.DEVICE_RECOGNISED, EventTag.DEVICE_REMOVED, EventTag.CODE_VERIFIED}
    async with services.database.reading() as session:
        events = await session.scalars(select(Event).where(Event.tag.in_(tags)).order_by(Event.id))
        return [(event.tag, event.facts) for event in events]


async def device_count(services: Services) -> int:
    async with services.database.reading() as session:
        return await session.scalar(select(func.count()).select_from(RememberedDevice)) or 0


@pytest.fixture
async def transfer_id(anna_portal: Portal, outbox: Outbox, rosa: httpx2.AsyncClient) -> str:
    """A transfer that Rosa opened with a code, and the tick that has her device remembered."""
    sent = await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT})
    await open_remembering(rosa, outbox)
    return sent


async def test_with_the_tick_later_transfers_open_without_a_code(
    database_kind: str,
    transfer_id: str,
    services: Services,
    anna: httpx2.AsyncClient,
    anna_portal: Portal,
    outbox: Outbox,
    clock: MovableClock,
    rosa: httpx2.AsyncClient,
) -> None:
    assert len(await outbox.all(kind="sms")) == 1
    clock.forward(days=3)
    anna_again = await anna.post("/api/v1/sign-in", json={"email": "anna@zegelpost.example", "password": "demo-zegelpost-2026"})
    anna.headers["Authorization"] = f"Bearer {anna_again.json()['access_token']}"
    await anna_portal.sign_in("anna@zegelpost.example")
    later = await send(anna_portal, ROSA, documents={"b.pdf": DOCUMENT})

    link = await invitation(outbox, ROSA.email)
    opened = await recognise(rosa, link)

    assert opened.url.path == f"{link[0]}/transfer"
    document = re.findall(rf'href="({link[0]}/documents/[a-z2-7]{{26}})"', opened.text)[0]
    assert (await rosa.get(document)).content == DOCUMENT
    assert len(await outbox.all(kind="sms")) == 1
    assert await device_events(services) == [
        (EventTag.CODE_VERIFIED, {"method": "sms"}),
        (EventTag.DEVICE_REMEMBERED, {}),
        (EventTag.DEVICE_RECOGNISED, {"method": "remembered_device"}),
    ]
    # The report says in what way, and never that a code was entered.
    report = (await anna.get(f"/api/v1/transfers/{later}/report.json")).json()
    (recipient,) = report["recipients"]
    assert (recipient["by_device"], recipient["proved"] is not None) == (True, True)
    events = {event["event"]: event["nta_7516"] for event in report["events"]}
    assert events["device:recognised"] == "consulted"
    assert "code:verified" not in events
    page = words(await anna_portal.client.get(f"/transfers/{later}/report"))
    assert "Link by e-mail and a device remembered after an earlier code" in page
    assert "Opened without a code on a remembered device" in page
    (first,) = (await anna.get(f"/api/v1/transfers/{transfer_id}/report.json")).json()["recipients"]
    assert first["by_device"] is False


async def test_without_the_tick_nothing_is_kept(
    anna_portal: Portal, services: Services, outbox: Outbox, rosa: httpx2.AsyncClient
) -> None:
    await send(anna_portal, ROSA)
    link = await invitation(outbox, ROSA.email)
    await recognise(rosa, link)
    assert TICK not in words(await rosa.get(f"{link[0]}/verify"))  # nothing to tick before there is a code
    waiting = await rosa.post(f"{link[0]}/code")
    assert TICK in words(waiting)
    assert not re.search(r'name="remember"[^>]*checked', waiting.text)

    await enter(rosa, link[0], await outbox.code(ROSA.number))

    assert await device_count(services) == 0
    assert not any("device" in name for name in rosa.cookies)
    assert await knock(rosa, outbox) is False


async def test_a_wrong_code_remembers_nothing_and_keeps_the_tick(
    anna_portal: Portal, services: Services, outbox: Outbox, rosa: httpx2.AsyncClient
) -> None:
    await send(anna_portal, ROSA)
    link = await invitation(outbox, ROSA.email)
    await recognise(rosa, link)
    await rosa.post(f"{link[0]}/code")
    code = await outbox.code(ROSA.number)

    answer = await rosa.post(f"{link[0]}/verify", data={"code": other_than(code), "remember": "1"})

    assert answer.status_code == 422
    assert re.search(r'name="remember"[^>]*checked', answer.text)
    assert await device_count(services) == 0


async def test_the_cookie_stays_with_the_browser_and_only_its_digest_with_us(
    anna_portal: Portal, services: Services, outbox: Outbox, rosa: httpx2.AsyncClient
) -> None:
    await send(anna_portal, ROSA)
    answer = await open_remembering(rosa, outbox)

    (header,) = [each for each in answer.headers.get_list("set-cookie") if "zegelpost-device-" in each]
    (cookie,) = SimpleCookie(header).values()
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/")
    assert int(cookie["max-age"]) == 30 * 24 * 3600
    assert ROSA.email not in header
    async with services.database.reading() as session:
        assert await session.scalar(select(RememberedDevice.digest)) == hashlib.sha256(cookie.value.encode()).digest()
        rows = repr((await session.execute(text("SELECT * FROM remembered_device"))).all())
    assert cookie.value not in rows
    assert ROSA.email not in rows


async def test_with_tls_the_cookie_is_secure_and_of_this_host_alone(
    settings: Settings, services: Services, policy: Policy, app: Starlette
) -> None:
    secure = build_services(replace(settings, base_url="https://127.0.0.1:8000"), policy=policy, clock=services.clock)
    async with browser(build_app(secure, has_worker=False)) as anna, browser(build_app(secure, has_worker=False)) as rosa:
        anna.base_url = rosa.base_url = httpx2.URL("https://127.0.0.1:8000")
        portal, outbox = Portal(anna), Outbox(secure)
        await portal.sign_in("anna@zegelpost.example")
        await send(portal, ROSA)
        answer = await open_remembering(rosa, outbox)
        (header,) = [each for each in answer.headers.get_list("set-cookie") if "zegelpost-device-" in each]
        (cookie,) = SimpleCookie(header).values()
        assert cookie.key.startswith("__Host-zegelpost-device-")
        assert (cookie["secure"], cookie["domain"]) == (True, "")
        await send(portal, ROSA)
        assert await knock(rosa, outbox) is True
    await secure.database.close()


@pytest.mark.parametrize(("days", "is_open"), [(29, True), (30, False)])
async def test_it_lasts_thirty_days_and_using_it_does_not_lengthen_that(
    transfer_id: str,
    services: Services,
    anna_portal: Portal,
    outbox: Outbox,
    clock: MovableClock,
    rosa: httpx2.AsyncClient,
    days: int,
    is_open: bool,
) -> None:
    await outbox.deliver()  # the mail about it, without which there is no device for long
    clock.forward(days=20)
    await anna_portal.sign_in("anna@zegelpost.example")
    await send(anna_portal, ROSA)
    assert await knock(rosa, outbox) is True
    clock.forward(days=days - 20)

    assert await knock(rosa, outbox) is is_open

    await services.remembering.forget_old()
    assert await device_count(services) == int(is_open)


async def test_it_is_of_one_address_and_one_number_and_of_one_browser(
    app: Starlette, transfer_id: str, anna_portal: Portal, outbox: Outbox, rosa: httpx2.AsyncClient
) -> None:
    await send(anna_portal, SAM)
    assert await knock(rosa, outbox, SAM) is False, "another recipient"
    await send(anna_portal, Row(ROSA.name, ROSA.email, SAM.mobile))
    assert await knock(rosa, outbox) is False, "the same address at another number"
    await send(anna_portal, Row("Rosa", "rosa@elders.example", ROSA.mobile))
    assert await knock(rosa, outbox, Row("", "rosa@elders.example")) is False, "the same number at another address"
    async with browser(app) as elsewhere:
        await send(anna_portal, ROSA)
        assert await knock(elsewhere, outbox) is False, "another browser"
    assert await knock(rosa, outbox) is True, "and still hers"


async def test_the_link_is_still_needed(transfer_id: str, anna_portal: Portal, outbox: Outbox, rosa: httpx2.AsyncClient) -> None:
    await send(anna_portal, ROSA)
    path, secret = await invitation(outbox, ROSA.email)

    assert (await rosa.get(f"{path}/transfer")).url.query == b"again=1"
    wrong = await rosa.post(path, data={"link_secret": secret[::-1]})
    assert wrong.status_code in {404, 403, 422}
    assert (await rosa.get(f"{path}/transfer")).url.query == b"again=1"


async def test_two_recipients_share_a_browser(
    transfer_id: str, anna_portal: Portal, outbox: Outbox, rosa: httpx2.AsyncClient
) -> None:
    await send(anna_portal, SAM)
    await open_remembering(rosa, outbox, SAM)
    await send(anna_portal, ROSA, SAM)

    assert await knock(rosa, outbox) is True
    assert await knock(rosa, outbox, SAM) is True


async def test_an_access_code_is_asked_every_time(
    transfer_id: str, anna_portal: Portal, services: Services, outbox: Outbox, rosa: httpx2.AsyncClient
) -> None:
    coded = {"recipient-0-method": "access_code", "recipient-0-access_code": "tulp-en-molen"}
    await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT}, **coded)
    assert await knock(rosa, outbox) is False
    path, _ = await invitation(outbox, ROSA.email)
    assert TICK not in words(await rosa.get(f"{path}/verify"))
    before = await device_count(services)

    await rosa.post(f"{path}/verify", data={"code": "tulp-en-molen", "remember": "1"})

    assert await device_count(services) == before


async def test_the_mail_tells_and_its_link_removes_and_closes(
    database_kind: str,
    app: Starlette,
    transfer_id: str,
    services: Services,
    anna_portal: Portal,
    outbox: Outbox,
    rosa: httpx2.AsyncClient,
) -> None:
    mail = await about_device(outbox)
    assert "Until 23 December 2026 you need no code" in " ".join(mail["text"].split())
    found = re.search(r"^http://127\.0\.0\.1:8000(/o/device/[a-z2-7]{26})$", mail["text"], re.MULTILINE)
    assert found
    path, _ = await invitation(outbox, ROSA.email)
    async with browser(app) as anyone:
        # A scanner looks, also with HEAD; nothing happens.
        page = await anyone.get(found.group(1))
        await anyone.head(found.group(1))
        unknown = await anyone.get("/o/device/" + "a" * 26)
        assert words(page) == words(unknown)
        assert ROSA.email not in page.text
        assert await device_count(services) == 1

        removed = await anyone.post(found.group(1))
        again = await anyone.post(found.group(1))
        nonsense = await anyone.post("/o/device/nonsense")

    assert removed.status_code == again.status_code == nonsense.status_code == 200
    assert words(removed) == words(again) == words(nonsense)
    assert await device_count(services) == 0
    assert (await rosa.get(f"{path}/transfer")).url.query == b"again=1", "what was open has closed"
    assert await knock(rosa, outbox) is False
    assert (await device_events(services))[-1] == (EventTag.DEVICE_REMOVED, {"reason": "asked"})
    history = words(await anna_portal.client.get(f"/transfers/{transfer_id}"))
    assert "Device remembered for 30 days" in history
    assert "Remembered devices forgotten" in history


@pytest.mark.parametrize(
    ("button", "reason"), [("revoke", "revoked"), ("recipients/{}/block", "blocked"), ("recipients/{}/reissue", "reissued")]
)
async def test_the_sender_who_shuts_out_or_makes_a_new_link_ends_it(
    database_kind: str,
    transfer_id: str,
    services: Services,
    anna: httpx2.AsyncClient,
    anna_portal: Portal,
    outbox: Outbox,
    rosa: httpx2.AsyncClient,
    button: str,
    reason: str,
) -> None:
    (recipient,) = (await anna.get(f"/api/v1/transfers/{transfer_id}")).json()["recipients"]

    await anna_portal.press(f"/transfers/{transfer_id}/{button.format(recipient['id'])}")

    assert await device_count(services) == 0
    assert (await device_events(services))[-1] == (EventTag.DEVICE_REMOVED, {"reason": reason})
    await send(anna_portal, ROSA)
    assert await knock(rosa, outbox) is False


@pytest.mark.parametrize("button", ["revoke", "recipients/{}/block", "recipients/{}/reissue"])
async def test_what_one_sender_doubts_takes_nothing_from_another(
    database_kind: str,
    app: Starlette,
    transfer_id: str,
    services: Services,
    outbox: Outbox,
    rosa: httpx2.AsyncClient,
    clock: MovableClock,
    button: str,
) -> None:
    clock.forward(minutes=1)
    bram = Portal(browser(app))
    await bram.sign_in("bram@zegelpost.example")
    his = await send(bram, ROSA)
    his_link = await invitation(outbox, ROSA.email)
    assert await knock(rosa, outbox) is True, "Anna's device stands for the code that he would have sent"
    (rid,) = re.findall(r"/recipients/([a-z2-7]{26})/reissue", (await bram.client.get(f"/transfers/{his}")).text)
    clock.forward(minutes=1)

    await bram.press(f"/transfers/{his}/{button.format(rid)}")

    # Whoever has his new link proves anew who they are; hers, and what she sends next, stay as they were.
    link = await invitation(outbox, ROSA.email)
    if "reissue" in button:
        assert link != his_link
        assert await knock(rosa, outbox) is False
    assert await device_count(services) == 1
    async with services.database.reading() as session:
        assert await session.scalar(select(func.count()).where(Event.tag == EventTag.DEVICE_REMOVED)) == 0
    anna = Portal(browser(app))
    await anna.sign_in("anna@zegelpost.example")
    await send(anna, ROSA)
    assert await knock(rosa, outbox) is True


@pytest.mark.parametrize("is_refused", [True, False])
async def test_a_device_of_which_nobody_could_be_told_is_forgotten(
    settings: Settings,
    transfer_id: str,
    services: Services,
    rosa: httpx2.AsyncClient,
    anna_portal: Portal,
    outbox: Outbox,
    is_refused: bool,
) -> None:
    if is_refused:
        refusing = FakeMail(failures=deque([MailError("550 5.1.1", is_permanent=True)]))
        there = build_services(settings, gateways=Gateways(refusing, FakeSms()), clock=services.clock)
        assert await there.dispatching.dispatch() == 1
        await there.database.close()
    else:
        await outbox.deliver()
        async with services.database.reading() as session:
            mail_id = await session.scalar(select(Outgoing.id).where(Outgoing.purpose == Purpose.DEVICE_REMEMBERED))
        notice = postfix("zegelpost@zegelpost.example", message_id=f"{mail_id}@127.0.0.1")
        assert await services.taking_bounces.take(notice) == Taken.TOLD

    assert await device_count(services) == 0
    assert (await device_events(services))[-1] == (EventTag.DEVICE_REMOVED, {"reason": "untold"})
    await send(anna_portal, ROSA)
    assert await knock(rosa, outbox) is False


async def test_a_reminder_leaves_it(
    transfer_id: str, services: Services, anna_portal: Portal, outbox: Outbox, rosa: httpx2.AsyncClient
) -> None:
    await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT})
    path, _ = await invitation(outbox, ROSA.email)
    page = await anna_portal.client.get("/sent")
    latest = re.findall(r"/transfers/([a-z2-7]{26})", page.text)[0]
    await anna_portal.press(f"/transfers/{latest}/remind")

    assert (await invitation(outbox, ROSA.email))[0] != path
    assert await knock(rosa, outbox) is True


@pytest.mark.parametrize("wrong", [4, 5, 15])
async def test_too_many_wrong_codes_anywhere_end_it(
    app: Starlette,
    transfer_id: str,
    services: Services,
    anna_portal: Portal,
    outbox: Outbox,
    clock: MovableClock,
    rosa: httpx2.AsyncClient,
    wrong: int,
) -> None:
    clock.forward(minutes=1)
    await send(anna_portal, ROSA)
    link = await invitation(outbox, ROSA.email)
    async with browser(app) as thief:
        await recognise(thief, link)
        for number in range(wrong):
            if number % 5 == 0:
                clock.forward(minutes=3)
                await thief.post(f"{link[0]}/code")
            await enter(thief, link[0], other_than(await outbox.code(ROSA.number)))

    assert await device_count(services) == (1 if wrong < 5 else 0)
    await send(anna_portal, ROSA)
    assert await knock(rosa, outbox) is (wrong < 5)


async def test_a_locked_link_stays_locked_to_a_remembered_device(
    app: Starlette, transfer_id: str, services: Services, outbox: Outbox, clock: MovableClock, rosa: httpx2.AsyncClient
) -> None:
    link = await invitation(outbox, ROSA.email)
    async with browser(app) as thief:
        await recognise(thief, link)
        for number in range(15):
            if number % 5 == 0:
                clock.forward(minutes=3)
                await thief.post(f"{link[0]}/code")
            await enter(thief, link[0], other_than(await outbox.code(ROSA.number)))

    assert (await recognise(rosa, link)).status_code == 423


async def test_ticking_again_replaces_and_the_oldest_of_too_many_goes(
    app: Starlette,
    transfer_id: str,
    anna_portal: Portal,
    services: Services,
    outbox: Outbox,
    clock: MovableClock,
    rosa: httpx2.AsyncClient,
) -> None:
    clock.forward(minutes=1)
    await send(anna_portal, ROSA)
    link = await invitation(outbox, ROSA.email)
    old = dict(rosa.cookies)
    for number in range(MOST_DEVICES):
        clock.forward(hours=3)
        async with browser(app) as another:
            await open_remembering(another, outbox)
            assert await device_count(services) == min(number + 2, MOST_DEVICES)
            if number == 0:
                clock.forward(hours=3)
                await another.post(f"{link[0]}/leave")
                for name in [name for name in another.cookies if "open" in name]:
                    del another.cookies[name]
                await recognise(another, link)
                assert await device_count(services) == 2
    assert any("device" in name for name in old)
    assert await knock(rosa, outbox) is False, "hers was the oldest"


async def test_an_administrator_can_forbid_it(
    transfer_id: str,
    settings: Settings,
    policy: Policy,
    services: Services,
    anna_portal: Portal,
    outbox: Outbox,
    rosa: httpx2.AsyncClient,
) -> None:
    await send(anna_portal, ROSA)
    link = await invitation(outbox, ROSA.email)
    strict = build_services(settings, policy=replace(policy, remembers_devices=False), clock=services.clock)
    async with browser(build_app(strict, has_worker=False)) as there:
        there.cookies = rosa.cookies
        answer = await recognise(there, link)
        assert answer.url.path == f"{link[0]}/verify"
        assert TICK not in words(await there.post(f"{link[0]}/code"))
        opened = await there.post(f"{link[0]}/verify", data={"code": await Outbox(strict).code(ROSA.number), "remember": "1"})
        assert opened.url.path == f"{link[0]}/transfer"
    await strict.database.close()
    assert await device_count(services) == 1


async def test_the_worker_sweeps_what_is_past(services: Services, transfer_id: str, clock: MovableClock) -> None:
    clock.forward(days=31)
    await build_worker(services).sweep()

    assert await device_count(services) == 0
