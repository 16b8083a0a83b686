"""What the product is made of, and the check of that against known weaknesses, which says so when it could not look."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.stand_ins.http_server import Handler, served

ROOT = Path(__file__).parents[1]
WELL_KNOWN = {"pkg:pypi/jinja2@2.10": ["GHSA-462w-v97r-4m45"], "pkg:npm/lodash@4.17.11": ["GHSA-jf85-cpcp-j695"]}


@dataclass(slots=True)
class Weaknesses:
    """OSV's `querybatch` on loopback, as documented: an answer for each question, in order, without saying what it is of."""

    url: str
    known: dict[str, list[str]] = field(default_factory=lambda: dict(WELL_KNOWN))
    asked: list[str] = field(default_factory=list)
    status: int = 200
    drops_count: int = 0
    closing: threading.Event = field(default_factory=threading.Event)


class _Handler(Handler):
    def do_POST(self) -> None:  # noqa: N802 - the library's name
        service = self.stand_in(Weaknesses)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = [each["package"]["purl"] for each in body["queries"]]
        service.asked += asked
        results: list[dict[str, Any]] = [
            {"vulns": [{"id": name, "modified": "2026-01-01T00:00:00Z"} for name in service.known[each]]}
            if each in service.known
            else {}
            for each in asked
        ]
        self.answer(service.status, json.dumps({"results": results[service.drops_count :]}).encode())


@pytest.fixture
def weaknesses() -> Iterator[Weaknesses]:
    with served(_Handler, Weaknesses) as running:
        yield running


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("bills")
    subprocess.run(["sh", "backend/scripts/sbom.sh", str(folder)], cwd=ROOT, check=True, capture_output=True)
    return sorted(folder.iterdir())


def check(service: Weaknesses, *files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "backend/scripts/known_weaknesses.py", *map(str, files)],
        cwd=ROOT,
        env=os.environ | {"OSV_API_URL": service.url},
        capture_output=True,
        text=True,
        check=False,
    )


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_everything_that_is_locked_is_in_a_bill_of_materials(bills: list[Path]) -> None:
    javascript, python = (json.loads(path.read_text(encoding="utf-8")) for path in bills)

    locked = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert len(locked) > 50
    assert {(normal(each["name"]), each["version"]) for each in python["components"]} == {(normal(n), v) for n, v in locked}
    packages = json.loads((ROOT / "backend/frontend/package-lock.json").read_text(encoding="utf-8"))["packages"]
    wanted = {(path.rpartition("node_modules/")[2], each["version"]) for path, each in packages.items() if path}
    there = {each["purl"].removeprefix("pkg:npm/").replace("%40", "@").rpartition("@")[::2] for each in javascript["components"]}
    assert there == wanted
    for bill in (javascript, python):
        assert bill["bomFormat"] == "CycloneDX"
        what = bill["metadata"]["component"]
        assert "zegelpost" in what.get("purl", what["name"])  # npm calls it by its folder


def test_all_of_it_is_asked_about(bills: list[Path], weaknesses: Weaknesses) -> None:
    done = check(weaknesses, *bills)

    assert done.returncode == 0, done.stderr
    wanted = {each["purl"].partition("?")[0] for path in bills for each in json.loads(path.read_bytes())["components"]}
    assert set(weaknesses.asked) == wanted | set(WELL_KNOWN)
    assert f"{len(wanted)} packages were asked about, 0 with a known weakness" in done.stdout


def test_what_is_known_fails_and_is_named(bills: list[Path], weaknesses: Weaknesses) -> None:
    starlette = next(each["purl"] for each in json.loads(bills[1].read_bytes())["components"] if each["name"] == "starlette")
    weaknesses.known[starlette] = ["CVE-2026-48710"]

    done = check(weaknesses, *bills)

    assert done.returncode == 1
    assert f"{starlette}: CVE-2026-48710" in done.stdout


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ({"status": 503}, "gives no answer that can be read"),
        ({"drops_count": 1}, "answered about"),
        ({"known": {}}, "does not know of pkg:pypi/jinja2@2.10"),
        ({"known": {"pkg:pypi/jinja2@2.10": ["x"]}}, "does not know of pkg:npm/lodash@4.17.11"),
        ({"url": "http://127.0.0.1:9"}, "gives no answer that can be read"),
    ],
)
def test_what_could_not_be_asked_fails(bills: list[Path], weaknesses: Weaknesses, trouble: dict[str, Any], said: str) -> None:
    for name, value in trouble.items():
        setattr(weaknesses, name, value)

    done = check(weaknesses, *bills)

    assert done.returncode == 1
    assert said in done.stderr


@pytest.mark.parametrize(
    "content",
    ['{"components": []}', "", '{"components": [{"name": "x"}]}', '{"components": [{"name": "x", "purl": "pkg:pypi/x"}]}'],
)
def test_what_has_no_version_or_nothing_in_it_fails(tmp_path: Path, weaknesses: Weaknesses, content: str) -> None:
    bill = tmp_path / "bill.json"
    bill.write_text(content, encoding="utf-8")

    done = check(weaknesses, bill)

    assert (done.returncode, weaknesses.asked) == (1, [])
    assert "not checked:" in done.stderr
