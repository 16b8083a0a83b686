"""What MessageBird tells afterwards, as a GET with a signed token: checked, and in our words.

https://developers.messagebird.com/api/sms-messaging/#handle-a-status-report,
https://developers.messagebird.com/docs/verify-http-requests
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from zegelpost.model.outgoing import CarrierState
from zegelpost.model.refusals import ReportForged
from zegelpost.ports import SmsErrorKind, SmsReport

HEADER: Final = "messagebird-signature-jwt"
_ISSUER: Final = "MessageBird"
# Their clock and ours; a token lives a minute.
_LEEWAY_SECONDS: Final = 30
# `scheduled` and `buffered` say no more than that it was taken.
_STATES: Final = {
    "sent": CarrierState.SENT,
    "delivered": CarrierState.DELIVERED,
    "expired": CarrierState.UNDELIVERED,
    "delivery_failed": CarrierState.UNDELIVERED,
}
# Of the operators (3GPP TS 29.002) below a hundred, of MessageBird above it.
_KINDS: Final = {
    1: SmsErrorKind.NUMBER_WRONG,
    5: SmsErrorKind.NUMBER_WRONG,
    9: SmsErrorKind.NUMBER_WRONG,
    11: SmsErrorKind.NOT_MOBILE,
    6: SmsErrorKind.UNREACHABLE,
    13: SmsErrorKind.UNREACHABLE,
    27: SmsErrorKind.UNREACHABLE,
    31: SmsErrorKind.UNREACHABLE,
    32: SmsErrorKind.UNREACHABLE,
    103: SmsErrorKind.OPTED_OUT,
    104: SmsErrorKind.OUR_SETUP,
}


class MessageBirdReports:
    def __init__(self, signing_key: str) -> None:
        if not signing_key:
            # Anyone can sign with nothing.
            raise ValueError("the signing key in ZEGELPOST_SMS_URL is empty")
        self._signing_key = signing_key

    def read(self, *, address: str, fields: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> SmsReport:
        self._require(address, headers)
        values = dict(fields)
        if len(values) != len(fields):
            raise ReportForged
        state = _STATES.get(values.get("status", ""))
        kind = None
        if state == CarrierState.UNDELIVERED:
            code = values.get("statusErrorCode", "")
            expired = SmsErrorKind.UNREACHABLE if values["status"] == "expired" else SmsErrorKind.OTHER
            kind = _KINDS.get(int(code), expired) if code.isascii() and code.isdecimal() else expired
        return SmsReport(values.get("id", ""), state, kind)

    def _require(self, address: str, headers: Mapping[str, str]) -> None:
        """A token of theirs, for this very address with all that is asked in it. Raises `ReportForged`."""
        import jwt  # noqa: PLC0415 - comes with msal and twilio, and only here is needed for codes

        try:
            claims = jwt.decode(
                headers.get(HEADER, ""),
                self._signing_key,
                algorithms=["HS256"],
                issuer=_ISSUER,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "nbf", "iss", "url_hash"], "verify_aud": False},
            )
        except jwt.PyJWTError:
            raise ReportForged from None
        expected = hashlib.sha256(address.encode()).hexdigest()
        given = claims["url_hash"]
        if not isinstance(given, str) or not given.isascii() or not hmac.compare_digest(expected, given):
            raise ReportForged
        if "payload_hash" in claims:
            # A report carries nothing but its address.
            raise ReportForged
