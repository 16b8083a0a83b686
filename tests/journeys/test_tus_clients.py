"""Two clients that are not ours upload to the running program: tus-js-client in Node and tuspy in Python."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
import tusclient.client
from tests.journeys.running import RunningDemo
from tusclient.exceptions import TusCommunicationError, TusUploadFailed
from tusclient.storage.filestorage import FileStorage

SCRIPT = Path(__file__).with_name("tus_js_client.mjs")
SIZE = 30_000_001
CHUNK = 4_000_003  # fits no border of ours


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(SIZE)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> Path:
    path = tmp_path_factory.mktemp("documents") / "beeld.dcm"
    path.write_bytes(content)
    return path


@pytest.fixture
def anna(demo: RunningDemo) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"{demo.base_url}/api/v1", timeout=30) as program:
        who = {"email": "anna@zegelpost.example", "password": "demo-zegelpost-2026"}
        token = program.post("/sign-in", json=who).raise_for_status().json()["access_token"]
        program.headers["Authorization"] = f"Bearer {token}"
        yield program


@pytest.fixture
def transfer_id(anna: httpx2.Client) -> str:
    person = {"name": "Rosa Visser", "email": "rosa@zorg.example", "mobile": "0612345678"}
    answer = anna.post("/transfers", json={"subject": "Beeld", "recipients": [person]})
    return str(answer.raise_for_status().json()["id"])


def stored(anna: httpx2.Client, transfer_id: str) -> bytes:
    """What the sender gets back."""
    (document,) = anna.get(f"/transfers/{transfer_id}").json()["documents"]
    return anna.get(f"/transfers/{transfer_id}/documents/{document['id']}").raise_for_status().content


def tus_js(anna: httpx2.Client, transfer_id: str, document: Path, **wish: Any) -> dict[str, Any]:
    wish |= {
        "endpoint": f"{anna.base_url}uploads",
        "token": anna.headers["Authorization"].removeprefix("Bearer "),
        "metadata": {"transfer_id": transfer_id, "filename": document.name},
        "path": str(document),
    }
    done = subprocess.run(["node", str(SCRIPT), json.dumps(wish)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.mark.parametrize(
    "wish",
    [{}, {"chunkSize": CHUNK}, {"withCreation": True, "chunkSize": CHUNK}, {"withCreation": True}],
    ids=["one", "chunks", "creation", "creation-with-all"],
)
def test_tus_js_client_uploads(
    anna: httpx2.Client, transfer_id: str, document: Path, content: bytes, wish: dict[str, Any]
) -> None:
    done = tus_js(anna, transfer_id, document, **wish)
    assert done["sha256"] == hashlib.sha256(content).hexdigest()
    assert stored(anna, transfer_id) == content


def test_tus_js_client_goes_on_where_it_stopped(anna: httpx2.Client, transfer_id: str, document: Path, content: bytes) -> None:
    stopped = tus_js(anna, transfer_id, document, abortAfter=SIZE // 2, chunkSize=CHUNK)
    done = tus_js(anna, transfer_id, document, url=stopped["url"])
    assert done["first"] > 0
    assert done["sha256"] == hashlib.sha256(content).hexdigest()
    assert stored(anna, transfer_id) == content


def test_tus_js_client_takes_an_upload_back(anna: httpx2.Client, transfer_id: str, document: Path) -> None:
    tus_js(anna, transfer_id, document, abortAfter=SIZE // 2, chunkSize=CHUNK, forget=True)
    assert anna.get(f"/transfers/{transfer_id}").json()["documents"] == []


def test_tus_js_client_outlives_the_server(
    anna: httpx2.Client, transfer_id: str, document: Path, content: bytes, demo: RunningDemo
) -> None:
    """Killed in the middle and started again: the client tries again by itself."""
    killing = threading.Thread(target=_kill_and_start, args=(demo, anna, transfer_id))
    killing.start()
    done = tus_js(anna, transfer_id, document, chunkSize=500_000)
    killing.join()
    assert done["sha256"] == hashlib.sha256(content).hexdigest()
    assert stored(anna, transfer_id) == content


def _kill_and_start(demo: RunningDemo, anna: httpx2.Client, transfer_id: str) -> None:
    while not anna.get(f"/transfers/{transfer_id}").json()["documents"]:
        time.sleep(0.01)
    time.sleep(0.1)
    demo.kill()
    demo.start()


def test_tuspy_uploads_and_goes_on_where_it_stopped(
    anna: httpx2.Client, transfer_id: str, document: Path, content: bytes, demo: RunningDemo
) -> None:
    client: Any = tusclient.client.TusClient(f"{anna.base_url}uploads", headers={"Authorization": anna.headers["Authorization"]})
    metadata = {"transfer_id": transfer_id, "filename": document.name}
    with document.open("rb") as file:
        begun = client.uploader(file_stream=file, chunk_size=CHUNK, metadata=metadata)
        begun.upload_chunk()
        begun.upload_chunk()
        demo.kill()
        with pytest.raises((TusCommunicationError, OSError)):
            begun.upload_chunk()
        demo.start()

        going_on = client.uploader(file_stream=file, chunk_size=CHUNK, url=begun.url)
        assert going_on.offset == 2 * CHUNK
        going_on.upload()

    assert stored(anna, transfer_id) == content


class KeptOpen(io.BytesIO):
    """tuspy closes what it has looked at to recognise it, though it still has to send it."""

    def close(self) -> None:
        """Python frees memory by itself."""


def test_tuspy_goes_on_from_the_address_it_kept(
    anna: httpx2.Client, transfer_id: str, content: bytes, demo: RunningDemo, tmp_path: Path
) -> None:
    """The server dies in the middle of a part, and so does the program; both start anew, and each part has a checksum."""
    client: Any = tusclient.client.TusClient(f"{anna.base_url}uploads", headers={"Authorization": anna.headers["Authorization"]})
    file_storage: Any = FileStorage
    options: dict[str, Any] = {"chunk_size": CHUNK, "store_url": True, "upload_checksum": True}
    options["metadata"] = {"transfer_id": transfer_id, "filename": "beeld.dcm"}
    storage = file_storage(str(tmp_path / "addresses.json"))
    begun = client.uploader(file_stream=KeptOpen(content), url_storage=storage, **options)
    killing = threading.Thread(target=_kill_when_stored, args=(demo, 5 * CHUNK // 2))
    killing.start()
    with pytest.raises((TusCommunicationError, TusUploadFailed)):
        begun.upload()
    killing.join()
    storage.close()
    demo.start()

    storage = file_storage(str(tmp_path / "addresses.json"))
    going_on = client.uploader(file_stream=KeptOpen(content), url_storage=storage, **options)
    assert going_on.url == begun.url
    assert (going_on.offset > 0, going_on.offset % CHUNK) == (True, 0)  # only whole parts: a checksum covers the rest
    going_on.upload()
    storage.close()

    assert stored(anna, transfer_id) == content


def _kill_when_stored(demo: RunningDemo, more_bytes: int) -> None:
    before = _stored_bytes(demo)
    while _stored_bytes(demo) < before + more_bytes:
        time.sleep(0.001)
    demo.kill()


def _stored_bytes(demo: RunningDemo) -> int:
    paths = (path for path in (demo.data_dir / "blobs").rglob("*") if path.is_file())
    total = 0
    for path in paths:
        with suppress(FileNotFoundError):  # just renamed
            total += path.stat().st_size
    return total


def test_tuspy_learns_why_not(anna: httpx2.Client, transfer_id: str) -> None:
    client: Any = tusclient.client.TusClient(f"{anna.base_url}uploads", headers={"Authorization": anna.headers["Authorization"]})
    for pairs, status in (
        ({"transfer_id": "a" * 26, "filename": "beeld.dcm"}, 404),
        ({"transfer_id": transfer_id, "filename": "beeld.exe"}, 415),
    ):
        with pytest.raises(TusCommunicationError) as caught:
            client.uploader(file_stream=KeptOpen(b"abc"), metadata=pairs).upload()
        assert caught.value.status_code == status
    assert anna.get(f"/transfers/{transfer_id}").json()["documents"] == []
