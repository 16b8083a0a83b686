"""What every telephone does: calls once, tells a machine nothing, and says what went wrong without naming the person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from tests.contracts.test_sms import TROUBLES, Trouble, said
from tests.stand_ins.gateways import FakeTelephone
from tests.stand_ins.twilio_api import TOKEN, TwilioApi, signature_of, twilio_api

from zegelpost.adapters.telephone_twilio import TwilioTelephone
from zegelpost.adapters.twilio_account import TwilioAccount
from zegelpost.adapters.twilio_reports import TwilioSignatures
from zegelpost.model.outgoing import CarrierState
from zegelpost.model.refusals import ReportForged
from zegelpost.ports import SmsError, SmsErrorKind, Speech, Telephone

LANDLINE = "+31201234567"
GREETING = Speech("nl", ["Goedendag.", "Druk op de 1 & wacht."])
CODE = Speech("en", ["Your code is:", *"482913", "I repeat:", *"482913", "Goodbye."])
KEY_TO = "https://post.example/webhooks/calls/a/key"
REPORT_TO = "https://post.example/webhooks/calls/a"
OURS = "+3197012345678"


@dataclass(frozen=True)
class Stage:
    telephone: Telephone
    rung: Callable[[], list[str]]
    fail_next: Callable[[Trouble], None]


@pytest.fixture
def api() -> Iterator[TwilioApi]:
    with twilio_api() as running:
        yield running


def telephone_of(api: TwilioApi, *, timeout_seconds: float = 15) -> TwilioTelephone:
    account = TwilioAccount(f"{api.sms_url()}&call_from={OURS}", api_url=api.url, timeout_seconds=timeout_seconds)
    return TwilioTelephone(account, TwilioSignatures(TOKEN))


@pytest.fixture(params=["twilio", "fake"])
def stage(request: pytest.FixtureRequest) -> Stage:
    if request.param == "fake":
        fake = FakeTelephone()
        return Stage(
            fake,
            lambda: [call.recipient for call in fake.delivered],
            lambda it: fake.failures.append(
                SmsError("no", kind=it.kind, is_permanent=it.is_permanent, may_have_been_sent=it.may_have_been_sent)
            ),
        )
    api: TwilioApi = request.getfixturevalue("api")
    return Stage(
        telephone_of(api),
        lambda: [call.to for call in api.calls],
        lambda it: api.fail_next(it.status, it.code, is_accepted=it.may_have_been_sent),
    )


async def call(telephone: Telephone) -> str:
    acceptance = await telephone.call(recipient=LANDLINE, speech=GREETING, valid_seconds=600, key_to=KEY_TO, report_to=REPORT_TO)
    return acceptance.provider_reference


async def test_it_rings_once_and_each_call_has_its_own_reference(stage: Stage) -> None:
    references = {await call(stage.telephone) for _ in range(3)}

    assert stage.rung() == [LANDLINE] * 3
    assert len(references) == 3


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: f"{trouble.status}-{trouble.code}")
async def test_trouble_is_classified_and_names_nobody(stage: Stage, trouble: Trouble) -> None:
    stage.fail_next(trouble)

    with pytest.raises(SmsError) as caught:
        await call(stage.telephone)

    error = caught.value
    assert (error.kind, error.is_permanent, error.may_have_been_sent) == (
        trouble.kind,
        trouble.is_permanent,
        trouble.may_have_been_sent,
    )
    assert len(stage.rung()) == int(trouble.may_have_been_sent), "tried again by itself"
    assert LANDLINE not in said(error)


async def test_what_is_said_comes_back_as_a_script(stage: Stage) -> None:
    asked = stage.telephone.ask(GREETING, key_to=KEY_TO)
    told = stage.telephone.say(CODE)

    assert KEY_TO in asked.content
    assert "Your code is:" in told.content
    assert KEY_TO not in told.content


async def test_twilio_hears_who_calls_and_for_how_long(api: TwilioApi) -> None:
    await call(telephone_of(api))

    [placed] = api.calls
    assert (placed.origin, placed.ring_seconds, placed.longest_seconds, placed.report_to) == (OURS, 45, 120, REPORT_TO)
    assert not any(digit in placed.twiml for digit in ("482913", "4 8 2"))


async def test_the_question_is_asked_three_times_and_a_machine_hears_nothing_else(api: TwilioApi) -> None:
    await call(telephone_of(api))

    async def post(address: str, fields: dict[str, str]) -> str:
        assert address == REPORT_TO, "nobody pressed anything"
        assert fields["CallStatus"] == "completed"
        return ""

    heard = await api.calls[0].pick_up(post)

    assert heard == ["Goedendag.", "Druk op de 1 & wacht."] * 3


async def test_after_a_key_the_digits_come_apart(api: TwilioApi) -> None:
    telephone = telephone_of(api)
    await call(telephone)

    async def post(address: str, fields: dict[str, str]) -> str:
        signature = signature_of(address, fields)
        report = telephone.read(address=address, fields=list(fields.items()), headers={"x-twilio-signature": signature})
        assert report.provider_reference == api.calls[0].sid
        if address == REPORT_TO:
            assert (report.state, report.kind, report.key) == (CarrierState.UNDELIVERED, SmsErrorKind.NO_KEY, "")
            return ""
        assert (report.state, report.key) == (None, "1")
        return telephone.say(CODE).content

    heard = await api.calls[0].pick_up(post, ["1"])

    digits = [word for digit in "482913" for word in ("", digit)]
    assert heard == ["Goedendag.", "Druk op de 1 & wacht.", "Your code is:", *digits, "I repeat:", *digits, "Goodbye."]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ("busy", None, SmsErrorKind.LINE_BUSY),
        ("no-answer", None, SmsErrorKind.NO_ANSWER),
        ("canceled", None, SmsErrorKind.NO_ANSWER),
        ("failed", None, SmsErrorKind.UNREACHABLE),
        ("failed", "13224", SmsErrorKind.NUMBER_WRONG),
        ("failed", "x", SmsErrorKind.UNREACHABLE),
        ("completed", None, SmsErrorKind.NO_KEY),
        ("ringing", None, None),
        ("in-progress", None, None),
        ("", None, None),
    ],
)
def test_how_a_call_ended_in_our_words(api: TwilioApi, status: str, code: str | None, kind: SmsErrorKind | None) -> None:
    fields = {"CallSid": "CA1", "CallStatus": status} | ({"ErrorCode": code} if code else {})
    headers = {"x-twilio-signature": signature_of(REPORT_TO, fields)}
    report = telephone_of(api).read(address=REPORT_TO, fields=list(fields.items()), headers=headers)

    assert (report.state, report.kind) == (CarrierState.UNDELIVERED if kind else None, kind)


@pytest.mark.parametrize("forgery", ["none", "empty", "other token", "other address", "other key", "doubled"])
def test_who_did_not_sign_is_not_believed(api: TwilioApi, forgery: str) -> None:
    fields = {"CallSid": "CA1", "CallStatus": "in-progress", "Digits": "1"}
    signatures = {
        "none": None,
        "empty": "",
        "other token": signature_of(KEY_TO, fields, token="0" * 32),
        "other address": signature_of(REPORT_TO, fields),
        "other key": signature_of(KEY_TO, fields | {"Digits": "2"}),
        "doubled": signature_of(KEY_TO, fields),
    }
    posted = [*fields.items(), *([("Digits", "1")] if forgery == "doubled" else [])]
    signature = signatures[forgery]

    with pytest.raises(ReportForged):
        telephone_of(api).read(
            address=KEY_TO, fields=posted, headers={} if signature is None else {"x-twilio-signature": signature}
        )


@pytest.mark.parametrize("is_accepted", [True, False])
async def test_a_cut_or_late_answer_leaves_doubt(api: TwilioApi, is_accepted: bool) -> None:
    api.cut_next(is_accepted=is_accepted)
    with pytest.raises(SmsError) as cut:
        await call(telephone_of(api))
    api.stall_next(30, is_accepted=is_accepted)
    with pytest.raises(SmsError) as late:
        await call(telephone_of(api, timeout_seconds=1))

    assert (cut.value.may_have_been_sent, late.value.may_have_been_sent) == (True, True)
    assert len(api.calls) == 2 * is_accepted


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]"])
async def test_an_answer_without_reference_leaves_doubt(api: TwilioApi, body: bytes) -> None:
    api.garble_next(body)

    with pytest.raises(SmsError) as caught:
        await call(telephone_of(api))

    assert caught.value.may_have_been_sent


@pytest.mark.parametrize(("origin", "calls_from"), [("%2B31201112222", "+31201112222"), ("+31201112222", "+31201112222")])
async def test_a_number_that_sends_also_calls(api: TwilioApi, origin: str, calls_from: str) -> None:
    account = TwilioAccount(api.sms_url(origin), api_url=api.url)
    await call(TwilioTelephone(account, TwilioSignatures(TOKEN)))

    assert api.calls[0].origin == calls_from


def test_a_name_cannot_call(api: TwilioApi) -> None:
    with pytest.raises(ValueError, match="call_from"):
        TwilioTelephone(TwilioAccount(api.sms_url(), api_url=api.url), TwilioSignatures(TOKEN))


async def test_how_long_to_wait_is_passed_on(api: TwilioApi) -> None:
    api.fail_next(429, 20429, retry_after_seconds=7)

    with pytest.raises(SmsError) as caught:
        await call(telephone_of(api))

    assert caught.value.retry_after_seconds == 7


def test_speech_and_reports_show_no_code_in_a_log() -> None:
    assert "482913" not in repr(replace(CODE, language="nl"))
    assert "4" not in repr(CODE)
