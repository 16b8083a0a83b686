"""Sessions: which cookie or token says who is asking. The one place that reads and sets them."""

from __future__ import annotations

import hmac
from typing import Final, Literal

from starlette.requests import Request
from starlette.responses import Response

from zegelpost.model.identifiers import is_identifier
from zegelpost.model.identity import JOINING_LONGEST, VISIT_LONGEST
from zegelpost.model.intake import INTRODUCTION_LIFETIME
from zegelpost.model.refusals import CrossSiteRequest, SignInRequired
from zegelpost.model.remembered_device import REMEMBERED_FOR
from zegelpost.model.secret import SecretToken
from zegelpost.model.staff_user import HALF_SIGN_IN_LONGEST, SIGN_IN_LONGEST, SignInKind
from zegelpost.services.access import HalfActor, StaffActor
from zegelpost.services.remembering import DeviceCookie

_STAFF: Final = "zegelpost-staff"
_HALF: Final = "zegelpost-half"
_WANTED: Final = "zegelpost-wanted"
_RECIPIENT: Final = "zegelpost-open"
_INTRODUCED: Final = "zegelpost-introduced"
_DEVICE: Final = "zegelpost-device"
_MOST_DEVICE_COOKIES: Final = 20  # looked at in one request
_VISIT: Final = "zegelpost-visit"
_JOINING: Final = "zegelpost-joining"


def _cookie_name(request: Request, name: str) -> str:
    # `__Host-` (RFC 6265bis, 4.1.3.2) keeps subdomains from planting one; it needs TLS, which a demo on loopback lacks.
    return f"__Host-{name}" if request.app.state.services.settings.has_tls else name


def _set(
    request: Request,
    response: Response,
    name: str,
    token: SecretToken,
    max_age: int | None,
    same_site: Literal["lax", "strict"] = "lax",
) -> None:
    response.set_cookie(
        _cookie_name(request, name),
        token.value,
        max_age=max_age,
        path="/",
        secure=request.app.state.services.settings.has_tls,
        httponly=True,
        samesite=same_site,
    )


def _get(request: Request, name: str) -> SecretToken | None:
    value = request.cookies.get(_cookie_name(request, name))
    return SecretToken(value) if value else None


# Staff in a browser


async def portal_actor(request: Request) -> StaffActor:
    """The signed-in staff user of this browser. Raises `SignInRequired`."""
    token = _get(request, _STAFF)
    if token is None:
        raise SignInRequired
    actor: StaffActor = await request.app.state.services.signing_in.actor(token, SignInKind.PORTAL)
    return actor


def start_portal(request: Request, response: Response, token: SecretToken) -> None:
    _set(request, response, _STAFF, token, int(SIGN_IN_LONGEST.total_seconds()))


def end_portal(request: Request, response: Response) -> None:
    response.delete_cookie(_cookie_name(request, _STAFF), path="/", secure=request.app.state.services.settings.has_tls)


async def half_actor(request: Request) -> tuple[HalfActor, bool]:
    """Who is halfway signing in with this browser, and whether they have a second factor. Raises `SignInRequired`."""
    token = _get(request, _HALF)
    if token is None:
        raise SignInRequired
    found: tuple[HalfActor, bool] = await request.app.state.services.signing_in.half_actor(token)
    return found


def start_half(request: Request, response: Response, token: SecretToken) -> None:
    _set(request, response, _HALF, token, int(HALF_SIGN_IN_LONGEST.total_seconds()))


def end_half(request: Request, response: Response) -> None:
    if _get(request, _HALF) is None:
        return
    response.delete_cookie(_cookie_name(request, _HALF), path="/", secure=request.app.state.services.settings.has_tls)


def remember_wanted(request: Request, response: Response, path: str) -> None:
    """Keep where they were going while they set up a second factor, which takes pages, and a while. `path` is one of ours."""
    response.set_cookie(
        _cookie_name(request, _WANTED),
        path,
        max_age=int(HALF_SIGN_IN_LONGEST.total_seconds()),
        path="/",
        secure=request.app.state.services.settings.has_tls,
        httponly=True,
        samesite="lax",
    )


def forget_wanted(request: Request, response: Response) -> None:
    name = _cookie_name(request, _WANTED)
    if name in request.cookies:
        response.delete_cookie(name, path="/", secure=request.app.state.services.settings.has_tls)


def wanted(request: Request) -> str:
    """Where they were going, as their browser has it: nobody but it vouches for it. Empty when nowhere in particular."""
    return request.cookies.get(_cookie_name(request, _WANTED), "")


def csrf_token(actor: StaffActor | HalfActor) -> str:
    """Proves that a form came from a page of this very sign-in; a second lock behind `SameSite`."""
    return hmac.new(actor.token.key_material, b"csrf", "sha256").hexdigest()


def require_csrf(actor: StaffActor | HalfActor, typed: str) -> None:
    if not hmac.compare_digest(csrf_token(actor).encode(), typed.encode()):
        raise CrossSiteRequest


# Programs


async def api_actor(request: Request) -> StaffActor:
    """The bearer of an access token (RFC 6750, section 2.1). Cookies are not looked at."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not value.strip():
        raise SignInRequired
    actor: StaffActor = await request.app.state.services.signing_in.actor(SecretToken(value.strip()), SignInKind.API)
    return actor


# Recipients, one cookie per link so that two mails can be open at once


def recipient_cookie(request: Request, link_id: str) -> SecretToken | None:
    return _get(request, f"{_RECIPIENT}-{link_id}") if is_identifier(link_id) else None


def start_recipient(request: Request, response: Response, link_id: str, token: SecretToken) -> None:
    """A cookie for as long as the browser is open; the server ends it sooner."""
    _set(request, response, f"{_RECIPIENT}-{link_id}", token, None)


def end_recipient(request: Request, response: Response, link_id: str) -> None:
    response.delete_cookie(
        _cookie_name(request, f"{_RECIPIENT}-{link_id}"), path="/", secure=request.app.state.services.settings.has_tls
    )


# Devices that recipients had remembered, one cookie for each recipient of this browser


def device_cookies(request: Request) -> list[SecretToken]:
    prefix = _cookie_name(request, f"{_DEVICE}-")
    return [SecretToken(value) for name, value in request.cookies.items() if name.startswith(prefix)][:_MOST_DEVICE_COOKIES]


def start_device(request: Request, response: Response, device: DeviceCookie) -> None:
    """Strict: only forms of our own pages need it, so a link in a mail does not bring it along."""
    _set(request, response, f"{_DEVICE}-{device.name}", device.token, int(REMEMBERED_FOR.total_seconds()), same_site="strict")


# Guests who start unasked, until the code from their mailbox was right


def introduced_cookie(request: Request) -> SecretToken | None:
    return _get(request, _INTRODUCED)


def start_introduced(request: Request, response: Response, token: SecretToken) -> None:
    _set(request, response, _INTRODUCED, token, int(INTRODUCTION_LIFETIME.total_seconds()))


def end_introduced(request: Request, response: Response) -> None:
    response.delete_cookie(_cookie_name(request, _INTRODUCED), path="/", secure=request.app.state.services.settings.has_tls)


# Staff on their way to the organisation's sign-in provider and back


def visit_cookie(request: Request) -> SecretToken | None:
    """Lax: it comes along when the provider sends the browser back here, and with nothing that another site makes it post."""
    return _get(request, _VISIT)


def start_visit(request: Request, response: Response, token: SecretToken) -> None:
    _set(request, response, _VISIT, token, int(VISIT_LONGEST.total_seconds()))


def end_visit(request: Request, response: Response) -> None:
    response.delete_cookie(_cookie_name(request, _VISIT), path="/", secure=request.app.state.services.settings.has_tls)


def joining_cookie(request: Request) -> SecretToken | None:
    return _get(request, _JOINING)


def start_joining(request: Request, response: Response, token: SecretToken) -> None:
    _set(request, response, _JOINING, token, int(JOINING_LONGEST.total_seconds()))


def end_joining(request: Request, response: Response) -> None:
    response.delete_cookie(_cookie_name(request, _JOINING), path="/", secure=request.app.state.services.settings.has_tls)
