"""Google's Tink as the witness: an independent implementation of the format of parts."""

from __future__ import annotations

import io

from tink import cleartext_keyset_handle, streaming_aead  # type: ignore[import-untyped]
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2  # type: ignore[import-untyped]

from zegelpost.sealing.keys import DocumentKey

streaming_aead.register()


class _KeptOpen(io.BytesIO):
    """Tink closes what it wrote to, and with it would go the bytes."""

    def close(self) -> None:
        pass


class Tink:
    """Tink with template `AES256_GCM_HKDF_1MB` and our key."""

    def __init__(self, key: DocumentKey) -> None:
        template = streaming_aead.streaming_aead_key_templates.AES256_GCM_HKDF_1MB
        key_format = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKeyFormat.FromString(template.value)
        tink_key = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(version=0, params=key_format.params, key_value=key.material)
        assert key_format.params.hkdf_hash_type == common_pb2.SHA256
        key_data = tink_pb2.KeyData(
            type_url=template.type_url,
            value=tink_key.SerializeToString(),
            key_material_type=tink_pb2.KeyData.SYMMETRIC,
        )
        entry = tink_pb2.Keyset.Key(
            key_data=key_data, status=tink_pb2.ENABLED, key_id=1, output_prefix_type=template.output_prefix_type
        )
        keyset = tink_pb2.Keyset(primary_key_id=1, key=[entry])
        self._primitive = cleartext_keyset_handle.from_keyset(keyset).primitive(streaming_aead.StreamingAead)

    def seal(self, plain: bytes, associated_data: bytes) -> bytes:
        sealed = _KeptOpen()
        with self._primitive.new_encrypting_stream(sealed, associated_data) as stream:
            stream.write(plain)
        return sealed.getvalue()

    def open(self, sealed: bytes, associated_data: bytes) -> bytes:
        """Raises `tink.TinkError` when it does not open."""
        with self._primitive.new_decrypting_stream(io.BytesIO(sealed), associated_data) as stream:
            plain = stream.read()
        assert isinstance(plain, bytes)
        return plain
