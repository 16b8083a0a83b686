"""What administrators see of all post together: numbers that are right, what is the matter, and nobody's post."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import httpx2
import pytest
from sqlalchemy import event, select, update
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.databases import is_of_the_policy
from tests.web.acts import DOCUMENT, ROSA, SAM, Row, open_link, recognise, send, sentences, words
from tests.web.small_files import with_macros

from zegelpost.main import Services
from zegelpost.model.address_book import FILE, AddressBookKind, AddressFeed, FeedTrouble
from zegelpost.model.identifiers import FeedId, new_identifier
from zegelpost.model.outgoing import Outgoing, OutgoingKind, OutgoingState, Prices
from zegelpost.services.counting import Counted, Period, Tally

pytestmark = pytest.mark.anyio
TODAY = "2026-11-23"


@pytest.fixture
def chris(chris_portal: Portal) -> Portal:
    """Signs in anew where a test moves the clock further than a sign-in lasts."""
    return chris_portal


def rows(answer: httpx2.Response) -> dict[str, dict[str, str]]:
    """The lines of the file, by their day."""
    assert answer.status_code == 200, words(answer)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    found = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
    return {row["Day"]: row for row in found}


async def numbers(portal: Portal, **query: str) -> dict[str, dict[str, str]]:
    return rows(await portal.client.get("/admin/numbers.csv", params=query))


def of(row: Mapping[str, str], *names: str) -> list[int]:
    return [int(row[name]) for name in names]


def now_of(answer: httpx2.Response) -> dict[str, str]:
    """What the page says of one thing, by its name."""
    found = re.findall(r"<dt[^>]*item-key[^>]*>(.*?)</dt>\s*<dd[^>]*>(.*?)</dd>", answer.text, re.DOTALL)
    return {
        " ".join(html.unescape(key).split()): " ".join(html.unescape(re.sub("<[^>]*>", "", value)).split())
        for key, value in found
    }


async def open_department(chris: Portal, name: str = "Klachten") -> str:
    form = {"name": name, "sender_name": "Klachten", "email": "klachten@zegelpost.example"}
    opened = await chris.press("/departments", **form, manager="anna@zegelpost.example")
    assert len(opened.url.path.rsplit("/", 1)[-1]) == 26, sentences(opened)
    return opened.url.path.rsplit("/", 1)[-1]


async def answer(app: Starlette, outbox: Outbox, row: Row, documents: Mapping[str, bytes]) -> None:
    """Someone who was asked for documents sends them."""
    async with browser(app) as guest:
        path, secret = await outbox.link(row.email)
        await recognise(guest, (path, secret))
        await guest.post(f"{path}/answer")
        for name, content in documents.items():
            await guest.post(f"{path}/answer/documents", files={"documents": (name, content)})
        assert (await guest.post(f"{path}/answer/send", data={"note": "KANARIE"})).status_code == 200


async def ask(portal: Portal, row: Row, department: str = "") -> None:
    form = {"name": row.name, "email": row.email, "mobile": "", "items": "", "due_on": "", "language": "en", "reference": ""}
    asked = await portal.press("/requests", **form, subject="KANARIE", note="KANARIE", department_id=department)
    assert "/requests/" in asked.url.path, sentences(asked)


async def test_everything_of_a_day(
    app: Starlette, services: Services, anna_portal: Portal, chris: Portal, outbox: Outbox, database_kind: str
) -> None:
    await send(anna_portal, ROSA, SAM, documents={"KANARIE.pdf": DOCUMENT, "twee.pdf": DOCUMENT}, subject="KANARIE")
    async with browser(app) as rosa:
        path = await open_link(rosa, outbox)
        page = await rosa.get(f"{path}/transfer")
        for href in set(re.findall(rf'href="({path}/documents/[a-z2-7]{{26}})"', page.text)):
            assert (await rosa.get(href)).content == DOCUMENT
    await ask(anna_portal, Row("Guus Groen", "guus@praktijk.example"))
    await answer(app, outbox, Row("Guus Groen", "guus@praktijk.example"), {"KANARIE.pdf": DOCUMENT})
    mail_count, sms_count = len(await outbox.all(kind="mail")), len(await outbox.all(kind="sms"))
    day = (await numbers(chris))[TODAY]
    assert of(day, "Sent", "File requests", "Received") == [1, 1, 1]
    assert of(day, "Bytes sent", "Bytes received") == [2 * len(DOCUMENT), len(DOCUMENT)]
    assert of(day, "Recipients", "Opened", "Fetched") == [2, 1, 1]
    assert of(day, "Mails", "Text messages", "Telephone calls") == [mail_count, sms_count, 0]
    assert sms_count == 1
    assert of(day, "Mails failed", "Text messages failed", "Telephone calls failed") == [0, 0, 0]
    assert day["Department"] == "Everything"
    page = await chris.client.get("/admin")
    facts = now_of(page)
    assert facts["Opened by recipients"] == facts["Fetched by recipients"] == "50%"
    assert facts["Transfers sent"] == facts["Received from outside"] == "1"
    assert facts["Stored"] == f"{3 * len(DOCUMENT)} byte"
    assert facts["Costs of codes, about"] == "€0.08"
    assert "Nothing asks for your attention" in words(page)
    # A draft is nothing yet, and neither is what came to an end before it was sent.
    assert len(re.findall(r"<svg class=\"zp-bars__drawing\"", page.text)) == 5


async def test_days_are_those_of_amsterdam(
    app: Starlette, services: Services, chris: Portal, clock: MovableClock, database_kind: str
) -> None:
    """Around the night in which the clock went back, and every hour of it is whole."""
    for moment in ("2026-10-24T21:30", "2026-10-24T22:30", "2026-10-25T22:30", "2026-10-25T23:30", "2026-11-01T12:00"):
        clock.now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        async with browser(app) as client:
            anna = Portal(client)
            await anna.sign_in("anna@zegelpost.example")
            await send(anna, ROSA, documents={"a.pdf": DOCUMENT})
    await chris.sign_in("chris@zegelpost.example")
    found = await numbers(chris, first_day="2026-10-23", last_day="2026-10-31")
    assert list(found) == [f"2026-10-{day}" for day in range(23, 32)]
    for name, each in (("Sent", 1), ("Recipients", 1), ("Bytes sent", len(DOCUMENT)), ("Mails", 1)):
        assert {day: int(row[name]) for day, row in found.items() if int(row[name])} == {
            "2026-10-24": each,
            "2026-10-25": 2 * each,
            "2026-10-26": each,
        }, name


async def test_what_failed(
    services: Services, anna_portal: Portal, chris: Portal, outbox: Outbox, clock: MovableClock, database_kind: str
) -> None:
    sent = await send(anna_portal, ROSA, SAM, documents={"a.pdf": DOCUMENT})
    await _fail(services, kind=OutgoingKind.MAIL, state=OutgoingState.BOUNCED)
    day = (await numbers(chris))[TODAY]
    assert of(day, "Mails", "Mails failed") == [2, 2]
    facts = now_of(await chris.client.get("/admin"))
    assert facts["Recipients whom no e-mail reached"] == "2, the oldest since 23 November 2026 at 13:00"
    assert facts["E-mails"] == "2, of which 2 failed"
    # A new link makes up for it, and one that took another's place before it left was never lost.
    clock.forward(minutes=1)
    page = (await anna_portal.client.get(f"/transfers/{sent}")).text
    reissue = re.findall(rf"/transfers/{sent}/recipients/[a-z2-7]{{26}}/reissue", page)[0]
    await anna_portal.press(reissue)
    clock.forward(minutes=1)
    await anna_portal.press(reissue)
    await outbox.deliver()
    day = (await numbers(chris))[TODAY]
    assert of(day, "Mails", "Mails failed") == [3, 2]
    assert now_of(await chris.client.get("/admin"))["Recipients whom no e-mail reached"].startswith("1, ")


async def _fail(services: Services, *, kind: OutgoingKind, state: OutgoingState) -> None:
    """As when the relay or the gateway said so: journeys of their own show that they do."""
    async with services.database.work() as session:
        await session.execute(update(Outgoing).where(Outgoing.kind == kind).values(state=state, failure="550 5.1.1"))


async def test_by_department(app: Starlette, anna_portal: Portal, chris: Portal, outbox: Outbox, database_kind: str) -> None:
    department = await open_department(chris)
    await send(anna_portal, ROSA, SAM, documents={"a.pdf": DOCUMENT}, department_id=department)
    for row, whose in ((ROSA, ""), (SAM, department)):
        await send(anna_portal, row, documents={"b.pdf": DOCUMENT})
        await ask(anna_portal, Row("Guus", f"guus-{row.email}"), whose)
        await answer(app, outbox, Row("Guus", f"guus-{row.email}"), {"c.pdf": DOCUMENT})
    names = ("Sent", "File requests", "Received", "Recipients", "Bytes received")
    for query, name, expected in (
        ("", "Everything", [3, 2, 2, 4, 2 * len(DOCUMENT)]),
        (department, "Klachten", [1, 1, 1, 2, len(DOCUMENT)]),
        ("own", "Without a department", [2, 1, 1, 2, len(DOCUMENT)]),
    ):
        day = (await numbers(chris, department=query))[TODAY]
        assert (day["Department"], of(day, *names)) == (name, expected)
        page = await chris.client.get("/admin", params={"department": query})
        assert f'value="{query}" selected' in page.text
    mails = {query: int((await numbers(chris, department=query))[TODAY]["Mails"]) for query in ("", department, "own")}
    assert 0 < mails[department] < mails[""]
    assert mails[department] + mails["own"] == mails[""]
    for path in ("/admin", "/admin/numbers.csv"):
        for absent in (new_identifier(), "OWN", "%27"):
            assert (await chris.client.get(path, params={"department": absent})).status_code == 404


async def test_nothing_of_anyones_post_is_in_it(app: Starlette, anna_portal: Portal, chris: Portal, outbox: Outbox) -> None:
    sent = await send(anna_portal, ROSA, documents={"KANARIE.pdf": DOCUMENT}, subject="KANARIE", reference="KANARIE")
    async with browser(app) as rosa:
        await open_link(rosa, outbox)
    for path in ("/admin", "/admin/numbers.csv"):
        text = (await chris.client.get(path)).text
        for personal in ("KANARIE", ROSA.name, ROSA.email, ROSA.number, "Anna", "anna@", sent):
            assert personal not in text


@pytest.mark.parametrize(
    ("first", "last", "field", "told"),
    [
        ("2026-11-23", "2026-11-22", "first_day", "not after the last one"),
        ("2025-11-22", "2026-11-23", "first_day", "366 days together at most"),
        ("2026-11-24", "", "first_day", "not after the last one"),
        ("gisteren", "", "first_day", "Enter a date"),
        ("0001-01-01", "0001-01-02", "first_day", "Enter a date"),
        ("", "31-02-2026", "last_day", "Enter a date"),
        ("", "9999-12-31", "last_day", "Enter a date"),
        ("0001-01-01", "9999-12-31", "first_day", "Enter a date"),
    ],
)
async def test_periods_that_are_refused(chris: Portal, first: str, last: str, field: str, told: str) -> None:
    for path in ("/admin", "/admin/numbers.csv"):
        answered = await chris.client.get(path, params={"first_day": first, "last_day": last})
        assert answered.status_code == 422
        assert told in sentences(answered)[field]
        # What was typed stays, and so does what does not hang on a period.
        assert f'value="{first}"' in answered.text
        assert "Stored" in now_of(answered)


@pytest.mark.parametrize(
    ("query", "first", "count"),
    [
        ({}, "2026-10-27", 28),
        ({"first_day": "2026-11-23"}, "2026-11-23", 1),
        ({"first_day": "2025-11-23"}, "2025-11-23", 366),
        ({"last_day": "2999-12-31"}, "2026-10-27", 28),
        ({"first_day": "1-11-2026", "last_day": "2-11-2026"}, "2026-11-01", 2),
    ],
)
async def test_periods(chris: Portal, query: dict[str, str], first: str, count: int) -> None:
    found = list(await numbers(chris, **query))
    assert (found[0], len(found)) == (first, count)
    assert (await chris.client.get("/admin", params=query)).status_code == 200


async def test_long_periods_go_by_week(anna_portal: Portal, chris: Portal) -> None:
    await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT})
    page = await chris.client.get("/admin", params={"first_day": "2026-10-01", "last_day": TODAY})
    days = re.findall(r'<th class="utrecht-table__cell" role="rowheader" scope="row">(.*?)</th>', page.text, re.DOTALL)
    days = [" ".join(day.split()) for day in days]
    assert (days[0], days[1]) == ("1 Oct \N{EN DASH} 4 Oct", "5 Oct \N{EN DASH} 11 Oct")
    assert days[-1] == "23 Nov"


async def test_no_spreadsheet_runs_a_departments_name(chris: Portal) -> None:
    department = await open_department(chris, '=HYPERLINK("https://kwaad.example")')
    text = (await chris.client.get("/admin/numbers.csv", params={"department": department})).content.decode("utf-8-sig")
    assert "\"'=HYPERLINK(" in text
    dutch = await chris.client.get("/admin/numbers.csv", headers={"Accept-Language": "nl"})
    assert dutch.content.startswith(b"\xef\xbb\xbfDag;Afdeling;Verzonden;")
    assert dutch.headers["content-disposition"].startswith('attachment; filename="cijfers-2026-10-27-2026-11-23.csv"')


async def test_what_is_the_matter_comes_first(
    app: Starlette, services: Services, anna_portal: Portal, chris: Portal, outbox: Outbox, clock: MovableClock
) -> None:
    for _ in range(5):
        await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT})
    clock.forward(minutes=9)
    assert "Nothing asks for your attention" in words(await chris.client.get("/admin"))
    clock.forward(minutes=2)
    page = words(await chris.client.get("/admin"))
    assert "> Management 5 e-mails have not left yet. The oldest waits since: 23 November 2026 at 13:00 ." in page
    await outbox.deliver()
    assert "Nothing asks for your attention" in words(await chris.client.get("/admin"))
    await _fail(services, kind=OutgoingKind.MAIL, state=OutgoingState.FAILED)
    assert "> Management 5 e-mails of the last day do not arrive." in words(await chris.client.get("/admin"))
    clock.forward(days=2)
    await chris.sign_in("chris@zegelpost.example")
    assert "Nothing asks for your attention" in words(await chris.client.get("/admin"))


async def test_some_failures_among_many_are_no_alarm(services: Services, anna_portal: Portal, chris: Portal) -> None:
    for _ in range(8):
        await send(anna_portal, *(Row(f"R {n}", f"r{n}@zorg.example", "06-12 34 56 78") for n in range(8)))
    async with services.database.work() as session:
        some = (await session.scalars(select(Outgoing.id).limit(5))).all()
        await session.execute(update(Outgoing).where(Outgoing.id.in_(some)).values(state=OutgoingState.FAILED, failure="550"))
    assert "do not arrive" not in words(await chris.client.get("/admin"))


async def test_held_back_and_address_books(
    app: Starlette, services: Services, anna_portal: Portal, chris: Portal, outbox: Outbox
) -> None:
    await ask(anna_portal, Row("Guus", "guus@praktijk.example"))
    await answer(app, outbox, Row("Guus", "guus@praktijk.example"), {"a.docx": with_macros("docx"), "b.pdf": DOCUMENT})
    async with services.database.work() as session:
        feed = AddressFeed(id=FeedId(new_identifier()), place=FILE, kind=AddressBookKind.FILE, trouble=FeedTrouble.FILE_MISSING)
        session.add(feed)
    page = await chris.client.get("/admin")
    told = words(page)
    assert "One document was held back, and nobody has judged it yet. See what was held back" in told
    assert "One address book is not read. See what is wrong with it" in told
    facts = now_of(page)
    assert (facts["Documents held back"], facts["Address books"]) == ("1", "1, of which 1 not in order")
    # What mends itself asks for nobody.
    async with services.database.work() as session:
        await session.execute(update(AddressFeed).values(trouble=FeedTrouble.BUSY))
    assert "One address book is not read" not in words(await chris.client.get("/admin"))


async def test_the_page_asks_the_database_no_more_when_there_is_more(
    services: Services, anna_portal: Portal, chris: Portal
) -> None:
    async def asked() -> int:
        statements: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if not is_of_the_policy(statement):
                statements.append(statement)

        engine = services.database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", note)
        await chris.client.get("/admin")
        event.remove(engine, "before_cursor_execute", note)
        return len(statements)

    before = await asked()
    for _ in range(3):
        await send(anna_portal, ROSA, SAM, documents={"a.pdf": DOCUMENT, "b.pdf": DOCUMENT})
    assert await asked() == before


@pytest.mark.parametrize(
    ("prices", "costs"),
    [
        (Prices(), None),
        (Prices(of_sms=Decimal("0.085")), None),  # a call costs something too, and nobody said how much
        (Prices(of_sms=Decimal("0.085"), of_call=Decimal("0.2")), Decimal("17.265")),
    ],
)
def test_what_codes_cost(prices: Prices, costs: Decimal | None) -> None:
    day = date(2026, 11, 23)
    tallies = {day: Tally(sms_count=100, call_count=40), day + timedelta(days=1): Tally(sms_count=9)}
    assert Counted(Period(day, day + timedelta(days=1)), tallies, "", "", prices).codes_euros == costs
