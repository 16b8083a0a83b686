"""Connecting: which adapters stand behind the ports here, by the settings.

Client libraries of services that this installation does not use are not even imported: some take a second.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from zegelpost.adapters.address_book_csv import CsvAddressBook
from zegelpost.adapters.blobs_directory import DirectoryBlobs
from zegelpost.adapters.outbox_demo import DemoOutbox
from zegelpost.adapters.pdf_pdfkit import PdfkitPrinter
from zegelpost.adapters.pdf_weasyprint import WeasyPrintPrinter
from zegelpost.adapters.seal_pyhanko import PyHankoSeal
from zegelpost.adapters.sms_in_order import NamedGateway, SmsGatewaysInOrder, SmsReportsOfAll
from zegelpost.model.address_book import MOST_IN_FILE
from zegelpost.model.contact import TypedContact
from zegelpost.model.identity import ARRIVAL
from zegelpost.ports import (
    AddressBook,
    Blobs,
    BounceMailbox,
    PdfPrinter,
    Scanner,
    Seal,
    SenderMailboxes,
    SmsReports,
    Telephone,
)
from zegelpost.services.dispatching import Gateways
from zegelpost.services.reading_contact_files import read_contact_file
from zegelpost.services.syncing import AddressBooks
from zegelpost.settings import Settings

if TYPE_CHECKING:
    from zegelpost.adapters.identity_oidc import OidcProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class Printers:
    """What makes a PDF here; nothing where the programs for it are missing. Only WeasyPrint makes the one for archives."""

    quick: PdfPrinter | None
    archival: PdfPrinter | None


def blobs(settings: Settings) -> Blobs:
    if settings.blobs_url.startswith("file:"):
        return DirectoryBlobs(Path(unquote(urlsplit(settings.blobs_url).path)))
    from zegelpost.adapters.blobs_object_store import ObjectStoreBlobs  # noqa: PLC0415

    return ObjectStoreBlobs(settings.blobs_url)


def scanner(settings: Settings) -> Scanner:
    if settings.clamd_url is None:
        from zegelpost.adapters.scanner_off import NoScanner  # noqa: PLC0415

        return NoScanner()
    from zegelpost.adapters.scanner_clamd import ClamdScanner  # noqa: PLC0415

    return ClamdScanner(settings.clamd_url)


def address_books(settings: Settings) -> AddressBooks:
    """What feeds address books here, by the settings."""
    csv = settings.address_book_csv
    return AddressBooks(
        exchange=_exchange(settings.address_book_url),
        file=CsvAddressBook(csv, _rows_of_file) if csv else None,
        every=settings.address_book_every,
        directory_issuer=settings.directory_issuer,
    )


def _exchange(url: str | None) -> AddressBook | None:
    if url is None:
        return None
    if url.startswith("graph:"):
        from zegelpost.adapters.address_book_graph import GraphAddressBook  # noqa: PLC0415

        return GraphAddressBook(url)
    from zegelpost.adapters.address_book_ews import EwsAddressBook  # noqa: PLC0415

    return EwsAddressBook(url)


def _rows_of_file(content: bytes) -> list[TypedContact]:
    return [row.typed for row in read_contact_file(content, most=MOST_IN_FILE) if row.typed is not None]


def identity_provider(
    settings: Settings, *, timeout_seconds: float = 10, trust: ssl.SSLContext | None = None
) -> OidcProvider | None:
    """`trust` replaces the system's authorities."""
    given = settings.sign_in_provider
    if given is None:
        return None
    from zegelpost.adapters.identity_oidc import OidcProvider  # noqa: PLC0415

    return OidcProvider(
        authority=given.authority,
        client_id=given.client_id,
        client_secret=given.client_secret,
        tenant=given.entra_tenant,
        other_tenants=given.other_tenants,
        entrance=given.entrance,
        redirect_url=f"{settings.base_url}{ARRIVAL}",
        left_url=f"{settings.base_url}/sign-in",
        timeout_seconds=timeout_seconds,
        trust=trust,
    )


def printers() -> Printers:
    archival = WeasyPrintPrinter() if WeasyPrintPrinter.is_installed() else None
    program = PdfkitPrinter.program()
    return Printers(quick=PdfkitPrinter(program) if program else archival, archival=archival)


def seal(settings: Settings) -> Seal:
    """What reports are sealed with: the organisation's own, or one that is made beside the key ring's keys."""
    if settings.report_seal is not None:
        return PyHankoSeal(settings.report_seal)
    return PyHankoSeal(settings.keys_dir / "seal.pem", makes=settings.organisation)


def gateways(settings: Settings, outbox: DemoOutbox | None) -> Gateways:
    if outbox is not None:
        return Gateways(outbox.mail, outbox.sms, telephone=outbox.telephone)
    from zegelpost.adapters.mail_smtp import SmtpMailGateway  # noqa: PLC0415

    assert settings.smtp_url is not None
    assert settings.sms_url is not None
    carriers = [_carrier(url, settings) for url in settings.sms_url.split()]
    named = [carrier.gateway for carrier in carriers]
    readers = [carrier.reports for carrier in carriers if carrier.reports is not None]
    return Gateways(
        SmtpMailGateway(settings.smtp_url),
        named[0].gateway if len(named) == 1 else SmsGatewaysInOrder(named),
        _mailboxes(settings),
        SmsReportsOfAll(readers) if readers else None,
        next((carrier.telephone for carrier in carriers if carrier.telephone is not None), None),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Carrier:
    """One address in `ZEGELPOST_SMS_URL`, and all that it can do."""

    gateway: NamedGateway
    reports: SmsReports | None
    telephone: Telephone | None = None


def _carrier(url: str, settings: Settings) -> _Carrier:
    if url.startswith("twilio:"):
        from zegelpost.adapters.sms_twilio import TwilioSmsGateway  # noqa: PLC0415
        from zegelpost.adapters.telephone_twilio import TwilioTelephone  # noqa: PLC0415
        from zegelpost.adapters.twilio_account import TwilioAccount  # noqa: PLC0415
        from zegelpost.adapters.twilio_reports import TwilioSignatures, TwilioSmsReports  # noqa: PLC0415

        account = TwilioAccount(url, api_url=settings.twilio_api_url)
        signatures = TwilioSignatures(settings.twilio_auth_token) if settings.twilio_auth_token else None
        return _Carrier(
            gateway=NamedGateway("twilio", TwilioSmsGateway(account, has_reports=signatures is not None)),
            reports=TwilioSmsReports(signatures) if signatures else None,
            telephone=TwilioTelephone(account, signatures) if signatures and settings.has_spoken_codes else None,
        )
    from zegelpost.adapters.messagebird_account import MessageBirdAccount  # noqa: PLC0415
    from zegelpost.adapters.messagebird_reports import MessageBirdReports  # noqa: PLC0415
    from zegelpost.adapters.sms_messagebird import MessageBirdSmsGateway  # noqa: PLC0415

    bird = MessageBirdAccount(url)
    return _Carrier(
        gateway=NamedGateway("messagebird", MessageBirdSmsGateway(bird)),
        reports=MessageBirdReports(bird.signing_key) if bird.signing_key else None,
    )


def _mailboxes(settings: Settings) -> SenderMailboxes | None:
    if settings.mailboxes_url is None:
        return None
    from zegelpost.adapters.mailboxes_graph import GraphMailboxes  # noqa: PLC0415

    return GraphMailboxes(settings.mailboxes_url)


def bounce_mailbox(settings: Settings) -> BounceMailbox | None:
    if settings.bounce_mailbox_url is None:
        return None
    from zegelpost.adapters.bounces_imap import ImapBounceMailbox  # noqa: PLC0415

    return ImapBounceMailbox(settings.bounce_mailbox_url)
