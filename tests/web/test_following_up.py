"""Anna follows up: extend, remind, block, withdraw, and what each may and may not."""

from __future__ import annotations

import asyncio
import re

import pytest
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.web.acts import BRAM, DOCUMENT, ROSA, SAM, open_link, recognise, send, words

from zegelpost.main import Services, build_worker


@pytest.mark.parametrize(
    ("after_days", "days", "sentence"),
    [
        (0, "29", "The transfer is available longer. The links keep working."),
        (0, "365", "The transfer is available longer. The links keep working."),
        (0, "366", "Choose a number of days from 1 to 365."),
        (0, "0", "Choose a number of days from 1 to 365."),
        (0, "x", "Choose a number of days from 1 to 365."),
        (0, "", "Choose a number of days from 1 to 365."),
        (0, "9" * 5000, "Choose a number of days from 1 to 365."),
        (0, "28", "Choose a number of days from 29 to 365."),
        (10, "18", "Choose a number of days from 19 to 365."),
        (10, "19", "The transfer is available longer. The links keep working."),
        (30, "1", "The transfer is available longer. The links keep working."),
        (41, "1", "The transfer is available longer. The links keep working."),
    ],
)
async def test_extending_makes_it_later_never_sooner_and_reopens_within_the_grace_period(
    app: Starlette,
    services: Services,
    anna_portal: Portal,
    outbox: Outbox,
    clock: MovableClock,
    after_days: int,
    days: str,
    sentence: str,
) -> None:
    transfer_id = await send(anna_portal, ROSA)
    await outbox.deliver()
    clock.forward(days=after_days)
    await build_worker(services).sweep()
    if after_days:
        await anna_portal.sign_in("anna@zegelpost.example")

    answer = await anna_portal.press(f"/transfers/{transfer_id}/extend", days=days)

    assert sentence in words(answer)
    async with browser(app) as rosa:
        link = await outbox.link(ROSA.email)
        is_open = after_days < 28 or "available longer" in sentence
        assert (await recognise(rosa, link)).status_code == (200 if is_open else 410)


async def test_after_the_grace_period_everything_is_gone(
    app: Starlette, services: Services, anna_portal: Portal, outbox: Outbox, clock: MovableClock
) -> None:
    transfer_id = await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT})
    await outbox.deliver()
    clock.forward(days=42)
    await build_worker(services).sweep()
    await anna_portal.sign_in("anna@zegelpost.example")

    gone = await anna_portal.press(f"/transfers/{transfer_id}/extend", days="28")

    assert gone.status_code == 404
    assert (await anna_portal.client.get(f"/transfers/{transfer_id}")).status_code == 404
    async with browser(app) as rosa:
        late = await recognise(rosa, await outbox.link(ROSA.email))
        assert late.status_code in {404, 410}
        assert "Dossier" not in late.text


async def test_reminders_go_to_who_has_not_fetched_it_and_not_twice_a_day(
    app: Starlette, anna_portal: Portal, outbox: Outbox, clock: MovableClock
) -> None:
    transfer_id = await send(anna_portal, ROSA, SAM, BRAM, documents={"a.pdf": DOCUMENT})
    async with browser(app) as rosa:
        path = await open_link(rosa, outbox)
        [document] = re.findall(rf'href="({path}/documents/[a-z2-7]+)"', (await rosa.get(f"{path}/transfer")).text)
        await rosa.get(document)
    for hours, reminded, sentence in (
        (1, [SAM.email, BRAM.email], "The reminder is on its way."),
        (1, [], "The recipients got a reminder a short while ago."),
        (11, [SAM.email, BRAM.email], "The reminder is on its way."),
    ):
        clock.forward(hours=hours)
        await anna_portal.sign_in("anna@zegelpost.example")
        before = len(await outbox.all(kind="mail"))
        answer = await anna_portal.press(f"/transfers/{transfer_id}/remind")
        assert sentence in words(answer)
        assert sorted(mail["to"] for mail in (await outbox.all(kind="mail"))[before:]) == sorted(reminded)

    async with browser(app) as sam:  # the reminder brought a link that works
        await open_link(sam, outbox, SAM)


async def test_nobody_to_remind_is_told(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    transfer_id = await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT})
    async with browser(app) as rosa:
        path = await open_link(rosa, outbox)
        await rosa.get(f"{path}/archive.zip")

    answer = await anna_portal.press(f"/transfers/{transfer_id}/remind")

    assert "There is nobody to remind: everyone has fetched the documents." in words(answer)
    assert "Downloaded" in words(answer)


async def test_what_waits_for_someone_shut_out_does_not_leave_any_more(anna_portal: Portal, outbox: Outbox) -> None:
    transfer_id = await send(anna_portal, ROSA, SAM)
    page = await anna_portal.client.get(f"/transfers/{transfer_id}")
    await anna_portal.press(re.findall(r'action="([^"]+/block)"', page.text)[0])

    assert [mail["to"] for mail in await outbox.all()] == [SAM.email]


async def test_a_new_link_lets_a_blocked_recipient_in_again(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    transfer_id = await send(anna_portal, ROSA)
    old = await outbox.link(ROSA.email)
    page = await anna_portal.client.get(f"/transfers/{transfer_id}")
    [block] = re.findall(r'action="([^"]+/block)"', page.text)
    await anna_portal.press(block)
    await anna_portal.press(block.replace("/block", "/reissue"))

    async with browser(app) as rosa:
        assert (await recognise(rosa, old)).status_code == 410
        await open_link(rosa, outbox)


@pytest.mark.parametrize(("tells", "count"), [({"tell_recipients": "1"}, 1), ({}, 0)])
async def test_withdrawing_is_final_and_tells_who_was_sent_a_link_if_asked(
    anna_portal: Portal, outbox: Outbox, tells: dict[str, str], count: int
) -> None:
    transfer_id = await send(anna_portal, ROSA)
    await outbox.deliver()

    await anna_portal.press(f"/transfers/{transfer_id}/revoke", **tells)

    mails = (await outbox.all(kind="mail", to=ROSA.email))[1:]
    assert [mail["subject"] for mail in mails] == ["Documents from Gemeente Voorbeeld have been withdrawn"] * count
    for path in ("revoke", "extend", "remind"):
        answer = await anna_portal.press(f"/transfers/{transfer_id}/{path}", days="100")
        assert (path, "This is not possible with this transfer." in words(answer)) == (path, True)


async def test_two_new_links_at_once_leave_one_that_works(
    database_kind: str, app: Starlette, anna_portal: Portal, outbox: Outbox
) -> None:
    transfer_id = await send(anna_portal, ROSA)
    page = await anna_portal.client.get(f"/transfers/{transfer_id}")
    [reissue] = re.findall(r'action="([^"]+/reissue)"', page.text)

    await asyncio.gather(*(anna_portal.press(reissue) for _ in range(3)))

    mails = await outbox.all(kind="mail", to=ROSA.email)
    links = [re.findall(r"(/o/[a-z2-7]{26})#([a-z2-7]{32})", mail["text"])[0] for mail in mails]
    async with browser(app) as rosa:
        statuses = [(await recognise(rosa, link)).status_code for link in links]
    assert statuses.count(200) == 1


async def test_a_colleague_reads_it_by_signing_in_and_is_cut_off_when_blocked(
    app: Starlette, anna_portal: Portal, clock: MovableClock
) -> None:
    transfer_id = await send(anna_portal, BRAM, documents={"a.pdf": DOCUMENT})
    async with browser(app) as client:
        bram = Portal(client)
        await bram.sign_in(BRAM.email)
        assert "Dossier Visser" in (await client.get("/received")).text
        page = await client.get(f"/received/{transfer_id}")
        [document] = re.findall(rf'href="(/received/{transfer_id}/documents/[a-z2-7]+)"', page.text)
        assert (await client.get(document)).content == DOCUMENT

        await anna_portal.press(f"/transfers/{transfer_id}/extend", days="100")
        clock.forward(minutes=1)
        assert (await client.get(document)).content == DOCUMENT

        shown = await anna_portal.client.get(f"/transfers/{transfer_id}")
        await anna_portal.press(re.findall(r'action="([^"]+/block)"', shown.text)[0])
        assert (await client.get(document)).status_code == 410
        assert "Dossier Visser" not in (await client.get("/received")).text
