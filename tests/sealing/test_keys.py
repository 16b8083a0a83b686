from __future__ import annotations

import itertools
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sealing.sealed_document import SealedDocument

from zegelpost.sealing.box import open_box
from zegelpost.sealing.errors import SealBroken, TextAltered
from zegelpost.sealing.keys import DocumentKey, MessageKey, blind_index, derive, expand, extract, labelled

KEY = MessageKey(bytes(range(32)))


# RFC 5869, appendix A.1 to A.3. Its output is longer than one key; a shorter output is its beginning.
@pytest.mark.parametrize(
    ("material", "salt", "info", "pseudorandom_key", "output"),
    [
        (
            b"\x0b" * 22,
            bytes(range(13)),
            bytes(range(0xF0, 0xFA)),
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            bytes(range(0x50)),
            bytes(range(0x60, 0xB0)),
            bytes(range(0xB0, 0x100)),
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09",
        ),
        (
            b"\x0b" * 22,
            b"",
            b"",
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
)
def test_derivation_is_that_of_rfc_5869(material: bytes, salt: bytes, info: bytes, pseudorandom_key: str, output: str) -> None:
    assert extract(salt, material).hex() == pseudorandom_key
    assert output.startswith(expand(bytes.fromhex(pseudorandom_key), info).hex())
    assert output.startswith(derive(material, salt=salt, info=info).hex())


# McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test cases 13, 14 and 16, laid out as boxes.
@pytest.mark.parametrize(
    ("key", "nonce", "plain", "context", "ciphertext", "tag"),
    [
        ("00" * 32, "00" * 12, "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
        ("00" * 32, "00" * 12, "00" * 16, "", "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"),
        (
            "feffe9928665731c6d6a8f9467308308" * 2,
            "cafebabefacedbaddecaf888",
            (
                "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
            ),
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            (
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
            ),
            "76fc6ece0f4e1768cddf8853bb2d551b",
        ),
    ],
)
def test_a_box_is_aes_256_gcm(key: str, nonce: str, plain: str, context: str, ciphertext: str, tag: str) -> None:
    sealed = b"\x01" + bytes.fromhex(nonce + ciphertext + tag)
    opened = open_box(bytes.fromhex(key), sealed, context=bytes.fromhex(context), refusal=TextAltered)
    assert opened.hex() == plain


def test_keys_for_different_things_differ() -> None:
    other = MessageKey(bytes(32))
    derived = [
        key
        for message_key in (KEY, other)
        for key in (
            message_key.material,
            message_key.metadata_key(),
            message_key.manifest_key("a"),
            message_key.manifest_key("b"),
            message_key.document_key("a").material,
            message_key.document_key("b").material,
        )
    ]
    assert len(set(derived)) == len(derived)
    assert {len(key) for key in derived} == {32}


def test_generated_keys_differ() -> None:
    assert len({MessageKey.generate().material for _ in range(1_000)}) == 1_000


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_key_has_one_length(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        MessageKey(bytes(length))
    with pytest.raises(ValueError, match="32 bytes"):
        DocumentKey(bytes(length))


@pytest.mark.parametrize("key", [KEY, KEY.document_key("document")])
def test_a_key_does_not_show_itself(key: MessageKey | DocumentKey) -> None:
    for shown in (repr(key), str(key), f"{key}", repr([key])):
        assert key.material.hex() not in shown
        assert repr(key.material) not in shown
    with pytest.raises(FrozenInstanceError):
        key.material = bytes(32)  # type: ignore[misc]


def test_a_refusal_carries_no_content() -> None:
    document = SealedDocument([b"secret content"], message_key=KEY)
    document.stored[0] = document.part(0)[:-1] + b"\x00"
    with pytest.raises(SealBroken) as refusal:
        list(document.read())
    assert refusal.value.args == ()
    assert refusal.value.__cause__ is None


@given(st.lists(st.one_of(st.text(), st.binary())), st.lists(st.one_of(st.text(), st.binary())))
def test_different_fields_never_give_the_same_bytes(left: list[str | bytes], right: list[str | bytes]) -> None:
    def encoded(fields: list[str | bytes]) -> list[bytes]:
        return [field.encode() if isinstance(field, str) else field for field in fields]

    assert (labelled(*left) == labelled(*right)) == (encoded(left) == encoded(right))


def test_a_field_that_is_too_long_is_not_cut() -> None:
    assert len(labelled(bytes(65_535))) == 65_537
    with pytest.raises(ValueError, match="too long"):
        labelled(bytes(65_536))


def test_a_blind_index_depends_on_key_kind_and_value() -> None:
    found = [
        blind_index(key, kind, value)
        for key, kind, value in itertools.product((bytes(32), bytes(31) + b"\x01"), ("email", "number"), ("a", "b"))
    ]
    assert len(set(found)) == len(found)
    assert blind_index(bytes(32), "ab", "c") != blind_index(bytes(32), "a", "bc")
    assert blind_index(bytes(32), "email", "a") == blind_index(bytes(32), "email", "a")
