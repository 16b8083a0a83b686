"""Where a request came from: only what our own proxies vouch for."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """Replaces the client address by the nearest one in X-Forwarded-For that is not a proxy of ours.

    Read from the right: whatever stands left of the first address we do not know was written by someone we do not know.
    """

    app: ASGIApp
    networks: Sequence[Network]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope.get("client"):
            client = scope["client"][0]
            forwarded = [
                value.strip()
                for name, text in scope["headers"]
                if name == b"x-forwarded-for"
                for value in text.decode("latin-1").split(",")
            ]
            while forwarded and self._is_ours(client):
                client = forwarded.pop()
            scope = {**scope, "client": (client, 0)}
        await self.app(scope, receive, send)

    def _is_ours(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self.networks)


def client_network(connection: HTTPConnection) -> str:
    """The network that limits count against: an IPv4 address, or the /64 that one household or office has in IPv6."""
    host = connection.client.host if connection.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "unknown"
    prefix = 32 if address.version == 4 else 64  # noqa: PLR2004 - the version is its name
    return str(ipaddress.ip_network(f"{address}/{prefix}", strict=False))
