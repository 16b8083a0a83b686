"""Telephone calls through Twilio's Programmable Voice.

What is said goes along as TwiML, so that a call begins without asking us anything; only a pressed key does.
https://www.twilio.com/docs/voice/api/call-resource, https://www.twilio.com/docs/voice/twiml/gather
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from zegelpost.adapters.sms_http import unclear
from zegelpost.adapters.twilio_account import TwilioAccount, kind_of
from zegelpost.adapters.twilio_reports import TwilioSignatures
from zegelpost.model.outgoing import CarrierState
from zegelpost.ports import CallReport, Script, SmsAcceptance, SmsErrorKind, Speech

if TYPE_CHECKING:
    from twilio.rest import Client  # type: ignore[import-untyped]

_VOICES: Final = {"nl": ("nl-NL", "Polly.Lotte"), "en": ("en-GB", "Polly.Amy")}
_LONGEST_RING_SECONDS: Final = 45
_LONGEST_CALL_SECONDS: Final = 120
_TIMES_ASKED: Final = 3
_KEY_WAIT_SECONDS: Final = 6
_ENDS: Final = {
    "completed": SmsErrorKind.NO_KEY,
    "busy": SmsErrorKind.LINE_BUSY,
    "no-answer": SmsErrorKind.NO_ANSWER,
    "canceled": SmsErrorKind.NO_ANSWER,
    "failed": SmsErrorKind.UNREACHABLE,
}


class TwilioTelephone:
    """Calls from the account's own number: a name cannot telephone."""

    def __init__(self, account: TwilioAccount, signatures: TwilioSignatures) -> None:
        if not account.calling_number:
            raise ValueError("ZEGELPOST_SMS_URL names no number to call from: add call_from=+31…")
        self._account = account
        self._signatures = signatures

    async def call(self, *, recipient: str, speech: Speech, valid_seconds: int, key_to: str, report_to: str) -> SmsAcceptance:
        script = self.ask(speech, key_to=key_to).content
        ring = max(5, min(valid_seconds, _LONGEST_RING_SECONDS))

        def question(client: Client) -> str | None:
            call = client.calls.create(
                to=recipient,
                from_=self._account.calling_number,
                twiml=script,
                timeout=ring,
                time_limit=_LONGEST_CALL_SECONDS,
                status_callback=report_to,
                status_callback_method="POST",
            )
            return str(call.sid) if call.sid else None

        reference = await asyncio.to_thread(self._account.ask, question)
        if reference is None:
            raise unclear("Twilio's answer holds no reference")
        return SmsAcceptance(reference)

    def read(self, *, address: str, fields: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> CallReport:
        values = self._signatures.require(address, fields, headers)
        reference = values.get("CallSid", "")
        end = _ENDS.get(values.get("CallStatus", ""))
        code = values.get("ErrorCode", "")
        if end == SmsErrorKind.UNREACHABLE and code.isascii() and code.isdecimal():
            end = kind_of(int(code))
        return CallReport(reference, CarrierState.UNDELIVERED if end else None, end, values.get("Digits", ""))

    def ask(self, speech: Speech, *, key_to: str) -> Script:
        """In tones only: what an answering machine says must not count as an answer."""
        from twilio.twiml.voice_response import Gather, VoiceResponse  # type: ignore[import-untyped] # noqa: PLC0415

        response = VoiceResponse()
        for _ in range(_TIMES_ASKED):
            gather = Gather(input="dtmf", num_digits=1, timeout=_KEY_WAIT_SECONDS, action=key_to, method="POST")
            _say(gather, speech)
            response.append(gather)
        response.hangup()
        return _script(response)

    def say(self, speech: Speech) -> Script:
        from twilio.twiml.voice_response import VoiceResponse  # noqa: PLC0415

        response = VoiceResponse()
        _say(response, speech)
        response.hangup()
        return _script(response)


def _say(verb: Any, speech: Speech) -> None:
    language, voice = _VOICES[speech.language]
    for sentence in speech.sentences:
        if len(sentence) == 1:
            verb.pause(length=1)
        verb.say(sentence, language=language, voice=voice)


def _script(response: Any) -> Script:
    return Script("application/xml", str(response))
