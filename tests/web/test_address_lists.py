"""The organisation's list from a file that an administrator hands in: told row by row, taken over, found by everyone."""

from __future__ import annotations

import html
import re

import httpx2
import pytest
from sqlalchemy import func, select
from tests.conftest import Portal
from tests.web.acts import sentences, words

from zegelpost.main import Services
from zegelpost.model.address_book import CLAIM_LENGTH, AddressFeed, ListedContact
from zegelpost.model.event import Event, EventTag

PAGE = "/admin/address-books/list"
FIRST = """Naam;Organisatie;E-mailadres;Mobiel nummer
Rosa Visser;Zorggroep;rosa@zorg.example;06-12 34 56 78
Sam Smit;Advocaten;sam@advocaat.example;020-123 45 67
Zonder Adres;Zorggroep;;06-12 34 56 79
Rosa Weer;Zorggroep;ROSA@zorg.example;06-12 34 56 78
Fout Adres;Zorggroep;geen adres;
"""
SECOND = """Naam;E-mailadres;Mobiel nummer
Rosa Visser;rosa@zorg.example;06-99 99 99 99
Noor Nieuw;noor@zorg.example;06-11 11 11 11
"""


async def upload(portal: Portal, content: str, name: str = "lijst.csv") -> httpx2.Response:
    return await portal.client.post(PAGE, data={"csrf": portal.csrf}, files={"file": (name, content.encode())})


async def confirm(portal: Portal, told: httpx2.Response) -> httpx2.Response:
    [rows] = re.findall(r'name="rows" value="([^"]*)"', told.text)
    return await portal.client.post(
        f"{PAGE}/confirm", data={"csrf": portal.csrf, "rows": html.unescape(rows)}, files={"x": ("", b"")}
    )


async def count(services: Services) -> int:
    async with services.database.reading() as session:
        return await session.scalar(select(func.count()).select_from(ListedContact)) or 0


async def found(portal: Portal, letters: str) -> str:
    return words(await portal.press("/contacts", letters=letters))


async def test_it_is_told_row_by_row_and_nothing_happens_before_it_is_agreed(
    database_kind: str, services: Services, chris_portal: Portal, anna_portal: Portal
) -> None:
    told = words(await upload(chris_portal, FIRST))

    assert "In the list: 2" in told
    assert "Of which with a number that we cannot use: 1" in told
    assert "Skipped: 3" in told
    assert "Row 4 Zonder Adres, Zorggroep, 06-12 34 56 79 There is no e-mail address." in told
    assert "This e-mail address is in the file twice; the first one counts." in told
    assert "The e-mail address is not valid." in told
    assert "Without the number: it is not a mobile number." in told
    assert await count(services) == 0
    assert "Rosa" not in await found(anna_portal, "rosa")


async def test_what_was_agreed_is_found_by_everyone_and_a_newer_list_takes_its_place(
    database_kind: str, services: Services, chris_portal: Portal, anna_portal: Portal
) -> None:
    done = await confirm(chris_portal, await upload(chris_portal, FIRST))
    assert "New: 2" in words(done)
    assert "rosa@zorg.example" in await found(anna_portal, "rosa")
    assert "It says “020-123 45 67”: that is not a mobile number" in await found(anna_portal, "sam smit")

    told = await upload(chris_portal, SECOND)
    assert "One contact who is in the list now is not in this file, and would be removed." in words(told)
    newer = words(await confirm(chris_portal, told))
    assert "New: 1" in newer
    assert "Changed: 1" in newer
    assert "Removed: 1" in newer
    assert "sam@advocaat.example" not in await found(anna_portal, "sam smit")
    assert "noor@zorg.example" in await found(anna_portal, "noor")

    again = words(await confirm(chris_portal, await upload(chris_portal, SECOND)))
    assert "New: 0" in again
    assert "Changed: 0" in again
    async with services.database.reading() as session:
        feed = (await session.scalars(select(AddressFeed))).one()
        assert (feed.place, feed.due_at, feed.claimed_by, feed.trouble) == ("upload", None, None, None)
        events = (await session.scalars(select(Event).where(Event.tag == EventTag.ADDRESS_BOOK_CHANGED))).all()
        assert [event.facts["added_count"] for event in events] == [2, 1, 0]
    # A round of reading finds nothing to read in it.
    await services.syncing.ask_now(is_everything=True)
    assert await services.syncing.read_due() == []
    assert await count(services) == 2


async def test_it_can_be_taken_away(services: Services, chris_portal: Portal, anna_portal: Portal) -> None:
    await confirm(chris_portal, await upload(chris_portal, FIRST))
    assert "The organisation's list that was uploaded" in words(await chris_portal.client.get("/admin/address-books"))

    page = await chris_portal.press(f"{PAGE}/remove")

    assert "The list that was uploaded has been removed." in words(page)
    assert await count(services) == 0
    assert "rosa@zorg.example" not in await found(anna_portal, "rosa")


async def test_two_at_once_do_not_mix(services: Services, chris_portal: Portal) -> None:
    told = await upload(chris_portal, FIRST)
    await confirm(chris_portal, told)
    async with services.database.work() as session:
        feed = (await session.scalars(select(AddressFeed))).one()
        feed.claimed_by, feed.claimed_until = "another", services.clock() + CLAIM_LENGTH

    answer = await confirm(chris_portal, told)

    assert answer.status_code == 409
    assert sentences(answer) == {"file": "Somebody is handing in a list at this moment. Wait a few minutes."}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "Choose a file first."),
        ("a;b\n1;2\n", "There is no column with e-mail addresses."),
        ("\x00\x01", "This is not a CSV file or a vCard."),
        (
            "E-mailadres\n" + "".join(f"p{number}@zorg.example\n" for number in range(20_001)),
            "There are too many contacts: 20000",
        ),
    ],
)
async def test_what_is_no_list_is_said(chris_portal: Portal, content: str, said: str) -> None:
    answer = await upload(chris_portal, content)

    assert answer.status_code == 422
    assert sentences(answer)["file"].startswith(said)


async def test_only_administrators_hand_one_in(services: Services, chris_portal: Portal, anna_portal: Portal) -> None:
    told = await upload(chris_portal, FIRST)
    assert (await anna_portal.client.get(PAGE)).status_code == 404
    assert (await upload(anna_portal, FIRST)).status_code == 404
    assert (await confirm(anna_portal, told)).status_code == 404
    assert (await anna_portal.client.post(f"{PAGE}/remove", data={"csrf": anna_portal.csrf})).status_code == 404
    forged = await chris_portal.client.post(PAGE, data={"csrf": "x"}, files={"file": ("a.csv", FIRST.encode())})
    assert forged.status_code == 403
    assert await count(services) == 0
