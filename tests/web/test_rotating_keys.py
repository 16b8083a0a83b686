"""Rotating keys: everything opens before, during and after, also after a kill at any moment, and the keys of before end."""

from __future__ import annotations

import asyncio
import os
import random
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.journeys.running import start_program
from tests.web.acts import BRAM, ROSA, open_link, send, sentences, words

from zegelpost.adapters.keys_directory import DirectoryKeyRing
from zegelpost.main import Services, build_services
from zegelpost.model.contact import Card, Contact, ContactSource
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import Event, EventTag
from zegelpost.model.identifiers import ContactId, new_identifier
from zegelpost.model.phone_number import PhoneNumber
from zegelpost.model.policy import Policy
from zegelpost.model.recipient import Recipient
from zegelpost.model.second_factor import RecoveryCode
from zegelpost.model.staff_user import StaffUser
from zegelpost.model.transfer import Transfer
from zegelpost.ports import KeyRingError
from zegelpost.sealing.errors import TextAltered
from zegelpost.sealing.text import open_text
from zegelpost.settings import Settings

CONTACTS = 1300  # three batches
KILLS = int(os.environ.get("ZEGELPOST_TEST_ROTATION_KILLS", "12"))
SAMIRA = {"name": "Samira Bos", "organisation": "Zorg", "email": "samira@zorg.example", "mobile": "", "department_id": ""}
DOCUMENT = {"brief.pdf": b"%PDF-1.7\n1 0 obj << >> endobj\ntrailer << >>\n%%EOF\n"}


async def everything_opens(app: Starlette, portal: Portal, outbox: Outbox, transfer_id: str) -> None:
    """What was written before is read, found and opened, by those whom it concerns."""
    shown = words(await portal.client.get(f"/transfers/{transfer_id}"))
    assert "Rosa Visser" in shown
    assert "Dossier Visser" in shown  # by the sender copy
    assert "samira@zorg.example" in (await portal.press("/contacts/suggestions", letters="samira")).text
    async with browser(app) as rosa:
        path = await open_link(rosa, outbox)
        assert "brief.pdf" in words(await rosa.get(f"{path}/transfer"))
    bram = Portal(browser(app))
    await bram.sign_in("bram@zegelpost.example")
    assert "Dossier Visser" in words(await bram.client.get("/received"))
    assert "Dossier Visser" in words(await bram.client.get("/received", params={"reference": "z-1"}))
    await bram.client.aclose()


@pytest.fixture
async def transfer_id(anna_portal: Portal) -> str:
    await anna_portal.press("/contacts/new", **SAMIRA)
    return await send(anna_portal, ROSA, BRAM, documents=DOCUMENT)


@pytest.fixture
def ring(settings: Settings) -> DirectoryKeyRing:
    return DirectoryKeyRing(settings.keys_dir)


def all_keys(settings: Settings) -> bytes:
    return b"".join(path.read_bytes() for path in settings.keys_dir.rglob("*") if path.is_file())


async def test_all_opens_and_is_found_and_the_keys_of_before_are_destroyed(
    app: Starlette,
    services: Services,
    settings: Settings,
    ring: DirectoryKeyRing,
    anna_portal: Portal,
    outbox: Outbox,
    transfer_id: str,
    clock: MovableClock,
    database_kind: str,
) -> None:
    week = ring.weeks()[-1]
    before = {purpose: ring.installation(purpose) for purpose in ("people", "index", "codes", "factors", "checkpoint")}
    sender_key = ring.week(week).sender_key

    rotated = await services.rotating_keys.run()

    assert (rotated.made_anew["people"], rotated.made_anew["senders"], rotated.made_anew["index"]) == (3, 2, 4)
    assert rotated.unreadable.total() == 0
    await everything_opens(app, anna_portal, outbox, transfer_id)
    assert await services.rotating_keys.finish() == []  # someone may still be writing under it
    clock.forward(hours=2)
    assert set(await services.rotating_keys.finish()) >= {"people", "index", "factors", f"{week}.sender"}
    clock.forward(days=8)
    assert await services.rotating_keys.finish() == ["codes"]
    assert ring.earlier_keys() == []
    kept = all_keys(settings)
    assert [purpose for purpose, key in before.items() if key in kept] == ["index", "checkpoint"]
    # What feeds recognise their entries by cannot be made anew.
    assert before["index"] == ring.installation("feeds") != ring.installation("index")
    assert sender_key not in kept
    anna = Portal(browser(app))
    await anna.sign_in("anna@zegelpost.example")
    await everything_opens(app, anna, outbox, transfer_id)
    await anna.client.aclose()
    async with services.database.reading() as session:
        assert await session.scalar(select(func.count()).where(Event.tag == EventTag.KEYS_ROTATED)) == 1


async def test_all_opens_while_keys_are_new_and_nothing_was_made_anew(
    app: Starlette,
    services: Services,
    ring: DirectoryKeyRing,
    anna_portal: Portal,
    outbox: Outbox,
    transfer_id: str,
    clock: MovableClock,
    database_kind: str,
) -> None:
    link = await outbox.link(ROSA.email)
    async with browser(app) as rosa:
        await rosa.post(link[0], data={"link_secret": link[1]})
        await rosa.post(f"{link[0]}/code")
        code = await outbox.code(ROSA.number)

        ring.renew(ring.begin_rotation(datetime.now(UTC)), datetime.now(UTC))

        # A code that was on its way counts.
        answer = await rosa.post(f"{link[0]}/verify", data={"code": code})
        assert answer.url.path.endswith("/transfer"), words(answer)
    clock.forward(minutes=20)
    await everything_opens(app, anna_portal, outbox, transfer_id)
    # An address that is in the book under the key of before is in it, and no second time.
    again = await anna_portal.press("/contacts/new", **SAMIRA)
    assert "already" in sentences(again)["email"]


async def test_a_unit_of_work_that_read_its_keys_before_opens_what_was_written_after(
    services: Services, ring: DirectoryKeyRing, transfer_id: str
) -> None:
    async with services.database.reading() as session:
        keys = services.keeping_keys.within(session)
        recipient = await session.scalar(select(Recipient).limit(1))
        transfer = await session.get_one(Transfer, transfer_id)
        assert recipient is not None
        person = keys.person(recipient)
        keys.sender_key(transfer)
        ring.renew(ring.begin_rotation(datetime.now(UTC)), datetime.now(UTC))
        recipient.sealed_person = services.keeping_keys.seal_person(person, recipient.id)

        assert keys.person(recipient) == person


async def test_what_a_late_writer_left_under_a_key_of_before_keeps_that_key_until_it_was_made_anew(
    services: Services, ring: DirectoryKeyRing, transfer_id: str, clock: MovableClock
) -> None:
    async with services.database.reading() as session:
        recipient = await session.scalar(select(Recipient).order_by(Recipient.id).limit(1))
    assert recipient is not None
    sealed = recipient.sealed_person
    await services.rotating_keys.run()
    async with services.database.work() as session:
        (await session.get_one(Recipient, recipient.id)).sealed_person = sealed

    clock.forward(hours=2)
    assert "people" not in await services.rotating_keys.finish()
    clock.forward(hours=2)
    assert "people" in await services.rotating_keys.finish()
    async with services.database.reading() as session:
        assert services.keeping_keys.person(await session.get_one(Recipient, recipient.id)).name


async def test_what_opens_under_no_key_is_told_and_keeps_the_key_of_before(
    services: Services, ring: DirectoryKeyRing, transfer_id: str, clock: MovableClock
) -> None:
    async with services.database.work() as session:
        recipient = await session.scalar(select(Recipient).order_by(Recipient.id).limit(1))
        assert recipient is not None
        recipient.sealed_person = bytes(len(recipient.sealed_person))

    rotated = await services.rotating_keys.run()

    assert rotated.unreadable["people"] == 1
    clock.forward(hours=2)
    assert "people" not in await services.rotating_keys.finish()
    assert len(ring.installation_keys("people")) == 2


async def test_recovery_codes_on_paper_keep_their_key(
    services: Services, ring: DirectoryKeyRing, clock: MovableClock, app: Starlette
) -> None:
    digest = services.keeping_keys.recovery_code_digest
    async with services.database.work() as session:
        anna = await session.scalar(select(StaffUser).where(StaffUser.email == "anna@zegelpost.example"))
        assert anna is not None
        session.add(RecoveryCode(digest=digest(anna.id, "paper"), user_id=anna.id, created_at=clock(), used_at=None))

    await services.rotating_keys.run()

    clock.forward(days=30)
    assert "codes" not in await services.rotating_keys.finish()
    async with services.database.reading() as session:
        assert await session.scalar(select(RecoveryCode).where(RecoveryCode.digest == digest(anna.id, "paper"))) is not None
        assert await session.scalar(select(RecoveryCode).where(RecoveryCode.digest.in_([digest(anna.id, "paper")]))) is not None


async def test_no_key_of_before_is_destroyed_by_a_clock_that_jumped(
    services: Services, ring: DirectoryKeyRing, transfer_id: str, clock: MovableClock
) -> None:
    """Somebody may be writing under it at this moment, and mail that left under `codes` come back."""
    await services.observing_time.believed()
    await services.rotating_keys.run()
    kept = ring.earlier_keys()

    clock.jump(days=10)
    assert await services.rotating_keys.finish() == []
    assert ring.earlier_keys() == kept
    clock.jump(days=-10)
    clock.forward(hours=2)
    assert "people" in await services.rotating_keys.finish()
    assert [each.name for each in ring.earlier_keys()] == ["codes"]


async def test_one_process_at_a_time(app: Starlette, services: Services, ring: DirectoryKeyRing) -> None:
    with ring.rotating(), pytest.raises(KeyRingError, match="another process"):
        await services.rotating_keys.run()
    await services.rotating_keys.run()


async def _fill(services: Services) -> None:
    """An address book of a size that takes several batches."""
    async with services.database.work() as session:
        owner = await session.scalar(select(StaffUser.id).limit(1))
        for number in range(CONTACTS):
            contact_id = ContactId(new_identifier())
            card = _card(number)
            session.add(
                Contact(
                    id=contact_id,
                    owner_id=owner,
                    sealed_card=services.keeping_keys.seal_card(card, contact_id),
                    email_index=services.keeping_keys.index("email", card.email.comparable),
                    number_index=services.keeping_keys.index("number", f"+316{number:08}"),
                    source=ContactSource.TYPED,
                    created_at=services.clock(),
                    changed_at=services.clock(),
                )
            )


def _card(number: int) -> Card:
    return Card(f"Naam {number}", "", EmailAddress.parse(f"n{number}@zorg.example"), PhoneNumber(f"+316{number:08}"))


async def _all_is_there(services: Services) -> None:
    """Every contact opens, and is found by its address."""
    async with services.database.reading() as session:
        keys = services.keeping_keys.within(session)
        rows = await session.execute(select(Contact.id, Contact.sealed_card))
        assert sorted(card.name for card in keys.cards((row.id, row.sealed_card) for row in rows)) == sorted(
            f"Naam {number}" for number in range(CONTACTS)
        )
        for start in range(0, CONTACTS, 100):
            indexes = [keys.index("email", f"n{number}@zorg.example") for number in range(start, start + 100)]
            assert await session.scalar(select(func.count()).where(Contact.email_index.in_(indexes))) == 100
        assert (
            await session.scalar(select(func.count()).where(Contact.email_index == keys.index("email", "n7@zorg.example"))) == 1
        )


def test_killed_at_random_moments_nothing_is_lost(
    services: Services, settings: Settings, tmp_path: Path, policy: Policy, database_kind: str
) -> None:
    """Each round is killed, somewhere between its first write and its end, and the next one goes on where it was."""
    ring = DirectoryKeyRing(settings.keys_dir)

    async def prepare() -> None:
        await services.registering.create_account(email="eve@zegelpost.example", name="Eve", password="any-password-2026")
        await _fill(services)
        await services.database.close()

    async def check() -> Any:
        checked = build_services(settings, policy=policy)
        await _all_is_there(checked)
        await checked.database.close()

    asyncio.run(prepare())
    environment = {
        "ZEGELPOST_DEMO": "1",
        "ZEGELPOST_BASE_URL": settings.base_url,
        "ZEGELPOST_DATA_DIR": str(settings.data_dir),
        "ZEGELPOST_DATABASE_URL": _url(settings),
    }
    log = tmp_path / "rotate.log"
    chance = random.Random(20261126)
    before = ring.installation("people")
    rotations, killed, whole = set(), 0, 0.5
    for kill in range(KILLS):
        program = start_program(["rotate-keys"], log, environment)
        began = time.monotonic()
        while not (settings.keys_dir / "rotation").exists() and program.is_alive():
            time.sleep(0.001)
        program.join(chance.uniform(0, whole) if kill else 30)
        if program.is_alive():
            program.kill()
            killed += 1
        program.join()
        if not kill:
            assert program.exitcode == 0, log.read_text()
            whole = time.monotonic() - began
        rotations |= {path.name.partition(".until-")[2] for path in (settings.keys_dir / "installation").glob("people.until-*")}
        asyncio.run(check())
    assert killed, "never killed in the middle"
    last = start_program(["rotate-keys"], log, environment)
    last.join(60)
    assert last.exitcode == 0, log.read_text()

    asyncio.run(check())
    assert not (settings.keys_dir / "rotation").exists()
    # Once is enough: whatever was interrupted is all under the key of now.
    current = ring.installation("people")
    assert current != before

    async def under_current() -> None:
        database = build_services(settings).database
        async with database.reading() as session:
            for contact_id, sealed in await session.execute(select(Contact.id, Contact.sealed_card)):
                open_text(current, f"contact/{contact_id}/card", sealed)
                with pytest.raises(TextAltered):
                    open_text(before, f"contact/{contact_id}/card", sealed)
            assert await session.scalar(text("SELECT count(*) FROM contact")) == CONTACTS
        await database.close()

    asyncio.run(under_current())


def _url(settings: Settings) -> str:
    return settings.database_url.replace("+aiosqlite", "").replace("+psycopg", "")
