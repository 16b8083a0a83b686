"""Mail and SMS gateways that keep what they are given, and fail when told to. They pass the contract suites of the real ones."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from zegelpost.ports import MailAcceptance, MailError, SmsAcceptance, SmsError


@dataclass(frozen=True, slots=True)
class DeliveredMail:
    sender: str
    recipient: str
    message: bytes


@dataclass(frozen=True, slots=True)
class DeliveredSms:
    recipient: str
    text: str
    valid_seconds: int


@dataclass(slots=True)
class FakeMail:
    """`failures` are raised one by one, before anything is delivered."""

    delivered: list[DeliveredMail] = field(default_factory=list)
    failures: deque[MailError] = field(default_factory=deque)

    async def deliver(self, *, sender: str, recipient: str, message: bytes) -> MailAcceptance:
        if self.failures:
            raise self.failures.popleft()
        self.delivered.append(DeliveredMail(sender, recipient, message))
        return MailAcceptance("mail.example", 250, "TLSv1.3")


@dataclass(slots=True)
class FakeSms:
    """`failures` are raised one by one; one that may have been sent was."""

    delivered: list[DeliveredSms] = field(default_factory=list)
    failures: deque[SmsError] = field(default_factory=deque)

    async def deliver(self, *, recipient: str, text: str, valid_seconds: int, report_to: str) -> SmsAcceptance:  # noqa: ARG002 - it never reports
        failure = self.failures.popleft() if self.failures else None
        if failure is None or failure.may_have_been_sent:
            self.delivered.append(DeliveredSms(recipient, text, valid_seconds))
        if failure is not None:
            raise failure
        return SmsAcceptance(f"fake-{len(self.delivered)}")
