from __future__ import annotations

import pytest

from zegelpost.model.identifiers import LinkId
from zegelpost.model.link import LinkSecret, link_address
from zegelpost.model.refusals import LinkWrong
from zegelpost.model.transfer import TransferKind

TEXT = "abcdefghijklmnopqrstuvwxyz234567"
SECRET = LinkSecret.parse(TEXT)
PAGE = "https://post.example.nl/o/aaaaaaaaaaaaaaaaaaaaaaaaaa"


@pytest.mark.parametrize(
    "typed",
    [
        TEXT,
        f"#{TEXT}",
        f"%23{TEXT}",
        f"%2523{TEXT}",
        f"{PAGE}#{TEXT}",
        f"{PAGE}%23{TEXT}",
        f"{PAGE}%2523{TEXT}",
        f"<{PAGE}#{TEXT}>",
        f"{PAGE}#{TEXT}.",
        f"  {TEXT}\r\n",
        TEXT.upper(),
        "abcd-efgh-ijkl-mnop-qrst-uvwx-yz23-4567",
        "ABCD EFGH IJKL MNOP QRST UVWX YZ23 4567",
        "abcd\u2011efgh\u2013ijkl\u2014mnop\u2212qrst_uvwx.yz23\u00a04567",
        "abcd-efgh-ijkl-mnop-\nqrst-uvwx-yz23-4567",
        "abcdefghijklmnop\u00adqrstuvwxyz234567",
        "\ufeffabcdefghijklmnop\u200bqrstuvwxyz234567",
        # What people read where the alphabet has no 0, 1 or 8: o, l, b.
        "a8cdefghijk1mn0pqrstuvwxyz234567",
    ],
)
def test_reads_the_secret_whatever_happened_to_it(typed: str) -> None:
    assert LinkSecret.parse(typed) == SECRET


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "#",
        PAGE,
        f"{PAGE}#",
        TEXT[:-1],
        f"{TEXT}a",
        f"{TEXT[:-1]}9",
        f"{TEXT[:-1]}é",
        f"{TEXT} {TEXT}",
        TEXT[:16],
        "x" * 100_000,
    ],
)
def test_anything_else_is_as_wrong_as_anothers(typed: str) -> None:
    with pytest.raises(LinkWrong):
        LinkSecret.parse(typed)


def test_a_secret_survives_print_and_link_and_does_not_show_itself() -> None:
    secret = LinkSecret.generate()

    address = link_address("https://x.nl", TransferKind.SENDING, LinkId("l"), secret)
    assert LinkSecret.parse(secret.printed) == LinkSecret.parse(address) == secret
    assert len(secret.value) * 8 == 160
    assert secret.text not in repr(secret)
    assert repr(secret.value) not in repr(secret)
