"""Running the checks, and saying what they found. A new outside service adds its check to `CHECKS`, and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from zegelpost.doctor import choices, listing, naming, reaching, returning, storing, texting
from zegelpost.doctor.findings import Check, Examination, Finding, Level, wrong
from zegelpost.settings import PREFIX, SECRETS

_LONGEST_SECONDS: Final = 60
_SHORTEST_SECRET: Final = 4

CHECKS: Final = (
    Check("name", ("ORGANISATION", "HELP_PHONE", "SECURITY_CONTACT"), choices.names),
    Check("staff", ("STAFF_DOMAINS", "OUTLOOK_HOSTS"), choices.colleagues),
    Check("public page", ("INTAKE",), choices.public_page),
    Check("devices", ("REMEMBERED_DEVICES",), choices.remembered_devices),
    Check("audit", ("AUDIT_MAIL",), choices.audit),
    Check("seal", ("REPORT_SEAL",), storing.seal),
    Check("secrets", ("METRICS_TOKEN", "DEMO"), choices.secrets),
    Check("folder", ("DATA_DIR",), storing.folder),
    Check("database", ("DATABASE_URL",), storing.database),
    Check("blobs", ("BLOBS_URL",), storing.blobs),
    Check("keys", ("KEYS_DIR",), storing.keys),
    Check("restore", (), storing.restore),
    Check("address", ("BASE_URL",), reaching.address),
    Check("proxies", ("TRUSTED_PROXIES",), reaching.proxies),
    Check("mail", ("SMTP_URL",), reaching.relay),
    Check("mail domain", ("MAIL_FROM", "DKIM_SELECTORS"), naming.mail_domain),
    Check("bounces", ("BOUNCE_ADDRESS", "BOUNCE_MAILBOX_URL", "BOUNCE_TOKEN"), returning.bounces),
    Check("mailboxes", ("MAILBOXES_URL",), returning.mailboxes),
    Check(
        "sms",
        (
            *("SMS_URL", "TWILIO_API_URL", "TWILIO_AUTH_TOKEN", "SMS_COUNTRIES", "SMS_PER_DAY", "SPOKEN_CODES"),
            *("SMS_PRICE", "CALL_PRICE"),
        ),
        texting.text_messages,
    ),
    Check("scanner", ("CLAMD_URL",), reaching.scanner),
    Check("address book", ("ADDRESS_BOOK_URL", "ADDRESS_BOOK_CSV", "ADDRESS_BOOK_MINUTES"), listing.address_books),
    Check(
        "sign-in",
        ("OIDC_AUTHORITY", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_ADMINISTRATORS", "OIDC_AUDITORS", "OIDC_TENANTS"),
        reaching.sign_in,
    ),
    Check("pdf", (), reaching.pdf),
)
# After the others, because it compares with the clocks that they came across.
LAST: Final = Check("clock", (), reaching.clock)


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    finding: Finding


async def examine(examination: Examination, checks: Sequence[Check] = CHECKS) -> list[Line]:
    """Every check at once; lines in the order of the checks. One that breaks or hangs is a line too."""
    lines = [line for found in await asyncio.gather(*(_run(check, examination) for check in checks)) for line in found]
    return [*lines, *await _run(LAST, examination)]


def is_well(lines: Sequence[Line]) -> bool:
    return all(line.finding.level != Level.WRONG for line in lines)


def as_text(lines: Sequence[Line], examination: Examination | None = None) -> str:
    """One line for each: the word, what it is about, what is there, and after a dash what to change."""
    width = max(len(line.name) for line in lines)
    return "\n".join(f"{line.finding.level.value:5}  {line.name:{width}}  {_words(line.finding, examination)}" for line in lines)


def as_json(lines: Sequence[Line], examination: Examination | None = None) -> str:
    """The same for programs."""
    mask = _Mask(examination)
    return json.dumps(
        [
            {
                "level": line.finding.level.value,
                "name": line.name,
                "text": mask(line.finding.text),
                "remedy": mask(line.finding.remedy),
            }
            for line in lines
        ],
        ensure_ascii=False,
        indent=1,
    )


async def _run(check: Check, examination: Examination) -> list[Line]:
    found: list[Finding] = []
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            async for finding in check.run(examination):
                found.append(finding)  # noqa: PERF401 - what came before an error counts
    except TimeoutError:
        found.append(wrong("no answer in a minute", "see whether the service hangs"))
    except Exception as error:  # noqa: BLE001 - a doctor that falls ill tells nothing about the rest
        found.append(wrong(f"the check itself failed ({type(error).__name__})", "report this as a fault of Zegelpost"))
    return [Line(check.name, finding) for finding in found]


def _words(finding: Finding, examination: Examination | None) -> str:
    mask = _Mask(examination)
    text = mask(finding.text)
    # What a service said may hold anything; a line stays a line.
    words = f"{text} - {mask(finding.remedy)}" if finding.remedy else text
    return "".join(c if c.isprintable() else " " for c in words)


class _Mask:
    """Takes every secret of the settings out of a text, wherever it came from."""

    def __init__(self, examination: Examination | None) -> None:
        self._secrets: set[str] = set()
        if examination is None:
            return
        values = [examination.environment.get(f"{PREFIX}{name}", "") for name in SECRETS]
        given = examination.settings
        values += [given.database_url, given.smtp_url or "", given.sms_url or "", given.blobs_url]
        values += [given.twilio_auth_token or "", given.metrics_token or "", given.address_book_url or ""]
        values += [given.bounce_mailbox_url or "", given.bounce_token or "", given.mailboxes_url or ""]
        values += [given.sign_in_provider.client_secret if given.sign_in_provider else ""]
        for value in filter(None, values):
            if "://" not in value:
                self._secrets.add(value)
                continue
            password = urlsplit(value).password
            if password:
                self._secrets |= {password, unquote(password)}

    def __call__(self, text: str) -> str:
        for secret in sorted(self._secrets, key=len, reverse=True):
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "•••")
        return text
