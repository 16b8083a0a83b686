"""What Twilio posts to us afterwards: checked, and in our words.

https://www.twilio.com/docs/usage/security#validating-requests
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from zegelpost.adapters.twilio_account import kind_of
from zegelpost.model.outgoing import CarrierState
from zegelpost.model.refusals import ReportForged
from zegelpost.ports import SmsErrorKind, SmsReport

# `queued`, `accepted`, `scheduled` and `sending` say no more than that it was taken.
_STATES: Final = {
    "sent": CarrierState.SENT,
    "delivered": CarrierState.DELIVERED,
    "read": CarrierState.DELIVERED,
    "undelivered": CarrierState.UNDELIVERED,
    "failed": CarrierState.UNDELIVERED,
    "canceled": CarrierState.UNDELIVERED,
}


class TwilioSignatures:
    """Who may report: whoever holds the account's auth token."""

    def __init__(self, token: str) -> None:
        if not token:
            # Anyone can sign with nothing.
            raise ValueError("ZEGELPOST_TWILIO_AUTH_TOKEN is empty")
        self._token = token

    def require(self, address: str, fields: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> dict[str, str]:
        """The fields of a report that Twilio signed for this address. Raises `ReportForged`.

        The address is ours as it was given to Twilio, not the one of this request: behind a proxy that has another scheme or
        host, and whoever asks chooses it. A field that is there twice is in no report of Twilio's.
        """
        from twilio.request_validator import RequestValidator  # type: ignore[import-untyped] # noqa: PLC0415

        values = dict(fields)
        signature = headers.get("x-twilio-signature", "")
        is_genuine = (
            len(values) == len(fields)
            and signature.isascii()
            and RequestValidator(self._token).validate(address, values, signature)
        )
        if not is_genuine:
            raise ReportForged
        return values


class TwilioSmsReports:
    def __init__(self, signatures: TwilioSignatures) -> None:
        self._signatures = signatures

    def read(self, *, address: str, fields: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> SmsReport:
        values = self._signatures.require(address, fields, headers)
        state = _STATES.get(values.get("MessageStatus", ""))
        code = values.get("ErrorCode", "")
        kind = None
        if state == CarrierState.UNDELIVERED:
            kind = kind_of(int(code)) if code.isascii() and code.isdecimal() else SmsErrorKind.OTHER
        return SmsReport(values.get("MessageSid", ""), state, kind)
