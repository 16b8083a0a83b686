"""MessageBird, where it differs from what every gateway does: what it is asked, how it refuses, and how it reports."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import parse_qsl, urlsplit

import pytest
import trustme
from tests.contracts.test_sms import REPORT_TO, ROSA, TEXT, said
from tests.stand_ins.messagebird_api import ACCESS_KEY, SIGNING_KEY, BirdMessage, MessageBirdApi, messagebird_api, signed
from tests.stand_ins.raw_server import raw_server

from zegelpost.adapters.messagebird_account import MessageBirdAccount
from zegelpost.adapters.messagebird_reports import MessageBirdReports
from zegelpost.adapters.sms_messagebird import MessageBirdSmsGateway
from zegelpost.model.outgoing import CarrierState
from zegelpost.model.refusals import ReportForged
from zegelpost.ports import SmsAcceptance, SmsError, SmsErrorKind

MESSAGE = BirdMessage("b1", "31612345678", "", "Zegelpost", 600, "plain", "a", REPORT_TO)


@pytest.fixture
def bird() -> Iterator[MessageBirdApi]:
    with messagebird_api() as running:
        yield running


async def deliver(url: str, *, timeout_seconds: float = 15, valid_seconds: int = 600) -> SmsAcceptance:
    gateway = MessageBirdSmsGateway(MessageBirdAccount(url, timeout_seconds=timeout_seconds))
    return await gateway.deliver(recipient=ROSA, text=TEXT, valid_seconds=valid_seconds, report_to=REPORT_TO)


@pytest.mark.parametrize("has_reports", [True, False])
async def test_what_is_asked(bird: MessageBirdApi, has_reports: bool) -> None:
    acceptance = await deliver(bird.sms_url("Gem%20Voorb", signing_key=SIGNING_KEY if has_reports else ""))

    [message] = bird.messages
    assert (message.to, message.body, message.originator) == ("31612345678", TEXT, "Gem Voorb")
    assert (message.validity_seconds, message.datacoding) == (600, "plain")
    assert (message.reference, message.report_to) == (("a", REPORT_TO) if has_reports else ("", ""))
    assert acceptance.provider_reference == message.id


@pytest.mark.parametrize(("asked", "given"), [(0, 1), (-5, 1), (600, 600), (999_999, 86_400)])
async def test_validity_stays_within_a_day(bird: MessageBirdApi, asked: int, given: int) -> None:
    await deliver(bird.sms_url(), valid_seconds=asked)

    assert [message.validity_seconds for message in bird.messages] == [given]


@pytest.mark.parametrize(
    ("status", "code", "parameter", "kind", "is_permanent", "is_doubt"),
    [
        (401, 2, "access_key", SmsErrorKind.OUR_SETUP, True, False),
        (422, 9, "originator", SmsErrorKind.OUR_SETUP, True, False),
        (422, 10, "originator", SmsErrorKind.OUR_SETUP, True, False),
        (422, 10, "recipients", SmsErrorKind.NUMBER_WRONG, True, False),
        (422, 10, "body", SmsErrorKind.OTHER, True, False),
        (422, 25, None, SmsErrorKind.OUR_SETUP, True, False),
        (402, 0, None, SmsErrorKind.OUR_SETUP, True, False),
        (404, 20, None, SmsErrorKind.OUR_SETUP, True, False),
        (422, 103, None, SmsErrorKind.OPTED_OUT, True, False),
        (429, 0, None, SmsErrorKind.BUSY, False, False),
        (500, 99, None, SmsErrorKind.BUSY, False, True),
        (503, 0, None, SmsErrorKind.BUSY, False, True),
    ],
)
async def test_trouble_is_classified_and_names_nobody(
    bird: MessageBirdApi, status: int, code: int, parameter: str | None, kind: SmsErrorKind, is_permanent: bool, is_doubt: bool
) -> None:
    bird.fail_next(status, code, parameter, is_accepted=is_doubt)

    with pytest.raises(SmsError) as caught:
        await deliver(bird.sms_url())

    error = caught.value
    assert (error.kind, error.is_permanent, error.may_have_been_sent) == (kind, is_permanent, is_doubt)
    assert len(bird.messages) == int(is_doubt), "tried again by itself"
    assert ROSA not in said(error)
    assert "482913" not in said(error)
    assert ACCESS_KEY not in said(error)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b'{"id": 7}', b'{"id": ""}'])
async def test_an_answer_without_identifier_leaves_doubt(bird: MessageBirdApi, body: bytes) -> None:
    bird.garble_next(body)

    with pytest.raises(SmsError) as caught:
        await deliver(bird.sms_url())

    assert caught.value.may_have_been_sent


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"errors": {}}', b'{"errors": ["+31612345678"]}', b'{"errors": [{"code": "x"}]}']
)
async def test_a_refusal_that_cannot_be_read_is_one_all_the_same(bird: MessageBirdApi, body: bytes) -> None:
    bird.garble_next(body, status=422)

    with pytest.raises(SmsError) as caught:
        await deliver(bird.sms_url())

    assert (caught.value.kind, caught.value.may_have_been_sent) == (SmsErrorKind.OTHER, False)


async def test_a_cut_or_late_answer_leaves_doubt(bird: MessageBirdApi) -> None:
    bird.cut_next(is_accepted=True)
    with pytest.raises(SmsError) as cut:
        await deliver(bird.sms_url())
    bird.stall_next(30)
    with pytest.raises(SmsError) as late:
        await deliver(bird.sms_url(), timeout_seconds=1)

    assert (cut.value.may_have_been_sent, late.value.may_have_been_sent) == (True, True)
    assert len(bird.messages) == 2


async def test_a_refused_connection_leaves_no_doubt() -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(SmsError) as caught:
            await deliver(f"messagebird+http://{ACCESS_KEY}@127.0.0.1:{taken.getsockname()[1]}?from=Z")

    assert (caught.value.kind, caught.value.may_have_been_sent, caught.value.is_permanent) == (SmsErrorKind.BUSY, False, False)


async def test_an_untrusted_certificate_gets_nothing() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    received = bytearray()

    async def listen(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        received.extend(await reader.read(1000))

    async with raw_server(listen, tls=context) as port:
        with pytest.raises(SmsError, match="TLS") as caught:
            await deliver(f"messagebird://{ACCESS_KEY}@localhost:{port}?from=Z", timeout_seconds=5)

    assert received == b""
    assert (caught.value.kind, caught.value.may_have_been_sent) == (SmsErrorKind.OUR_SETUP, False)


async def test_how_long_to_wait_is_passed_on(bird: MessageBirdApi) -> None:
    bird.fail_next(429, retry_after_seconds=7)

    with pytest.raises(SmsError) as caught:
        await deliver(bird.sms_url())

    assert caught.value.retry_after_seconds == 7


async def test_nothing_of_a_message_is_logged(bird: MessageBirdApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    await deliver(bird.sms_url())

    assert caplog.text == ""


@pytest.mark.parametrize("url", ["messagebird://", "messagebird://key@", "messagebird://key@?from=", "messagebird://a:b@?from=Z"])
def test_an_incomplete_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="ZEGELPOST_SMS_URL"):
        MessageBirdAccount(url)


# Reports


def read(address: str, token: str | None, *, given_at: str | None = None) -> object:
    fields = parse_qsl(urlsplit(address).query)
    headers = {} if token is None else {"messagebird-signature-jwt": token}
    report = MessageBirdReports(SIGNING_KEY).read(address=given_at or address, fields=fields, headers=headers)
    return (report.provider_reference, report.state, report.kind)


@pytest.mark.parametrize(
    ("status", "code", "state", "kind"),
    [
        ("scheduled", None, None, None),
        ("buffered", None, None, None),
        ("sent", None, CarrierState.SENT, None),
        ("delivered", None, CarrierState.DELIVERED, None),
        ("expired", None, CarrierState.UNDELIVERED, SmsErrorKind.UNREACHABLE),
        ("delivery_failed", None, CarrierState.UNDELIVERED, SmsErrorKind.OTHER),
        ("delivery_failed", 1, CarrierState.UNDELIVERED, SmsErrorKind.NUMBER_WRONG),
        ("delivery_failed", 11, CarrierState.UNDELIVERED, SmsErrorKind.NOT_MOBILE),
        ("delivery_failed", 27, CarrierState.UNDELIVERED, SmsErrorKind.UNREACHABLE),
        ("delivery_failed", 103, CarrierState.UNDELIVERED, SmsErrorKind.OPTED_OUT),
        ("delivery_failed", 9999, CarrierState.UNDELIVERED, SmsErrorKind.OTHER),
    ],
)
def test_a_signed_report_in_our_words(
    status: str, code: int | None, state: CarrierState | None, kind: SmsErrorKind | None
) -> None:
    address = MESSAGE.report(status, code)

    assert read(address, signed(address)) == ("b1", state, kind)


@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        "x",
        signed(MESSAGE.report("delivered"), key="0" * 32),
        signed(MESSAGE.report("delivered"), issuer="Mallory"),
        signed(MESSAGE.report("delivered"), seconds=-3600),
        signed(MESSAGE.report("delivery_failed")),
        signed(MESSAGE.report("delivered"), payload_hash=hashlib.sha256(b"x").hexdigest()),
        signed(MESSAGE.report("delivered"), url_hash="é"),
    ],
)
def test_who_did_not_sign_this_very_address_is_not_believed(token: str | None) -> None:
    with pytest.raises(ReportForged):
        read(MESSAGE.report("delivered"), token)


def test_a_field_that_is_there_twice_is_in_no_report_of_theirs() -> None:
    address = MESSAGE.report("delivered") + "&status=sent"
    with pytest.raises(ReportForged):
        read(address, signed(address))


def test_without_a_key_anyone_could_sign() -> None:
    with pytest.raises(ValueError, match="signing key"):
        MessageBirdReports("")
