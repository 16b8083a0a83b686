"""Two clients that are not ours upload to the running program: tus-js-client in Node and tuspy in Python."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import tusclient.client
from tests.journeys.running import RunningDemo
from tusclient.exceptions import TusCommunicationError

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
    "wish", [{}, {"chunkSize": CHUNK}, {"withCreation": True, "chunkSize": CHUNK}], ids=["one", "chunks", "creation"]
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
