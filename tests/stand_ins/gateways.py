"""Mail and SMS gateways that keep what they are given, and fail when told to. They pass the contract suites of the real ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default

from zegelpost.ports import CallReport, MailAcceptance, MailError, Script, SmsAcceptance, SmsError, Speech


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


@dataclass(frozen=True, slots=True)
class MailboxMail:
    """What left from a mailbox, or was kept in it."""

    mailbox: str
    recipient: str
    subject: str
    html: str
    message_id: str


@dataclass(slots=True)
class FakeMailboxes:
    """Only `known` ones are there. `failures` are raised one by one by what sends, `keeping_failures` by what keeps.

    So many `losses` times a mail leaves and nobody hears of it.
    """

    known: set[str] = field(default_factory=set)
    sent: list[MailboxMail] = field(default_factory=list)
    kept: list[MailboxMail] = field(default_factory=list)
    failures: deque[MailError] = field(default_factory=deque)
    keeping_failures: deque[MailError] = field(default_factory=deque)
    losses: int = 0

    async def deliver(self, *, mailbox: str, recipient: str, message: bytes) -> MailAcceptance:
        if self.failures:
            raise self.failures.popleft()
        self.sent.append(self._mail(mailbox, recipient, message))
        if self.losses:
            self.losses -= 1
            raise MailError("no answer")
        return MailAcceptance("graph", 202, "TLS")

    async def keep(self, *, mailbox: str, message: bytes) -> None:
        if self.keeping_failures:
            raise self.keeping_failures.popleft()
        mail = self._mail(mailbox, str(message_from_bytes(message, policy=default)["To"]), message)
        if mail.message_id not in {each.message_id for each in self.kept}:
            self.kept.append(mail)

    def _mail(self, mailbox: str, recipient: str, message: bytes) -> MailboxMail:
        if mailbox not in self.known:
            raise MailError("no such mailbox", is_permanent=True)
        parsed = message_from_bytes(message, policy=default)
        html = parsed.get_body(("html",))
        assert html is not None
        text = html.get_content().replace("\r\n", "\n")
        return MailboxMail(mailbox, recipient, str(parsed["Subject"]), text, str(parsed["Message-ID"]))


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


@dataclass(frozen=True, slots=True)
class DeliveredCall:
    recipient: str
    speech: Speech
    key_to: str
    report_to: str


@dataclass(slots=True)
class FakeTelephone:
    """`failures` are raised one by one; after one that may have been sent the telephone rang all the same."""

    delivered: list[DeliveredCall] = field(default_factory=list)
    failures: deque[SmsError] = field(default_factory=deque)

    async def call(self, *, recipient: str, speech: Speech, valid_seconds: int, key_to: str, report_to: str) -> SmsAcceptance:  # noqa: ARG002 - rings at once
        failure = self.failures.popleft() if self.failures else None
        if failure is None or failure.may_have_been_sent:
            self.delivered.append(DeliveredCall(recipient, speech, key_to, report_to))
        if failure is not None:
            raise failure
        return SmsAcceptance(f"fake-call-{len(self.delivered)}")

    def read(self, *, address: str, fields: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> CallReport:  # noqa: ARG002 - nothing is signed
        return CallReport(dict(fields).get("reference", ""), key=dict(fields).get("key", ""))

    def ask(self, speech: Speech, *, key_to: str) -> Script:
        return Script("text/plain", " ".join([*speech.sentences, key_to]))

    def say(self, speech: Speech) -> Script:
        return Script("text/plain", " ".join(speech.sentences))
