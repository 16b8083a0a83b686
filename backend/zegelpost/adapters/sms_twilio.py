"""SMS through Twilio's Programmable Messaging."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from zegelpost.adapters.sms_http import unclear
from zegelpost.adapters.twilio_account import TwilioAccount
from zegelpost.ports import SmsAcceptance

if TYPE_CHECKING:
    from twilio.rest import Client  # type: ignore[import-untyped]

_LONGEST_VALIDITY_SECONDS: Final = 36_000


class TwilioSmsGateway:
    """Sends in the name that the account's `from` gives; one that starts with MG is a messaging service."""

    def __init__(self, account: TwilioAccount, *, has_reports: bool = False) -> None:
        """`has_reports`: whether we can check who reports. Without, nobody is asked to."""
        self._account = account
        self._has_reports = has_reports
        self._options = {"messaging_service_sid" if account.origin.startswith("MG") else "from_": account.origin}
        if account.is_forgetful:
            self._options |= {"content_retention": "discard", "address_retention": "obfuscate"}

    async def deliver(self, *, recipient: str, text: str, valid_seconds: int, report_to: str) -> SmsAcceptance:
        # Messages whose time is up must not leave Twilio's queue either.
        validity = min(max(valid_seconds, 1), _LONGEST_VALIDITY_SECONDS)

        options = {"status_callback": report_to, **self._options} if self._has_reports else self._options

        def question(client: Client) -> str | None:
            message = client.messages.create(to=recipient, body=text, validity_period=validity, risk_check="enable", **options)
            return str(message.sid) if message.sid else None

        reference = await asyncio.to_thread(self._account.ask, question)
        if reference is None:
            raise unclear("Twilio's answer holds no reference")
        return SmsAcceptance(reference)
