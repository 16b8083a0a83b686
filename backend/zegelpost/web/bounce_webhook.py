"""The webhook for mail that came back: a mail server hands each over that reaches the return address."""

from __future__ import annotations

import hmac

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from zegelpost.services.reading_delivery_notices import LONGEST_NOTICE_BYTES
from zegelpost.services.taking_bounces import Taken

PATH = "/webhooks/bounces"
_RETRY_SECONDS = 60


def routes(token: str) -> list[Route]:
    """The route exists only where a token was set."""

    async def take_bounce(request: Request) -> Response:
        """Take the raw bytes of one mail (RFC 5322).

        204 for all that was read, whether or not it changed anything: whoever hands it over cannot do more. 503 asks to
        hand it over again.
        """
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, f"Bearer {token}".encode()):
            return PlainTextResponse("The token is wrong.\n", 401, {"WWW-Authenticate": "Bearer"})
        content = bytearray()
        async for piece in request.stream():
            # What follows the limit is read and dropped: a server that cannot hand it over would send the notice on its way back.
            content += piece[: LONGEST_NOTICE_BYTES - len(content)]
        outcome = await request.app.state.services.taking_bounces.take(bytes(content))
        if outcome == Taken.TOO_EARLY:
            return PlainTextResponse("Its mail is being handed over. Try again.\n", 503, {"Retry-After": str(_RETRY_SECONDS)})
        return Response(status_code=204)

    return [Route(PATH, take_bounce, methods=["POST"])]
