"""What a provider reports is believed when it signed it for this address, and is told in our words."""

from __future__ import annotations

import base64

import pytest
from tests.stand_ins.twilio_api import TOKEN, SentMessage, signature_of

from zegelpost.adapters.twilio_reports import TwilioSignatures, TwilioSmsReports
from zegelpost.model.outgoing import CarrierState
from zegelpost.model.refusals import ReportForged
from zegelpost.ports import SmsErrorKind, SmsReport

ADDRESS = "https://post.example.nl/webhooks/sms/abcdefghijklmnopqrstuvwxyz"
MESSAGE = SentMessage("+31612345678", "Uw code: 123456", "Zegelpost", 600, "SM" + "a" * 32, is_messaging_service=False)
REPORTS = TwilioSmsReports(TwilioSignatures(TOKEN))


def read(fields: dict[str, str], signature: str, address: str = ADDRESS) -> SmsReport:
    return REPORTS.read(address=address, fields=list(fields.items()), headers={"x-twilio-signature": signature})


@pytest.mark.parametrize(
    ("status", "code", "state", "kind"),
    [
        ("accepted", None, None, None),
        ("queued", None, None, None),
        ("sending", None, None, None),
        ("something-new", None, None, None),
        ("sent", None, CarrierState.SENT, None),
        ("delivered", None, CarrierState.DELIVERED, None),
        ("undelivered", 30003, CarrierState.UNDELIVERED, SmsErrorKind.UNREACHABLE),
        ("undelivered", 30006, CarrierState.UNDELIVERED, SmsErrorKind.NOT_MOBILE),
        ("undelivered", 30007, CarrierState.UNDELIVERED, SmsErrorKind.SUSPICIOUS),
        ("failed", 99999, CarrierState.UNDELIVERED, SmsErrorKind.OTHER),
        ("failed", None, CarrierState.UNDELIVERED, SmsErrorKind.OTHER),
    ],
)
def test_a_signed_report_is_told_in_our_words(
    status: str, code: int | None, state: CarrierState | None, kind: SmsErrorKind | None
) -> None:
    fields = MESSAGE.report(status, code)

    assert read(fields, signature_of(ADDRESS, fields)) == SmsReport(MESSAGE.sid, state, kind)


FIELDS = MESSAGE.report("delivered")
GENUINE = signature_of(ADDRESS, FIELDS)


@pytest.mark.parametrize(
    ("fields", "signature", "address"),
    [
        (FIELDS, "", ADDRESS),
        (FIELDS, "x", ADDRESS),
        (FIELDS, "\u00e9" * 28, ADDRESS),
        (FIELDS, GENUINE.lower(), ADDRESS),
        (FIELDS, base64.b64encode(b"\0" * 20).decode(), ADDRESS),
        (FIELDS, signature_of(ADDRESS, FIELDS, token=""), ADDRESS),
        (FIELDS, signature_of(ADDRESS, FIELDS, token="0" * 32), ADDRESS),
        (FIELDS | {"MessageStatus": "failed"}, GENUINE, ADDRESS),
        (FIELDS | {"Extra": "1"}, GENUINE, ADDRESS),
        ({}, GENUINE, ADDRESS),
        (FIELDS, GENUINE, ADDRESS.replace("https", "http")),
        (FIELDS, GENUINE, ADDRESS.replace("post.", "mallory.")),
        (FIELDS, GENUINE, ADDRESS[:-1] + "a"),
    ],
)
def test_a_forged_report_is_refused(fields: dict[str, str], signature: str, address: str) -> None:
    with pytest.raises(ReportForged):
        read(fields, signature, address)


def test_a_field_that_is_there_twice_is_refused() -> None:
    """The library signs both values, in an order of its own; which one counted would depend on who reads."""
    twice = [*FIELDS.items(), ("MessageStatus", "failed")]
    fields = {"MessageStatus": "deliveredMessageStatusfailed"} | {k: v for k, v in FIELDS.items() if k != "MessageStatus"}

    with pytest.raises(ReportForged):
        REPORTS.read(address=ADDRESS, fields=twice, headers={"x-twilio-signature": signature_of(ADDRESS, fields)})


def test_nobody_signs_with_nothing() -> None:
    with pytest.raises(ValueError, match="TWILIO_AUTH_TOKEN"):
        TwilioSignatures("")
