"""Notices: senders are told how their transfers fare, once, and only what they want to know."""

from __future__ import annotations

import asyncio
import re

import pytest
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.web.acts import DOCUMENT, ROSA, SAM, Row, open_link, send, sentences

from zegelpost.main import Services

pytestmark = pytest.mark.anyio

ANNA = "anna@zegelpost.example"


async def choose(portal: Portal, **fields: str) -> None:
    answer = await portal.press("/account/notices", **({"unopened_days": "0", "expiring_days": "0"} | fields))
    assert answer.status_code == 200, sentences(answer)


async def told(outbox: Outbox) -> list[str]:
    return [mail["subject"] for mail in await outbox.all(kind="mail", to=ANNA)]


async def test_the_first_download_is_told_once_and_only_if_wanted(
    app: Starlette, anna_portal: Portal, outbox: Outbox, database_kind: str
) -> None:
    for wanted, expected in (({}, []), ({"first_download": "1"}, ["Uw documenten zijn opgehaald"])):
        await choose(anna_portal, **wanted)
        await send(anna_portal, documents={"besluit.pdf": DOCUMENT})
        async with browser(app) as rosa:
            base = await open_link(rosa, outbox)
            page = await rosa.get(f"{base}/transfer")
            document = re.search(rf"{base}/documents/[a-z2-7]{{26}}", page.text)
            assert document
            for _ in range(2):
                await rosa.get(document.group(0))
        assert [subject for subject in await told(outbox) if "opgehaald" in subject] == expected


async def test_not_opened_is_told_once_after_the_days_that_were_chosen(
    app: Starlette, services: Services, anna_portal: Portal, outbox: Outbox, clock: MovableClock, database_kind: str
) -> None:
    await choose(anna_portal, unopened_days="3")
    await send(anna_portal, ROSA, SAM, documents={"besluit.pdf": DOCUMENT})
    await outbox.deliver()
    clock.forward(seconds=1)  # so that the second one's link is the latest
    await send(anna_portal, ROSA, documents={"gelezen.pdf": DOCUMENT})
    async with browser(app) as rosa:
        await open_link(rosa, outbox)
    clock.forward(days=2, hours=23)
    assert await services.noticing.run() == 0
    clock.forward(hours=2)
    # Two workers at once tell it once.
    assert sum(await asyncio.gather(services.noticing.run(), services.noticing.run())) == 1
    assert await services.noticing.run() == 0
    mail = (await outbox.all(kind="mail", to=ANNA))[-1]
    assert mail["subject"] == "Uw verzending is nog niet geopend"
    assert "2 ontvangers hebben ze nog niet geopend." in mail["text"]
    assert "Rosa" not in mail["text"]


async def test_who_waits_for_a_number_is_no_recipient_who_did_not_open(
    services: Services, anna_portal: Portal, clock: MovableClock, outbox: Outbox
) -> None:
    await choose(anna_portal, unopened_days="3", expiring_days="20")
    await send(anna_portal, Row(SAM.name, SAM.email), documents=None, **{"recipient-0-park": "1"})
    await send(anna_portal, ROSA, Row(SAM.name, SAM.email), documents=None, **{"recipient-1-park": "1"})
    await outbox.deliver()
    clock.forward(days=10)
    assert await services.noticing.run() == 2
    for mail in (await outbox.all(kind="mail", to=ANNA))[-2:]:
        assert "Eén ontvanger" in mail["text"]


async def test_expiring_soon_is_told_unless_all_have_fetched(
    services: Services, anna_portal: Portal, outbox: Outbox, clock: MovableClock
) -> None:
    await choose(anna_portal, expiring_days="5")
    await send(anna_portal, documents={"besluit.pdf": DOCUMENT}, expires_in_days="10")
    await outbox.deliver()
    revoked = await send(anna_portal, documents={"weg.pdf": DOCUMENT}, expires_in_days="10")
    await anna_portal.press(f"/transfers/{revoked}/revoke")
    clock.forward(days=4)
    assert await services.noticing.run() == 0
    clock.forward(days=2)
    assert await services.noticing.run() == 1
    assert await services.noticing.run() == 0
    assert "Eén ontvanger heeft ze nog niet opgehaald." in (await outbox.all(kind="mail", to=ANNA))[-1]["text"]
    clock.forward(days=30)
    assert await services.noticing.run() == 0


async def test_what_was_extended_is_told_again_before_it_expires_then(
    services: Services, anna_portal: Portal, outbox: Outbox, clock: MovableClock
) -> None:
    await choose(anna_portal, expiring_days="5")
    transfer_id = await send(anna_portal, documents={"besluit.pdf": DOCUMENT}, expires_in_days="10")
    await outbox.deliver()
    clock.forward(days=6)
    assert await services.noticing.run() == 1
    await anna_portal.sign_in(ANNA)
    await anna_portal.press(f"/transfers/{transfer_id}/extend", days="20")

    assert await services.noticing.run() == 0
    clock.forward(days=16)
    assert await services.noticing.run() == 1
    assert await services.noticing.run() == 0


async def test_never_is_never(services: Services, anna_portal: Portal, outbox: Outbox, clock: MovableClock) -> None:
    await choose(anna_portal)
    await send(anna_portal, documents={"besluit.pdf": DOCUMENT})
    await outbox.deliver()
    for _ in range(27):
        clock.forward(days=1)
        assert await services.noticing.run() == 0
    assert await told(outbox) == []


@pytest.mark.parametrize("typed", ["61", "-1", "drie", "9999"])
async def test_a_wrong_number_is_told_and_stays(anna_portal: Portal, typed: str) -> None:
    answer = await anna_portal.press("/account/notices", unopened_days=typed, expiring_days="4")
    assert answer.status_code == 422
    assert sentences(answer)["unopened_days"].startswith("Enter a number of days from 0 to 60")
    assert f'value="{typed}"' in answer.text
    assert 'value="4"' in answer.text
