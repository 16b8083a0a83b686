"""A real SMTP server (aiosmtpd) on loopback that keeps what it gets, answers what it is told to, and can be made to hang up."""

# ruff: noqa: N802, ARG002 - aiosmtpd calls these, by these names and with these arguments

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from tests.stand_ins.gateways import DeliveredMail


@dataclass(slots=True)
class MailServer:
    """`replies` overrules the answer to `MAIL`, `RCPT` or `DATA`; `hangs_up_after` cuts the line instead of answering it."""

    port: int = 0
    delivered: list[DeliveredMail] = field(default_factory=list)
    replies: dict[str, str] = field(default_factory=dict)
    hangs_up_after: str | None = None
    users: dict[bytes, bytes] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    conversations: list[SMTP] = field(default_factory=list)
    # Seconds before the answer to DATA.
    delay_seconds: float = 0

    @property
    def open_count(self) -> int:
        """Conversations that go on."""
        return sum(one.transport is not None and not one.transport.is_closing() for one in self.conversations)

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self._answer("MAIL", server)

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        envelope.rcpt_tos.append(address)
        return self._answer("RCPT", server)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        reply = self._answer("DATA", server)
        if reply.startswith("250"):
            assert envelope.mail_from is not None
            assert envelope.original_content is not None
            for recipient in envelope.rcpt_tos:
                self.delivered.append(DeliveredMail(envelope.mail_from, recipient, envelope.original_content))
        return reply

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, login: Any) -> AuthResult:
        self.seen.append("AUTH")
        assert isinstance(login, LoginPassword)
        is_known = self.users.get(login.login) == login.password
        # What is not handled gets the library's 535.
        return AuthResult(success=is_known, handled=is_known)

    def _answer(self, command: str, server: SMTP) -> str:
        self.seen.append(command)
        if self.hangs_up_after == command:
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
        return self.replies.get(command, "250 OK")


@asynccontextmanager
async def mail_server(
    *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, users: dict[bytes, bytes] | None = None
) -> AsyncIterator[MailServer]:
    """A running server: in the clear, with STARTTLS, or with TLS from the first byte."""
    loop = asyncio.get_running_loop()
    mail = MailServer(users=users or {})

    def conversation() -> SMTP:
        with warnings.catch_warnings():
            # That logging in without TLS is unwise; it does not count TLS from the first byte as TLS.
            warnings.simplefilter("ignore", UserWarning)
            mail.conversations.append(
                SMTP(
                    mail,
                    hostname="mail.example",
                    tls_context=starttls,
                    require_starttls=starttls is not None,
                    authenticator=mail.authenticate,
                    auth_required=bool(users),
                    auth_require_tls=starttls is not None,
                    loop=loop,
                )
            )
        return mail.conversations[-1]

    server = await loop.create_server(conversation, "127.0.0.1", 0, ssl=tls)
    mail.port = server.sockets[0].getsockname()[1]
    async with server:
        yield mail
        for open_one in mail.conversations:
            # Whoever hung up a moment ago may not have been noticed yet.
            if isinstance(open_one.transport, asyncio.WriteTransport):
                open_one.transport.abort()
