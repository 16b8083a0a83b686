"""Settings from the environment: read once, complete and frozen at start."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from zegelpost.model.address_book import is_exchange_online
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.outgoing import Prices
from zegelpost.model.refusals import EmailAddressInvalid
from zegelpost.model.return_address import LONGEST_LOCAL
from zegelpost.model.whole_number import whole_number
from zegelpost.settings_codes import codes_per_day, countries, has_spoken_codes, prices, sms_url
from zegelpost.settings_reading import PREFIX, SettingsError, is_loopback, is_on, listed, missing, split
from zegelpost.settings_sign_in import SignInProvider, sign_in_provider

__all__ = ["NAMES", "NO_ORGANISATION", "PREFIX", "SECRETS", "SHORTEST_TOKEN", "Settings", "SettingsError", "is_loopback"]

# Each may also be given as `<name>_FILE`, the path of a file that holds it.
SECRETS: Final = (
    "DATABASE_URL",
    "SMTP_URL",
    "SMS_URL",
    "TWILIO_AUTH_TOKEN",
    "OIDC_CLIENT_SECRET",
    "BLOBS_URL",
    "METRICS_TOKEN",
    "ADDRESS_BOOK_URL",
    "BOUNCE_MAILBOX_URL",
    "BOUNCE_TOKEN",
    "MAILBOXES_URL",
)
NAMES: Final = (
    *SECRETS, "BASE_URL", "DATA_DIR", "KEYS_DIR", "MAIL_FROM", "TWILIO_API_URL", "CLAMD_URL", "STAFF_DOMAINS",
    "OIDC_AUTHORITY", "OIDC_CLIENT_ID", "OIDC_ADMINISTRATORS", "OIDC_AUDITORS", "OIDC_TENANTS", "TRUSTED_PROXIES",
    "DEMO", "ORGANISATION", "HELP_PHONE", "SECURITY_CONTACT", "OUTLOOK_HOSTS", "DKIM_SELECTORS", "INTAKE",
    "ADDRESS_BOOK_CSV", "ADDRESS_BOOK_MINUTES", "SMS_COUNTRIES", "SMS_PER_DAY", "REMEMBERED_DEVICES", "BOUNCE_ADDRESS",
    "SMS_PRICE", "CALL_PRICE", "AUDIT_MAIL", "SPOKEN_CODES", "REPORT_SEAL",
)  # fmt: skip

# Of secrets that open something by themselves.
SHORTEST_TOKEN: Final = 20
# What stands for the organisation where nobody named one.
NO_ORGANISATION: Final = "Zegelpost"

# It goes into a header that says who may frame us: nothing that could end it there.
_ORIGIN: Final = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?")
_SELECTOR: Final = re.compile(r"[a-z0-9._-]{1,63}(@[a-z0-9.-]{1,253})?")
# Directory cursors of Graph live seven days.
_FEWEST_MINUTES, _MOST_MINUTES = 5, 24 * 60
_REQUIRED: Final = {
    "SMTP_URL": "where to hand mail to",
    "SMS_URL": "where to hand codes to",
    "STAFF_DOMAINS": "the organisation's own mail domains",
    "MAIL_FROM": "the sender address of notices",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this installation is set up. Values that hold credentials are left out of the representation."""

    base_url: str
    data_dir: Path
    database_url: str = field(repr=False)
    blobs_url: str = field(repr=False)
    keys_dir: Path
    mail_from: str
    smtp_url: str | None = field(repr=False, default=None)
    sms_url: str | None = field(repr=False, default=None)
    twilio_api_url: str | None = None
    twilio_auth_token: str | None = field(repr=False, default=None)
    sms_countries: tuple[str, ...] | None = None  # nothing: the policy's own
    sms_per_day: int | None = None
    prices: Prices = field(default_factory=Prices)
    clamd_url: str | None = None
    staff_domains: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    outlook_hosts: tuple[str, ...] = ()
    has_intake: bool = True
    remembers_devices: bool = True
    has_spoken_codes: bool = False
    dkim_selectors: tuple[str, ...] = ()
    bounce_address: str | None = None
    bounce_mailbox_url: str | None = field(repr=False, default=None)
    bounce_token: str | None = field(repr=False, default=None)
    mailboxes_url: str | None = field(repr=False, default=None)
    sign_in_provider: SignInProvider | None = None
    metrics_token: str | None = field(repr=False, default=None)
    address_book_url: str | None = field(repr=False, default=None)
    address_book_csv: Path | None = None
    address_book_every: timedelta = timedelta(hours=1)
    organisation: str = NO_ORGANISATION
    help_phone: str | None = None
    security_contact: str | None = None
    audit_mail: tuple[EmailAddress, ...] = ()
    report_seal: Path | None = None  # nothing: one that we make
    is_demo: bool = False

    @property
    def has_tls(self) -> bool:
        return self.base_url.startswith("https://")

    @property
    def host(self) -> str:
        """Host and, if any, port of the base URL: the only host we answer to."""
        return urlsplit(self.base_url).netloc

    @property
    def directory_issuer(self) -> str | None:
        """The sign-in provider whose people Graph's list names: of one tenant, which both settings name by its identifier."""
        provider, book = self.sign_in_provider, urlsplit(self.address_book_url or "")
        is_same = provider is not None and provider.entra_tenant is not None and book.hostname == provider.entra_tenant
        return provider.authority if provider is not None and is_same and book.scheme == "graph" else None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read every `ZEGELPOST_…` name; raise `SettingsError` for the first that is missing, unsafe or unknown."""
        values = _read(environment)
        is_demo = _is_demo(values.get("DEMO"))
        base_url = _base_url(values.get("BASE_URL"), is_demo=is_demo)
        data_dir = Path(values.get("DATA_DIR") or missing("DATA_DIR", "the folder for database, blobs and keys")).absolute()
        if not is_demo:
            for name, meaning in _REQUIRED.items():
                if not values.get(name):
                    missing(name, meaning)
        return cls(
            base_url=base_url,
            data_dir=data_dir,
            database_url=_database_url(values.get("DATABASE_URL"), data_dir),
            blobs_url=_blobs_url(values.get("BLOBS_URL"), data_dir),
            keys_dir=Path(values.get("KEYS_DIR") or data_dir / "keys").absolute(),
            mail_from=_mail_from(values.get("MAIL_FROM")),
            smtp_url=_smtp_url(values.get("SMTP_URL")),
            sms_url=sms_url(values.get("SMS_URL"), is_demo=is_demo),
            twilio_api_url=values.get("TWILIO_API_URL") or None,
            twilio_auth_token=values.get("TWILIO_AUTH_TOKEN") or None,
            sms_countries=countries(values.get("SMS_COUNTRIES")),
            sms_per_day=codes_per_day(values.get("SMS_PER_DAY")),
            prices=prices(values, is_demo=is_demo),
            clamd_url=values.get("CLAMD_URL") or None,
            staff_domains=_domains(values.get("STAFF_DOMAINS"), is_demo=is_demo),
            trusted_proxies=_proxies(values.get("TRUSTED_PROXIES")),
            outlook_hosts=_outlook_hosts(values.get("OUTLOOK_HOSTS")),
            has_intake=is_on(values, "INTAKE"),
            remembers_devices=is_on(values, "REMEMBERED_DEVICES"),
            has_spoken_codes=has_spoken_codes(values, is_demo=is_demo),
            dkim_selectors=_selectors(values.get("DKIM_SELECTORS")),
            bounce_address=_bounce_address(values.get("BOUNCE_ADDRESS")),
            bounce_mailbox_url=_bounce_mailbox_url(values.get("BOUNCE_MAILBOX_URL")),
            bounce_token=_bounce_token(values.get("BOUNCE_TOKEN")),
            mailboxes_url=_mailboxes_url(values.get("MAILBOXES_URL")),
            sign_in_provider=sign_in_provider(values),
            metrics_token=values.get("METRICS_TOKEN") or None,
            address_book_url=_address_book_url(values.get("ADDRESS_BOOK_URL")),
            address_book_csv=_path("ADDRESS_BOOK_CSV", values.get("ADDRESS_BOOK_CSV")),
            address_book_every=_address_book_every(values.get("ADDRESS_BOOK_MINUTES")),
            organisation=values.get("ORGANISATION") or ("Gemeente Voorbeeld" if is_demo else NO_ORGANISATION),
            help_phone=values.get("HELP_PHONE") or ("014 000" if is_demo else None),
            security_contact=_security_contact(values.get("SECURITY_CONTACT"))
            or ("mailto:security@zegelpost.example" if is_demo else None),
            audit_mail=_audit_mail(values.get("AUDIT_MAIL")),
            report_seal=_path("REPORT_SEAL", values.get("REPORT_SEAL")),
            is_demo=is_demo,
        )


def _read(environment: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for variable, value in environment.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX)
        if name.removesuffix("_FILE") in SECRETS and name.endswith("_FILE"):
            plain = name.removesuffix("_FILE")
            if PREFIX + plain in environment:
                raise SettingsError(f"{PREFIX}{plain} and {variable} are both set: keep one of them")
            try:
                values[plain] = Path(value).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise SettingsError(f"{variable}: cannot read {value} ({error.strerror})") from None
        elif name in NAMES:
            values[name] = value.strip()
        else:
            # A misspelt name would otherwise be a protection silently left off.
            raise SettingsError(f"{variable} is not a setting of Zegelpost: correct or remove it")
    return values


def _is_demo(text: str | None) -> bool:
    answers = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}
    try:
        return answers[(text or "").lower()]
    except KeyError:
        raise SettingsError(f"{PREFIX}DEMO must be 1 or 0") from None


def _base_url(text: str | None, *, is_demo: bool) -> str:
    url = (text or missing("BASE_URL", "the address people use, such as https://post.example.nl")).rstrip("/")
    parts = split("BASE_URL", url)
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or "@" in parts.netloc
        or parts.path
        or parts.query
        or parts.fragment
    ):
        raise SettingsError(f"{PREFIX}BASE_URL must be https://host without a path, not {url}")
    if is_demo and not is_loopback(parts.hostname):
        raise SettingsError(f"{PREFIX}DEMO shows every mail and code to anyone: it only runs on a loopback {PREFIX}BASE_URL")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise SettingsError(f"{PREFIX}BASE_URL must be https://: links and codes may not travel in the clear")
    return url


def _database_url(text: str | None, data_dir: Path) -> str:
    if not text:
        return f"sqlite+aiosqlite:///{data_dir / 'database.sqlite3'}"
    scheme, separator, rest = text.partition("://")
    drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg",
               "sqlite+aiosqlite": "sqlite+aiosqlite", "postgresql+psycopg": "postgresql+psycopg"}  # fmt: skip
    if not separator or scheme not in drivers:
        raise SettingsError(f"{PREFIX}DATABASE_URL must start with sqlite:/// or postgresql://")
    return f"{drivers[scheme]}://{rest}"


def _blobs_url(text: str | None, data_dir: Path) -> str:
    url = text or (data_dir / "blobs").as_uri()
    if split("BLOBS_URL", url).scheme not in {"file", "s3", "az"}:
        raise SettingsError(f"{PREFIX}BLOBS_URL must start with file:///, s3:// or az://")
    return url.rstrip("/")


def _smtp_url(text: str | None) -> str | None:
    if not text:
        return None
    parts = split("SMTP_URL", text)
    if parts.scheme not in {"smtp", "smtp+starttls", "smtps"} or not parts.hostname:
        raise SettingsError(f"{PREFIX}SMTP_URL must be smtp://host:port, smtp+starttls://… or smtps://…")
    if parts.scheme == "smtp" and not is_loopback(parts.hostname):
        raise SettingsError(f"{PREFIX}SMTP_URL without TLS is only for a relay on this machine: use smtp+starttls:// or smtps://")
    return text


def _address_book_url(text: str | None) -> str | None:
    """Exchange Online as `graph://…`, Exchange on-premises as `ews://…`. Nothing of it is repeated: it holds a secret."""
    if not text:
        return None
    parts = split("ADDRESS_BOOK_URL", text)
    options = parse_qs(parts.query)
    if parts.scheme == "graph":
        _require_graph("ADDRESS_BOOK_URL", parts)
        return text
    if parts.scheme not in {"ews", "ews+http"} or not (parts.username and parts.password and parts.hostname):
        raise SettingsError(f"{PREFIX}ADDRESS_BOOK_URL must be graph://CLIENT_ID:SECRET@TENANT_ID or ews://user:password@host")
    if is_exchange_online(parts.hostname):
        raise SettingsError(
            f"{PREFIX}ADDRESS_BOOK_URL: {parts.hostname} is Exchange Online, where EWS ends for good on 2027-04-01:"
            " use graph://CLIENT_ID:SECRET@TENANT_ID"
        )
    if parts.scheme == "ews+http" and not is_loopback(parts.hostname):
        raise SettingsError(f"{PREFIX}ADDRESS_BOOK_URL without TLS is only for a server on this machine: use ews://")
    if set(options) - {"auth"} or options.get("auth", ["ntlm"])[0] not in {"ntlm", "basic"}:
        raise SettingsError(f"{PREFIX}ADDRESS_BOOK_URL: auth must be ntlm or basic")
    return text


def _mailboxes_url(text: str | None) -> str | None:
    """Exchange Online only: on-premises, the relay and the mailboxes are one server."""
    if not text:
        return None
    parts = split("MAILBOXES_URL", text)
    if parts.scheme != "graph":
        raise SettingsError(f"{PREFIX}MAILBOXES_URL must be graph://CLIENT_ID:SECRET@TENANT_ID")
    _require_graph("MAILBOXES_URL", parts)
    return text


def _require_graph(name: str, parts: SplitResult) -> None:
    """One app registration of one tenant; `api` and `login` name the hosts of another cloud."""
    options = parse_qs(parts.query)
    hosts = [urlsplit(value) for option in ("api", "login") for value in options.get(option, [])]
    if (
        not (parts.username and parts.password and parts.hostname)
        or set(options) - {"api", "login"}
        or any(host.scheme != "https" or not host.hostname or host.path.strip("/") for host in hosts)
    ):
        raise SettingsError(f"{PREFIX}{name} must be graph://CLIENT_ID:SECRET@TENANT_ID")


def _path(name: str, text: str | None) -> Path | None:
    if not text:
        return None
    path = Path(text)
    if not path.is_absolute():
        raise SettingsError(f"{PREFIX}{name} must be the whole path of a file, not {text}")
    return path


def _address_book_every(text: str | None) -> timedelta:
    minutes = whole_number(text or "", most_digits=5) or 0
    if text and not _FEWEST_MINUTES <= minutes <= _MOST_MINUTES:
        raise SettingsError(f"{PREFIX}ADDRESS_BOOK_MINUTES must be a number from {_FEWEST_MINUTES} to {_MOST_MINUTES}")
    return timedelta(minutes=minutes or 60)


def _mail_from(text: str | None) -> str:
    address = text or "zegelpost@zegelpost.example"
    try:
        return str(EmailAddress.parse(address))
    except EmailAddressInvalid:
        raise SettingsError(f"{PREFIX}MAIL_FROM must be an address alone, such as post@example.nl, not {address}") from None


def _bounce_address(text: str | None) -> str | None:
    if not text:
        return None
    try:
        address = EmailAddress.parse(text)
    except EmailAddressInvalid:
        raise SettingsError(f"{PREFIX}BOUNCE_ADDRESS must be an address alone, such as bounces@example.nl, not {text}") from None
    if len(address.local) > LONGEST_LOCAL or "+" in address.local:
        raise SettingsError(
            f"{PREFIX}BOUNCE_ADDRESS must have at most {LONGEST_LOCAL} characters before the @, and no + among them"
        )
    return str(address)


def _bounce_mailbox_url(text: str | None) -> str | None:
    if not text:
        return None
    parts = split("BOUNCE_MAILBOX_URL", text)
    name = f"{PREFIX}BOUNCE_MAILBOX_URL"
    if parts.scheme not in {"imap", "imap+starttls", "imaps"} or not (parts.hostname and parts.username and parts.password):
        raise SettingsError(f"{name} must be imaps://user:password@host/FOLDER or imap+starttls://…")
    if parts.scheme == "imap" and not is_loopback(parts.hostname):
        raise SettingsError(f"{name} without TLS is only for a server on this machine: use imaps:// or imap+starttls://")
    if not unquote(parts.path).isascii() or not unquote(parts.path).isprintable():
        raise SettingsError(f"{name}: the folder's name must be ASCII")
    options = parse_qs(parts.query)
    hosts = [value for option in ("login", "resource") for value in options.get(option, [])]
    if set(options) - {"tenant", "client_id", "login", "resource"} or ("tenant" in options) != ("client_id" in options):
        raise SettingsError(f"{name}: with a token it needs ?tenant=…&client_id=…, and the secret as its password")
    if not all(host.startswith("https://") for host in hosts):
        raise SettingsError(f"{name}: login and resource must be https://host")
    if is_exchange_online(parts.hostname) and "tenant" not in options:
        raise SettingsError(
            f"{name}: Exchange Online takes no passwords over IMAP: add ?tenant=…&client_id=… of an app registration"
        )
    return text


def _bounce_token(text: str | None) -> str | None:
    if text and (len(text) < SHORTEST_TOKEN or not text.isascii() or not text.isprintable() or " " in text):
        raise SettingsError(f"{PREFIX}BOUNCE_TOKEN must have at least {SHORTEST_TOKEN} random ASCII characters")
    return text or None


def _security_contact(text: str | None) -> str | None:
    """An address as `Contact` in security.txt takes it (RFC 9116, section 2.5.3)."""
    if not text:
        return None
    wrong = SettingsError(f"{PREFIX}SECURITY_CONTACT must be mailto:name@example.nl or https://…, not {text!r}")
    if text.startswith("mailto:"):
        try:
            return f"mailto:{EmailAddress.parse(text.removeprefix('mailto:'))}"
        except EmailAddressInvalid:
            raise wrong from None
    parts = split("SECURITY_CONTACT", text)
    # White space would begin another line of the file.
    if parts.scheme != "https" or not parts.hostname or any(character.isspace() for character in text):
        raise wrong
    return text


def _audit_mail(text: str | None) -> tuple[EmailAddress, ...]:
    """Who keep the checkpoints of the audit."""
    addresses = []
    for part in listed(text):
        try:
            addresses.append(EmailAddress.parse(part))
        except EmailAddressInvalid:
            raise SettingsError(
                f"{PREFIX}AUDIT_MAIL: {part} is no address; list them with commas, such as ciso@example.nl"
            ) from None
    return tuple(dict.fromkeys(addresses))


def _domains(text: str | None, *, is_demo: bool) -> tuple[str, ...]:
    domains = tuple(part.lower().lstrip("@") for part in listed(text))
    if not domains and not is_demo:
        missing("STAFF_DOMAINS", _REQUIRED["STAFF_DOMAINS"])
    return domains or ("zegelpost.example",)


def _outlook_hosts(text: str | None) -> tuple[str, ...]:
    """Origins of an organisation's own webmail, which may show the add-in."""
    hosts = tuple(host.rstrip("/") for host in listed(text))
    for host in hosts:
        if not _ORIGIN.fullmatch(host):
            raise SettingsError(f"{PREFIX}OUTLOOK_HOSTS: {host} is not an origin such as https://mail.example.nl")
    return hosts


def _selectors(text: str | None) -> tuple[str, ...]:
    """Names under which keys are published: `selector`, or `selector@domain` where another domain signs."""
    selectors = tuple(part.lower() for part in listed(text))
    for selector in selectors:
        if not _SELECTOR.fullmatch(selector):
            raise SettingsError(f"{PREFIX}DKIM_SELECTORS: {selector} is no selector; list them with commas, such as s1, s2")
    return selectors


def _proxies(text: str | None) -> tuple[str, ...]:
    networks = listed(text)
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise SettingsError(f"{PREFIX}TRUSTED_PROXIES: {network} is no address or network; list them with commas") from None
    return networks
