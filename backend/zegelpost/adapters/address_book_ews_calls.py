"""What reading address books asks of `exchangelib`. Everything here blocks and raises what the library raises."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from exchangelib import (  # type: ignore[import-untyped]
    BASIC,
    IMPERSONATION,
    NTLM,
    Account,
    Build,
    Configuration,
    Credentials,
    FailFast,
    Version,
)
from exchangelib import errors as e
from exchangelib.fields import FieldPath  # type: ignore[import-untyped]
from exchangelib.folders import Folder  # type: ignore[import-untyped]
from exchangelib.indexed_properties import EmailAddress as ContactAddress  # type: ignore[import-untyped]
from exchangelib.indexed_properties import PhoneNumber as ContactNumber
from exchangelib.items import ID_ONLY, Contact  # type: ignore[import-untyped]
from exchangelib.properties import DistinguishedFolderId, FolderId, Mailbox  # type: ignore[import-untyped]
from exchangelib.protocol import BaseProtocol, Protocol  # type: ignore[import-untyped]
from exchangelib.services import SyncFolderHierarchy, SyncFolderItems  # type: ignore[import-untyped]
from exchangelib.util import TNS  # type: ignore[import-untyped]

from zegelpost.model.address_book import BookEntry, EntryKey, FeedTrouble
from zegelpost.model.contact import Card
from zegelpost.ports import AddressBookError, CursorRefusedError

_PAGE: Final = 250  # of at most 512
_MOBILES_FIRST: Final = ("MobilePhone", "CarPhone", "BusinessPhone", "BusinessPhone2", "HomePhone", "HomePhone2",
                         "PrimaryPhone", "OtherTelephone", "CompanyMainPhone")  # fmt: skip
_FIELDS: Final = ("display_name", "company_name", "email_addresses", "phone_numbers", "last_modified_time")


def configuration(endpoint: str, name: str, password: str, *, is_basic: bool, timeout_seconds: int) -> Any:
    """Version and kind of sign-in are given, so that it does not try them out. Waiting and trying again is ours."""
    BaseProtocol.TIMEOUT = timeout_seconds
    return Configuration(
        service_endpoint=endpoint,
        credentials=Credentials(name, password),
        auth_type=BASIC if is_basic else NTLM,
        version=Version(Build(15, 1)),
        retry_policy=FailFast(),
        max_connections=1,
    )


def account_of(config: Any, mailbox: str) -> Any:
    return Account(mailbox, config=config, autodiscover=False, access_type=IMPERSONATION)


@dataclass(frozen=True, slots=True)
class FolderChange:
    folder_id: str
    folder_class: str
    is_gone: bool


class _FolderClasses(SyncFolderHierarchy):  # type: ignore[misc]
    """The library's own wants the root folder and all its properties first; we only need which folders keep contacts."""

    def _elem_to_obj(self, elem: Any) -> FolderChange:
        found = next(elem.iter(f"{{{TNS}}}FolderId"))
        is_gone = self.change_types_map[elem.tag] == self.DELETE
        return FolderChange(found.get("Id"), elem.findtext(f".//{{{TNS}}}FolderClass") or "", is_gone)


def folder_changes(account: Any, state: str) -> tuple[list[FolderChange], str, bool]:
    """What changed among the folders of a mailbox, the state after it, and whether that is all."""
    service = _FolderClasses(account=account)
    root = DistinguishedFolderId(id="msgfolderroot", mailbox=Mailbox(email_address=account.primary_smtp_address))
    fields = {FieldPath(field=Folder.get_field_by_fieldname("folder_class"))}
    changes = list(_raised(service.call(folder=root, shape=ID_ONLY, additional_fields=fields, sync_state=state or None)))
    return changes, service.sync_state, bool(service.includes_last_item_in_range)


@dataclass(frozen=True, slots=True)
class ItemChanges:
    entries: list[BookEntry]
    removed: list[EntryKey]
    state: str
    is_last: bool


def item_changes(account: Any, folder_id: str, state: str) -> ItemChanges | None:
    """What changed in a folder; nothing when there is no such folder any more."""
    service = SyncFolderItems(account=account)
    entries: list[BookEntry] = []
    removed: list[EntryKey] = []
    told = service.call(
        folder=FolderId(id=folder_id),
        shape=ID_ONLY,
        additional_fields=_field_paths(account.version),
        sync_state=state or None,
        ignore=None,
        max_changes_returned=_PAGE,
        sync_scope=None,
    )
    try:
        for change, item in _raised(told):
            if change == SyncFolderItems.DELETE:
                removed.append(EntryKey(f"{folder_id}/{item.id}"))
            elif isinstance(item, Contact):
                entries.append(_entry(item, folder_id, item.id))
    except (e.ErrorFolderNotFound, e.ErrorItemNotFound):
        return None
    # Some servers say that there is more and mean nothing by it.
    is_last = bool(service.includes_last_item_in_range) or service.sync_state == state
    return ItemChanges(entries, removed, service.sync_state, is_last)


def resolved(config: Any, letters: str) -> list[BookEntry]:
    """Who in the organisation's address list fits, at most a hundred; as the service account, not impersonated."""
    with warnings.catch_warnings():
        # That there are more than a hundred is no news.
        warnings.simplefilter("ignore")
        found = Protocol(config=config).resolve_names(
            [letters], return_full_contact_data=True, search_scope="ActiveDirectory", shape="AllProperties"
        )
    pairs = (each for each in found if not isinstance(each, Exception))
    return [_listed(mailbox, contact) for mailbox, contact in pairs if mailbox is not None and mailbox.email_address]


def create(account: Any, card: Card) -> None:
    Contact(
        account=account,
        folder=account.contacts,
        display_name=card.name,
        given_name=card.name,
        file_as=card.name,
        company_name=card.organisation or None,
        email_addresses=[ContactAddress(email=str(card.email), label="EmailAddress1")],
        phone_numbers=[ContactNumber(label="MobilePhone", phone_number=card.mobile.e164)] if card.mobile else None,
    ).save()


def _raised(results: Iterator[Any]) -> Iterator[Any]:
    """The library hands some errors over as if they were results."""
    for each in results:
        if isinstance(each, Exception):
            raise each
        yield each


def _field_paths(version: Any) -> set[Any]:
    paths = (FieldPath(field=Contact.get_field_by_fieldname(name)) for name in _FIELDS)
    return {each for path in paths for each in path.expand(version)}


def _entry(item: Any, folder: str, item_id: str) -> BookEntry:
    numbers = {each.label: each.phone_number or "" for each in item.phone_numbers or ()}
    changed_at = item.last_modified_time
    return BookEntry(
        key=EntryKey(f"{folder}/{item_id}"),
        folder=folder,
        name=item.display_name or "",
        organisation=item.company_name or "",
        emails=[each.email or "" for each in item.email_addresses or ()],
        numbers=[numbers[label] for label in _MOBILES_FIRST if numbers.get(label)],
        # As one of the standard library's: theirs has zones of its own.
        changed_at=datetime.fromtimestamp(changed_at.timestamp(), UTC) if changed_at is not None else None,
    )


def _listed(mailbox: Any, contact: Any) -> BookEntry:
    listed = _entry(contact, "list", mailbox.email_address) if contact is not None else None
    return BookEntry(
        key=EntryKey(f"list/{mailbox.email_address}"),
        folder="list",
        name=(listed.name if listed else "") or mailbox.name or "",
        organisation=listed.organisation if listed else "",
        emails=[mailbox.email_address],
        numbers=listed.numbers if listed else (),
    )


def judged(error: Exception) -> AddressBookError:
    """What the library raised, as one of ours. Nothing of its text goes along: it holds XML with people in it."""
    name = type(error).__name__
    if isinstance(error, (e.ErrorInvalidSyncStateData, e.ErrorSyncFolderNotFound)):
        return CursorRefusedError("Exchange no longer knows where we were")
    if isinstance(error, e.ErrorServerBusy):
        return AddressBookError("Exchange is busy", trouble=FeedTrouble.BUSY, retry_after_seconds=error.back_off)
    for classes, trouble, is_permanent in (
        ((e.UnauthorizedError, e.ErrorAccountDisabled, e.ErrorPasswordExpired), FeedTrouble.CREDENTIALS, True),
        (
            (e.ErrorImpersonateUserDenied, e.ErrorImpersonationDenied, e.ErrorAccessDenied, e.ErrorImpersonationFailed),
            FeedTrouble.PERMISSION,
            True,
        ),
        ((e.ErrorNonExistentMailbox, e.ErrorMailboxConfiguration, e.ErrorMissingEmailAddress), FeedTrouble.MAILBOX_MISSING, True),
        ((e.ErrorInternalServerTransientError, e.RateLimitError, e.ErrorMailboxStoreUnavailable), FeedTrouble.BUSY, False),
        ((e.ErrorTimeoutExpired,), FeedTrouble.UNREACHABLE, False),
        ((e.RedirectError, e.MalformedResponseError, e.SOAPError), FeedTrouble.UNREADABLE, False),
    ):
        if isinstance(error, classes):
            return AddressBookError(f"Exchange: {name}", trouble=trouble, is_permanent=is_permanent)
    if isinstance(error, e.TransportError):
        is_certificate = "CERTIFICATE" in str(error).upper()
        return AddressBookError(
            f"Exchange: {name}", trouble=FeedTrouble.CERTIFICATE if is_certificate else FeedTrouble.UNREACHABLE
        )
    if isinstance(error, e.ResponseMessageError):
        return AddressBookError(f"Exchange: {name}", trouble=FeedTrouble.OTHER, is_permanent=True)
    # Whatever else the library makes of an answer that it does not understand.
    return AddressBookError(f"Exchange's answer cannot be read ({name})", trouble=FeedTrouble.UNREADABLE)
