"""A certificate authority of the tests, what it vouches for, and who believes it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import trustme


@dataclass(frozen=True)
class Trust:
    server: ssl.SSLContext  # as localhost
    elsewhere: ssl.SSLContext
    client: ssl.SSLContext


def new_trust() -> Trust:
    authority = trustme.CA()
    client = ssl.create_default_context()
    authority.configure_trust(client)
    server, elsewhere = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    authority.issue_cert("elsewhere.example").configure_cert(elsewhere)
    return Trust(server, elsewhere, client)
