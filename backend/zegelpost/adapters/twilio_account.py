"""One account at Twilio: its credentials, how it is reached, and what its errors mean. Messages and calls share it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

from zegelpost.adapters.sms_http import broken, failed, moment, retry_after, unclear
from zegelpost.ports import SmsError, SmsErrorKind

if TYPE_CHECKING:
    from twilio.rest import Client  # type: ignore[import-untyped]

_SETTING: Final = "ZEGELPOST_SMS_URL"
_PROVIDER: Final = "Twilio"
_HOST: Final = "https://api.twilio.com"
_Answer = TypeVar("_Answer")
# Twilio advises against logic on exact codes, so they only choose a class; what is not here goes by HTTP status.
_KINDS: Final = {
    21211: SmsErrorKind.NUMBER_WRONG,
    21217: SmsErrorKind.NUMBER_WRONG,
    13223: SmsErrorKind.NUMBER_WRONG,
    13224: SmsErrorKind.NUMBER_WRONG,
    21614: SmsErrorKind.NOT_MOBILE,
    21635: SmsErrorKind.NOT_MOBILE,
    30006: SmsErrorKind.NOT_MOBILE,
    21610: SmsErrorKind.OPTED_OUT,
    21215: SmsErrorKind.UNREACHABLE,
    13225: SmsErrorKind.UNREACHABLE,
    13227: SmsErrorKind.UNREACHABLE,
    21408: SmsErrorKind.UNREACHABLE,
    21612: SmsErrorKind.UNREACHABLE,
    30003: SmsErrorKind.UNREACHABLE,
    30004: SmsErrorKind.UNREACHABLE,
    30005: SmsErrorKind.UNREACHABLE,
    21212: SmsErrorKind.OUR_SETUP,
    21606: SmsErrorKind.OUR_SETUP,
    21608: SmsErrorKind.OUR_SETUP,
    21657: SmsErrorKind.OUR_SETUP,
    21210: SmsErrorKind.OUR_SETUP,
    20003: SmsErrorKind.OUR_SETUP,
    20429: SmsErrorKind.BUSY,
    21611: SmsErrorKind.BUSY,
    30001: SmsErrorKind.BUSY,
    30007: SmsErrorKind.SUSPICIOUS,
    30450: SmsErrorKind.SUSPICIOUS,
    63038: SmsErrorKind.SUSPICIOUS,
}
_KINDS_BY_STATUS: Final = {
    401: SmsErrorKind.OUR_SETUP,
    403: SmsErrorKind.OUR_SETUP,
    404: SmsErrorKind.OUR_SETUP,
    429: SmsErrorKind.BUSY,
}
# A telephone that is off now (30003) may be on a minute later.
_PASSING_CODES: Final = {30003}
_REASONS: Final = {
    SmsErrorKind.NUMBER_WRONG: "the number does not exist",
    SmsErrorKind.NOT_MOBILE: "the number is not a mobile",
    SmsErrorKind.OPTED_OUT: "the person opted out of our messages",
    SmsErrorKind.UNREACHABLE: "the number cannot be reached",
    SmsErrorKind.OUR_SETUP: f"{_SETTING}: Twilio refused our credentials or sender",
    SmsErrorKind.BUSY: "Twilio is too busy",
    SmsErrorKind.SUSPICIOUS: "Twilio blocked the message as suspicious",
    SmsErrorKind.OTHER: "Twilio refused the message",
}


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What a look at the account told. `has_token` is nothing when no token was given to try."""

    told_at: datetime | None  # by Twilio's clock
    has_token: bool | None


class TwilioAccount:
    """`twilio://KEY_SID:SECRET@ACCOUNT_SID?from=…`."""

    def __init__(self, url: str, *, api_url: str | None = None, timeout_seconds: float = 15) -> None:
        """`api_url` replaces https://api.twilio.com; `timeout_seconds` bounds connecting and waiting for the answer, each."""
        parts = urlsplit(url)
        # Not `parts.hostname`: that is in lower case, and account SIDs are not.
        credentials, _, account = parts.netloc.rpartition("@")
        key, _, secret = credentials.partition(":")
        # Not `parse_qs`: it would turn the + of a number into a space.
        options = dict(pair.partition("=")[::2] for pair in parts.query.split("&"))
        self.origin = unquote(options.get("from", ""))
        # Twilio then keeps neither text nor number; accounts have to be allowed that, or every message is refused.
        self.is_forgetful = options.get("retention") == "discard"
        # Names cannot telephone; calls need a number of the account.
        self.calling_number = unquote(options.get("call_from", "")) or (self.origin if self.origin.startswith("+") else "")
        if parts.scheme != "twilio" or not (key and secret and account and self.origin):
            raise ValueError(f"{_SETTING} must be twilio://KEY_SID:SECRET@ACCOUNT_SID?from=…")
        if api_url is not None and not api_url.startswith(("http://", "https://")):
            raise ValueError("ZEGELPOST_TWILIO_API_URL must be https://host")
        self._key = unquote(key)
        self._secret = unquote(secret)
        self._sid = unquote(account)
        self._api_url = (api_url or _HOST).rstrip("/")
        self._timeout_seconds = timeout_seconds
        # At INFO it writes down addresses and headers of every request.
        logging.getLogger("twilio.http_client").setLevel(logging.WARNING)

    def ask(self, question: Callable[[Client], _Answer]) -> _Answer:
        """One request; blocks, so for a thread. What the library raises may hold the number: none of it goes along."""
        return self._ask(question, self._key, self._secret)[0]

    def look(self, token: str | None) -> AccountFacts:
        """Whether the credentials are taken, without sending anything and without reading anyone's messages."""
        # Messages of the next century: there are none, but only who may read the account is told so.
        of_nobody = datetime(2100, 1, 1, tzinfo=UTC)

        def question(client: Client) -> object:
            return client.messages.list(date_sent_after=of_nobody, limit=1)

        _, told_at = self._ask(question, self._key, self._secret)
        has_token: bool | None = None
        if token is not None:
            try:
                self._ask(question, self._sid, token)
                has_token = True
            except SmsError as error:
                if error.kind != SmsErrorKind.OUR_SETUP:
                    raise
                has_token = False
        return AccountFacts(told_at, has_token)

    def _ask(self, question: Callable[[Client], _Answer], user: str, password: str) -> tuple[_Answer, datetime | None]:
        # 0.2 s and much memory, which only installations with Twilio pay, at their first message.
        from requests import RequestException  # noqa: PLC0415
        from twilio.base.exceptions import (  # type: ignore[import-untyped] # noqa: PLC0415
            TwilioException,
            TwilioRestException,
            TwilioServiceException,
        )
        from twilio.http.http_client import TwilioHttpClient  # type: ignore[import-untyped] # noqa: PLC0415
        from twilio.rest import Client  # noqa: PLC0415

        http = TwilioHttpClient(timeout=self._timeout_seconds)
        client = Client(user, password, self._sid, http_client=http)
        client.api.base_url = self._api_url
        # One connection per message: on a kept one that died meanwhile nobody could tell whether the message had left.
        with http.session:
            try:
                answer = question(client)
            except (TwilioRestException, TwilioServiceException) as error:
                raise refusal_of(
                    _number(error.status), _number(error.code), retry_after(_headers(http).get("Retry-After"))
                ) from None
            except TwilioException:
                # For lists the library tells no more than that it was not 200.
                raise refusal_of(http._test_only_last_response.status_code, 0) from None  # noqa: SLF001
            except RequestException as error:
                raise broken(_PROVIDER, error) from None
            except (ValueError, TypeError, AttributeError):
                # The library reads answers on trust.
                raise unclear("Twilio's answer cannot be read") from None
        return answer, moment(_headers(http).get("Date"))


def kind_of(code: int) -> SmsErrorKind:
    """The class of an error code in a status report."""
    return _KINDS.get(code, SmsErrorKind.OTHER)


def refusal_of(status: int, code: int, retry_after_seconds: float | None = None) -> SmsError:
    if status >= 500:  # noqa: PLR2004
        return failed(_PROVIDER, status)
    kind = _KINDS.get(code) or _KINDS_BY_STATUS.get(status, SmsErrorKind.OTHER)
    is_passing = kind == SmsErrorKind.BUSY or code in _PASSING_CODES
    return SmsError(
        f"{_REASONS[kind]} (HTTP {status}, {code})",
        kind=kind,
        is_permanent=not is_passing,
        may_have_been_sent=False,
        retry_after_seconds=retry_after_seconds if is_passing else None,
    )


def _headers(http: Any) -> Any:
    """Of the last answer. The library keeps it for its own tests, and offers no other way to see a header."""
    response = http._test_only_last_response  # noqa: SLF001
    return {} if response is None or response.headers is None else response.headers


def _number(given: object) -> int:
    """Codes are numbers; in an answer from something that is not Twilio they may be any text."""
    return given if isinstance(given, int) else 0
