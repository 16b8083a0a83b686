"""The report of a transfer in the portal: a page to read, and the same facts to keep."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from zegelpost.model.refusals import PdfNotAvailable
from zegelpost.model.transfer import TransferKind
from zegelpost.ports import PrintableDocument
from zegelpost.services.access import StaffActor
from zegelpost.services.reporting import TransferReport
from zegelpost.web.downloads import disposition
from zegelpost.web.pages import page, signed_in
from zegelpost.web.rendering import Formats
from zegelpost.web.report_views import ReportView
from zegelpost.web.translation import Language


async def _report(request: Request, actor: StaffActor) -> TransferReport:
    report: TransferReport = await request.app.state.services.reporting.report(actor, request.path_params["transfer_id"])
    return report


async def report_page(request: Request, actor: StaffActor) -> Response:
    report = await _report(request, actor)
    printers = request.app.state.services.printers
    return page(request, "report.html", actor, current_page="sent", report=report, printers=printers)


async def report_json(request: Request, actor: StaffActor) -> Response:
    """The facts for programs. Shared by the portal and the API."""
    report = await _report(request, actor)
    headers = {"Content-Disposition": disposition(report_name(request, report, "json"))}
    return Response(ReportView.of(report).model_dump_json(indent=2), headers=headers, media_type="application/json")


async def report_pdf(request: Request, actor: StaffActor) -> Response:
    return await pdf_response(request, actor, is_archival=request.query_params.get("variant") == "archive")


async def pdf_response(request: Request, actor: StaffActor, *, is_archival: bool) -> Response:
    """The facts on paper: quickly, or tagged and for archives. Raises `PdfNotAvailable` where nothing makes that."""
    printers = request.app.state.services.printers
    printer = printers.archival if is_archival else printers.quick
    if printer is None:
        raise PdfNotAvailable
    report = await _report(request, actor)
    pdf = await request.app.state.services.seal.seal(await printer.print(_printable(request, report)))
    headers = {"Content-Disposition": disposition(report_name(request, report, "pdf"))}
    return Response(pdf, headers=headers, media_type="application/pdf")


def _printable(request: Request, report: TransferReport) -> PrintableDocument:
    services = request.app.state.services
    language = request.state.language
    gettext = services.translators[language].gettext
    is_request = report.kind == TransferKind.REQUEST
    title = gettext("Report of a file request") if is_request else gettext("Report of a transfer")
    attachment_name = report_name(request, report, "json")
    made_at = Formats(language).local_exactly(report.generated_at)
    return PrintableDocument(
        html=services.templates.render(
            "report_print.html",
            language,
            report=report,
            title=title,
            attachment_name=attachment_name,
            style=services.governing.house_style,
            logo=services.governing.logo,
        ),
        title=f"{title} {report.id}",
        language=language.value,
        header_start=report.organisation,
        header_end=gettext("Transfer %(number)s") % {"number": report.id},
        footer_start=gettext("Report made at %(at)s") % {"at": made_at},
        page_words=gettext("Page {page} of {pages}"),
        attachment_name=attachment_name,
        attachment=ReportView.of(report).model_dump_json(indent=2),
    )


def report_name(request: Request, report: TransferReport, extension: str) -> str:
    """Named by the transfer's number and not by its reference, which has no business in a list of downloads."""
    word = "rapportage" if request.state.language == Language.NL else "report"
    return f"{word}-{report.id}.{extension}"


def routes() -> list[Route]:
    one = "/transfers/{transfer_id}/report"
    return [
        Route(one, signed_in(report_page), methods=["GET"]),
        Route(f"{one}.pdf", signed_in(report_pdf), methods=["GET"]),
        Route(f"{one}.json", signed_in(report_json), methods=["GET"]),
    ]
