"""MessageBird's SMS API over HTTP, as documented, on loopback. It keeps what it gets and misbehaves on command.

https://developers.messagebird.com/api/sms-messaging/, https://developers.messagebird.com/docs/verify-http-requests
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlencode

import jwt
from tests.stand_ins.http_server import Handler, served

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


@dataclass(frozen=True, slots=True)
class Trouble:
    """How the next request ends. Without status, the connection is cut."""

    status: int | None
    errors: list[dict[str, Any]] = field(default_factory=list)
    is_accepted: bool = False
    delay_seconds: float = 0
    body: bytes | None = None
    retry_after_seconds: int | None = None


@dataclass(slots=True)
class MessageBirdApi:
    """`sms_url()` goes into `ZEGELPOST_SMS_URL`."""

    url: str
    messages: list[BirdMessage] = field(default_factory=list)
    upcoming: deque[Trouble] = field(default_factory=deque)
    balance: dict[str, Any] = field(default_factory=lambda: {"payment": "prepaid", "type": "euros", "amount": 12.5})
    closing: threading.Event = field(default_factory=threading.Event)

    def sms_url(self, sender: str = "Zegelpost", *, key: str = ACCESS_KEY, signing_key: str = SIGNING_KEY) -> str:
        signing = f"&signing_key={signing_key}" if signing_key else ""
        return f"messagebird+http://{key}@{self.url.removeprefix('http://')}?from={sender}{signing}"

    def fail_next(
        self,
        status: int,
        code: int = 0,
        parameter: str | None = None,
        *,
        is_accepted: bool = False,
        retry_after_seconds: int | None = None,
    ) -> None:
        """Answer the next request with this error, which quotes the number as real ones do."""
        errors = [{"code": code, "description": "+31612345678 does not please us", "parameter": parameter}]
        self.upcoming.append(Trouble(status, errors, is_accepted, retry_after_seconds=retry_after_seconds))

    def cut_next(self, *, is_accepted: bool = False) -> None:
        self.upcoming.append(Trouble(None, is_accepted=is_accepted))

    def stall_next(self, seconds: float, *, is_accepted: bool = True) -> None:
        self.upcoming.append(Trouble(201, is_accepted=is_accepted, delay_seconds=seconds))

    def garble_next(self, body: bytes, *, status: int = 201) -> None:
        self.upcoming.append(Trouble(status, is_accepted=status == 201, body=body))


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


class _Handler(Handler, BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        api = self.stand_in(MessageBirdApi)
        if not self._is_known():
            self._refuse(401, 2, "access_key")
        elif self.path != "/balance":
            self._refuse(404, 20, None)
        elif api.upcoming:
            self._misbehave(api, api.upcoming.popleft(), {})
        else:
            self._json(200, api.balance)

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
            self._json(201, _resource(_accept(api, body)))

    def _is_known(self) -> bool:
        return self.headers.get("Authorization") == f"AccessKey {ACCESS_KEY}"

    def _misbehave(self, api: MessageBirdApi, how: Trouble, body: dict[str, Any]) -> None:
        message = _accept(api, body) if how.is_accepted else None
        if how.delay_seconds:
            api.closing.wait(how.delay_seconds)
        if how.status is None:
            self.close_connection = True
            self.connection.close()
        elif how.body is not None:
            self.answer(how.status, how.body)
        elif how.status >= 400:
            headers = {} if how.retry_after_seconds is None else {"Retry-After": str(how.retry_after_seconds)}
            self.answer(how.status, json.dumps({"errors": how.errors}).encode(), headers)
        elif message is not None:
            self._json(how.status, _resource(message))

    def _refuse(self, status: int, code: int, parameter: str | None) -> None:
        error = {"code": code, "description": "no", "parameter": parameter}
        self.answer(status, json.dumps({"errors": [error]}).encode())

    def _json(self, status: int, content: dict[str, Any]) -> None:
        self.answer(status, json.dumps(content).encode())


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
