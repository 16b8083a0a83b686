"""Relay, scanner, PDF programs and our own address: what Zegelpost reaches, and how it is reached."""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from zegelpost.adapters.mail_smtp import SmtpMailGateway
from zegelpost.adapters.pdf_pdfkit import PdfkitPrinter
from zegelpost.adapters.pdf_weasyprint import WeasyPrintPrinter
from zegelpost.adapters.scanner_clamd import ClamdScanner
from zegelpost.connecting import identity_provider
from zegelpost.doctor.findings import Examination, Finding, fine, note, wrong
from zegelpost.model.identity import ARRIVAL
from zegelpost.ports import IdentityError, MailError, OutageError, PdfPrinter, PrintableDocument, ScannerError
from zegelpost.settings import is_loopback

_SECONDS: Final = 10
_RENEW_WITHIN: Final = timedelta(days=14)
_OLD_SIGNATURES: Final = timedelta(days=3)
_STALE_SIGNATURES: Final = timedelta(days=10)
_LARGEST_ANSWER_BYTES: Final = 1_000_000


async def relay(examination: Examination) -> AsyncIterator[Finding]:
    """Connect, TLS, certificate, log in, and name the sender."""
    settings = examination.settings
    if settings.smtp_url is None:
        yield note("no relay: mail is shown on the demonstration's outbox page")
        return
    gateway = SmtpMailGateway(settings.smtp_url, timeout_seconds=_SECONDS, ssl_context=examination.trust)
    # What a mail really comes from; a relay that knows only the bare address refuses it.
    local, _, domain = (settings.bounce_address or "").partition("@")
    try:
        facts = await gateway.probe(sender=f"{local}+{'a' * 42}@{domain}" if local else settings.mail_from)
    except MailError as error:
        yield wrong(error.reason, _mail_remedy(error.reason))
        return
    yield fine(
        f"{facts.address}, {facts.tls_version or 'no TLS, on this machine'}, "
        f"{'logged in' if facts.is_logged_in else 'no login'}, takes mail from {settings.bounce_address or settings.mail_from}"
    )
    if facts.certificate_until is not None:
        yield certificate(facts.address, facts.certificate_until, examination.clock())


def _mail_remedy(reason: str) -> str:
    if "TLS" in reason:
        return "correct the host name, or trust the relay's authority with SSL_CERT_FILE; without TLS nothing is sent"
    if "sender" in reason:
        return (
            "allow this server to send as ZEGELPOST_MAIL_FROM or, where that is set, as ZEGELPOST_BOUNCE_ADDRESS with +anything"
        )
    return "correct ZEGELPOST_SMTP_URL, or ask whoever runs the relay"


async def scanner(examination: Examination) -> AsyncIterator[Finding]:
    """Which clamd, how old its signatures, and whether it admits what it did not look at."""
    url = examination.settings.clamd_url
    if url is None:
        yield note("off: documents are not scanned, and the screen says so", "set ZEGELPOST_CLAMD_URL")
        return
    try:
        facts = await ClamdScanner(url, timeout_seconds=_SECONDS).probe()
    except (ScannerError, ValueError) as error:
        yield wrong(str(error), "start clamd, or correct ZEGELPOST_CLAMD_URL or clamd.conf; until then no document completes")
        return
    said = f"clamd {facts.version}"
    if facts.signatures_of is None:
        yield note(f"{said}, no official signatures", "run freshclam")
        return
    age = examination.clock() - facts.signatures_of
    said = f"{said}, signatures of {facts.signatures_of:%Y-%m-%d}"
    if age > _STALE_SIGNATURES:
        yield wrong(said, "run freshclam, and see why it does not run by itself")
    else:
        yield note(said, "see whether freshclam runs") if age > _OLD_SIGNATURES else fine(said)


async def pdf(examination: Examination) -> AsyncIterator[Finding]:  # noqa: ARG001 - a check's signature
    """Print a page with each program."""
    program = PdfkitPrinter.program()
    if not WeasyPrintPrinter.is_installed():
        yield note("no PDF for archives and screen readers", "install libpangoft2-1.0-0 and libharfbuzz-subset0")
    else:
        yield await _printed("WeasyPrint", WeasyPrintPrinter())
    if program is not None:
        yield await _printed("wkhtmltopdf", PdfkitPrinter(program))


async def _printed(name: str, printer: PdfPrinter) -> Finding:
    page = PrintableDocument(
        html="<!doctype html><html lang='en'><title>Test</title><body><h1>Test</h1></body></html>",
        title="Test",
        language="en",
        header_start="Test",
        header_end="",
        footer_start="",
        page_words="{page}/{pages}",
        attachment_name="test.json",
        attachment="{}",
    )
    try:
        await printer.print(page)
    except OutageError as error:
        return wrong(f"{name}: {error.reason}", "reinstall it; until then reports are only pages and JSON")
    return fine(f"{name} makes reports")


async def address(examination: Examination) -> AsyncIterator[Finding]:
    """Our own address, as people reach it."""
    settings = examination.settings
    if not settings.has_tls:
        yield note("http:// on this machine only", "set ZEGELPOST_BASE_URL to https://… before others use it")
    try:
        answer = await asyncio.to_thread(_get, f"{settings.base_url}/healthz", examination.trust)
    except ssl.SSLCertVerificationError as error:
        yield wrong(f"{settings.base_url}: {error.verify_message}", "give the proxy a certificate for this name, with its chain")
        return
    except (OSError, http.client.HTTPException) as error:
        yield wrong(
            f"{settings.base_url} does not answer ({type(error).__name__})",
            "start `zegelpost serve` and the proxy, or let this machine reach its own public address",
        )
        return
    if answer.status != http.client.OK or b'"ok"' not in answer.body:
        yield wrong(
            f"{settings.base_url}/healthz answers {answer.status}, not as we do",
            "let the proxy pass on to Zegelpost, with Host as it was asked",
        )
        return
    yield fine(f"{settings.base_url} answers")
    if answer.certificate_until is not None:
        yield certificate(settings.host, answer.certificate_until, examination.clock())
    if settings.has_tls and "Strict-Transport-Security" not in answer.headers:
        yield wrong("the proxy takes away Strict-Transport-Security", "let it pass on our headers")


async def proxies(examination: Examination) -> AsyncIterator[Finding]:
    """Whom we believe about where requests come from."""
    settings = examination.settings
    networks = [ipaddress.ip_network(each) for each in settings.trusted_proxies]
    everyone = [str(each) for each in networks if each.prefixlen == 0]
    if everyone:
        yield wrong(f"{everyone[0]} believes everyone", "name the proxy's own address")
    elif not networks and settings.has_tls:
        yield note("no proxy is believed: limits per network count everyone as one", "set ZEGELPOST_TRUSTED_PROXIES")
    else:
        public = [str(each) for each in networks if not each.is_private]
        yield (
            note(f"{', '.join(public)} is on the internet", "be sure that it is yours")
            if public
            else fine(", ".join(settings.trusted_proxies) or "none, and none needed")
        )


async def clock(examination: Examination) -> AsyncIterator[Finding]:
    """Ours next to every other that a check came across: codes, expiry and second factors go by it."""
    if not examination.clocks:
        yield note("there was no other clock to compare with")
    for whose, theirs, ours in examination.clocks:
        off = abs((ours - theirs).total_seconds())
        said = f"{off:.0f} s from {whose}"
        if off > 20:  # noqa: PLR2004 - an authenticator app's code lives 30 seconds
            yield wrong(f"{said}: second factors fail, and expiry goes by this clock", "synchronise it (NTP)")
        else:
            yield note(said, "synchronise it (NTP)") if off > 5 else fine(said)  # noqa: PLR2004 - seconds


async def sign_in(examination: Examination) -> AsyncIterator[Finding]:
    """Whether the sign-in provider describes itself as who it should be, and gives keys that we can verify with."""
    settings, given = examination.settings, examination.settings.sign_in_provider
    provider = identity_provider(settings, timeout_seconds=_SECONDS, trust=examination.trust)
    if given is None or provider is None:
        yield fine("passwords; no sign-in provider is set")
        return
    try:
        described = await asyncio.to_thread(provider.describe)
        key_count = await asyncio.to_thread(provider.key_count, described)
    except IdentityError as error:
        yield wrong(f"{given.authority}: {error.reason}", _sign_in_remedy(error.reason))
        return
    if key_count == 0:
        yield wrong(f"{given.authority} has no key for RS256", "have it sign ID tokens with RS256")
        return
    tenants = " and ".join([given.entra_tenant or "", *given.other_tenants])
    whose = f"Entra ID, tenant {tenants}" if given.entra_tenant else given.authority
    yield fine(f"{whose} answers, {key_count} keys; it sends people back to {settings.base_url}{ARRIVAL}")
    if described.sign_out_url is None:
        yield note("nobody can sign out there from here", "see whether it has an end_session_endpoint")
    if given.entra_tenant and not examination.settings.directory_issuer:
        yield note(
            "who is switched off in the directory stays signed in for up to twelve hours",
            f"set ZEGELPOST_ADDRESS_BOOK_URL to graph://CLIENT_ID:SECRET@{given.entra_tenant}",
        )
    if given.other_tenants:
        yield note(
            "who is switched off in another tenant stays signed in for up to twelve hours",
            "have that organisation tell you who leaves",
        )
    for both in sorted(set(given.administrators) & set(given.auditors)):
        yield note(f"{both} administers and audits what it does itself", "set ZEGELPOST_OIDC_AUDITORS to another group or role")
    if not given.administrators:
        yield note(
            "it names no administrators", "set ZEGELPOST_OIDC_ADMINISTRATORS to a group or app role, or name them yourself"
        )


def _sign_in_remedy(reason: str) -> str:
    if "certificate" in reason:
        return "correct ZEGELPOST_OIDC_AUTHORITY, or trust its authority with SSL_CERT_FILE"
    if "keys" in reason:
        return "let this machine reach the provider's jwks_uri"
    if "itself otherwise" in reason:
        return "set ZEGELPOST_OIDC_AUTHORITY to the issuer in its .well-known/openid-configuration, to the letter"
    return "correct ZEGELPOST_OIDC_AUTHORITY, or let this machine reach it"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    certificate_until: datetime | None


def _get(url: str, trust: ssl.SSLContext | None) -> _Answer:
    parts = urlsplit(url)
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.netloc, timeout=_SECONDS, context=trust or ssl.create_default_context()
        )
    elif parts.scheme == "http" and is_loopback(parts.hostname or ""):
        connection = http.client.HTTPConnection(parts.netloc, timeout=_SECONDS)
    else:
        raise ConnectionError("not https")
    try:
        connection.request("GET", parts.path, headers={"User-Agent": "zegelpost doctor"})
        # Before the answer, because after the last byte of one the library lets go of the socket.
        certificate = connection.sock.getpeercert() if isinstance(connection.sock, ssl.SSLSocket) else None
        answer = connection.getresponse()
        until = str(certificate["notAfter"]) if certificate else None
        return _Answer(
            answer.status,
            answer.headers,
            answer.read(_LARGEST_ANSWER_BYTES),
            datetime.fromtimestamp(ssl.cert_time_to_seconds(until), UTC) if until else None,
        )
    finally:
        connection.close()


def certificate(whose: str, until: datetime, now: datetime) -> Finding:
    """How long a certificate still counts."""
    said = f"{whose}: certificate until {until:%Y-%m-%d}"
    return note(said, "renew it") if until - now < _RENEW_WITHIN else fine(said)
