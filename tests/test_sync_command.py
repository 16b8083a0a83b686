"""`zegelpost sync`: one line for each address book, and an exit code for whoever plans it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from zegelpost.settings import PREFIX


def _command(environment: dict[str, str], name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("zegelpost")), name],
        env={"PATH": os.defpath} | {f"{PREFIX}{key}": value for key, value in environment.items()},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_file_is_read_and_told(tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    environment = {"DEMO": "1", "BASE_URL": "http://127.0.0.1:1", "DATA_DIR": str(tmp_path), "ADDRESS_BOOK_CSV": str(path)}
    path.write_text("Naam;E-mailadres;Mobiel\nRosa Visser;rosa@zorg.example;06-12345678\nSam;sam@zorg.example;\n")
    assert _command(environment, "migrate").returncode == 0

    first, again = _command(environment, "sync"), _command(environment, "sync")
    path.unlink()
    missing = _command(environment, "sync")

    assert (first.returncode, "file: read; 2 added, 0 changed, 0 removed" in first.stdout) == (0, True), first
    assert (again.returncode, "file: read; 0 added, 0 changed, 0 removed" in again.stdout) == (0, True), again
    assert (missing.returncode, "file: file missing; 0 added, 0 changed, 0 removed" in missing.stdout) == (1, True), missing
    for answer in (first, again, missing):
        assert "rosa" not in (answer.stdout + answer.stderr).lower()
