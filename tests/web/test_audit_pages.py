"""The page for auditors: who, what, when and on whose behalf; found, taken out and verified; looking is on record too."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser, make_administrator, make_auditor
from tests.web.acts import ROSA, SAM, open_link, send, sentences
from tests.web.audit_acts import Record, stand_alone
from tests.web.test_administration import open_department

import zegelpost
from zegelpost.main import Services
from zegelpost.model.event import Event, EventTag
from zegelpost.model.outgoing import Purpose
from zegelpost.model.policy_fields import FIELDS, PolicyField, restored_or_kept
from zegelpost.model.staff_user import StaffUser
from zegelpost.ports import SmsErrorKind
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.reporting import NTA_7516
from zegelpost.services.searching_audit import NTA_7516_OF_ACCOUNTS
from zegelpost.verifier import zegelpost_verify
from zegelpost.web.translation import Language

PROGRAM = Path(zegelpost_verify.__file__).read_bytes()
VERA = "mallory@zegelpost.example"  # who audits here, and has no post of anyone


@pytest.fixture
async def auditor(app: Starlette, services: Services) -> AsyncIterator[Portal]:
    await make_auditor(services, VERA)
    async with browser(app) as client:
        portal = Portal(client)
        await portal.sign_in(VERA)
        yield portal


def rows_of(page: str) -> list[str]:
    """The events on the page, each as one line of words."""
    bodies = re.findall(r'<tr class="utrecht-table__row" role="row">(.*?)</tr>', page, re.DOTALL)[1:]
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split()) for body in bodies]


async def test_an_auditor_sees_who_did_what_when_and_for_whom(
    database_kind: str, auditor: Portal, anna_portal: Portal, outbox: Outbox, app: Starlette
) -> None:
    transfer_id = await send(anna_portal, ROSA, documents={"geheim.txt": b"a"}, subject="KANARIE")
    await outbox.deliver()
    async with browser(app) as rosa:
        await open_link(rosa, outbox)

    page = (await auditor.client.get("/audit")).text

    rows = rows_of(page)
    [sent] = [row for row in rows if " Sent NTA 7516: sent " in row]
    assert "Anna de Vries anna@zegelpost.example" in sent
    assert transfer_id in sent
    [opened] = [row for row in rows if "Code right" in row]
    assert "Rosa Visser, rosa@zorg.example" in opened
    assert "NTA 7516: consulted" in opened
    assert " \N{EN DASH} " in opened  # on nobody's behalf
    assert "23 Nov 2026" in opened
    assert [row for row in rows if "Audit looked at" in row and VERA in row]
    for secret in ("KANARIE", "geheim.txt"):
        assert secret not in page


async def test_what_is_done_for_a_department_says_so(auditor: Portal, chris_portal: Portal, anna_portal: Portal) -> None:
    department = await open_department(chris_portal)
    await send(anna_portal, ROSA, documents={"a.txt": b"a"}, department_id=department)

    rows = rows_of((await auditor.client.get("/audit")).text)

    assert [row for row in rows if " Sent " in row and "Anna de Vries" in row and " Klachten " in row]
    assert [row for row in rows if "Department opened" in row and "Chris Bakker" in row and " Klachten " in row]


async def test_search_by_person_transfer_and_period(
    database_kind: str, auditor: Portal, anna_portal: Portal, outbox: Outbox, clock: MovableClock, record: Record
) -> None:
    first = await send(anna_portal, ROSA, documents={"a.txt": b"a"})
    await outbox.deliver()
    clock.forward(minutes=100)
    second = await send(anna_portal, SAM, documents={"a.txt": b"a"})
    await outbox.deliver()

    async def found(**typed: str) -> list[str]:
        return rows_of((await auditor.press("/audit", **typed)).text)

    rosa = await found(person="Rosa@zorg.example")
    assert rosa
    assert all("rosa@zorg.example" in row and first in row for row in rosa)
    anna = await found(person="anna@zegelpost.example")
    assert {first, second} <= {word for row in anna for word in row.split()}
    assert not [row for row in anna if "The system" in row]
    of_second = await found(transfer=second)
    assert of_second
    assert all(second in row for row in of_second)
    assert await found(transfer=second, person="rosa@zorg.example") == []
    assert await found(transfer="onzin") == []
    assert await found(person="niemand@zorg.example") == []
    assert await found(first_day="2026-11-24") == []
    assert await found(last_day="2026-11-22") == []
    assert len(await found(first_day="2026-11-23", last_day="2026-11-23", transfer=first)) == len(await found(transfer=first))


async def test_a_period_is_found_among_many_events(
    database_kind: str, auditor: Portal, clock: MovableClock, record: Record, services: Services
) -> None:
    start = clock.now
    for _ in range(6):
        await record.grow(30)
        clock.forward(days=1)
    clock.now = start

    page = (await auditor.press("/audit", first_day="2026-11-25", last_day="2026-11-25")).text

    rows = rows_of(page)
    assert len(rows) == 30
    assert all("25 Nov 2026" in row for row in rows)


async def test_older_events_are_a_button_away(auditor: Portal, record: Record) -> None:
    await record.grow(120)
    seen: list[str] = []
    page = (await auditor.client.get("/audit")).text
    for _ in range(5):
        seen += [row.split()[0] for row in rows_of(page)]
        before = re.search(r'name="before" value="(\d+)"', page)
        if before is None:
            break
        page = (await auditor.press("/audit", before=before[1])).text

    numbers = [int(number) for number in seen]
    assert numbers == sorted(set(numbers), reverse=True)
    assert (numbers[-1], len(numbers) > 120) == (0, True)


async def test_what_was_typed_wrong_stays_and_is_explained(auditor: Portal) -> None:
    answer = await auditor.press("/audit", person="geen adres", first_day="2026-13-45")

    assert answer.status_code == 422
    assert 'value="geen adres"' in answer.text
    assert set(sentences(answer)) == {"person", "first_day"}
    assert rows_of(answer.text) == []
    assert (await auditor.press("/audit/export", person="geen adres")).status_code == 422


async def test_administrators_and_others_do_not_see_it(
    app: Starlette, services: Services, auditor: Portal, chris_portal: Portal, anna_portal: Portal
) -> None:
    for portal in (chris_portal, anna_portal):
        assert (await portal.client.get("/audit")).status_code == 404
        assert (await portal.press("/audit", person="anna@zegelpost.example")).status_code == 404
        assert (await portal.press("/audit/export", form="csv")).status_code == 404
        assert (await portal.client.get("/audit/zegelpost_verify.py")).status_code == 404
        assert 'href="/audit"' not in (await portal.client.get("/")).text
    assert 'href="/audit"' in (await auditor.client.get("/")).text
    assert 'href="/admin"' not in (await auditor.client.get("/")).text
    await make_administrator(services, VERA)
    assert (await auditor.client.get("/audit")).status_code == 200


async def test_looking_and_taking_out_are_on_record_without_the_address(
    auditor: Portal, services: Services, keeping_keys: KeepingKeys
) -> None:
    await auditor.press("/audit", person="rosa@zorg.example", first_day="2026-11-01")
    await auditor.press("/audit/export", transfer="a" * 26, form="csv")

    async with services.database.reading() as session:
        vera = await session.scalar(select(StaffUser.id).where(StaffUser.email == VERA))
        events = list(
            await session.scalars(
                select(Event).where(Event.tag.in_([EventTag.AUDIT_VIEWED, EventTag.AUDIT_EXPORTED])).order_by(Event.id)
            )
        )
    index = keeping_keys.index("email", "rosa@zorg.example").hex()
    assert [(event.tag, event.facts) for event in events] == [
        (EventTag.AUDIT_VIEWED, {"person_index": index, "first_day": "2026-11-01"}),
        (EventTag.AUDIT_EXPORTED, {"form": "csv", "transfer": "a" * 26}),
    ]
    assert all(event.staff_user_id == vera and event.transfer_id is None for event in events)


@pytest.fixture
def keeping_keys(services: Services) -> KeepingKeys:
    return services.keeping_keys


@pytest.fixture
def record(services: Services, app: Starlette) -> Record:
    return Record(services)


async def test_what_is_taken_out_can_be_verified_with_the_program_from_the_page(
    database_kind: str, auditor: Portal, anna_portal: Portal, outbox: Outbox, tmp_path: Path, record: Record
) -> None:
    transfer_id = await send(anna_portal, ROSA, documents={"a.txt": b"a"})
    await outbox.deliver()
    kept = tmp_path / "kept"
    kept.write_text(await record.grow(600), encoding="utf-8")
    whole, part = tmp_path / "whole.jsonl", tmp_path / "part.jsonl"

    answer = await auditor.press("/audit/export", form="jsonl")
    assert re.search(r'filename="?audit-2026-11-23\.jsonl', answer.headers["content-disposition"])
    whole.write_bytes(answer.content)
    part.write_bytes((await auditor.press("/audit/export", form="jsonl", transfer=transfer_id)).content)

    code, said = stand_alone(whole, f"--checkpoint={kept}")
    assert (code, "the whole record" in said, "fits 1 checkpoint(s)" in said) == (0, True, True), said
    code, said = stand_alone(part, f"--earlier={whole}")
    assert (code, "a part of the record" in said) == (0, True), said
    lines = [json.loads(line) for line in part.read_text(encoding="utf-8").splitlines()[1:]]
    assert all(json.loads(line["leaf"])["transfer"] == transfer_id for line in lines)
    assert {"name": "Rosa Visser", "email": "rosa@zorg.example"} in [line["people"].get("recipient") for line in lines]
    program = await auditor.client.get("/audit/zegelpost_verify.py")
    assert program.content == PROGRAM
    assert "attachment" in program.headers["content-disposition"]


async def test_a_spreadsheet_gets_every_event_and_no_formula(
    auditor: Portal, anna_portal: Portal, outbox: Outbox, record: Record
) -> None:
    rosa = type(ROSA)('=HYPERLINK("http://evil.example")', ROSA.email, ROSA.mobile, ROSA.number)
    await send(anna_portal, rosa, documents={"a.txt": b"a"})
    await outbox.deliver()

    answer = await auditor.press("/audit/export", form="csv")

    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0][:4] == ["Place", "Time (UTC)", "Event", "NTA 7516"]
    assert [int(row[0]) for row in rows[1:]] == list(range(len(rows) - 1))
    assert len(rows) - 1 == await record.event_count()
    assert not [cell for row in rows for cell in row if cell.startswith("=")]
    [exported] = [row for row in rows if row[2] == "audit:exported"]
    assert exported[5:7] == ["Mallory Kwaad", VERA]


def test_every_event_counts_as_what_the_page_about_events_says() -> None:
    text = (Path(zegelpost.__file__).parents[1] / "docs/events.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `([a-z_:]+)` \|.*\| ([a-z() ]+) \|$", text, re.MULTILINE))

    assert {tag.value: word.value for tag, word in NTA_7516.items()} | dict(NTA_7516_OF_ACCOUNTS) == documented


@pytest.mark.parametrize("language", list(Language))
def test_every_event_has_words(services: Services, language: Language) -> None:
    """An auditor reads no tags; a new event gets words with it."""
    said = services.templates.environments[language].from_string(
        "{% from 'macros/audit.html' import audit_words with context %}{{ audit_words(entry) }}"
    )
    for tag in EventTag:
        assert said.render(entry={"tag": tag.value}).strip() != tag.value


def fact_lines(services: Services, language: Language, tag: str, facts: dict[str, object], **names: str) -> list[str]:
    """What the page says of these facts, a line each."""
    said = services.templates.environments[language].from_string(
        "{% from 'macros/facts.html' import fact_lines with context %}{{ fact_lines(entry) }}"
    )
    text = said.render(entry={"tag": tag, "facts": facts, "names": names}, restored=restored_or_kept)
    return [html.unescape(re.sub(r"<[^>]+>", "", line)).strip() for line in text.split("<br>")]


@pytest.mark.parametrize("language", list(Language))
def test_every_fact_has_words(services: Services, language: Language) -> None:
    """Nor names of facts: a new one gets words with it."""
    text = (Path(zegelpost.__file__).parents[1] / "docs/events.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z_]+:[a-z_]+)` \|(.*)\|.*\|$", text, re.MULTILINE))
    assert set(rows) == {tag.value for tag in EventTag}
    seen = set()
    for tag, told in rows.items():
        # Values stand in such quotes too; as names of facts they do no harm here.
        names = set(re.findall(r"`([a-z_]+)`", told.partition("act")[2])) if re.search(r"\b[Ff]acts?\b", told) else set()
        for name in names - VALUES:
            line = fact_lines(services, language, tag, {"field": "name", name: "x"})[-1]
            assert not line.startswith(name), (tag, name)
            seen.add(name)
    assert {"purpose", "acceptance", "department", "old", "person_index", "signed_size"} <= seen


VALUES = {"directory", "administrator", "password", "link", "csv", "jsonl", "asked", "revoked", "blocked", "reissued"} | {
    *("too_many_wrong", "untold", "provider", "transfer", "reference", "person")
}


@pytest.mark.parametrize("language", list(Language))
def test_every_notice_has_words(services: Services, language: Language) -> None:
    for purpose in Purpose:
        assert fact_lines(services, language, "mail:accepted", {"purpose": purpose.value}) != [purpose.value]


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("tag", ["sms:failed", "sms:undelivered", "call:failed", "call:missed"])
def test_why_a_code_did_not_arrive_is_said_in_the_same_words_everywhere(services: Services, language: Language, tag: str) -> None:
    in_report = services.templates.environments[language].from_string(
        "{% from 'macros/report.html' import event_details with context %}{{ event_details(event) }}"
    )
    about = {"recipient_number": None, "document_number": None, "item_name": None}
    for failure in (*SmsErrorKind, "interrupted", "too late"):
        [line] = fact_lines(services, language, tag, {"failure": failure})
        assert line.partition(": ")[2] != failure
        assert html.unescape(in_report.render(event={"tag": tag, "facts": {"failure": failure}, **about})).strip() == line


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_change_of_the_policy_has_words(services: Services, field: PolicyField) -> None:
    standing = services.governing.standing
    value = field.kind.keep(standing.value(field.name))

    lines = fact_lines(services, Language.EN, "policy:changed", {"field": field.name, "old": value, "new": "?!"})

    assert lines[0] != field.name
    assert lines[1].startswith("Was: ")
    assert lines[2] == "Became: ?!"


def test_facts_of_a_field_that_is_no_more_stay_readable(services: Services) -> None:
    lines = fact_lines(services, Language.EN, "policy:changed", {"field": "gone_bytes", "old": "1", "new": ""})

    assert lines == ["gone_bytes", "Was: 1", "Became: None"]


async def test_facts_are_told_in_words(
    database_kind: str, auditor: Portal, chris_portal: Portal, anna_portal: Portal, outbox: Outbox
) -> None:
    await open_department(chris_portal)
    await send(anna_portal, ROSA, documents={"a.txt": b"a"})
    await outbox.deliver()

    rows = rows_of((await auditor.client.get("/audit")).text)

    [member] = [row for row in rows if "Member added" in row]
    assert "Department: Klachten Member: Anna de Vries" in member
    [mailed] = [row for row in rows if "The mail with the link" in row]
    assert "Answer of the server: demo 250" in mailed
    assert [row for row in rows if "Number of recipients: 1" in row]
