"""Twilio's Messaging and Voice over HTTP, as documented, on loopback. It keeps what it gets and misbehaves on command."""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.stand_ins.http_server import served
from tests.stand_ins.sms_provider import SmsProvider, SmsProviderHandler, Trouble
from tests.stand_ins.twilio_voice import PlacedCall, call_refusal, call_resource, place

ACCOUNT = "ACdDeEfF0123456789aAbBcCdDeEfF0123"
KEY = "SK0123456789abcdef0123456789abcdef"
SECRET = "s3cr:t/with@signs"
TOKEN = "0123456789abcdef0123456789abcdef"
_MESSAGES = re.compile(r"/2010-04-01/Accounts/(\w+)/Messages\.json")
_CALLS = re.compile(r"/2010-04-01/Accounts/(\w+)/Calls\.json")
# "Magic" numbers of the test credentials: https://www.twilio.com/docs/iam/test-credentials
_MAGIC = {"+15005550001": 21211, "+15005550002": 21612, "+15005550003": 21408, "+15005550004": 21610, "+15005550009": 21614}


@dataclass(frozen=True, slots=True)
class SentMessage:
    """What would have gone to a telephone."""

    to: str
    body: str
    sender: str
    validity_seconds: int
    sid: str
    is_messaging_service: bool
    is_forgotten: bool = False
    report_to: str = ""

    def report(self, status: str, code: int | None = None) -> dict[str, str]:
        """What Twilio posts about it: https://www.twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks."""
        fields = {
            "AccountSid": ACCOUNT,
            "ApiVersion": "2010-04-01",
            "From": self.sender,
            "MessageSid": self.sid,
            "MessageStatus": status,
            "SmsSid": self.sid,
            "SmsStatus": status,
            "To": self.to,
        }
        return fields if code is None else fields | {"ErrorCode": str(code)}


@dataclass(slots=True)
class TwilioApi(SmsProvider):
    """`url` goes into `ZEGELPOST_TWILIO_API_URL`, `sms_url()` into `ZEGELPOST_SMS_URL`."""

    messages: list[SentMessage] = field(default_factory=list)
    calls: list[PlacedCall] = field(default_factory=list)

    def sms_url(self, sender: str = "Zegelpost") -> str:
        return f"twilio://{KEY}:{SECRET.replace('/', '%2F').replace('@', '%40')}@{ACCOUNT}?from={sender}"


def signature_of(address: str, fields: dict[str, str], token: str = TOKEN) -> str:
    """As documented at https://www.twilio.com/docs/usage/security, apart from the library that checks it."""
    signed = address + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha1")).decode()


@contextmanager
def twilio_api() -> Iterator[TwilioApi]:
    """A running stand-in."""
    with served(_Handler, TwilioApi) as running:
        yield running


class _Handler(SmsProviderHandler, BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """The list of messages, of which only the question is of use: nobody has any from the next century."""
        api = self.stand_in(TwilioApi)
        address = urlsplit(self.path)
        path = _MESSAGES.fullmatch(address.path)
        if self._credentials() not in {(KEY, SECRET), (ACCOUNT, TOKEN)}:
            self._refuse(401, 20003, "Authenticate")
        elif path is None or path[1] != ACCOUNT:
            self._refuse(404, 20404, f"The requested resource {self.path} was not found")
        elif api.upcoming:
            self._misbehave(api, api.upcoming.popleft(), {"To": [""]})
        else:
            assert parse_qs(address.query)["DateSent>"][0] > "2100"
            self.json(200, {"messages": [], "page": 0, "page_size": 1, "uri": self.path, "next_page_uri": None})

    def do_POST(self) -> None:
        api = self.stand_in(TwilioApi)
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        place = urlsplit(self.path).path
        path = _MESSAGES.fullmatch(place) or _CALLS.fullmatch(place)
        refuse = call_refusal if _CALLS.fullmatch(place) else _refusal
        if self._credentials() != (KEY, SECRET):
            self._refuse(401, 20003, "Authenticate")
        elif path is None or path[1] != ACCOUNT:
            self._refuse(404, 20404, f"The requested resource {self.path} was not found")
        elif api.upcoming:
            self._misbehave(api, api.upcoming.popleft(), form)
        elif refusal := refuse(form):
            self._refuse(400, *refusal)
        else:
            self.json(201, _taken(api, form))

    def _misbehave(self, api: TwilioApi, how: Trouble, form: dict[str, list[str]]) -> None:
        taken = _taken(api, form) if how.is_accepted else None
        # Real ones quote the number.
        error = _error(how.status or 0, how.code or how.status or 0, f"The 'To' number {form['To'][0]} did not please us")
        self.misbehave(api, how, error=error, taken=taken)

    def _credentials(self) -> tuple[str, ...]:
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        return tuple(base64.b64decode(encoded).decode().split(":", 1)) if scheme == "Basic" else ()

    def _refuse(self, status: int, code: int, message: str) -> None:
        self.json(status, _error(status, code, message))


def _error(status: int, code: int, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "more_info": f"https://www.twilio.com/docs/errors/{code}", "status": status}


def _refusal(form: dict[str, list[str]]) -> tuple[int, str] | None:
    to = form.get("To", [""])[0]
    if "From" not in form and "MessagingServiceSid" not in form:
        return 21603, "A 'From' phone number is required."
    if "Body" not in form:
        return 21602, "Message body is required."
    if not re.fullmatch(r"\+[1-9]\d{6,14}", to):
        return 21211, f"Invalid 'To' Phone Number: {to}"
    if to in _MAGIC:
        return _MAGIC[to], f"The number {to} is refused"
    if not 1 <= int(form.get("ValidityPeriod", ["36000"])[0]) <= 36_000:
        return 30000, "ValidityPeriod is out of range"
    return None


def _taken(api: TwilioApi, form: dict[str, list[str]]) -> dict[str, Any]:
    """Keep it; what the answer says about it."""
    if "Twiml" not in form:
        return _resource(_accept(api, form))
    call = place(form)
    api.calls.append(call)
    return call_resource(call, ACCOUNT)


def _accept(api: TwilioApi, form: dict[str, list[str]]) -> SentMessage:
    is_service = "MessagingServiceSid" in form
    message = SentMessage(
        to=form["To"][0],
        body=form["Body"][0],
        sender=form["MessagingServiceSid" if is_service else "From"][0],
        validity_seconds=int(form.get("ValidityPeriod", ["36000"])[0]),
        sid=f"SM{secrets.token_hex(16)}",
        is_messaging_service=is_service,
        is_forgotten=(form.get("ContentRetention"), form.get("AddressRetention")) == (["discard"], ["obfuscate"]),
        report_to=form.get("StatusCallback", [""])[0],
    )
    api.messages.append(message)
    return message


def _resource(message: SentMessage) -> dict[str, Any]:
    """The Message resource as documented at https://www.twilio.com/docs/messaging/api/message-resource."""
    created = "Mon, 23 Nov 2026 12:00:00 +0000"
    return {
        "account_sid": ACCOUNT,
        "api_version": "2010-04-01",
        "body": message.body,
        "date_created": created,
        "date_sent": None,
        "date_updated": created,
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": None if message.is_messaging_service else message.sender,
        "messaging_service_sid": message.sender if message.is_messaging_service else None,
        "num_media": "0",
        "num_segments": "1",
        "price": None,
        "price_unit": None,
        "sid": message.sid,
        "status": "accepted" if message.is_messaging_service else "queued",
        "subresource_uris": {"media": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{message.sid}/Media.json"},
        "tags": None,
        "to": message.to,
        "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{message.sid}.json",
    }
