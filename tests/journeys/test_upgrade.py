"""A newer version takes over while people work, as `backend/docs/deploy.md` says: the database first, then process by process."""

from __future__ import annotations

import concurrent.futures
import random
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from io import BytesIO
from pathlib import Path

import httpx2
import psycopg
import pytest
from alembic.script import ScriptDirectory
from tests.journeys.installation import Installation, installation, migrate
from tests.journeys.test_two_processes import (
    ROSA,
    Sender,
    announce,
    asked_code,
    draft,
    eventually,
    look_around,
    patch,
    recognised,
    send,
)

from zegelpost import migrations

HERE = Path(__file__).parents[2]
STATIC = "backend/zegelpost/web/static/dist"


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(HERE), *arguments], capture_output=True, check=True).stdout


def newest_migration() -> str:
    return str(ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head())


@pytest.fixture(scope="module")
def version_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of just before the newest migration, out of the repository's history; the folder that holds the package."""
    [file] = Path(migrations.__file__).parent.glob(f"versions/{newest_migration()}_*.py")
    try:
        added = git("log", "--diff-filter=A", "--format=%H", "-1", "--", str(file.relative_to(HERE))).decode().strip()
        packed = git("archive", f"{added}^", "backend", "manifest")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a copy without the history of the repository: the version before is not there")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=BytesIO(packed)) as tar:
        tar.extractall(folder, filter="data")
    # What the front end is built into has no history. Pages are asked for here, not looked at.
    shutil.copytree(HERE / STATIC, folder / STATIC, dirs_exist_ok=True)
    return folder / "backend"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, version_before: Path) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("installation"), version_before) as made:
        yield made


def migrated_to(running: Installation) -> str:
    with psycopg.connect(running.database_url) as database:
        [row] = database.execute("SELECT version_num FROM alembic_version").fetchall()
        return str(row[0])


def test_nobody_notices_that_a_newer_version_takes_over(running: Installation) -> None:
    assert migrated_to(running) != newest_migration()
    over = threading.Event()
    content = b"\x89DCM" + random.Random(9).randbytes(4_000_000)
    with (
        closing(running.anna()) as anna,
        closing(running.anna()) as second,
        concurrent.futures.ThreadPoolExecutor(3) as pool,
    ):
        # Begun under the version before, and finished when it is gone.
        began = draft(anna, ROSA | {"email": "begonnen@zorg.example"})
        upload = announce(anna, began, "beeld.dcm", len(content)).headers["location"]
        assert patch(anna, upload, 0, content[:1_000_000]).status_code == 204
        senders = [Sender(anna, 1), Sender(second, 2)]
        looking = pool.submit(look_around, running, over)
        working = [pool.submit(sender.work, over) for sender in senders]
        try:
            wait_for_more(senders)
            migrate(running.folder, running.environment)
            wait_for_more(senders)  # the version before, on the new database
            for program in (running.web[1], running.workers[1], running.web[0], running.workers[0]):
                program.stop()
                program.code = None
                program.start()
                if program in running.web:
                    program.wait_until_it_answers()
                wait_for_more(senders)  # both side by side, and in the end the new one alone
        finally:
            over.set()
        for each in working:
            each.result(60)
        statuses, broken = looking.result(60)

        assert migrated_to(running) == newest_migration()
        assert (set(statuses) <= {200, 404, 410}, broken) == (True, 0), statuses
        assert patch(anna, upload, 1_000_000, content[1_000_000:]).status_code == 204
        send(anna, began)
        assert fetched(running, "begonnen@zorg.example") == content
        for sender in senders:
            for transfer_id, transfer in sender.sent.items():
                documents = anna.get(f"/api/v1/transfers/{transfer_id}").json()["documents"]
                contents = [anna.get(f"/api/v1/transfers/{transfer_id}/documents/{each['id']}").content for each in documents]
                assert sorted(contents) == sorted(transfer.documents)
                for address in transfer.to:
                    eventually(partial(running.mails_to, address))
                    assert len(running.mails_to(address)) == 1
        # What the version before sent, a recipient opens with the new one.
        first = next(iter(senders[0].sent.values()))
        assert fetched(running, first.to[0]) in first.documents


def wait_for_more(senders: list[Sender]) -> None:
    """Until each sent something more, so that every stage has its share of the work."""
    before = [len(sender.sent) for sender in senders]
    eventually(lambda: all(len(sender.sent) > count for sender, count in zip(senders, before, strict=True)))


def fetched(running: Installation, address: str) -> bytes:
    """The first document, as its recipient gets it with the link and a code."""
    rosa, path = recognised(running, address)
    with closing(rosa):
        opened = rosa.post(f"{path}/verify", data={"code": asked_code(running, rosa, path)})
        found = re.search(rf'href="({path}/documents/[a-z2-7]+)"', opened.text)
        assert found, opened.text
        answer: httpx2.Response = rosa.get(found.group(1))
        return answer.content
