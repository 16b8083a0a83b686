"""Mail from the sender's own mailbox: the link leaves and is not kept, and what the mailbox refuses goes by the relay."""

from __future__ import annotations

import re
import shutil
from collections import deque
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs
from tests.conftest import MovableClock, Portal
from tests.stand_ins.gateways import FakeMail, FakeMailboxes, FakeSms
from tests.web.acts import ROSA, SAM, send

from zegelpost.main import Services, build_services
from zegelpost.model.event import Event, EventTag
from zegelpost.model.outgoing import LEASE, MOST_MAILBOX_TRIES, RETRY_AFTER
from zegelpost.model.policy import Policy
from zegelpost.ports import MailError
from zegelpost.services.dispatching import Gateways
from zegelpost.settings import Settings

ANNA = "anna@zegelpost.example"
SECRET = re.compile(r"#[a-z2-7]{32}|[a-z2-7]{4}(-[a-z2-7]{4}){7}")


class World:
    def __init__(self) -> None:
        self.relay = FakeMail()
        self.mailboxes = FakeMailboxes(known={ANNA})


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def services(settings: Settings, clock: MovableClock, policy: Policy, world: World, sqlite_with_cast: Path) -> Services:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(sqlite_with_cast, urlsplit(settings.database_url).path)
    gateways = Gateways(world.relay, FakeSms(), world.mailboxes)
    return build_services(settings, gateways=gateways, clock=clock, policy=policy)


async def work(services: Services) -> None:
    while await services.dispatching.dispatch():
        pass


async def test_it_leaves_from_the_sender_and_is_kept_without_the_link(
    services: Services, world: World, anna_portal: Portal
) -> None:
    transfer_id = await send(anna_portal, ROSA, SAM)
    await work(services)

    assert world.relay.delivered == []
    assert {(mail.mailbox, mail.recipient) for mail in world.mailboxes.sent} == {(ANNA, ROSA.email), (ANNA, SAM.email)}
    assert all(SECRET.search(mail.html) for mail in world.mailboxes.sent)
    assert len(world.mailboxes.kept) == 2
    for kept in world.mailboxes.kept:
        assert not SECRET.search(kept.html)
        assert "/o/" not in kept.html
        assert f"/transfers/{transfer_id}" in kept.html
        # An answer to the mail finds the copy.
        assert kept.message_id in {mail.message_id for mail in world.mailboxes.sent}
    async with services.database.reading() as session:
        [one, other] = list(await session.scalars(select(Event).where(Event.tag == EventTag.MAIL_ACCEPTED)))
    assert one.facts["acceptance"] == other.facts["acceptance"] == "graph 202 TLS"


async def test_what_is_about_the_sender_comes_from_us(services: Services, world: World, anna_portal: Portal) -> None:
    world.mailboxes.failures.append(MailError("no", is_permanent=True))
    world.relay.failures.append(MailError("550 5.1.1", is_permanent=True))
    await send(anna_portal, ROSA)
    await work(services)

    assert [mail.recipient for mail in world.relay.delivered] == [ANNA]
    assert world.mailboxes.sent == []


@pytest.mark.parametrize(
    "failure",
    [
        MailError("ZEGELPOST_MAILBOXES_URL: Graph knows no such mailbox", is_permanent=True),
        MailError("busy for an hour", retry_after_seconds=3600),
    ],
)
async def test_what_the_mailbox_refuses_goes_by_the_relay_and_the_operator_is_told(
    services: Services, world: World, anna_portal: Portal, failure: MailError
) -> None:
    world.mailboxes.failures.append(failure)
    await send(anna_portal, ROSA)
    with capture_logs() as logs:
        await work(services)

    [mail] = world.relay.delivered
    assert mail.recipient == ROSA.email
    assert b"From: zegelpost@zegelpost.example" in mail.message
    assert world.mailboxes.kept == []
    [line] = [line for line in logs if line["event"] == "mailbox_refused"]
    assert line["reason"] == failure.reason
    assert ANNA not in str(line)


async def test_a_busy_service_is_asked_again_after_the_time_that_it_wants(
    services: Services, world: World, anna_portal: Portal, clock: MovableClock
) -> None:
    world.mailboxes.failures.append(MailError("429", retry_after_seconds=120))
    await send(anna_portal, ROSA)
    await work(services)
    clock.forward(seconds=119)
    await work(services)
    assert world.mailboxes.sent == []

    clock.forward(seconds=1)
    await work(services)
    assert len(world.mailboxes.sent) == 1
    assert world.relay.delivered == []


async def test_a_service_that_stays_away_is_passed_by(
    services: Services, world: World, anna_portal: Portal, clock: MovableClock
) -> None:
    world.mailboxes.failures = deque(MailError("away") for _ in range(99))
    await send(anna_portal, ROSA)
    for wait in RETRY_AFTER[:MOST_MAILBOX_TRIES]:
        assert world.relay.delivered == []
        await work(services)
        clock.forward(seconds=wait.total_seconds())
    await work(services)

    assert [mail.recipient for mail in world.relay.delivered] == [ROSA.email]
    assert len(world.mailboxes.failures) == 99 - MOST_MAILBOX_TRIES


async def test_a_copy_that_fails_does_not_send_the_mail_again(
    services: Services, world: World, anna_portal: Portal, clock: MovableClock
) -> None:
    world.mailboxes.keeping_failures.append(MailError("away"))
    await send(anna_portal, ROSA)
    with capture_logs() as logs:
        await work(services)
    clock.forward(seconds=LEASE.total_seconds())
    await work(services)

    assert len(world.mailboxes.sent) == 1
    assert world.relay.delivered == []
    assert [line["reason"] for line in logs if line["event"] == "sent_copy_failed"] == ["away"]


async def test_a_retry_is_the_same_mail(services: Services, world: World, anna_portal: Portal, clock: MovableClock) -> None:
    """It left, and the answer got lost."""
    await send(anna_portal, ROSA)
    world.mailboxes.losses = 1
    await work(services)
    clock.forward(seconds=RETRY_AFTER[0].total_seconds())
    await work(services)

    first, second = world.mailboxes.sent
    assert first == second


async def test_requests_leave_from_the_sender_too(services: Services, world: World, anna_portal: Portal) -> None:
    form = {"name": "Rosa", "email": ROSA.email, "mobile": "", "subject": "Uw stukken", "note": "", "reference": ""}
    asked = await anna_portal.press("/requests", **form, items="Loonstrook", due_on="", language="nl", department_id="")
    await work(services)

    [mail] = world.mailboxes.sent
    assert mail.recipient == ROSA.email
    [kept] = world.mailboxes.kept
    assert asked.url.path in kept.html
    assert not SECRET.search(kept.html)
