"""What became of a code, from the provider's reports to the words that the recipient and the sender read."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.stand_ins.gateways import FakeMail, FakeSms
from tests.stand_ins.twilio_api import TOKEN, SentMessage, TwilioApi, signature_of, twilio_api
from tests.web.acts import ROSA, enter, recognise, send, words

from zegelpost.adapters.outbox_demo import DemoOutbox
from zegelpost.adapters.sms_twilio import TwilioSmsGateway
from zegelpost.adapters.twilio_account import TwilioAccount
from zegelpost.adapters.twilio_reports import TwilioSignatures, TwilioSmsReports
from zegelpost.main import Services, build_app, build_services
from zegelpost.migrations import migrate_database
from zegelpost.model.event import Event
from zegelpost.model.outgoing import Outgoing, OutgoingKind, OutgoingState
from zegelpost.model.policy import Policy
from zegelpost.services.dispatching import Gateways
from zegelpost.settings import Settings

ANNA = "anna@zegelpost.example"
NOT_ARRIVED = "The phone company says that the text message could not be delivered. Does your number end in 78?"
ARRIVED = "The phone company says that the text message has arrived."


@pytest.fixture
def api() -> Iterator[TwilioApi]:
    with twilio_api() as running:
        yield running


def gateways_of(api: TwilioApi, mails: DemoOutbox) -> Gateways:
    account = TwilioAccount(api.sms_url(), api_url=api.url)
    return Gateways(
        mails.mail, TwilioSmsGateway(account, has_reports=True), sms_reports=TwilioSmsReports(TwilioSignatures(TOKEN))
    )


@pytest.fixture
def mails() -> DemoOutbox:
    return DemoOutbox()


@pytest.fixture
def services(settings: Settings, clock: MovableClock, policy: Policy, api: TwilioApi, mails: DemoOutbox) -> Services:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrate_database(settings.database_url)
    services = build_services(settings, gateways=gateways_of(api, mails), clock=clock, policy=policy)
    return replace(services, demo_outbox=mails)


@dataclass
class Scene:
    """Rosa waits for her code, which Twilio has."""

    rosa: httpx2.AsyncClient
    path: str
    transfer_id: str
    message: SentMessage
    outbox: Outbox

    async def report(self, status: str, code: int | None = None) -> httpx2.Response:
        """Twilio posts, signed."""
        fields = self.message.report(status, code)
        address = self.message.report_to
        return await self.rosa.post(
            urlsplit(address).path, data=fields, headers={"X-Twilio-Signature": signature_of(address, fields)}
        )

    async def code_page(self) -> str:
        return words(await self.rosa.get(f"{self.path}/verify"))

    async def told(self) -> list[str]:
        """What Anna was mailed about it."""
        return [mail["subject"] for mail in await self.outbox.all(kind="mail", to=ANNA)]


@pytest.fixture
async def waiting(
    app: Starlette, anna_portal: Portal, outbox: Outbox, api: TwilioApi
) -> AsyncIterator[tuple[str, str, httpx2.AsyncClient]]:
    transfer_id = await send(anna_portal, ROSA)
    link = await outbox.link(ROSA.email)
    async with browser(app) as rosa:
        await recognise(rosa, link)
        await rosa.post(f"{link[0]}/code")
        yield transfer_id, link[0], rosa


@pytest.fixture
async def scene(waiting: tuple[str, str, httpx2.AsyncClient], outbox: Outbox, api: TwilioApi) -> Scene:
    transfer_id, path, rosa = waiting
    await outbox.deliver()
    return Scene(rosa, path, transfer_id, api.messages[0], outbox)


async def row_of(services: Services) -> Outgoing:
    async with services.database.reading() as session:
        return (await session.scalars(select(Outgoing).where(Outgoing.kind == OutgoingKind.SMS))).one()


async def events(services: Services) -> list[str]:
    async with services.database.reading() as session:
        rows = await session.scalars(select(Event).where(Event.tag.like("sms:%")).order_by(Event.id))
        return [event.tag.value for event in rows]


async def test_an_arrived_code_is_told_to_both(
    scene: Scene, services: Services, anna_portal: Portal, anna: httpx2.AsyncClient
) -> None:
    assert scene.message.report_to.startswith(f"{services.settings.base_url}/webhooks/sms/")
    assert (await scene.report("sent")).status_code == 204
    assert ARRIVED not in await scene.code_page()
    assert "we do not know yet whether it arrived" in words(await anna_portal.client.get(f"/transfers/{scene.transfer_id}"))

    assert (await scene.report("delivered")).status_code == 204

    assert ARRIVED in await scene.code_page()
    assert "The code arrived, says the phone company." in words(await anna_portal.client.get(f"/transfers/{scene.transfer_id}"))
    [recipient] = (await anna.get(f"/api/v1/transfers/{scene.transfer_id}")).json()["recipients"]
    assert (recipient["code"]["state"], recipient["code"]["failure"]) == ("delivered", None)
    assert await scene.told() == []


async def test_a_lost_code_is_told_to_both_with_the_reason(
    scene: Scene, services: Services, anna_portal: Portal, anna: httpx2.AsyncClient
) -> None:
    await scene.report("sent")
    await scene.report("undelivered", 30006)

    assert NOT_ARRIVED in await scene.code_page()
    page = words(await anna_portal.client.get(f"/transfers/{scene.transfer_id}"))
    assert "The code did not arrive, says the phone company. This is not a mobile number. Use another number." in page
    [recipient] = (await anna.get(f"/api/v1/transfers/{scene.transfer_id}")).json()["recipients"]
    assert (recipient["code"]["state"], recipient["code"]["failure"]) == ("undelivered", "not_mobile")
    [mail] = await scene.outbox.all(kind="mail", to=ANNA)
    assert "Dit is geen mobiel nummer. Gebruik een ander nummer." in " ".join(mail["text"].split())
    assert await events(services) == ["sms:accepted", "sms:undelivered"]
    report = (await anna.get(f"/api/v1/transfers/{scene.transfer_id}/report.json")).json()
    assert [event["nta_7516"] for event in report["events"] if event["event"] == "sms:undelivered"] == ["sent (failed)"]


@pytest.mark.parametrize("order", list(itertools.permutations(["queued", "sending", "sent", "delivered", "delivered"]))[::7])
async def test_twice_and_in_any_order_ends_the_same(scene: Scene, services: Services, order: tuple[str, ...]) -> None:
    for status in order:
        assert (await scene.report(status)).status_code == 204

    assert ARRIVED in await scene.code_page()
    assert await events(services) == ["sms:accepted", "sms:delivered"]


@pytest.mark.parametrize(("first", "second"), [("delivered", "undelivered"), ("undelivered", "delivered")])
async def test_what_is_final_stays(scene: Scene, services: Services, first: str, second: str) -> None:
    for status in (first, second, first, "sent"):
        await scene.report(status)

    assert await events(services) == ["sms:accepted", f"sms:{first}"]
    assert len(await scene.told()) == (first == "undelivered")


async def test_many_reports_at_once_are_one(database_kind: str, scene: Scene, services: Services) -> None:
    answers = await asyncio.gather(*(scene.report("undelivered", 30003) for _ in range(6)))

    assert {answer.status_code for answer in answers} == {204}
    assert await events(services) == ["sms:accepted", "sms:undelivered"]
    assert len(await scene.told()) == 1


async def test_nobody_else_reports(scene: Scene, services: Services) -> None:
    """A forgery changes nothing, and is answered alike whether or not there is such a message."""
    path = urlsplit(scene.message.report_to).path
    fields = scene.message.report("undelivered", 30003)
    absent = path[:-26] + "a" * 26
    for where in (path, absent, path[:-1], f"{path[:-26]}%00"):
        for signature in (None, "", "x", signature_of(scene.message.report_to, fields, token="0" * 32)):
            headers = {} if signature is None else {"X-Twilio-Signature": signature}
            answer = await scene.rosa.post(where, data=fields, headers=headers | {"X-Forwarded-Host": "mallory.example"})
            assert answer.status_code == 403
    elsewhere = f"https://mallory.example{path}"
    answer = await scene.rosa.post(
        path,
        data=fields,
        headers={
            "X-Twilio-Signature": signature_of(elsewhere, fields),
            "X-Forwarded-Host": "mallory.example",
            "X-Forwarded-Proto": "https",
        },
    )
    assert answer.status_code == 403

    assert (await row_of(services)).carrier_state is None
    assert await events(services) == ["sms:accepted"]
    # Signed, about nothing we know: harmless.
    other = scene.message.report_to[:-26] + "a" * 26
    answer = await scene.rosa.post(absent, data=fields, headers={"X-Twilio-Signature": signature_of(other, fields)})
    assert answer.status_code == 204


async def test_a_report_about_another_message_changes_nothing(scene: Scene, services: Services) -> None:
    scene.message = replace(scene.message, sid="SM" + "b" * 32)

    assert (await scene.report("undelivered", 30003)).status_code == 204

    assert await events(services) == ["sms:accepted"]


async def test_the_public_address_is_signed_whatever_the_proxy_makes_of_it(
    settings: Settings, clock: MovableClock, api: TwilioApi, mails: DemoOutbox, services: Services
) -> None:
    public = replace(settings, base_url="https://post.example.nl", is_demo=False)
    behind = build_services(public, gateways=gateways_of(api, mails), clock=clock)
    transport = httpx2.ASGITransport(app=build_app(behind, has_worker=False))
    path = "/webhooks/sms/" + "a" * 26
    fields = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    statuses = []
    async with httpx2.AsyncClient(transport=transport, base_url="http://post.example.nl") as proxy:
        for base in ("https://post.example.nl", "http://post.example.nl"):
            signature = signature_of(base + path, fields)
            statuses.append((await proxy.post(path, data=fields, headers={"X-Twilio-Signature": signature})).status_code)
    await behind.database.close()

    assert statuses == [204, 403]


async def test_without_a_token_nothing_is_believed(
    settings: Settings, clock: MovableClock, policy: Policy, services: Services
) -> None:
    unheard = build_services(settings, gateways=Gateways(FakeMail(), FakeSms()), clock=clock, policy=policy)
    path = "/webhooks/sms/" + "a" * 26
    fields = {"MessageSid": "SM1", "MessageStatus": "delivered"}
    signature = signature_of(settings.base_url + path, fields, token="")
    async with browser(build_app(unheard, has_worker=False)) as client:
        answer = await client.post(path, data=fields, headers={"X-Twilio-Signature": signature})
    await unheard.database.close()

    assert answer.status_code == 403


async def test_a_5xx_after_accepting_sends_no_second_code_and_the_report_clears_the_doubt(
    waiting: tuple[str, str, httpx2.AsyncClient],
    services: Services,
    outbox: Outbox,
    api: TwilioApi,
    clock: MovableClock,
    anna_portal: Portal,
) -> None:
    transfer_id, path, rosa = waiting
    api.fail_next(503, is_accepted=True)
    for _ in range(4):
        await outbox.deliver()
        clock.forward(minutes=2)
    assert len(api.messages) == 1
    row = await row_of(services)
    assert (row.state, row.acceptance) == (OutgoingState.UNKNOWN, None)
    page = words(await anna_portal.client.get(f"/transfers/{transfer_id}"))
    assert "A code may have been sent; we do not know." in page

    scene = Scene(rosa, path, transfer_id, api.messages[0], outbox)
    assert (await scene.report("delivered")).status_code == 204

    assert (await row_of(services)).acceptance == scene.message.sid
    assert "The code arrived, says the phone company." in words(await anna_portal.client.get(f"/transfers/{transfer_id}"))
    opened = await enter(rosa, path, scene.message.body[-6:])
    assert opened.url.path == f"{path}/transfer"


async def test_a_report_that_overtakes_the_answer_counts(
    waiting: tuple[str, str, httpx2.AsyncClient], services: Services, outbox: Outbox, api: TwilioApi
) -> None:
    transfer_id, path, rosa = waiting
    api.stall_next(1.0)
    delivering = asyncio.create_task(outbox.deliver())
    while not api.messages:  # noqa: ASYNC110 - the stand-in has threads, not events
        await asyncio.sleep(0.01)
    scene = Scene(rosa, path, transfer_id, api.messages[0], outbox)
    assert (await scene.report("undelivered", 30003)).status_code == 204
    await delivering

    row = await row_of(services)
    assert (row.state, row.carrier_failure) == (OutgoingState.ACCEPTED, "unreachable")
    assert NOT_ARRIVED in await scene.code_page()


async def test_who_got_in_needs_no_news(scene: Scene) -> None:
    await enter(scene.rosa, scene.path, scene.message.body[-6:])

    await scene.report("undelivered", 30003)

    assert await scene.told() == []


async def test_a_busy_provider_says_how_long_to_wait(
    waiting: tuple[str, str, httpx2.AsyncClient], outbox: Outbox, api: TwilioApi, clock: MovableClock
) -> None:
    api.fail_next(429, 20429, retry_after_seconds=90)
    await outbox.deliver()
    clock.forward(seconds=89)
    await outbox.deliver()
    assert not api.messages

    clock.forward(seconds=1)
    await outbox.deliver()
    assert len(api.messages) == 1


async def test_a_provider_that_wants_longer_than_the_code_lives_is_a_failure_at_once(
    waiting: tuple[str, str, httpx2.AsyncClient], outbox: Outbox, api: TwilioApi
) -> None:
    _, path, rosa = waiting
    api.fail_next(429, 20429, retry_after_seconds=3600)
    await outbox.deliver()

    assert "The text message could not be delivered." in words(await rosa.get(f"{path}/verify"))
    [mail] = await outbox.all(kind="mail", to=ANNA)
    assert "De sms-dienst is te druk." in " ".join(mail["text"].split())
