"""Texts and wraps."""

from __future__ import annotations

from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zegelpost.sealing.box import seal_box
from zegelpost.sealing.errors import FormatUnknown, TextAltered, WrapRefused
from zegelpost.sealing.keys import MessageKey, expand, extract, labelled
from zegelpost.sealing.text import open_bytes, open_text, seal_bytes, seal_text
from zegelpost.sealing.wrapping import WRAP_BYTES, WrapPurpose, link_check, unwrap_under_secret, wrap_under_secret

KEY = bytes(range(32))
PLACE = "transfer/abc/subject"
MESSAGE_KEY = MessageKey(bytes(range(32, 64)))
SECRET = bytes(range(20))
SALT = bytes(range(100, 132))


class Circumstances(TypedDict, total=False):
    purpose: WrapPurpose
    secret: bytes
    salt: bytes
    transfer_id: str
    holder_id: str
    key_id: str


RIGHT = Circumstances(
    purpose=WrapPurpose.LINK, secret=SECRET, salt=SALT, transfer_id="transfer", holder_id="rosa", key_id="2026-W52"
)


class TestTexts:
    @given(st.text(), st.text(max_size=100))
    def test_a_text_comes_back_as_it_was(self, place: str, text: str) -> None:
        assert open_text(KEY, place, seal_text(KEY, place, text)) == text

    @given(st.binary())
    def test_a_payload_comes_back_as_it_was(self, payload: bytes) -> None:
        sealed = seal_bytes(KEY, PLACE, payload)
        assert open_bytes(KEY, PLACE, sealed) == payload
        assert len(sealed) == len(payload) + 29

    def test_the_same_text_never_looks_the_same(self) -> None:
        assert len({seal_text(KEY, PLACE, "ja") for _ in range(1_000)}) == 1_000

    def test_every_flipped_byte_is_refused(self) -> None:
        sealed = seal_text(KEY, PLACE, "Dossier 12")
        for position in range(len(sealed)):
            flipped = bytearray(sealed)
            flipped[position] ^= 0x01
            with pytest.raises(FormatUnknown if position == 0 else TextAltered):
                open_text(KEY, PLACE, bytes(flipped))

    def test_every_shortened_or_lengthened_text_is_refused(self) -> None:
        sealed = seal_text(KEY, PLACE, "Dossier 12")
        for wrong in [sealed[:length] for length in range(len(sealed))] + [sealed + b"\x00"]:
            with pytest.raises(TextAltered):
                open_text(KEY, PLACE, wrong)

    @pytest.mark.parametrize("place", ["", "transfer/abd/subject", "transfer/abc/note", PLACE + " "])
    def test_a_text_opens_only_in_its_place(self, place: str) -> None:
        with pytest.raises(TextAltered):
            open_text(KEY, place, seal_text(KEY, PLACE, "Dossier 12"))

    def test_another_key_opens_nothing(self) -> None:
        with pytest.raises(TextAltered):
            open_text(bytes(32), PLACE, seal_text(KEY, PLACE, "Dossier 12"))


class TestWraps:
    @pytest.mark.parametrize("purpose", WrapPurpose)
    @pytest.mark.parametrize(("secret", "salt"), [(SECRET, SALT), (bytes(32), b""), (bytes(64), b"zegelpost token wrap v1")])
    def test_the_right_secret_opens(self, purpose: WrapPurpose, secret: bytes, salt: bytes) -> None:
        right = RIGHT | Circumstances(purpose=purpose, secret=secret, salt=salt)
        wrap = wrap_under_secret(MESSAGE_KEY, **right)
        assert len(wrap) == WRAP_BYTES
        assert unwrap_under_secret(wrap, **right) == MESSAGE_KEY

    @pytest.mark.parametrize(
        "wrong",
        [
            Circumstances(purpose=WrapPurpose.SENDER),
            Circumstances(purpose=WrapPurpose.DRAFT),
            Circumstances(purpose=WrapPurpose.GRANT),
            Circumstances(secret=bytes(20)),
            Circumstances(secret=b""),
            Circumstances(salt=b""),
            Circumstances(salt=bytes(32)),
            Circumstances(transfer_id="transfer2"),
            Circumstances(holder_id="mallory"),
            Circumstances(key_id="2026-W51"),
            Circumstances(transfer_id="transferr", holder_id="osa"),
        ],
        ids=",".join,
    )
    def test_nothing_else_opens(self, wrong: Circumstances) -> None:
        wrap = wrap_under_secret(MESSAGE_KEY, **RIGHT)
        with pytest.raises(WrapRefused):
            unwrap_under_secret(wrap, **(RIGHT | wrong))

    def test_a_relabelled_purpose_is_refused(self) -> None:
        wrap = bytearray(wrap_under_secret(MESSAGE_KEY, **RIGHT))
        wrap[1] = WrapPurpose.SENDER.value
        with pytest.raises(WrapRefused):
            unwrap_under_secret(bytes(wrap), **(RIGHT | Circumstances(purpose=WrapPurpose.SENDER)))

    def test_every_damage_gets_the_same_answer(self) -> None:
        wrap = wrap_under_secret(MESSAGE_KEY, **RIGHT)
        damaged = [wrap[:length] for length in range(len(wrap))] + [wrap + b"\x00"]
        damaged += [wrap[:i] + bytes([wrap[i] ^ 0x80]) + wrap[i + 1 :] for i in range(len(wrap))]
        for wrong in damaged:
            with pytest.raises(WrapRefused) as refusal:
                unwrap_under_secret(wrong, **RIGHT)
            assert refusal.value.args == ()

    def test_something_else_than_a_key_in_a_genuine_wrap_is_refused(self) -> None:
        context = labelled("zegelpost/1/wrap", b"\x01\x01", "transfer", "rosa", "2026-W52")
        wrap = seal_box(expand(extract(SALT, SECRET), context), bytes(16), context=context, head=WrapPurpose.LINK.head)
        with pytest.raises(WrapRefused):
            unwrap_under_secret(wrap, **RIGHT)

    def test_two_wraps_of_one_key_share_nothing(self) -> None:
        wraps = [wrap_under_secret(MESSAGE_KEY, **RIGHT)[2:] for _ in range(1_000)]
        assert len({wrap[:12] for wrap in wraps}) == len({wrap[12:] for wrap in wraps}) == 1_000

    @pytest.mark.parametrize("length", [0, 6, 15])
    def test_what_a_person_chose_protects_no_key(self, length: int) -> None:
        with pytest.raises(ValueError, match="too short"):
            wrap_under_secret(MESSAGE_KEY, **(RIGHT | Circumstances(secret=bytes(length))))

    def test_the_link_check_recognises_one_link(self) -> None:
        check = link_check(SALT, SECRET, "rosa")
        assert check == link_check(SALT, SECRET, "rosa")
        assert len({check, link_check(bytes(32), SECRET, "rosa"), link_check(SALT, bytes(20), "rosa")}) == 3
        assert check != link_check(SALT, SECRET, "guus")

    def test_the_link_check_opens_nothing(self) -> None:
        wrap = wrap_under_secret(MESSAGE_KEY, **RIGHT)
        with pytest.raises(WrapRefused):
            unwrap_under_secret(wrap, **(RIGHT | Circumstances(secret=link_check(SALT, SECRET, "rosa"))))
