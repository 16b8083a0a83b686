"""Importing contacts, in two steps: what a file would do, and after confirmation what it did, row by row.

Between the steps the page itself holds the rows: nothing is kept of a file that nobody confirms.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from zegelpost.model.contact import MOST_CONTACTS, TypedContact
from zegelpost.model.refusals import (
    BodyTooLarge,
    ContactColumnsMissing,
    ContactFileMissing,
    ContactFileUnreadable,
    FormRefused,
    InputInvalid,
    TooManyContacts,
)
from zegelpost.services.access import StaffActor
from zegelpost.services.importing_contacts import ImportReport
from zegelpost.services.reading_contact_files import LARGEST_FILE_BYTES, FileRow
from zegelpost.web.forms import sentences, spoken
from zegelpost.web.pages import page, signed_in
from zegelpost.web.sessions import require_csrf

OF_THE_FILE: Final = (ContactFileMissing, ContactFileUnreadable, ContactColumnsMissing, TooManyContacts, BodyTooLarge)


async def import_page(request: Request, actor: StaffActor) -> Response:
    return _form(request, actor, "", {})


def _form(request: Request, actor: StaffActor, book: str, errors: Mapping[str, str]) -> Response:
    status = 422 if errors else 200
    return page(
        request,
        "contacts_import.html",
        actor,
        status,
        current_page="contacts",
        book=book,
        errors=errors,
        most=MOST_CONTACTS,
        language_href="/contacts/import",
    )


async def preview(request: Request, actor: StaffActor) -> Response:
    form, content = await checked_file_form(request, actor)
    book = form.get("department_id", "")
    try:
        if len(content) > LARGEST_FILE_BYTES:
            raise BodyTooLarge(limit_bytes=LARGEST_FILE_BYTES)
        rows, report = await request.app.state.services.importing_contacts.preview(actor, content, book)
    except FormRefused as refused:
        return _form(request, actor, book, sentences(request, refused))
    except OF_THE_FILE as refusal:
        return _form(request, actor, book, {"file": spoken(request, refusal)})
    return _report(request, actor, report, book=book, rows=written_rows(rows))


async def take_over(request: Request, actor: StaffActor) -> Response:
    form, _ = await checked_file_form(request, actor)
    book = form.get("department_id", "")
    try:
        report = await request.app.state.services.importing_contacts.take_over(
            actor, read_rows(form.get("rows", ""), most=MOST_CONTACTS), book
        )
    except FormRefused as refused:
        return _form(request, actor, book, sentences(request, refused))
    return _report(request, actor, report, book=book, rows="")


def _report(request: Request, actor: StaffActor, report: ImportReport, *, book: str, rows: str) -> Response:
    """Before (with `rows`, to be sent back) and after (without)."""
    return page(
        request,
        "contacts_import_report.html",
        actor,
        current_page="contacts",
        report=report,
        book=book,
        rows=rows,
        language_href="/contacts/import",
    )


async def checked_file_form(request: Request, actor: StaffActor) -> tuple[dict[str, str], bytes]:
    """As `staff_form` does it, of a form with a file: its fields, and what is in the file."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise InputInvalid(problems=["not a multipart form"])
    parser = MultiPartParser(request.headers, request.stream(), max_files=1, max_fields=10, max_part_size=LARGEST_FILE_BYTES)
    # Never to a temporary file: people's names and numbers are on no disk unsealed.
    parser.spool_max_size = 2 * LARGEST_FILE_BYTES
    try:
        form = await parser.parse()
    except MultiPartException:
        raise InputInvalid(problems=["not a multipart form"]) from None
    try:
        file = form.get("file")
        content = await file.read() if isinstance(file, UploadFile) else b""
    finally:
        await form.close()
    fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    require_csrf(actor, fields.get("csrf", ""))
    return fields, content


def written_rows(rows: Sequence[FileRow]) -> str:
    """The rows for the page to hold; `read_rows` takes them back."""
    return json.dumps(
        [
            [row.number, row.typed.name, row.typed.organisation, row.typed.email, row.typed.mobile] if row.typed else [row.number]
            for row in rows
        ],
        ensure_ascii=False,
        separators=(",", ":"),
    )


def read_rows(text: str, *, most: int) -> list[FileRow]:
    """Everything in it is checked again, as if it came from a file. Raises `InputInvalid`."""
    try:
        rows = json.loads(text)
        if not isinstance(rows, list) or len(rows) > most:
            raise InputInvalid(problems=["rows: not a list of contacts"])
        return [_row(row) for row in rows]
    except (ValueError, RecursionError):
        raise InputInvalid(problems=["rows: not a list of contacts"]) from None


def _row(row: object) -> FileRow:
    match row:
        case [int(number)]:
            return FileRow(number, None)
        case [int(number), str(name), str(organisation), str(email), str(mobile)]:
            # Half a character would not go into the database.
            (name + organisation + email + mobile).encode()
            return FileRow(number, TypedContact(name, organisation, email, mobile))
        case _:
            raise InputInvalid(problems=["rows: not a contact"])


def routes() -> list[Route]:
    return [
        Route("/contacts/import", signed_in(import_page), methods=["GET"]),
        Route("/contacts/import", signed_in(preview), methods=["POST"]),
        Route("/contacts/import/confirm", signed_in(take_over), methods=["POST"]),
    ]
