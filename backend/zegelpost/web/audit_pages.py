"""Pages for auditors: the record of events, searched and taken out. Administrators see them when they are auditors too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from zegelpost.model.email_address import EmailAddress
from zegelpost.model.policy_fields import restored_or_kept
from zegelpost.model.refusals import Refusal
from zegelpost.model.whole_number import whole_number
from zegelpost.services.access import StaffActor, auditor_actor
from zegelpost.services.exporting_audit_csv import audit_csv
from zegelpost.services.searching_audit import AuditQuery
from zegelpost.verifier import zegelpost_verify
from zegelpost.web.downloads import disposition
from zegelpost.web.forms import parse_day, spoken
from zegelpost.web.pages import page, signed_in, staff_form
from zegelpost.web.translation import Language

_FIELDS: Final = ("person", "transfer", "first_day", "last_day")
_VERIFIER: Final = Path(zegelpost_verify.__file__)


async def audit(request: Request, actor: StaffActor) -> Response:
    return await _page(request, actor, {})


async def search(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    """Posted, so that whom an auditor looks for stays out of addresses and logs."""
    return await _page(request, actor, form)


async def _page(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    auditor = auditor_actor(actor)
    query, errors = _query(request, form)
    found = None
    if not errors:
        before = whole_number(form.get("before", ""), most_digits=17)
        found = await request.app.state.services.searching_audit.search(auditor, query, before=before)
    return page(
        request,
        "audit.html",
        actor,
        422 if errors else 200,
        current_page="audit",
        found=found,
        typed={name: form.get(name, "") for name in _FIELDS},
        errors=errors,
        is_search=not query.is_everything,
        restored=restored_or_kept,
        language_href="/audit",
    )


async def export(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    """All that fits, as lines that can be verified or for a spreadsheet."""
    auditor, services = auditor_actor(actor), request.app.state.services
    query, errors = _query(request, form)
    if errors:
        return await _page(request, actor, form)
    is_csv = form.get("form") == "csv"
    chosen = await services.searching_audit.conditions(auditor, query, "csv" if is_csv else "jsonl")
    name = "logboek" if request.state.language == Language.NL else "audit"
    headers = {"Content-Disposition": disposition(f"{name}-{services.clock():%Y-%m-%d}.{'csv' if is_csv else 'jsonl'}")}
    if is_csv:
        lines = audit_csv(services.searching_audit.every_entry(chosen), request.state.language.value)
        return StreamingResponse(lines, headers=headers, media_type="text/csv; charset=utf-8")
    return StreamingResponse(services.exporting_audit.lines(chosen), headers=headers, media_type="application/jsonl")


async def verifier(request: Request, actor: StaffActor) -> Response:  # noqa: ARG001 - every handler of pages takes both
    """The program to verify exports and reports with, in one file."""
    auditor_actor(actor)
    return Response(
        _VERIFIER.read_bytes(), headers={"Content-Disposition": disposition(_VERIFIER.name)}, media_type="text/x-python"
    )


def _query(request: Request, form: Mapping[str, str]) -> tuple[AuditQuery, dict[str, str]]:
    errors: dict[str, str] = {}
    person: EmailAddress | None = None
    days: dict[str, date | None] = {}
    try:
        person = EmailAddress.parse(form["person"]) if form.get("person", "").strip() else None
    except Refusal as refusal:
        errors["person"] = spoken(request, refusal)
    for name in ("first_day", "last_day"):
        try:
            days[name] = parse_day(form.get(name, ""))
        except Refusal as refusal:
            errors[name] = spoken(request, refusal)
    transfer = form.get("transfer", "").strip().lower()[:100]
    return AuditQuery(person=person, transfer=transfer, first_day=days.get("first_day"), last_day=days.get("last_day")), errors


def routes() -> list[Route]:
    return [
        Route("/audit", signed_in(audit), methods=["GET"]),
        Route("/audit", staff_form(search), methods=["POST"]),
        Route("/audit/export", staff_form(export), methods=["POST"]),
        Route("/audit/zegelpost_verify.py", signed_in(verifier), methods=["GET"]),
    ]
