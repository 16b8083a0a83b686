"""Asking Microsoft Graph: an app-only token by msal, one request at a time, and what went wrong as errors of ours.

Links that Graph hands out are kept whole, as it demands, and only followed to Graph itself. Everything here blocks.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from msal import ConfidentialClientApplication  # type: ignore[import-untyped]
from requests import RequestException, Response, Session
from requests.exceptions import SSLError

from zegelpost.model.address_book import FeedTrouble
from zegelpost.ports import AddressBookError, CursorRefusedError

API: Final = "https://graph.microsoft.com"
LOGIN: Final = "https://login.microsoftonline.com"
VERSION: Final = "/v1.0"
_SETTING: Final = "ZEGELPOST_ADDRESS_BOOK_URL"
_FORM: Final = "graph://CLIENT_ID:SECRET@TENANT_ID"
_CONNECT_SECONDS: Final = 10
_PREFERENCE: Final = 'IdType="ImmutableId", odata.maxpagesize=500'
_LARGEST_ANSWER_BYTES: Final = 32 * 1024 * 1024
_LONGEST_PAUSE_SECONDS: Final = 6 * 3600
# Graph's code for a state that it no longer has; it comes with several statuses.
_LOST_STATES: Final = {
    *("syncstatenotfound", "syncstateinvalid", "resyncrequired", "directory_resyncrequired", "directory_expiredpagetoken"),
}
_GONE: Final = "Request_ResourceNotFound"
_BUSY: Final = {429, 503, 504}


class NotInGraph(AddressBookError):
    def __init__(self) -> None:
        super().__init__("Graph knows no such mailbox or folder", trouble=FeedTrouble.MAILBOX_MISSING, is_permanent=True)


class GoneFromGraph(NotInGraph):
    """Graph itself says so. That something is not found could also be the word of whatever stands between."""


class GraphCalls:
    """One tenant, as one app registration. `timeout_seconds` bounds each wait for bytes, and doubled one whole answer."""

    def __init__(self, url: str, timeout_seconds: float, *, setting: str = _SETTING) -> None:
        # Not `parts.username`: what is encoded there stays so.
        parts = urlsplit(url)
        credentials, _, tenant = parts.netloc.rpartition("@")
        client_id, _, secret = credentials.partition(":")
        options = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.scheme != "graph" or not (client_id and secret and tenant) or set(options) - {"api", "login"}:
            raise ValueError(f"{setting} must be {_FORM}")
        self._client_id, self._secret, self._tenant = unquote(client_id), unquote(secret), unquote(tenant)
        self.api = options.get("api", API).rstrip("/")
        self._login = options.get("login", LOGIN).rstrip("/")
        if not (self.api.startswith("https://") and self._login.startswith("https://")):
            raise ValueError(f"{setting}: api and login must be https://host")
        self._timeout_seconds = timeout_seconds
        self._app: Any = None
        self._session: Session | None = None
        # At INFO it writes down where tokens come from.
        logging.getLogger("msal").setLevel(logging.WARNING)

    def get(self, url: str) -> Mapping[str, Any]:
        """Raises `NotInGraph`, `CursorRefusedError`, `AddressBookError`."""
        self.require_graph(url)
        return self._exchange("GET", url)

    def post(self, url: str, body: Mapping[str, Any]) -> None:
        self.require_graph(url)
        self._exchange("POST", url, body)

    def token(self) -> str:
        """To show at another door of the same tenant. Raises `AddressBookError`."""
        return self._token()

    def sign_in(self) -> None:
        """Get a token, and ask nothing with it. Raises `AddressBookError`."""
        self._token()

    def require_graph(self, link: str) -> None:
        """A link in an answer, or in a cursor, goes where our token goes: only to Graph."""
        try:
            parts, api = urlsplit(link), urlsplit(self.api)
            is_graph = (parts.scheme, parts.hostname, parts.port, parts.username) == (api.scheme, api.hostname, api.port, None)
        except ValueError:
            is_graph = False
        if not is_graph:
            raise unreadable("a link of Graph's leads elsewhere")

    def _exchange(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Ask once; with a new token if Graph does not want the one that we had. What a library raises stays in here."""
        for is_last_try in (False, True):
            headers = {"Authorization": f"Bearer {self._token()}", "Prefer": _PREFERENCE}
            try:
                with self._http().request(
                    method,
                    url,
                    headers=headers,
                    json=body,
                    timeout=(_CONNECT_SECONDS, self._timeout_seconds),
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    content = self._content(response)
            except RequestException as error:
                raise _broken(error) from None
            if response.status_code == 401 and not is_last_try:  # noqa: PLR2004 - RFC 9110
                self._app.remove_tokens_for_client()
                continue
            break
        return _judged(response, content)

    def _content(self, response: Response) -> bytes:
        content, deadline = bytearray(), time.monotonic() + 2 * self._timeout_seconds
        for piece in response.iter_content(64 * 1024):
            content += piece
            if len(content) > _LARGEST_ANSWER_BYTES:
                raise unreadable("an answer of Graph's is too large")
            if time.monotonic() > deadline:
                raise AddressBookError("Graph is too slow", trouble=FeedTrouble.UNREACHABLE)
        return bytes(content)

    def _http(self) -> Session:
        if self._session is None:
            self._session = Session()
        return self._session

    def _token(self) -> str:
        """An app-only token, from msal's cache while it lasts."""
        try:
            if self._app is None:
                self._app = ConfidentialClientApplication(
                    self._client_id,
                    client_credential=self._secret,
                    authority=f"{self._login}/{self._tenant}",
                    instance_discovery=False,
                    timeout=self._timeout_seconds,
                )
            answer = self._app.acquire_token_for_client(scopes=[f"{self.api}/.default"])
        except RequestException as error:
            raise _broken(error) from None
        except ValueError as error:
            # What msal makes of any answer that is not the one it wants; it quotes it.
            if "AADSTS9000" in str(error) or "invalid_tenant" in str(error):
                raise _refused("Entra knows no such tenant") from None
            raise AddressBookError("Entra's answer cannot be read", trouble=FeedTrouble.UNREACHABLE) from None
        if "access_token" not in answer:
            raise _token_refused(answer)
        return str(answer["access_token"])


def _judged(response: Response, content: bytes) -> Mapping[str, Any]:
    """The answer, if it is one. Raises what else it is, without a word of it: it may quote people."""
    status = response.status_code
    try:
        answer: Any = json.loads(content) if content else {}
    except ValueError:
        answer = None
    if 200 <= status < 300:  # noqa: PLR2004 - RFC 9110
        if not isinstance(answer, dict):
            raise unreadable("Graph's answer cannot be read")
        return answer
    error = answer.get("error") if isinstance(answer, dict) else None
    code = str(error.get("code", "")) if isinstance(error, dict) else ""
    if status == 404 and code == _GONE:  # noqa: PLR2004
        raise GoneFromGraph
    if status == 410 or code.lower() in _LOST_STATES:  # noqa: PLR2004
        raise CursorRefusedError("Graph no longer knows where we were")
    raise _trouble(status, response.headers.get("Retry-After"))


def _trouble(status: int, retry_after: str | None) -> AddressBookError:
    if status in _BUSY:
        pause = _retry_after(retry_after)
        return AddressBookError(f"Graph is busy (HTTP {status})", trouble=FeedTrouble.BUSY, retry_after_seconds=pause)
    if status >= 500:  # noqa: PLR2004 - RFC 9110, as below
        return AddressBookError(f"Graph failed (HTTP {status})", trouble=FeedTrouble.UNREACHABLE)
    if 300 <= status < 400:  # noqa: PLR2004
        return unreadable("Graph sends us elsewhere")
    answers: dict[int, AddressBookError] = {
        401: _refused("Graph refuses our token"),
        403: AddressBookError("Graph does not let us read this", trouble=FeedTrouble.PERMISSION, is_permanent=True),
        404: NotInGraph(),
    }
    other = AddressBookError(f"Graph refuses the question (HTTP {status})", trouble=FeedTrouble.OTHER, is_permanent=True)
    return answers.get(status, other)


def _retry_after(text: str | None) -> float | None:
    """Seconds, or a date (RFC 9110, section 10.2.3)."""
    if not text:
        return None
    if text.isascii() and text.isdecimal():
        seconds = float(text)
    else:
        try:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 1.0), _LONGEST_PAUSE_SECONDS)


def _token_refused(answer: Mapping[str, Any]) -> AddressBookError:
    error = str(answer.get("error", ""))
    if error in {"temporarily_unavailable", "server_error"}:
        return AddressBookError("Entra is busy", trouble=FeedTrouble.BUSY)
    codes = answer.get("error_codes")
    numbers = [str(code) for code in codes if isinstance(code, int)] if isinstance(codes, list) else []
    return _refused(f"Entra refuses our client ID or secret ({' '.join(['AADSTS' + number for number in numbers]) or 'no code'})")


def _refused(reason: str) -> AddressBookError:
    return AddressBookError(reason, trouble=FeedTrouble.CREDENTIALS, is_permanent=True)


def unreadable(reason: str) -> AddressBookError:
    return AddressBookError(reason, trouble=FeedTrouble.UNREADABLE)


def _broken(error: Exception) -> AddressBookError:
    if isinstance(error, SSLError):
        return AddressBookError("no trustworthy TLS with Microsoft", trouble=FeedTrouble.CERTIFICATE)
    return AddressBookError("Microsoft cannot be reached, or is too slow", trouble=FeedTrouble.UNREACHABLE)
