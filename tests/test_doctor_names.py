"""What the doctor reads in the DNS about mail in our name, from a real name server on loopback."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.stand_ins.name_server import NameServer, name_server

from zegelpost.doctor.examining import as_text, examine
from zegelpost.doctor.findings import Check, Examination, Level
from zegelpost.doctor.naming import mail_domain
from zegelpost.settings import PREFIX, Settings

DOMAIN = "post.voorbeeld.example"
SELECTORS = "s1"


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    async with name_server() as server:
        server.records = {
            DOMAIN: ["MX 10 mail.voorbeeld.example.", 'TXT "v=spf1 mx -all"'],
            f"_dmarc.{DOMAIN}": ['TXT "v=DMARC1; p=reject"'],
            f"s1._domainkey.{DOMAIN}": [key_record(2048)],
            "mail.voorbeeld.example": ["A 8.8.4.4"],
        }
        yield server


def key_record(bits: int) -> str:
    public = generate_private_key(65537, bits).public_key()
    encoded = base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    whole = f"v=DKIM1; k=rsa; p={encoded}"
    return "TXT " + " ".join(f'"{whole[at : at + 200]}"' for at in range(0, len(whole), 200))


async def look(names: NameServer, selectors: str = SELECTORS, bounces: str = "") -> list[tuple[Level, str]]:
    environment = {
        "BASE_URL": "https://post.voorbeeld.example",
        "DATA_DIR": "/nonexistent",
        "MAIL_FROM": f"noreply@{DOMAIN}",
        "SMTP_URL": "smtps://mail.voorbeeld.example",
        "SMS_URL": "twilio://SK1:secret@AC1?from=Gemeente",
        "STAFF_DOMAINS": "voorbeeld.example",
        "DKIM_SELECTORS": selectors,
        "BOUNCE_ADDRESS": bounces,
    }
    examination = Examination(
        settings=Settings.from_environment({f"{PREFIX}{name}": value for name, value in environment.items()}),
        environment={},
        clock=lambda: datetime.now(UTC),
        resolver=names.resolver,
    )
    lines = await examine(examination, [Check("mail domain", (), mail_domain)])
    assert as_text(lines, examination)
    return [(line.finding.level, f"{line.finding.text} - {line.finding.remedy}") for line in lines if line.name != "clock"]


async def about(names: NameServer, subject: str, selectors: str = SELECTORS) -> tuple[Level, str]:
    found = [each for each in await look(names, selectors) if each[1].startswith(subject)]
    assert found, subject
    return max(found, key=lambda each: list(Level).index(each[0]))


async def test_a_domain_in_order(names: NameServer) -> None:
    found = await look(names)

    assert [level for level, _ in found] == [Level.FINE] * 4, found
    assert "holds mail.voorbeeld.example" in found[1][1]


@pytest.mark.parametrize(
    ("record", "level", "told"),
    [
        (None, Level.WRONG, "no record"),
        ("v=spf1 ip4:8.8.4.0/24 -all", Level.FINE, "holds mail"),
        ("v=spf1 ip4:8.8.4.4 ~all", Level.FINE, "~all"),
        ("v=spf1 a:mail.voorbeeld.example/24 -all", Level.FINE, "holds mail"),
        ("v=spf1 include:relay.example -all", Level.FINE, "holds mail"),
        ("v=spf1 redirect=relay.example", Level.FINE, "-all"),
        ("v=spf1 ip4:192.0.2.1 -all", Level.NOTE, "does not hold"),
        ("v=spf1 -ip4:8.8.4.4 -all", Level.NOTE, "does not hold"),
        ("v=spf1 exists:%{i}.relay.example -all", Level.NOTE, "does not hold"),
        ("v=spf1 mx ?all", Level.NOTE, "from elsewhere"),
        ("v=spf1 mx", Level.NOTE, "from elsewhere"),
        ("v=spf1 mx +all", Level.WRONG, "everyone"),
        ("v=spf1 mx all", Level.WRONG, "everyone"),
        ("v=spf1 ip4:8.8.4.400 -all", Level.WRONG, "no address"),
        ("v=spf1 ipv4:8.8.4.4 -all", Level.WRONG, "means nothing"),
        ("v=spf1 include:nobody.example -all", Level.WRONG, "nobody.example"),
        ("v=spf1 include:loop.example -all", Level.WRONG, "lookups"),
        ("v=spf1 " + "a " * 11 + "-all", Level.WRONG, "11 lookups"),
    ],
)
async def test_spf(names: NameServer, record: str | None, level: Level, told: str) -> None:
    names.records[DOMAIN] = ["MX 10 mail.voorbeeld.example.", *([f'TXT "{record}"'] if record else [])]
    names.records["relay.example"] = ['TXT "v=spf1 ip4:8.8.4.4 -all"']
    names.records["loop.example"] = ['TXT "v=spf1 include:loop.example -all"']

    found = await about(names, "SPF")

    assert found[0] == level
    assert told in found[1]


async def test_two_spf_records_are_none(names: NameServer) -> None:
    names.records[DOMAIN] += ['TXT "v=spf1 -all"']

    assert (await about(names, "SPF"))[0] == Level.WRONG


@pytest.mark.parametrize(
    ("where", "record", "level", "told"),
    [
        (DOMAIN, None, Level.WRONG, "no record"),
        (DOMAIN, "v=DMARC1; p=none", Level.NOTE, "none"),
        (DOMAIN, "v=DMARC1; p=Quarantine; rua=mailto:x@example.nl", Level.FINE, "quarantine"),
        (DOMAIN, "v=DMARC1; rua=mailto:x@example.nl", Level.WRONG, "no policy"),
        (DOMAIN, "something else", Level.WRONG, "no record"),
        ("voorbeeld.example", "v=DMARC1; p=reject", Level.FINE, "by voorbeeld.example"),
        ("voorbeeld.example", "v=DMARC1; p=reject; sp=none", Level.NOTE, "none"),
        ("example", "v=DMARC1; p=reject", Level.WRONG, "no record"),
    ],
)
async def test_dmarc(names: NameServer, where: str, record: str | None, level: Level, told: str) -> None:
    del names.records[f"_dmarc.{DOMAIN}"]
    if record:
        names.records[f"_dmarc.{where}"] = [f'TXT "{record}"']

    found = await about(names, "DMARC")

    assert found[0] == level
    assert told in found[1]


@pytest.mark.parametrize(
    ("record", "level", "told"),
    [
        (key_record(2048), Level.FINE, "2048"),
        (key_record(1024), Level.NOTE, "1024"),
        ('TXT "v=DKIM1; p="', Level.WRONG, "withdrawn"),
        ('TXT "v=DKIM1; p=abc"', Level.WRONG, "damaged"),
        ('TXT "v=DKIM1; p=AAAA"', Level.WRONG, "damaged"),
        (f'TXT "v=DKIM1; k=ed25519; p={"A" * 43}="', Level.FINE, "Ed25519"),
        (f'TXT "v=DKIM1; k=ed25519; p={"A" * 40}"', Level.WRONG, "damaged"),
        (None, Level.WRONG, "no key"),
    ],
)
async def test_dkim(names: NameServer, record: str | None, level: Level, told: str) -> None:
    names.records[f"s1._domainkey.{DOMAIN}"] = [record] if record else []

    found = await about(names, "DKIM")

    assert found[0] == level
    assert told in found[1]


@pytest.mark.parametrize(
    ("signer", "alignment", "is_aligned"),
    [
        ("voorbeeld.example", "", True),
        ("elders.voorbeeld.example", "", True),
        ("voorbeeld.example", "; adkim=s", False),
        ("relay.example", "", False),
        ("kwaadvoorbeeld.example", "", False),
    ],
)
async def test_the_signature_must_be_aligned(names: NameServer, signer: str, alignment: str, is_aligned: bool) -> None:
    del names.records[f"_dmarc.{DOMAIN}"]
    names.records["_dmarc.voorbeeld.example"] = [f'TXT "v=DMARC1; p=reject{alignment}"']
    names.records[f"s9._domainkey.{signer}"] = [key_record(2048)]

    found = await about(names, "DKIM", f"s9@{signer}")

    assert (found[0] == Level.FINE) == is_aligned
    assert ("not aligned" in found[1]) != is_aligned


@pytest.mark.parametrize(
    ("domain", "alignment", "level"),
    [
        (DOMAIN, "; aspf=s", Level.FINE),
        (f"terug.{DOMAIN}", "", Level.FINE),
        (f"terug.{DOMAIN}", "; aspf=s", Level.NOTE),
        ("relay.example", "", Level.NOTE),
    ],
)
async def test_spf_and_mx_are_those_of_the_return_address(names: NameServer, domain: str, alignment: str, level: Level) -> None:
    names.records[f"_dmarc.{DOMAIN}"] = [f'TXT "v=DMARC1; p=reject{alignment}"']
    own = names.records.pop(DOMAIN)
    found = await look(names, bounces=f"bounces@{domain}")
    assert {told.split(":")[0] for level, told in found if level == Level.WRONG} == {f"{domain} takes no mail (no MX)", "SPF"}

    names.records[domain] = own
    found = await look(names, bounces=f"bounces@{domain}")
    assert [level for level, _ in found] == [Level.FINE, Level.FINE, level, Level.FINE], found
    assert ("not aligned" in found[2][1]) == (level == Level.NOTE)


async def test_without_selectors_dkim_is_not_called_fine(names: NameServer) -> None:
    assert (await about(names, "DKIM", ""))[0] == Level.NOTE


async def test_a_domain_that_takes_no_mail_loses_bounces(names: NameServer) -> None:
    names.records[DOMAIN] = names.records[DOMAIN][1:]
    assert (await about(names, f"{DOMAIN} takes no mail"))[0] == Level.WRONG
    names.records[DOMAIN] += ["MX 0 ."]  # RFC 7505
    assert (await about(names, f"{DOMAIN} takes no mail"))[0] == Level.WRONG


async def test_name_servers_that_are_away_say_nothing_about_the_records(names: NameServer) -> None:
    names.is_down = True

    found = await look(names)

    assert {level for level, _ in found} == {Level.NOTE}
