"""Addressing: from what people typed about recipients to people we can reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from zegelpost.model.email_address import EmailAddress
from zegelpost.model.phone_number import PhoneNumber
from zegelpost.model.policy import Policy
from zegelpost.model.recipient import LONGEST_HINT, LONGEST_NAME, SHORTEST_ACCESS_CODE, Person, VerificationMethod
from zegelpost.model.refusals import (
    AccessCodeHintRevealing,
    AccessCodeHintTooLong,
    AccessCodeTooShort,
    EmailAddressInvalid,
    FormRefused,
    NameMissing,
    NameTooLong,
    PhoneCountryNotAllowed,
    PhoneNumberIsLandline,
    PhoneNumberMissing,
    PhoneNumberNotMobile,
    RecipientDuplicate,
    RecipientsMissing,
    Refusal,
    TooManyRecipients,
    VerificationMethodNotAllowed,
)


@dataclass(frozen=True, slots=True)
class TypedRecipient:
    """One row as typed, nothing checked yet."""

    name: str
    email: str
    mobile: str = ""
    method: str = ""
    access_code: str = field(default="", repr=False)
    hint: str = field(default="", repr=False)
    # Save them in the sender's address book, or in that of a department.
    is_kept: bool = False
    book: str = ""
    # The draft has their access code already, as a hash; typing it again is not needed.
    has_access_code: bool = False
    # Without a usable number: the others get it now, and this one when there is a number.
    is_parked: bool = False

    @property
    def is_empty(self) -> bool:
        return not (self.name.strip() or self.email.strip() or self.mobile.strip())


@dataclass(frozen=True, slots=True)
class Addressee:
    """A recipient-to-be: who, and how they will prove it. Without an access code, the one that the draft has stays."""

    person: Person
    method: VerificationMethod
    access_code: str | None = field(default=None, repr=False)
    hint: str = field(default="", repr=False)
    is_parked: bool = False


def address(typed: Sequence[TypedRecipient], policy: Policy, *, is_guest: bool = False) -> list[Addressee]:
    """Check all rows; raise `FormRefused` that names each refused field as `recipients.<row>.<field>`.

    `is_guest`: they are going to send us something, for which a link alone may do.
    """
    if not typed:
        raise FormRefused({"recipients": RecipientsMissing()})
    if len(typed) > policy.most_recipients:
        raise FormRefused({"recipients": TooManyRecipients(limit=policy.most_recipients)})
    refused: dict[str, Refusal] = {}
    addressees: list[Addressee] = []
    seen: set[str] = set()
    for row, recipient in enumerate(typed):
        try:
            addressee = _addressee(recipient, policy, is_guest=is_guest)
        except FormRefused as form:
            refused |= {f"recipients.{row}.{name}": refusal for name, refusal in form.fields.items()}
            continue
        if addressee.person.email.comparable in seen:
            refused[f"recipients.{row}.email"] = RecipientDuplicate()
        seen.add(addressee.person.email.comparable)
        addressees.append(addressee)
    if refused:
        raise FormRefused(refused)
    return addressees


class Known(Protocol):
    """A recipient that the draft has."""

    @property
    def person(self) -> Person: ...

    @property
    def method(self) -> VerificationMethod: ...


def keep_access_codes(typed: Sequence[TypedRecipient], known: Sequence[Known]) -> list[TypedRecipient]:
    """For forms, which never show an access code again: left empty, the one that the draft has stays."""
    coded = {each.person.email.comparable for each in known if each.method == VerificationMethod.ACCESS_CODE}
    return [
        replace(row, has_access_code=row.method == VerificationMethod.ACCESS_CODE and row.email.strip().lower() in coded)
        for row in typed
    ]


def _addressee(typed: TypedRecipient, policy: Policy, *, is_guest: bool) -> Addressee:
    refused: dict[str, Refusal] = {}
    name = " ".join(typed.name.split())
    if not name:
        refused["name"] = NameMissing()
    if len(name) > LONGEST_NAME:
        refused["name"] = NameTooLong(limit=LONGEST_NAME)
    email: EmailAddress | None = None
    try:
        email = EmailAddress.parse(typed.email)
    except EmailAddressInvalid as refusal:
        refused["email"] = refusal
    try:
        method = VerificationMethod(typed.method) if is_guest else _method(typed, email, policy)
    except VerificationMethodNotAllowed as refusal:
        raise FormRefused(refused | {"method": refusal}) from None
    mobile: PhoneNumber | None = None
    try:
        mobile = _mobile(typed.mobile, method, policy)
    except Refusal as refusal:
        # Only with a sender copy is there a key when the number comes.
        if not (typed.is_parked and method.needs_number and policy.has_sender_copy):
            refused["mobile"] = refusal
    access_code = typed.access_code.strip()
    is_kept = typed.has_access_code and not access_code
    if method == VerificationMethod.ACCESS_CODE and len(access_code) < SHORTEST_ACCESS_CODE and not is_kept:
        refused["access_code"] = AccessCodeTooShort(limit=SHORTEST_ACCESS_CODE)
    hint = ""
    try:
        hint = _hint(typed.hint, access_code) if method == VerificationMethod.ACCESS_CODE else ""
    except Refusal as refusal:
        refused["hint"] = refusal
    if refused:
        raise FormRefused(refused)
    assert email is not None
    return Addressee(
        Person(name, email, mobile),
        method,
        access_code or None if method == VerificationMethod.ACCESS_CODE else None,
        hint if method == VerificationMethod.ACCESS_CODE else "",
        is_parked=method.needs_number and mobile is None,
    )


def _hint(typed: str, access_code: str) -> str:
    hint = " ".join(typed.split())
    if len(hint) > LONGEST_HINT:
        raise AccessCodeHintTooLong(limit=LONGEST_HINT)
    if len(access_code) >= SHORTEST_ACCESS_CODE and (access_code in hint or _holds(access_code, hint)):
        raise AccessCodeHintRevealing
    return hint


def _holds(access_code: str, hint: str) -> bool:
    """Whether the hint holds the code apart from what people overlook: capitals, spaces and hyphens."""
    code, text = ("".join(c for c in each.casefold() if c.isalnum()) for each in (access_code, hint))
    return code != "" and code in text


def usable_number(typed: str, policy: Policy, method: VerificationMethod = VerificationMethod.SMS) -> PhoneNumber:
    """A number that codes can go to in this way. Raises `PhoneNumberMissing`, `PhoneNumberInvalid` and its sisters."""
    if not typed.strip():
        raise PhoneNumberMissing
    try:
        mobile = PhoneNumber.parse(typed, is_called=method == VerificationMethod.SPOKEN)
    except PhoneNumberNotMobile:
        if VerificationMethod.SPOKEN in policy.methods:
            raise PhoneNumberIsLandline from None
        raise
    if mobile.country_prefix not in policy.country_prefixes:
        raise PhoneCountryNotAllowed(prefix=mobile.country_prefix)
    return mobile


def _mobile(typed: str, method: VerificationMethod, policy: Policy) -> PhoneNumber | None:
    if not typed.strip() and not method.needs_number:
        return None
    return usable_number(typed, policy, method)


def _method(typed: TypedRecipient, email: EmailAddress | None, policy: Policy) -> VerificationMethod:
    is_colleague = email is not None and policy.is_staff_address(email)
    # Where access codes come first, forms offer them first to everyone; a colleague without one needs none.
    is_offered = typed.method == VerificationMethod.ACCESS_CODE == policy.methods[0]
    if is_colleague and (not typed.method or (is_offered and not typed.access_code.strip() and not typed.has_access_code)):
        return VerificationMethod.SIGN_IN
    if not typed.method:
        return policy.usual_method
    try:
        method = VerificationMethod(typed.method)
    except ValueError:
        raise VerificationMethodNotAllowed from None
    if method == VerificationMethod.SIGN_IN and (email is None or not policy.is_staff_address(email)):
        # An outsider has no account to sign in with.
        raise VerificationMethodNotAllowed
    if method == VerificationMethod.LINK:
        raise VerificationMethodNotAllowed
    policy.require_method(method)
    return method
