"""The record of events while people go on: what looks at all of it sees one moment, and is not misled by what comes next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from tests.conftest import Outbox, Portal, browser
from tests.web.acts import DOCUMENT, ROSA, open_link, send
from tests.web.audit_acts import Record, stand_alone
from tests.web.tus import TRANSFERS

from zegelpost.main import Services
from zegelpost.services import verifying_audit


@pytest.fixture
def record(services: Services) -> Record:
    return Record(services)


@pytest.mark.usefixtures("app")
async def test_what_happens_during_a_verification_breaks_nothing(
    database_kind: str, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes minutes with a million events, and every two seconds some more get their place."""
    await record.grow(5)
    size = (await record.tree()).size
    ordinary = verifying_audit._nodes

    async def busy(*places: Any) -> Any:
        found = await ordinary(*places)
        await record.grow(3)
        return found

    monkeypatch.setattr(verifying_audit, "_nodes", busy)
    verified = await record.verify()

    assert (verified.size, verified.waiting_count) == (size, 0)
    assert (await record.tree()).size > size


async def test_a_report_that_is_made_during_a_download_holds(
    database_kind: str,
    app: Starlette,
    services: Services,
    anna: httpx2.AsyncClient,
    anna_portal: Portal,
    outbox: Outbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it tells and what proves it are of the same moment."""
    transfer_id = await send(anna_portal, ROSA, documents={"verslag.pdf": DOCUMENT})
    await outbox.deliver()
    ordinary = services.sequencing.catch_up
    async with browser(app) as rosa:
        path = await open_link(rosa, outbox)
        page = await rosa.get(f"{path}/transfer")
        href = next(part for part in page.text.split('"') if part.startswith(f"{path}/documents/"))

        async def busy(**ways: bool) -> int:
            assert (await rosa.get(href)).content == DOCUMENT
            count = await ordinary(**ways)
            assert (await rosa.get(href)).content == DOCUMENT
            return count

        monkeypatch.setattr(services.sequencing, "catch_up", busy)
        answer = await anna.get(f"{TRANSFERS}/{transfer_id}/report.json")

    report = tmp_path / "report.json"
    report.write_bytes(answer.content)
    code, said = stand_alone(report)
    assert code == 0, said
    assert all(event["proof"] for event in answer.json()["events"])
