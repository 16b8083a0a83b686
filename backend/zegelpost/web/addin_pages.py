"""The add-in as the server gives it out: the pane, the file for Outlook's event runtime, the sign-in dialog, and the manifests.

Pages that stand inside Outlook say so in headers of their own; nothing else of ours may be framed. None of them sets a cookie or
reads one, but for the dialog, which is a window of its own.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from zegelpost.model.refusals import AddinNeedsTls, NotFound
from zegelpost.services.access import StaffActor, require_administrator
from zegelpost.web.manifests import ICON_SIZES, MANIFEST_FOLDER, VERSION, manifest
from zegelpost.web.openapi import PREFIX
from zegelpost.web.pages import page, signed_in
from zegelpost.web.rendering import WEB

# Outlook on the web, by all of its names; new Outlook on Windows is one of them (`outlook.cloud.microsoft`).
OUTLOOK_HOSTS: Final = (
    "https://outlook.office.com",
    "https://outlook.office365.com",
    "https://outlook.cloud.microsoft",
    "https://outlook.live.com",
)
_OFFICE: Final = "https://appsforoffice.microsoft.com"
OFFICE_SCRIPT: Final = f"{_OFFICE}/lib/1/hosted/office.js"
# What Office's own script fetches besides itself.
_OFFICE_HELPER: Final = "https://ajax.aspnetcdn.com"
_PLACEHOLDER: Final = '"__ZEGELPOST_FACTS__"'
# The button of the pane, as the manifest calls it.
PANE_COMMAND: Final = "zpCompose"


def pane_policy(*, hosts: tuple[str, ...], is_demo: bool) -> str:
    """The Content-Security-Policy of what stands inside Outlook. `hosts` are an organisation's own webmail."""
    ancestors = "'self'" if is_demo else " ".join((*OUTLOOK_HOSTS, *hosts))
    return (
        f"default-src 'none'; script-src 'self' {_OFFICE} {_OFFICE_HELPER}; style-src 'self'; img-src 'self' data:;"
        f" font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
    )


def _framed(request: Request, response: Response) -> Response:
    services = request.app.state.services
    policy = pane_policy(hosts=services.settings.outlook_hosts, is_demo=services.settings.is_demo)
    response.headers["Content-Security-Policy"] = policy
    response.headers["Cross-Origin-Opener-Policy"] = "unsafe-none"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


def _facts(request: Request) -> dict[str, Any]:
    """What the pane needs to know before anyone signed in. Nothing of anyone."""
    settings = request.app.state.services.settings
    return {
        "api_url": f"{settings.base_url}{PREFIX}",
        "portal_url": settings.base_url,
        "sign_in_url": f"{settings.base_url}/addin/sign-in",
        "help_phone": request.app.state.services.governing.house_style.help_phone or "",
        "keeps_sent_copy": settings.mailboxes_url is not None,
        "nested": _nested(settings),
    }


def _nested(settings: Any) -> dict[str, str] | None:
    """How to sign in inside Outlook itself (nested app authentication), which only Entra ID has."""
    provider = settings.sign_in_provider
    if provider is None or provider.entra_tenant is None:
        return None
    return {
        "client_id": provider.client_id,
        "authority": provider.entrance.removesuffix("/v2.0"),
        "scope": f"api://{provider.client_id}/access_as_user",
    }


async def pane(request: Request) -> Response:
    """One page for writing and for reading; the script sees which."""
    services = request.app.state.services
    is_stand_in = services.settings.is_demo and "client" in request.query_params
    html = services.templates.render(
        "addin_pane.html",
        request.state.language,
        facts=json.dumps(_facts(request)),
        office_script="" if is_stand_in else OFFICE_SCRIPT,
    )
    return _framed(request, HTMLResponse(html))


async def launch_page(request: Request) -> Response:
    html = request.app.state.services.templates.render(
        "addin_launchevent.html",
        request.state.language,
        office_script=OFFICE_SCRIPT,
    )
    return _framed(request, HTMLResponse(html))


async def launch_script(request: Request) -> Response:
    """The guard. Outlook loads it by one address for years, so it has no hash in its name.

    It may be kept, and has to be asked about each time: an administrator who makes the guard stricter means now.
    """
    services = request.app.state.services
    source = (WEB / "static/dist/launchevent.js").read_text(encoding="utf-8")
    facts = {
        "staff_domains": list(services.policy.staff_domains),
        "guard_mode": services.policy.guard_mode.value,
        "command_id": PANE_COMMAND,
    }
    script = source.replace(_PLACEHOLDER, json.dumps(facts))
    tag = f'"{hashlib.sha256(script.encode()).hexdigest()[:32]}"'
    headers = {"Cache-Control": "public, no-cache", "ETag": tag, "Cross-Origin-Resource-Policy": "cross-origin"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(script, media_type="text/javascript", headers=headers)


async def allowed(request: Request) -> Response:
    """Which file the event runtime may run; classic Outlook looks here."""
    return JSONResponse({"allowed": [f"{request.app.state.services.settings.base_url}/addin/launchevent.js"]})


async def sign_in(request: Request, actor: StaffActor) -> Response:
    """The dialog: signed in like the portal, it hands a code to the pane, which shares no cookies with it."""
    services = request.app.state.services
    code = await services.handing_over_sign_in.make_code(actor)
    response = page(request, "addin_signed_in.html", None, code=code.value, office_script=OFFICE_SCRIPT)
    ancestors = pane_policy(hosts=(), is_demo=services.settings.is_demo).partition(" frame-ancestors ")[0]
    response.headers["Content-Security-Policy"] = f"{ancestors} frame-ancestors 'none'"
    return response


async def manifest_xml(request: Request) -> Response:
    return _manifest(request, is_on_premises=False)


async def manifest_onprem_xml(request: Request) -> Response:
    return _manifest(request, is_on_premises=True)


def _manifest(request: Request, *, is_on_premises: bool) -> Response:
    settings = request.app.state.services.settings
    # A demonstration's may be looked at; nobody deploys it.
    if not settings.has_tls and not settings.is_demo:
        raise AddinNeedsTls
    text = manifest(settings.base_url, request.app.state.services.governing.house_style.name, is_on_premises=is_on_premises)
    name = "manifest-onprem.xml" if is_on_premises else "manifest.xml"
    return Response(text, media_type="application/xml", headers={"Content-Disposition": f'attachment; filename="{name}"'})


async def icon(request: Request) -> Response:
    size = request.path_params["size"]
    if size not in ICON_SIZES:
        raise NotFound
    headers = {"Cache-Control": "public, max-age=86400", "Cross-Origin-Resource-Policy": "cross-origin"}
    return FileResponse(MANIFEST_FOLDER / f"icons/icon-{size}.png", media_type="image/png", headers=headers)


async def support(request: Request) -> Response:
    return page(request, "addin_support.html", None, language_href="/addin/support")


async def deployment(request: Request, actor: StaffActor) -> Response:
    """For administrators: how the add-in gets to everyone."""
    require_administrator(actor)
    services = request.app.state.services
    settings = services.settings
    return page(
        request,
        "addin_deployment.html",
        actor,
        current_page="administration",
        base_url=settings.base_url,
        has_tls=settings.has_tls,
        outlook_hosts=settings.outlook_hosts,
        seen=await services.seeing_outlooks.seen(actor),
        manifest_version=VERSION,
    )


def routes() -> list[Route]:
    get = ["GET"]
    return [
        Route("/addin/pane", pane, methods=get),
        Route("/addin/launchevent.html", launch_page, methods=get),
        Route("/addin/launchevent.js", launch_script, methods=get),
        Route("/.well-known/microsoft-officeaddins-allowed.json", allowed, methods=get),
        Route("/addin/sign-in", signed_in(sign_in), methods=get),
        Route("/addin/manifest.xml", manifest_xml, methods=get),
        Route("/addin/manifest-onprem.xml", manifest_onprem_xml, methods=get),
        Route("/addin/icons/icon-{size:int}.png", icon, methods=get),
        Route("/addin/support", support, methods=get),
        Route("/admin/add-in", signed_in(deployment), methods=get),
    ]
