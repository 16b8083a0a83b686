"""What every SMS gateway does: sends once, unchanged, and says what went wrong without naming the person."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest
import trustme
from tests.stand_ins.gateways import DeliveredSms, FakeSms
from tests.stand_ins.messagebird_api import MessageBirdApi, messagebird_api
from tests.stand_ins.twilio_api import ACCOUNT, KEY, TOKEN, TwilioApi, twilio_api

from zegelpost.adapters.messagebird_account import MessageBirdAccount
from zegelpost.adapters.outbox_demo import DemoOutbox
from zegelpost.adapters.sms_messagebird import MessageBirdSmsGateway
from zegelpost.adapters.sms_twilio import TwilioSmsGateway
from zegelpost.adapters.twilio_account import TwilioAccount
from zegelpost.ports import SmsError, SmsErrorKind, SmsGateway

ROSA = "+31612345678"
TEXT = "Uw code voor het document van Gemeente Voorbeeld: 482913. Geef deze nooit door (€ 0 & 100% + ü).\n@post.example #482913"
REPORT_TO = "https://post.example/webhooks/sms/a"
SERVICE = "MG0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Trouble:
    """What the other side does, and what the port says about it."""

    status: int
    code: int
    kind: SmsErrorKind
    is_permanent: bool = True
    may_have_been_sent: bool = False


TROUBLES = [
    Trouble(400, 21211, SmsErrorKind.NUMBER_WRONG),
    Trouble(400, 21614, SmsErrorKind.NOT_MOBILE),
    Trouble(400, 21635, SmsErrorKind.NOT_MOBILE),
    Trouble(400, 30006, SmsErrorKind.NOT_MOBILE),
    Trouble(400, 21610, SmsErrorKind.OPTED_OUT),
    Trouble(403, 21408, SmsErrorKind.UNREACHABLE),
    Trouble(400, 21612, SmsErrorKind.UNREACHABLE),
    Trouble(400, 30004, SmsErrorKind.UNREACHABLE),
    Trouble(400, 30005, SmsErrorKind.UNREACHABLE),
    Trouble(400, 30003, SmsErrorKind.UNREACHABLE, is_permanent=False),
    Trouble(400, 21212, SmsErrorKind.OUR_SETUP),
    Trouble(400, 21606, SmsErrorKind.OUR_SETUP),
    Trouble(400, 21608, SmsErrorKind.OUR_SETUP),
    Trouble(400, 21657, SmsErrorKind.OUR_SETUP),
    Trouble(401, 20003, SmsErrorKind.OUR_SETUP),
    Trouble(403, 0, SmsErrorKind.OUR_SETUP),
    Trouble(429, 20429, SmsErrorKind.BUSY, is_permanent=False),
    Trouble(429, 0, SmsErrorKind.BUSY, is_permanent=False),
    Trouble(400, 21611, SmsErrorKind.BUSY, is_permanent=False),
    Trouble(400, 30450, SmsErrorKind.SUSPICIOUS),
    Trouble(400, 63038, SmsErrorKind.SUSPICIOUS),
    Trouble(400, 30007, SmsErrorKind.SUSPICIOUS),
    Trouble(400, 21617, SmsErrorKind.OTHER),
    Trouble(500, 20500, SmsErrorKind.BUSY, is_permanent=False, may_have_been_sent=True),
    Trouble(503, 0, SmsErrorKind.BUSY, is_permanent=False, may_have_been_sent=True),
]


@dataclass(frozen=True)
class Stage:
    """A gateway, and its other end."""

    gateway: SmsGateway
    delivered: Callable[[], list[DeliveredSms]]
    fail_next: Callable[[Trouble], None]


@pytest.fixture
def api() -> Iterator[TwilioApi]:
    with twilio_api() as running:
        yield running


@pytest.fixture
def bird() -> Iterator[MessageBirdApi]:
    with messagebird_api() as running:
        yield running


# What MessageBird says instead: HTTP status, code, and the parameter that it is about.
_BIRD_TROUBLES = {
    SmsErrorKind.NUMBER_WRONG: (422, 10, "recipients"),
    SmsErrorKind.OPTED_OUT: (422, 103, None),
    SmsErrorKind.OUR_SETUP: (401, 2, "access_key"),
    SmsErrorKind.BUSY: (429, 0, None),
    SmsErrorKind.OTHER: (400, 21, None),
}


def fail_bird(bird: MessageBirdApi, trouble: Trouble) -> None:
    if trouble.may_have_been_sent:
        bird.fail_next(trouble.status, 99, is_accepted=True)
    else:
        bird.fail_next(*_BIRD_TROUBLES[trouble.kind])


STAGES = ["twilio", "messagebird", "fake"]


def tells(stage: str, trouble: Trouble) -> bool:
    """MessageBird tells the others only in its reports."""
    return stage != "messagebird" or trouble.may_have_been_sent or trouble.kind in _BIRD_TROUBLES


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest) -> Stage:
    if request.param == "messagebird":
        bird: MessageBirdApi = request.getfixturevalue("bird")
        return Stage(
            MessageBirdSmsGateway(MessageBirdAccount(bird.sms_url())),
            lambda: [DeliveredSms(f"+{message.to}", message.body, message.validity_seconds) for message in bird.messages],
            lambda it: fail_bird(bird, it),
        )
    if request.param == "fake":
        fake = FakeSms()
        return Stage(
            fake,
            lambda: fake.delivered,
            lambda it: fake.failures.append(
                SmsError("no", kind=it.kind, is_permanent=it.is_permanent, may_have_been_sent=it.may_have_been_sent)
            ),
        )
    api: TwilioApi = request.getfixturevalue("api")
    return Stage(
        gateway_of(api.sms_url(), api_url=api.url),
        lambda: [DeliveredSms(message.to, message.body, message.validity_seconds) for message in api.messages],
        lambda it: api.fail_next(it.status, it.code, is_accepted=it.may_have_been_sent),
    )


def gateway_of(url: str, *, api_url: str | None = None, timeout_seconds: float = 15) -> TwilioSmsGateway:
    return TwilioSmsGateway(TwilioAccount(url, api_url=api_url, timeout_seconds=timeout_seconds))


def said(error: BaseException) -> str:
    """Everything that a log could get hold of."""
    return "".join(traceback.format_exception(error)) + repr(vars(error)) + repr(error.args)


async def test_a_message_arrives_once_and_unchanged(stage: Stage) -> None:
    acceptance = await stage.gateway.deliver(recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO)

    assert stage.delivered() == [DeliveredSms(ROSA, TEXT, 600)]
    assert acceptance.provider_reference


async def test_every_message_has_its_own_reference(stage: Stage) -> None:
    references = {
        (await stage.gateway.deliver(recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO)).provider_reference
        for _ in range(3)
    }

    assert len(references) == 3
    assert len(stage.delivered()) == 3


@pytest.mark.parametrize(
    ("stage", "trouble"),
    [
        pytest.param(stage, trouble, id=f"{stage}-{trouble.status}-{trouble.code}")
        for stage in STAGES
        for trouble in TROUBLES
        if tells(stage, trouble)
    ],
    indirect=["stage"],
)
async def test_trouble_is_classified_and_names_nobody(stage: Stage, trouble: Trouble) -> None:
    stage.fail_next(trouble)

    with pytest.raises(SmsError) as caught:
        await stage.gateway.deliver(recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO)

    error = caught.value
    assert (error.kind, error.is_permanent, error.may_have_been_sent) == (
        trouble.kind,
        trouble.is_permanent,
        trouble.may_have_been_sent,
    )
    assert len(stage.delivered()) == int(trouble.may_have_been_sent), "tried again by itself"
    assert ROSA not in said(error)
    assert "482913" not in said(error)


async def test_after_trouble_the_next_message_leaves(stage: Stage) -> None:
    stage.fail_next(Trouble(429, 20429, SmsErrorKind.BUSY, is_permanent=False))
    with pytest.raises(SmsError):
        await stage.gateway.deliver(recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO)

    await stage.gateway.deliver(recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO)

    assert len(stage.delivered()) == 1


async def test_the_demo_shows_what_would_have_left() -> None:
    outbox = DemoOutbox()

    await outbox.sms.deliver(recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO)

    entry = outbox.entries()[0]
    assert (entry["kind"], entry["to"], entry["text"]) == ("sms", ROSA, TEXT)


@pytest.mark.parametrize(
    ("sender", "written", "is_service"),
    [
        ("Zegelpost", "Zegelpost", False),
        ("Gem%20Voorb", "Gem Voorb", False),
        ("+3197012345678", "+3197012345678", False),
        ("%2B3197012345678", "+3197012345678", False),
        (SERVICE, SERVICE, True),
    ],
)
async def test_the_sender_is_a_name_a_number_or_a_service(api: TwilioApi, sender: str, written: str, is_service: bool) -> None:
    await gateway_of(api.sms_url(sender), api_url=api.url).deliver(
        recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO
    )

    assert [(message.sender, message.is_messaging_service) for message in api.messages] == [(written, is_service)]


@pytest.mark.parametrize(("asked", "given"), [(600, 600), (1, 1), (0, 1), (-5, 1), (36_000, 36_000), (99_999, 36_000)])
async def test_validity_stays_within_what_twilio_takes(api: TwilioApi, asked: int, given: int) -> None:
    await gateway_of(api.sms_url(), api_url=api.url).deliver(recipient=ROSA, text=TEXT, valid_seconds=asked, report_to=REPORT_TO)

    assert [message.validity_seconds for message in api.messages] == [given]


async def test_the_reference_is_twilios(api: TwilioApi) -> None:
    acceptance = await gateway_of(api.sms_url(), api_url=f"{api.url}/").deliver(
        recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO
    )

    assert acceptance.provider_reference == api.messages[0].sid


async def test_an_answer_that_comes_too_late_leaves_doubt(api: TwilioApi) -> None:
    api.stall_next(30)

    with pytest.raises(SmsError) as caught:
        await gateway_of(api.sms_url(), api_url=api.url, timeout_seconds=1).deliver(
            recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO
        )

    assert caught.value.may_have_been_sent
    assert len(api.messages) == 1
    assert ROSA not in said(caught.value)


@pytest.mark.parametrize("is_accepted", [True, False])
async def test_a_connection_cut_after_sending_leaves_doubt(api: TwilioApi, is_accepted: bool) -> None:
    api.cut_next(is_accepted=is_accepted)

    with pytest.raises(SmsError) as caught:
        await gateway_of(api.sms_url(), api_url=api.url).deliver(
            recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO
        )

    assert caught.value.may_have_been_sent
    assert len(api.messages) == int(is_accepted)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b'"SM"'])
async def test_an_answer_without_reference_leaves_doubt(api: TwilioApi, body: bytes) -> None:
    api.garble_next(body)

    with pytest.raises(SmsError) as caught:
        await gateway_of(api.sms_url(), api_url=api.url).deliver(
            recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO
        )

    assert caught.value.may_have_been_sent


@pytest.mark.parametrize(
    "body",
    [
        b"<html>+31612345678",
        b'{"code": "+31612345678", "message": "+31612345678"}',
        b'{"type": "+31612345678", "title": "+31612345678", "status": "+31612345678", "code": "+31612345678"}',
    ],
)
async def test_a_refusal_that_cannot_be_read_is_one_all_the_same(api: TwilioApi, body: bytes) -> None:
    api.garble_next(body, status=400)

    with pytest.raises(SmsError) as caught:
        await gateway_of(api.sms_url(), api_url=api.url).deliver(
            recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO
        )

    assert (caught.value.kind, caught.value.may_have_been_sent) == (SmsErrorKind.OTHER, False)
    assert ROSA not in said(caught.value)


async def test_a_refused_connection_leaves_no_doubt() -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        gateway = gateway_of(f"twilio://{KEY}:x@{ACCOUNT}?from=Z", api_url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(SmsError) as caught:
            await gateway.deliver(recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO)

    assert not caught.value.may_have_been_sent
    assert not caught.value.is_permanent
    assert ROSA not in said(caught.value)


async def test_an_untrusted_certificate_gets_nothing() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    received = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    with context.wrap_socket(connection, server_side=True) as secure:
                        received.extend(secure.recv(1000))
                except OSError:
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        gateway = gateway_of(
            f"twilio://{KEY}:x@{ACCOUNT}?from=Z", api_url=f"https://localhost:{server.getsockname()[1]}", timeout_seconds=5
        )
        with pytest.raises(SmsError, match="TLS") as caught:
            await gateway.deliver(recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO)
        thread.join()

    assert received == b""
    assert (caught.value.kind, caught.value.may_have_been_sent) == (SmsErrorKind.OUR_SETUP, False)


@pytest.mark.parametrize(
    "credentials", [f"{KEY}:wrong@{ACCOUNT}", f"SKother:x@{ACCOUNT}", f"{KEY}:s3cr:t%2Fwith%40signs@{ACCOUNT.lower()}"]
)
async def test_wrong_credentials_name_the_setting(api: TwilioApi, credentials: str) -> None:
    gateway = gateway_of(f"twilio://{credentials}?from=Zegelpost", api_url=api.url)

    with pytest.raises(SmsError, match="ZEGELPOST_SMS_URL") as caught:
        await gateway.deliver(recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO)

    assert caught.value.kind == SmsErrorKind.OUR_SETUP
    assert "s3cr" not in said(caught.value)


async def test_twilio_is_asked_to_forget_where_the_operator_says_so(api: TwilioApi) -> None:
    await gateway_of(api.sms_url(), api_url=api.url).deliver(recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO)
    await gateway_of(f"{api.sms_url()}&retention=discard", api_url=api.url).deliver(
        recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO
    )

    assert [message.is_forgotten for message in api.messages] == [False, True]


async def test_how_long_to_wait_is_passed_on(api: TwilioApi) -> None:
    api.fail_next(429, 20429, retry_after_seconds=7)
    api.fail_next(429, 20429)

    for expected in (7, None):
        with pytest.raises(SmsError) as caught:
            await gateway_of(api.sms_url(), api_url=api.url).deliver(
                recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO
            )
        assert caught.value.retry_after_seconds == expected


@pytest.mark.parametrize(("token", "has_token"), [(None, None), (TOKEN, True), ("other", False)])
async def test_a_look_sends_nothing(api: TwilioApi, token: str | None, has_token: bool | None) -> None:
    facts = TwilioAccount(api.sms_url(), api_url=api.url).look(token)

    assert facts.has_token == has_token
    assert facts.told_at is not None
    assert api.messages == []


async def test_nothing_of_a_message_is_logged(api: TwilioApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    await gateway_of(api.sms_url(), api_url=api.url).deliver(recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO)

    assert caplog.text == ""


@pytest.mark.parametrize(
    "url",
    [
        "twilio://",
        f"twilio://{KEY}@{ACCOUNT}?from=Z",
        f"twilio://{KEY}:x@{ACCOUNT}",
        f"twilio://{KEY}:x@{ACCOUNT}?from=",
        "demo:",
    ],
)
def test_an_incomplete_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="ZEGELPOST_SMS_URL") as caught:
        gateway_of(url)
    assert KEY not in str(caught.value)


def test_an_api_url_must_be_one() -> None:
    with pytest.raises(ValueError, match="TWILIO_API_URL"):
        gateway_of(f"twilio://{KEY}:x@{ACCOUNT}?from=Z", api_url="127.0.0.1:8080")


async def test_reports_are_asked_for_only_where_they_can_be_checked(api: TwilioApi) -> None:
    account = TwilioAccount(api.sms_url(), api_url=api.url)
    for has_reports in (False, True):
        gateway = TwilioSmsGateway(account, has_reports=has_reports)
        await gateway.deliver(recipient=ROSA, text=TEXT, valid_seconds=600, report_to=REPORT_TO)

    assert [message.report_to for message in api.messages] == ["", REPORT_TO]
