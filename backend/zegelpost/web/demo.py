"""Pages that only exist in a demonstration: everything that would have left."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from zegelpost.web.middleware import PAGE_POLICY

_CLIENTS: Final = frozenset({"web", "new", "classic", "mac", "onprem"})
_LINK: Final = re.compile(r"(https?://\S+)")


async def outbox(request: Request) -> Response:
    """Mail and SMS, newest first, with links that work."""
    services = request.app.state.services
    entries = [_readable(entry) for entry in reversed(services.demo_outbox.entries())]
    return HTMLResponse(services.templates.render("demo_outbox.html", request.state.language, entries=entries))


async def outbox_json(request: Request) -> Response:
    return JSONResponse(request.app.state.services.demo_outbox.entries())


def _readable(entry: dict[str, Any]) -> dict[str, Any]:
    """The text in pieces: pairs of a piece and whether it is a link."""
    pieces = [(piece, bool(_LINK.fullmatch(piece))) for piece in _LINK.split(entry["text"] or "") if piece]
    return {**entry, "pieces": pieces}


async def outlook(request: Request) -> Response:
    """The add-in in a mail client of cardboard, for whoever has no Outlook at hand."""
    client = request.query_params.get("client", "web")
    context = {
        "client": client if client in _CLIENTS else "web",
        "mode": "read" if request.query_params.get("mode") == "read" else "compose",
        "language_href": "/demo/outlook",
    }
    html = request.app.state.services.templates.render("demo_outlook.html", request.state.language, **context)
    policy = PAGE_POLICY.replace("default-src 'none';", "default-src 'none'; frame-src 'self';")
    return HTMLResponse(html, headers={"Content-Security-Policy": policy, "Cross-Origin-Opener-Policy": "unsafe-none"})


def routes() -> list[Route]:
    return [
        Route("/demo/outlook", outlook, methods=["GET"]),
        Route("/demo/outbox", outbox, methods=["GET"]),
        Route("/demo/outbox.json", outbox_json, methods=["GET"]),
    ]
