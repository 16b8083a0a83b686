"""Pages for recipients: open the link, get a code, read, download. They work without script and on an old telephone.

Looking at a link changes nothing, whoever or whatever looks: mail scanners run real browsers. Only buttons do something.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.recipient import VerificationMethod
from zegelpost.model.refusals import RangeNotSatisfiable, Refusal, VerificationRequired
from zegelpost.web.errors import ANSWERS
from zegelpost.web.forms import fields, spoken
from zegelpost.web.sessions import end_recipient, recipient_cookie, start_recipient
from zegelpost.web.staff_pages import give_archive, give_document


def _page(request: Request, name: str, status: int = 200, /, **context: object) -> Response:
    services = request.app.state.services
    context.setdefault("now", services.clock())
    return HTMLResponse(services.templates.render(name, request.state.language, **context), status)


def _link_id(request: Request) -> str:
    """The link's public part. Gateways that turn `#` into `%23` or `%2523` make the secret part of the path; it is cut off."""
    path: str = request.path_params["link_id"]
    return unquote(path).split("#")[0].split("%23")[0]


async def _refused(request: Request, refusal: Refusal) -> Response:
    """Why it did not open, and whom to call."""
    link_id = _link_id(request)
    sender = await request.app.state.services.verifying.contact(link_id)
    return _page(
        request,
        "open_refused.html",
        ANSWERS[type(refusal)].status,
        reason=refusal.code,
        sentence=spoken(request, refusal),
        sender=sender,
        link_id=link_id,
        help_phone=request.app.state.services.settings.help_phone,
        language_href=f"/o/{link_id}",
    )


def _kindly(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Every refusal of these pages is one page with a sentence and a way on."""

    async def wrapped(request: Request) -> Response:
        try:
            return await handler(request)
        except VerificationRequired:
            return RedirectResponse(f"/o/{_link_id(request)}?again=1", 303)
        except RangeNotSatisfiable:
            raise  # for programs that fetch; they need its header, and the link is as open as before
        except Refusal as refusal:
            return await _refused(request, refusal)

    return wrapped


async def landing(request: Request) -> Response:
    """Always the same page, whatever the link: it proves nothing yet, and the page tells nothing."""
    link_id = _link_id(request)
    is_again = "again" in request.query_params
    return _page(request, "open.html", link_id=link_id, error="", is_again=is_again, language_href=f"/o/{link_id}")


async def recognise(request: Request) -> Response:
    link_id = _link_id(request)
    form = await fields(request)
    cookie = await request.app.state.services.verifying.recognise(link_id, form.get("link_secret", ""))
    response = RedirectResponse(f"/o/{link_id}/verify", 303)
    start_recipient(request, response, link_id, cookie)
    return response


async def verify_page(request: Request) -> Response:
    return await _verify(request, "")


async def _verify(request: Request, error: str, status: int = 200) -> Response:
    link_id = _link_id(request)
    door = await request.app.state.services.verifying.door(link_id, recipient_cookie(request, link_id))
    help_phone = request.app.state.services.settings.help_phone
    return _page(
        request,
        "verify.html",
        status,
        link_id=link_id,
        door=door,
        error=error,
        help_phone=help_phone,
        language_href=f"/o/{link_id}/verify",
    )


async def send_code(request: Request) -> Response:
    link_id = _link_id(request)
    verifying = request.app.state.services.verifying
    try:
        await verifying.send_code(link_id, recipient_cookie(request, link_id), request.state.language.value)
    except Refusal as refusal:
        if isinstance(refusal, VerificationRequired) or ANSWERS[type(refusal)].status != 429:  # noqa: PLR2004 - too many
            raise
        return await _verify(request, spoken(request, refusal), 429)
    return RedirectResponse(f"/o/{link_id}/verify", 303)


async def verify(request: Request) -> Response:
    link_id = _link_id(request)
    services = request.app.state.services
    cookie = recipient_cookie(request, link_id)
    typed = (await fields(request)).get("code", "")
    door = await services.verifying.door(link_id, cookie)
    check = (
        services.verifying.verify_access_code if door.method == VerificationMethod.ACCESS_CODE else services.verifying.verify_code
    )
    try:
        await check(link_id, cookie, typed)
    except Refusal as refusal:
        if refusal.code in {"link_locked", "verification_required", "transfer_revoked", "transfer_expired", "recipient_blocked"}:
            raise
        return await _verify(request, spoken(request, refusal), ANSWERS[type(refusal)].status)
    return RedirectResponse(f"/o/{link_id}/transfer", 303)


async def transfer(request: Request) -> Response:
    link_id = _link_id(request)
    receiving = request.app.state.services.receiving
    reader = await receiving.by_grant(link_id, recipient_cookie(request, link_id))
    readable = await receiving.read(reader)
    return _page(request, "opened.html", transfer=readable, base=f"/o/{link_id}", language_href=f"/o/{link_id}/transfer")


async def document(request: Request) -> Response:
    link_id = _link_id(request)
    reader = await request.app.state.services.receiving.by_grant(link_id, recipient_cookie(request, link_id))
    return await give_document(request, reader)


async def archive(request: Request) -> Response:
    link_id = _link_id(request)
    reader = await request.app.state.services.receiving.by_grant(link_id, recipient_cookie(request, link_id))
    return await give_archive(request, reader)


async def ask_help(request: Request) -> Response:
    link_id = _link_id(request)
    verifying = request.app.state.services.verifying
    await verifying.ask_help(link_id)
    sender = await verifying.contact(link_id)
    help_phone = request.app.state.services.settings.help_phone
    return _page(request, "help_asked.html", sender=sender, help_phone=help_phone, link_id=link_id, language_href=f"/o/{link_id}")


async def leave(request: Request) -> Response:
    link_id = _link_id(request)
    if (cookie := recipient_cookie(request, link_id)) is not None:
        await request.app.state.services.verifying.leave(cookie)
    response = _page(request, "left.html", language_href=f"/o/{link_id}")
    end_recipient(request, response, link_id)
    return response


def routes() -> list[Route]:
    get, post = ["GET"], ["POST"]
    one = "/o/{link_id}"
    return [
        Route(one, landing, methods=get),
        Route(one, _kindly(recognise), methods=post),
        Route(f"{one}/verify", _kindly(verify_page), methods=get),
        Route(f"{one}/verify", _kindly(verify), methods=post),
        Route(f"{one}/code", _kindly(send_code), methods=post),
        Route(f"{one}/transfer", _kindly(transfer), methods=get),
        Route(f"{one}/documents/{{document_id}}", _kindly(document), methods=get),
        Route(f"{one}/archive.zip", _kindly(archive), methods=get),
        Route(f"{one}/help", _kindly(ask_help), methods=post),
        Route(f"{one}/leave", _kindly(leave), methods=post),
    ]
