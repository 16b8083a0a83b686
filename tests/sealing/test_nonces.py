"""No key ever meets the same nonce twice, however often an upload breaks off and is taken up again."""

from __future__ import annotations

import random

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from zegelpost.sealing.keys import MessageKey, derive
from zegelpost.sealing.parts import PartContext, PartSealer

ATTEMPTS = 1_000


def test_a_thousand_crashes_repeat_no_key_with_a_nonce_and_no_header() -> None:
    """One document, always the same bytes; each attempt ends in a crash, a dropped line or a finished part."""
    chance = random.Random(20_261_123)
    document_key = MessageKey.generate().document_key("document")
    plain = bytes(1024 * 1024)
    headers: set[bytes] = set()
    pairs: set[tuple[bytes, bytes]] = set()
    part_number = segments = 0
    for _ in range(ATTEMPTS):
        context = PartContext("transfer", "document", part_number)
        sealer = PartSealer(document_key, context)
        # The format's derivation, from what everybody can see of the part.
        key = derive(document_key.material, salt=sealer.header[1:33], info=context.associated_data)
        end = chance.choice(["crash", "dropped line", "finished"])
        full_segments = chance.choice([0, 0, 0, 1, 2])
        assert sealer.header not in headers
        headers.add(sealer.header)
        for index in range(full_segments + (end != "crash")):
            is_last = index == full_segments
            length = chance.randrange(100) if is_last else sealer.next_capacity
            sealed = sealer.seal_segment(plain[:length], is_last=is_last)
            nonce = sealer.header[33:] + index.to_bytes(4, "big") + bytes([is_last])
            # The pair is the one that was really used.
            assert AESGCM(key).decrypt(nonce, sealed, None) == plain[:length]
            assert (key, nonce) not in pairs
            pairs.add((key, nonce))
            segments += 1
        # After a crash nothing of the attempt is known: the next one seals the same place again.
        part_number += end != "crash"

    assert len(headers) == ATTEMPTS
    assert len({header[1:33] for header in headers}) == ATTEMPTS
    assert len(pairs) == segments > ATTEMPTS
    assert part_number < ATTEMPTS
