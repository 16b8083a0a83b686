"""MessageBird's SMS API over HTTP, as documented, on loopback. It keeps what it gets and misbehaves on command.

https://developers.messagebird.com/api/sms-messaging/, https://developers.messagebird.com/docs/verify-http-requests
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlencode

import jwt
from tests.stand_ins.http_server import served
from tests.stand_ins.sms_provider import SmsProvider, SmsProviderHandler, Trouble

ACCESS_KEY = "live_0123456789abcdefABCDEF012"
SIGNING_KEY = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True, slots=True)
class BirdMessage:
    """What would have gone to a telephone."""

    id: str
    to: str
    body: str
    originator: str
    validity_seconds: int
    datacoding: str
    reference: str
    report_to: str

    def report(self, status: str, code: int | None = None) -> str:
        """The address that MessageBird gets to tell about it, with everything in its query."""
        fields = {
            "id": self.id,
            "reference": self.reference,
            "recipient": self.to,
            "status": status,
            "statusReason": "successfully delivered" if status == "delivered" else "",
            "statusDatetime": "2026-11-23T12:00:00+00:00",
        }
        return f"{self.report_to}?{urlencode(fields | ({} if code is None else {'statusErrorCode': str(code)}))}"


@dataclass(slots=True)
class MessageBirdApi(SmsProvider):
    """`sms_url()` goes into `ZEGELPOST_SMS_URL`."""

    messages: list[BirdMessage] = field(default_factory=list)
    balance: dict[str, Any] = field(default_factory=lambda: {"payment": "prepaid", "type": "euros", "amount": 12.5})

    def sms_url(self, sender: str = "Zegelpost", *, key: str = ACCESS_KEY, signing_key: str = SIGNING_KEY) -> str:
        signing = f"&signing_key={signing_key}" if signing_key else ""
        return f"messagebird+http://{key}@{self.url.removeprefix('http://')}?from={sender}{signing}"


def signed(address: str, *, key: str = SIGNING_KEY, issuer: str = "MessageBird", seconds: int = 60, **more: str) -> str:
    """The token that goes along with a report at this address."""
    now = int(time.time())
    claims = {
        "iss": issuer,
        "nbf": now - 1,
        "exp": now + seconds,
        "jti": secrets.token_hex(8),
        "url_hash": hashlib.sha256(address.encode()).hexdigest(),
    }
    return jwt.encode(claims | more, key, algorithm="HS256")


@contextmanager
def messagebird_api() -> Iterator[MessageBirdApi]:
    with served(_Handler, MessageBirdApi) as running:
        yield running


class _Handler(SmsProviderHandler, BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        api = self.stand_in(MessageBirdApi)
        if not self._is_known():
            self._refuse(401, 2, "access_key")
        elif self.path != "/balance":
            self._refuse(404, 20, None)
        elif api.upcoming:
            self._misbehave(api, api.upcoming.popleft(), {})
        else:
            self.json(200, api.balance)

    def do_POST(self) -> None:
        api = self.stand_in(MessageBirdApi)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._is_known():
            self._refuse(401, 2, "access_key")
        elif self.path != "/messages":
            self._refuse(404, 20, None)
        elif api.upcoming:
            self._misbehave(api, api.upcoming.popleft(), body)
        elif wrong := _wrong_parameter(body):
            self._refuse(422, 10, wrong)
        else:
            self.json(201, _resource(_accept(api, body)))

    def _is_known(self) -> bool:
        return self.headers.get("Authorization") == f"AccessKey {ACCESS_KEY}"

    def _misbehave(self, api: MessageBirdApi, how: Trouble, body: dict[str, Any]) -> None:
        taken = _resource(_accept(api, body)) if how.is_accepted else None
        # Real ones quote the number.
        self.misbehave(api, how, error=_error(how.code, how.parameter, "+31612345678 does not please us"), taken=taken)

    def _refuse(self, status: int, code: int, parameter: str | None) -> None:
        self.json(status, _error(code, parameter, "no"))


def _error(code: int, parameter: str | None, description: str) -> dict[str, Any]:
    return {"errors": [{"code": code, "description": description, "parameter": parameter}]}


def _wrong_parameter(body: dict[str, Any]) -> str | None:
    if not re.fullmatch(r"\+?\d{6,15}|[A-Za-z0-9 ]{1,11}", str(body.get("originator"))):
        return "originator"
    if not isinstance(body.get("recipients"), list) or not all(
        re.fullmatch(r"[1-9]\d{6,14}", each) for each in body["recipients"]
    ):
        return "recipients"
    if not body.get("body"):
        return "body"
    return None if 1 <= body.get("validity", 1) <= 172_800 else "validity"


def _accept(api: MessageBirdApi, body: dict[str, Any]) -> BirdMessage:
    [to] = body["recipients"]
    message = BirdMessage(
        id=secrets.token_hex(16),
        to=to,
        body=body["body"],
        originator=body["originator"],
        validity_seconds=body.get("validity", 172_800),
        datacoding=body.get("datacoding", "plain"),
        reference=body.get("reference", ""),
        report_to=body.get("reportUrl", ""),
    )
    api.messages.append(message)
    return message


def _resource(message: BirdMessage) -> dict[str, Any]:
    return {
        "id": message.id,
        "href": f"https://rest.messagebird.com/messages/{message.id}",
        "direction": "mt",
        "type": "sms",
        "originator": message.originator,
        "body": message.body,
        "reference": message.reference or None,
        "validity": message.validity_seconds,
        "gateway": 10,
        "typeDetails": {},
        "datacoding": message.datacoding,
        "mclass": 1,
        "scheduledDatetime": None,
        "createdDatetime": "2026-11-23T12:00:00+00:00",
        "recipients": {
            "totalCount": 1,
            "totalSentCount": 1,
            "totalDeliveredCount": 0,
            "totalDeliveryFailedCount": 0,
            "items": [{"recipient": int(message.to), "status": "sent", "statusDatetime": "2026-11-23T12:00:00+00:00"}],
        },
    }
