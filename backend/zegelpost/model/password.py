"""Passwords as people choose them. `backend/docs/decisions/passwords.md` says why these rules and no others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Self

from zxcvbn_rs_py import zxcvbn

from zegelpost.model.refusals import PasswordGuessable, PasswordTooLong, PasswordTooShort

SHORTEST_PASSWORD: Final = 12  # characters
LONGEST_PASSWORD: Final = 256
# What zxcvbn calls safely unguessable (its score 3): 10^8 guesses, behind a slow hash and a limit on tries.
_ENOUGH_GUESSES_LOG10: Final = 8
# What Dutch offices choose, and the lists that zxcvbn brings are English: the product, the word itself, seasons.
_EXPECTED: Final = ("zegelpost", "wachtwoord", "welkom", "geheim", "lente", "zomer", "herfst", "winter", "gemeente", "inspectie")
_SHORTEST_WORD: Final = 3


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A password that may be used from now on."""

    text: str = field(repr=False)

    @classmethod
    def parse(cls, typed: str, *, context: Iterable[str] = ()) -> Self:
        """Check what was typed, and change nothing in it but its Unicode form.

        `context` is what others know of the person: name, address, organisation. What is left without those words has to be
        hard to guess by itself (ASVS 5.0, 6.2.11). Raises `PasswordTooShort`, `PasswordTooLong` or `PasswordGuessable`.
        """
        text = normalised(typed)
        if len(text) < SHORTEST_PASSWORD:
            raise PasswordTooShort(limit=SHORTEST_PASSWORD)
        if len(text) > LONGEST_PASSWORD:
            raise PasswordTooLong(limit=LONGEST_PASSWORD)
        rest = text.lower()
        for word in sorted(_words(context), key=len, reverse=True):
            rest = rest.replace(word, "")
        for guessed in (text, rest):
            # zxcvbn knows nothing of an empty text.
            if not guessed or zxcvbn(guessed).guesses_log10 < _ENOUGH_GUESSES_LOG10:
                raise PasswordGuessable
        return cls(text)


def normalised(typed: str) -> str:
    """One form (NFC, UAX 15) for the spellings that keyboards give the same letters (NIST SP 800-63B-4, section 3.1.1.2)."""
    return unicodedata.normalize("NFC", typed)


def _words(context: Iterable[str]) -> set[str]:
    """The parts of names and addresses, and the whole of them without spaces."""
    words = set(_EXPECTED)
    for text in context:
        parts = re.split(r"[^\w]+", text.lower())
        words |= {*parts, "".join(parts)}
    return {word for word in words if len(word) >= _SHORTEST_WORD}
