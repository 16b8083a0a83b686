"""Pages behind a secret link: open it, get a code, read, download. They work without script and on an old telephone.

The links of file requests and intakes open in the same way; what is behind them is in `guest_pages.py`. Looking at a link changes
nothing, whoever or whatever looks: mail scanners run real browsers. Only buttons do something.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.link import LINK_PREFIXES
from zegelpost.model.recipient import VerificationMethod
from zegelpost.model.refusals import RangeNotSatisfiable, Refusal, VerificationRequired
from zegelpost.model.secret import SecretToken
from zegelpost.services.remembering import DeviceCookie
from zegelpost.web.downloads import give_archive, give_document
from zegelpost.web.errors import ANSWERS
from zegelpost.web.forms import fields, spoken
from zegelpost.web.network import client_network
from zegelpost.web.sessions import device_cookies, end_recipient, recipient_cookie, start_device, start_recipient


def link_page(request: Request, name: str, status: int = 200, /, **context: object) -> Response:
    services = request.app.state.services
    context.setdefault("now", services.clock())
    return HTMLResponse(services.templates.render(name, request.state.language, **context), status)


def link_id_of(request: Request) -> str:
    """The link's public part. Gateways that turn `#` into `%23` or `%2523` make the secret part of the path; it is cut off."""
    path: str = request.path_params["link_id"]
    return unquote(path).split("#")[0].split("%23")[0]


def base_of(request: Request) -> str:
    """Where this link's pages begin, such as `/o/<id>`."""
    prefix = request.scope["path"].split("/")[1]
    return f"/{prefix}/{link_id_of(request)}"


async def _refused(request: Request, refusal: Refusal) -> Response:
    """Why it did not open, and whom to call."""
    link_id = link_id_of(request)
    sender = await request.app.state.services.verifying.contact(link_id)
    return link_page(
        request,
        "open_refused.html",
        ANSWERS[type(refusal)].status,
        reason=refusal.code,
        sentence=spoken(request, refusal),
        sender=sender,
        base=base_of(request),
        help_phone=request.app.state.services.governing.house_style.help_phone,
        language_href=base_of(request),
    )


def kindly(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Every refusal of these pages is one page with a sentence and a way on."""

    async def wrapped(request: Request) -> Response:
        try:
            return await handler(request)
        except VerificationRequired:
            return RedirectResponse(f"{base_of(request)}?again=1", 303)
        except RangeNotSatisfiable:
            raise  # for programs that fetch; they need its header, and the link is as open as before
        except Refusal as refusal:
            return await _refused(request, refusal)

    return wrapped


async def landing(request: Request) -> Response:
    """Always the same page, whatever the link: it proves nothing yet, and the page tells nothing."""
    is_again = "again" in request.query_params
    base = base_of(request)
    return link_page(request, "open.html", base=base, error="", is_again=is_again, language_href=base)


async def recognise(request: Request) -> Response:
    link_id = link_id_of(request)
    form = await fields(request)
    recognised = await request.app.state.services.verifying.recognise(
        link_id, form.get("link_secret", ""), device_cookies(request)
    )
    # Under its own address, whichever was typed.
    base = f"{LINK_PREFIXES[recognised.kind]}/{link_id}"
    goal = await _inside(request, base, recognised.cookie) if recognised.is_verified else f"{base}/verify"
    response = RedirectResponse(goal, 303)
    start_recipient(request, response, link_id, recognised.cookie)
    return response


async def _inside(request: Request, base: str, cookie: SecretToken | None) -> str:
    """Where someone goes who has been let in: to read, or straight to sending when that is what they were asked."""
    answering = request.app.state.services.answering
    guest = await answering.guest(link_id_of(request), cookie)
    return f"{base}/answer" if await answering.begin_first(guest) else f"{base}/transfer"


async def verify_page(request: Request) -> Response:
    link_id = link_id_of(request)
    cookie = recipient_cookie(request, link_id)
    if (await request.app.state.services.verifying.door(link_id, cookie)).is_open:
        # Whoever goes back in the browser is not asked for another code.
        return RedirectResponse(await _inside(request, base_of(request), cookie), 303)
    return await _verify(request, "")


async def _verify(request: Request, error: str, status: int = 200, *, remembers: bool = False) -> Response:
    link_id = link_id_of(request)
    door = await request.app.state.services.verifying.door(link_id, recipient_cookie(request, link_id))
    help_phone = request.app.state.services.governing.house_style.help_phone
    return link_page(
        request,
        "verify.html",
        status,
        base=base_of(request),
        door=door,
        error=error,
        remembers=remembers,
        help_phone=help_phone,
        language_href=f"{base_of(request)}/verify",
    )


async def send_code(request: Request) -> Response:
    link_id = link_id_of(request)
    verifying = request.app.state.services.verifying
    try:
        await verifying.send_code(
            link_id, recipient_cookie(request, link_id), request.state.language.value, network=client_network(request)
        )
    except Refusal as refusal:
        if isinstance(refusal, VerificationRequired) or ANSWERS[type(refusal)].status != 429:  # noqa: PLR2004 - too many
            raise
        return await _verify(request, spoken(request, refusal), 429)
    return RedirectResponse(f"{base_of(request)}/verify", 303)


async def verify(request: Request) -> Response:
    link_id = link_id_of(request)
    services = request.app.state.services
    cookie = recipient_cookie(request, link_id)
    form = await fields(request)
    typed, remembers = form.get("code", ""), "remember" in form
    door = await services.verifying.door(link_id, cookie)
    device: DeviceCookie | None = None
    try:
        if door.method == VerificationMethod.ACCESS_CODE:
            await services.verifying.verify_access_code(link_id, cookie, typed)
        else:
            device = await services.verifying.verify_code(
                link_id, cookie, typed, remembers=remembers, devices=device_cookies(request)
            )
    except Refusal as refusal:
        if refusal.code in {"link_locked", "verification_required", "transfer_revoked", "transfer_expired", "recipient_blocked"}:
            raise
        return await _verify(request, spoken(request, refusal), ANSWERS[type(refusal)].status, remembers=remembers)
    response = RedirectResponse(await _inside(request, base_of(request), cookie), 303)
    if device is not None:
        start_device(request, response, device)
    return response


async def document(request: Request) -> Response:
    link_id = link_id_of(request)
    reader = await request.app.state.services.receiving.by_grant(link_id, recipient_cookie(request, link_id))
    return await give_document(request, reader)


async def archive(request: Request) -> Response:
    link_id = link_id_of(request)
    reader = await request.app.state.services.receiving.by_grant(link_id, recipient_cookie(request, link_id))
    return await give_archive(request, reader)


async def ask_help(request: Request) -> Response:
    link_id = link_id_of(request)
    verifying = request.app.state.services.verifying
    await verifying.ask_help(link_id)
    sender = await verifying.contact(link_id)
    help_phone = request.app.state.services.governing.house_style.help_phone
    base = base_of(request)
    return link_page(request, "help_asked.html", sender=sender, help_phone=help_phone, base=base, language_href=base)


async def leave(request: Request) -> Response:
    link_id = link_id_of(request)
    if (cookie := recipient_cookie(request, link_id)) is not None:
        await request.app.state.services.verifying.leave(cookie)
    response = link_page(request, "left.html", language_href=base_of(request))
    end_recipient(request, response, link_id)
    return response


async def device_page(request: Request) -> Response:
    """Always the same page, whatever the address: looking changes nothing and tells nothing."""
    path = request.scope["path"]
    return link_page(request, "device.html", action=path, language_href=path)


async def remove_device(request: Request) -> Response:
    await request.app.state.services.remembering.remove(request.path_params["device_id"])
    return link_page(request, "device_removed.html", language_href=request.scope["path"])


def device_routes() -> list[Route]:
    """Where the mail about a remembered device leads."""
    return [
        Route("/o/device/{device_id}", device_page, methods=["GET"]),
        Route("/o/device/{device_id}", remove_device, methods=["POST"]),
    ]


def routes(prefix: str) -> list[Route]:
    """The pages under `prefix` for links of one kind."""
    get, post = ["GET"], ["POST"]
    one = f"{prefix}/{{link_id}}"
    return [
        Route(one, landing, methods=get),
        Route(one, kindly(recognise), methods=post),
        Route(f"{one}/verify", kindly(verify_page), methods=get),
        Route(f"{one}/verify", kindly(verify), methods=post),
        Route(f"{one}/code", kindly(send_code), methods=post),
        Route(f"{one}/documents/{{document_id}}", kindly(document), methods=get),
        Route(f"{one}/archive.zip", kindly(archive), methods=get),
        Route(f"{one}/help", kindly(ask_help), methods=post),
        Route(f"{one}/leave", kindly(leave), methods=post),
    ]
