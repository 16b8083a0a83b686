"""The files that operators copy: systemd takes the units as they are, and `backend/docs/deploy.md` names every file there is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zegelpost import cli
from zegelpost.settings import NAMES, PREFIX, SECRETS, Settings

DEPLOY = Path(__file__).parents[1] / "backend/deploy"
PAGE = DEPLOY.parent / "docs/deploy.md"
SERVICES = ["zegelpost-web@.service", "zegelpost-work@.service", "zegelpost-migrate.service"]
INSTALLED = "/opt/zegelpost/.venv/bin/zegelpost"
# What `systemd-analyze security` adds up, of 10: "OK" begins at 5, and a unit without any of this has 9.6.
MOST_EXPOSED = 2.0


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """As they are copied, but with a program that is there; systemd looks whether it is."""
    folder = tmp_path / "units"
    shutil.copytree(DEPLOY, folder)
    for name in SERVICES:
        text = (folder / name).read_text(encoding="utf-8")
        assert INSTALLED in text
        (folder / name).write_text(text.replace(INSTALLED, sys.executable), encoding="utf-8")
    return folder


def analyze(units: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:", "SYSTEMD_LOG_LEVEL": "warning", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments], env=environment, cwd=units, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", [*SERVICES, "zegelpost.target"])
def test_systemd_understands_every_line(units: Path, name: str) -> None:
    done = analyze(units, "verify", "--man=no", str(units / name))

    assert (done.returncode, [line for line in done.stderr.splitlines() if "zegelpost" in line]) == (0, []), done.stderr


def test_systemd_would_say_so_of_a_line_that_it_does_not_understand(units: Path) -> None:
    with (units / "zegelpost-.service.d/confined.conf").open("a", encoding="utf-8") as file:
        file.write("ProtectSytem=strict\n")

    assert "'ProtectSytem'" in analyze(units, "verify", "--man=no", str(units / SERVICES[0])).stderr


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_confined(units: Path, name: str) -> None:
    done = analyze(units, "security", "--offline=yes", f"--threshold={round(MOST_EXPOSED * 10)}", str(units / name))

    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"Overall exposure level for .*: ([\d.]+) ", done.stdout)
    assert found, done.stdout
    assert 0 < float(found.group(1)) <= MOST_EXPOSED


def test_services_run_commands_that_exist() -> None:
    commands = {each.name or each.callback.__name__ for each in cli.app.registered_commands if each.callback}
    for name in SERVICES:
        [command] = re.findall(rf"^ExecStart={INSTALLED} (\S+)", (DEPLOY / name).read_text(encoding="utf-8"), re.MULTILINE)
        assert command in commands


def test_the_page_names_every_file_and_no_other() -> None:
    there = {str(path.relative_to(DEPLOY)) for path in DEPLOY.rglob("*") if path.is_file()}

    assert set(re.findall(r"^\| \[`[^`]+`\]\(\.\./deploy/([^)]+)\)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)) == there


def test_the_example_of_settings_is_one_that_starts(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    example = dict(re.findall(rf"^({PREFIX}[A-Z_]+)=(.*)$", text, re.MULTILINE))
    assert {name.removeprefix(PREFIX).removesuffix("_FILE") for name in example} <= set(NAMES) | set(SECRETS)
    confined = (DEPLOY / "zegelpost-.service.d/confined.conf").read_text(encoding="utf-8")
    [folders] = re.findall(r"^StateDirectory=(.*)$", confined, re.MULTILINE)
    assert [f"/var/lib/{name}" for name in folders.split()] == [example[f"{PREFIX}DATA_DIR"], example[f"{PREFIX}KEYS_DIR"]]
    for name, value in {"SMTP_URL": "smtp+starttls://relay.example.nl:587", "SMS_URL": "twilio://SK:s@AC?from=Zegelpost"}.items():
        secret = tmp_path / name
        secret.write_text(value, encoding="utf-8")
        assert f"{PREFIX}{name}_FILE" in example
        example[f"{PREFIX}{name}_FILE"] = str(secret)

    settings = Settings.from_environment({name: value.strip('"') for name, value in example.items()})

    assert settings.host == "post.example.nl"
    assert settings.host in (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    assert settings.trusted_proxies == ("127.0.0.1",)
