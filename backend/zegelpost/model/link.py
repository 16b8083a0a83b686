"""The secret link that lets a recipient in."""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass, field
from typing import Final, Self

from zegelpost.model.identifiers import LinkId
from zegelpost.model.refusals import LinkWrong
from zegelpost.model.transfer import TransferKind

# Where the links of each kind of transfer begin. Answers have none: guests use the link of what they answer.
LINK_PREFIXES: Final = {TransferKind.SENDING: "/o", TransferKind.REQUEST: "/r", TransferKind.INTAKE: "/i"}

_SECRET_BYTES = 20  # 160 bits: as many as 32 base32 characters hold, so that people can type it
_TYPED = re.compile(r"[a-z2-7]{32}\Z")
# Mail programs and word processors turn hyphens into their typographic sisters (U+2010 to U+2015, U+2212), and break long
# words with characters that show nothing (U+00AD, U+200B to U+200D, U+2060, U+FEFF).
_NOISE = re.compile(r"[\s\-\u00ad\u200b-\u200d\u2010-\u2015\u2060\u2212\ufeff._<>]+")


@dataclass(frozen=True, slots=True)
class LinkSecret:
    """160 random bits in the fragment of a link. Never stored; a link can only be opened by whoever has it."""

    value: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        return cls(secrets.token_bytes(_SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the fragment or the printed code: capitals, spaces and hyphens do not matter, nor a whole pasted link.

        Raises `LinkWrong`: a malformed secret is as wrong as another's.
        """
        # Mail gateways turn `#` into `%23` or `%2523`; people paste the whole address.
        tail = re.split(r"#|%23|%2523", text.strip(), flags=re.IGNORECASE)[-1]
        folded = _NOISE.sub("", tail).lower()
        # 0, 1 and 8 are not in the alphabet and look like letters that are.
        folded = folded.translate(str.maketrans("018", "olb"))
        if not _TYPED.match(folded):
            raise LinkWrong
        return cls(base64.b32decode(folded.upper()))

    @property
    def text(self) -> str:
        """The form in the link's fragment."""
        return base64.b32encode(self.value).decode().lower()

    @property
    def printed(self) -> str:
        """The form printed in the mail for typing or pasting: eight groups of four."""
        text = self.text
        return "-".join(text[i : i + 4] for i in range(0, len(text), 4))


def link_page(base_url: str, kind: TransferKind, link_id: LinkId) -> str:
    """The page of a link, without its secret. `base_url` comes from the configuration, never from a request."""
    return f"{base_url}{LINK_PREFIXES[kind]}/{link_id}"


def link_address(base_url: str, kind: TransferKind, link_id: LinkId, secret: LinkSecret) -> str:
    """The link as mailed."""
    return f"{link_page(base_url, kind, link_id)}#{secret.text}"
