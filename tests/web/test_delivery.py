"""What leaves: tried again when that helps, never twice where that hurts, and told when it failed."""

from __future__ import annotations

import asyncio
import itertools
import re
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from tests.conftest import MovableClock, Portal, browser
from tests.stand_ins.gateways import FakeMail, FakeSms
from tests.web.acts import BRAM, ROSA, SAM, Row, enter, recognise, send, words

from zegelpost.adapters.keys_directory import DirectoryKeyRing
from zegelpost.main import Services, build_services, build_worker
from zegelpost.migrations import migrate_database
from zegelpost.model.event import Event, EventTag
from zegelpost.model.outgoing import GIVE_UP_AFTER, LEASE, RETRY_AFTER, Outgoing, OutgoingState
from zegelpost.model.policy import Policy
from zegelpost.ports import KeyDestroyedError, MailAcceptance, MailError, SmsAcceptance, SmsError, SmsErrorKind
from zegelpost.services.dispatching import Gateways
from zegelpost.services.explaining_failures import CALL_REASONS, SMS_REASONS
from zegelpost.settings import Settings

ANNA = "anna@zegelpost.example"
LINK = re.compile(rb"(/o/[a-z2-7]{26})#([a-z2-7]{32})")


class PowerCut(Exception):
    """The process ends here; nothing after it happens."""


@dataclass
class CrashingMail(FakeMail):
    """Takes the mail, and then the power goes."""

    crashes: int = 0

    async def deliver(self, *, sender: str, recipient: str, message: bytes) -> MailAcceptance:
        acceptance = await super().deliver(sender=sender, recipient=recipient, message=message)
        if self.crashes:
            self.crashes -= 1
            raise PowerCut
        await asyncio.sleep(0)
        return acceptance


@dataclass
class CrashingSms(FakeSms):
    crashes: int = 0

    async def deliver(self, *, recipient: str, text: str, valid_seconds: int, report_to: str) -> SmsAcceptance:
        acceptance = await super().deliver(recipient=recipient, text=text, valid_seconds=valid_seconds, report_to=report_to)
        if self.crashes:
            self.crashes -= 1
            raise PowerCut
        await asyncio.sleep(0)
        return acceptance


@dataclass
class World:
    """The mail server and the SMS provider, and a worker that runs when it is told to."""

    mail: CrashingMail = field(default_factory=CrashingMail)
    sms: CrashingSms = field(default_factory=CrashingSms)

    async def work(self, services: Services) -> None:
        try:
            while await services.dispatching.dispatch():
                pass
        except PowerCut:
            pass

    def link(self, to: str) -> tuple[str, str]:
        """The latest link that arrived at this address."""
        bytes_ = [mail.message for mail in self.mail.delivered if mail.recipient == to][-1]
        part = message_from_bytes(bytes_, policy=default).get_body(("plain",))
        assert part is not None
        found = LINK.search(part.get_content().encode())
        assert found
        return found.group(1).decode(), found.group(2).decode()

    def subjects(self, to: str) -> list[str]:
        return [
            message_from_bytes(mail.message, policy=default)["Subject"] for mail in self.mail.delivered if mail.recipient == to
        ]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def services(settings: Settings, clock: MovableClock, policy: Policy, world: World) -> Services:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrate_database(settings.database_url)
    return build_services(settings, gateways=Gateways(world.mail, world.sms), clock=clock, on_clock=clock.on, policy=policy)


async def outgoing(services: Services) -> list[Outgoing]:
    async with services.database.reading() as session:
        return list(await session.scalars(select(Outgoing).order_by(Outgoing.created_at)))


def busy() -> MailError:
    return MailError("451 try again later")


# Mail


async def test_a_mail_server_that_is_busy_is_tried_again_with_back_off_and_gets_the_same_mail(
    services: Services, world: World, anna_portal: Portal, clock: MovableClock
) -> None:
    transfer_id = await send(anna_portal, ROSA)
    tried: list[float] = []
    begun = clock.now
    world.mail.failures.extend(busy() for _ in range(9))
    while world.mail.failures:
        left = len(world.mail.failures)
        await world.work(services)
        if len(world.mail.failures) < left:
            tried.append((clock.now - begun).total_seconds())
        clock.forward(seconds=10)
        if clock.now - begun > timedelta(hours=2):
            break

    waits = [later - sooner for sooner, later in itertools.pairwise(tried)]
    assert waits == [wait.total_seconds() for wait in RETRY_AFTER]
    page = await anna_portal.client.get(f"/transfers/{transfer_id}")
    assert "Not delivered" not in words(page)

    clock.forward(minutes=31)
    await world.work(services)
    [arrived] = world.mail.delivered
    assert message_from_bytes(arrived.message, policy=default)["Date"].datetime == begun
    assert not world.subjects(ANNA)


async def test_after_three_days_it_is_given_up_and_the_sender_is_told(
    services: Services, world: World, anna_portal: Portal, clock: MovableClock
) -> None:
    transfer_id = await send(anna_portal, ROSA)
    world.mail.failures.extend(busy() for _ in range(3))
    await world.work(services)
    clock.forward(seconds=GIVE_UP_AFTER.total_seconds() - 1)
    await world.work(services)
    clock.forward(seconds=10)
    world.mail.failures.clear()
    await world.work(services)

    assert not [mail for mail in world.mail.delivered if mail.recipient == ROSA.email]
    assert world.subjects(ANNA) == ["Een bericht is niet aangekomen"]
    await anna_portal.sign_in(ANNA)
    assert "Not delivered" in words(await anna_portal.client.get(f"/transfers/{transfer_id}"))


async def test_a_refused_address_is_told_to_the_sender_and_a_new_link_makes_up_for_it(
    services: Services, world: World, anna_portal: Portal, clock: MovableClock
) -> None:
    world.mail.failures.append(MailError("550 5.1.1", is_permanent=True))
    transfer_id = await send(anna_portal, ROSA)
    await world.work(services)

    page = await anna_portal.client.get(f"/transfers/{transfer_id}")
    assert "Not delivered" in words(page)
    assert "E-mail not delivered" in words(page)
    [told] = [mail for mail in world.mail.delivered if mail.recipient == ANNA]
    part = message_from_bytes(told.message, policy=default).get_body(("plain",))
    assert part is not None
    assert ROSA.email in part.get_content()
    assert f"/transfers/{transfer_id}" in part.get_content()

    clock.forward(seconds=1)
    await anna_portal.press(re.findall(r'action="([^"]+/reissue)"', page.text)[0])
    await world.work(services)
    assert "Not delivered" not in words(await anna_portal.client.get(f"/transfers/{transfer_id}"))


async def test_a_notice_to_the_sender_that_fails_makes_no_further_notices(
    services: Services, world: World, anna_portal: Portal
) -> None:
    world.mail.failures.extend(MailError("550 5.1.1", is_permanent=True) for _ in range(2))
    await send(anna_portal, ROSA)

    await world.work(services)

    assert [row.state for row in await outgoing(services)] == [OutgoingState.FAILED, OutgoingState.FAILED]
    assert not world.mail.delivered


async def test_a_crash_between_acceptance_and_record_sends_exactly_the_same_bytes_again(
    services: Services, world: World, anna_portal: Portal, clock: MovableClock
) -> None:
    await send(anna_portal, ROSA)
    world.mail.crashes = 1
    await world.work(services)
    clock.forward(seconds=LEASE.total_seconds() - 1)
    await world.work(services)
    assert len(world.mail.delivered) == 1  # the lease still stands: somebody may be at it

    clock.forward(seconds=1)
    await world.work(services)

    first, second = world.mail.delivered
    assert first == second
    [row] = await outgoing(services)
    assert (row.state, row.sealed_payload, row.attempt_count) == (OutgoingState.ACCEPTED, None, 2)


async def test_what_was_accepted_is_blank_and_leaves_its_evidence(services: Services, world: World, anna_portal: Portal) -> None:
    await send(anna_portal, ROSA, SAM, BRAM)
    assert all(row.sealed_payload for row in await outgoing(services))

    await world.work(services)

    for row in await outgoing(services):
        assert (row.state, row.sealed_payload) == (OutgoingState.ACCEPTED, None)
        assert row.acceptance == "mail.example 250 TLSv1.3"


async def test_two_workers_hand_over_each_thing_once(
    database_kind: str, settings: Settings, services: Services, world: World, clock: MovableClock, anna_portal: Portal
) -> None:
    rows = [Row(f"R {n}", f"r{n}@zorg.example", ROSA.mobile) for n in range(45)]
    await send(anna_portal, *rows)
    other = build_services(settings, gateways=Gateways(world.mail, world.sms), clock=clock, policy=services.policy)

    await asyncio.gather(*(world.work(worker) for worker in (services, other, services, other)))

    assert sorted(mail.recipient for mail in world.mail.delivered) == sorted(row.email for row in rows)
    assert {row.attempt_count for row in await outgoing(services)} == {1}
    await other.database.close()


async def test_names_stay_out_of_headers_and_reach_nobody_else(app: Starlette, services: Services, world: World) -> None:
    hostile = 'aaa "q" <z@z.nl>, =?utf-8?q?=0aBcc:_x=40y.nl?='
    await services.registering.create_account(email="eve@zegelpost.example", name=hostile, password="demo-zegelpost-2026")
    async with browser(app) as client:
        eve = Portal(client)
        await eve.sign_in("eve@zegelpost.example")
        await send(eve, Row(hostile, ROSA.email, ROSA.mobile), Row("=?utf-8?q?=0aBcc:=20x@y.nl?=", BRAM.email), subject=hostile)
    await world.work(services)

    assert sorted(mail.recipient for mail in world.mail.delivered) == sorted([ROSA.email, BRAM.email])
    for mail in world.mail.delivered:
        head = mail.message.partition(b"\r\n\r\n")[0]
        parsed = message_from_bytes(mail.message, policy=default)
        assert [str(address) for address in parsed["To"].addresses] == [mail.recipient]
        assert "Bcc" not in parsed
        for fragment in (b"aaa", b"z.nl", b"y.nl", b"Bcc", b"0aBcc"):
            assert fragment not in head


async def test_the_outbox_can_no_longer_be_read_after_four_days(
    services: Services, settings: Settings, world: World, anna_portal: Portal, clock: MovableClock
) -> None:
    await send(anna_portal, ROSA)
    day = clock.now.date()
    ring = DirectoryKeyRing(settings.keys_dir)
    clock.forward(days=4)
    await build_worker(services).sweep()
    assert len(ring.outbox_day(day)) == 32

    clock.forward(days=1)
    await build_worker(services).sweep()
    with pytest.raises(KeyDestroyedError):
        ring.outbox_day(day)

    await world.work(services)
    assert {mail.recipient for mail in world.mail.delivered} == {ANNA}  # told that it was too late; Rosa gets nothing


# Codes


@pytest.fixture
async def door(app: Starlette, services: Services, world: World, anna_portal: Portal) -> tuple[Portal, str]:
    """Rosa has asked for a code that has not left yet."""
    await send(anna_portal, ROSA)
    await world.work(services)
    rosa = Portal(browser(app))
    link = world.link(ROSA.email)
    await recognise(rosa.client, link)
    await rosa.client.post(f"{link[0]}/code")
    return rosa, link[0]


async def sms_row(services: Services) -> Outgoing:
    [row] = [row for row in await outgoing(services) if row.challenge_id]
    return row


async def test_a_code_in_hand_at_a_crash_never_leaves_twice(
    services: Services, world: World, clock: MovableClock, door: tuple[Portal, str]
) -> None:
    world.sms.crashes = 1
    await world.work(services)
    for _ in range(3):
        clock.forward(seconds=LEASE.total_seconds())
        await world.work(services)

    assert len(world.sms.delivered) == 1
    row = await sms_row(services)
    assert (row.state, row.sealed_payload) == (OutgoingState.UNKNOWN, None)
    async with services.database.reading() as session:
        [failed] = list(await session.scalars(select(Event).where(Event.tag == EventTag.SMS_FAILED)))
    assert failed.facts["failure"] == "interrupted"


async def test_a_code_of_which_nobody_knows_whether_it_left_is_not_tried_again_and_works(
    services: Services, world: World, clock: MovableClock, door: tuple[Portal, str]
) -> None:
    failure = SmsError("timeout", kind=SmsErrorKind.OTHER, is_permanent=False, may_have_been_sent=True)
    world.sms.failures.append(failure)
    await world.work(services)
    clock.forward(minutes=1)
    await world.work(services)

    [sms] = world.sms.delivered
    assert (await sms_row(services)).state == OutgoingState.UNKNOWN
    rosa, path = door
    opened = await enter(rosa.client, path, sms.text[-6:])
    assert opened.url.path == f"{path}/transfer"


async def test_a_busy_provider_is_tried_again_while_someone_waits(
    services: Services, world: World, clock: MovableClock, door: tuple[Portal, str]
) -> None:
    world.sms.failures.append(SmsError("429", kind=SmsErrorKind.BUSY, is_permanent=False, may_have_been_sent=False))
    await world.work(services)
    assert not world.sms.delivered
    clock.forward(seconds=20)
    await world.work(services)

    [sms] = world.sms.delivered
    assert sms.recipient == ROSA.number
    assert sms.valid_seconds == 580  # of the ten minutes that the code lives


async def test_a_code_goes_before_mail_that_waited_longer(
    app: Starlette, services: Services, world: World, anna_portal: Portal, clock: MovableClock, database_kind: str
) -> None:
    """Ten thousand mails take longer than a code lasts, and somebody is looking at their telephone."""
    await send(anna_portal, ROSA)
    await world.work(services)
    path, secret = world.link(ROSA.email)
    await send(anna_portal, *(Row(f"Sam {number}", f"sam{number}@advocaat.example", SAM.mobile) for number in range(25)))
    clock.forward(seconds=5)
    async with browser(app) as rosa:
        await rosa.post(path, data={"link_secret": secret})
        await rosa.post(f"{path}/code")

    assert await services.dispatching.dispatch() == 20

    assert [each.recipient for each in world.sms.delivered] == [ROSA.number]


async def test_a_mail_server_that_does_not_answer_holds_up_no_code(
    app: Starlette, services: Services, world: World, anna_portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send(anna_portal, ROSA)
    await world.work(services)
    path, secret = world.link(ROSA.email)
    answers, is_asked, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
    at_once = world.mail.deliver

    async def late(**given: Any) -> MailAcceptance:
        is_asked.set()
        await answers.wait()
        return await at_once(**given)

    monkeypatch.setattr(world.mail, "deliver", late)
    await send(anna_portal, SAM)
    running = asyncio.create_task(services.dispatching.run(stop))
    await asyncio.wait_for(is_asked.wait(), 20)
    async with browser(app) as rosa:
        await rosa.post(path, data={"link_secret": secret})
        await rosa.post(f"{path}/code")
    async with asyncio.timeout(20):
        while not world.sms.delivered:  # noqa: ASYNC110 - the provider tells in no other way
            await asyncio.sleep(0.01)

    answers.set()
    stop.set()
    await running
    assert [mail.recipient for mail in world.mail.delivered] == [ROSA.email, SAM.email]


async def test_a_code_that_was_replaced_while_it_waited_does_not_leave(
    services: Services, world: World, clock: MovableClock, door: tuple[Portal, str]
) -> None:
    rosa, path = door
    world.sms.failures.append(SmsError("429", kind=SmsErrorKind.BUSY, is_permanent=False, may_have_been_sent=False))
    await world.work(services)
    clock.forward(seconds=30)
    await rosa.client.post(f"{path}/code")
    await world.work(services)

    [sms] = world.sms.delivered
    assert (await enter(rosa.client, path, sms.text[-6:])).url.path == f"{path}/transfer"


@pytest.mark.parametrize("kind", list(SMS_REASONS["nl"]))
async def test_a_number_that_fails_is_told_to_the_recipient_and_to_the_sender_with_the_reason(
    services: Services, world: World, door: tuple[Portal, str], kind: SmsErrorKind
) -> None:
    world.sms.failures.append(SmsError("21614", kind=kind, is_permanent=True, may_have_been_sent=False))
    await world.work(services)

    rosa, path = door
    assert "The text message could not be delivered. Ask the sender for help." in words(await rosa.client.get(f"{path}/verify"))
    [told] = [mail for mail in world.mail.delivered if mail.recipient == ANNA]
    part = message_from_bytes(told.message, policy=default).get_body(("plain",))
    assert part is not None
    assert SMS_REASONS["nl"][kind] in " ".join(part.get_content().split())


def test_every_reason_has_a_sentence_in_both_languages() -> None:
    """Of messages, of calls, or of both."""
    for reasons in (SMS_REASONS, CALL_REASONS):
        assert set(reasons["nl"]) == set(reasons["en"])
    assert set(SMS_REASONS["nl"]) | set(CALL_REASONS["nl"]) == set(SmsErrorKind)
