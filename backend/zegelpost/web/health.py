"""Whether this process can do its work, for load balancers and monitoring."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route


async def healthz(request: Request) -> Response:
    """200 when the database answers, else 503. Says no more to whoever asks."""
    try:
        async with request.app.state.services.database.reading() as session:
            await session.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return JSONResponse({"status": "unavailable"}, 503)
    return JSONResponse({"status": "ok"})


async def favicon(request: Request) -> Response:  # noqa: ARG001 - a handler's signature
    return RedirectResponse("/static/dist/icon-32.png", 307)


def routes() -> list[Route]:
    return [Route("/healthz", healthz, methods=["GET"])]
