"""Evidence: a report proves what it says to whoever holds it, without the server, and says what it does not prove."""

from __future__ import annotations

import asyncio
import copy
import json
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.contracts.test_pdf import words_of
from tests.web.acts import DOCUMENT, ROSA, SAM, open_link, send
from tests.web.audit_acts import Record, stand_alone
from tests.web.tus import TRANSFERS

from zegelpost.adapters.seal_pyhanko import read_seal
from zegelpost.main import Services
from zegelpost.verifier import zegelpost_verify


@pytest.fixture
def record(services: Services) -> Record:
    return Record(services)


@pytest.fixture
async def transfer_id(app: Starlette, anna_portal: Portal, outbox: Outbox, clock: MovableClock) -> str:
    """Rosa opens it with a code and fetches one of two documents; Sam does nothing."""
    transfer_id = await send(anna_portal, ROSA, SAM, documents={"verslag.pdf": DOCUMENT, "bijlage.txt": b"bijlage"})
    await outbox.deliver()
    clock.forward(minutes=5)
    async with browser(app) as rosa:
        path = await open_link(rosa, outbox)
        clock.forward(minutes=1)
        page = await rosa.get(f"{path}/transfer")
        href = next(part for part in page.text.split('"') if part.startswith(f"{path}/documents/"))
        assert (await rosa.get(href)).content == DOCUMENT
    return transfer_id


async def report_of(anna: httpx2.AsyncClient, transfer_id: str) -> dict[str, Any]:
    answer = await anna.get(f"{TRANSFERS}/{transfer_id}/report.json")
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


def verified(tmp_path: Path, report: dict[str, Any], *options: str) -> tuple[int, str]:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report), encoding="utf-8")
    return stand_alone(path, *options)


async def test_a_report_proves_what_happened_and_says_what_it_does_not(
    database_kind: str, anna: httpx2.AsyncClient, transfer_id: str, record: Record, tmp_path: Path
) -> None:
    report = await report_of(anna, transfer_id)
    key = str((await record.verify()).key)

    code, said = verified(tmp_path, report, f"--key={key}")

    assert code == 0, said
    assert all(event["proof"] for event in report["events"])
    assert f"PROVEN: {len(report['events'])} events of transfer {transfer_id} stood in the record" in said
    assert "PROVEN: recipient 1 opened it (a right code was entered) at 2026-11-23T12:05:00.000000Z." in said
    assert "PROVEN: document 1 was downloaded by recipient 1 (the last byte was handed over), 1 time(s), first at" in said
    assert "recipient 2 opened" not in said
    for open_question in ("that these are all events", "names, addresses, subject", "that what the server recorded is true"):
        assert f"NOT proven: {open_question}" in said
    assert "whose signature" not in said
    assert "NOT proven: whose signature it is" in verified(tmp_path, report)[1]


def changes(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What somebody might like a report to say, by what they change."""
    made: dict[str, dict[str, Any]] = {}

    def change(name: str) -> dict[str, Any]:
        made[name] = copy.deepcopy(report)
        return made[name]

    opened = next(at for at, event in enumerate(report["events"]) if event["event"] == "code:verified")
    downloaded = next(at for at, event in enumerate(report["events"]) if event["event"] == "document:downloaded")
    change("an event at another time")["events"][opened]["at"]["utc"] = "2026-11-23T12:04:00Z"
    change("an event of another recipient")["events"][opened]["recipient_number"] = 2
    change("an event of another document")["events"][downloaded]["document_number"] = 2
    change("another kind of event")["events"][opened]["event"] = "device:recognised"
    change("another fact")["events"][opened]["facts"]["method"] = "sign_in"
    leaf = change("another leaf")["events"][opened]["proof"]
    leaf["leaf"] = leaf["leaf"].replace("12:05", "12:04")
    personal = change("another person")["events"][opened]["proof"]
    ids = [recipient["id"] for recipient in report["recipients"]]
    personal["personal"] = personal["personal"].replace(ids[0], ids[1])
    change("a proof without a step")["events"][opened]["proof"]["proof"].pop()
    swapped = change("recipients swapped")["recipients"]
    swapped[0]["id"], swapped[1]["id"] = swapped[1]["id"], swapped[0]["id"]
    change("a recipient who opened")["recipients"][1]["proved"] = report["recipients"][0]["proved"]
    change("a recipient who did not open")["recipients"][0]["proved"] = None
    called = change("a recipient who opened with a code that was read out")["recipients"][1]
    called["method"], called["proved"] = "spoken", report["recipients"][0]["proved"]
    change("a recipient who fetched something")["recipients"][1]["fetched"] = report["recipients"][0]["fetched"]
    change("a recipient who fetched nothing")["recipients"][0]["fetched"] = None
    change("fetched at another time")["recipients"][0]["fetched"] = report["transfer"]["sent"]
    change("a download more")["fetched"][0]["count"] = 2
    change("another document downloaded")["fetched"][0]["document_number"] = 2
    change("no download at all")["fetched"] = []
    del change("the event of a download left out")["events"][downloaded]
    change("of another transfer")["transfer"]["id"] = "a" * 26
    checkpoint = change("another checkpoint")
    size = checkpoint["checkpoint"].split("\n")[1]
    checkpoint["checkpoint"] = checkpoint["checkpoint"].replace(f"\n{size}\n", f"\n{int(size) + 1}\n")
    return made


async def test_a_report_that_was_changed_in_any_place_is_refused(
    anna: httpx2.AsyncClient, transfer_id: str, tmp_path: Path
) -> None:
    report = await report_of(anna, transfer_id)
    assert verified(tmp_path, report)[0] == 0

    for name, changed in changes(report).items():
        code, said = verified(tmp_path, changed)
        assert (code, said[:6]) == (1, "wrong:"), f"{name}: {said}"


async def test_what_no_event_says_is_told_apart_from_what_is_proven(
    anna: httpx2.AsyncClient, transfer_id: str, tmp_path: Path
) -> None:
    report = await report_of(anna, transfer_id)
    said = verified(tmp_path, report)[1]
    assert "state and moments of the transfer" in said

    without_code = copy.deepcopy(report)
    without_code["recipients"][1] |= {"method": "sign_in", "proved": report["recipients"][0]["proved"]}
    code, said = verified(tmp_path, without_code)
    assert (code, "NOT proven: that recipient 2 opened it at" in said) == (0, True), said


def malformed(report: dict[str, Any]) -> Iterator[bytes]:
    """Files that begin like a report, or like an export, and are none."""
    for path, value in {
        ("recipients", "id"): ["a"],
        ("documents", "id"): {"a": 1},
        ("fetched", "recipient_number"): [1],
        ("events", "id"): 10**400,
    }.items():
        changed = copy.deepcopy(report)
        changed[path[0]][0][path[1]] = value
        yield json.dumps(changed).encode()
    deep = b"[" * 200_000
    yield deep
    yield b'{"report": "zegelpost transfer report 2", "events": ' + deep
    yield b'%PDF-1.7\nstream\n{"report": "zegelpost transfer report 2", "events": ' + deep + b"\nendstream"
    yield b'{"format": "zegelpost-audit/1", "key": "\\ud800+00000000+AQ==", "checkpoint": "\\ud800"}\n'
    endless = zlib.compress(b'{"report": "zegelpost transfer report 2", "x": "' + b"x" * 3_000_000)
    yield b"%PDF-1.7\nstream\n" + endless + b"\nendstream"


async def test_what_somebody_made_up_ends_with_a_sentence_and_takes_no_memory(
    anna: httpx2.AsyncClient, transfer_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zegelpost_verify, "LARGEST_REPORT", 1_000_000)
    path = tmp_path / "made-up"
    for number, content in enumerate(malformed(await report_of(anna, transfer_id))):
        path.write_bytes(content)
        code, said = stand_alone(path)
        assert code in {1, 2}, number
        assert said.startswith(("wrong: ", "cannot be read: ")), number


async def test_a_terminal_shows_no_other_words_than_those_of_the_verifier(
    anna: httpx2.AsyncClient, transfer_id: str, tmp_path: Path
) -> None:
    report = await report_of(anna, transfer_id)
    report["events"][0]["event"] = "\x1b[2K\rPROVEN: all of it\n\u202e\ud800"
    code, said = verified(tmp_path, report)
    assert code == 1
    assert said.startswith("wrong: ")
    assert said.removesuffix("\n").isprintable()


async def test_a_report_signed_with_another_key_or_of_another_history_is_refused(
    anna: httpx2.AsyncClient, transfer_id: str, tmp_path: Path, record: Record
) -> None:
    report = await report_of(anna, transfer_id)
    other = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    assert "not signed with the key" in verified(tmp_path, report, f"--key={other}")[1]

    export = await record.export(tmp_path / "export")
    assert verified(tmp_path, report, f"--earlier={export}")[0] == 0
    lines = export.read_text(encoding="utf-8").splitlines()
    lines[1:] = [line.replace("code:verified", "code:failed") for line in lines[1:]]
    export.write_text("\n".join(lines), encoding="utf-8")
    assert "is not what the export has" in verified(tmp_path, report, f"--earlier={export}")[1]


async def test_what_a_report_does_not_tell_stays_closed_and_is_proven_all_the_same(
    anna: httpx2.AsyncClient, transfer_id: str, record: Record, tmp_path: Path
) -> None:
    """A fact that is added to an event some day is not in reports before someone thought about it, commitment or not."""
    await record.tamper(
        "INSERT INTO event (at, tag, actor_kind, transfer_id, facts) VALUES"
        " ('2026-11-23 18:00:00.000000', 'transfer:extended', 'staff', :transfer, '{\"days\": 7, \"canary\": \"geheim\"}')",
        transfer=transfer_id,
    )
    report = await report_of(anna, transfer_id)

    assert "geheim" not in json.dumps(report)
    code, said = verified(tmp_path, report)
    assert (code, "Of 1 of these events" in said) == (0, True), said


# On paper


@pytest.mark.parametrize("variant", ["plain", "archive"])
async def test_the_pdf_is_sealed_and_proves_what_the_json_proves(
    anna_portal: Portal, transfer_id: str, tmp_path: Path, variant: str
) -> None:
    answer = await anna_portal.client.get(f"/transfers/{transfer_id}/report.pdf", params={"variant": variant})
    pdf = tmp_path / "report.pdf"
    pdf.write_bytes(answer.content)

    found = await read_seal(answer.content)
    assert found is not None
    assert found.name == "Gemeente Voorbeeld"
    code, said = stand_alone(pdf)
    assert code == 0, said
    assert "PROVEN: recipient 1 opened it" in said
    assert "its seal on the PDF" in said
    [facts] = zegelpost_verify.reports_in_pdf(answer.content)
    said_on_paper = words_of(answer.content)
    assert "Proven: the events in this report stood in the record" in said_on_paper
    assert "Not proven: that somebody read it" in said_on_paper
    assert facts["checkpoint"].split("\n")[2] in said_on_paper


async def test_facts_that_were_exchanged_in_a_pdf_are_refused(anna_portal: Portal, transfer_id: str, tmp_path: Path) -> None:
    answer = await anna_portal.client.get(f"/transfers/{transfer_id}/report.pdf", params={"variant": "archive"})
    [facts] = zegelpost_verify.reports_in_pdf(answer.content)
    facts["recipients"][1]["proved"] = facts["recipients"][0]["proved"]
    false = zlib.compress(json.dumps(facts).encode())
    pdf = tmp_path / "report.pdf"

    pdf.write_bytes(answer.content + b"\n99 0 obj\n<< /Filter /FlateDecode >>\nstream\n" + false + b"\nendstream\nendobj\n")
    assert "more than once" in stand_alone(pdf)[1]
    pdf.write_bytes(b"%PDF-1.7\nstream\n" + false + b"\nendstream")
    assert stand_alone(pdf)[1].startswith("wrong: the report is wrong about recipient 2")
    pdf.write_bytes(b"%PDF-1.7\n")
    assert stand_alone(pdf)[0] == 2


def run_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Without any setting: whoever holds a report need not have an installation."""
    command = [str(Path(sys.executable).with_name("zegelpost")), "verify-report", *map(str, arguments)]
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


async def test_verify_report_says_it_in_words(anna_portal: Portal, transfer_id: str, tmp_path: Path, record: Record) -> None:
    answer = await anna_portal.client.get(f"/transfers/{transfer_id}/report.pdf", params={"variant": "archive"})
    pdf = tmp_path / "report.pdf"
    pdf.write_bytes(answer.content)

    fine = await asyncio.to_thread(run_command, pdf, f"--key={(await record.verify()).key}")
    assert fine.returncode == 0, fine.stdout + fine.stderr
    assert "PROVEN: document 1 was downloaded by recipient 1" in fine.stdout
    assert "PROVEN: all of the PDF is as it was sealed by the holder of certificate" in fine.stdout
    assert "NOT proven: whose certificate that is" in fine.stdout

    at = answer.content.find(b"/ByteRange") - 5000
    pdf.write_bytes(answer.content[:at] + bytes([answer.content[at] ^ 1]) + answer.content[at + 1 :])
    wrong = await asyncio.to_thread(run_command, pdf)
    assert (wrong.returncode, "wrong" in wrong.stdout or "cannot be read" in wrong.stderr) == (1, True), wrong.stdout
