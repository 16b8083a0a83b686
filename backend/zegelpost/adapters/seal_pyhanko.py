"""The organisation's seal on PDFs: a PAdES signature (ETSI EN 319 142-1, level B-B), by pyHanko.

The key lies with its certificate in one file, PEM, that only its owner may read. Without one of your own, it is made at first use
and the certificate signs itself: readers show the seal and whether the PDF was changed, and say that they do not know the signer.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import secrets
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from zegelpost.ports import SealError

_KEY_BITS: Final = 3072
_VALID: Final = timedelta(days=3650)
_LONGEST_NAME: Final = 64  # characters, RFC 5280, appendix A.1: ub-common-name
_DOCUMENT_SIGNING: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # RFC 9336
_FIELD: Final = "Zegel"


class PyHankoSeal:
    """`path` holds key and certificates; when `makes` is a name, the file is made in that name if it is not there."""

    def __init__(self, path: Path, *, makes: str | None = None) -> None:
        self._path = path
        self._makes = makes

    async def seal(self, pdf: bytes) -> bytes:
        """The same PDF, signed as a whole, with no change allowed afterwards. Raises `SealError`."""
        return await asyncio.to_thread(self._seal, pdf)

    def certificate(self) -> x509.Certificate:
        """Whose seal it is. Raises `SealError`."""
        return self._load()[1][0]

    def _seal(self, pdf: bytes) -> bytes:
        # Not at the start: it takes half a second, and few processes ever seal.
        from asn1crypto import keys  # type: ignore[import-untyped]  # noqa: PLC0415
        from asn1crypto import x509 as asn1_x509  # noqa: PLC0415
        from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter  # noqa: PLC0415
        from pyhanko.sign import fields, signers  # noqa: PLC0415
        from pyhanko_certvalidator.registry import SimpleCertificateStore  # noqa: PLC0415

        key, certificates = self._load()
        own, *others = [asn1_x509.Certificate.load(each.public_bytes(serialization.Encoding.DER)) for each in certificates]
        packed = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
        store.register_multiple(others)
        signer = signers.SimpleSigner(own, keys.PrivateKeyInfo.load(packed), store)
        metadata = signers.PdfSignatureMetadata(
            field_name=_FIELD,
            md_algorithm="sha256",
            subfilter=fields.SigSeedSubFilter.PADES,
            certify=True,
            docmdp_permissions=fields.MDPPerm.NO_CHANGES,
            name=own.subject.native.get("common_name"),
        )
        # PDF/A wants it printable and not hidden, PDF/UA hidden or off the page (pyHanko, `InvisSigSettings`): so, off the page.
        place = fields.SigFieldSpec(
            _FIELD, invis_sig_settings=fields.InvisSigSettings(set_print_flag=True, box_out_of_bounds=True)
        )
        sealed = signers.PdfSigner(metadata, signer, new_field_spec=place).sign_pdf(IncrementalPdfFileWriter(io.BytesIO(pdf)))
        return bytes(sealed.getvalue())

    def _load(self) -> tuple[rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, list[x509.Certificate]]:
        try:
            if self._makes is not None and not self._path.exists():
                _make(self._path, self._makes)
            if self._path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise SealError(f"{self._path} can be read by others: chmod it to 0400", is_permanent=True)
            content = self._path.read_bytes()
            key = serialization.load_pem_private_key(content, None)
            certificates = x509.load_pem_x509_certificates(content)
        except OSError as error:
            raise SealError(f"{self._path}: {error.strerror}", is_permanent=True) from None
        except (ValueError, TypeError):
            # Whatever the library quotes of the file stays out of logs.
            raise SealError(f"{self._path} holds no private key with its certificate in PEM", is_permanent=True) from None
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise SealError(f"{self._path}: the key must be RSA or elliptic curve, or readers cannot check it", is_permanent=True)
        if key.public_key() != certificates[0].public_key():
            raise SealError(f"{self._path}: the first certificate is of another key", is_permanent=True)
        return key, certificates


@dataclass(frozen=True, slots=True)
class SealFound:
    """Who sealed a PDF, and when by their own clock. Whether that is who they say, the fingerprint tells."""

    name: str
    fingerprint: str  # SHA-256 of the certificate, hexadecimal
    is_self_signed: bool


async def read_seal(pdf: bytes) -> SealFound | None:
    """The seal on a PDF, nothing where there is none. Raises `SealError` when the PDF is not what was sealed."""
    from pyhanko.pdf_utils.reader import PdfFileReader  # noqa: PLC0415
    from pyhanko.sign.validation import async_validate_pdf_signature  # noqa: PLC0415
    from pyhanko.sign.validation.status import SignatureCoverageLevel  # noqa: PLC0415
    from pyhanko_certvalidator import ValidationContext  # noqa: PLC0415

    try:
        signatures = PdfFileReader(io.BytesIO(pdf), strict=False).embedded_signatures
        if not signatures:
            return None
        certificate: Any = signatures[-1].signer_cert
        # The certificate is its own root here: nobody is asked on the network, and whose it is, is for the reader to compare.
        context = ValidationContext(trust_roots=[certificate], allow_fetching=False)
        status = await async_validate_pdf_signature(signatures[-1], context)
        is_whole = status.intact and status.valid and status.coverage == SignatureCoverageLevel.ENTIRE_FILE
    except Exception as error:  # noqa: BLE001 - a broken PDF makes pyHanko fail in many ways, and none of them is a good seal
        raise SealError(f"the seal cannot be read ({type(error).__name__})", is_permanent=True) from None
    if not is_whole or len(signatures) != 1:
        raise SealError("the PDF is not what was sealed: it was changed afterwards", is_permanent=True)
    return SealFound(
        name=str(certificate.subject.native.get("common_name", "")),
        fingerprint=certificate.sha256.hex(),
        is_self_signed=certificate.self_signed in {"yes", "maybe"},
    )


def _make(path: Path, name: str) -> None:
    """A key and a certificate that signs itself; the first of several processes makes them."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name[:_LONGEST_NAME]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, name[:_LONGEST_NAME]),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Zegelpost"),
        ]
    )
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
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
        .add_extension(x509.ExtendedKeyUsage([_DOCUMENT_SIGNING]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    packed = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(packed + certificate.public_bytes(serialization.Encoding.PEM))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            # Atomic, and fails when another process was first.
            os.link(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
