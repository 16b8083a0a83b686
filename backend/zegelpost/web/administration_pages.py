"""The page that administrators start from. What it leads to has pages of its own."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from zegelpost.services.access import StaffActor, require_administrator
from zegelpost.web.pages import page, signed_in


async def administration(request: Request, actor: StaffActor) -> Response:
    require_administrator(actor)
    return page(request, "administration.html", actor, current_page="administration", language_href="/admin")


def routes() -> list[Route]:
    return [Route("/admin", signed_in(administration), methods=["GET"])]
