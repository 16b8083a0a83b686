"""Twilio's Programmable Voice: what was placed, and what happens when it rings, by the TwiML and with signed webhooks.

https://www.twilio.com/docs/voice/api/call-resource, https://www.twilio.com/docs/voice/twiml/gather
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET

# Posts these fields, signed, to this address; returns what was answered.
Post = Callable[[str, dict[str, str]], Awaitable[str]]


@dataclass(slots=True)
class PlacedCall:
    """A telephone that is about to ring."""

    to: str
    origin: str
    twiml: str
    ring_seconds: int
    longest_seconds: int
    report_to: str
    sid: str
    account: str
    heard: list[str] = field(default_factory=list)  # by whoever or whatever picked up

    async def pick_up(self, post: Post, keys: Sequence[str] = ()) -> list[str]:
        """Answer and press these keys, one each time it is asked for; what was said until it hung up."""
        presses = list(keys)
        twiml = self.twiml
        while twiml:
            twiml = await self._follow(twiml, presses, post)
        await self.end(post, "completed")
        return self.heard

    async def end(self, post: Post, status: str, **more: str) -> None:
        """It is over: `busy`, `no-answer`, `failed`, `canceled` without anyone, or `completed`."""
        if self.report_to:
            await post(self.report_to, self.fields(status) | {"CallDuration": "0"} | more)

    def fields(self, status: str) -> dict[str, str]:
        return {
            "AccountSid": self.account,
            "ApiVersion": "2010-04-01",
            "CallSid": self.sid,
            "CallStatus": status,
            "Direction": "outbound-api",
            "From": self.origin,
            "To": self.to,
        }

    async def _follow(self, twiml: str, presses: list[str], post: Post) -> str:
        """One document, verb by verb; the next one when a key was pressed."""
        for verb in ET.fromstring(twiml):
            if verb.tag == "Gather":
                assert verb.attrib["input"] == "dtmf"
                self._say(verb)
                if presses:
                    return await post(verb.attrib["action"], self.fields("in-progress") | {"Digits": presses.pop(0)})
            elif verb.tag == "Hangup":
                return ""
            else:
                self._say([verb])
        return ""

    def _say(self, verbs: Sequence[ET.Element] | ET.Element) -> None:
        for verb in verbs:
            if verb.tag == "Say":
                assert verb.attrib["language"] in {"nl-NL", "en-GB"}
                self.heard.append(verb.text or "")
            else:
                assert verb.tag == "Pause"
                self.heard.append("")


def place(form: dict[str, list[str]]) -> PlacedCall:
    return PlacedCall(
        to=form["To"][0],
        origin=form["From"][0],
        twiml=form["Twiml"][0],
        ring_seconds=int(form.get("Timeout", ["60"])[0]),
        longest_seconds=int(form.get("TimeLimit", ["14400"])[0]),
        report_to=form.get("StatusCallback", [""])[0],
        sid=f"CA{secrets.token_hex(16)}",
        account="AC",
    )


def call_refusal(form: dict[str, list[str]]) -> tuple[int, str] | None:
    to, origin, twiml = (form.get(name, [""])[0] for name in ("To", "From", "Twiml"))
    if not re.fullmatch(r"\+[1-9]\d{6,14}", to):
        return 21211, f"Invalid 'To' Phone Number: {to}"
    if not re.fullmatch(r"\+[1-9]\d{6,14}", origin):
        return 21212, f"Invalid 'From' Phone Number: {origin}"
    if not twiml or len(twiml) > 4000:
        return 21205, "Url, Twiml or ApplicationSid is missing or too long"
    try:
        is_response = ET.fromstring(twiml).tag == "Response"
    except ET.ParseError:
        is_response = False
    return None if is_response else (12100, "Document parse failure")


def call_resource(call: PlacedCall, account: str) -> dict[str, Any]:
    created = "Mon, 23 Nov 2026 12:00:00 +0000"
    return {
        "account_sid": account,
        "annotation": None,
        "answered_by": None,
        "api_version": "2010-04-01",
        "caller_name": None,
        "date_created": created,
        "date_updated": created,
        "direction": "outbound-api",
        "duration": None,
        "end_time": None,
        "forwarded_from": None,
        "from": call.origin,
        "from_formatted": call.origin,
        "group_sid": None,
        "parent_call_sid": None,
        "phone_number_sid": "PN0123456789abcdef0123456789abcdef",
        "price": None,
        "price_unit": "USD",
        "queue_time": "0",
        "sid": call.sid,
        "start_time": None,
        "status": "queued",
        "subresource_uris": {},
        "to": call.to,
        "to_formatted": call.to,
        "trunk_sid": None,
        "uri": f"/2010-04-01/Accounts/{account}/Calls/{call.sid}.json",
    }
