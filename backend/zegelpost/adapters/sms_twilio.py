"""SMS through Twilio's Programmable Messaging."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from zegelpost.ports import SmsAcceptance, SmsError, SmsErrorKind

if TYPE_CHECKING:
    from twilio.rest import Client  # type: ignore[import-untyped]

_SETTING: Final = "ZEGELPOST_SMS_URL"
_HOST: Final = "https://api.twilio.com"
_LONGEST_VALIDITY_SECONDS: Final = 36_000
# Twilio advises against logic on exact codes, so they only choose a class; what is not here goes by HTTP status.
_KINDS: Final = {
    21211: SmsErrorKind.NUMBER_WRONG,
    21614: SmsErrorKind.NOT_MOBILE,
    21635: SmsErrorKind.NOT_MOBILE,
    30006: SmsErrorKind.NOT_MOBILE,
    21610: SmsErrorKind.OPTED_OUT,
    21408: SmsErrorKind.UNREACHABLE,
    21612: SmsErrorKind.UNREACHABLE,
    30003: SmsErrorKind.UNREACHABLE,
    30004: SmsErrorKind.UNREACHABLE,
    30005: SmsErrorKind.UNREACHABLE,
    21212: SmsErrorKind.OUR_SETUP,
    21606: SmsErrorKind.OUR_SETUP,
    21608: SmsErrorKind.OUR_SETUP,
    21657: SmsErrorKind.OUR_SETUP,
    20003: SmsErrorKind.OUR_SETUP,
    20429: SmsErrorKind.BUSY,
    21611: SmsErrorKind.BUSY,
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


class TwilioSmsGateway:
    """Sends through `twilio://KEY_SID:SECRET@ACCOUNT_SID?from=…`; a `from` that starts with MG is a messaging service."""

    def __init__(self, url: str, *, api_url: str | None = None, timeout_seconds: float = 15) -> None:
        """`api_url` replaces https://api.twilio.com; `timeout_seconds` bounds connecting and waiting for the answer, each."""
        parts = urlsplit(url)
        # Not `parts.hostname`: that is in lower case, and account SIDs are not.
        credentials, _, account = parts.netloc.rpartition("@")
        key, _, secret = credentials.partition(":")
        # Not `parse_qs`: it would turn the + of a number into a space.
        options = dict(pair.partition("=")[::2] for pair in parts.query.split("&"))
        origin = unquote(options.get("from", ""))
        if parts.scheme != "twilio" or not (key and secret and account and origin):
            raise ValueError(f"{_SETTING} must be twilio://KEY_SID:SECRET@ACCOUNT_SID?from=…")
        if api_url is not None and not api_url.startswith(("http://", "https://")):
            raise ValueError("ZEGELPOST_TWILIO_API_URL must be https://host")
        self._key = unquote(key)
        self._secret = unquote(secret)
        self._account = unquote(account)
        self._sender = {"messaging_service_sid" if origin.startswith("MG") else "from_": origin}
        self._api_url = (api_url or _HOST).rstrip("/")
        self._timeout_seconds = timeout_seconds
        # At INFO it writes down addresses and headers of every request.
        logging.getLogger("twilio.http_client").setLevel(logging.WARNING)

    async def deliver(self, *, recipient: str, text: str, valid_seconds: int) -> SmsAcceptance:
        # Messages whose time is up must not leave Twilio's queue either.
        validity = min(max(valid_seconds, 1), _LONGEST_VALIDITY_SECONDS)
        reference = await asyncio.to_thread(self._send, recipient, text, validity)
        return SmsAcceptance(reference)

    def _send(self, recipient: str, text: str, validity_seconds: int) -> str:
        """Runs in a thread. What the library raises may hold the number: none of it goes along, not even as a cause."""
        # 0.2 s and much memory, which only installations with Twilio pay, at their first message.
        from requests import RequestException  # noqa: PLC0415
        from twilio.base.exceptions import (  # type: ignore[import-untyped] # noqa: PLC0415
            TwilioRestException,
            TwilioServiceException,
        )
        from twilio.http.http_client import TwilioHttpClient  # type: ignore[import-untyped] # noqa: PLC0415

        http = TwilioHttpClient(timeout=self._timeout_seconds)
        # One connection per message: on a kept one that died meanwhile nobody could tell whether the message had left.
        with http.session:
            try:
                message = self._client(http).messages.create(
                    to=recipient, body=text, validity_period=validity_seconds, risk_check="enable", **self._sender
                )
            except (TwilioRestException, TwilioServiceException) as error:
                raise _refusal(_number(error.status), _number(error.code)) from None
            except RequestException as error:
                raise _broken(error) from None
            except (ValueError, TypeError, AttributeError):
                # The library reads answers on trust.
                raise _unclear("Twilio's answer cannot be read") from None
        if not message.sid:
            raise _unclear("Twilio's answer holds no reference")
        return str(message.sid)

    def _client(self, http: Any) -> Client:
        from twilio.rest import Client  # noqa: PLC0415

        client = Client(self._key, self._secret, self._account, http_client=http)
        client.api.base_url = self._api_url
        return client


def _refusal(status: int, code: int) -> SmsError:
    if status >= 500:  # noqa: PLR2004 - RFC 9110 section 15.6
        # It may have failed after queueing the message.
        return SmsError(f"Twilio failed (HTTP {status})", kind=SmsErrorKind.BUSY, is_permanent=False, may_have_been_sent=True)
    kind = _KINDS.get(code) or _KINDS_BY_STATUS.get(status, SmsErrorKind.OTHER)
    is_passing = kind == SmsErrorKind.BUSY or code in _PASSING_CODES
    return SmsError(f"{_REASONS[kind]} (HTTP {status}, {code})", kind=kind, is_permanent=not is_passing, may_have_been_sent=False)


def _number(given: object) -> int:
    """Codes are numbers; in an answer from something that is not Twilio they may be any text."""
    return given if isinstance(given, int) else 0


def _broken(error: Exception) -> SmsError:
    """Only what certainly went wrong before a byte of the message left counts as not sent."""
    from requests import ConnectTimeout  # noqa: PLC0415
    from requests.exceptions import ProxyError  # noqa: PLC0415
    from urllib3.exceptions import MaxRetryError, NewConnectionError, SSLError  # noqa: PLC0415

    cause = error.args[0] if error.args else None
    fault = cause.reason if isinstance(cause, MaxRetryError) else None
    if isinstance(fault, SSLError) and isinstance(fault.args[0], ssl.SSLCertVerificationError):
        reason = f"no trustworthy TLS with Twilio: {fault.args[0].verify_message}"
        return SmsError(reason, kind=SmsErrorKind.OUR_SETUP, is_permanent=False, may_have_been_sent=False)
    # `ProxyError`: the proxy was not reached, or let nothing through.
    if isinstance(error, ConnectTimeout | ProxyError) or isinstance(fault, NewConnectionError):
        return SmsError("cannot connect to Twilio", kind=SmsErrorKind.BUSY, is_permanent=False, may_have_been_sent=False)
    return _unclear("the connection to Twilio was lost or too slow")


def _unclear(reason: str) -> SmsError:
    return SmsError(reason, kind=SmsErrorKind.OTHER, is_permanent=False, may_have_been_sent=True)
