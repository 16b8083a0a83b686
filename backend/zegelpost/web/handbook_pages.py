"""Pages for everyone, without signing in: the manual, help, the statements, and where to report a weakness."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.refusals import NotFound, SignInRequired
from zegelpost.services.access import StaffActor
from zegelpost.web.handbook import CHAPTERS, PICTURES_ADDRESS
from zegelpost.web.pages import Handler, page
from zegelpost.web.sessions import portal_actor
from zegelpost.web.translation import Language

SECURITY_TXT: Final = "/.well-known/security.txt"
_REPORTING: Final = "/security"
# RFC 9116, section 2.5.5 advises less than a year; who reads an old copy asks again within the half.
_SECURITY_TXT_LIFETIME: Final = timedelta(days=180)
_PICTURE: Final = re.compile(r"[a-z-]+\.png")


async def _visitor(request: Request) -> StaffActor | None:
    """Whoever is signed in keeps the menu; everyone else reads on as well."""
    try:
        return await portal_actor(request)
    except SignInRequired:
        return None


async def contents(request: Request) -> Response:
    handbook, language = request.app.state.services.handbook, request.state.language
    chapters = [(name, handbook.chapter(name, language)) for name in CHAPTERS]
    return page(request, "manual.html", await _visitor(request), chapters=chapters)


async def chapter(request: Request) -> Response:
    name, language = request.path_params["chapter"], request.state.language
    if name not in CHAPTERS:
        raise NotFound
    handbook, place = request.app.state.services.handbook, CHAPTERS.index(name)
    before, after = (
        {"href": f"/manual/{other}", "title": handbook.chapter(other, language).title} if other else None
        for other in (CHAPTERS[place - 1] if place else "", CHAPTERS[place + 1] if place + 1 < len(CHAPTERS) else "")
    )
    shown = handbook.chapter(name, language)
    return page(request, "chapter.html", await _visitor(request), shown=shown, before=before, after=after)


async def picture(request: Request) -> Response:
    language, name = Language.of(request.path_params["language"]), request.path_params["name"]
    if language is None or not _PICTURE.fullmatch(name):
        raise NotFound
    file = request.app.state.services.handbook.picture(language, name)
    if not file.is_file():
        raise NotFound
    return FileResponse(file, media_type="image/png", headers={"Cache-Control": "public, max-age=3600"})


def _shown(name: str) -> Handler:
    """The handler of a page that is called as its file is."""

    async def handler(request: Request) -> Response:
        shown = request.app.state.services.handbook.page(name, request.state.language)
        return page(request, "handbook_page.html", await _visitor(request), shown=shown, is_help=name == "help")

    return handler


async def reporting(request: Request) -> Response:
    """How to report a weakness; only where somebody reads what is reported."""
    if request.app.state.services.settings.security_contact is None:
        raise NotFound
    return await _shown("security")(request)


async def security_txt(request: Request) -> Response:
    """RFC 9116. Without a contact there is none: a file that leads nowhere keeps people from looking on."""
    services = request.app.state.services
    contact, base_url = services.settings.security_contact, services.settings.base_url
    if contact is None:
        raise NotFound
    expires_at = (services.clock() + _SECURITY_TXT_LIFETIME).replace(hour=0, minute=0, second=0, microsecond=0)
    fields = {
        "Contact": contact,
        "Expires": f"{expires_at:%Y-%m-%dT%H:%M:%SZ}",
        "Preferred-Languages": ", ".join(Language),
        "Canonical": f"{base_url}{SECURITY_TXT}",
        "Policy": f"{base_url}{_REPORTING}",
    }
    return PlainTextResponse("".join(f"{name}: {value}\n" for name, value in fields.items()))


async def old_security_txt(request: Request) -> Response:
    """Where the file was before there was a standard (RFC 9116, section 3)."""
    if request.app.state.services.settings.security_contact is None:
        raise NotFound
    return RedirectResponse(SECURITY_TXT, 308)


def routes() -> list[Route]:
    get = ["GET"]
    return [
        Route("/manual", contents, methods=get),
        Route(f"{PICTURES_ADDRESS}/{{language}}/{{name}}", picture, methods=get),
        Route("/manual/{chapter}", chapter, methods=get),
        *(Route(f"/{name}", _shown(name), methods=get) for name in ("help", "privacy", "accessibility")),
        Route(_REPORTING, reporting, methods=get),
        Route(SECURITY_TXT, security_txt, methods=get),
        Route("/security.txt", old_security_txt, methods=get),
    ]
