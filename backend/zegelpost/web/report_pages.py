"""The report of a transfer in the portal: a page to read, and the same facts to keep."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from zegelpost.services.access import StaffActor
from zegelpost.services.reporting import TransferReport
from zegelpost.web.downloads import disposition
from zegelpost.web.pages import page, signed_in
from zegelpost.web.report_views import ReportView
from zegelpost.web.translation import Language


async def _report(request: Request, actor: StaffActor) -> TransferReport:
    report: TransferReport = await request.app.state.services.reporting.report(actor, request.path_params["transfer_id"])
    return report


async def report_page(request: Request, actor: StaffActor) -> Response:
    report = await _report(request, actor)
    return page(request, "report.html", actor, current_page="sent", report=report)


async def report_json(request: Request, actor: StaffActor) -> Response:
    """The facts for programs. Shared by the portal and the API."""
    report = await _report(request, actor)
    headers = {"Content-Disposition": disposition(report_name(request, report, "json"))}
    return Response(ReportView.of(report).model_dump_json(indent=2), headers=headers, media_type="application/json")


def report_name(request: Request, report: TransferReport, extension: str) -> str:
    """Named by the transfer's number and not by its reference, which has no business in a list of downloads."""
    word = "rapportage" if request.state.language == Language.NL else "report"
    return f"{word}-{report.id}.{extension}"


def routes() -> list[Route]:
    one = "/transfers/{transfer_id}/report"
    return [
        Route(one, signed_in(report_page), methods=["GET"]),
        Route(f"{one}.json", signed_in(report_json), methods=["GET"]),
    ]
