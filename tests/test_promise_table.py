"""The promise table of `backend/docs/threat-model.md`, row by row: a thief with just that tries every key on every lock."""

from __future__ import annotations

import base64
import email
import itertools
import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.conftest import MovableClock, Outbox, Portal
from tests.web import acts
from tests.web.tus import directory_of

from zegelpost.adapters.blobs_directory import DirectoryBlobs
from zegelpost.main import Services, build_worker
from zegelpost.model.link import LinkSecret
from zegelpost.model.policy import Policy
from zegelpost.model.transfer import week_of
from zegelpost.sealing.errors import SealBroken
from zegelpost.sealing.keys import MessageKey, blind_index
from zegelpost.sealing.manifest import manifest_digest, open_manifest
from zegelpost.sealing.text import open_bytes, open_text
from zegelpost.sealing.wrapping import WrapPurpose, unwrap_under_secret
from zegelpost.services.unsealing import reader_of

PAGE = Path(__file__).parents[1] / "backend/docs/threat-model.md"
DOCUMENT = acts.DOCUMENT + b"% the patient is well\n"
NOTE = "The patient is well"
EXPIRY = timedelta(days=28)


@dataclass(frozen=True)
class Promise:
    """One row: what the thief has, and what that opens."""

    has: str
    sender_copy: str
    link_only: str

    @property
    def has_documents(self) -> bool:
        return "documents" in self.has

    @property
    def key_folders(self) -> set[str]:
        """Folders of the key ring that were stolen."""
        if "the whole key ring" in self.has:
            return {"installation", "weeks", "outbox"}
        return {
            folder
            for folder, words in (("installation", "the web process's own secrets"), ("weeks", "the week keys"))
            if words in self.has
        }

    @property
    def has_link(self) -> bool:
        return "and a link" in self.has

    @property
    def is_mail_waiting(self) -> bool:
        return "while the mail waits" in self.has

    @property
    def has_colleague(self) -> bool:
        return "a colleague among the recipients" in self.has

    @property
    def is_after_the_week(self) -> bool:
        return "after the week was destroyed" in self.has

    def opens(self, kind: str) -> bool:
        return {"open": True, "closed": False}[self.sender_copy if kind == "sender copy" else self.link_only]


def promises() -> list[Promise]:
    table = PAGE.read_text(encoding="utf-8").partition("| An attacker has |")[2].partition("\n\n")[0]
    return [Promise(*(cell.strip() for cell in line.strip("|").split("|"))) for line in table.splitlines()[2:]]


def test_the_words_of_the_table_are_all_understood() -> None:
    assert [
        (len(row.key_folders), row.has_documents, row.has_link, row.is_mail_waiting, row.has_colleague, row.is_after_the_week)
        for row in promises()
    ] == [
        (0, False, False, False, False, False),
        (0, True, False, False, False, False),
        (1, True, False, False, False, False),
        (2, True, False, False, False, False),
        (0, True, True, False, False, False),
        (1, True, True, False, False, False),
        (3, True, False, False, False, False),
        (3, True, False, True, False, False),
        (3, True, False, False, True, False),
        (3, True, True, False, False, True),
    ]


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
    tmp_path: Path,
) -> None:
    rows = (acts.ROSA, acts.BRAM) if promise.has_colleague else (acts.ROSA,)
    await acts.send(anna_portal, *rows, documents={"brief.pdf": DOCUMENT}, note=NOTE)
    copies = [copy_of(services, tmp_path / "waiting")]
    if not promise.is_mail_waiting:
        _, secret = await outbox.link(acts.ROSA.email)
        await acts.open_link(client, outbox)  # so that a grant is there to be tried too
        copies.append(copy_of(services, tmp_path / "opened"))
    if promise.is_after_the_week:
        clock.forward(days=80)
        await build_worker(services).sweep()
        assert list((services.settings.keys_dir / "weeks").glob("*.destroyed"))
        copies.append(copy_of(services, tmp_path / "afterwards"))

    thief = Thief(
        # Old backups come with the destroyed week only: a promise about what still lives is about the database of today.
        copies=copies if promise.is_after_the_week else copies[-1:],
        has_documents=promise.has_documents,
        keys=[
            path.read_bytes()
            for folder in promise.key_folders
            for path in (services.settings.keys_dir / folder).iterdir()
            if path.suffix != ".destroyed"
        ],
    )
    if promise.has_link:
        thief.keys.append(LinkSecret.parse(secret).value)

    everything = {NOTE.encode(), DOCUMENT} if promise.has_documents else {NOTE.encode()}
    assert set(thief.loot()) == (everything if promise.opens(kind) else set())


async def test_an_extended_link_outlives_the_week_it_was_made_for(
    anna_portal: Portal, client: httpx2.AsyncClient, outbox: Outbox, services: Services, clock: MovableClock
) -> None:
    transfer_id = await acts.send(anna_portal, documents={"brief.pdf": DOCUMENT})
    link = await outbox.link(acts.ROSA.email)
    first_week = week_of(clock() + EXPIRY)
    assert (services.settings.keys_dir / f"weeks/{first_week}.link").exists()
    for days in (40, 90):
        answer = await anna_portal.press(f"/transfers/{transfer_id}/extend", days=str(days))
        assert "available longer" in acts.words(answer)

    clock.forward(days=60)
    await build_worker(services).sweep()

    assert (services.settings.keys_dir / f"weeks/{first_week}.destroyed").exists()
    assert not (services.settings.keys_dir / f"weeks/{first_week}.link").exists()
    assert (await acts.recognise(client, link)).status_code == 200
    assert (await acts.open_link(client, outbox)) == link[0]


@dataclass(frozen=True)
class Copy:
    """A database and the sealed documents, as they were at one moment."""

    database: Path
    documents: Path


def copy_of(services: Services, folder: Path) -> Copy:
    folder.mkdir()
    with (
        closing(sqlite3.connect(urlsplit(services.settings.database_url).path)) as source,
        closing(sqlite3.connect(folder / "database.sqlite3")) as target,
    ):
        source.backup(target)
    shutil.copytree(directory_of(services), folder / "documents")
    return Copy(folder / "database.sqlite3", folder / "documents")


@dataclass
class Thief:
    """Tries each key that was stolen, as key and as salt, on everything in each copy of the database."""

    copies: list[Copy]
    has_documents: bool
    keys: list[bytes] = field(default_factory=list)

    def loot(self) -> Iterator[bytes]:
        for copy in self.copies:
            with closing(sqlite3.connect(copy.database)) as database:
                database.row_factory = sqlite3.Row
                self.keys += [secret for secret in self._mailed_secrets(database) if secret not in self.keys]
                for transfer in database.execute("select * from transfer").fetchall():
                    for key in self._message_keys(database, transfer):
                        note = open_text(key.metadata_key(), f"transfer/{transfer['id']}/note", transfer["sealed_note"])
                        yield note.encode()
                        if self.has_documents:
                            yield from _documents(database, DirectoryBlobs(copy.documents), transfer["id"], key)

    def _mailed_secrets(self, database: sqlite3.Connection) -> Iterator[bytes]:
        """Link secrets in mail that waits to be handed over."""
        for row in database.execute("select * from outgoing where sealed_payload is not null").fetchall():
            for payload in self._opened(f"outgoing/{row['id']}", row["sealed_payload"]):
                mail = email.message_from_bytes(base64.b64decode(json.loads(payload)["message"]))
                for part in mail.walk():
                    text = b"" if part.is_multipart() else part.get_payload(decode=True)
                    assert isinstance(text, bytes)
                    for secret in re.findall(rb"/o/[a-z2-7]{26}#([a-z2-7]{32})", text):
                        yield LinkSecret.parse(secret.decode()).value

    def _message_keys(self, database: sqlite3.Connection, transfer: sqlite3.Row) -> Iterator[MessageKey]:
        wraps: list[tuple[WrapPurpose, bytes | None, str, str]] = [
            (WrapPurpose.SENDER, transfer["sender_wrap"], "sender", transfer["week"]),
            (WrapPurpose.DRAFT, transfer["draft_wrap"], "sender", "token"),
        ]
        salts = [b"", b"zegelpost token wrap v1", *self.keys]
        for recipient in database.execute("select * from recipient where transfer_id = ?", [transfer["id"]]).fetchall():
            wraps.append((WrapPurpose.SENDER, recipient["staff_wrap"], recipient["id"], transfer["week"]))
            for link in database.execute("select * from link where recipient_id = ?", [recipient["id"]]).fetchall():
                wraps.append((WrapPurpose.LINK, link["wrap"], recipient["id"], link["id"]))
                salts += [blind_index(key, "link-salt", link["id"]) for key in self.keys]
                salts += self._opened(f"link/{link['id']}/salt", link["carried_salt"])
            grants = database.execute('select * from "grant" where recipient_id = ?', [recipient["id"]]).fetchall()
            wraps += [(WrapPurpose.GRANT, grant["wrap"], recipient["id"], "cookie") for grant in grants]
        for (purpose, wrap, holder_id, key_id), secret, salt in itertools.product(wraps, self.keys, salts):
            if wrap is None:
                continue
            try:
                yield unwrap_under_secret(
                    wrap,
                    purpose=purpose,
                    secret=secret,
                    salt=salt,
                    transfer_id=transfer["id"],
                    holder_id=holder_id,
                    key_id=key_id,
                )
            except SealBroken:
                continue

    def _opened(self, context: str, sealed: bytes | None) -> Iterator[bytes]:
        for key in self.keys if sealed is not None else []:
            try:
                yield open_bytes(key, context, sealed or b"")
            except SealBroken:
                continue


def _documents(database: sqlite3.Connection, blobs: DirectoryBlobs, transfer_id: str, key: MessageKey) -> Iterator[bytes]:
    query = "select * from document where transfer_id = ? and sealed_manifest is not null"
    for document in database.execute(query, [transfer_id]).fetchall():
        parts = database.execute("select blob from part where document_id = ? order by number", [document["id"]]).fetchall()
        manifest = open_manifest(
            key,
            transfer_id=transfer_id,
            document_id=document["id"],
            sealed=document["sealed_manifest"],
            expected_digest=manifest_digest(document["sealed_manifest"]),
        )
        reader = reader_of(blobs, key, manifest, [part["blob"] for part in parts])
        yield b"".join(reader.read_range(0, reader.total_bytes))
