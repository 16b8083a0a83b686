"""Where providers tell us what became of what we handed them. Signed, and never answered with more than what they need."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def _fields(request: Request) -> list[tuple[str, str]]:
    form = await request.form(max_files=0, max_fields=100)
    return [(name, value) for name, value in form.multi_items() if isinstance(value, str)]


async def sms_report(request: Request) -> Response:
    """In a form, or in the address itself: providers differ."""
    tracking = request.app.state.services.tracking_codes
    query: str = request.scope["query_string"].decode("ascii", "replace")
    fields = [*request.query_params.multi_items(), *(await _fields(request))]
    await tracking.reported(request.path_params["outgoing_id"], fields, request.headers, query=query)
    return Response(status_code=204)


async def call_report(request: Request) -> Response:
    speaking = request.app.state.services.speaking_codes
    await speaking.reported(request.path_params["outgoing_id"], await _fields(request), request.headers)
    return Response(status_code=204)


async def call_key(request: Request) -> Response:
    speaking = request.app.state.services.speaking_codes
    script = await speaking.pressed(request.path_params["outgoing_id"], await _fields(request), request.headers)
    return Response(script.content, media_type=script.media_type, headers={"Cache-Control": "no-store"})


def routes() -> list[Route]:
    return [
        Route("/webhooks/sms/{outgoing_id}", sms_report, methods=["GET", "POST"]),
        Route("/webhooks/calls/{outgoing_id}", call_report, methods=["POST"]),
        Route("/webhooks/calls/{outgoing_id}/key", call_key, methods=["POST"]),
    ]
