"""What is read out of a notice that a mail was not delivered, whoever wrote it and whatever they meant by it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stand_ins.bounces import exchange, internationalised, postfix

from zegelpost.services.reading_delivery_notices import LONGEST_NOTICE_BYTES, DeliveryNotice, Fate, read_delivery_notice

TO = "bounces+abc@voorbeeld.example"
ID = "1@post.example"


@pytest.mark.parametrize(
    ("notice", "status"),
    [
        (postfix(TO, message_id=ID), "5.1.1"),
        (exchange(TO, message_id=ID), "5.1.10"),
        (internationalised(TO, message_id=ID), "5.1.1"),
        (internationalised(TO, message_id=ID, encoding="base64"), "5.1.1"),
    ],
    ids=["postfix", "exchange", "rfc6533", "rfc6533-base64"],
)
def test_notices_as_servers_write_them(notice: bytes, status: str) -> None:
    for content in (notice, notice.replace(b"\r\n", b"\n")):
        read = read_delivery_notice(content)

        assert read is not None
        assert (read.fate, read.status, read.message_id) == (Fate.FAILED, status, ID)
        assert TO in read.addressees


@pytest.mark.parametrize(
    ("action", "status", "fate"),
    [
        ("failed", "5.7.1", Fate.FAILED),
        ("Failed", "4.4.7 (given up)", Fate.FAILED),
        ("failed (after a while)", "no code", Fate.FAILED),
        ("delayed", "4.4.1", Fate.DELAYED),
        ("delivered", "2.0.0", None),
        ("relayed", "2.0.0", None),
        ("expanded", "2.0.0", None),
        ("burnt", "5.0.0", None),
        ("", "5.0.0", None),
    ],
)
def test_what_a_server_did(action: str, status: str, fate: Fate | None) -> None:
    read = read_delivery_notice(postfix(TO, action=action, status=status))

    assert (read and read.fate) == fate
    if read and status[0].isdigit():
        assert read.status == status.split(maxsplit=1)[0]


def test_a_mail_that_reached_one_of_several_mailboxes_is_not_lost() -> None:
    mark = b"\r\n--4RzQx1.1795000000/mail.zorg.example\r\nContent-Description: Und"
    other = b"\r\nFinal-Recipient: rfc822; rosa2@zorg.example\r\nAction: %s\r\nStatus: 5.0.0\r\n" + mark
    for action, fate in ((b"failed", Fate.FAILED), (b"delayed", Fate.DELAYED), (b"relayed", None)):
        read = read_delivery_notice(postfix(TO).replace(mark, other % action))
        assert (read and read.fate) == fate


def test_a_gateway_may_wrap_it_and_a_cut_off_one_still_counts() -> None:
    notice = postfix(TO, message_id=ID)
    wrapped = b"To: " + TO.encode() + b"\r\nContent-Type: multipart/mixed; boundary=buiten\r\n\r\n--buiten\r\n" + notice
    wrapped += b"\r\n--buiten\r\nContent-Type: text/plain\r\n\r\nDisclaimer\r\n--buiten--\r\n"
    read = read_delivery_notice(wrapped)
    assert read is not None
    assert read.message_id == ID

    cut = read_delivery_notice(notice[: notice.index(b"Remote-MTA")])
    assert cut == DeliveryNotice(fate=Fate.FAILED, status="5.1.1", addressees=TO, message_id=None)
    whole = read_delivery_notice(exchange(TO, message_id=ID) + b"x" * 5_000_000)
    assert whole is not None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"To: " + TO.encode() + b"\r\n\r\n550 5.1.1 User unknown, Action: failed\r\n",
        postfix(TO).replace(b"report-type=delivery-status", b"report-type=disposition-notification"),
        postfix(TO).replace(b"multipart/report", b"multipart/mixed"),
        postfix(TO).replace(b"message/delivery-status", b"text/plain"),
        b"To: " + TO.encode() + b"\r\nContent-Type: message/rfc822\r\n\r\n" + postfix(TO),
    ],
    ids=["empty", "words", "read-receipt", "no-report", "no-status", "forwarded"],
)
def test_what_is_no_notice(content: bytes) -> None:
    assert read_delivery_notice(content) is None


def hostile() -> Iterator[bytes]:
    """Huge, deep and endless ones, each far larger than what is read."""
    head = b"To: x\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
    status = b"--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    yield b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(20_000))
    yield b"Content-Type: message/rfc822\r\n\r\n" * 50_000
    yield head + b"--b\r\n\r\n" * 200_000
    yield head + status + b"a: b\r\n\r\n" * 200_000
    yield head + status + b"Action: failed\r\n" + b" \r\n" * 300_000
    yield b"X: y\r\n" * 300_000
    yield b"To: " + b"a" * 3_000_000
    yield b"\0" * 3_000_000
    yield b"Content-Type: multipart/report; " + b";".join(b"a*%d*=x" % n for n in range(100_000)) + b"\r\n\r\n"
    yield b'Content-Type: multipart/report; boundary="' + b'\\"' * 500_000
    yield b"Content-Type: multipart/report; boundary=" + b"a" * 100_000 + b"\r\n\r\n" + b"--a\r\n" * 100_000


@pytest.mark.parametrize("number", range(11))
def test_a_hostile_one_is_survived(number: int) -> None:
    content = list(hostile())[number]
    assert len(content) > 2 * LONGEST_NOTICE_BYTES

    read = read_delivery_notice(content)

    assert read is None or read.message_id is None


@given(st.binary(max_size=400), st.integers(0, 1800), st.integers(0, 400))
def test_no_damage_makes_it_raise(noise: bytes, at: int, length: int) -> None:
    notice = postfix(TO)
    read_delivery_notice(notice[:at] + noise + notice[at + length :])
