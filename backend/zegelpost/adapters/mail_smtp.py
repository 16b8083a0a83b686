"""Mail over SMTP: a relay on this machine, or the organisation's mail server over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parseaddr
from typing import Final
from urllib.parse import unquote, urlsplit

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPConnectResponseError,
    SMTPDataError,
    SMTPException,
    SMTPHeloError,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPStatus,
    SMTPTimeoutError,
)

from zegelpost.ports import MailAcceptance, MailError

_SETTING: Final = "ZEGELPOST_SMTP_URL"
_PORTS: Final = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_QUIT_SECONDS: Final = 5
# Exchange Online takes three conversations of one account at a time, and others end one after a few dozen mails.
_MOST_LINES: Final = 3
_MAILS_PER_LINE: Final = 20
# With the time for handing over itself, well within the lease that the outbox gives a mail.
_LONGEST_WAIT_SECONDS: Final = 120
# Replies to an envelope that are about us and not about it: log in first, use TLS first (RFC 4954 section 6, RFC 3207 section 4).
_OUR_SETUP: Final = {530, 534, 535, 538}
_ADDRESS: Final = re.compile(r"[!#-;=?-~]+@[!#-;=?-~]+\Z")  # ASCII that can be seen, but no quotes and angle brackets
_BARE_LINE_END: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_ENHANCED_CODE: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?=\s|\Z)")


@dataclass(frozen=True, slots=True)
class RelayFacts:
    """What a mail server turned out to be, without giving it a mail."""

    address: str
    tls_version: str | None
    certificate_until: datetime | None
    is_logged_in: bool


class SmtpMailGateway:
    """`smtp://` has no TLS, `smtp+starttls://` refuses to go on without it, `smtps://` begins with it.

    Certificate and host name are checked. A few connections at most, each handed on to the next mail that waits; when none does,
    it is ended, so that no mail ever meets one that died meanwhile. A retry after doubt may give the server a mail twice; it is
    then the same mail, with the same Message-ID.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 60, ssl_context: ssl.SSLContext | None = None) -> None:
        """`url` may hold percent-encoded `user:password@`; `timeout_seconds` bounds the handing over as a whole."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(f"{_SETTING} must be smtp://host:port, smtp+starttls://… or smtps://…")
        self._scheme = parts.scheme
        self._host = parts.hostname
        self._port = parts.port or _PORTS[parts.scheme]
        self._username = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password or "")
        self._timeout_seconds = timeout_seconds
        self._ssl_context = None if parts.scheme == "smtp" else ssl_context or ssl.create_default_context()
        self._our_name: str | None = None
        self._lines = _Lines(_MOST_LINES)

    async def deliver(self, *, sender: str, recipient: str, message: bytes) -> MailAcceptance:
        if _BARE_LINE_END.search(message) or not message.endswith(b"\r\n"):
            raise MailError("the mail has lines that do not end in CRLF, which SMTP cannot carry unchanged", is_permanent=True)
        if not (_is_plain(sender) and _is_plain(recipient)):
            raise MailError("an address is of a form that SMTP cannot carry unchanged", is_permanent=True)
        line = await self._lines.take()
        kept: _Line | None = None
        try:
            async with self._conversation():
                line = line or await self._open()
                tls_version = _tls_version(line.client)
                await self._hand_over(line.client, sender, recipient, message)
            line.mail_count += 1
            kept = line if line.mail_count < _MAILS_PER_LINE else None
        finally:
            is_handed_on = self._lines.give_back(kept)
            if line is not None and not (kept and is_handed_on):
                await _end(line.client, is_polite=line.mail_count > 0)
        return MailAcceptance(self._host, SMTPStatus.completed, tls_version)

    async def probe(self, *, sender: str) -> RelayFacts:
        """Connect, log in and name the sender, as for a mail, but give none. Raises `MailError`."""
        async with self._conversation():
            line = await self._open()
            try:
                await self._name_sender(line.client, sender)
                certificate = line.client.get_transport_info("peercert") or {}
                until = certificate.get("notAfter")
                return RelayFacts(
                    f"{self._host}:{self._port}",
                    _tls_version(line.client),
                    datetime.fromtimestamp(ssl.cert_time_to_seconds(until), UTC) if until else None,
                    self._username is not None,
                )
            finally:
                await _end(line.client, is_polite=True)

    @contextlib.asynccontextmanager
    async def _conversation(self) -> AsyncIterator[None]:
        """In time, and with the library's errors as ours: what they say may quote addresses, so none goes along as a cause."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                yield
        except (SMTPTimeoutError, TimeoutError):
            raise MailError("the mail server did not answer in time") from None
        except ConnectionError:
            raise MailError("the connection to the mail server was lost") from None
        except SMTPResponseException as error:
            raise MailError(f"the mail server refused the conversation ({_reply(error)})") from None
        except (SMTPException, OSError):
            raise MailError("the conversation with the mail server failed") from None

    async def _open(self) -> _Line:
        if self._our_name is None:
            # Once, because a resolver that does not answer holds it up for seconds.
            self._our_name = await asyncio.to_thread(socket.getfqdn)
        client = SMTP(
            hostname=self._host,
            port=self._port,
            local_hostname=self._our_name,
            timeout=self._timeout_seconds,
            use_tls=self._scheme == "smtps",
            start_tls=False,
            tls_context=self._ssl_context,
        )
        try:
            await self._connect(client)
            await self._log_in(client)
            await self._greet(client)
        except BaseException:
            client.close()
            raise
        return _Line(client)

    async def _connect(self, client: SMTP) -> None:
        try:
            await client.connect()
            if self._scheme == "smtp+starttls":
                await client.starttls()
        except SMTPConnectResponseError as error:
            raise MailError(f"the mail server does not take connections now ({_reply(error)})") from None
        except (SMTPTimeoutError, TimeoutError):
            raise
        except (SMTPException, OSError) as error:
            if (fault := _tls_fault(error)) is not None:
                raise MailError(f"{_SETTING}: no trustworthy TLS with {self._host}: {fault}") from None
            if isinstance(error, ConnectionError):
                raise MailError(f"{_SETTING}: cannot connect to the mail server at {self._host}:{self._port}") from None
            raise MailError(f"{_SETTING}: the mail server offers no STARTTLS, so nothing was sent") from None

    async def _log_in(self, client: SMTP) -> None:
        if self._username is None:
            return
        try:
            await client.login(self._username, self._password)
        except SMTPAuthenticationError as error:
            raise MailError(f"{_SETTING}: the mail server refused the user name or password ({_reply(error)})") from None
        except (SMTPTimeoutError, ConnectionError):
            raise
        except SMTPException:
            raise MailError(f"{_SETTING}: the mail server offers no way to log in that we know") from None

    async def _greet(self, client: SMTP) -> None:
        """So that we know what the server can do, before the first mail."""
        if client.is_ehlo_or_helo_needed:
            try:
                await client.ehlo()
            except SMTPHeloError:
                await client.helo()

    async def _name_sender(self, client: SMTP, sender: str) -> None:
        try:
            await client.mail(sender)
            await client.rset()
        except SMTPSenderRefused as error:
            raise _refusal("sender", error) from None

    async def _hand_over(self, client: SMTP, sender: str, recipient: str, message: bytes) -> None:
        # RFC 3461: tell of failure and delay, and return only the headers. The rest of the mail holds its link.
        has_dsn = client.supports_extension("dsn")
        try:
            await client.sendmail(
                sender,
                [recipient],
                message,
                mail_options=["RET=HDRS"] if has_dsn else [],
                rcpt_options=["NOTIFY=FAILURE,DELAY"] if has_dsn else [],
            )
        except SMTPSenderRefused as error:
            raise _refusal("sender", error) from None
        except SMTPRecipientsRefused as error:
            raise _refusal("recipient", error.recipients[0]) from None
        except SMTPDataError as error:
            raise _refusal("mail", error) from None


def _is_plain(address: str) -> bool:
    """Whether the library sends this address as it is. Of `a,b@host` or `<a@host> x` it would quietly send a part."""
    return _ADDRESS.match(address) is not None and parseaddr(address)[1] == address


def _refusal(what: str, error: SMTPResponseException) -> MailError:
    if error.code in _OUR_SETUP:
        return MailError(f"{_SETTING}: the mail server wants us to log in or to use TLS first ({_reply(error)})")
    return MailError(f"the mail server refused the {what} ({_reply(error)})", is_permanent=error.code // 100 == 5)  # noqa: PLR2004 - RFC 5321 section 4.2.1


def _reply(error: SMTPResponseException) -> str:
    """The reply code and, if there is one, the enhanced code (RFC 3463): digits only, never the server's words."""
    enhanced = _ENHANCED_CODE.match(error.message)
    return f"{error.code} {enhanced[0]}" if enhanced else str(error.code)


def _tls_fault(error: BaseException | None) -> str | None:
    """What OpenSSL found wrong, if that is behind this error."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        if isinstance(error, ssl.SSLError):
            return error.reason or "handshake failed"
        error = error.__cause__
    return None


def _tls_version(client: SMTP) -> str | None:
    tls: ssl.SSLObject | None = client.get_transport_info("ssl_object")
    return tls.version() if tls else None


async def _end(client: SMTP, *, is_polite: bool) -> None:
    try:
        if is_polite and client.is_connected:
            # A mail is the server's by now; whatever goes wrong here must not make us send it again.
            with contextlib.suppress(SMTPException, OSError):
                await client.quit(timeout=_QUIT_SECONDS)
    finally:
        client.close()


@dataclass(slots=True)
class _Line:
    client: SMTP
    mail_count: int = 0


class _Lines:
    """How many conversations may go on at once. Who waits is given the line that someone is done with, or leave to open one."""

    def __init__(self, most: int) -> None:
        self._free_count = most
        self._waiting: deque[asyncio.Future[_Line | None]] = deque()

    async def take(self) -> _Line | None:
        """An open line, or nothing for leave to open one. Raises `MailError` when the wait was too long."""
        if self._free_count:
            self._free_count -= 1
            return None
        turn: asyncio.Future[_Line | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(_LONGEST_WAIT_SECONDS):
                return await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                # It came as we stopped waiting.
                line = turn.result()
                if not self.give_back(line) and line is not None:
                    line.client.close()
            if isinstance(error, TimeoutError):
                raise MailError("too many mails wait for the mail server") from None
            raise

    def give_back(self, line: _Line | None) -> bool:
        """Whether someone took the line; if not, it is the caller's to end."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(line)
                return True
        self._free_count += 1
        return False
