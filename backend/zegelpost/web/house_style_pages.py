"""What pages fetch to look like the organisation: its colour as a stylesheet, and its logo."""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from zegelpost.model.policy_values import tint
from zegelpost.model.refusals import NotFound
from zegelpost.services.choosing_logo import ChoosingLogo

_COLOUR: Final = re.compile(r"[0-9a-f]{6}\Z")
# Of the theme's palette: how much of the colour there is in each, the rest being white; below zero, how much black was added.
_SHARES: Final = {"100": 0.1, "200": 0.28, "300": 0.52, "400": 0.85, "500": 1.0, "600": -0.24, "700": -0.47}
# The address holds all that the answer depends on.
_FOR_EVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}


async def stylesheet(request: Request) -> Response:
    """The theme in one colour. Inline styles would need a hole in the content security policy."""
    colour: str = request.path_params["colour"]
    if not _COLOUR.match(colour):
        raise NotFound
    lines = [f"  --voorbeeld-kleuren-violet-{name}: {tint(f'#{colour}', share)};" for name, share in _SHARES.items()]
    lines += [f"  --voorbeeld-kleuren-blauw-{name}: {tint(f'#{colour}', _SHARES[name])};" for name in ("500", "600")]
    return Response("\n".join([":root {", *lines, "}", ""]), headers=_FOR_EVER, media_type="text/css")


async def logo(request: Request) -> Response:
    choosing: ChoosingLogo = request.app.state.services.choosing_logo
    found = await choosing.logo(request.path_params["digest"])
    return Response(found.content, headers=_FOR_EVER, media_type=found.media_type)


def routes() -> list[Route]:
    return [
        Route("/house-style/{colour}.css", stylesheet, methods=["GET"]),
        Route("/logo/{digest}", logo, methods=["GET"]),
    ]
