"""Mail that comes back: told to its sender once, by what only that mail was marked with, whatever anyone writes."""

from __future__ import annotations

import asyncio
import re
import shutil
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import trustme
from sqlalchemy import select
from starlette.applications import Starlette
from tests.conftest import MovableClock, Portal, browser, signed_in
from tests.stand_ins.bounces import FakeMailbox, exchange, internationalised, postfix
from tests.stand_ins.gateways import DeliveredMail, FakeMail, FakeSms
from tests.stand_ins.imap_server import imap_server
from tests.web.acts import ROSA, SAM, Row, enter, recognise, send, words
from tests.web.test_delivery import LINK

from zegelpost.adapters.bounces_imap import ImapBounceMailbox
from zegelpost.main import Services, build_app, build_services
from zegelpost.migrations import migrate_database
from zegelpost.model.event import Event, EventTag
from zegelpost.model.outgoing import DELAY_LASTS, MailFault, Outgoing, OutgoingState
from zegelpost.model.policy import Policy
from zegelpost.ports import BounceMailboxError, MailAcceptance
from zegelpost.services.dispatching import Gateways
from zegelpost.services.explaining_failures import MAIL_REASONS
from zegelpost.services.taking_bounces import Taken
from zegelpost.settings import Settings

ANNA = "anna@zegelpost.example"
TOKEN = "a-token-of-the-mail-server-that-is-long"
HOOK = "/webhooks/bounces"


@dataclass
class SlowMail(FakeMail):
    """Takes a mail, and then something happens before it says so."""

    meanwhile: Callable[[DeliveredMail], Awaitable[None]] | None = None

    async def deliver(self, *, sender: str, recipient: str, message: bytes) -> MailAcceptance:
        acceptance = await super().deliver(sender=sender, recipient=recipient, message=message)
        if self.meanwhile is not None:
            await self.meanwhile(self.delivered[-1])
        return acceptance


class World:
    def __init__(self) -> None:
        self.mail = SlowMail()
        self.sms = FakeSms()
        self.mailbox = FakeMailbox()

    def sender(self, to: str) -> str:
        """The return address of the latest mail to someone."""
        return [mail.sender for mail in self.mail.delivered if mail.recipient == to][-1]

    def message_id(self, to: str) -> str:
        message = [mail.message for mail in self.mail.delivered if mail.recipient == to][-1]
        return str(message_from_bytes(message, policy=default)["Message-ID"]).strip("<>")

    def told(self) -> list[str]:
        """What Anna was mailed, as text."""
        texts = []
        for mail in self.mail.delivered:
            part = message_from_bytes(mail.message, policy=default).get_body(("plain",)) if mail.recipient == ANNA else None
            if part is not None:
                texts.append(" ".join(part.get_content().split()))
        return texts


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, bounce_address="bounces@post.example", bounce_token=TOKEN)


@pytest.fixture
def services(settings: Settings, clock: MovableClock, policy: Policy, world: World, sqlite_with_cast: Path) -> Services:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.database_url.startswith("sqlite"):
        shutil.copyfile(sqlite_with_cast, urlsplit(settings.database_url).path)
    else:
        migrate_database(settings.database_url)
    gateways = Gateways(world.mail, world.sms)
    return build_services(settings, gateways=gateways, bounce_mailbox=world.mailbox, clock=clock, policy=policy)


async def work(services: Services) -> None:
    while await services.dispatching.dispatch():
        pass


@pytest.fixture
async def sent(services: Services, world: World, anna_portal: Portal) -> str:
    transfer_id = await send(anna_portal, ROSA, SAM)
    await work(services)
    return transfer_id


@pytest.fixture
async def relay(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    """The mail server, which holds the token."""
    async with browser(app, Authorization=f"Bearer {TOKEN}", **{"Content-Type": "message/rfc822"}) as client:
        yield client


async def events(services: Services, *tags: EventTag) -> list[Event]:
    async with services.database.reading() as session:
        return list(await session.scalars(select(Event).where(Event.tag.in_(tags)).order_by(Event.id)))


async def recipient(anna: httpx2.AsyncClient, transfer_id: str, row: Row = ROSA) -> Any:
    seen = (await anna.get(f"/api/v1/transfers/{transfer_id}")).json()
    return next(each for each in seen["recipients"] if each["email"] == row.email)


async def test_each_mail_has_a_return_address_of_its_own(sent: str, world: World) -> None:
    rosas, sams = world.sender(ROSA.email), world.sender(SAM.email)

    assert rosas != sams
    for address in (rosas, sams):
        assert re.fullmatch(r"bounces\+[a-z2-7]{42}@post\.example", address)
        assert len(address.partition("@")[0]) <= 64
    # Who has a Message-ID cannot make up the address: a mark is missing.
    assert world.message_id(ROSA.email).partition("@")[0] == rosas[8:34]


@pytest.mark.parametrize("by_mailbox", [True, False])
async def test_a_mail_that_came_back_is_told_to_its_sender_once(
    services: Services, world: World, sent: str, anna_portal: Portal, anna: httpx2.AsyncClient,
    relay: httpx2.AsyncClient, clock: MovableClock, *, by_mailbox: bool, database_kind: str,
) -> None:  # fmt: skip
    clock.forward(minutes=1)
    notice = postfix(world.sender(ROSA.email))

    async def come_back() -> None:
        if by_mailbox:
            world.mailbox.put(notice)
            await services.taking_bounces.read_mailbox()
        else:
            assert (await relay.post(HOOK, content=notice)).status_code == 204
        await work(services)

    await come_back()

    page = words(await anna_portal.client.get(f"/transfers/{sent}"))
    assert page.count("Not delivered") == 1
    assert "The e-mail did not arrive. Check the e-mail address." in page
    assert "E-mail came back: not delivered" in page
    seen = await recipient(anna, sent)
    assert (seen["state"], seen["mail_fault"]) == ("undelivered", "address")
    [came_back] = [event for event in seen["history"] if event["event"] == "mail:bounced"]
    assert came_back["facts"] == {"purpose": "invitation", "failure": "5.1.1"}
    assert (await recipient(anna, sent, SAM))["state"] == "waiting"
    [told] = world.told()
    assert ROSA.email in told
    assert MAIL_REASONS["nl"][MailFault.ADDRESS] in told
    report = (await anna.get(f"/api/v1/transfers/{sent}/report.json")).json()
    [line] = [line for line in report["events"] if line["event"] == "mail:bounced"]
    assert line["nta_7516"] == "sent (failed)"

    await come_back()
    await come_back()
    assert len(world.told()) == 1
    assert len(await events(services, EventTag.MAIL_BOUNCED)) == 1
    assert world.mailbox.contents() == []

    await anna_portal.press(f"/transfers/{sent}/recipients/{seen['id']}/reissue")
    await work(services)
    assert (await recipient(anna, sent))["state"] == "waiting"


@pytest.mark.parametrize(
    ("notice", "fault"),
    [
        (exchange, "address"),
        (internationalised, "address"),
        (lambda to: postfix(to.upper()), "address"),
        (lambda to: postfix("postmaster@post.example").replace(b"From:", f"Delivered-To: {to}\r\nFrom:".encode(), 1), "address"),
        (lambda to: postfix(to, status="5.2.2"), "full"),
        (lambda to: postfix(to, status="5.7.1"), "refused"),
        (lambda to: postfix(to, status="4.4.7"), "unreachable"),
        (lambda to: postfix(to, status="5.0.0"), "address"),
        (lambda to: postfix(to, status="nonsense"), "address"),
    ],
)
async def test_notices_of_all_kinds_and_what_the_sender_can_do(
    services: Services, world: World, sent: str, anna: httpx2.AsyncClient, relay: httpx2.AsyncClient, notice: Any, fault: str
) -> None:
    await relay.post(HOOK, content=notice(world.sender(ROSA.email)))
    await work(services)

    seen = await recipient(anna, sent)
    assert (seen["state"], seen["mail_fault"]) == ("undelivered", fault)
    [told] = world.told()
    assert MAIL_REASONS["nl"][MailFault(fault)] in told


async def test_a_delay_is_told_as_such_and_a_bounce_after_it_counts(
    services: Services, world: World, sent: str, anna: httpx2.AsyncClient, anna_portal: Portal,
    relay: httpx2.AsyncClient, clock: MovableClock,
) -> None:  # fmt: skip
    delayed = postfix(world.sender(ROSA.email), action="delayed", status="4.4.1")
    for _ in range(2):
        await relay.post(HOOK, content=delayed)
    await work(services)

    assert (await recipient(anna, sent))["state"] == "delayed"
    page = words(await anna_portal.client.get(f"/transfers/{sent}"))
    assert "E-mail delayed" in page
    assert "Not delivered" not in page
    assert not world.told()
    assert len(await events(services, EventTag.MAIL_DELAYED)) == 1

    await relay.post(HOOK, content=postfix(world.sender(ROSA.email), status="4.4.7"))
    await relay.post(HOOK, content=delayed)
    assert (await recipient(anna, sent))["state"] == "undelivered"


async def test_a_delay_of_which_nothing_more_was_heard_ended_well(
    world: World, sent: str, app: Starlette, relay: httpx2.AsyncClient, clock: MovableClock
) -> None:
    await relay.post(HOOK, content=postfix(world.sender(ROSA.email), action="delayed"))
    clock.forward(seconds=DELAY_LASTS.total_seconds())
    again = await signed_in(app, ANNA)
    assert (await recipient(again, sent))["state"] == "waiting"
    await again.aclose()


async def test_forged_and_unrelated_ones_change_nothing(
    services: Services, world: World, sent: str, anna: httpx2.AsyncClient, relay: httpx2.AsyncClient
) -> None:
    address, message_id = world.sender(ROSA.email), world.message_id(ROSA.email)
    other_mark = address[:-14] + ("a" if address[-14] != "a" else "b") + address[-13:]
    forged = [
        postfix("bounces@post.example", message_id=message_id),
        postfix(other_mark, message_id=message_id),
        postfix(f"bounces+{message_id[:26]}@post.example", message_id=message_id),
        postfix(address.replace("@post.example", "@elders.example"), message_id=message_id),
        postfix(f"{address}, {world.sender(SAM.email)}"),
        postfix("zegelpost@zegelpost.example", message_id=message_id),
        postfix(address, action="delivered", status="2.0.0"),
        postfix(address).replace(b"report-type=delivery-status", b"report-type=disposition-notification"),
        b"To: " + address.encode() + b"\r\nSubject: Undelivered Mail\r\n\r\nStatus: 5.1.1\r\nAction: failed\r\n",
        # It names Rosa, in a notice about Sam's mail to nobody of ours.
        postfix("bounces+" + "a" * 42 + "@post.example", recipient=ROSA.email),
        b"",
    ]
    before = await events(services, *EventTag)
    for content in forged:
        world.mailbox.put(content)
        assert (await relay.post(HOOK, content=content)).status_code == 204
    await services.taking_bounces.read_mailbox()
    await work(services)

    assert [event.id for event in await events(services, *EventTag)] == [event.id for event in before]
    assert {each["state"] for each in (await anna.get(f"/api/v1/transfers/{sent}")).json()["recipients"]} == {"waiting"}
    assert not world.told()
    # They are left for a person to look at.
    assert len(world.mailbox.contents(is_read=True)) == len(forged)


async def test_a_notice_counts_for_its_own_mail_alone(
    services: Services, world: World, sent: str, anna: httpx2.AsyncClient, relay: httpx2.AsyncClient
) -> None:
    """What it says about recipients is not believed: Sam's return address is Sam's, whoever is named."""
    await relay.post(
        HOOK, content=postfix(world.sender(SAM.email), recipient=ROSA.email, message_id=world.message_id(ROSA.email))
    )

    assert (await recipient(anna, sent, SAM))["state"] == "undelivered"
    assert (await recipient(anna, sent, ROSA))["state"] == "waiting"


@pytest.mark.parametrize(
    "token", [None, "Bearer ", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer \xe9"]
)
async def test_the_webhook_is_for_who_has_the_token(
    app: Starlette, world: World, sent: str, anna: httpx2.AsyncClient, anna_portal: Portal, token: str | None
) -> None:
    notice = postfix(world.sender(ROSA.email))
    for client in (browser(app), anna_portal.client, anna):
        headers = {} if token is None else {b"Authorization": token.encode("latin-1")}
        answer = await client.post(HOOK, content=notice, headers=headers)
        assert answer.status_code == 401
    assert (await recipient(anna, sent))["state"] == "waiting"


async def test_without_a_token_there_is_no_webhook(
    settings: Settings, policy: Policy, clock: MovableClock, app: Starlette
) -> None:
    services = build_services(replace(settings, bounce_token=None), policy=policy, clock=clock)
    async with browser(build_app(services, has_worker=False)) as client:
        assert (await client.post(HOOK, content=b"x", headers={"Authorization": "Bearer None"})).status_code == 404
    await services.database.close()


async def test_a_large_notice_is_taken(world: World, sent: str, anna: httpx2.AsyncClient, relay: httpx2.AsyncClient) -> None:
    answer = await relay.post(HOOK, content=exchange(world.sender(ROSA.email)) + b"x" * 3_000_000)

    assert answer.status_code == 204
    assert (await recipient(anna, sent))["state"] == "undelivered"


async def test_who_opened_it_since_then_got_it(
    services: Services, world: World, sent: str, app: Starlette, relay: httpx2.AsyncClient, anna: httpx2.AsyncClient,
    clock: MovableClock,
) -> None:  # fmt: skip
    part = message_from_bytes(
        [mail.message for mail in world.mail.delivered if mail.recipient == ROSA.email][-1], policy=default
    ).get_body(("plain",))
    assert part is not None
    found = LINK.search(part.get_content().encode())
    assert found
    clock.forward(minutes=1)
    async with browser(app) as rosa:
        path = found.group(1).decode()
        await recognise(rosa, (path, found.group(2).decode()))
        await rosa.post(f"{path}/code")
        await work(services)
        await enter(rosa, path, world.sms.delivered[-1].text[-6:])
    assert (await recipient(anna, sent))["state"] == "opened"

    await relay.post(HOOK, content=postfix(world.sender(ROSA.email)))
    await work(services)

    assert (await recipient(anna, sent))["state"] == "opened"
    assert len(await events(services, EventTag.MAIL_BOUNCED)) == 1
    assert not world.told()


async def test_a_notice_to_the_sender_that_comes_back_makes_no_further_notices(
    services: Services, world: World, sent: str, relay: httpx2.AsyncClient
) -> None:
    await relay.post(HOOK, content=postfix(world.sender(ROSA.email)))
    await work(services)
    count = len(world.mail.delivered)

    await relay.post(HOOK, content=postfix(world.sender(ANNA)))
    await work(services)

    assert len(world.mail.delivered) == count
    assert [event.facts["purpose"] for event in await events(services, EventTag.MAIL_BOUNCED)] == [
        "invitation",
        "delivery_failed",
    ]


async def test_a_notice_that_overtakes_its_own_mail_waits(
    services: Services, world: World, anna_portal: Portal, relay: httpx2.AsyncClient
) -> None:
    """The relay knows at once, and tells while our own conversation with it still goes on."""
    answers: list[int] = []

    async def come_back(mail: DeliveredMail) -> None:
        answer = await relay.post(HOOK, content=postfix(mail.sender))
        answers.append(answer.status_code)
        world.mailbox.put(postfix(mail.sender))
        await services.taking_bounces.read_mailbox()

    world.mail.meanwhile = come_back
    await send(anna_portal, ROSA)
    await services.dispatching.dispatch()
    world.mail.meanwhile = None

    assert answers == [503]
    assert len(world.mailbox.contents(is_read=False)) == 1
    assert await services.taking_bounces.read_mailbox() == 1
    async with services.database.reading() as session:
        states = list(await session.scalars(select(Outgoing.state).order_by(Outgoing.created_at)))
    assert states[0] == OutgoingState.BOUNCED
    assert [event.tag for event in await events(services, EventTag.MAIL_ACCEPTED, EventTag.MAIL_BOUNCED)][:2] == [
        EventTag.MAIL_ACCEPTED,
        EventTag.MAIL_BOUNCED,
    ]


async def test_one_notice_by_two_doors_at_once_is_told_once(
    services: Services, world: World, sent: str, database_kind: str
) -> None:
    notice = postfix(world.sender(ROSA.email))
    outcomes = await asyncio.gather(*(services.taking_bounces.take(notice) for _ in range(5)))

    assert sorted(outcomes) == [*[Taken.KNOWN] * 4, Taken.TOLD]


async def test_many_are_taken_in_one_round(services: Services, world: World, anna_portal: Portal) -> None:
    rows = [Row(f"R {number}", f"r{number}@zorg.example", ROSA.mobile) for number in range(45)]
    await send(anna_portal, *rows)
    await work(services)
    for row in rows:
        world.mailbox.put(postfix(world.sender(row.email)))
        world.mailbox.put(b"Subject: something else\r\n\r\n")

    assert await services.taking_bounces.read_mailbox() == 45
    assert len(world.mailbox.contents()) == 45


async def test_from_a_real_mailbox_to_the_page(
    settings: Settings, policy: Policy, world: World, clock: MovableClock, sent: str, anna: httpx2.AsyncClient
) -> None:
    """A mail server delivers the notice, and another process reads it."""
    authority, trust = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trust)
    with imap_server(authority) as server:
        worker = build_services(
            settings,
            gateways=Gateways(world.mail, world.sms),
            bounce_mailbox=ImapBounceMailbox(server.url(), ssl_context=trust),
            policy=policy,
            clock=clock,
        )
        server.put(b"From: rosa@zorg.example\r\nSubject: Vakantie\r\n\r\nIk ben er niet.\r\n")
        server.put(exchange(world.sender(ROSA.email)))
        assert await worker.taking_bounces.read_mailbox() == 1
        await worker.database.close()

        assert [b"Vakantie" in content for content in server.contents(is_read=True)] == [True]
    assert (await recipient(anna, sent))["state"] == "undelivered"


async def test_a_mailbox_that_is_away_is_tried_again(services: Services, world: World, sent: str) -> None:
    world.mailbox.put(postfix(world.sender(ROSA.email)))
    world.mailbox.failure = BounceMailboxError("away")
    stop = asyncio.Event()
    running = asyncio.create_task(services.taking_bounces.run(stop))
    await asyncio.sleep(0.05)
    assert not running.done()
    stop.set()
    await running
    assert len(world.mailbox.contents()) == 1

    world.mailbox.failure = None
    assert await services.taking_bounces.read_mailbox() == 1


async def test_without_return_addresses_the_message_id_counts(
    settings: Settings, policy: Policy, world: World, app: Starlette, clock: MovableClock, anna_portal: Portal
) -> None:
    plain = build_services(
        replace(settings, bounce_address=None), gateways=Gateways(world.mail, world.sms), policy=policy, clock=clock
    )
    await send(anna_portal, ROSA)
    await work(plain)
    message_id = world.message_id(ROSA.email)
    for wrong in (
        "unknown@127.0.0.1",
        message_id.replace("127.0.0.1", "elders.example"),
        "a" * 26 + "@127.0.0.1",
        message_id[1:],
    ):
        assert await plain.taking_bounces.take(postfix("zegelpost@zegelpost.example", message_id=wrong)) == Taken.UNRELATED

    assert await plain.taking_bounces.take(exchange("zegelpost@zegelpost.example", message_id=message_id)) == Taken.TOLD
    await plain.database.close()


async def test_a_retry_keeps_the_return_address(
    services: Services, settings: Settings, world: World, anna_portal: Portal, clock: MovableClock, policy: Policy
) -> None:
    """The address was fixed with the bytes: a setting that changes meanwhile changes nothing about a mail that waits."""
    await send(anna_portal, ROSA)
    changed = build_services(
        replace(settings, bounce_address="elders@post.example"),
        gateways=Gateways(world.mail, world.sms),
        policy=policy,
        clock=clock,
    )
    await work(changed)

    assert world.sender(ROSA.email).startswith("bounces+")
    await changed.database.close()
