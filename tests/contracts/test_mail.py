"""What every mail gateway does, over real SMTP: the bytes as they are, or an error that names nobody."""

from __future__ import annotations

import asyncio
import ssl
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY

import pytest
import trustme
from tests.stand_ins.gateways import DeliveredMail, FakeMail
from tests.stand_ins.mail_server import MailServer, mail_server
from tests.stand_ins.raw_server import Conversation, raw_server
from tests.stand_ins.trust import Trust, new_trust

from zegelpost.adapters.mail_smtp import SmtpMailGateway
from zegelpost.adapters.outbox_demo import DemoOutbox
from zegelpost.ports import MailError, MailGateway

US = "post@zegelpost.example"
ROSA = "rosa@zorg.example"


def mail(body: bytes = b"Hallo Rosa\r\n") -> bytes:
    head = f"From: {US}\r\nTo: {ROSA}\r\nSubject: Een document\r\nMessage-ID: <1@zegelpost.example>\r\n\r\n"
    return head.encode() + body


MAIL = mail()


@pytest.fixture(scope="session")
def trust() -> Trust:
    return new_trust()


@dataclass(frozen=True)
class Stage:
    """A gateway and its other end."""

    gateway: MailGateway
    delivered: list[DeliveredMail]
    has_tls: bool


@pytest.fixture(params=["smtp", "smtp+starttls", "smtps", "fake"])
async def stage(request: pytest.FixtureRequest, trust: Trust) -> AsyncIterator[Stage]:
    if request.param == "fake":
        fake = FakeMail()
        yield Stage(fake, fake.delivered, has_tls=True)
        return
    async with server_for(request.param, trust) as server:
        gateway = SmtpMailGateway(f"{request.param}://localhost:{server.port}", ssl_context=trust.client)
        yield Stage(gateway, server.delivered, has_tls=request.param != "smtp")


@asynccontextmanager
async def server_for(scheme: str, trust: Trust, users: dict[bytes, bytes] | None = None) -> AsyncIterator[MailServer]:
    starttls = trust.server if scheme == "smtp+starttls" else None
    tls = trust.server if scheme == "smtps" else None
    async with mail_server(starttls=starttls, tls=tls, users=users) as server:
        yield server


def said(error: BaseException) -> str:
    """Everything that a log could get hold of."""
    return "".join(traceback.format_exception(error)) + repr(vars(error)) + repr(error.args)


async def refusal(gateway: MailGateway, message: bytes = MAIL, recipient: str = ROSA) -> MailError:
    with pytest.raises(MailError) as caught:
        await gateway.deliver(sender=US, recipient=recipient, message=message)
    assert "rosa" not in said(caught.value)
    assert US not in said(caught.value)
    return caught.value


def long_lines() -> bytes:
    # RFC 5321 section 4.5.3.1.6: 1000 octets with CRLF; the dot that hides a leading dot may come on top.
    return b"x" * 998 + b"\r\n" + b"." + b"y" * 997 + b"\r\n"


@pytest.mark.parametrize(
    "message",
    [
        MAIL,
        mail(b".\r\n..\r\n...\r\n.leading\r\n"),
        mail(b"\r\n.\r\nMAIL FROM:<mallory@zegelpost.example>\r\nQUIT\r\n"),
        mail(b""),
        mail(b"trailing  \t\r\n\r\n\r\n"),
        mail(long_lines()),
        mail(b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n" * 15_000),
    ],
    ids=["plain", "dots", "end-of-data", "empty", "trailing", "long", "megabyte"],
)
async def test_the_bytes_arrive_as_they_are(stage: Stage, message: bytes) -> None:
    acceptance = await stage.gateway.deliver(sender=US, recipient=ROSA, message=message)

    assert stage.delivered == [DeliveredMail(US, ROSA, message)]
    assert acceptance.reply_code == 250
    assert acceptance.server
    assert (acceptance.tls_version in {"TLSv1.2", "TLSv1.3"}) == stage.has_tls


async def test_a_mail_by_the_standard_library_arrives_as_it_is(stage: Stage) -> None:
    message = EmailMessage(policy=SMTP_POLICY)
    message["From"], message["To"], message["Subject"] = US, ROSA, "Geïnformeerd vóór 12:00"
    message.set_content("Beste Rosa,\n\n.vóór\n" + "lang " * 400 + "\n")
    message.add_alternative("<p>Beste Rosa</p>" + "<b>x</b>" * 1000, subtype="html")

    await stage.gateway.deliver(sender=US, recipient=ROSA, message=message.as_bytes())

    assert stage.delivered[0].message == message.as_bytes()


async def test_mails_may_leave_at_the_same_time(stage: Stage) -> None:
    recipients = [f"rosa{number}@zorg.example" for number in range(10)]

    await asyncio.gather(*(stage.gateway.deliver(sender=US, recipient=one, message=MAIL) for one in recipients))

    assert sorted(mail.recipient for mail in stage.delivered) == sorted(recipients)


async def test_the_demo_shows_what_would_have_left() -> None:
    outbox = DemoOutbox()

    acceptance = await outbox.mail.deliver(sender=US, recipient=ROSA, message=MAIL)

    entry = outbox.entries()[0]
    assert (entry["kind"], entry["to"], entry["subject"]) == ("mail", ROSA, "Een document")
    assert acceptance.tls_version is None


@pytest.mark.parametrize(
    "message", [b"Subject: x\n\nbody\n", mail(b"a\rb\r\n"), mail(b"a\nb\r\n"), mail(b"no end"), b""], ids=repr
)
async def test_what_smtp_would_have_to_change_is_refused(message: bytes) -> None:
    async with mail_server() as server:
        error = await refusal(SmtpMailGateway(f"smtp://127.0.0.1:{server.port}"), message)

    assert error.is_permanent
    assert server.seen == []


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    ("reply", "is_permanent", "told"),
    [
        ("451 4.7.1 greylisted rosa@zorg.example", False, "451 4.7.1"),
        ("421 go away rosa@zorg.example", False, "421"),
        ("450 try later", False, "450"),
        ("550 5.1.1 no such user rosa@zorg.example", True, "550 5.1.1"),
        ("552 too much", True, "552"),
        ("550 5.1.1.rosa@zorg.example", True, "550"),
    ],
)
async def test_a_refusal_is_told_by_its_code(command: str, reply: str, is_permanent: bool, told: str) -> None:
    async with mail_server() as server:
        server.replies[command] = reply
        error = await refusal(SmtpMailGateway(f"smtp://127.0.0.1:{server.port}"))

    assert error.is_permanent == is_permanent
    assert f"({told})" in error.reason
    assert server.delivered == []


@pytest.mark.parametrize("reply", ["530 5.7.0 Authentication required", "530 Must issue a STARTTLS command first", "535 no"])
async def test_a_server_that_wants_a_login_is_our_setup(reply: str) -> None:
    async with mail_server() as server:
        server.replies["MAIL"] = reply
        error = await refusal(SmtpMailGateway(f"smtp://127.0.0.1:{server.port}"))

    assert not error.is_permanent
    assert "ZEGELPOST_SMTP_URL" in error.reason


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
async def test_a_line_that_drops_is_tried_again(command: str) -> None:
    async with mail_server() as server:
        server.hangs_up_after = command
        error = await refusal(SmtpMailGateway(f"smtp://127.0.0.1:{server.port}"))

        assert not error.is_permanent
        server.hangs_up_after = None
        await SmtpMailGateway(f"smtp://127.0.0.1:{server.port}").deliver(sender=US, recipient=ROSA, message=MAIL)


@pytest.mark.parametrize(
    "address",
    [
        "rosa@zorg.example> SIZE=1",
        "rosa\r\nRCPT TO:<mallory@zegelpost.example>",
        "Rosa <rosa@zorg.example>",
        "<rosa@zorg.example>",
        "mallory@zegelpost.example,rosa@zorg.example",
        "(rosa)mallory@zegelpost.example",
        "rosa @zorg.example",
        '"rosa"@zorg.example',
        "rosä@zorg.example",
        "rosa@zörg.example",
        "",
    ],
)
async def test_an_address_that_would_not_travel_as_it_is_is_refused(address: str) -> None:
    async with mail_server() as server:
        error = await refusal(SmtpMailGateway(f"smtp://127.0.0.1:{server.port}"), recipient=address)

    assert error.is_permanent
    assert server.seen == []


@pytest.mark.parametrize(
    "address", ["rosa+zorg@zorg.example", "o'rosa@zorg.example", "r.o-s_a=1/2!#$%&*?^`{|}~@xn--zrg-sna.example"]
)
async def test_any_plain_address_travels_as_it_is(stage: Stage, address: str) -> None:
    await stage.gateway.deliver(sender=US, recipient=address, message=MAIL)

    assert [mail.recipient for mail in stage.delivered] == [address]


@pytest.mark.parametrize("code", [421, 554])
async def test_a_server_that_takes_no_connections_is_tried_again(code: int) -> None:
    async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{code} 4.3.2 too busy for rosa@zorg.example\r\n".encode())
        await writer.drain()
        await reader.read()

    async with raw_server(busy) as port:
        error = await refusal(SmtpMailGateway(f"smtp://127.0.0.1:{port}"))

    assert not error.is_permanent
    assert f"({code} 4.3.2)" in error.reason


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def hanging_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    return


async def chatty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"220-wait\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


async def babbling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request rosa@zorg.example\r\n\r\n")
    await writer.drain()
    await reader.read()


@pytest.mark.parametrize("scheme", ["smtp", "smtp+starttls", "smtps"])
@pytest.mark.parametrize("conversation", [silent, hanging_up, chatty, babbling])
async def test_a_server_that_makes_no_sense_is_given_up_in_time(scheme: str, conversation: Conversation, trust: Trust) -> None:
    async with raw_server(conversation) as port:
        gateway = SmtpMailGateway(f"{scheme}://localhost:{port}", timeout_seconds=0.3, ssl_context=trust.client)
        async with asyncio.timeout(60):
            error = await refusal(gateway)

    assert not error.is_permanent


async def test_nobody_listening_names_the_setting() -> None:
    async with raw_server(silent) as port:
        pass
    error = await refusal(SmtpMailGateway(f"smtp://127.0.0.1:{port}"))

    assert not error.is_permanent
    assert "ZEGELPOST_SMTP_URL" in error.reason


async def test_a_goodbye_that_never_comes_does_not_unsend_the_mail() -> None:
    async def impolite(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while line := await reader.readline():
            if line == b"DATA\r\n":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
            elif line == b"QUIT\r\n":
                return
            writer.write(b"250 fine\r\n")

    async with raw_server(impolite) as port:
        acceptance = await SmtpMailGateway(f"smtp://127.0.0.1:{port}").deliver(sender=US, recipient=ROSA, message=MAIL)

    assert acceptance.reply_code == 250


@pytest.mark.parametrize("has_dsn", [True, False])
async def test_where_the_server_can_a_notice_brings_back_the_headers_alone(*, has_dsn: bool) -> None:
    said: list[bytes] = []

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while line := await reader.readline():
            said.append(line.strip())
            if line.startswith(b"EHLO"):
                writer.write(b"250-mail.example\r\n250-DSN\r\n250 8BITMIME\r\n" if has_dsn else b"250 mail.example\r\n")
                continue
            if line == b"DATA\r\n":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
            writer.write(b"250 fine\r\n")
            if line == b"QUIT\r\n":
                return

    async with raw_server(server) as port:
        await SmtpMailGateway(f"smtp://127.0.0.1:{port}").deliver(sender=US, recipient=ROSA, message=MAIL)

    options = (b" RET=HDRS", b" NOTIFY=FAILURE,DELAY") if has_dsn else (b"", b"")
    assert f"MAIL FROM:<{US}>".encode() + options[0] in said
    assert f"RCPT TO:<{ROSA}>".encode() + options[1] in said


# Many mails


async def nobody_is_left(server: MailServer) -> None:
    """Every line is closed; that we hung up gets to the server when its turn comes."""
    async with asyncio.timeout(60):
        while server.open_count:  # noqa: ASYNC110 - it tells in no other way
            await asyncio.sleep(0.01)


async def test_many_mails_share_a_few_lines_and_leave_none_open(trust: Trust) -> None:
    async with server_for("smtps", trust) as server:
        gateway = SmtpMailGateway(f"smtps://localhost:{server.port}", ssl_context=trust.client)
        recipients = [f"rosa{number}@zorg.example" for number in range(45)]
        server.delay_seconds = 0.01
        await asyncio.gather(*(gateway.deliver(sender=US, recipient=one, message=MAIL) for one in recipients))

        assert sorted(mail.recipient for mail in server.delivered) == sorted(recipients)
        assert 3 <= len(server.conversations) <= 5  # whichever line is quickest is renewed first
        await nobody_is_left(server)


async def test_a_line_is_renewed_after_some_mails() -> None:
    async with mail_server() as server:
        gateway = SmtpMailGateway(f"smtp://127.0.0.1:{server.port}")
        await asyncio.gather(*(gateway.deliver(sender=US, recipient=ROSA, message=MAIL) for _ in range(70)))

    assert len(server.delivered) == 70
    assert 4 <= len(server.conversations) <= 6


async def test_a_refused_mail_does_not_hold_up_those_that_wait() -> None:
    async with mail_server() as server:
        gateway = SmtpMailGateway(f"smtp://127.0.0.1:{server.port}")
        plain = [gateway.deliver(sender=US, recipient=ROSA, message=MAIL) for _ in range(10)]
        odd = [gateway.deliver(sender=US, recipient=f"{'x' * 600}@zorg.example", message=MAIL) for _ in range(10)]
        outcomes = await asyncio.gather(*(mail for pair in zip(odd, plain, strict=True) for mail in pair), return_exceptions=True)

    assert len(server.delivered) == 10
    assert [isinstance(outcome, MailError) for outcome in outcomes] == [True, False] * 10


async def test_mails_that_nobody_waits_for_any_more_leave_no_hole() -> None:
    async with mail_server() as server:
        gateway = SmtpMailGateway(f"smtp://127.0.0.1:{server.port}")
        server.delay_seconds = 0.2
        tasks = [asyncio.create_task(gateway.deliver(sender=US, recipient=ROSA, message=MAIL)) for _ in range(12)]
        await asyncio.sleep(0.1)
        for task in tasks[1::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.delay_seconds = 0
        for _ in range(6):
            await gateway.deliver(sender=US, recipient=ROSA, message=MAIL)

        await nobody_is_left(server)


# Looking without mailing


@pytest.mark.parametrize("scheme", ["smtp", "smtp+starttls", "smtps"])
async def test_a_probe_goes_as_far_as_the_sender_and_mails_nothing(scheme: str, trust: Trust) -> None:
    async with server_for(scheme, trust, {USER: PASSWORD}) as server:
        gateway = SmtpMailGateway(f"{scheme}://{LOGIN}@localhost:{server.port}", ssl_context=trust.client)
        facts = await gateway.probe(sender=US)

    assert facts.address == f"localhost:{server.port}"
    assert facts.is_logged_in
    assert (facts.tls_version is None, facts.certificate_until is None) == (scheme == "smtp", scheme == "smtp")
    assert server.delivered == []
    assert "RCPT" not in server.seen


async def test_a_probe_tells_that_the_sender_is_refused() -> None:
    async with mail_server() as server:
        server.replies["MAIL"] = "550 5.7.1 not your address"
        with pytest.raises(MailError, match=r"refused the sender \(550 5.7.1\)"):
            await SmtpMailGateway(f"smtp://127.0.0.1:{server.port}").probe(sender=US)


# TLS


@pytest.mark.parametrize("has_login", [False, True])
async def test_without_starttls_nothing_leaves(has_login: bool, trust: Trust) -> None:
    """Also what someone in between makes of a server by cutting out one line."""
    heard = bytearray()

    async def stripped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        while line := await reader.readline():
            heard.extend(line)
            writer.write(b"250-mail.example\r\n250 AUTH PLAIN LOGIN\r\n")

    async with raw_server(stripped) as port:
        login = "rosa:geheim@" if has_login else ""
        error = await refusal(SmtpMailGateway(f"smtp+starttls://{login}localhost:{port}", ssl_context=trust.client))

    assert not error.is_permanent
    assert "ZEGELPOST_SMTP_URL" in error.reason
    assert "STARTTLS" in error.reason
    assert bytes(heard).split()[:1] == [b"EHLO"]
    assert heard.count(b"\r\n") == 1


async def test_a_server_that_goes_back_on_starttls_gets_nothing(trust: Trust) -> None:
    heard = bytearray()

    async def wavering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        while line := await reader.readline():
            heard.extend(line)
            writer.write(b"454 4.7.0 not now\r\n" if line == b"STARTTLS\r\n" else b"250 STARTTLS\r\n")

    async with raw_server(wavering) as port:
        error = await refusal(SmtpMailGateway(f"smtp+starttls://localhost:{port}", ssl_context=trust.client))

    assert not error.is_permanent
    assert b"MAIL" not in heard


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
async def test_another_hosts_certificate_is_refused(scheme: str, trust: Trust) -> None:
    wrong = Trust(trust.elsewhere, trust.elsewhere, trust.client)
    async with server_for(scheme, wrong) as server:
        error = await refusal(SmtpMailGateway(f"{scheme}://localhost:{server.port}", ssl_context=trust.client))

    assert not error.is_permanent
    assert "ZEGELPOST_SMTP_URL" in error.reason
    assert "Hostname mismatch" in error.reason
    assert server.seen == []


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
async def test_an_unknown_authority_is_refused(scheme: str, trust: Trust) -> None:
    async with server_for(scheme, trust) as server:
        error = await refusal(SmtpMailGateway(f"{scheme}://localhost:{server.port}"))

    assert not error.is_permanent
    assert "ZEGELPOST_SMTP_URL" in error.reason
    assert "certificate" in error.reason
    assert server.seen == []


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
async def test_a_certificate_that_ran_out_is_refused(scheme: str) -> None:
    authority = trustme.CA()
    client, stale = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(client)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    authority.issue_cert("localhost", not_after=yesterday).configure_cert(stale)
    async with server_for(scheme, Trust(stale, stale, client)) as server:
        error = await refusal(SmtpMailGateway(f"{scheme}://localhost:{server.port}", ssl_context=client))

    assert not error.is_permanent
    assert "expired" in error.reason
    assert server.seen == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # that these are too old is the point
@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
async def test_a_server_that_only_knows_old_tls_gets_nothing(scheme: str, trust: Trust) -> None:
    """Not even from a machine that would still allow it: TLS 1.2 at least, whatever OpenSSL's own settings say."""
    authority = trustme.CA()
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(old)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    client = ssl.create_default_context()
    authority.configure_trust(client)
    client.set_ciphers("ALL:@SECLEVEL=0")
    async with server_for(scheme, Trust(old, old, client)) as server:
        error = await refusal(SmtpMailGateway(f"{scheme}://localhost:{server.port}", ssl_context=client))
        assert not error.is_permanent
        assert server.seen == []
        # The other end is not just broken: who asks for old TLS gets it.
        client.minimum_version = ssl.TLSVersion.TLSv1
        await SmtpMailGateway(f"{scheme}://localhost:{server.port}", ssl_context=client).deliver(
            sender=US, recipient=ROSA, message=MAIL
        )


async def test_tls_to_a_server_without_it_names_the_setting(trust: Trust) -> None:
    async with mail_server() as server:
        error = await refusal(SmtpMailGateway(f"smtps://localhost:{server.port}", ssl_context=trust.client))

    assert not error.is_permanent
    assert "ZEGELPOST_SMTP_URL" in error.reason
    assert server.seen == []


# Logging in

USER, PASSWORD = b"post@example.nl", b"p@ss:w/rd%"
LOGIN = "post%40example.nl:p%40ss%3Aw%2Frd%25"


@pytest.mark.parametrize("scheme", ["smtp", "smtp+starttls", "smtps"])
async def test_name_and_password_may_hold_any_character(scheme: str, trust: Trust) -> None:
    async with server_for(scheme, trust, {USER: PASSWORD}) as server:
        gateway = SmtpMailGateway(f"{scheme}://{LOGIN}@localhost:{server.port}", ssl_context=trust.client)
        await gateway.deliver(sender=US, recipient=ROSA, message=MAIL)

    assert server.delivered == [DeliveredMail(US, ROSA, MAIL)]


async def test_a_wrong_password_names_the_setting_and_not_itself(trust: Trust) -> None:
    async with server_for("smtps", trust, {USER: PASSWORD}) as server:
        error = await refusal(
            SmtpMailGateway(f"smtps://post%40example.nl:wrong@localhost:{server.port}", ssl_context=trust.client)
        )

    assert not error.is_permanent
    assert "ZEGELPOST_SMTP_URL" in error.reason
    assert "535" in error.reason
    assert "wrong" not in said(error)
    assert "MAIL" not in server.seen


async def test_a_server_without_logins_names_the_setting() -> None:
    async def simple(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        while await reader.readline():
            writer.write(b"250 mail.example\r\n")

    async with raw_server(simple) as port:
        error = await refusal(SmtpMailGateway(f"smtp://{LOGIN}@127.0.0.1:{port}"))

    assert not error.is_permanent
    assert "ZEGELPOST_SMTP_URL" in error.reason


@pytest.mark.parametrize("url", ["mail.example", "http://mail.example", "smtp://", "smtp+tls://mail.example"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="ZEGELPOST_SMTP_URL"):
        SmtpMailGateway(url)
