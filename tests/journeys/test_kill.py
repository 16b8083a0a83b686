"""The server is killed at random moments while people upload and send, and started again.

What was acknowledged is never lost, nothing is half sent, no notice is missing, and no key and nonce come back.
`ZEGELPOST_TEST_KILLS` sets how often; `make campaign` runs it long.
"""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import os
import random
import re
import sqlite3
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.journeys.running import RunningDemo

KILLS = int(os.environ.get("ZEGELPOST_TEST_KILLS", "200"))
LANES = 2
RECIPIENTS = 3  # of one transfer, so that half a sending would show
PASSWORD = "demo-zegelpost-2026"
TUS = {"Tus-Resumable": "1.0.0"}


@dataclass
class Document:
    content: bytes
    address: str
    acknowledged_bytes: int = 0
    is_finished: bool = False


@dataclass
class Transfer:
    id: str
    to: str
    documents: list[Document] = field(default_factory=list)
    is_sent: bool = False  # acknowledged as sent


class Anna:
    """Uploads and sends without a pause, and remembers only what she was told."""

    def __init__(self, demo: RunningDemo, seed: int) -> None:
        self.demo = demo
        self.random = random.Random(seed)
        self.client = httpx2.Client(timeout=10, follow_redirects=True)
        self.transfers: list[Transfer] = []
        self.csrf = ""
        self.number = 0

    def sign_in(self) -> None:
        home = self.client.post(
            f"{self.demo.base_url}/sign-in", data={"email": "anna@zegelpost.example", "password": PASSWORD}
        ).text
        self.csrf = str(re.findall(r'name="csrf" value="([^"]+)"', home)[0])

    def work(self) -> None:
        """Until the server is gone: finish what is begun, else begin something new."""
        with suppress(httpx2.HTTPError):
            while True:
                self._go_on(next((t for t in self.transfers if not t.is_sent), None) or self._begin())

    def _begin(self) -> Transfer:
        self.number += 1
        to = f"rosa-{self.number}@example.nl"
        typed = {"subject": "Zaak", "note": "", "expires_in_days": "7", "csrf": self.csrf}
        for number in range(RECIPIENTS):
            typed |= {
                f"recipient-{number}-name": "Rosa",
                f"recipient-{number}-email": f"{number}-{to}",
                f"recipient-{number}-mobile": "0612345678",
            }
        made = self.client.post(f"{self.demo.base_url}/transfers", data=typed)
        transfer = Transfer(str(made.url).split("/transfers/")[1].split("/")[0], to)
        self.transfers.append(transfer)
        return transfer

    def _go_on(self, transfer: Transfer) -> None:
        for document in transfer.documents:
            self._upload(document)
        while len(transfer.documents) < 2:
            content = b"\x89DCM" + self.random.randbytes(self.random.choice([0, 1, 70_000, 1_048_520, 2_500_000]))
            pairs = {"transfer_id": transfer.id, "filename": f"beeld-{len(transfer.documents)}.dcm"}
            metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())
            headers = {**TUS, "Upload-Length": str(len(content)), "Upload-Metadata": metadata}
            made = self.client.post(f"{self.demo.base_url}/uploads", headers=headers)
            assert made.status_code == 201, made.text
            document = Document(content, made.headers["location"])
            transfer.documents.append(document)
            self._upload(document)
        self._remove_unknown(transfer)
        sent = self.client.post(f"{self.demo.base_url}/transfers/{transfer.id}/send", data={"csrf": self.csrf})
        # Killed after the commit and before the answer, it was sent all the same.
        assert "done=sent" in str(sent.url) or str(sent.url).endswith(transfer.id), sent.text
        transfer.is_sent = True

    def _remove_unknown(self, transfer: Transfer) -> None:
        """What was announced when the answer got lost stands unfinished on the page; a person removes it there."""
        arriving = f"SELECT upload.id FROM upload JOIN document ON document.id = document_id WHERE upload.transfer_id = '{transfer.id}' AND state = 'arriving'"  # noqa: E501
        for (upload_id,) in _rows(self.demo.data_dir, arriving):
            removed = self.client.delete(f"{self.demo.base_url}/uploads/{upload_id}", headers=TUS)
            assert removed.status_code == 204, removed.text

    def _upload(self, document: Document) -> None:
        while not document.is_finished:
            found = self.client.head(document.address, headers=TUS)
            assert found.status_code == 200, found.status_code
            offset = int(found.headers["upload-offset"])
            assert offset >= document.acknowledged_bytes, "acknowledged bytes are gone"
            if "upload-sha256" not in found.headers:
                piece = document.content[offset : offset + self.random.choice([100_000, 1_000_000, 10_000_000])]
                headers = {**TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
                found = self.client.patch(document.address, headers=headers, content=piece)
                if found.status_code == 423:  # the killed writer's lease has not run out
                    time.sleep(0.05)
                    continue
                assert found.status_code == 204, found.text
                document.acknowledged_bytes = int(found.headers["upload-offset"])
            if "upload-sha256" in found.headers:
                assert found.headers["upload-sha256"] == hashlib.sha256(document.content).hexdigest()
                document.is_finished = True


def _rows(data_dir: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(data_dir / "database.sqlite3", timeout=30)) as connection:
        return list(connection.execute(query))


def _write(data_dir: Path, statement: str) -> None:
    with closing(sqlite3.connect(data_dir / "database.sqlite3", timeout=30)) as connection, connection:
        connection.execute(statement)


def _lane(folder: Path, kills: int, seed: int) -> dict[str, int]:
    demo = RunningDemo(folder / "data")
    moments = random.Random(seed)
    demo.start()
    anna = Anna(demo, seed)
    anna.sign_in()
    for _ in range(kills):
        failures: list[BaseException] = []
        worker = threading.Thread(target=_watched(anna.work, failures))
        worker.start()
        time.sleep(moments.uniform(0.005, 0.8))
        demo.kill()
        worker.join(30)
        assert not failures, failures
        # As if the killed writer's lease had run out, so that the test need not wait for it.
        _write(demo.data_dir, "UPDATE upload SET writer_until = '2000-01-01 00:00:00.000000'")
        demo.start()
    # What was begun is finished in peace, and all notices leave.
    for transfer in anna.transfers:
        if not transfer.is_sent:
            anna._go_on(transfer)
    deadline = time.monotonic() + 30
    waiting = "SELECT count(*) FROM outgoing WHERE state != 'accepted'"
    while _rows(demo.data_dir, waiting)[0][0] and time.monotonic() < deadline:
        # A mail that was in hand when its worker died goes again when its lease is over.
        _write(demo.data_dir, "UPDATE outgoing SET leased_until = '2000-01-01 00:00:00.000000' WHERE state = 'sending'")
        time.sleep(0.2)
    for transfer in anna.transfers:
        page = anna.client.get(f"{demo.base_url}/transfers/{transfer.id}").text
        assert page.count("beeld-") >= 2, "a sent transfer lacks a document"
    _fetch_back(demo, anna)
    anna.client.close()
    demo.stop()
    return _verdict(demo.data_dir, anna, kills)


def _fetch_back(demo: RunningDemo, anna: Anna) -> None:
    """Every document that was acknowledged comes back byte for byte."""
    credentials = {"email": "anna@zegelpost.example", "password": PASSWORD}
    signed_in = anna.client.post(f"{demo.base_url}/api/v1/sign-in", json=credentials).json()
    bearer = {"Authorization": f"Bearer {signed_in['access_token']}"}
    for transfer in anna.transfers:
        address = f"{demo.base_url}/api/v1/transfers/{transfer.id}"
        listed = anna.client.get(address, headers=bearer).json()["documents"]
        fetched = [anna.client.get(f"{address}/documents/{each['id']}", headers=bearer).content for each in listed]
        assert sorted(fetched) == sorted(document.content for document in transfer.documents)


def _watched(work: Any, failures: list[BaseException]) -> Any:
    def run() -> None:
        try:
            work()
        except BaseException as failure:  # noqa: BLE001 - shown by the lane
            failures.append(failure)

    return run


def _verdict(data_dir: Path, anna: Anna, kills: int) -> dict[str, int]:
    assert _rows(data_dir, "PRAGMA integrity_check") == [("ok",)]
    sent = {row[0] for row in _rows(data_dir, "SELECT id FROM transfer WHERE state = 'sent'")}
    assert {transfer.id for transfer in anna.transfers} <= sent
    # Exactly one invitation and one link for each recipient of a sent transfer, and it left.
    invitations = _rows(
        data_dir,
        "SELECT transfer_id, count(DISTINCT recipient_id), count(*), min(state), max(state) FROM outgoing"
        " WHERE purpose = 'invitation' GROUP BY 1",
    )
    assert {row[0] for row in invitations} == sent
    assert {row[1:] for row in invitations} == {(RECIPIENTS, RECIPIENTS, "accepted", "accepted")}
    links = _rows(data_dir, "SELECT transfer_id, count(*) FROM link JOIN recipient ON recipient.id = recipient_id GROUP BY 1")
    assert {*links} == {(transfer, RECIPIENTS) for transfer in sent}
    assert _rows(data_dir, "SELECT count(*) FROM document WHERE state != 'complete'") == [(0,)]
    # The header holds salt and nonce prefix: one that comes back would mean one key and nonce used twice.
    headers = [row[0] for row in _rows(data_dir, "SELECT header FROM part")]
    assert len(headers) == len(set(headers))
    # Every stored blob belongs to a part, or is on the list that the sweep works off.
    known = {row[0] for row in _rows(data_dir, "SELECT blob FROM part UNION SELECT name FROM orphan_blob")}
    stored = {path.name for path in (data_dir / "blobs").rglob("*") if path.is_file()}
    assert stored <= known
    assert {row[0] for row in _rows(data_dir, "SELECT blob FROM part")} <= stored
    return {"kills": kills, "transfers": len(sent), "documents": 2 * len(sent), "parts": len(headers)}


def test_killed_at_random_moments_nothing_acknowledged_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        folders = [tmp_path / f"lane-{lane}" for lane in range(LANES)]
        for folder in folders:
            folder.mkdir()
        lanes = [pool.submit(_lane, folder, KILLS // LANES, 20261123 + lane) for lane, folder in enumerate(folders)]
        figures = [lane.result() for lane in lanes]
    total = {name: sum(figure[name] for figure in figures) for name in figures[0]}
    with capsys.disabled():
        print("\nkilled at random moments:", total, "- 0 lost, 0 torn, 0 missing, 0 nonces repeated")
    assert total["transfers"] > 0
