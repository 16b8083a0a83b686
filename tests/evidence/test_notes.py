"""Signed notes and checkpoints, held against the example of Go's `note` package and the vectors of RFC 8032."""

from __future__ import annotations

import base64
from email.message import EmailMessage

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from zegelpost.evidence.checkpoint import Checkpoint
from zegelpost.evidence.errors import EvidenceBroken, NoteMalformed, SignatureWrong
from zegelpost.evidence.note import NoteSigner, VerifierKey, open_note
from zegelpost.verifier import zegelpost_verify

# golang.org/x/mod/sumdb/note, note_test.go
KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE = TEXT + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
ORIGIN = "post.example.nl/audit"
# RFC 8032, section 7.1: public key, message, signature
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
]


def test_a_note_is_to_the_byte_what_go_makes() -> None:
    signer = NoteSigner("PeterNeumann", SEED)

    assert str(signer.key) == KEY
    assert signer.sign(TEXT) == NOTE
    assert open_note(NOTE, VerifierKey.parse(KEY)) == TEXT


@pytest.mark.parametrize(
    ("note", "refusal"),
    [
        (NOTE.replace("cryptography", "cryptographY"), SignatureWrong),
        (NOTE.replace("PeterNeumann", "EnochRoot"), SignatureWrong),
        (NOTE.replace("x08go", "x08gp"), SignatureWrong),
        (NOTE.replace("—", "-"), NoteMalformed),
        (NOTE.replace("\n\n", "\n"), NoteMalformed),
        (NOTE.rstrip("\n"), NoteMalformed),
        (NOTE.replace("problem is", "problem\tis"), NoteMalformed),
        (TEXT, NoteMalformed),
        ("", NoteMalformed),
    ],
)
def test_what_is_not_signed_is_refused(note: str, refusal: type[EvidenceBroken]) -> None:
    with pytest.raises(refusal):
        open_note(note, VerifierKey.parse(KEY))


@pytest.mark.parametrize("key", ["", "PeterNeumann", KEY.replace("c74f20a3", "c74f20a4"), KEY[:-4], KEY.replace("+AR", "+BR")])
def test_a_damaged_key_is_refused(key: str) -> None:
    with pytest.raises(NoteMalformed):
        VerifierKey.parse(key)


def test_a_checkpoint_comes_back_as_it_was_signed_and_the_verifier_reads_it_too() -> None:
    signer, checkpoint = NoteSigner(ORIGIN, SEED), Checkpoint(ORIGIN, 20852, bytes(range(32)))
    note = checkpoint.signed(signer)

    assert Checkpoint.open(note, signer.key) == checkpoint
    key = zegelpost_verify.read_key(str(signer.key))
    assert tuple(zegelpost_verify.open_checkpoint(note, key)) == (ORIGIN, 20852, bytes(range(32)))


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n020\n{base64.b64encode(bytes(32)).decode()}\n",
        f"{ORIGIN}\n20\n{base64.b64encode(bytes(31)).decode()}\n",
        f"{ORIGIN}\n-1\n{base64.b64encode(bytes(32)).decode()}\n",
        f"{ORIGIN}\n20\n",
        f"other.example/audit\n20\n{base64.b64encode(bytes(32)).decode()}\n",
    ],
)
def test_what_is_signed_but_no_checkpoint_of_ours_is_refused(text: str) -> None:
    signer = NoteSigner(ORIGIN, SEED)

    with pytest.raises(NoteMalformed):
        Checkpoint.open(signer.sign(text), signer.key)


@pytest.mark.parametrize(("public", "message", "signature"), RFC_8032)
def test_the_verifier_knows_the_vectors_of_the_standard(public: str, message: str, signature: str) -> None:
    key, said, signed = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)

    assert zegelpost_verify.is_signed(key, said, signed)
    assert not zegelpost_verify.is_signed(key, said + b"x", signed)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100), st.integers(0, 511))
@settings(deadline=None, max_examples=40)
def test_the_verifier_takes_what_cryptography_signs_and_no_flipped_bit(seed: bytes, message: bytes, bit: int) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8

    assert zegelpost_verify.is_signed(public, message, signature)
    assert not zegelpost_verify.is_signed(public, message, bytes(flipped))


def test_a_signature_that_is_another_way_to_write_the_same_is_refused() -> None:
    """RFC 8032, section 5.1.7: S has to be below L, or anyone could make a second signature."""
    private = Ed25519PrivateKey.from_private_bytes(SEED)
    signature = private.sign(b"x")
    higher = int.from_bytes(signature[32:], "little") + zegelpost_verify.L
    other = signature[:32] + higher.to_bytes(32, "little")

    assert not zegelpost_verify.is_signed(private.public_key().public_bytes_raw(), b"x", other)


def test_checkpoints_are_found_in_a_mail_that_was_forwarded() -> None:
    note = Checkpoint(ORIGIN, 7, bytes(range(32))).signed(NoteSigner(ORIGIN, SEED))
    quoted = "Zie hieronder.\r\n" + "".join(f"> {line}\r\n" for line in note.splitlines()) + "> groet"

    assert zegelpost_verify.find_notes(quoted.encode()) == [note]
    encoded = EmailMessage()
    encoded.set_content(note, cte="base64")
    assert zegelpost_verify.find_notes(encoded.as_bytes()) == [note]
    encoded.set_content(note, cte="quoted-printable")
    assert zegelpost_verify.find_notes(encoded.as_bytes()) == [note]
    # Mail programs break a line after the name.
    assert zegelpost_verify.find_notes(note.replace("audit ", "audit\n").encode()) == [note]
