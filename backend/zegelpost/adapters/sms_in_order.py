"""Several SMS gateways, in the order of `ZEGELPOST_SMS_URL`: the next one only where the one before certainly sent nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from zegelpost.model.refusals import ReportForged
from zegelpost.ports import SmsAcceptance, SmsError, SmsErrorKind, SmsGateway, SmsReport, SmsReports

_LOG: Final = structlog.get_logger()
# What another provider may do better. A wrong number is wrong everywhere; who opted out is left alone; what one provider takes
# for a fraud is not smuggled past it.
_OF_THE_PROVIDER: Final = {SmsErrorKind.OUR_SETUP, SmsErrorKind.BUSY, SmsErrorKind.UNREACHABLE, SmsErrorKind.OTHER}


@dataclass(frozen=True, slots=True)
class NamedGateway:
    name: str
    gateway: SmsGateway


class SmsGatewaysInOrder:
    """One message leaves once: after doubt nothing else is tried."""

    def __init__(self, gateways: Sequence[NamedGateway]) -> None:
        self._gateways = gateways

    async def deliver(self, *, recipient: str, text: str, valid_seconds: int, report_to: str) -> SmsAcceptance:
        refused: list[SmsError] = []
        for each in self._gateways:
            try:
                acceptance = await each.gateway.deliver(
                    recipient=recipient, text=text, valid_seconds=valid_seconds, report_to=report_to
                )
            except SmsError as error:
                if error.may_have_been_sent or error.kind not in _OF_THE_PROVIDER:
                    raise
                _LOG.warning("sms_gateway_refused", gateway=each.name, kind=error.kind.value, reason=error.reason)
                refused.append(error)
            else:
                return replace(acceptance, passed_over=refused[0].kind) if refused else acceptance
        # One of them may take it in a moment, if any says so.
        raise next((error for error in refused if not error.is_permanent), refused[0])


class SmsReportsOfAll:
    """Whoever of them signed a report."""

    def __init__(self, readers: Sequence[SmsReports]) -> None:
        self._readers = readers

    def read(self, *, address: str, fields: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> SmsReport:
        for reader in self._readers:
            try:
                return reader.read(address=address, fields=fields, headers=headers)
            except ReportForged:
                continue
        raise ReportForged
