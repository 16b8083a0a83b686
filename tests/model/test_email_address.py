from __future__ import annotations

import pytest

from zegelpost.model.email_address import EmailAddress
from zegelpost.model.refusals import EmailAddressInvalid


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("rosa@zorg.example", "rosa@zorg.example"),
        ("  rosa@zorg.example\n", "rosa@zorg.example"),
        ("Rosa.de-Wit+zegel@Zorg.EXAMPLE", "Rosa.de-Wit+zegel@zorg.example"),
        ("o'neil@zorg.example", "o'neil@zorg.example"),
        ("a@b.nl", "a@b.nl"),
        ("rosa@zörg.example", "rosa@xn--zrg-sna.example"),
        ("rosa@ZÖRG.example", "rosa@xn--zrg-sna.example"),
        ("rosa@zo\u0308rg.example", "rosa@xn--zrg-sna.example"),
        ("rosa@xn--zrg-sna.example", "rosa@xn--zrg-sna.example"),
        (f"{'a' * 64}@zorg.example", f"{'a' * 64}@zorg.example"),
        (f"{'a' * 64}@{('b' * 63 + '.') * 2}{'c' * 58}.nl", f"{'a' * 64}@{('b' * 63 + '.') * 2}{'c' * 58}.nl"),
    ],
)
def test_reads_addresses_as_people_type_them(typed: str, read: str) -> None:
    assert str(EmailAddress.parse(typed)) == read


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "rosa",
        "rosa@",
        "@zorg.example",
        "rosa@zorg",
        "rosa zorg@zorg.example",
        "rosa@@zorg.example",
        "a@b@zorg.example",
        ".rosa@zorg.example",
        "rosa.@zorg.example",
        "ro..sa@zorg.example",
        # Names, lists and comments: whatever could become a second recipient.
        "Rosa <rosa@zorg.example>",
        '"Rosa" <rosa@zorg.example>',
        '"rosa"@zorg.example',
        '"rosa@evil.example,"@zorg.example',
        "rosa(comment)@zorg.example",
        "rosa@zorg.example,mallory@evil.example",
        "rosa@zorg.example;mallory@evil.example",
        "rosa,mallory@evil.example",
        "rosa@zorg.example mallory@evil.example",
        "mailto:rosa@zorg.example",
        # Lines of a header.
        "a@b\nBcc: mallory@evil.example",
        "a@b.nl\nBcc: mallory@evil.example",
        "a@b.nl\r\nBcc: mallory@evil.example",
        "a\nBcc: mallory@evil.example",
        "a@b.nl\x00",
        "a\x00@b.nl",
        "a\u2028@b.nl",
        # Encoded words (RFC 2047), which Python's header parser decodes within an address.
        "=?utf-8?q?mallory=40evil.example=2c?=@zorg.example",
        "=?utf-8?q?=0aBcc=3a=20mallory=40evil.example?=@zorg.example",
        "=?utf-8?b?bWFsbG9yeUBldmlsLmV4YW1wbGUs?=@zorg.example",
        "x=?us-ascii?q?a?=@zorg.example",
        # Local parts that other systems read as a route, an account of another, or another script.
        "rosa\\@zorg.example",
        "rösa@zorg.example",
        "rosa\u200b@zorg.example",
        # Domains.
        "rosa@[127.0.0.1]",
        "rosa@127.0.0.1",
        "rosa@zorg.123",
        "rosa@-zorg.example",
        "rosa@zorg-.example",
        "rosa@zo_rg.example",
        "rosa@zorg..example",
        "rosa@zorg.example.",
        "rosa@.zorg.example",
        "rosa@zorg.example/x",
        "rosa@zorg.example:25",
        "rosa@evil.example%00.zorg.example",
        # Characters that one standard maps to others and another does not: the mail could go elsewhere than it reads.
        "rosa@straße.example",
        "rosa@zo\u200drg.example",
        "rosa@zo\u00adrg.example",
        "rosa@zorg℡.example",
        "rosa@\uff5aorg.example",
        "rosa@zorg。example",
        # RFC 5321, section 4.5.3.1.
        f"{'a' * 65}@zorg.example",
        f"rosa@{'b' * 64}.example",
        f"{'a' * 64}@{('b' * 63 + '.') * 2}{'c' * 59}.nl",
        f"{'a' * 64}@{('ö' + 'b' * 55 + '.') * 3}nl",
        f"rosa@{'ö' * 63}.example",
    ],
)
def test_refuses_what_is_no_plain_mailbox(typed: str) -> None:
    with pytest.raises(EmailAddressInvalid):
        EmailAddress.parse(typed)


def test_two_spellings_of_one_mailbox_are_comparable() -> None:
    assert EmailAddress.parse("Rosa@ZORG.example").comparable == EmailAddress.parse("rosa@zorg.example").comparable
    assert EmailAddress.parse("rosa@zorg.example").comparable != EmailAddress.parse("ros@zorg.example").comparable
