"""Pages that only exist in a demonstration: everything that would have left."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from zegelpost.web.middleware import PAGE_POLICY

_CLIENTS: Final = frozenset({"web", "new", "classic", "mac", "onprem"})
_OWN_PAGE: Final = re.compile(r"(?m)^https?://\S+/(?:received|transfers)/[a-z2-7]{26}$")
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


def _latest_notice(entries: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The latest mail to a colleague about something that only they may open, if any left yet."""
    return next((entry for entry in reversed(entries) if entry["kind"] == "mail" and _OWN_PAGE.search(entry["text"])), None)


async def outlook(request: Request) -> Response:
    """The add-in in a mail client of cardboard, for whoever has no Outlook at hand."""
    services = request.app.state.services
    client, mode = request.query_params.get("client", "web"), request.query_params.get("mode")
    notice = _latest_notice(services.demo_outbox.entries()) if mode == "notice" else None
    context = {
        "client": client if client in _CLIENTS else "web",
        "mode": "read" if mode in {"read", "notice"} else "compose",
        "is_notice": mode == "notice",
        "notice": notice,
        "language_href": "/demo/outlook",
    }
    html = services.templates.render("demo_outlook.html", request.state.language, **context)
    policy = PAGE_POLICY.replace("default-src 'none';", "default-src 'none'; frame-src 'self';")
    return HTMLResponse(html, headers={"Content-Security-Policy": policy, "Cross-Origin-Opener-Policy": "unsafe-none"})


def routes() -> list[Route]:
    return [
        Route("/demo/outlook", outlook, methods=["GET"]),
        Route("/demo/outbox", outbox, methods=["GET"]),
        Route("/demo/outbox.json", outbox_json, methods=["GET"]),
    ]
