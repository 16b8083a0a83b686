"""A code on the telephone: who may be called, what is heard by whom, and what sender and recipient read about it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.stand_ins.twilio_api import TOKEN, TwilioApi, signature_of, twilio_api
from tests.stand_ins.twilio_voice import PlacedCall
from tests.web.acts import Row, draft, enter, form_of, recognise, send, sentences, words

from zegelpost.adapters.outbox_demo import DemoOutbox
from zegelpost.adapters.sms_twilio import TwilioSmsGateway
from zegelpost.adapters.telephone_twilio import TwilioTelephone
from zegelpost.adapters.twilio_account import TwilioAccount
from zegelpost.adapters.twilio_reports import TwilioSignatures
from zegelpost.main import Services, build_services, build_worker
from zegelpost.migrations import migrate_database
from zegelpost.model.event import Event
from zegelpost.model.outgoing import Outgoing, OutgoingKind, OutgoingState
from zegelpost.model.policy import Policy
from zegelpost.model.recipient import VerificationMethod
from zegelpost.services.dispatching import Gateways
from zegelpost.settings import Settings

ANNA = "anna@zegelpost.example"
OMA = Row("Oma Visser", "oma@thuis.example", "020-123 45 67", "+31201234567")
SPOKEN = {"recipient-0-method": "spoken"}
QUESTION = "Press 1 to hear the code."
TOO_LATE = "This code no longer works."


@pytest.fixture
def policy(policy: Policy) -> Policy:
    return replace(policy, methods=(*policy.methods, VerificationMethod.SPOKEN))


@pytest.fixture
def api() -> Iterator[TwilioApi]:
    with twilio_api() as running:
        yield running


@pytest.fixture
def services(settings: Settings, clock: MovableClock, policy: Policy, api: TwilioApi) -> Services:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrate_database(settings.database_url)
    mails = DemoOutbox()
    account = TwilioAccount(f"{api.sms_url()}&call_from=+3197012345678", api_url=api.url)
    telephone = TwilioTelephone(account, TwilioSignatures(TOKEN))
    gateways = Gateways(mails.mail, TwilioSmsGateway(account), telephone=telephone)
    return replace(build_services(settings, gateways=gateways, clock=clock, policy=policy), demo_outbox=mails)


@dataclass
class Scene:
    """Oma has asked for a call, and her telephone rings."""

    browser: httpx2.AsyncClient
    path: str
    transfer_id: str
    outbox: Outbox
    api: TwilioApi

    @property
    def call(self) -> PlacedCall:
        return self.api.calls[-1]

    async def post(self, address: str, fields: dict[str, str]) -> str:
        """Twilio, signed, as a machine of its own: no cookies."""
        answer = await self.browser.post(
            urlsplit(address).path, data=fields, headers={"X-Twilio-Signature": signature_of(address, fields), "Cookie": ""}
        )
        assert answer.status_code in {200, 204}, answer.text
        return answer.text

    async def page(self) -> str:
        return words(await self.browser.get(f"{self.path}/verify"))

    async def told(self) -> list[str]:
        """What Anna was mailed about it."""
        mails = await self.outbox.all(kind="mail", to=ANNA)
        return [" ".join(mail["text"].split()) for mail in mails]


@pytest.fixture
async def scene(app: Starlette, anna_portal: Portal, outbox: Outbox, api: TwilioApi) -> AsyncIterator[Scene]:
    transfer_id = await send(anna_portal, OMA, documents=None, **SPOKEN)
    link = await outbox.link(OMA.email)
    async with browser(app) as oma:
        await recognise(oma, link)
        page = await oma.get(f"{link[0]}/verify")
        assert "We call the number that ends in 67" in words(page)
        await oma.post(f"{link[0]}/code")
        await outbox.deliver()
        yield Scene(oma, link[0], transfer_id, outbox, api)


def code_in(heard: list[str]) -> str:
    """The digits as they were read out: twice, apart."""
    digits = "".join(word for word in heard if len(word) == 1)
    assert len(digits) == 12
    assert digits[:6] == digits[6:]
    at = [number for number, word in enumerate(heard) if len(word) == 1]
    assert all(heard[number - 1] == "" for number in at), "a pause before each"
    return digits[:6]


async def events(services: Services) -> list[str]:
    async with services.database.reading() as session:
        rows = await session.scalars(select(Event).where(Event.tag.like("call:%")).order_by(Event.id))
        return [event.tag.value for event in rows]


async def row_of(services: Services) -> Outgoing:
    async with services.database.reading() as session:
        rows = select(Outgoing).where(Outgoing.kind == OutgoingKind.CALL).order_by(Outgoing.created_at.desc())
        return (await session.scalars(rows)).first()  # type: ignore[return-value]


async def test_from_the_telephone_to_the_documents(
    database_kind: str, scene: Scene, services: Services, anna_portal: Portal, anna: httpx2.AsyncClient
) -> None:
    assert "We are calling the number that ends in 67. Pick up, and press 1 to hear the code." in await scene.page()
    assert "We are calling with a code." in words(await anna_portal.client.get(f"/transfers/{scene.transfer_id}"))
    [mail] = await scene.outbox.all(kind="mail", to=OMA.email)
    assert "We call you on the number that ends in 67, and read out a code." in " ".join(mail["text"].split())

    heard = await scene.call.pick_up(scene.post, ["1"])

    assert heard[0] == "Hello. This is an automatic call from Gemeente Voorbeeld."
    assert "The code has been read out." in await scene.page()
    assert "The code was read out on the telephone." in words(await anna_portal.client.get(f"/transfers/{scene.transfer_id}"))
    assert (await row_of(services)).sealed_payload is None, "after the call nobody can read it any more"
    opened = await enter(scene.browser, scene.path, code_in(heard))
    assert opened.url.path == f"{scene.path}/transfer"
    assert await events(services) == ["call:accepted", "call:answered"]
    assert await scene.told() == []
    report = (await anna.get(f"/api/v1/transfers/{scene.transfer_id}/report.json")).json()
    assert {event["facts"].get("method") for event in report["events"] if event["event"].startswith("code:")} == {"spoken"}
    assert len(scene.api.calls) == 1
    assert scene.api.messages == []


async def test_an_answering_machine_hears_no_code(scene: Scene, services: Services, anna_portal: Portal) -> None:
    heard = await scene.call.pick_up(scene.post)

    assert heard.count(QUESTION) == 3
    assert not [word for word in heard if len(word) == 1]
    assert await events(services) == ["call:accepted", "call:missed"]
    assert (await row_of(services)).sealed_payload is None
    assert "We called, but nobody heard the code." in await scene.page()
    [mail] = await scene.told()
    assert "Het telefoontje waarin Oma Visser een code zou krijgen is niet gelukt." in mail
    assert "Misschien was het een antwoordapparaat." in mail
    assert "Somebody answered, but nobody pressed 1." in words(await anna_portal.client.get(f"/transfers/{scene.transfer_id}"))


async def test_another_key_hears_the_question_again(scene: Scene) -> None:
    heard = await scene.call.pick_up(scene.post, ["5", "#", "1"])

    assert heard.count(QUESTION) == 3
    assert code_in(heard)


@pytest.mark.parametrize(
    ("status", "reason"),
    [("busy", "in gesprek"), ("no-answer", "niet opgenomen"), ("failed", "niet te bereiken"), ("canceled", "niet opgenomen")],
)
async def test_nobody_there_is_told_to_both(scene: Scene, status: str, reason: str) -> None:
    await scene.call.end(scene.post, status)
    await scene.call.end(scene.post, status)

    assert "We called, but nobody heard the code." in await scene.page()
    [mail] = await scene.told()
    assert reason in mail


async def test_who_got_in_needs_no_news(scene: Scene) -> None:
    async def post(address: str, fields: dict[str, str]) -> str:
        answer = await scene.post(address, fields)
        if "Digits" in fields:
            found = re.findall(r">(\d)</Say>", answer)
            await enter(scene.browser, scene.path, "".join(found[:6]))
        return answer

    await scene.call.pick_up(post, ["1"])

    assert await scene.told() == []


async def test_a_key_after_the_call_or_too_late_or_after_a_newer_code_hears_none(
    scene: Scene, clock: MovableClock, outbox: Outbox
) -> None:
    first = scene.call
    clock.forward(minutes=4)
    await scene.browser.post(f"{scene.path}/code")
    await outbox.deliver()
    assert len(scene.api.calls) == 2
    heard = await first.pick_up(scene.post, ["1"])
    assert any(TOO_LATE in word for word in heard)
    assert not [word for word in heard if len(word) == 1]

    clock.forward(minutes=10)
    late = await scene.call.pick_up(scene.post, ["1"])
    again = await scene.call.pick_up(scene.post, ["1"])
    assert not [word for word in [*late, *again] if len(word) == 1]


async def test_nobody_else_hears_it(scene: Scene, services: Services) -> None:
    """A forged key press gets no code and changes nothing, whether or not there is such a call."""
    key_to = scene.call.report_to + "/key"
    path = urlsplit(key_to).path
    fields = scene.call.fields("in-progress") | {"Digits": "1"}
    absent = re.sub(r"[a-z2-7]{26}", "a" * 26, path)
    for where in (path, absent, urlsplit(scene.call.report_to).path, path.replace("/key", "%00/key")):
        for signature in (None, "", "x", signature_of(key_to, fields, token="0" * 32)):
            headers = {} if signature is None else {"X-Twilio-Signature": signature}
            answer = await scene.browser.post(where, data=fields, headers=headers | {"X-Forwarded-Host": "mallory.example"})
            assert answer.status_code == 403
            assert not re.findall(r">\d</Say>", answer.text)
    # Signed, about a call that is not the one we had made.
    other = fields | {"CallSid": "CA" + "b" * 32}
    answer = await scene.browser.post(path, data=other, headers={"X-Twilio-Signature": signature_of(key_to, other)})
    assert answer.status_code == 403
    address = f"{services.settings.base_url}{absent}"
    answer = await scene.browser.post(absent, data=fields, headers={"X-Twilio-Signature": signature_of(address, fields)})
    assert answer.status_code == 403

    assert await events(services) == ["call:accepted"]
    assert code_in(await scene.call.pick_up(scene.post, ["1"]))


async def test_a_call_goes_on_before_another_may_begin(scene: Scene, clock: MovableClock, outbox: Outbox) -> None:
    for minutes, status in ((1, 429), (1, 429), (1, 303), (2, 429), (1, 303)):
        clock.forward(minutes=minutes)
        answer = await scene.browser.post(f"{scene.path}/code", follow_redirects=False)
        assert answer.status_code == status
        await outbox.deliver()

    assert len(scene.api.calls) == 3


@pytest.mark.parametrize("is_accepted", [True, False])
async def test_doubt_never_makes_a_second_call(
    app: Starlette,
    anna_portal: Portal,
    outbox: Outbox,
    api: TwilioApi,
    services: Services,
    clock: MovableClock,
    is_accepted: bool,
) -> None:
    transfer_id = await send(anna_portal, OMA, documents=None, **SPOKEN)
    link = await outbox.link(OMA.email)
    async with browser(app) as oma:
        await recognise(oma, link)
        await oma.post(f"{link[0]}/code")
        api.cut_next(is_accepted=is_accepted)
        for _ in range(4):
            await outbox.deliver()
            clock.forward(minutes=1)
        assert len(api.calls) == int(is_accepted)
        assert (await row_of(services)).state == OutgoingState.UNKNOWN
        page = words(await anna_portal.client.get(f"/transfers/{transfer_id}"))
        assert "We may have called with a code; we do not know." in page
        if is_accepted:
            # It rings all the same, and whoever picks up gets in.
            heard = await api.calls[0].pick_up(Scene(oma, link[0], transfer_id, outbox, api).post, ["1"])
            assert (await enter(oma, link[0], code_in(heard))).url.path == f"{link[0]}/transfer"


async def test_a_refused_call_is_tried_again_and_then_told(
    app: Starlette, anna_portal: Portal, outbox: Outbox, api: TwilioApi, clock: MovableClock
) -> None:
    await send(anna_portal, OMA, documents=None, **SPOKEN)
    link = await outbox.link(OMA.email)
    async with browser(app) as oma:
        await recognise(oma, link)
        await oma.post(f"{link[0]}/code")
        api.fail_next(429, 20429)
        await outbox.deliver()
        clock.forward(seconds=20)
        await outbox.deliver()
        assert len(api.calls) == 1

        clock.forward(minutes=5)
        await oma.post(f"{link[0]}/code")
        api.fail_next(400, 21211)
        await outbox.deliver()
        assert "We could not call you. Ask the sender for help." in words(await oma.get(f"{link[0]}/verify"))
    [mail] = await outbox.all(kind="mail", to=ANNA)
    assert "Het nummer klopt niet." in mail["text"]


async def test_a_worker_that_died_with_a_call_in_hand_makes_none(scene: Scene, services: Services, clock: MovableClock) -> None:
    async with services.database.work() as session:
        row = await session.get_one(Outgoing, (await row_of(services)).id)
        row.state, row.worker, row.leased_until, row.acceptance = OutgoingState.SENDING, "gone", clock(), None
    await scene.outbox.deliver()

    assert len(scene.api.calls) == 1
    assert (await row_of(services)).state == OutgoingState.UNKNOWN
    assert (await events(services))[-1] == "call:failed"


async def test_many_presses_at_once_are_heard_once(database_kind: str, scene: Scene, services: Services) -> None:
    fields = scene.call.fields("in-progress") | {"Digits": "1"}
    answers = await asyncio.gather(*(scene.post(scene.call.report_to + "/key", fields) for _ in range(5)))

    assert len(set(answers)) == 1
    assert await events(services) == ["call:accepted", "call:answered"]


async def test_what_nobody_told_the_end_of_is_swept(scene: Scene, services: Services, clock: MovableClock) -> None:
    assert (await row_of(services)).sealed_payload is not None
    clock.forward(minutes=10)
    await build_worker(services).sweep()

    assert (await row_of(services)).sealed_payload is None


@pytest.mark.parametrize(
    ("mobile", "method", "refused"),
    [
        ("020-123 45 67", "", "This is not a mobile number. Enter one, or choose a code by telephone call for this recipient."),
        ("0900-1234", "spoken", "We cannot call this number. Enter an ordinary landline or mobile number."),
        ("097 012 345 678", "spoken", "We cannot call this number. Enter an ordinary landline or mobile number."),
        ("", "spoken", "Enter a telephone number. The recipient gets a code on it."),
        ("+1 212 555 0123", "spoken", "We cannot send codes to numbers that start with +1."),
        ("06-12 34 56 78", "spoken", None),
        ("088 123 45 67", "spoken", None),
        ("020-123 45 67", "spoken", None),
    ],
)
async def test_which_numbers_can_be_called(anna_portal: Portal, mobile: str, method: str, refused: str | None) -> None:
    row = replace(OMA, mobile=mobile)
    answer = await anna_portal.press("/transfers", **form_of(row, **{"recipient-0-method": method}))

    assert sentences(answer) == ({} if refused is None else {"recipient-0-mobile": refused})


async def test_the_sender_sees_what_will_happen_and_can_change_it(anna_portal: Portal) -> None:
    transfer_id = await draft(anna_portal, OMA, documents=None, **SPOKEN)
    check = words(await anna_portal.client.get(f"/transfers/{transfer_id}/check"))
    assert "Gets a code read out on the telephone, on +31201234567" in check
    edit = await anna_portal.client.get(f"/transfers/{transfer_id}/edit")
    assert '<option value="spoken" selected' in edit.text


async def test_a_missing_number_can_wait_and_may_be_a_landline(
    anna_portal: Portal, anna: httpx2.AsyncClient, outbox: Outbox
) -> None:
    row = replace(OMA, mobile="")
    transfer_id = await send(anna_portal, row, documents=None, **SPOKEN, **{"recipient-0-park": "1"})
    assert "Add the telephone number to send it." in words(await anna_portal.client.get(f"/transfers/{transfer_id}"))
    (recipient,) = (await anna.get(f"/api/v1/transfers/{transfer_id}")).json()["recipients"]

    await anna_portal.press(f"/transfers/{transfer_id}/recipients/{recipient['id']}/complete", mobile="020-123 45 67")

    assert await outbox.link(OMA.email)


async def test_where_it_is_off_nobody_is_offered_it(
    settings: Settings, anna_portal: Portal, services: Services, anna: httpx2.AsyncClient
) -> None:
    assert "spoken" in (await anna.get("/api/v1/policy")).json()["methods"]
    plain = build_services(replace(settings, has_spoken_codes=False))
    assert VerificationMethod.SPOKEN not in plain.policy.methods
    await plain.database.close()
    loud = build_services(replace(settings, has_spoken_codes=True))
    assert VerificationMethod.SPOKEN in loud.policy.methods
    await loud.database.close()
