"""Which passwords may be chosen: long, not guessable, and nothing about capitals or digits."""

from __future__ import annotations

import unicodedata

import pytest

from zegelpost.model.password import LONGEST_PASSWORD, SHORTEST_PASSWORD, NewPassword, normalised
from zegelpost.model.refusals import PasswordGuessable, PasswordTooLong, PasswordTooShort, Refusal

ANNA = ("Anna de Vries", "anna@zegelpost.example", "Gemeente Voorbeeld")


@pytest.mark.parametrize(
    "typed",
    [
        "paarse fiets onder de brug",
        "correct horse battery staple",
        "kjdrqmtvlpxw",  # no capital, no digit, no sign
        "  spaties aan beide kanten ",
        "zegelpost-fiets-onder-brug",  # the product's name and enough besides
        "fietsbel 🚲 kastanje",
        "vos leeuw tang " * 17,
    ],
)
def test_what_is_hard_to_guess_may_be_chosen(typed: str) -> None:
    assert NewPassword.parse(typed, context=ANNA).text == typed


@pytest.mark.parametrize(
    ("typed", "refusal"),
    [
        ("", PasswordTooShort),
        ("kjdrqmtvlpx", PasswordTooShort),
        ("é" * (LONGEST_PASSWORD + 1), PasswordTooLong),
        ("Wachtwoord123!", PasswordGuessable),  # what the rule of 2018 asked for
        ("Welkom01Welkom01", PasswordGuessable),
        ("Zomer2026!Zomer", PasswordGuessable),
        ("qwertyuiop12", PasswordGuessable),
        ("password1234", PasswordGuessable),
        ("111111111111", PasswordGuessable),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", PasswordGuessable),
        ("annadevries2026", PasswordGuessable),
        ("Anna de Vries", PasswordGuessable),
        ("anna@zegelpost.example", PasswordGuessable),
        ("zegelpost zegelpost", PasswordGuessable),
        ("GemeenteVoorbeeld1", PasswordGuessable),
    ],
)
def test_what_is_easy_to_guess_may_not(typed: str, refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        NewPassword.parse(typed, context=ANNA)


def test_what_others_know_counts_for_this_person_only() -> None:
    assert NewPassword.parse("quintusvandam77").text
    with pytest.raises(PasswordGuessable):
        NewPassword.parse("quintusvandam77", context=("Quintus van Dam",))


def test_length_is_counted_in_characters() -> None:
    assert len("fiéts bl€uw🚲") == SHORTEST_PASSWORD
    assert NewPassword.parse("fiéts bl€uw🚲").text


def test_one_spelling_for_what_keyboards_write_differently() -> None:
    composed, decomposed = (unicodedata.normalize(form, "één ezel zévenmaal") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert NewPassword.parse(decomposed).text == normalised(composed) == composed


def test_it_does_not_show_itself() -> None:
    assert "fiets" not in repr(NewPassword.parse("paarse fiets onder de brug"))
