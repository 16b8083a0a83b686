"""One account at MessageBird (Bird), in Amsterdam: its key, how it is reached, and what its errors mean.

https://developers.messagebird.com/api/sms-messaging/: plain HTTPS with one key, so there is no library for it here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from zegelpost.adapters.sms_http import broken, failed, moment, retry_after, unclear
from zegelpost.ports import SmsError, SmsErrorKind

_SETTING: Final = "ZEGELPOST_SMS_URL"
_PROVIDER: Final = "MessageBird"
_HOST: Final = "rest.messagebird.com"
_SCHEMES: Final = {"messagebird": "https", "messagebird+http": "http"}
_LARGEST_ANSWER_BYTES: Final = 64 * 1024
# https://developers.messagebird.com/api/#api-errors
_KINDS: Final = {
    2: SmsErrorKind.OUR_SETUP,  # the key
    20: SmsErrorKind.OUR_SETUP,  # not found
    25: SmsErrorKind.OUR_SETUP,  # no balance
    103: SmsErrorKind.OPTED_OUT,
}
_INVALID: Final = {9, 10, 21}
_KINDS_BY_PARAMETER: Final = {
    "recipient": SmsErrorKind.NUMBER_WRONG,
    "recipients": SmsErrorKind.NUMBER_WRONG,
    "originator": SmsErrorKind.OUR_SETUP,
    "access_key": SmsErrorKind.OUR_SETUP,
}
_KINDS_BY_STATUS: Final = {
    401: SmsErrorKind.OUR_SETUP,
    402: SmsErrorKind.OUR_SETUP,
    403: SmsErrorKind.OUR_SETUP,
    404: SmsErrorKind.OUR_SETUP,
    429: SmsErrorKind.BUSY,
}
_REASONS: Final = {
    SmsErrorKind.NUMBER_WRONG: "the number does not exist",
    SmsErrorKind.OPTED_OUT: "the person opted out of our messages",
    SmsErrorKind.OUR_SETUP: f"{_SETTING}: MessageBird refused our key or sender, or there is no credit",
    SmsErrorKind.BUSY: "MessageBird is too busy",
    SmsErrorKind.OTHER: "MessageBird refused the message",
}


@dataclass(frozen=True, slots=True)
class MessageBirdFacts:
    """What a look at the account told."""

    told_at: datetime | None  # by MessageBird's clock
    has_credit: bool


class MessageBirdAccount:
    """`messagebird://ACCESS_KEY@?from=…&signing_key=…`; a host after the @ is a stand-in's."""

    def __init__(self, url: str, *, timeout_seconds: float = 15) -> None:
        """`timeout_seconds` bounds connecting and waiting for the answer, each."""
        parts = urlsplit(url)
        key, _, host = parts.netloc.rpartition("@")
        # Not `parse_qs`: it would turn the + of a number into a space.
        options = dict(pair.partition("=")[::2] for pair in parts.query.split("&"))
        self.origin = unquote(options.get("from", ""))
        self.signing_key = unquote(options.get("signing_key", ""))
        if parts.scheme not in _SCHEMES or not (key and self.origin) or ":" in key:
            raise ValueError(f"{_SETTING} must be messagebird://ACCESS_KEY@?from=…")
        self._key = unquote(key)
        self._api = f"{_SCHEMES[parts.scheme]}://{host or _HOST}"
        self._timeout_seconds = timeout_seconds

    def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """One request; blocks, so for a thread. Raises `SmsError`, without a word of the answer: it may hold the number."""
        return self._ask("POST", path, body)[0]

    def look(self) -> MessageBirdFacts:
        """Whether the key is taken and paid for, without sending anything."""
        answer, told_at = self._ask("GET", "/balance", None)
        amount = answer.get("amount")
        is_prepaid = answer.get("payment") == "prepaid"
        return MessageBirdFacts(told_at, has_credit=not is_prepaid or (isinstance(amount, int | float) and amount > 0))

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[Mapping[str, Any], datetime | None]:
        # Takes a tenth of a second to import, which only installations with MessageBird pay.
        from requests import RequestException, Session  # noqa: PLC0415

        # One connection per message: on a kept one that died meanwhile nobody could tell whether the message had left.
        with Session() as session:
            try:
                response = session.request(
                    method,
                    self._api + path,
                    headers={"Authorization": f"AccessKey {self._key}", "Accept": "application/json"},
                    json=body,
                    timeout=self._timeout_seconds,
                    allow_redirects=False,
                    stream=True,
                )
                content = response.raw.read(_LARGEST_ANSWER_BYTES, decode_content=True)
            except RequestException as error:
                raise broken(_PROVIDER, error) from None
            except Exception:  # noqa: BLE001 - what reading a cut answer raises is of the library below
                raise unclear("the connection to MessageBird was lost") from None
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if not 200 <= response.status_code < 300:  # noqa: PLR2004 - RFC 9110
            raise _refusal_of(response.status_code, answer, response.headers.get("Retry-After"))
        if not isinstance(answer, dict):
            raise unclear("MessageBird's answer cannot be read")
        return answer, moment(response.headers.get("Date"))


def _refusal_of(status: int, answer: Any, asked_wait: str | None) -> SmsError:
    if status >= 500:  # noqa: PLR2004
        return failed(_PROVIDER, status)
    errors = answer.get("errors") if isinstance(answer, dict) else None
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    code = first["code"] if isinstance(first.get("code"), int) else 0
    by_parameter = _KINDS_BY_PARAMETER.get(str(first.get("parameter"))) if code in _INVALID else None
    kind = by_parameter or _KINDS.get(code) or _KINDS_BY_STATUS.get(status, SmsErrorKind.OTHER)
    is_passing = kind == SmsErrorKind.BUSY
    return SmsError(
        f"{_REASONS[kind]} (HTTP {status}, {code})",
        kind=kind,
        is_permanent=not is_passing,
        may_have_been_sent=False,
        retry_after_seconds=retry_after(asked_wait) if is_passing else None,
    )
