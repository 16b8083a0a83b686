"""Mail over SMTP: a relay on this machine, or the organisation's mail server over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from email.utils import parseaddr
from typing import Final
from urllib.parse import unquote, urlsplit

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPConnectResponseError,
    SMTPDataError,
    SMTPException,
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
# Replies to an envelope that are about us and not about it: log in first, use TLS first (RFC 4954 section 6, RFC 3207 section 4).
_OUR_SETUP: Final = {530, 534, 535, 538}
_ADDRESS: Final = re.compile(r"[!#-;=?-~]+@[!#-;=?-~]+\Z")  # ASCII that can be seen, but no quotes and angle brackets
_BARE_LINE_END: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_ENHANCED_CODE: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?=\s|\Z)")


class SmtpMailGateway:
    """One connection per mail. `smtp://` has no TLS, `smtp+starttls://` refuses to go on without it, `smtps://` begins with it.

    Certificate and host name are checked. A retry after doubt may give the server a mail twice; it is then the same mail, with
    the same Message-ID.
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

    async def deliver(self, *, sender: str, recipient: str, message: bytes) -> MailAcceptance:
        if _BARE_LINE_END.search(message) or not message.endswith(b"\r\n"):
            raise MailError("the mail has lines that do not end in CRLF, which SMTP cannot carry unchanged", is_permanent=True)
        if not (_is_plain(sender) and _is_plain(recipient)):
            raise MailError("an address is of a form that SMTP cannot carry unchanged", is_permanent=True)
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
            # What the library raises may quote addresses: none of it goes along, not even as a cause.
            async with asyncio.timeout(self._timeout_seconds):
                await self._connect(client)
                await self._log_in(client)
                tls_version = _tls_version(client)
                await self._hand_over(client, sender, recipient, message)
        except (SMTPTimeoutError, TimeoutError):
            raise MailError("the mail server did not answer in time") from None
        except ConnectionError:
            raise MailError("the connection to the mail server was lost") from None
        except SMTPResponseException as error:
            raise MailError(f"the mail server refused the conversation ({_reply(error)})") from None
        except (SMTPException, OSError):
            raise MailError("the conversation with the mail server failed") from None
        else:
            await _take_leave(client)
        finally:
            client.close()
        return MailAcceptance(self._host, SMTPStatus.completed, tls_version)

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

    async def _hand_over(self, client: SMTP, sender: str, recipient: str, message: bytes) -> None:
        try:
            await client.sendmail(sender, [recipient], message)
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


async def _take_leave(client: SMTP) -> None:
    # The mail is the server's by now; whatever goes wrong here must not make us send it again.
    with contextlib.suppress(SMTPException, OSError):
        await client.quit(timeout=_QUIT_SECONDS)
