"""The ways of mail beside the relay: back to us, whether anybody reads it, and from people's own mailboxes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from zegelpost.adapters.bounces_imap import ImapBounceMailbox
from zegelpost.adapters.mailboxes_graph import GraphMailboxes
from zegelpost.doctor.findings import Examination, Finding, fine, note, wrong
from zegelpost.doctor.reaching import certificate
from zegelpost.ports import BounceMailboxError, MailError

_SECONDS: Final = 10


async def bounces(examination: Examination) -> AsyncIterator[Finding]:
    """The mailbox and the webhook for notices; nothing in the mailbox changes."""
    settings = examination.settings
    if settings.bounce_mailbox_url is None and settings.bounce_token is None:
        yield note(
            "nobody reads mail that comes back: senders are told only of what the relay refuses at once",
            "set ZEGELPOST_BOUNCE_ADDRESS, and ZEGELPOST_BOUNCE_MAILBOX_URL or ZEGELPOST_BOUNCE_TOKEN",
        )
        return
    if settings.bounce_address is None:
        yield note(
            "mails have no return address of their own: notices count by the Message-ID that they return",
            "set ZEGELPOST_BOUNCE_ADDRESS, unless the relay puts another address in its place",
        )
    else:
        yield fine(f"each mail comes back to an address of its own, {settings.bounce_address.replace('@', '+…@')}")
    if settings.bounce_token is not None:
        yield fine(f"a mail server may hand notices over at {settings.base_url}/webhooks/bounces")
    if settings.bounce_mailbox_url is None:
        return
    mailbox = ImapBounceMailbox(settings.bounce_mailbox_url, timeout_seconds=_SECONDS, ssl_context=examination.trust)
    try:
        facts = await mailbox.probe()
    except BounceMailboxError as error:
        is_tls = "TLS" in error.reason
        yield wrong(
            error.reason,
            "correct the host name, or trust its authority with SSL_CERT_FILE" if is_tls else "correct the setting",
        )
        return
    tls = facts.tls_version or "no TLS, on this machine"
    yield fine(f"{facts.address}, {tls}, logged in, {facts.unread_count} to be read")
    if facts.certificate_until is not None:
        yield certificate(facts.address, facts.certificate_until, examination.clock())


async def mailboxes(examination: Examination) -> AsyncIterator[Finding]:
    """Whether Entra takes the app's secret. What it may do shows at the first mail: looking would take someone's mailbox."""
    url = examination.settings.mailboxes_url
    if url is None:
        yield fine("not used: all mail goes by the relay")
        return
    try:
        await GraphMailboxes(url, timeout_seconds=_SECONDS).probe()
    except MailError as error:
        yield wrong(error.reason, "renew the secret, or correct the setting; until then all mail goes by the relay")
        return
    yield fine("Entra takes the client ID and secret")
