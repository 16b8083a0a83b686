"""Staying signed in: what a page tells while somebody types, and hears whether they are still in.

Nothing of it is a form of ours, and a page of another site can send it too, if without the cookie: `SameSite`. All that it can do
is keep somebody in who is in.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from zegelpost.model.refusals import SignInRequired
from zegelpost.web.sessions import csrf_token, portal_actor


async def stay(request: Request) -> Response:
    """Who is signed in, and the token for forms of that sign-in: people may have come in anew since their page was made."""
    try:
        actor = await portal_actor(request)
    except SignInRequired:
        return Response(status_code=401)
    return JSONResponse({"account": actor.user.id, "csrf": csrf_token(actor)})


def routes() -> list[Route]:
    return [Route("/stay", stay, methods=["POST"])]
