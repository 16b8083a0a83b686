from __future__ import annotations

import pytest

from zegelpost.model.phone_number import PhoneNumber
from zegelpost.model.refusals import PhoneNumberInvalid, PhoneNumberNotCallable, PhoneNumberNotMobile


@pytest.mark.parametrize(
    ("typed", "e164"),
    [
        ("0612345678", "+31612345678"),
        ("06-12 34 56 78", "+31612345678"),
        ("06 - 12345678", "+31612345678"),
        ("06.12.34.56.78", "+31612345678"),
        ("06/12345678", "+31612345678"),
        ("(06) 12345678", "+31612345678"),
        ("  0612345678\t", "+31612345678"),
        ("06\u00a012345678", "+31612345678"),
        ("06\u201112345678", "+31612345678"),
        ("\u202a+31 6 12345678\u202c", "+31612345678"),
        ("+31612345678", "+31612345678"),
        ("+31 (0)6 12345678", "+31612345678"),
        ("+31(0)612345678", "+31612345678"),
        ("+31 06 12345678", "+31612345678"),
        ("0031612345678", "+31612345678"),
        ("00 31 6 1234 5678", "+31612345678"),
        ("31612345678", "+31612345678"),
        ("612345678", "+31612345678"),
        ("\uff10\uff16\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18", "+31612345678"),
        ("+32 470 12 34 56", "+32470123456"),
        ("0032470123456", "+32470123456"),
        ("+49 1512 3456789", "+4915123456789"),
        ("+44 7400 123456", "+447400123456"),
        ("+44 (0)7400 123456", "+447400123456"),
        ("+1 (202) 555-0143", "+12025550143"),
    ],
)
def test_reads_every_notation(typed: str, e164: str) -> None:
    assert PhoneNumber.parse(typed).e164 == e164


@pytest.mark.parametrize(
    ("typed", "refusal"),
    [
        ("020 123 4567", PhoneNumberNotMobile),
        ("+31 20 794 0800", PhoneNumberNotMobile),
        ("+32 2 501 02 11", PhoneNumberNotMobile),
        ("+44 20 7946 0958", PhoneNumberNotMobile),
        ("0800 1234", PhoneNumberNotMobile),
        ("0900 1234567", PhoneNumberNotMobile),
        ("14020", PhoneNumberNotMobile),
        ("097012345678", PhoneNumberNotMobile),  # a machine's
        ("112", PhoneNumberInvalid),
        ("", PhoneNumberInvalid),
        ("+", PhoneNumberInvalid),
        ("061234567", PhoneNumberInvalid),
        ("06123456789", PhoneNumberInvalid),
        ("+31 6 1234567", PhoneNumberInvalid),
        ("+999 612345678", PhoneNumberInvalid),
        ("06 CALL ME NOW", PhoneNumberInvalid),
        ("0612345abc", PhoneNumberInvalid),
        ("O612345678", PhoneNumberInvalid),
        ("06l2345678", PhoneNumberInvalid),
        ("bel 0612345678", PhoneNumberInvalid),
        ("0612345678 of 0687654321", PhoneNumberInvalid),
        ("0612345678 / 0687654321", PhoneNumberInvalid),
        ("0612345678\n0687654321", PhoneNumberInvalid),
        ("0612345678x5", PhoneNumberInvalid),
        ("0612345678;phone-context=+32", PhoneNumberInvalid),
        ("+31612345678;ext=1", PhoneNumberInvalid),
        ("tel:+31612345678", PhoneNumberInvalid),
        ("1" * 10_000, PhoneNumberInvalid),
    ],
)
def test_says_what_is_wrong(typed: str, refusal: type[Exception]) -> None:
    with pytest.raises(refusal) as caught:
        PhoneNumber.parse(typed)
    assert type(caught.value) is refusal


def test_shows_no_more_than_asked() -> None:
    number = PhoneNumber.parse("+32 470 12 34 56")

    assert number.last_digits == "56"
    assert number.country_prefix == "+32"
    assert number.masked == "+32 •••••• 56"


@pytest.mark.parametrize(
    ("typed", "e164"),
    [
        ("020 123 4567", "+31201234567"),
        ("0118-123456", "+31118123456"),
        ("088 123 45 67", "+31881234567"),
        ("085 123 45 67", "+31851234567"),
        ("06 12 34 56 78", "+31612345678"),
        ("+32 2 501 02 11", "+3225010211"),
    ],
)
def test_any_number_where_somebody_picks_up_can_be_called(typed: str, e164: str) -> None:
    assert PhoneNumber.parse(typed, is_called=True).e164 == e164


@pytest.mark.parametrize(
    ("typed", "refusal"),
    [
        ("0900 1234567", PhoneNumberNotCallable),
        ("0909 1234", PhoneNumberNotCallable),
        ("0800 1234", PhoneNumberNotCallable),
        ("097012345678", PhoneNumberNotCallable),
        ("112", PhoneNumberInvalid),
        ("020 12345", PhoneNumberInvalid),
        ("", PhoneNumberInvalid),
    ],
)
def test_nobody_earns_by_being_called(typed: str, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        PhoneNumber.parse(typed, is_called=True)
