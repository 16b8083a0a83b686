"""What every request passes through. Plain ASGI classes, in the order in which `main` lists them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zegelpost.model.refusals import BodyTooLarge, CrossSiteRequest
from zegelpost.services.governing import Governing
from zegelpost.web.translation import Language, negotiate

_LOG: Final = structlog.get_logger()

LANGUAGE_COOKIE: Final = "zegelpost-language"
_SAFE: Final = {"GET", "HEAD", "OPTIONS"}
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_GUEST_UPLOAD: Final = re.compile(r"/[ori]/[^/]+/uploads(/|\Z)")
# A file with a full address book; the same again when it is confirmed.
_WIDER_LIMITS: Final = {
    "/contacts/import": 11 * 1024 * 1024,
    "/contacts/import/confirm": 11 * 1024 * 1024,
    "/admin/address-books/list": 11 * 1024 * 1024,
    "/admin/address-books/list/confirm": 11 * 1024 * 1024,
    # Servers may return a mail whole; all but its beginning is dropped.
    "/webhooks/bounces": 64 * 1024 * 1024,
}
# Asked by what stands beside the program and knows it by another name.
_FOR_MONITORING: Final = {"/healthz", "/metrics"}
# What Outlook's dialog shows on the way to being signed in: cut off from the window that opened it, it could hand nothing over.
_IN_DIALOG: Final = ("/sign-in", "/account/second-factor", "/addin/sign-in")
# These say in their address which language Outlook speaks; it is no choice of the person's, and they set no cookies.
_INSIDE_OUTLOOK: Final = ("/addin/pane", "/addin/launchevent.html")
_GUEST_FORM: Final = re.compile(r"/[ori]/[^/]+/answer/documents\Z")


@dataclass(frozen=True, slots=True)
class OurHost:
    """Answers only to the configured host: `Host` is whatever the client says, and links and origins depend on it."""

    app: ASGIApp
    host: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in _FOR_MONITORING:
            if Headers(scope=scope).get("host", "").lower() != self.host:
                await PlainTextResponse("Unknown host\n", 421)(scope, receive, send)
                return
            # Whatever asks for the request's address gets the configured one.
            scope = {**scope, "server": None}
        await self.app(scope, receive, send)


@dataclass(frozen=True, slots=True)
class SecurityHeaders:
    """Headers that no answer goes without; an answer may set a stricter one itself."""

    app: ASGIApp
    has_tls: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", PAGE_POLICY)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                # Not `no-referrer`: that makes browsers without Fetch Metadata send `Origin: null` with our own forms.
                headers.setdefault("Referrer-Policy", "same-origin")
                is_in_dialog = scope["path"].startswith(_IN_DIALOG)
                headers.setdefault("Cross-Origin-Opener-Policy", "unsafe-none" if is_in_dialog else "same-origin")
                headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
                headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
                # Older browsers read this instead of the policy. What may stand inside Outlook says so in a policy of its own.
                if "frame-ancestors 'none'" in headers["Content-Security-Policy"]:
                    headers.setdefault("X-Frame-Options", "DENY")
                # Built files carry a hash of their content in their name.
                is_built = scope["path"].startswith("/static/dist/") and message["status"] == 200  # noqa: PLR2004
                headers.setdefault("Cache-Control", "public, max-age=31536000, immutable" if is_built else "no-store")
                if self.has_tls:
                    headers.setdefault("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
            await send(message)

        await self.app(scope, receive, send_with_headers)


@dataclass(frozen=True, slots=True)
class SameSite:
    """Refuses what another site makes a browser do (the order is that of Go's `CrossOriginProtection`).

    1. Safe methods change nothing and pass.
    2. A browser that says where the request comes from is believed (Fetch Metadata).
    3. Else the origin must be ours (RFC 6454).
    4. Neither header: no browser of the last years, so no cookies of a victim; cookies are SameSite=Lax besides.

    The API is left out: it ignores cookies, so there is nothing to ride on.
    """

    app: ASGIApp
    origin: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _SAFE and not scope["path"].startswith("/api/"):
            headers = Headers(scope=scope)
            site, origin = headers.get("sec-fetch-site"), headers.get("origin")
            is_ours = site in {"same-origin", "none"} if site else origin is None or origin == self.origin
            if not is_ours:
                raise CrossSiteRequest
        await self.app(scope, receive, send)


@dataclass(frozen=True, slots=True)
class PresentPolicy:
    """Has every request see what administrators chose up to now, whichever process took their choice.

    When the database cannot be read, what was known last stands: whatever changes anything reads it again itself, and fails.
    """

    app: ASGIApp
    look: Callable[[], Awaitable[None]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in _FOR_MONITORING and not scope["path"].startswith("/static/"):
            try:
                await self.look()
            except (SQLAlchemyError, OSError) as error:
                _LOG.warning("policy_unread", kind=type(error).__name__)
        await self.app(scope, receive, send)


@dataclass(frozen=True, slots=True)
class ChosenLanguage:
    """Puts the language into the request's state and remembers a choice made with `?language=`."""

    app: ASGIApp
    has_tls: bool
    governing: Governing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("language", [None])[0]
        language = negotiate(
            query=asked,
            cookie=cookie_parser(headers.get("cookie", "")).get(LANGUAGE_COOKIE),
            accept_language=headers.get("accept-language"),
            offered=[Language(each) for each in self.governing.house_style.languages],
        )
        state: MutableMapping[str, object] = scope.setdefault("state", {})
        state["language"] = language
        is_choice = Language.of(asked) is not None and scope["path"] not in _INSIDE_OUTLOOK

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and is_choice:
                secure = "; Secure" if self.has_tls else ""
                MutableHeaders(scope=message).append(
                    "Set-Cookie", f"{LANGUAGE_COOKIE}={language.value}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly{secure}"
                )
            await send(message)

        await self.app(scope, receive, send_with_cookie)


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """Bounds bodies everywhere but in uploads, which have limits of their own."""

    app: ASGIApp
    limit_bytes: int = 1024 * 1024

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_upload(scope["path"]):
            await self.app(scope, receive, send)
            return
        limit_bytes = _WIDER_LIMITS.get(scope["path"], self.limit_bytes)
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdigit() and int(declared) > limit_bytes:
            raise BodyTooLarge(limit_bytes=limit_bytes)
        seen_bytes = 0

        async def bounded() -> Message:
            nonlocal seen_bytes
            message = await receive()
            seen_bytes += len(message.get("body", b""))
            if seen_bytes > limit_bytes:
                raise BodyTooLarge(limit_bytes=limit_bytes)
            return message

        await self.app(scope, bounded, send)


def is_upload(path: str) -> bool:
    """The tus resources and the form that adds documents without script."""
    if path.startswith(("/uploads", "/api/v1/uploads")) or is_guest_upload(path):
        return True
    return path.endswith("/documents") and (path.startswith("/transfers/") or _GUEST_FORM.match(path) is not None)


def is_guest_upload(path: str) -> bool:
    """The tus resources of a guest, under the page of their link."""
    return _GUEST_UPLOAD.match(path) is not None
