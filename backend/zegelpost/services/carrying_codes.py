"""Carrying codes: one code to one telephone, by text message or in a call, once."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from zegelpost.model.identifiers import OutgoingId
from zegelpost.model.outgoing import Outgoing, OutgoingKind
from zegelpost.ports import SmsAcceptance, SmsError, SmsErrorKind, SmsGateway, Telephone
from zegelpost.services.composing import Composing

_SHORTEST_SECONDS: Final = 1


class CarryingCodes:
    """`telephone` is nothing where no code is read out."""

    def __init__(self, composing: Composing, sms: SmsGateway, telephone: Telephone | None) -> None:
        self._composing = composing
        self._base_url = composing.organisation.base_url
        self._sms = sms
        self._telephone = telephone

    def content(self, kind: OutgoingKind, code: str, language: str) -> dict[str, str]:
        """What has to be kept of a code until it has left, or has been heard."""
        if kind == OutgoingKind.CALL:
            return {"code": code, "language": language}
        return {"text": self._composing.code_sms(code, language)}

    async def deliver(self, outgoing: Outgoing, envelope: dict[str, str], now: datetime) -> SmsAcceptance:
        """Hand it over. Raises `SmsError`; after one with `may_have_been_sent` it is never handed over again."""
        seconds = max(_SHORTEST_SECONDS, int((outgoing.useless_after - now).total_seconds()))
        if outgoing.kind == OutgoingKind.SMS:
            return await self._sms.deliver(
                recipient=envelope["to"],
                text=envelope["text"],
                valid_seconds=seconds,
                report_to=self._base_url + report_path(outgoing.id),
            )
        if self._telephone is None:
            # Whoever set this installation up changed it since the code was asked for.
            raise SmsError("no telephone", kind=SmsErrorKind.OUR_SETUP, is_permanent=True, may_have_been_sent=False)
        return await self._telephone.call(
            recipient=envelope["to"],
            speech=self._composing.call_greeting(envelope["language"]),
            valid_seconds=seconds,
            key_to=self._base_url + key_path(outgoing.id),
            report_to=self._base_url + call_path(outgoing.id),
        )


def report_path(outgoing_id: OutgoingId) -> str:
    """Where a provider tells what became of a message; nobody guesses it, and what it says there is signed besides."""
    return f"/webhooks/sms/{outgoing_id}"


def call_path(outgoing_id: OutgoingId) -> str:
    """The same, of a call."""
    return f"/webhooks/calls/{outgoing_id}"


def key_path(outgoing_id: OutgoingId) -> str:
    """Where a provider tells that a key was pressed, and is told what to say."""
    return f"/webhooks/calls/{outgoing_id}/key"
