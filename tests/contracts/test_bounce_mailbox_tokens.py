"""A mailbox that takes no password: a token of Entra's, got by msal and shown to a real Dovecot by XOAUTH2."""

from __future__ import annotations

import json
import ssl
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import trustme
from tests.stand_ins.graph_api import CLIENT, SECRET, TENANT, GraphApi, graph_api
from tests.stand_ins.http_server import Handler, served
from tests.stand_ins.imap_server import USER, ImapServer, imap_server
from tests.stand_ins.tls import trusted

from zegelpost.adapters.bounces_imap import ImapBounceMailbox
from zegelpost.ports import BounceMailboxError


@dataclass
class TokenOwners:
    """Tells Dovecot whose a token is: of this mailbox, while it is in `good`."""

    url: str
    good: set[str] = field(default_factory=set)
    closing: threading.Event = field(default_factory=threading.Event)


class _Owners(Handler, BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        token = parse_qs(urlsplit(self.path).query).get("access_token", [""])[0]
        is_good = token in self.stand_in(TokenOwners).good
        self.answer(200 if is_good else 401, json.dumps({"email": USER, "active": "yes"} if is_good else {}).encode())


@pytest.fixture
def entra(tmp_path: Path) -> Iterator[GraphApi]:
    with trusted(tmp_path) as context, graph_api(context) as running:
        yield running


@pytest.fixture
def owners() -> Iterator[TokenOwners]:
    with served(_Owners, TokenOwners) as running:
        yield running


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA, owners: TokenOwners) -> Iterator[ImapServer]:
    with imap_server(authority, tokens=owners.url) as running:
        yield running


def mailbox_of(server: ImapServer, entra: GraphApi, authority: trustme.CA, *, secret: str = SECRET) -> ImapBounceMailbox:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    options = f"tenant={TENANT}&client_id={CLIENT}&login={entra.url}&resource={entra.url}"
    url = f"imaps://{quote(USER, safe='')}:{quote(secret, safe='')}@localhost:{server.tls_port}/?{options}"
    return ImapBounceMailbox(url, ssl_context=context)


async def test_a_token_opens_the_mailbox(server: ImapServer, entra: GraphApi, owners: TokenOwners, authority: trustme.CA) -> None:
    owners.good |= {f"token-{number}" for number in range(5)}
    server.put(b"Subject: een\r\n\r\n.\r\n")
    mailbox = mailbox_of(server, entra, authority)

    [found] = await mailbox.unread(10, after="")
    await mailbox.settle(ours=[found], others=[])

    assert found.content.startswith(b"Subject: een")
    assert server.contents() == []
    assert entra.requests.count(("POST", "/token")) == 1, "kept while it lasts"


async def test_a_token_that_the_mailbox_refuses_says_what_is_missing(
    server: ImapServer, entra: GraphApi, authority: trustme.CA
) -> None:
    with pytest.raises(BounceMailboxError, match=r"IMAP\.AccessAsApp") as caught:
        await mailbox_of(server, entra, authority).unread(10, after="")

    told = "".join(traceback.format_exception(caught.value))
    assert "token-" not in told
    assert SECRET not in told


async def test_a_revoked_secret_says_so(server: ImapServer, entra: GraphApi, authority: trustme.CA) -> None:
    with pytest.raises(BounceMailboxError, match="Entra refuses our client ID or secret"):
        await mailbox_of(server, entra, authority, secret="gone").unread(10, after="")


def test_half_an_app_registration_is_refused() -> None:
    with pytest.raises(ValueError, match="tenant, client_id"):
        ImapBounceMailbox("imaps://user:secret@localhost/?tenant=t")
