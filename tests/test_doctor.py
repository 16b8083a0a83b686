"""The doctor: one line for everything, right about what is wrong, and silent about secrets."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text
from tests.contracts.object_storage import s3_server, use_endpoint
from tests.contracts.test_seal import own_seal
from tests.databases import database_urls
from tests.stand_ins.clamd import clamd
from tests.stand_ins.entra import CLIENT_ID, OTHER_TENANT, TENANT, entra
from tests.stand_ins.graph_api import graph_api
from tests.stand_ins.imap_server import PASSWORD as BOUNCE_PASSWORD
from tests.stand_ins.imap_server import imap_server
from tests.stand_ins.mail_server import mail_server
from tests.stand_ins.messagebird_api import ACCESS_KEY, SIGNING_KEY, messagebird_api
from tests.stand_ins.name_server import NameServer, name_server
from tests.stand_ins.raw_server import raw_server
from tests.stand_ins.tls import trusted
from tests.stand_ins.trust import Trust, new_trust
from tests.stand_ins.twilio_api import TOKEN, TwilioApi, twilio_api

from zegelpost.adapters.keys_directory import DirectoryKeyRing
from zegelpost.database import Database
from zegelpost.doctor.examining import CHECKS, Line, as_json, as_text, examine, is_well
from zegelpost.doctor.findings import Check, Examination, Finding, Level, fine
from zegelpost.migrations import migrate_database
from zegelpost.settings import NAMES, PREFIX, Settings

USER, PASSWORD = "post@voorbeeld.example", "p@ss:w/rd%-geheim"
SECRETS_OF_THE_STAGE = (
    PASSWORD,
    "p%40ss",
    "s3cr:t",
    "s3cr%3At",
    TOKEN,
    "an-other-auth-token",
    "metrics-token-that-is-long-enough",
    "bounce-token-that-is-long-enough",
    BOUNCE_PASSWORD,
    ACCESS_KEY,
    SIGNING_KEY,
)


@pytest.fixture(scope="module")
def trust() -> Trust:
    return new_trust()


@dataclass
class Patient:
    """An installation, as its operator set it up."""

    environment: dict[str, str]
    names: NameServer
    trust: ssl.SSLContext
    said: list[str] = field(default_factory=list)

    def folder(self, name: str) -> Path:
        return Path(self.environment[name])

    async def examine(
        self, *only: str, now: datetime | None = None, ahead: timedelta = timedelta(), **changed: str | None
    ) -> list[Line]:
        environment = {name: value for name, value in (self.environment | changed).items() if value is not None}
        environment = {f"{PREFIX}{name}": value for name, value in environment.items()}
        examination = Examination(
            settings=Settings.from_environment(environment),
            environment=environment,
            clock=lambda: now or datetime.now(UTC) + ahead,
            resolver=self.names.resolver,
            trust=self.trust,
        )
        lines = await examine(examination, [check for check in CHECKS if not only or check.name in only])
        self.said.append(as_text(lines, examination))
        self.said.append(as_json(lines, examination))
        return lines


def wrong_ones(lines: list[Line]) -> list[str]:
    return [f"{line.finding.text} - {line.finding.remedy}" for line in lines if line.finding.level == Level.WRONG]


@pytest.fixture
def api() -> Iterator[TwilioApi]:
    with twilio_api() as running:
        yield running


@asynccontextmanager
async def our_address(tls: ssl.SSLContext, *, body: bytes = b'{"status":"ok"}', hsts: bool = True) -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(body)
        head += b"Strict-Transport-Security: max-age=63072000\r\n" if hsts else b""
        writer.write(head + b"\r\n" + body)

    async with raw_server(answer, tls=tls) as port:
        yield port


@pytest.fixture
async def patient(tmp_path: Path, trust: Trust, api: TwilioApi) -> AsyncIterator[Patient]:
    """Healthy: everything is set up, and every service is there."""
    data, keys = tmp_path / "data", tmp_path / "keys"
    for folder in (data, data / "blobs"):
        folder.mkdir(mode=0o700)
    DirectoryKeyRing(keys)
    (tmp_path / "scanner").mkdir()
    database = f"sqlite+aiosqlite:///{data}/database.sqlite3"
    await asyncio.to_thread(migrate_database, database)
    with clamd(tmp_path / "scanner") as scanner:
        async with (
            mail_server(tls=trust.server, users={USER.encode(): PASSWORD.encode()}) as relay,
            name_server() as names,
            our_address(trust.server) as port,
        ):
            names.records = {
                "voorbeeld.example": [
                    "MX 10 mail.voorbeeld.example.",
                    'TXT "v=spf1 ip4:192.0.2.0/24 -all"',
                    'TXT "something else"',
                ],
                "_dmarc.voorbeeld.example": ['TXT "v=DMARC1; p=reject; adkim=s"'],
                "s1._domainkey.voorbeeld.example": [f'TXT "v=DKIM1; k=ed25519; p={"A" * 43}="'],
            }
            patient = Patient(
                {
                    "BASE_URL": f"https://localhost:{port}",
                    "DATA_DIR": str(data),
                    "KEYS_DIR": str(keys),
                    "MAIL_FROM": "post@voorbeeld.example",
                    "SMTP_URL": f"smtps://post%40voorbeeld.example:p%40ss%3Aw%2Frd%25-geheim@localhost:{relay.port}",
                    "SMS_URL": api.sms_url(),
                    "TWILIO_API_URL": api.url,
                    "TWILIO_AUTH_TOKEN": TOKEN,
                    "CLAMD_URL": scanner.url,
                    "STAFF_DOMAINS": "voorbeeld.example",
                    "ORGANISATION": "Gemeente Voorbeeld",
                    "HELP_PHONE": "014 000",
                    "SECURITY_CONTACT": "mailto:security@voorbeeld.example",
                    "AUDIT_MAIL": "ciso@voorbeeld.example, auditor@elders.example",
                    "TRUSTED_PROXIES": "10.0.0.1",
                    "DKIM_SELECTORS": "s1",
                    "METRICS_TOKEN": "metrics-token-that-is-long-enough",
                    "BOUNCE_ADDRESS": "bounces@voorbeeld.example",
                    "BOUNCE_TOKEN": "bounce-token-that-is-long-enough",
                },
                names,
                trust.client,
            )
            yield patient
    # Whatever a test made go wrong.
    for said in patient.said:
        assert not [secret for secret in SECRETS_OF_THE_STAGE if secret in said], said


def test_every_setting_is_judged_by_one_check() -> None:
    judged = [name for check in CHECKS for name in check.settings]

    assert sorted(judged) == sorted(NAMES)


async def test_a_healthy_installation_has_nothing_wrong(patient: Patient) -> None:
    lines = await patient.examine()

    assert wrong_ones(lines) == []
    assert is_well(lines)
    assert {line.name for line in lines} == {check.name for check in CHECKS} | {"clock"}
    assert len(patient.said[0].splitlines()) == len(lines)
    fine_ones = {line.name for line in lines if line.finding.level == Level.FINE}
    assert fine_ones == {check.name for check in CHECKS} - {"secrets", "scanner", "seal"} | {"clock"}
    assert json.loads(patient.said[1])[0] == {"level": "fine", "name": "name", "text": "Gemeente Voorbeeld", "remedy": ""}


async def test_a_seal_of_ones_own_is_looked_at(patient: Patient, tmp_path: Path) -> None:
    path = own_seal(tmp_path / "seal.pem", ec.generate_private_key(ec.SECP256R1()))

    soon, *_ = await patient.examine("seal", REPORT_SEAL=str(path))
    over, *_ = await patient.examine("seal", REPORT_SEAL=str(path), ahead=timedelta(days=2))
    absent, *_ = await patient.examine("seal", REPORT_SEAL=str(tmp_path / "absent.pem"))
    made, *_ = await patient.examine("seal")

    assert (soon.finding.level, soon.finding.remedy) == (Level.NOTE, "renew the certificate")
    assert "Zegel van de gemeente" in soon.finding.text
    assert (over.finding.level, absent.finding.level, made.finding.level) == (Level.WRONG, Level.WRONG, Level.NOTE)
    assert not (patient.folder("KEYS_DIR") / "seal.pem").exists()


async def test_a_look_changes_nothing(patient: Patient, api: TwilioApi) -> None:
    data = patient.folder("DATA_DIR")

    await patient.examine()

    assert list((data / "blobs").rglob("*")) == [path for path in (data / "blobs").rglob("*") if path.is_dir()]
    assert api.messages == []


async def test_a_check_that_breaks_or_hangs_is_a_line(patient: Patient) -> None:
    async def broken(_: Examination) -> AsyncIterator[Finding]:
        yield fine("so far")
        raise RuntimeError(PASSWORD)

    lines = await examine(
        Examination(
            settings=Settings.from_environment({f"{PREFIX}{name}": value for name, value in patient.environment.items()}),
            environment={},
            clock=lambda: datetime.now(UTC),
            resolver=patient.names.resolver,
        ),
        [Check("broken", (), broken)],
    )

    patient.said.append(as_text(lines))
    assert [line.finding.level for line in lines if line.name == "broken"] == [Level.FINE, Level.WRONG]


# Storing


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_the_schema_must_be_this_programs(patient: Patient, tmp_path: Path, kind: str) -> None:
    (tmp_path / kind).mkdir()
    with database_urls(kind, tmp_path / kind) as url:
        full = url.replace("sqlite:", "sqlite+aiosqlite:").replace("postgresql:", "postgresql+psycopg:")
        if kind == "postgresql":
            assert "another version" in wrong_ones(await patient.examine("database", DATABASE_URL=url))[0]
        await asyncio.to_thread(migrate_database, full)
        assert wrong_ones(await patient.examine("database", DATABASE_URL=url)) == []
        database = Database(full)
        async with database.work() as session:
            await session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        await database.close()

        assert "zegelpost migrate" in wrong_ones(await patient.examine("database", DATABASE_URL=url))[0]


async def test_a_database_that_is_not_there(patient: Patient, tmp_path: Path) -> None:
    gone = f"postgresql://zegelpost:{PASSWORD.replace('%', '%25').replace('/', '%2F').replace('@', '%40')}@127.0.0.1:1/zegelpost"

    assert "does not answer" in wrong_ones(await patient.examine("database", DATABASE_URL=gone))[0]
    missing = tmp_path / "elsewhere.sqlite3"
    assert "no database" in wrong_ones(await patient.examine("database", DATABASE_URL=f"sqlite:///{missing}"))[0]
    assert not missing.exists()


async def test_a_bucket_that_is_missing_or_closed(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server() as s3:
        use_endpoint(monkeypatch, s3.url)
        assert "bucket" in wrong_ones(await patient.examine("blobs", BLOBS_URL="s3://documents/zegelpost"))[0]
        s3.make_bucket("documents")
        assert wrong_ones(await patient.examine("blobs", BLOBS_URL="s3://documents/zegelpost")) == []
        assert s3.keys("documents") == []


async def test_a_folder_that_others_may_enter_or_that_is_gone(patient: Patient) -> None:
    data, keys = patient.folder("DATA_DIR"), patient.folder("KEYS_DIR")
    data.chmod(0o750)
    keys.chmod(0o755)

    assert len(wrong_ones(await patient.examine("folder", "keys"))) == 2
    lines = await patient.examine("folder", "keys", DATA_DIR="/nonexistent", KEYS_DIR="/nonexistent/keys")
    assert [line.split(" - ")[0] for line in wrong_ones(lines)] == ["/nonexistent is missing", "/nonexistent/keys is missing"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give things away")
async def test_another_users_folder_is_left_alone(patient: Patient) -> None:
    """What root would make there, the service could not open."""
    keys = patient.folder("KEYS_DIR")
    before = sorted(keys.rglob("*"))
    os.chown(keys, 65534, 65534)

    assert "sudo -u nobody" in wrong_ones(await patient.examine("keys"))[0]
    assert sorted(keys.rglob("*")) == before


async def test_a_damaged_or_open_key_is_found(patient: Patient) -> None:
    keys = patient.folder("KEYS_DIR")
    await patient.examine("keys")
    old = keys / "weeks" / "2026-W10.link"
    old.write_bytes(b"short")
    old.chmod(0o400)

    assert "damaged" in wrong_ones(await patient.examine("keys"))[0]
    old.unlink()
    (keys / "installation" / "people").chmod(0o644)
    assert "0400" in wrong_ones(await patient.examine("keys"))[0]


# Reaching


async def test_a_relay_with_another_certificate(patient: Patient, trust: Trust) -> None:
    async with mail_server(tls=trust.elsewhere) as server:
        lines = await patient.examine("mail", SMTP_URL=f"smtps://u:{'x' * 9}@localhost:{server.port}")

    assert "Hostname mismatch" in wrong_ones(lines)[0]
    assert "SSL_CERT_FILE" in wrong_ones(lines)[0]


async def test_a_relay_without_starttls(patient: Patient) -> None:
    async with mail_server() as server:
        lines = await patient.examine("mail", SMTP_URL=f"smtp+starttls://localhost:{server.port}")

    assert "STARTTLS" in wrong_ones(lines)[0]


async def test_a_relay_that_refuses_password_or_sender(patient: Patient, trust: Trust) -> None:
    async with mail_server(tls=trust.server, users={USER.encode(): b"other"}) as server:
        url = patient.environment["SMTP_URL"].rpartition(":")[0] + f":{server.port}"
        assert "password (535" in wrong_ones(await patient.examine("mail", SMTP_URL=url))[0]
    async with mail_server(tls=trust.server) as server:
        server.replies["MAIL"] = f"550 5.7.1 {PASSWORD} may not send"
        lines = await patient.examine("mail", SMTP_URL=f"smtps://localhost:{server.port}")
        assert "refused the sender (550 5.7.1)" in wrong_ones(lines)[0]


async def test_a_certificate_that_ends_soon_is_noted(patient: Patient) -> None:
    lines = await patient.examine("mail", "address", now=datetime(2999, 12, 25, tzinfo=UTC))

    assert [line.finding.remedy for line in lines if "certificate until" in line.finding.text] == ["renew it"] * 2


async def test_a_key_that_twilio_withdrew_and_a_token_of_another_account(patient: Patient, api: TwilioApi) -> None:
    lines = await patient.examine("sms", SMS_URL=api.sms_url().replace("s3cr:t", "gone"))
    assert "ZEGELPOST_SMS_URL" in wrong_ones(lines)[0]
    lines = await patient.examine("sms", TWILIO_AUTH_TOKEN="an-other-auth-token")
    assert "AUTH_TOKEN is not this account's" in wrong_ones(lines)[0]


@pytest.mark.parametrize(
    ("name", "is_wrong"), [("Zegelpost", False), ("Gemeente%20Voorbeeld", True), ("1234", True), ("Zé", True)]
)
async def test_a_senders_name_must_be_one(patient: Patient, api: TwilioApi, name: str, is_wrong: bool) -> None:
    assert bool(wrong_ones(await patient.examine("sms", SMS_URL=api.sms_url(name)))) == is_wrong


async def test_twilio_down(patient: Patient, api: TwilioApi) -> None:
    api.fail_next(503)

    assert "503" in wrong_ones(await patient.examine("sms"))[0]


async def test_a_second_provider(patient: Patient, api: TwilioApi) -> None:
    with messagebird_api() as bird:
        both = f"{api.sms_url()} {bird.sms_url()}"
        lines = await patient.examine("sms", SMS_URL=both)
        assert wrong_ones(lines) == []
        assert [line.finding.text for line in lines if "second provider" in line.finding.text]

        bird.balance["amount"] = 0
        assert "there is no credit" in wrong_ones(await patient.examine("sms", SMS_URL=both))[0]
        lines = await patient.examine("sms", SMS_URL=bird.sms_url(key="gone", signing_key=""))
        assert "ZEGELPOST_SMS_URL" in wrong_ones(lines)[0]
        bird.fail_next(503)
        assert "503" in wrong_ones(await patient.examine("sms", SMS_URL=bird.sms_url()))[0]


async def test_who_is_called_from_where(patient: Patient, api: TwilioApi) -> None:
    url = f"{api.sms_url()}&call_from=+3197012345678"
    lines = await patient.examine("sms", SMS_URL=url, SPOKEN_CODES="on")
    assert [line.finding.text for line in lines if "from +3197012345678" in line.finding.text]
    lines = await patient.examine("sms", SMS_URL=url)
    assert [line.finding.level for line in lines if "no codes are read out" in line.finding.text] == [Level.NOTE]


async def test_a_scanner_that_is_not_there(patient: Patient) -> None:
    assert "cannot be reached" in wrong_ones(await patient.examine("scanner", CLAMD_URL="tcp://127.0.0.1:1"))[0]


async def test_a_scanner_that_calls_clean_what_it_skips(patient: Patient, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with clamd(tmp_path / "other", AlertExceedsMax="no") as other:
        assert "AlertExceedsMax" in wrong_ones(await patient.examine("scanner", CLAMD_URL=other.url))[0]


@pytest.mark.parametrize(("days", "level"), [(0, Level.FINE), (4, Level.NOTE), (11, Level.WRONG)])
async def test_signatures_that_grow_old(patient: Patient, days: int, level: Level) -> None:
    made = datetime(2026, 11, 24, 8, 27, 45, tzinfo=UTC)

    async def clamd_of_yesterday(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readuntil(b"\0")).startswith(b"zVERSION"):
            writer.write(f"ClamAV 1.4.3/27834/{made:%a %b %e %H:%M:%S %Y}\0".encode())
            return
        while length := int.from_bytes(await reader.readexactly(4)):
            await reader.readexactly(length)
        writer.write(b"stream: Heuristics.Limits.Exceeded.MaxRecursion FOUND\0")

    async with raw_server(clamd_of_yesterday) as port:
        lines = await patient.examine("scanner", CLAMD_URL=f"tcp://127.0.0.1:{port}", now=made + timedelta(days=days, hours=1))

    assert [(line.finding.level, "2026-11-24" in line.finding.text) for line in lines if line.name == "scanner"] == [
        (level, True)
    ]


@pytest.mark.parametrize(
    ("served", "told"),
    [
        (lambda trust: our_address(trust.elsewhere), "Hostname mismatch"),
        (lambda trust: our_address(trust.server, body=b"<h1>nginx</h1>"), "not as we do"),
        (lambda trust: our_address(trust.server, hsts=False), "Strict-Transport-Security"),
    ],
)
async def test_our_own_address(
    patient: Patient, trust: Trust, served: Callable[[Trust], AbstractAsyncContextManager[int]], told: str
) -> None:
    async with served(trust) as port:
        assert told in wrong_ones(await patient.examine("address", BASE_URL=f"https://localhost:{port}"))[0]
    assert "does not answer" in wrong_ones(await patient.examine("address", BASE_URL="https://localhost:1"))[0]


@pytest.mark.parametrize(
    ("networks", "level"),
    [("", Level.NOTE), ("0.0.0.0/0", Level.WRONG), ("::/0", Level.WRONG), ("10.0.0.0/8", Level.FINE), ("8.8.8.8", Level.NOTE)],
)
async def test_whom_we_believe(patient: Patient, networks: str, level: Level) -> None:
    lines = await patient.examine("proxies", TRUSTED_PROXIES=networks)

    assert [line.finding.level for line in lines if line.name == "proxies"] == [level]


@pytest.mark.parametrize(("seconds", "level"), [(1, Level.FINE), (10, Level.NOTE), (90, Level.WRONG)])
async def test_a_clock_that_is_off(patient: Patient, seconds: int, level: Level) -> None:
    lines = await patient.examine("sms", ahead=timedelta(seconds=seconds))

    assert [line.finding.level for line in lines if line.name == "clock"] == [level]


async def test_the_mailbox_of_what_comes_back(patient: Patient) -> None:
    authority = trustme.CA()
    authority.configure_trust(patient.trust)
    with imap_server(authority) as server:
        server.put(b"Subject: x\r\n\r\n")
        lines = await patient.examine("bounces", BOUNCE_MAILBOX_URL=server.url())
        assert wrong_ones(lines) == []
        assert any("TLSv1.3, logged in, 1 to be read" in line.finding.text for line in lines)
        assert server.contents(is_read=False)
        wrong_password = server.url(password="something else")
        assert "password" in wrong_ones(await patient.examine("bounces", BOUNCE_MAILBOX_URL=wrong_password))[0]
        gone = server.url(folder="Elders")
        assert "no such folder" in wrong_ones(await patient.examine("bounces", BOUNCE_MAILBOX_URL=gone))[0]
    with imap_server(trustme.CA()) as stranger:
        assert "no trustworthy TLS" in wrong_ones(await patient.examine("bounces", BOUNCE_MAILBOX_URL=stranger.url()))[0]


async def test_the_app_that_sends_from_mailboxes(patient: Patient, tmp_path: Path) -> None:
    with trusted(tmp_path) as context, graph_api(context) as graph:
        assert wrong_ones(await patient.examine("mailboxes", MAILBOXES_URL=graph.mailboxes_url)) == []
        assert graph.requested("sendMail") == []
        graph.revoke_secret()
        assert "renew the secret" in wrong_ones(await patient.examine("mailboxes", MAILBOXES_URL=graph.mailboxes_url))[0]


async def test_without_a_way_back_senders_are_told_less(patient: Patient) -> None:
    lines = await patient.examine("bounces", BOUNCE_ADDRESS=None, BOUNCE_TOKEN=None)
    assert [line.finding.level for line in lines if line.name == "bounces"] == [Level.NOTE]
    lines = await patient.examine("bounces", BOUNCE_ADDRESS=None)
    assert [line.finding.level for line in lines if line.name == "bounces"] == [Level.NOTE, Level.FINE]


async def test_a_relay_has_to_take_the_return_address(patient: Patient, trust: Trust) -> None:
    async with mail_server(tls=trust.server) as relay:
        relay.replies["MAIL"] = "550 5.7.60 Client does not have permissions to send as this sender"
        told = wrong_ones(await patient.examine("mail", SMTP_URL=f"smtps://localhost:{relay.port}"))
    assert "ZEGELPOST_BOUNCE_ADDRESS" in told[0]


async def test_a_secret_that_others_can_read_is_noted(patient: Patient, tmp_path: Path) -> None:
    file = tmp_path / "smtp"
    file.write_text(patient.environment["SMTP_URL"])
    file.chmod(0o644)

    lines = await patient.examine("secrets", SMTP_URL=None, SMTP_URL_FILE=str(file))
    assert any(f"chmod 0400 {file}" in line.finding.remedy for line in lines)
    assert wrong_ones(await patient.examine("secrets", METRICS_TOKEN="short"))


async def test_a_sign_in_provider_is_who_it_should_be_and_gives_its_keys(patient: Patient) -> None:
    back = f"{patient.environment['BASE_URL']}/sign-in/callback"
    with entra(redirect_url=back, people={}) as tenant:
        given = {"OIDC_AUTHORITY": tenant.authority, "OIDC_CLIENT_ID": CLIENT_ID, "OIDC_CLIENT_SECRET": "kanarie-geheim"}

        async def look(trust: ssl.SSLContext = tenant.trust, **changed: str) -> list[str]:
            patient.trust = trust
            environment: dict[str, str] = given | changed
            lines = await patient.examine("sign-in", now=None, ahead=timedelta(), **environment)
            return [f"{each.finding.text} - {each.finding.remedy}" for each in lines if each.name == "sign-in"]

        healthy, stays_signed_in, no_administrators = await look()
        assert f"tenant {TENANT} answers, 1 keys; it sends people back to {back}" in healthy
        assert f"graph://CLIENT_ID:SECRET@{TENANT}" in stays_signed_in
        assert "OIDC_ADMINISTRATORS" in no_administrators
        given["ADDRESS_BOOK_URL"] = f"graph://client:kanarie-geheim@{TENANT}"
        assert len(await look(OIDC_ADMINISTRATORS="Zegelpost.Administrator", OIDC_AUDITORS="Zegelpost.Auditor")) == 1
        same = await look(OIDC_ADMINISTRATORS="Beheer, Alles", OIDC_AUDITORS="Alles")
        assert "Alles administers and audits" in same[1]
        several = await look(OIDC_ADMINISTRATORS="Beheer", OIDC_TENANTS=OTHER_TENANT)
        assert f"tenant {TENANT} and {OTHER_TENANT} answers" in several[0]
        assert "another tenant stays signed in" in several[1]
        [stranger] = await look(ssl.create_default_context())
        assert "certificate" in stranger
        assert "SSL_CERT_FILE" in stranger
        tenant.keys.clear()
        assert "keys" in (await look())[0]
        tenant.issuer_told = f"{tenant.url}/common/v2.0"
        assert "to the letter" in (await look())[0]
        tenant.is_down = True
        assert "does not describe itself" in (await look())[0]
        assert not any("kanarie" in said for said in patient.said)
    assert "does not describe itself" in (await look())[0]


# The command


def _command(environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("zegelpost")), "doctor", *options],
        env={"PATH": os.defpath} | {f"{PREFIX}{name}": value for name, value in environment.items()},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_tells_monitoring_by_its_exit_code(tmp_path: Path) -> None:
    demo = {"DEMO": "1", "BASE_URL": "http://127.0.0.1:1", "DATA_DIR": str(tmp_path)}

    answer = _command(demo, "--json")

    assert answer.returncode == 1
    told = {(each["name"], each["level"]) for each in json.loads(answer.stdout)}
    assert {("database", "wrong"), ("keys", "wrong"), ("address", "wrong"), ("name", "fine")} <= told
    assert answer.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_is_missing_is_a_line_too(tmp_path: Path) -> None:
    answer = _command({"BASE_URL": "https://post.example.nl", "DATA_DIR": str(tmp_path)})

    assert answer.returncode == 1
    assert answer.stdout.startswith("wrong  settings  ZEGELPOST_SMTP_URL is missing")
    assert "Traceback" not in answer.stderr
