"""What the doctor says about address books: who mends it and how, and never a secret."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dns.asyncresolver import Resolver
from tests.stand_ins.ews_server import ews_server
from tests.stand_ins.graph_api import GraphApi, Misbehaviour, graph_api
from tests.stand_ins.tls import trusted

from zegelpost.database import Database
from zegelpost.doctor.examining import CHECKS, as_json, as_text, examine
from zegelpost.doctor.findings import Examination, Level
from zegelpost.migrations import migrate_database
from zegelpost.model.address_book import DIRECTORY, AddressBookKind, AddressFeed, FeedTrouble
from zegelpost.model.identifiers import FeedId, new_identifier
from zegelpost.settings import PREFIX, Settings

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
SECRETS = ("s3cr~et", "s3cr:t", "s3cr%3At", "with@signs", "with%40signs")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[GraphApi]:
    with trusted(tmp_path) as context, graph_api(context) as found:
        yield found


async def look(tmp_path: Path, **changed: str) -> list[tuple[Level, str]]:
    environment = {"DEMO": "1", "BASE_URL": "http://127.0.0.1:1", "DATA_DIR": str(tmp_path)} | changed
    environment = {f"{PREFIX}{name}": value for name, value in environment.items()}
    examination = Examination(
        settings=Settings.from_environment(environment),
        environment=environment,
        clock=lambda: NOW,
        resolver=Resolver(configure=False),
    )
    lines = await examine(examination, [check for check in CHECKS if check.name == "address book"])
    said = as_text(lines, examination) + as_json(lines, examination)
    assert not [secret for secret in SECRETS if secret in said], said
    return [(line.finding.level, f"{line.finding.text} - {line.finding.remedy}") for line in lines if line.name == "address book"]


async def test_graph_shows_both_lists(tmp_path: Path, api: GraphApi) -> None:
    lines = await look(tmp_path, ADDRESS_BOOK_URL=api.address_book_url)

    assert [level for level, _ in lines] == [Level.FINE, Level.FINE, Level.NOTE]
    assert "database has none yet" in lines[2][1]


async def test_a_permission_that_lacks_is_named(tmp_path: Path, api: GraphApi) -> None:
    api.misbehave(Misbehaviour(403, "Authorization_RequestDenied", skip=1))

    lines = await look(tmp_path, ADDRESS_BOOK_URL=api.address_book_url)

    assert lines[0][0] == Level.FINE
    assert lines[1][0] == Level.WRONG
    assert "OrgContact.Read.All" in lines[1][1]


async def test_a_revoked_secret(tmp_path: Path, api: GraphApi) -> None:
    api.revoke_secret()

    lines = await look(tmp_path, ADDRESS_BOOK_URL=api.address_book_url)

    assert {level for level, _ in lines[:2]} == {Level.WRONG}
    assert "AADSTS7000222" in lines[0][1]
    assert "renew the secret" in lines[0][1]


async def test_a_certificate_that_nobody_here_trusts(tmp_path: Path, api: GraphApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")

    lines = await look(tmp_path, ADDRESS_BOOK_URL=api.address_book_url)

    assert lines[0][0] == Level.WRONG
    assert "REQUESTS_CA_BUNDLE" in lines[0][1]


async def test_exchange_of_our_own(tmp_path: Path) -> None:
    with ews_server() as server:
        assert (await look(tmp_path, ADDRESS_BOOK_URL=server.address_book_url))[0][0] == Level.FINE
        server.password = "another"
        lines = await look(tmp_path, ADDRESS_BOOK_URL=server.address_book_url)

    assert lines[0][0] == Level.WRONG
    assert "ZEGELPOST_ADDRESS_BOOK_URL" in lines[0][1]


async def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    assert (await look(tmp_path, ADDRESS_BOOK_CSV=str(path)))[0][0] == Level.WRONG
    path.write_text("Naam;E-mailadres\nRosa;rosa@zorg.example\n")
    assert (await look(tmp_path, ADDRESS_BOOK_CSV=str(path)))[0][0] == Level.FINE


async def test_what_the_workers_wrote_down(tmp_path: Path, api: GraphApi) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/database.sqlite3"
    await asyncio.to_thread(migrate_database, url)
    database = Database(url)
    async with database.work() as session:
        feed = AddressFeed(id=FeedId(new_identifier()), place=DIRECTORY, kind=AddressBookKind.GRAPH, due_at=NOW)
        feed.trouble, feed.trouble_since = FeedTrouble.SHRUNK, NOW
        session.add(feed)
    await database.close()

    lines = await look(tmp_path, ADDRESS_BOOK_URL=api.address_book_url)

    assert lines[2][0] == Level.WRONG
    assert "list of the organisation: 1 with shrunk, since 2026-11-25 09:30 UTC" in lines[2][1]
