"""The mailbox of bounces over IMAP (RFC 9051 and its predecessor): TLS, certificate and host name checked."""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

from zegelpost.ports import AddressBookError, BounceMailboxError, ReturnedMail

if TYPE_CHECKING:
    from zegelpost.adapters.address_book_graph_calls import GraphCalls

_SETTING: Final = "ZEGELPOST_BOUNCE_MAILBOX_URL"
_PORTS: Final = {"imap": 143, "imap+starttls": 143, "imaps": 993}
_LONGEST_MAIL_BYTES: Final = 256 * 1024
_CONVERSATION_SECONDS: Final = 120
_OUTLOOK: Final = "https://outlook.office365.com"
_TOKEN_SECONDS: Final = 30
_Answer = TypeVar("_Answer")
_UID: Final = re.compile(rb"\d+")
_POSITION: Final = re.compile(r"(\d+)/(\d+)\Z")


@dataclass(frozen=True, slots=True)
class MailboxFacts:
    """What a mailbox turned out to be, without changing anything in it."""

    address: str
    tls_version: str | None
    certificate_until: datetime | None
    unread_count: int


class ImapBounceMailbox:
    """`imaps://` begins with TLS, `imap+starttls://` refuses to go on without it, `imap://` has none.

    Each call is a conversation of its own, in a thread: there is one a minute. A position is the folder's generation and the
    number of the mail in it (UIDVALIDITY and UID); when the folder was made anew meanwhile, old positions mean nothing.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 30, ssl_context: ssl.SSLContext | None = None) -> None:
        """`url` holds percent-encoded `user:password@` and the folder, INBOX without one.

        With `?tenant=…&client_id=…` the password is the secret of an app registration in Entra, whose token is shown instead
        (XOAUTH2): Exchange Online takes no passwords any more. `login` and `resource` name the hosts of another cloud.
        """
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not (parts.hostname and parts.username):
            raise ValueError(f"{_SETTING} must be imaps://user:password@host/FOLDER or imap+starttls://…")
        self._scheme = parts.scheme
        self._host = parts.hostname
        self._port = parts.port or _PORTS[parts.scheme]
        self._username = unquote(parts.username)
        self._password = unquote(parts.password or "")
        self._entra = _entra(self._password, {name: values[0] for name, values in parse_qs(parts.query).items()})
        self._folder = unquote(parts.path.removeprefix("/")) or "INBOX"
        self._timeout_seconds = timeout_seconds
        self._ssl_context = ssl_context

    async def unread(self, most: int, *, after: str) -> list[ReturnedMail]:
        return await asyncio.to_thread(self._conversation, lambda imap: self._unread(imap, most, after))

    async def settle(self, *, ours: Sequence[ReturnedMail], others: Sequence[ReturnedMail]) -> None:
        if ours or others:
            await asyncio.to_thread(self._conversation, lambda imap: self._settle(imap, ours, others))

    async def probe(self) -> MailboxFacts:
        """Log in and look, as for reading. Raises `BounceMailboxError`."""
        return await asyncio.to_thread(self._conversation, self._look)

    def _look(self, imap: imaplib.IMAP4) -> MailboxFacts:
        self._select(imap, is_reading=True)
        unread = len(self._search(imap))
        sock = imap.sock
        certificate = (sock.getpeercert() or {}) if isinstance(sock, ssl.SSLSocket) else {}
        until = certificate.get("notAfter")
        return MailboxFacts(
            f"{self._host}:{self._port}",
            sock.version() if isinstance(sock, ssl.SSLSocket) else None,
            datetime.fromtimestamp(ssl.cert_time_to_seconds(until), UTC) if isinstance(until, str) else None,
            unread,
        )

    def _unread(self, imap: imaplib.IMAP4, most: int, after: str) -> list[ReturnedMail]:
        validity = self._select(imap, is_reading=True)
        known = _POSITION.match(after)
        past = int(known[2]) if known and known[1] == validity else 0
        found: list[ReturnedMail] = []
        # A mailbox that trickles must not keep the thread: what there is by then goes along.
        deadline = time.monotonic() + _CONVERSATION_SECONDS
        for uid in [uid for uid in self._search(imap) if uid > past][:most]:
            _, data = imap.uid("FETCH", str(uid), f"(BODY.PEEK[]<0.{_LONGEST_MAIL_BYTES}>)")
            # Something that went meanwhile has no answer.
            content = next((each[1] for each in data if isinstance(each, tuple)), None)
            if content is not None:
                found.append(ReturnedMail(f"{validity}/{uid}", content[:_LONGEST_MAIL_BYTES]))
            if time.monotonic() > deadline:
                break
        return found

    def _settle(self, imap: imaplib.IMAP4, ours: Sequence[ReturnedMail], others: Sequence[ReturnedMail]) -> None:
        validity = self._select(imap, is_reading=False)
        if uids := _uids(others, validity):
            _require(imap.uid("STORE", uids, "+FLAGS.SILENT", r"(\Seen)"))
        if uids := _uids(ours, validity):
            _require(imap.uid("STORE", uids, "+FLAGS.SILENT", r"(\Seen \Deleted)"))
            # Only these, where the server can (RFC 4315); else all that anyone marked as deleted.
            has_uidplus = b"UIDPLUS" in b" ".join(imap.capability()[1]).upper().split()
            _require(imap.uid("EXPUNGE", uids) if has_uidplus else imap.expunge())

    def _select(self, imap: imaplib.IMAP4, *, is_reading: bool) -> str:
        name = self._folder.replace("\\", "\\\\").replace('"', '\\"')
        answer, _ = imap.select(f'"{name}"', readonly=is_reading)
        if answer != "OK":
            raise BounceMailboxError(f"{_SETTING}: there is no such folder")
        _, validity = imap.response("UIDVALIDITY")
        return validity[0].decode() if validity and isinstance(validity[0], bytes) else "0"

    def _search(self, imap: imaplib.IMAP4) -> list[int]:
        answer, data = imap.uid("SEARCH", "UNSEEN UNDELETED")
        _require((answer, data))
        return sorted(int(uid) for uid in _UID.findall(b" ".join(each for each in data if isinstance(each, bytes))))

    def _conversation(self, talk: Callable[[imaplib.IMAP4], _Answer]) -> _Answer:
        """With the library's errors as ours: they may quote what is in the mailbox, so none goes along as a cause."""
        try:
            with self._open() as imap:
                return talk(imap)
        except BounceMailboxError:
            raise
        except ssl.SSLCertVerificationError as error:
            raise BounceMailboxError(f"{_SETTING}: no trustworthy TLS with {self._host}: {error.verify_message}") from None
        except ssl.SSLError as error:
            reason = error.reason or "handshake failed"
            raise BounceMailboxError(f"{_SETTING}: no trustworthy TLS with {self._host}: {reason}") from None
        except TimeoutError:
            raise BounceMailboxError(f"{_SETTING}: the mailbox did not answer in time") from None
        except socket.gaierror:
            raise BounceMailboxError(f"{_SETTING}: no such host as {self._host}") from None
        except ConnectionRefusedError:
            raise BounceMailboxError(f"{_SETTING}: cannot connect to {self._host}:{self._port}") from None
        except (imaplib.IMAP4.error, OSError, EOFError, ValueError):
            raise BounceMailboxError(f"{_SETTING}: the conversation with the mailbox failed") from None

    @contextlib.contextmanager
    def _open(self) -> Iterator[imaplib.IMAP4]:
        imap = self._connect()
        try:
            self._log_in(imap)
            yield imap
            imap.logout()
        finally:
            # Also after an error, and without a word more to a server that hangs.
            _hang_up(imap)

    def _connect(self) -> imaplib.IMAP4:
        context = self._ssl_context or ssl.create_default_context()
        if self._scheme == "imaps":
            return imaplib.IMAP4_SSL(self._host, self._port, ssl_context=context, timeout=self._timeout_seconds)
        imap = imaplib.IMAP4(self._host, self._port, timeout=self._timeout_seconds)
        if self._scheme == "imap+starttls":
            try:
                imap.starttls(context)
            except imaplib.IMAP4.error:
                _hang_up(imap)
                raise BounceMailboxError(f"{_SETTING}: the mailbox offers no STARTTLS, so nothing was read") from None
            except BaseException:
                _hang_up(imap)
                raise
        return imap

    def _log_in(self, imap: imaplib.IMAP4) -> None:
        if self._entra is not None:
            self._show_token(imap, self._entra)
            return
        try:
            if "AUTH=PLAIN" in imap.capabilities:
                # The only way for names and passwords outside ASCII (RFC 4616).
                imap.authenticate("PLAIN", lambda _: f"\0{self._username}\0{self._password}".encode())
            else:
                imap.login(self._username, self._password)
        except imaplib.IMAP4.abort:
            raise
        except (imaplib.IMAP4.error, UnicodeError):
            raise BounceMailboxError(f"{_SETTING}: the mailbox refused the user name or password") from None

    def _show_token(self, imap: imaplib.IMAP4, entra: GraphCalls) -> None:
        """XOAUTH2.

        https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth
        """
        try:
            token = entra.token()
        except AddressBookError as error:
            raise BounceMailboxError(f"{_SETTING}: {error.reason}") from None
        try:
            # Asked for more, which is how a refusal begins, there is nothing to say.
            answers = iter([f"user={self._username}\1auth=Bearer {token}\1\1".encode()])
            imap.authenticate("XOAUTH2", lambda _: next(answers, b""))
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error:
            raise BounceMailboxError(
                f"{_SETTING}: the mailbox refused the token: give the app IMAP.AccessAsApp and this mailbox"
            ) from None


def _entra(secret: str, options: dict[str, str]) -> GraphCalls | None:
    """Who gives tokens for the mailbox; nothing where it takes a password."""
    tenant, client_id = options.get("tenant"), options.get("client_id")
    if tenant is None and client_id is None:
        return None
    if not (tenant and client_id and secret):
        raise ValueError(f"{_SETTING} needs tenant, client_id and the secret as its password")
    # Takes a moment to import, which only mailboxes with tokens pay.
    from zegelpost.adapters.address_book_graph_calls import LOGIN, GraphCalls  # noqa: PLC0415

    who, resource = f"{quote(client_id, safe='')}:{quote(secret, safe='')}", options.get("resource", _OUTLOOK)
    url = f"graph://{who}@{quote(tenant, safe='')}?api={resource}&login={options.get('login', LOGIN)}"
    return GraphCalls(url, _TOKEN_SECONDS, setting=_SETTING)


def _hang_up(imap: imaplib.IMAP4) -> None:
    # A line that was closed already objects.
    with contextlib.suppress(OSError):
        imap.shutdown()


def _uids(mails: Sequence[ReturnedMail], validity: str) -> str:
    positions = (_POSITION.match(mail.position) for mail in mails)
    return ",".join(found[2] for found in positions if found and found[1] == validity)


def _require(answer: tuple[str, object]) -> None:
    if answer[0] != "OK":
        raise BounceMailboxError(f"{_SETTING}: the mailbox refused a command")
