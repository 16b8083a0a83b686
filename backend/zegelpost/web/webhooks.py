"""Where providers tell us what became of what we handed them. Signed, and never answered with more than yes or no."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def sms_report(request: Request) -> Response:
    form = await request.form(max_files=0, max_fields=100)
    fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    await request.app.state.services.tracking_codes.reported(request.path_params["outgoing_id"], fields, request.headers)
    return Response(status_code=204)


def routes() -> list[Route]:
    return [Route("/webhooks/sms/{outgoing_id}", sms_report, methods=["POST"])]
