"""Leaves: written in one way only, and telling nothing of who it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from zegelpost.evidence.leaf import Leaf, commitment, personal_part

AT = datetime(2026, 11, 26, 3, 18, 28, 123456, tzinfo=UTC)


def leaf(at: datetime = AT) -> Leaf:
    return Leaf(
        position=7,
        event=9,
        at=at,
        tag="transfer:sent",
        actor="staff",
        transfer="t" * 26,
        document=None,
        personal=bytes(range(32)),
    )


def test_a_leaf_is_to_the_byte_what_the_page_says() -> None:
    assert leaf().text() == (
        '{"actor":"staff","at":"2026-11-26T03:18:28.123456Z","document":null,"event":9,'
        '"personal":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f","position":7,'
        '"tag":"transfer:sent","transfer":"tttttttttttttttttttttttttt","v":1}'
    )


def test_a_time_is_written_in_utc_with_six_decimals() -> None:
    assert '"at":"2026-11-26T03:18:28.123456Z"' in leaf(AT.astimezone(timezone(timedelta(hours=5)))).text()
    assert '"at":"2026-11-26T03:18:28.000000Z"' in leaf(AT.replace(microsecond=0)).text()


def test_the_personal_part_is_ascii_whatever_a_fact_holds() -> None:
    personal = personal_part(staff="a" * 26, recipient=None, facts={"reason": "één \U0001f512\n", "count": 2, "is_on": True})

    assert personal == (
        '{"facts":{"count":2,"is_on":true,"reason":"\\u00e9\\u00e9n \\ud83d\\udd12\\n"},"recipient":null,"staff":"'
        + "a" * 26
        + '"}'
    )


def test_the_commitment_depends_on_the_salt_and_on_every_byte() -> None:
    personal = personal_part(staff="a" * 26, recipient=None, facts={})
    other = personal_part(staff="b" * 26, recipient=None, facts={})

    assert commitment(bytes(32), personal) == commitment(bytes(32), personal)
    assert len({commitment(bytes(32), personal), commitment(b"\x01" * 32, personal), commitment(bytes(32), other)}) == 3
    with pytest.raises(ValueError, match="another length"):
        commitment(bytes(31), personal)
