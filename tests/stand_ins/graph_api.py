"""Microsoft Graph and Entra's token endpoint over TLS, as documented, on loopback. It keeps people, and misbehaves on command.

Delta queries work by a journal: a link holds the place in it up to which its holder knows everything. As the real one may,
it tells things twice, in another order, and of what changed only the properties that did.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from tests.stand_ins.http_server import Handler, served

TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
SECRET = "s3cr~et/with@signs"
_PAGE = 50


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """How a request ends. Without status, the connection is cut: before an answer, or after half of it."""

    status: int | None = None
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_half: bool = False
    delay_seconds: float = 0
    body: bytes | None = None
    is_accepted: bool = False
    skip: int = 0  # so many requests go well before


@dataclass
class Collection:
    """What one delta query is about. `journal` names who changed and what of them, in order."""

    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    journal: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    removed: dict[str, str] = field(default_factory=dict)

    def put(self, item_id: str, **properties: Any) -> None:
        self.items.setdefault(item_id, {"id": item_id}).update(properties)
        self.removed.pop(item_id, None)
        self.journal.append((item_id, frozenset(properties)))

    def remove(self, item_id: str, reason: str = "deleted") -> None:
        del self.items[item_id]
        self.removed[item_id] = reason
        self.journal.append((item_id, frozenset()))


@dataclass
class Mailbox:
    user_id: str
    folders: Collection = field(default_factory=Collection)
    sent: list[dict[str, Any]] = field(default_factory=list)  # bodies of `sendMail`
    sent_items: list[dict[str, Any]] = field(default_factory=list)
    contacts: dict[str, Collection] = field(default_factory=dict)  # by folder

    def folder(self, folder_id: str, name: str = "") -> Collection:
        if folder_id not in self.contacts:
            self.contacts[folder_id] = Collection()
            self.folders.put(folder_id, displayName=name or folder_id)
        return self.contacts[folder_id]

    def remove_folder(self, folder_id: str) -> None:
        del self.contacts[folder_id]
        self.folders.remove(folder_id)


@dataclass
class GraphApi:
    """`address_book_url` goes into `ZEGELPOST_ADDRESS_BOOK_URL`."""

    url: str
    users: Collection = field(default_factory=Collection)
    organisation_contacts: Collection = field(default_factory=Collection)
    mailboxes: dict[str, Mailbox] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=lambda: {SECRET})
    # Links from before this are refused.
    epoch: int = 0
    page_size: int = _PAGE
    tells_twice: bool = False
    tells_only_changes: bool = False
    # Lists by identifier come back empty, and who is asked for by name is not found by something else than Graph.
    lists_nobody: bool = False
    is_behind_something: bool = False
    may_write: bool = True
    may_send: bool = True
    upcoming: deque[Misbehaviour] = field(default_factory=deque)
    requests: list[tuple[str, str]] = field(default_factory=list)
    token: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def mailboxes_url(self) -> str:
        """Goes into `ZEGELPOST_MAILBOXES_URL`."""
        return self.address_book_url

    @property
    def address_book_url(self) -> str:
        secret = SECRET.replace("/", "%2F").replace("@", "%40")
        return f"graph://{CLIENT}:{secret}@{TENANT}?api={self.url}&login={self.url}"

    def mailbox(self, email: str) -> Mailbox:
        """Someone's mailbox, with the folder that everyone has."""
        if email not in self.mailboxes:
            self.mailboxes[email] = Mailbox(f"user-of-{email}")
            self.mailboxes[email].contacts["default-folder"] = Collection()
        return self.mailboxes[email]

    def misbehave(self, *how: Misbehaviour) -> None:
        self.upcoming.extend(how)

    def lose_cursors(self) -> None:
        self.epoch += 1

    def revoke_secret(self) -> None:
        self.secrets.clear()
        self.token += 1

    def requested(self, part: str) -> list[str]:
        return [path for _, path in self.requests if part in path]


@contextmanager
def graph_api(context: ssl.SSLContext) -> Iterator[GraphApi]:
    """A running stand-in, on TLS: msal talks to nothing else."""
    with served(_Handler, GraphApi, context) as running:
        yield running


class _Handler(Handler, BaseHTTPRequestHandler):
    @property
    def api(self) -> GraphApi:
        return self.stand_in(GraphApi)

    def do_GET(self) -> None:
        with self.api.lock:
            self.api.requests.append(("GET", self.path))
            path = urlsplit(self.path).path
            if path == f"/{TENANT}/v2.0/.well-known/openid-configuration":
                base = f"{self.api.url}/{TENANT}"
                endpoints = {
                    "authorization_endpoint": f"{base}/authorize",
                    "token_endpoint": f"{base}/token",
                    "issuer": f"{base}/v2.0",
                }
                return self._json(200, endpoints)
            if path.endswith("openid-configuration"):
                return self._json(400, {"error": "invalid_tenant", "error_description": "AADSTS90002: Tenant not found."})
        return self._graph("GET")

    def do_POST(self) -> None:
        if self.path.endswith("/token"):
            return self._token()
        return self._graph("POST")

    def _token(self) -> None:
        form = {name: values[0] for name, values in parse_qs(self._body().decode()).items()}
        self.api.requests.append(("POST", "/token"))
        if form.get("client_id") != CLIENT or form.get("client_secret") not in self.api.secrets:
            said = {
                "error": "invalid_client",
                "error_codes": [7000222],
                "error_description": "AADSTS7000222: The secret is expired.",
            }
            return self._json(401, said)
        if form.get("grant_type") != "client_credentials" or form.get("scope") != f"{self.api.url}/.default":
            return self._json(400, {"error": "invalid_scope", "error_codes": [70011]})
        return self._json(200, {"token_type": "Bearer", "expires_in": 3599, "access_token": f"token-{self.api.token}"})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _graph(self, method: str) -> None:
        body = self._body()
        how = self._trouble()
        if how is not None:
            self.api.closing.wait(how.delay_seconds)
        with self.api.lock:
            if method == "POST":
                self.api.requests.append((method, self.path))
            if self.headers.get("Authorization") != f"Bearer token-{self.api.token}":
                return self._error(401, "InvalidAuthenticationToken")
            # One that is only late is answered all the same.
            is_only_late = how is not None and how.delay_seconds and how.status is None and how.body is None
            if how is not None and not (how.is_half or how.is_accepted or is_only_late):
                return self._misbehave(how)
            status, answer = self._post(body) if method == "POST" else self._get()
        content = json.dumps(answer).encode()
        if how is not None and how.is_half:
            return self.cut(status, content)
        if how is not None and how.is_accepted:
            return self._misbehave(how)
        return self.answer(status, content)

    def _trouble(self) -> Misbehaviour | None:
        if not self.api.upcoming:
            return None
        how = self.api.upcoming[0]
        if how.skip:
            self.api.upcoming[0] = replace(how, skip=how.skip - 1)
            return None
        return self.api.upcoming.popleft()

    def _misbehave(self, how: Misbehaviour) -> None:
        if how.body is not None:
            self.answer(how.status or 200, how.body, how.headers)
        elif how.status is None:
            self.close_connection = True
            self.connection.close()
        else:
            self._error(how.status, how.code or "someError", how.headers)

    def _get(self) -> tuple[int, dict[str, Any]]:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = parts.path.removeprefix("/v1.0")
        user_id = unquote(path.removeprefix("/users/"))
        if user_id in self.api.users.items and not self.api.is_behind_something:
            return 200, self.api.users.items[user_id]
        if path == "/users/delta":
            return self._delta(self.api.users, path, query, is_directory=True)
        if path == "/contacts/delta":
            return self._delta(self.api.organisation_contacts, path, query, is_directory=True)
        if path in {"/users", "/contacts"}:
            return 200, {"value": self._filtered(path, query["$filter"])}
        return self._get_of_mailbox(path, query)

    def _get_of_mailbox(self, path: str, query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if sent_items := re.fullmatch(r"/users/([^/]+)/mailFolders/sentitems/messages", path):
            return self._sent_items(self._box(unquote(sent_items[1])), query)
        found = re.fullmatch(r"/users/([^/]+)(/contactFolders(?:/([^/]+)(/contacts)?)?(/delta)?)?", path)
        if found is None:
            return 404, _error("BadRequest")
        return self._mailbox(found, path, query)

    def _mailbox(self, found: re.Match[str], path: str, query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        name = unquote(found[1])
        mailbox = next((box for email, box in self.api.mailboxes.items() if name in {email, box.user_id}), None)
        if mailbox is None:
            code = "NotFound" if self.api.is_behind_something else "Request_ResourceNotFound"
            return 404, _error(code, f"Resource '{name}' does not exist")
        if found[2] is None:
            return 200, {"id": mailbox.user_id}
        if path.endswith("/contactFolders/delta"):
            return self._delta(mailbox.folders, path, query)
        if found[3] == "contacts" and not found[4]:
            return 200, {"id": "default-folder"}
        contacts = mailbox.contacts.get(unquote(found[3] or ""))
        if contacts is None:
            return 404, _error("ErrorItemNotFound")
        return self._delta(contacts, path, query)

    def _filtered(self, path: str, expression: str) -> list[dict[str, Any]]:
        if found := re.fullmatch(r"mail eq '([^']+)'", expression):
            return [{"id": user["id"]} for user in self.api.users.items.values() if user.get("mail") == found[1]]
        ids = re.findall(r"'([^']+)'", expression)
        assert expression.startswith("id in (")
        assert len(ids) <= 15
        if self.api.lists_nobody:
            return []
        collection = self.api.users if path == "/users" else self.api.organisation_contacts
        return [collection.items[each] for each in ids if each in collection.items]

    def _delta(
        self, collection: Collection, path: str, query: dict[str, str], *, is_directory: bool = False
    ) -> tuple[int, dict[str, Any]]:
        epoch, known, start, until = (int(part) for part in query.get("$token", f"{self.api.epoch}.0.0.-1").split("."))
        if epoch != self.api.epoch:
            return 410, _error("syncStateNotFound")
        until = len(collection.journal) if until < 0 else until
        # Whoever changed between, each once, the latest change last; a fresh start also leaves out who is gone.
        between = collection.journal[known:until]
        changed = list(dict.fromkeys(item_id for item_id, _ in between))
        told = [each for each in changed if known or each in collection.items]
        page = told[start : start + self.api.page_size]
        is_partial = bool(known) and is_directory and self.api.tells_only_changes
        values = [_told(collection, each, between if is_partial else None) for each in page]
        if self.api.tells_twice:
            values = [*reversed(values), *values]
        following = start + self.api.page_size
        if following < len(told):
            name, token = "nextLink", f"{epoch}.{known}.{following}.{until}"
        else:
            name, token = "deltaLink", f"{epoch}.{until}.0.-1"
        return 200, {f"@odata.{name}": f"{self.api.url}/v1.0{path}?{urlencode({'$token': token})}", "value": values}

    def _box(self, name: str) -> Mailbox | None:
        return next((box for email, box in self.api.mailboxes.items() if name in {email, box.user_id}), None)

    def _sent_items(self, box: Mailbox | None, query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        wanted = re.fullmatch(r"internetMessageId eq '([^']+)'", query.get("$filter", ""))
        if box is None or wanted is None:
            return 404, _error("ErrorItemNotFound")
        return 200, {"value": [{"id": "x"} for each in box.sent_items if each["internetMessageId"] == wanted[1]]}

    def _post_mail(self, mailbox: Mailbox | None, what: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if mailbox is None:
            return 404, _error("ErrorInvalidUser", "The requested user is invalid.")
        if not self.api.may_send:
            return 403, _error("ErrorAccessDenied")
        if what == "/sendMail":
            mailbox.sent.append(body)
            if body.get("saveToSentItems", True):
                mailbox.sent_items.append(body["message"])
            return 202, {}
        mailbox.sent_items.append(body)
        return 201, body

    def _post(self, body: bytes) -> tuple[int, dict[str, Any]]:
        if mail := re.fullmatch(r"/v1.0/users/([^/]+)(/sendMail|/mailFolders/sentitems/messages)", urlsplit(self.path).path):
            return self._post_mail(self._box(unquote(mail[1])), mail[2], json.loads(body))
        found = re.fullmatch(r"/v1.0/users/([^/]+)/contacts", urlsplit(self.path).path)
        mailbox = next((box for box in self.api.mailboxes.values() if found and box.user_id == unquote(found[1])), None)
        if mailbox is None:
            return 404, _error("Request_ResourceNotFound")
        if not self.api.may_write:
            return 403, _error("ErrorAccessDenied")
        contacts = mailbox.contacts["default-folder"]
        item_id = f"made-{len(contacts.journal)}"
        contacts.put(item_id, **json.loads(body))
        return 201, contacts.items[item_id]

    def _error(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        self.answer(status, json.dumps(_error(code, "rosa@zorg.example is in the way")).encode(), headers)

    def _json(self, status: int, content: dict[str, Any]) -> None:
        self.answer(status, json.dumps(content).encode())


def _told(collection: Collection, item_id: str, between: list[tuple[str, frozenset[str]]] | None) -> dict[str, Any]:
    if item_id not in collection.items:
        return {"id": item_id, "@removed": {"reason": collection.removed[item_id]}}
    item = collection.items[item_id]
    if between is None:
        return item
    names = {name for each, properties in between if each == item_id for name in properties}
    return {"id": item_id} | {name: item[name] for name in names}


def _error(code: str, message: str = "") -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "innerError": {"date": "2026-11-23T12:00:00"}}}
