"""The house: who may import whom, and pages of documentation that cannot go stale."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

import zegelpost
from zegelpost.model.event import EventTag
from zegelpost.settings import NAMES, PREFIX, SECRETS

PACKAGE = Path(zegelpost.__file__).parent
DOCS = PACKAGE.parent / "docs"

# Down only. What is not named may not be imported.
MAY_IMPORT: dict[str, set[str]] = {
    "sealing": {"sealing"},
    "evidence": {"evidence"},
    # What auditors take home: one file, and none of our code.
    "verifier": set(),
    "model": {"model"},
    "ports": {"model"},
    "adapters": {"adapters", "ports", "model"},
    "services": {"services", "model", "sealing", "evidence", "ports", "database", "process"},
    # The server hands bodies over straight from the socket; uploads know how to take them.
    # Auditors download the verifier as it stands there.
    "web": {"web", "server", "services", "model", "sealing", "ports", "verifier"},
    "migrations": {"migrations", "model", "database"},
    "database": set(),
    "process": set(),
    "settings": {"model", "settings_codes", "settings_reading", "settings_sign_in"},
    "settings_reading": set(),
    "settings_codes": {"model", "settings_reading"},
    "settings_sign_in": {"settings_reading"},
    "logs": set(),
    "server": {"services"},
    "worker": {"services"},
    "demo": {"services", "model", "database", "settings"},
    "connecting": {"adapters", "services", "model", "ports", "settings"},
    "main": {"connecting", "web", "services", "adapters", "sealing", "model", "ports", "database", "settings", "worker"},
    # It looks at the outside world as it is, behind the ports, and as it is connected here.
    "doctor": {"doctor", "connecting", "adapters", "migrations", "services", "model", "ports", "database", "settings"},
    "cli": {
        "main",
        "verifier",
        "adapters",
        "doctor",
        "web",
        "demo",
        "server",
        "migrations",
        "ports",
        "settings",
        "logs",
        "worker",
        "services",
        "database",
        "model",
    },
}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE)


def part_of(path: Path) -> str:
    """The top-level part of the package that a module belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """The parts of our package that a module imports, wherever in the file it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it goes"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("zegelpost.")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    assert imports_of(path) <= MAY_IMPORT[part_of(path)]


def test_model_does_nothing_but_state_rules() -> None:
    for path in (PACKAGE / "model").glob("*.py"):
        if path.name == "clock.py":
            continue
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"\b(datetime\.now|time\.time|utcnow|open\(|AsyncSession|select\()", source), path


def test_every_event_is_documented_and_every_documented_event_exists() -> None:
    documented = re.findall(r"^\| `([a-z_]+:[a-z_]+)` \|", (DOCS / "events.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert documented == [tag.value for tag in EventTag]


def test_events_are_subject_and_action_in_the_past_tense() -> None:
    for tag in EventTag:
        subject, action = tag.value.split(":")
        assert re.fullmatch(r"[a-z_]*(ed|sent)", action), tag
        assert tag.name == f"{subject}_{action}".upper()


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    documented = set(re.findall(rf"^\| `{PREFIX}([A-Z_]+)` \|", page, re.MULTILINE))

    assert documented == set(NAMES)
    for name in SECRETS:
        assert f"`{PREFIX}{name}_FILE`" in page


def test_nothing_that_is_built_is_in_the_tree() -> None:
    """What `.gitignore` names and git keeps all the same was added by mistake; twice it was the built pages."""
    kept = subprocess.run(
        ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"],
        cwd=PACKAGE.parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert kept.stdout == ""
