"""Codes: who carries them, in which name, how we hear what became of them, and who is called."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

from zegelpost.adapters.messagebird_account import MessageBirdAccount
from zegelpost.adapters.twilio_account import TwilioAccount
from zegelpost.doctor.findings import Examination, Finding, fine, note, wrong
from zegelpost.model.policy import Policy
from zegelpost.ports import SmsError, SmsErrorKind

_SECONDS: Final = 10
_SMS_NAME: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}\Z")  # what networks take as a sender's name


async def text_messages(examination: Examination) -> AsyncIterator[Finding]:
    """Whether each provider takes our credentials; nothing is sent."""
    settings = examination.settings
    if settings.sms_url is None:
        yield note("no text messages: codes are shown on the demonstration's outbox page")
        return
    urls = settings.sms_url.split()
    for url in urls:
        look = _twilio if urlsplit(url).scheme == "twilio" else _messagebird
        async for finding in look(examination, url):
            yield finding
    if len(urls) == 1:
        yield note("one provider carries all codes", "add a second one to ZEGELPOST_SMS_URL, for when this one is away")
    else:
        yield fine("the second provider takes over what the first certainly did not send")
    if not settings.has_spoken_codes:
        yield note(
            "off: no codes are read out on the telephone, so recipients need a mobile or an access code",
            "set ZEGELPOST_SPOKEN_CODES=on and a number to call from",
        )
    prefixes = settings.sms_countries or Policy().country_prefixes
    yield fine(f"at most {settings.sms_per_day or Policy().codes_per_day} codes a day, to {', '.join(prefixes)}")


async def _twilio(examination: Examination, url: str) -> AsyncIterator[Finding]:
    settings = examination.settings
    account = TwilioAccount(url, api_url=settings.twilio_api_url, timeout_seconds=_SECONDS)
    try:
        facts = await asyncio.to_thread(account.look, settings.twilio_auth_token)
    except SmsError as error:
        is_ours = error.kind == SmsErrorKind.OUR_SETUP
        yield wrong(
            error.reason, "correct key, secret or account in ZEGELPOST_SMS_URL" if is_ours else "try again; see status.twilio.com"
        )
        return
    if facts.told_at is not None:
        examination.clocks.append(("Twilio", facts.told_at, examination.clock()))
    yield fine("Twilio takes the key")
    if not account.origin.startswith("MG"):
        for finding in _names(account.origin):
            yield finding
    if settings.twilio_api_url and settings.twilio_api_url.startswith("http://"):
        yield note("ZEGELPOST_TWILIO_API_URL has no TLS: codes and the key travel in the clear", "only for a stand-in")
    if facts.has_token is None:
        yield note(
            "no ZEGELPOST_TWILIO_AUTH_TOKEN: nobody is told whether a code arrived, and no code can be spoken",
            "set it to the account's auth token",
        )
    elif facts.has_token:
        yield fine("status reports can be checked: the auth token is this account's")
    else:
        yield wrong(
            "ZEGELPOST_TWILIO_AUTH_TOKEN is not this account's: every status report is refused, and no code is read out",
            "correct it",
        )
    if settings.has_spoken_codes:
        yield fine(f"codes are read out on the telephone to whoever presses a key, from {account.calling_number}")


async def _messagebird(examination: Examination, url: str) -> AsyncIterator[Finding]:
    account = MessageBirdAccount(url, timeout_seconds=_SECONDS)
    try:
        facts = await asyncio.to_thread(account.look)
    except SmsError as error:
        is_ours = error.kind == SmsErrorKind.OUR_SETUP
        yield wrong(error.reason, "correct the key in ZEGELPOST_SMS_URL" if is_ours else "try again; see status.bird.com")
        return
    if facts.told_at is not None:
        examination.clocks.append(("MessageBird", facts.told_at, examination.clock()))
    if facts.has_credit:
        yield fine("MessageBird takes the key")
    else:
        yield wrong("MessageBird takes the key, and there is no credit", "pay for some, or have it topped up by itself")
    for finding in _names(account.origin):
        yield finding
    if account.signing_key:
        yield fine("MessageBird's status reports can be checked")
    else:
        yield note(
            "no signing_key in ZEGELPOST_SMS_URL: nobody is told whether a code arrived", "add &signing_key=… of this account"
        )


def _names(origin: str) -> list[Finding]:
    if origin.startswith("+") or _SMS_NAME.match(origin):
        return []
    remedy = "use at most 11 letters, digits and spaces, with a letter, or a number or messaging service"
    return [wrong(f"{origin!r} is no sender's name", remedy)]
