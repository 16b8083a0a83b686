"""Two providers of text messages: the second takes over what the first did not send, and reports in its own way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser, make_administrator
from tests.stand_ins.messagebird_api import SIGNING_KEY, MessageBirdApi, messagebird_api, signed
from tests.stand_ins.twilio_api import TwilioApi, twilio_api
from tests.web.acts import ROSA, enter, recognise, send, words

from zegelpost.adapters.messagebird_account import MessageBirdAccount
from zegelpost.adapters.messagebird_reports import MessageBirdReports
from zegelpost.adapters.outbox_demo import DemoOutbox
from zegelpost.adapters.sms_in_order import NamedGateway, SmsGatewaysInOrder, SmsReportsOfAll
from zegelpost.adapters.sms_messagebird import MessageBirdSmsGateway
from zegelpost.adapters.sms_twilio import TwilioSmsGateway
from zegelpost.adapters.twilio_account import TwilioAccount
from zegelpost.main import Services, build_services
from zegelpost.migrations import migrate_database
from zegelpost.model.policy import Policy
from zegelpost.services.dispatching import Gateways
from zegelpost.settings import Settings

CHRIS = "chris@zegelpost.example"
ARRIVED = "The phone company says that the text message has arrived."


@dataclass(frozen=True)
class Providers:
    twilio: TwilioApi
    bird: MessageBirdApi

    @property
    def bodies(self) -> list[str]:
        return [*(each.body for each in self.twilio.messages), *(each.body for each in self.bird.messages)]


@pytest.fixture
def providers() -> Iterator[Providers]:
    with twilio_api() as twilio, messagebird_api() as bird:
        yield Providers(twilio, bird)


@pytest.fixture
def services(settings: Settings, clock: MovableClock, policy: Policy, providers: Providers) -> Services:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrate_database(settings.database_url)
    mails = DemoOutbox()
    twilio = TwilioAccount(providers.twilio.sms_url(), api_url=providers.twilio.url, timeout_seconds=3)
    bird = MessageBirdAccount(providers.bird.sms_url())
    in_order = [NamedGateway("twilio", TwilioSmsGateway(twilio)), NamedGateway("messagebird", MessageBirdSmsGateway(bird))]
    gateways = Gateways(mails.mail, SmsGatewaysInOrder(in_order), sms_reports=SmsReportsOfAll([MessageBirdReports(SIGNING_KEY)]))
    return replace(build_services(settings, gateways=gateways, clock=clock, policy=policy), demo_outbox=mails)


async def test_a_withdrawn_key_at_the_first_sends_by_the_second_and_alarms(
    app: Starlette, services: Services, anna_portal: Portal, outbox: Outbox, providers: Providers
) -> None:
    await make_administrator(services)
    await send(anna_portal, ROSA)
    link = await outbox.link(ROSA.email)
    providers.twilio.fail_next(401, 20003)
    async with browser(app) as rosa:
        await recognise(rosa, link)
        await rosa.post(f"{link[0]}/code")
        await outbox.deliver()
        [message] = providers.bird.messages
        assert providers.twilio.messages == []
        [alarm] = await outbox.all(kind="mail", to=CHRIS)
        assert "niet goed is ingesteld" in " ".join(alarm["text"].split())

        # It tells what became of it in a signed address; anyone else's telling changes nothing.
        address = message.report("delivered")
        place = urlsplit(address)
        forged = await rosa.get(
            f"{place.path}?{place.query}", headers={"MessageBird-Signature-JWT": signed(address, key="0" * 32)}
        )
        assert forged.status_code == 403
        assert ARRIVED not in words(await rosa.get(f"{link[0]}/verify"))
        told = await rosa.get(f"{place.path}?{place.query}", headers={"MessageBird-Signature-JWT": signed(address)})
        assert told.status_code == 204
        assert ARRIVED in words(await rosa.get(f"{link[0]}/verify"))
        assert (await enter(rosa, link[0], message.body[-6:])).url.path == f"{link[0]}/transfer"


@pytest.mark.parametrize("outage", ["cut", "late", "5xx"])
async def test_doubt_at_the_first_sends_nothing_by_the_second(
    app: Starlette, anna_portal: Portal, outbox: Outbox, providers: Providers, clock: MovableClock, outage: str
) -> None:
    await send(anna_portal, ROSA)
    link = await outbox.link(ROSA.email)
    if outage == "cut":
        providers.twilio.cut_next(is_accepted=True)
    elif outage == "late":
        providers.twilio.stall_next(30)
    else:
        providers.twilio.fail_next(503, is_accepted=True)
    async with browser(app) as rosa:
        await recognise(rosa, link)
        await rosa.post(f"{link[0]}/code")
        for _ in range(3):
            await outbox.deliver()
            clock.forward(minutes=2)

    assert len(providers.bodies) == 1
    assert providers.bird.messages == []


async def test_both_busy_is_tried_again_and_leaves_once(
    app: Starlette, anna_portal: Portal, outbox: Outbox, providers: Providers, clock: MovableClock
) -> None:
    await send(anna_portal, ROSA)
    link = await outbox.link(ROSA.email)
    providers.twilio.fail_next(429, 20429)
    providers.bird.fail_next(429)
    async with browser(app) as rosa:
        await recognise(rosa, link)
        await rosa.post(f"{link[0]}/code")
        await outbox.deliver()
        assert providers.bodies == []
        clock.forward(seconds=20)
        await outbox.deliver()
        await outbox.deliver()

    assert len(providers.bodies) == 1
