"""How many transfers can be sent in a second: state, links, sealed mails and events in one unit of work each."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import queue
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.databases import database_urls

from zegelpost.main import Services, build_services
from zegelpost.migrations import migrate_database
from zegelpost.model.file_name import FileName
from zegelpost.model.staff_user import SignInKind
from zegelpost.model.transfer import TransferText
from zegelpost.services.access import StaffActor
from zegelpost.services.addressing import TypedRecipient, address
from zegelpost.services.sealing_stream import PiecewiseBody
from zegelpost.services.sending import DraftContent
from zegelpost.settings import Settings

PASSWORD = "demo-zegelpost-2026"
AT_ONCE = 8


def sent_a_second(kind: str, count: int, processes: int) -> float:
    """Transfers of five recipients and five documents, on a fresh database that survives power cuts."""
    with tempfile.TemporaryDirectory() as folder, database_urls(kind, Path(folder), is_durable=True) as url:
        environment = {
            "ZEGELPOST_DEMO": "1",
            "ZEGELPOST_BASE_URL": "http://127.0.0.1:8000",
            "ZEGELPOST_DATA_DIR": f"{folder}/data",
            "ZEGELPOST_DATABASE_URL": url,
        }
        settings = Settings.from_environment(environment)
        settings.data_dir.mkdir()
        migrate_database(settings.database_url)
        context = multiprocessing.get_context("spawn")
        ready = context.Barrier(processes)
        times: multiprocessing.Queue[tuple[float, float]] = context.Queue()
        share = count // processes
        workers = [
            context.Process(target=_send, args=(environment, f"anna-{number}@zegelpost.example", share, ready, times))
            for number in range(processes)
        ]
        for worker in workers:
            worker.start()
        measured: list[tuple[float, float]] = []
        while len(measured) < processes:
            with contextlib.suppress(queue.Empty):
                measured.append(times.get(timeout=1))
            if any(worker.exitcode for worker in workers):
                ready.abort()
                raise RuntimeError("a process that was to send failed")
        for worker in workers:
            worker.join()
        return share * processes / (max(end for _, end in measured) - min(start for start, _ in measured))


def _send(environment: dict[str, str], email: str, count: int, ready: Any, times: Any) -> None:
    times.put(asyncio.run(_measure(Settings.from_environment(environment), email, count, ready)))


async def _measure(settings: Settings, email: str, count: int, ready: Any) -> tuple[float, float]:
    services = build_services(settings)
    try:
        await services.registering.create_account(email=email, name="Anna de Vries", password=PASSWORD)
        signed_in = await services.signing_in.sign_in(email=email, password=PASSWORD, network="here", kind=SignInKind.API)
        actor = await services.signing_in.actor(signed_in.token, SignInKind.API)
        drafts = [await _draft(services, actor) for _ in range(count)]
        turns = asyncio.Semaphore(AT_ONCE)

        async def send(transfer_id: str) -> None:
            async with turns:
                await services.sending.send(actor, transfer_id)

        ready.wait(300)
        start = time.monotonic()
        await asyncio.gather(*map(send, drafts))
        return start, time.monotonic()
    finally:
        await services.database.close()


async def _draft(services: Services, actor: StaffActor) -> str:
    typed = [TypedRecipient(f"Rosa {number}", f"rosa-{number}@example.nl", "0612345678") for number in range(5)]
    text = TransferText.parse(subject="Meting", reference="", note="Meting")
    addressees = address(typed, services.policy)
    content = DraftContent(text=text, addressees=addressees, expires_in_days=28, language="nl")
    transfer_id = await services.sending.create(actor, content)
    for number in range(5):
        body = PiecewiseBody(_bytes())
        await services.uploading.add_document(actor, transfer_id, FileName.parse(f"{number}.dcm"), 1000, body)
    return transfer_id


async def _bytes() -> AsyncIterator[bytes]:
    yield bytes(1000)
