"""Pages that only exist in a demonstration: everything that would have left."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

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


def routes() -> list[Route]:
    return [
        Route("/demo/outbox", outbox, methods=["GET"]),
        Route("/demo/outbox.json", outbox_json, methods=["GET"]),
    ]
