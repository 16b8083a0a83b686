"""SMS through MessageBird: https://developers.messagebird.com/api/sms-messaging/#send-outbound-sms."""

from __future__ import annotations

import asyncio
from typing import Final

from zegelpost.adapters.messagebird_account import MessageBirdAccount
from zegelpost.adapters.sms_http import unclear
from zegelpost.ports import SmsAcceptance

_LONGEST_VALIDITY_SECONDS: Final = 86_400


class MessageBirdSmsGateway:
    """Sends in the name or from the number that the account's `from` gives. Reports are asked for where they can be checked."""

    def __init__(self, account: MessageBirdAccount) -> None:
        self._account = account

    async def deliver(self, *, recipient: str, text: str, valid_seconds: int, report_to: str) -> SmsAcceptance:
        body = {
            "originator": self._account.origin,
            "recipients": [recipient.removeprefix("+")],
            "body": text,
            # GSM 03.38 as it is; a letter that is not in it is refused rather than sent as something dearer.
            "datacoding": "plain",
            "validity": min(max(valid_seconds, 1), _LONGEST_VALIDITY_SECONDS),
        }
        if self._account.signing_key:
            # Without a reference there are no reports.
            body |= {"reference": report_to.rpartition("/")[2], "reportUrl": report_to}
        answer = await asyncio.to_thread(self._account.post, "/messages", body)
        reference = answer.get("id")
        if not isinstance(reference, str) or not reference:
            raise unclear("MessageBird's answer holds no identifier")
        return SmsAcceptance(reference)
