"""One person's data: all of it handed over, what may be erased erased, and the record proven all the same."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.web.acts import BRAM, ROSA, SAM, open_link, send, sentences, words
from tests.web.audit_acts import Record, stand_alone

from zegelpost.main import Services, build_worker
from zegelpost.model.audit import AuditLeaf
from zegelpost.model.contact import Contact
from zegelpost.model.event import Event, EventTag
from zegelpost.model.recipient import Recipient
from zegelpost.model.remembered_device import RememberedDevice
from zegelpost.model.staff_user import StaffUser
from zegelpost.model.transfer import Transfer
from zegelpost.services.verifying_audit import AuditBroken

DOCUMENT = {"uitslag.pdf": b"%PDF-1.7\n1 0 obj << >> endobj\ntrailer << >>\n%%EOF\n"}


@pytest.fixture
async def transfer_id(app: Starlette, anna_portal: Portal, outbox: Outbox) -> str:
    """Rosa is in an address book, got something, opened it, and had her device remembered."""
    await anna_portal.press(
        "/contacts/new", name="Rosa Visser", organisation="Zorg", email=ROSA.email, mobile="", department_id=""
    )
    transfer_id = await send(anna_portal, ROSA, SAM, BRAM, documents=DOCUMENT, expires_in_days="7")
    async with browser(app) as rosa:
        await open_link(rosa, outbox, remembers=True)
    return transfer_id


async def exported(portal: Portal, email: str) -> tuple[dict[str, Any], str]:
    answer = await portal.press("/admin/persons/export", email=email)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert email not in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return json.loads(archive.read("person.json")), archive.read("person.html").decode()


async def erase(portal: Portal, email: str, **fields: str) -> str:
    answer = await portal.press("/admin/persons/erase", email=email, again=email, **fields)
    assert answer.status_code == 200, words(answer)
    return words(answer)


async def test_everything_that_is_kept_is_handed_over(
    services: Services, chris_portal: Portal, transfer_id: str, database_kind: str
) -> None:
    page = words(await chris_portal.press("/admin/persons", email=ROSA.email.upper()))
    assert "Transfers to or from this address 1" in page
    told, readable = await exported(chris_portal, ROSA.email)

    assert told["person"] == ROSA.email
    [received] = told["received"]
    assert (received["transfer"], received["name"], received["mobile"]) == (transfer_id, "Rosa Visser", ROSA.number)
    assert (received["sender"], received["documents"]) == ("Anna de Vries", 1)
    assert {"opened_at", "sent_at", "expires_at"} <= set(received)
    [contact] = told["contacts"]
    assert (contact["book_of"], contact["organisation"]) == ("Anna de Vries", "Zorg")
    assert [len(told[kind]) for kind in ("devices", "codes", "account", "sent")] == [1, 1, 0, 0]
    assert {each["purpose"] for each in told["messages"]} >= {"invitation", "code"}
    assert {each["tag"] for each in told["events"]} >= {"code:verified", "device:remembered", "mail:accepted"}
    # Nothing of the content, and nobody else's name but the sender's and the book's.
    for other in ("uitslag.pdf", "Dossier Visser", "Beste Rosa", "Sam Smit", "Bram Jansen", SAM.email):
        assert other not in json.dumps(told, ensure_ascii=False)
        assert other not in readable
    assert "Rosa Visser" in readable
    async with services.database.reading() as session:
        rows = await session.scalars(select(Event).where(Event.tag.startswith("person:")).order_by(Event.id))
        facts = [(row.tag, row.facts) for row in rows]
    assert [tag for tag, _ in facts] == [EventTag.PERSON_CONSULTED, EventTag.PERSON_EXPORTED]
    assert ROSA.email not in str(facts)


async def test_an_account_is_told_with_all_that_belongs_to_it(chris_portal: Portal, transfer_id: str) -> None:
    told, _ = await exported(chris_portal, "anna@zegelpost.example")

    whats = [each["what"] for each in told["account"]]
    assert (whats.count("account"), "sign_in" in whats, "address_book" in whats) == (1, True, True)
    assert [each["transfer"] for each in told["sent"]] == [transfer_id]
    assert "password" not in json.dumps(told)


async def test_what_may_go_goes_and_what_stays_has_a_reason(
    services: Services, chris_portal: Portal, transfer_id: str, database_kind: str
) -> None:
    said = await erase(chris_portal, ROSA.email, with_record="1")

    assert "In address books 1" in said
    assert "Remembered devices 1" in said
    assert "1: In transfers that are not over yet" in said
    async with services.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Contact)) == 0
        assert await session.scalar(select(func.count()).select_from(RememberedDevice)) == 0
    told, _ = await exported(chris_portal, ROSA.email)
    assert len(told["received"]) == 1
    assert "There was nothing to erase now" in await erase(chris_portal, ROSA.email)


async def test_afterwards_nobody_knows_who_it_was_and_the_record_is_proven_all_the_same(
    services: Services, chris_portal: Portal, transfer_id: str, clock: MovableClock, tmp_path: Path, database_kind: str
) -> None:
    record = Record(services)
    before = await record.grow()
    clock.forward(days=30)
    await build_worker(services).sweep()
    await build_worker(services).sweep()
    await chris_portal.sign_in("chris@zegelpost.example")
    kept = await erase(chris_portal, ROSA.email)
    assert "1: Names in the record and in reports" in kept
    said = await erase(chris_portal, ROSA.email, with_record="1")
    assert "Names and addresses 1" in said

    verified = await record.verify(before)
    assert verified.requested_count == verified.erased_count > 3
    told, _ = await exported(chris_portal, ROSA.email)
    assert {kind: entries for kind, entries in told.items() if isinstance(entries, list) and entries} == {}
    async with services.database.reading() as session:
        people = [services.keeping_keys.person(each) for each in await session.scalars(select(Recipient))]
        assert ROSA.email not in {str(person.email) for person in people}
        assert SAM.email in {str(person.email) for person in people}
    code, words_ = stand_alone(await record.export(tmp_path / "export"), now=clock.now)
    assert (code, f"Of {verified.erased_count} of those it was erased before that, on the request" in words_) == (0, True), words_


async def test_a_blank_entry_without_a_request_is_found_by_both(
    services: Services, chris_portal: Portal, transfer_id: str, clock: MovableClock, tmp_path: Path
) -> None:
    record = Record(services)
    await record.grow()
    clock.forward(days=30)
    await build_worker(services).sweep()
    await build_worker(services).sweep()
    await chris_portal.sign_in("chris@zegelpost.example")
    await erase(chris_portal, ROSA.email, with_record="1")
    async with services.database.work() as session:
        row = (await session.execute(select(AuditLeaf).where(AuditLeaf.salt.is_not(None)).limit(1))).scalar_one()
        position = row.position
        event = await session.get_one(Event, row.event_id)
        from zegelpost.evidence.leaf import commitment, personal_part

        assert row.salt is not None
        personal = personal_part(staff=event.staff_user_id, recipient=event.recipient_id, facts=event.facts)
        row.commitment, row.salt = commitment(row.salt, personal), None
        event.staff_user_id = event.recipient_id = None
        event.facts = {}

    with pytest.raises(AuditBroken, match="before five years") as caught:
        await services.verifying_audit.verify()
    assert caught.value.position == position
    code, said = stand_alone(await record.export(tmp_path / "export"), now=clock.now)
    assert (code, f"entry {position} " in said, "on request" in said) == (1, True, True), said


async def test_an_account_is_erased_after_it_was_switched_off(
    services: Services, chris_portal: Portal, anna_portal: Portal, transfer_id: str, clock: MovableClock
) -> None:
    anna = "anna@zegelpost.example"
    refused = await chris_portal.press("/admin/persons/erase", email=anna, again=anna)
    assert (refused.status_code, "Switch this account off first" in words(refused)) == (409, True)
    own = await chris_portal.press("/admin/persons/erase", email="chris@zegelpost.example", again="chris@zegelpost.example")
    assert own.status_code == 409
    async with services.database.work() as session:
        await session.execute(update(StaffUser).where(StaffUser.email == anna).values(is_switched_off=True))

    async def names() -> set[str]:
        async with services.database.reading() as session:
            return set(await session.scalars(select(StaffUser.name)))

    # Whoever may still open what she sent reads that she did.
    said = await erase(chris_portal, anna, with_record="1")
    assert ("Their own address book 1" in said, "not over yet" in said) == (True, True)
    assert "Anna de Vries" in await names()

    clock.forward(days=60)
    await build_worker(services).sweep()
    await chris_portal.sign_in("chris@zegelpost.example")
    said = await erase(chris_portal, anna, with_record="1")

    assert "not over yet" not in said
    assert "Anna de Vries" not in await names()
    async with services.database.reading() as session:
        users = (await session.scalars(select(StaffUser))).all()
        assert anna not in {user.email for user in users}
        [erased] = [user for user in users if user.email.endswith("@erased.invalid")]
        assert erased.is_switched_off
    again = await anna_portal.client.post("/sign-in", data={"email": erased.email, "password": "x"})
    assert again.status_code == 401
    await Record(services).verify()


async def test_what_is_held_stays(services: Services, chris_portal: Portal, transfer_id: str, clock: MovableClock) -> None:
    await chris_portal.press("/admin/holds", kind="person", what=ROSA.email, reason="Z-1")
    clock.forward(days=60)
    await build_worker(services).sweep()
    await chris_portal.sign_in("chris@zegelpost.example")

    assert "kept on request" in await erase(chris_portal, ROSA.email, with_record="1")
    told, _ = await exported(chris_portal, ROSA.email)
    assert [each["name"] for each in told["received"]] == ["Rosa Visser"]


async def test_it_is_asked_for_twice_and_an_address_has_to_be_one(chris_portal: Portal, transfer_id: str) -> None:
    once = await chris_portal.press("/admin/persons/erase", email=ROSA.email, again="rosa")
    assert (once.status_code, "again" in sentences(once)) == (422, True)
    for path in ("/admin/persons", "/admin/persons/export", "/admin/persons/erase"):
        wrong = await chris_portal.press(path, email="rosa", again="rosa")
        assert (wrong.status_code, "email" in sentences(wrong)) == (422, True)
    assert len((await exported(chris_portal, ROSA.email))[0]["contacts"]) == 1


@pytest.fixture
async def answer_id(app: Starlette, services: Services, anna_portal: Portal, outbox: Outbox) -> str:
    """Rosa answered something that is erased long before her answer is."""
    await send(anna_portal, ROSA, documents=DOCUMENT, expires_in_days="7")
    async with browser(app) as rosa:
        path = await open_link(rosa, outbox)
        await rosa.post(f"{path}/answer")
        await rosa.post(f"{path}/answer/send", data={"note": "Mijn antwoord"})
    async with services.database.reading() as session:
        answer = (await session.scalars(select(Transfer.id).where(Transfer.guest_id.is_not(None)))).one()
    return str(answer)


@pytest.mark.parametrize("is_held", [False, True])
async def test_who_sent_us_something_that_is_still_there_stays_known(
    app: Starlette,
    services: Services,
    chris_portal: Portal,
    anna_portal: Portal,
    answer_id: str,
    clock: MovableClock,
    is_held: bool,
    database_kind: str,
) -> None:
    if is_held:
        await chris_portal.press("/admin/holds", kind="person", what=ROSA.email, reason="Z-1")
        async with services.database.work() as session:
            # What she answered is not held: it was erased before.
            await session.execute(update(Transfer).where(Transfer.id != answer_id).values(state="erased"))
    clock.forward(days=22)
    await build_worker(services).sweep()
    for portal, email in ((chris_portal, "chris@zegelpost.example"), (anna_portal, "anna@zegelpost.example")):
        await portal.sign_in(email)

    said = await erase(chris_portal, ROSA.email, with_record="1")

    assert ("kept on request" if is_held else "1: In transfers that are not over yet") in said
    assert "Rosa Visser" in words(await anna_portal.client.get("/received"))
    clock.forward(days=60)
    for _ in range(2):
        await build_worker(services).sweep()
    async with services.database.reading() as session:
        assert ((await session.get_one(Transfer, answer_id)).state == "erased") is not is_held


async def test_what_someone_sent_us_is_handed_over_and_forgotten_too(
    services: Services, chris_portal: Portal, answer_id: str, clock: MovableClock, database_kind: str
) -> None:
    told, _ = await exported(chris_portal, ROSA.email)
    assert [(each["transfer"], each["kind"]) for each in told["sent"]] == [(answer_id, "answer")]
    assert {"transfer:created", "transfer:sent"} <= {
        each["tag"] for each in told["events"] if each.get("transfer_id") == answer_id
    }

    record = Record(services)
    before = await record.grow()
    clock.forward(days=60)
    for _ in range(2):
        await build_worker(services).sweep()
    await chris_portal.sign_in("chris@zegelpost.example")
    await erase(chris_portal, ROSA.email, with_record="1")

    hers = (Event.transfer_id == answer_id) & (Event.actor_kind == "guest") & Event.recipient_id.is_not(None)
    async with services.database.reading() as session:
        assert (await session.scalars(select(Event.tag).where(hers))).all() == []
    await record.verify(before)
