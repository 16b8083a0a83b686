"""The real services, for whoever has credentials: what the stand-ins claim about them, held against them.

Each test runs where its addresses are set: `ZEGELPOST_TEST_SMS_URL` and `ZEGELPOST_TEST_SMS_TO`, `ZEGELPOST_TEST_CALL_TO`,
`ZEGELPOST_TEST_SMTP_URL`, `ZEGELPOST_TEST_MAIL_FROM` and `ZEGELPOST_TEST_MAIL_TO`, `ZEGELPOST_TEST_MAILBOXES_URL`,
`ZEGELPOST_TEST_BOUNCE_MAILBOX_URL`. They send and ring, so use numbers and mailboxes of your own. Address books have theirs in
`test_address_book.py`, with `ZEGELPOST_TEST_ADDRESS_BOOK_URL`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from zegelpost import connecting
from zegelpost.adapters.bounces_imap import ImapBounceMailbox
from zegelpost.adapters.mail_smtp import SmtpMailGateway
from zegelpost.adapters.mailboxes_graph import GraphMailboxes
from zegelpost.ports import MailError, SmsError, SmsErrorKind, Speech
from zegelpost.services.dispatching import Gateways
from zegelpost.settings import Settings

REPORT_TO = "https://post.example.nl/webhooks/sms/a"
TEXT = "Uw code voor de documenten van Gemeente Voorbeeld: 482913. Geef deze code aan niemand.\n@post.example.nl #482913"
MESSAGE = (
    "From: {sender}\r\nTo: {recipient}\r\nSubject: Zegelpost test\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\n"
    "Message-ID: <test@post.example.nl>\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Test</p>\r\n"
)


def needed(*names: str) -> pytest.MarkDecorator:
    missing = [name for name in names if not os.environ.get(f"ZEGELPOST_TEST_{name}")]
    return pytest.mark.skipif(bool(missing), reason=f"needs credentials in ZEGELPOST_TEST_{', '.join(missing)}")


def given(name: str) -> str:
    return os.environ[f"ZEGELPOST_TEST_{name}"]


def gateways(tmp_path: Path) -> Gateways:
    token = os.environ.get("ZEGELPOST_TEST_TWILIO_AUTH_TOKEN")
    settings = Settings(
        base_url="https://post.example.nl",
        data_dir=tmp_path,
        database_url="sqlite+aiosqlite://",
        blobs_url=tmp_path.as_uri(),
        keys_dir=tmp_path,
        mail_from="post@example.nl",
        smtp_url="smtps://mail.example.nl",
        sms_url=given("SMS_URL"),
        twilio_auth_token=token,
    )
    return connecting.gateways(replace(settings, has_spoken_codes=token is not None), None)


@needed("SMS_URL", "SMS_TO")
async def test_a_text_message_is_taken_and_a_wrong_number_is_not(tmp_path: Path) -> None:
    sms = gateways(tmp_path).sms
    acceptance = await sms.deliver(recipient=given("SMS_TO"), text=TEXT, valid_seconds=600, report_to=REPORT_TO)
    assert acceptance.provider_reference

    with pytest.raises(SmsError) as caught:
        await sms.deliver(recipient="+31600", text=TEXT, valid_seconds=600, report_to=REPORT_TO)
    assert (caught.value.kind, caught.value.may_have_been_sent) == (SmsErrorKind.NUMBER_WRONG, False)


@needed("SMS_URL")
async def test_a_withdrawn_key_is_ours_to_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, at, rest = given("SMS_URL").partition("@")
    monkeypatch.setenv("ZEGELPOST_TEST_SMS_URL", f"{name}gone{at}{rest}")
    with pytest.raises(SmsError) as caught:
        await gateways(tmp_path).sms.deliver(recipient="+31612345678", text=TEXT, valid_seconds=60, report_to=REPORT_TO)

    assert (caught.value.kind, caught.value.may_have_been_sent) == (SmsErrorKind.OUR_SETUP, False)


@needed("SMS_URL", "TWILIO_AUTH_TOKEN", "CALL_TO")
async def test_a_telephone_rings(tmp_path: Path) -> None:
    telephone = gateways(tmp_path).telephone
    assert telephone is not None
    speech = Speech("nl", ["Goedendag. Dit is een proef van Zegelpost.", "Druk op de 1.", "Of hang op."])
    key_to = "https://post.example.nl/webhooks/calls/a/key"
    acceptance = await telephone.call(
        recipient=given("CALL_TO"), speech=speech, valid_seconds=60, key_to=key_to, report_to=REPORT_TO
    )

    assert acceptance.provider_reference


@needed("SMTP_URL", "MAIL_FROM", "MAIL_TO")
async def test_a_relay_takes_a_mail() -> None:
    sender, recipient = given("MAIL_FROM"), given("MAIL_TO")
    message = MESSAGE.format(sender=sender, recipient=recipient).encode()
    acceptance = await SmtpMailGateway(given("SMTP_URL")).deliver(sender=sender, recipient=recipient, message=message)

    assert acceptance.reply_code // 100 == 2
    assert acceptance.tls_version is not None


@needed("MAILBOXES_URL", "MAIL_FROM", "MAIL_TO")
async def test_a_mailbox_sends_and_keeps_a_copy() -> None:
    sender, recipient = given("MAIL_FROM"), given("MAIL_TO")
    message = MESSAGE.format(sender=sender, recipient=recipient).encode()
    mailboxes = GraphMailboxes(given("MAILBOXES_URL"))
    await mailboxes.deliver(mailbox=sender, recipient=recipient, message=message)
    await mailboxes.keep(mailbox=sender, message=message)

    with pytest.raises(MailError) as caught:
        await mailboxes.deliver(mailbox=f"nobody-{sender}", recipient=recipient, message=message)
    assert caught.value.is_permanent


@needed("BOUNCE_MAILBOX_URL")
async def test_a_mailbox_of_bounces_is_read_and_left_as_it_is() -> None:
    mailbox = ImapBounceMailbox(given("BOUNCE_MAILBOX_URL"))
    before = await mailbox.unread(3, after="")

    assert await mailbox.unread(3, after="") == before
    assert (await mailbox.probe()).tls_version is not None
