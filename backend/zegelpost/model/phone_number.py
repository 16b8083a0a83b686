"""Telephone numbers as people type them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Self

import phonenumbers
from phonenumbers import PhoneNumberType

from zegelpost.model.refusals import PhoneNumberInvalid, PhoneNumberNotCallable, PhoneNumberNotMobile

_MOBILE = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}
# Where somebody picks up, and where a call costs what calls cost: no premium or shared-cost numbers. UAN: 088 in the Netherlands.
_CALLED = {*_MOBILE, PhoneNumberType.FIXED_LINE, PhoneNumberType.VOIP, PhoneNumberType.UAN}
# 097 is for machines (connected meters, cars); the library counts it as mobile, but no person reads SMS there.
_DUTCH_MACHINE = "+3197"
# The library would dial letters as on a keypad and leave out extensions and words; each of them is more likely a slip.
_TYPED = re.compile(r"[\d\s+()./\-\u2010-\u2015\u2212\uff0b]+\Z")


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A number that a code can reach, in E.164 (`+31612345678`): a mobile, or any that is called."""

    e164: str

    @classmethod
    def parse(cls, text: str, *, home_region: str = "NL", is_called: bool = False) -> Self:
        """Read any notation people use (`06-12 34 56 78`, `0031…`, `+31 (0)6…`).

        `is_called`: somebody picks it up and listens, so that it may be a landline. Raises `PhoneNumberInvalid` for what is no
        number, and `PhoneNumberNotMobile` or `PhoneNumberNotCallable` for one that no code can reach in that way.
        """
        # Address books put invisible direction marks around numbers.
        visible = "".join(c for c in text if unicodedata.category(c) != "Cf")
        if not _TYPED.match(visible):
            raise PhoneNumberInvalid
        try:
            number = phonenumbers.parse(visible, home_region)
        except phonenumbers.NumberParseException:
            raise PhoneNumberInvalid from None
        if not phonenumbers.is_valid_number(number):
            raise PhoneNumberInvalid
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        if phonenumbers.number_type(number) not in (_CALLED if is_called else _MOBILE) or e164.startswith(_DUTCH_MACHINE):
            raise PhoneNumberNotCallable if is_called else PhoneNumberNotMobile
        return cls(e164)

    @property
    def last_digits(self) -> str:
        """The two digits a recipient sees, enough to notice that a code would go to the wrong telephone."""
        return self.e164[-2:]

    @property
    def masked(self) -> str:
        """The number with all but country and last two digits hidden, for reports and lists."""
        country = phonenumbers.parse(self.e164).country_code
        return f"+{country} •••••• {self.last_digits}"

    @property
    def country_prefix(self) -> str:
        return f"+{phonenumbers.parse(self.e164).country_code}"

    def __str__(self) -> str:
        return self.e164
