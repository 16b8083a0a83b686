"""The promise table of `backend/docs/threat-model.md`, row by row: a thief with just that tries every key."""

from __future__ import annotations

import dataclasses
import itertools
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.conftest import MovableClock, Outbox, Portal
from tests.web import acts
from tests.web.tus import directory_of

from zegelpost.adapters.blobs_directory import DirectoryBlobs
from zegelpost.main import Services
from zegelpost.model.link import LinkSecret
from zegelpost.model.policy import Policy
from zegelpost.sealing.document import DocumentReader
from zegelpost.sealing.errors import SealBroken
from zegelpost.sealing.keys import MessageKey, blind_index
from zegelpost.sealing.manifest import manifest_digest, open_manifest
from zegelpost.sealing.text import open_bytes
from zegelpost.sealing.wrapping import WrapPurpose, unwrap_under_secret

PAGE = Path(__file__).parents[1] / "backend/docs/threat-model.md"
CONTENT = acts.DOCUMENT + b"% the patient is well\n"


@dataclasses.dataclass(frozen=True)
class Promise:
    has: str
    sender_copy: str
    link_only: str

    @property
    def has_database(self) -> bool:
        return "the database" in self.has or "all of that" in self.has

    @property
    def has_web_secrets(self) -> bool:
        return "own secrets" in self.has or "all of that" in self.has

    @property
    def has_week_keys(self) -> bool:
        return "the week keys" in self.has or "all of that" in self.has

    @property
    def has_link(self) -> bool:
        return " a link" in self.has

    @property
    def is_after_the_week(self) -> bool:
        return "after the week was destroyed" in self.has


def promises() -> list[Promise]:
    table = PAGE.read_text().partition("| An attacker has |")[2].partition("\n\n")[0]
    return [Promise(*(cell.strip() for cell in line.strip("|").split("|"))) for line in table.splitlines()[2:]]


def test_the_table_has_its_rows() -> None:
    assert len(promises()) == 8
    assert {verdict for promise in promises() for verdict in (promise.sender_copy, promise.link_only)} == {"open", "closed"}
    assert all(promise.has_database for promise in promises())


@pytest.fixture(params=["sender copy", "link-only"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def policy(kind: str) -> Policy:
    return Policy(staff_domains=("zegelpost.example",), has_sender_copy=kind == "sender copy", requires_second_factor=False)


@pytest.mark.parametrize("promise", promises(), ids=lambda promise: re.sub(r"\W+", "-", promise.has))
async def test_what_a_thief_gets(
    promise: Promise,
    kind: str,
    anna_portal: Portal,
    client: httpx2.AsyncClient,
    outbox: Outbox,
    services: Services,
    clock: MovableClock,
) -> None:
    await acts.send(anna_portal, documents={"brief.pdf": CONTENT})
    secret = (await outbox.link(acts.ROSA.email))[1]
    await acts.open_link(client, outbox)  # a grant is in the database too
    if promise.is_after_the_week:
        clock.forward(days=80)
        assert (await services.erasing.run()).erased_count
        await services.erasing.run()

    keys = services.settings.keys_dir
    stolen = [*_keys(keys / "weeks", promise.has_week_keys), *_keys(keys / "installation", promise.has_web_secrets)]
    if promise.has_link:
        stolen.append(LinkSecret.parse(secret).value)
    found = set(_contents(services, stolen))

    promised = promise.sender_copy if kind == "sender copy" else promise.link_only
    assert found == ({CONTENT} if promised == "open" else set())


def _keys(folder: Path, is_stolen: bool) -> list[bytes]:
    return [path.read_bytes() for path in folder.iterdir() if path.stat().st_size] if is_stolen else []


def _contents(services: Services, stolen: list[bytes]) -> Iterator[bytes]:
    """Every document that opens with the stolen keys, tried as key and as salt, on every wrap in the database."""
    database = sqlite3.connect(urlsplit(services.settings.database_url).path)
    database.row_factory = sqlite3.Row
    blobs = DirectoryBlobs(directory_of(services))
    for document in database.execute("select * from document where sealed_manifest is not null").fetchall():
        parts = database.execute("select blob from part where document_id = ? order by number", [document["id"]]).fetchall()
        for key in _message_keys(database, document["transfer_id"], stolen):
            manifest = open_manifest(
                key,
                transfer_id=document["transfer_id"],
                document_id=document["id"],
                sealed=document["sealed_manifest"],
                expected_digest=manifest_digest(document["sealed_manifest"]),
            )
            names = [part["blob"] for part in parts]
            reader = DocumentReader(
                key,
                manifest,
                lambda number, start, length, names=names: blobs.read(names[number], start, length),  # type: ignore[misc]
                lambda number, names=names: blobs.size(names[number]),  # type: ignore[misc]
            )
            yield b"".join(reader.read_range(0, reader.total_bytes))


def _message_keys(database: sqlite3.Connection, transfer_id: str, stolen: list[bytes]) -> Iterator[MessageKey]:
    wraps: list[tuple[WrapPurpose, bytes | None, str, str]] = []
    salts = [b"", b"zegelpost token wrap v1", *stolen]
    for transfer in database.execute("select * from transfer where id = ?", [transfer_id]):
        week = transfer["week"] or ""
        wraps += [(purpose, transfer["sender_wrap"], "sender", week) for purpose in WrapPurpose]
        wraps += [(WrapPurpose.DRAFT, transfer["draft_wrap"], "sender", "token")]
    links = "select link.* from link join recipient on recipient.id = link.recipient_id where recipient.transfer_id = ?"
    for link in database.execute(links, [transfer_id]):
        wraps += [(WrapPurpose.LINK, link["wrap"], link["recipient_id"], link["id"])]
        salts += [blind_index(key, "link-salt", link["id"]) for key in stolen]
        salts += _opened(stolen, f"link/{link['id']}/salt", link["carried_salt"])
    for grant in database.execute('select * from "grant"'):
        wraps += [(WrapPurpose.GRANT, grant["wrap"], grant["recipient_id"], "cookie")]
    for (purpose, wrap, holder_id, key_id), secret, salt in itertools.product(wraps, stolen, salts):
        if wrap is None:
            continue
        try:
            yield unwrap_under_secret(
                wrap, purpose=purpose, secret=secret, salt=salt, transfer_id=transfer_id, holder_id=holder_id, key_id=key_id
            )
        except SealBroken:
            continue


def _opened(stolen: list[bytes], context: str, sealed: bytes | None) -> Iterator[bytes]:
    for key in stolen if sealed else []:
        try:
            yield open_bytes(key, context, sealed or b"")
        except SealBroken:
            continue
