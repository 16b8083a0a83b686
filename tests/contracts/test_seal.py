"""The seal: whoever holds the PDF can tell with their own reader that nothing was changed, and whose it is."""

from __future__ import annotations

import io
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.generic import TextStringObject
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from tests.contracts.test_pdf import DOCUMENT, attachments_of, printer_of, words_of

from zegelpost.adapters.seal_pyhanko import PyHankoSeal, read_seal
from zegelpost.ports import SealError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("seal")


@pytest.fixture(scope="module")
def seal(folder: Path) -> PyHankoSeal:
    return PyHankoSeal(folder / "seal.pem", makes="Gemeente Voorbeeld")


def what_poppler_says(pdf: bytes, tmp_path: Path) -> str:
    """The report of `pdfsig`, which knows nothing of pyHanko."""
    path = tmp_path / "sealed.pdf"
    path.write_bytes(pdf)
    return subprocess.run(["pdfsig", "-nocert", path], capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("kind", ["weasyprint", "pdfkit"])
async def test_another_reader_finds_the_seal_valid_and_over_all_of_the_file(
    seal: PyHankoSeal, kind: str, tmp_path: Path, folder: Path
) -> None:
    made = await printer_of(kind).print(DOCUMENT)

    sealed = await seal.seal(made)

    said = what_poppler_says(sealed, tmp_path)
    assert "Signature Validation: Signature is Valid." in said
    assert "Total document signed" in said
    assert "ETSI.CAdES.detached" in said
    assert "Signer Certificate Common Name: Gemeente Voorbeeld" in said
    found = await read_seal(sealed)
    assert found is not None
    assert (found.name, found.is_self_signed) == ("Gemeente Voorbeeld", True)
    assert found.fingerprint == seal.certificate().fingerprint(hashes.SHA256()).hex()
    assert words_of(sealed) == words_of(made)
    assert attachments_of(sealed) == attachments_of(made)


async def test_the_sealed_one_for_archives_stays_one_for_archives_and_screen_readers(seal: PyHankoSeal) -> None:
    pdf = pikepdf.open(io.BytesIO(await seal.seal(await printer_of("weasyprint").print(DOCUMENT))))

    with pdf.open_metadata() as metadata:
        assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"], metadata["pdfuaid:part"]) == ("3", "A", "1")
    [field] = pdf.Root.AcroForm.Fields.as_list()
    flags, (left, bottom, right, top) = int(field.F), [float(edge) for edge in field.Rect.as_list()]
    # PDF/A (ISO 19005-3, 6.3.2): printable, not hidden. PDF/UA (Matterhorn 28-002): off the page, as it is in no structure.
    assert flags & 0b100
    assert not flags & 0b100011
    assert (right - left, top - bottom) == (0, 0)
    assert right < 0
    assert top < 0
    assert "/NeedAppearances" not in pdf.Root.AcroForm
    # Certified, and no change is allowed.
    assert int(pdf.Root.Perms.DocMDP.Reference[0].TransformParams.P) == 1


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
async def test_a_changed_byte_breaks_the_seal(seal: PyHankoSeal, where: float) -> None:
    sealed = bytearray(await seal.seal(await printer_of("weasyprint").print(DOCUMENT)))
    start = sealed.find(b"/ByteRange")
    at = int(start * where)
    sealed[at] ^= 1

    with pytest.raises(SealError):
        await read_seal(bytes(sealed))


async def test_what_is_added_afterwards_breaks_the_seal(seal: PyHankoSeal) -> None:
    sealed = await seal.seal(await printer_of("weasyprint").print(DOCUMENT))

    writer: Any = IncrementalPdfFileWriter(io.BytesIO(sealed))
    writer.root["/Lang"] = TextStringObject("en")
    writer.update_root()
    changed = io.BytesIO()
    writer.write(changed)

    assert changed.getvalue().startswith(sealed)
    with pytest.raises(SealError, match="changed afterwards"):
        await read_seal(changed.getvalue())


async def test_no_seal_is_nothing() -> None:
    assert await read_seal(await printer_of("weasyprint").print(DOCUMENT)) is None


def test_key_and_certificate_are_made_once_and_for_the_owner_alone(folder: Path, seal: PyHankoSeal) -> None:
    first = seal.certificate()

    assert PyHankoSeal(folder / "seal.pem", makes="Another name").certificate() == first
    assert (folder / "seal.pem").stat().st_mode & 0o777 == 0o400
    assert [path.name for path in folder.iterdir()] == ["seal.pem"]


def own_seal(path: Path, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, *, of_other: bool = False) -> Path:
    """A seal as a trust service provider gives it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Zegel van de gemeente")])
    public = ec.generate_private_key(ec.SECP256R1()).public_key() if of_other else key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Verlener")]))
        .public_key(public)
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=True,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    packed = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(packed + certificate.public_bytes(serialization.Encoding.PEM))
    path.chmod(0o400)
    return path


async def test_an_organisation_brings_its_own(tmp_path: Path) -> None:
    seal = PyHankoSeal(own_seal(tmp_path / "own.pem", ec.generate_private_key(ec.SECP256R1())))

    sealed = await seal.seal(await printer_of("weasyprint").print(DOCUMENT))

    found = await read_seal(sealed)
    assert found is not None
    assert (found.name, found.is_self_signed) == ("Zegel van de gemeente", False)
    assert "Signature is Valid" in what_poppler_says(sealed, tmp_path)


async def test_a_seal_that_cannot_be_used_is_refused_with_one_line(tmp_path: Path) -> None:
    with pytest.raises(SealError, match="No such file"):
        PyHankoSeal(tmp_path / "absent.pem").certificate()
    open_one = own_seal(tmp_path / "open.pem", ec.generate_private_key(ec.SECP256R1()))
    open_one.chmod(0o444)
    with pytest.raises(SealError, match="read by others"):
        PyHankoSeal(open_one).certificate()
    with pytest.raises(SealError, match="RSA or elliptic curve"):
        PyHankoSeal(own_seal(tmp_path / "ed25519.pem", ed25519.Ed25519PrivateKey.generate())).certificate()
    with pytest.raises(SealError, match="another key"):
        PyHankoSeal(own_seal(tmp_path / "other.pem", ec.generate_private_key(ec.SECP256R1()), of_other=True)).certificate()
    (tmp_path / "nothing.pem").write_text("nothing")
    (tmp_path / "nothing.pem").chmod(0o400)
    with pytest.raises(SealError, match="no private key"):
        PyHankoSeal(tmp_path / "nothing.pem").certificate()
