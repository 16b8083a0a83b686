"""What every mailbox of bounces does, over real IMAP (Dovecot): shows what nobody read, removes ours, leaves the rest."""

from __future__ import annotations

import asyncio
import ssl
import traceback
from collections.abc import Iterator

import pytest
import trustme
from tests.stand_ins.bounces import FakeMailbox
from tests.stand_ins.imap_server import PASSWORD, USER, ImapServer, imap_server
from tests.stand_ins.raw_server import Conversation, raw_server

from zegelpost.adapters.bounces_imap import ImapBounceMailbox
from zegelpost.ports import BounceMailbox, BounceMailboxError, ReturnedMail

FIRST, SECOND, THIRD = (f"Subject: {word}\r\n\r\n.\r\n* OK {word}\r\n".encode() for word in ("een", "twee", "drie"))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[ImapServer]:
    with imap_server(authority) as running:
        yield running


Place = ImapServer | FakeMailbox


@pytest.fixture(params=["imaps", "imap+starttls", "imap", "fake"])
def stage(request: pytest.FixtureRequest, trust: ssl.SSLContext) -> tuple[BounceMailbox, Place]:
    if request.param == "fake":
        fake = FakeMailbox()
        return fake, fake
    server: ImapServer = request.getfixturevalue("server")
    return ImapBounceMailbox(server.url(request.param), ssl_context=trust), server


def contents(found: list[ReturnedMail]) -> list[bytes]:
    return [mail.content for mail in found]


async def test_what_came_is_shown_until_it_is_settled(stage: tuple[BounceMailbox, Place]) -> None:
    mailbox, place = stage
    assert await mailbox.unread(10, after="") == []
    for content in (FIRST, SECOND, THIRD):
        place.put(content)

    found = await mailbox.unread(10, after="")
    assert contents(found) == [FIRST, SECOND, THIRD]
    assert await mailbox.unread(10, after="") == found
    assert contents(await mailbox.unread(1, after="")) == [FIRST]
    assert contents(await mailbox.unread(10, after=found[0].position)) == [SECOND, THIRD]
    assert await mailbox.unread(10, after=found[-1].position) == []

    await mailbox.settle(ours=[found[0]], others=[found[1]])
    assert place.contents() == [SECOND, THIRD]
    assert place.contents(is_read=True) == [SECOND]
    assert contents(await mailbox.unread(10, after="")) == [THIRD]
    await mailbox.settle(ours=[found[0]], others=[found[1]])
    await mailbox.settle(ours=[], others=[])
    assert place.contents() == [SECOND, THIRD]


async def test_any_bytes_come_and_a_large_one_is_cut_off(stage: tuple[BounceMailbox, Place]) -> None:
    mailbox, place = stage
    odd = b"Subject: \xff\xfe)\r\n\r\n" + bytes(byte for byte in range(1, 256) if byte not in b"\r\n") + b"\r\n"
    place.put(odd)
    place.put(FIRST + b"x" * 76 * 20_000)

    found = await mailbox.unread(10, after="")

    assert found[0].content == odd
    assert len(found[1].content) == 256 * 1024
    assert found[1].content.startswith(FIRST)


async def test_two_readers_do_not_hinder_each_other(stage: tuple[BounceMailbox, Place]) -> None:
    mailbox, place = stage
    for _ in range(5):
        place.put(FIRST)
    one, other = await asyncio.gather(mailbox.unread(10, after=""), mailbox.unread(10, after=""))
    assert contents(one) == contents(other) == [FIRST] * 5

    await asyncio.gather(mailbox.settle(ours=one, others=[]), mailbox.settle(ours=other, others=[]))

    assert place.contents() == []


async def test_a_position_of_a_folder_that_was_made_anew_means_nothing(server: ImapServer, trust: ssl.SSLContext) -> None:
    mailbox = ImapBounceMailbox(server.url(), ssl_context=trust)
    server.put(FIRST)
    await mailbox.settle(ours=[ReturnedMail("1/1", b"")], others=[])

    assert contents(await mailbox.unread(10, after="1/999")) == [FIRST]


async def failure(mailbox: ImapBounceMailbox) -> str:
    with pytest.raises(BounceMailboxError) as caught:
        await mailbox.unread(1, after="")
    said = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    for secret in (PASSWORD, USER, "rosa"):
        assert secret not in said
    assert "ZEGELPOST_BOUNCE_MAILBOX_URL" in caught.value.reason
    return caught.value.reason


async def test_a_wrong_password_and_a_missing_folder_are_told(server: ImapServer, trust: ssl.SSLContext) -> None:
    assert "password" in await failure(ImapBounceMailbox(server.url(password="other"), ssl_context=trust))
    assert "folder" in await failure(ImapBounceMailbox(server.url(folder="Elders"), ssl_context=trust))
    with pytest.raises(BounceMailboxError):
        await ImapBounceMailbox(server.url(folder="Elders"), ssl_context=trust).settle(ours=[ReturnedMail("1/1", b"")], others=[])


@pytest.mark.parametrize("scheme", ["imaps", "imap+starttls"])
async def test_a_certificate_that_nobody_vouches_for_or_of_another_host_ends_it(
    authority: trustme.CA, trust: ssl.SSLContext, server: ImapServer, scheme: str
) -> None:
    assert "no trustworthy TLS" in await failure(ImapBounceMailbox(server.url(scheme)))
    with imap_server(authority, host="elsewhere.example") as elsewhere:
        assert "no trustworthy TLS" in await failure(ImapBounceMailbox(elsewhere.url(scheme), ssl_context=trust))


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def babbling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request rosa@zorg.example\r\n\r\n")
    await writer.drain()
    await reader.read()


async def hanging_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    return


async def without_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello\r\n")
    while line := await reader.readline():
        tag = line.split()[0]
        assert b"LOGIN" not in line.upper()
        assert b"AUTHENTICATE" not in line.upper()
        writer.write(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" if b"CAPABILITY" in line else b"")
        writer.write(tag + b" OK done\r\n")


@pytest.mark.parametrize("scheme", ["imaps", "imap+starttls", "imap"])
@pytest.mark.parametrize("conversation", [silent, babbling, hanging_up])
async def test_a_server_that_makes_no_sense_is_given_up_in_time(
    scheme: str, conversation: Conversation, trust: ssl.SSLContext
) -> None:
    async with raw_server(conversation) as port:
        url = f"{scheme}://u:p@localhost:{port}"
        async with asyncio.timeout(60):
            await failure(ImapBounceMailbox(url, timeout_seconds=0.3, ssl_context=trust))


async def test_without_the_tls_that_was_asked_for_no_password_is_given(trust: ssl.SSLContext) -> None:
    async with raw_server(without_tls) as port:
        url = f"imap+starttls://u:p@localhost:{port}"
        assert "STARTTLS" in await failure(ImapBounceMailbox(url, timeout_seconds=2, ssl_context=trust))


async def test_nobody_listening_is_told() -> None:
    async with raw_server(silent) as port:
        pass
    assert "cannot connect" in await failure(ImapBounceMailbox(f"imap://u:p@127.0.0.1:{port}"))


async def test_a_look_says_what_is_there_and_changes_nothing(server: ImapServer, trust: ssl.SSLContext) -> None:
    server.put(FIRST)

    facts = await ImapBounceMailbox(server.url(), ssl_context=trust).probe()

    assert (facts.unread_count, facts.tls_version) == (1, "TLSv1.3")
    assert facts.certificate_until is not None
    assert server.contents(is_read=False) == [FIRST]
