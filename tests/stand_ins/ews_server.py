"""Exchange Web Services over loopback, as documented: the operations that reading contacts needs. Misbehaves on command.

Answers have the shape of Exchange 2019's. A sync state is base64 of the place in a folder's journal up to which its holder
knows everything.
"""

from __future__ import annotations

import base64
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from typing import Final
from xml.etree.ElementTree import Element, fromstring  # what comes in is our own adapter's
from xml.sax.saxutils import escape, quoteattr

from tests.stand_ins.http_server import Handler, served

USER = r"EXAMPLE\zegelpost"
PASSWORD = "s3cr:t/with@signs"
_M = "http://schemas.microsoft.com/exchange/services/2006/messages"
_T = "http://schemas.microsoft.com/exchange/services/2006/types"
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_HEADER = (
    f'<s:Header><h:ServerVersionInfo MajorVersion="15" MinorVersion="2" MajorBuildNumber="1544" MinorBuildNumber="11"'
    f' Version="V2017_07_11" xmlns:h="{_T}" xmlns="{_T}"/></s:Header>'
)
_LABELS: Final = {"mobile": "MobilePhone", "business": "BusinessPhone", "home": "HomePhone"}


@dataclass(frozen=True, slots=True)
class Card:
    """A contact as Exchange keeps it; `phones` by label."""

    name: str
    emails: Sequence[str] = ()
    phones: Mapping[str, str] = field(default_factory=dict)
    organisation: str = ""


@dataclass
class Folder:
    folder_class: str = "IPF.Contact"
    items: dict[str, Card] = field(default_factory=dict)
    journal: list[str] = field(default_factory=list)

    def put(self, item_id: str, card: Card) -> None:
        self.items[item_id] = card
        self.journal.append(item_id)

    def remove(self, item_id: str) -> None:
        del self.items[item_id]
        self.journal.append(item_id)


@dataclass
class EwsMailbox:
    folders: dict[str, Folder] = field(default_factory=lambda: {"contacts": Folder(), "inbox": Folder("IPF.Note")})
    journal: list[str] = field(default_factory=lambda: ["contacts", "inbox"])

    def folder(self, folder_id: str, folder_class: str = "IPF.Contact") -> Folder:
        if folder_id not in self.folders:
            self.folders[folder_id] = Folder(folder_class)
            self.journal.append(folder_id)
        return self.folders[folder_id]

    def remove_folder(self, folder_id: str) -> None:
        del self.folders[folder_id]
        self.journal.append(folder_id)


@dataclass(frozen=True, slots=True)
class EwsTrouble:
    """How a request ends. `code`: Exchange's own, in its answer; `is_fault`: as a SOAP fault, as for a busy server.

    Without code, status and body the connection is cut, or with a delay the answer is only late.
    """

    code: str = ""
    is_fault: bool = False
    back_off_milliseconds: int = 0
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    is_half: bool = False
    is_accepted: bool = False
    delay_seconds: float = 0
    skip: int = 0


@dataclass
class EwsServer:
    url: str
    mailboxes: dict[str, EwsMailbox] = field(default_factory=dict)
    directory: list[Card] = field(default_factory=list)
    password: str = PASSWORD
    epoch: int = 0
    page_size: int = 50
    tells_twice: bool = False
    may_impersonate: bool = True
    may_write: bool = True
    upcoming: deque[EwsTrouble] = field(default_factory=deque)
    requests: list[tuple[str, str]] = field(default_factory=list)  # operation, and who is impersonated
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def address_book_url(self) -> str:
        credentials = f"{USER}:{PASSWORD}".replace("\\", "%5C").replace("/", "%2F").replace("@", "%40")
        credentials = credentials.replace("s3cr:t", "s3cr%3At")
        return f"ews+http://{credentials}@{self.url.removeprefix('http://')}/EWS/Exchange.asmx?auth=basic"

    def mailbox(self, email: str) -> EwsMailbox:
        return self.mailboxes.setdefault(email, EwsMailbox())

    def misbehave(self, *how: EwsTrouble) -> None:
        self.upcoming.extend(how)


@contextmanager
def ews_server() -> Iterator[EwsServer]:
    """A running stand-in."""
    with served(_Handler, EwsServer) as running:
        yield running


class _Refused(Exception):
    """An answer with one of Exchange's own error codes."""


class _Handler(Handler, BaseHTTPRequestHandler):
    content_type = "text/xml; charset=utf-8"

    @property
    def ews(self) -> EwsServer:
        return self.stand_in(EwsServer)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        expected = base64.b64encode(f"{USER}:{self.ews.password}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {expected}":
            return self.answer(401, b"", {"WWW-Authenticate": 'Basic realm="mail"'})
        envelope = fromstring(content)
        operation = envelope.find(f"{{{_SOAP}}}Body")[0]  # type: ignore[index]
        name = operation.tag.removeprefix(f"{{{_M}}}")
        impersonated = envelope.findtext(f".//{{{_T}}}PrimarySmtpAddress") or ""
        how = self._trouble()
        if how is not None:
            self.ews.closing.wait(how.delay_seconds)
        with self.ews.lock:
            self.ews.requests.append((name, impersonated))
            is_only_late = how is not None and how.delay_seconds and how == EwsTrouble(delay_seconds=how.delay_seconds)
            if how is not None and not (how.is_half or how.is_accepted or is_only_late):
                return self._misbehave(name, how)
            try:
                inside = self._performed(name, operation, impersonated)
            except _Refused as refused:
                inside = _refusal(name, str(refused))
        answer = _envelope(name, inside)
        if how is not None and how.is_half:
            return self.cut(200, answer)
        if how is not None and how.is_accepted:
            return self._misbehave(name, replace(how, is_accepted=False))
        return self.answer(200, answer)

    def _trouble(self) -> EwsTrouble | None:
        if not self.ews.upcoming:
            return None
        how = self.ews.upcoming[0]
        if how.skip:
            self.ews.upcoming[0] = replace(how, skip=how.skip - 1)
            return None
        return self.ews.upcoming.popleft()

    def _misbehave(self, name: str, how: EwsTrouble) -> None:
        if how.body is not None or how.status:
            self.answer(how.status or 200, how.body or b"rosa@zorg.example is in the way", how.headers)
        elif how.is_fault:
            self.answer(500, _fault(how))
        elif how.code:
            self.answer(200, _envelope(name, _refusal(name, how.code)))
        else:
            self.close_connection = True
            self.connection.close()

    def _performed(self, name: str, operation: Element, impersonated: str) -> str:
        if name == "ResolveNames":
            return self._resolve(operation)
        if not self.ews.may_impersonate:
            raise _Refused("ErrorImpersonateUserDenied")
        mailbox = self.ews.mailboxes.get(impersonated)
        if mailbox is None:
            raise _Refused("ErrorNonExistentMailbox")
        handlers = {
            "GetFolder": self._get_folder,
            "SyncFolderHierarchy": self._sync_hierarchy,
            "SyncFolderItems": self._sync_items,
            "CreateItem": self._create,
        }
        return handlers[name](operation, mailbox)

    def _get_folder(self, operation: Element, _: EwsMailbox) -> str:
        answers = []
        for each in operation.iter(f"{{{_T}}}DistinguishedFolderId"):
            tag = "ContactsFolder" if each.get("Id") == "contacts" else "Folder"
            folder = (
                f'<t:{tag}><t:FolderId Id="{each.get("Id")}" ChangeKey="AA"/><t:ParentFolderId Id="root" ChangeKey="AA"/>'
                f"<t:FolderClass>{'IPF.Contact' if tag == 'ContactsFolder' else 'IPF'}</t:FolderClass>"
                f"<t:DisplayName>{each.get('Id')}</t:DisplayName></t:{tag}>"
            )
            answers.append(_message("GetFolder", f"<m:Folders>{folder}</m:Folders>"))
        return "".join(answers)

    def _sync_hierarchy(self, operation: Element, mailbox: EwsMailbox) -> str:
        changed, state, is_last = self._changes(operation, mailbox.journal, mailbox.folders)
        changes = []
        for folder_id, is_known in changed:
            if folder_id not in mailbox.folders:
                changes.append(f"<t:Delete><t:FolderId Id={quoteattr(folder_id)} ChangeKey='AA'/></t:Delete>")
                continue
            folder = mailbox.folders[folder_id]
            tag, change = (
                "ContactsFolder" if folder.folder_class.startswith("IPF.Contact") else "Folder",
                "Update" if is_known else "Create",
            )
            changes.append(
                f"<t:{change}><t:{tag}><t:FolderId Id={quoteattr(folder_id)} ChangeKey='AA'/>"
                f"<t:FolderClass>{folder.folder_class}</t:FolderClass></t:{tag}></t:{change}>"
            )
        return _message("SyncFolderHierarchy", _changes(changes, state, "IncludesLastFolderInRange", is_last=is_last))

    def _sync_items(self, operation: Element, mailbox: EwsMailbox) -> str:
        found = operation.find(f"{{{_M}}}SyncFolderId/{{{_T}}}FolderId")
        folder_id = (found.get("Id") if found is not None else None) or "contacts"
        folder = mailbox.folders.get(folder_id)
        if folder is None:
            raise _Refused("ErrorItemNotFound")
        changed, state, is_last = self._changes(operation, folder.journal, folder.items)
        changes = []
        for item_id, is_known in changed:
            if item_id not in folder.items:
                changes.append(f"<t:Delete><t:ItemId Id={quoteattr(item_id)} ChangeKey='AA'/></t:Delete>")
            else:
                change = "Update" if is_known else "Create"
                changes.append(f"<t:{change}>{_contact(folder.items[item_id], item_id)}</t:{change}>")
        return _message("SyncFolderItems", _changes(changes, state, "IncludesLastItemInRange", is_last=is_last))

    def _changes(
        self, operation: Element, journal: Sequence[str], there: Mapping[str, object]
    ) -> tuple[list[tuple[str, bool]], str, bool]:
        text = operation.findtext(f"{{{_M}}}SyncState")
        epoch, known, start, until = (int(part) for part in (base64.b64decode(text).decode() if text else "-1.0.0.-1").split("."))
        if text and epoch != self.ews.epoch:
            raise _Refused("ErrorInvalidSyncStateData")
        until = len(journal) if until < 0 else until
        before = set(journal[:known])
        told = [each for each in dict.fromkeys(journal[known:until]) if each in there or each in before]
        page = [(each, each in before) for each in told[start : start + self.ews.page_size]]
        if self.ews.tells_twice:
            page = [*reversed(page), *page]
        following = start + self.ews.page_size
        is_last = following >= len(told)
        state = f"{self.ews.epoch}.{until}.0.-1" if is_last else f"{self.ews.epoch}.{known}.{following}.{until}"
        return page, base64.b64encode(state.encode()).decode(), is_last

    def _create(self, operation: Element, mailbox: EwsMailbox) -> str:
        if not self.ews.may_write:
            raise _Refused("ErrorAccessDenied")
        item = next(operation.iter(f"{{{_T}}}Contact"))
        emails = [entry.text or "" for entry in item.findall(f"{{{_T}}}EmailAddresses/{{{_T}}}Entry")]
        labels = {label: name for name, label in _LABELS.items()}
        phones = {
            labels[entry.get("Key") or ""]: entry.text or "" for entry in item.findall(f"{{{_T}}}PhoneNumbers/{{{_T}}}Entry")
        }
        folder = mailbox.folders["contacts"]
        item_id = f"made-{len(folder.journal)}"
        name = item.findtext(f"{{{_T}}}DisplayName") or ""
        folder.put(item_id, Card(name, emails, phones, item.findtext(f"{{{_T}}}CompanyName") or ""))
        contact = f"<t:Contact><t:ItemId Id={quoteattr(item_id)} ChangeKey='AA'/></t:Contact>"
        return _message("CreateItem", f"<m:Items>{contact}</m:Items>")

    def _resolve(self, operation: Element) -> str:
        letters = (operation.findtext(f"{{{_M}}}UnresolvedEntry") or "").lower()
        found = [card for card in self.ews.directory if card.name.lower().startswith(letters) or letters in card.emails]
        if not found:
            raise _Refused("ErrorNameResolutionNoResults")
        resolutions = "".join(
            "<t:Resolution><t:Mailbox>"
            f"<t:Name>{escape(card.name)}</t:Name><t:EmailAddress>{escape(card.emails[0])}</t:EmailAddress>"
            "<t:RoutingType>SMTP</t:RoutingType><t:MailboxType>Mailbox</t:MailboxType></t:Mailbox>"
            f"{_contact(card, '')}</t:Resolution>"
            for card in found[:100]
        )
        last = "true" if len(found) <= 100 else "false"
        attributes = f'TotalItemsInView="{len(found)}" IncludesLastItemInRange="{last}"'
        inside = f"<m:ResolutionSet {attributes}>{resolutions}</m:ResolutionSet>"
        if len(found) == 1:
            return _message("ResolveNames", inside)
        return _message("ResolveNames", inside, "Warning", "ErrorNameResolutionMultipleResults")


def _contact(card: Card, item_id: str) -> str:
    emails = "".join(
        f'<t:Entry Key="EmailAddress{number}">{escape(email)}</t:Entry>' for number, email in enumerate(card.emails[:3], 1)
    )
    phones = "".join(f'<t:Entry Key="{_LABELS[label]}">{escape(number)}</t:Entry>' for label, number in card.phones.items())
    identifier = f"<t:ItemId Id={quoteattr(item_id)} ChangeKey='AA'/>" if item_id else ""
    return (
        f"<t:Contact>{identifier}<t:LastModifiedTime>2026-11-03T09:30:00Z</t:LastModifiedTime>"
        f"<t:DisplayName>{escape(card.name)}</t:DisplayName><t:CompanyName>{escape(card.organisation)}</t:CompanyName>"
        f"<t:EmailAddresses>{emails}</t:EmailAddresses><t:PhoneNumbers>{phones}</t:PhoneNumbers></t:Contact>"
    )


def _changes(changes: Sequence[str], state: str, last: str, *, is_last: bool) -> str:
    return (
        f"<m:SyncState>{state}</m:SyncState><m:{last}>{str(is_last).lower()}</m:{last}><m:Changes>{''.join(changes)}</m:Changes>"
    )


def _message(name: str, inside: str, response_class: str = "Success", code: str = "NoError") -> str:
    text = "" if code == "NoError" else "<m:MessageText>rosa@zorg.example is in the way.</m:MessageText>"
    return (
        f'<m:{name}ResponseMessage ResponseClass="{response_class}">{text}<m:ResponseCode>{code}</m:ResponseCode>'
        f"{inside}</m:{name}ResponseMessage>"
    )


def _refusal(name: str, code: str) -> str:
    last = {"SyncFolderItems": "IncludesLastItemInRange", "SyncFolderHierarchy": "IncludesLastFolderInRange"}.get(name)
    return _message(name, f"<m:SyncState/><m:{last}>true</m:{last}>" if last else "", "Error", code)


def _envelope(name: str, inside: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{_SOAP}">{_HEADER}'
        f'<s:Body><m:{name}Response xmlns:m="{_M}" xmlns:t="{_T}"><m:ResponseMessages>{inside}</m:ResponseMessages>'
        f"</m:{name}Response></s:Body></s:Envelope>"
    ).encode()


def _fault(how: EwsTrouble) -> bytes:
    waiting = (
        f'<t:MessageXml xmlns:t="{_T}"><t:Value Name="BackOffMilliseconds">{how.back_off_milliseconds}</t:Value></t:MessageXml>'
        if how.back_off_milliseconds
        else ""
    )
    e = "http://schemas.microsoft.com/exchange/services/2006/errors"
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{_SOAP}"><s:Body><s:Fault>'
        f"<faultcode>a:{how.code}</faultcode><faultstring>rosa@zorg.example is in the way.</faultstring>"
        f'<detail><e:ResponseCode xmlns:e="{e}">{how.code}</e:ResponseCode>'
        f'<e:Message xmlns:e="{e}">rosa@zorg.example is in the way.</e:Message>{waiting}</detail></s:Fault></s:Body></s:Envelope>'
    ).encode()
