"""Settings that name no service: whether they are what an organisation wants, and whether their secrets are kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from zegelpost.doctor.findings import Examination, Finding, fine, note, wrong
from zegelpost.settings import NO_ORGANISATION, PREFIX, SECRETS, SHORTEST_TOKEN


async def names(examination: Examination) -> AsyncIterator[Finding]:
    """What outsiders see of whom they deal with."""
    settings = examination.settings
    if settings.organisation == NO_ORGANISATION:
        yield note("outsiders do not see who you are", "set ZEGELPOST_ORGANISATION")
    else:
        yield fine(settings.organisation)
    if settings.help_phone is None:
        yield note("whoever cannot get in sees no telephone number", "set ZEGELPOST_HELP_PHONE")
    if settings.security_contact is None:
        yield note("nobody is told where to report a weakness", "set ZEGELPOST_SECURITY_CONTACT")


async def colleagues(examination: Examination) -> AsyncIterator[Finding]:
    """Who counts as one of us."""
    settings = examination.settings
    yield fine(f"colleagues are at {', '.join(settings.staff_domains)}")
    if settings.outlook_hosts:
        yield fine(f"the add-in may be shown by {', '.join(settings.outlook_hosts)}")


async def public_page(examination: Examination) -> AsyncIterator[Finding]:
    """Whether outsiders may start unasked."""
    is_on = examination.settings.has_intake
    yield fine("outsiders can start at /i" if is_on else "off: outsiders send only what they are asked for")


async def remembered_devices(examination: Examination) -> AsyncIterator[Finding]:
    """Whether recipients may go without a code for a while."""
    is_on = examination.settings.remembers_devices
    yield fine("recipients may have a device remembered for 30 days" if is_on else "off: a code is needed every time")


async def audit(examination: Examination) -> AsyncIterator[Finding]:
    """Who keep what the record of events is held against."""
    settings = examination.settings
    outside = [address for address in settings.audit_mail if address.domain not in settings.staff_domains]
    if not settings.audit_mail:
        yield note(
            "nobody gets the checkpoint of the day, so whoever has this server can rewrite events unseen",
            "set ZEGELPOST_AUDIT_MAIL to two addresses, one of them outside the organisation",
        )
    elif not outside:
        yield note(
            f"{len(settings.audit_mail)} get the checkpoint of the day, all of them at your own mail server",
            "add an address outside the organisation to ZEGELPOST_AUDIT_MAIL",
        )
    else:
        yield fine(f"{len(settings.audit_mail)} get the checkpoint of the day, {len(outside)} of them outside the organisation")


async def secrets(examination: Examination) -> AsyncIterator[Finding]:
    """Whether secrets are kept from others on this machine."""
    settings = examination.settings
    if settings.is_demo:
        yield note("this is a demonstration: every mail and code is shown to anyone", "unset ZEGELPOST_DEMO for real use")
    if settings.metrics_token is not None and len(settings.metrics_token) < SHORTEST_TOKEN:
        yield wrong("ZEGELPOST_METRICS_TOKEN can be guessed", f"use at least {SHORTEST_TOKEN} random characters")
    files = {name: examination.environment.get(f"{PREFIX}{name}_FILE") for name in SECRETS}
    open_ones = [path for path in files.values() if path and _is_open(path)]
    plain = [f"{PREFIX}{name}" for name in SECRETS if examination.environment.get(f"{PREFIX}{name}")]
    for path in open_ones:
        yield note(f"{path} can be read by others on this machine", f"chmod 0400 {path}")
    if plain and not settings.is_demo:
        yield note(f"{', '.join(plain)} stand in the environment", "put them in files and set …_FILE")
    if not open_ones and not plain:
        yield fine("no secret is where others can read it")


def _is_open(path: str) -> bool:
    return bool(Path(path).stat().st_mode & 0o077)
