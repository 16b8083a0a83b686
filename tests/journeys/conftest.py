"""A running demonstration and a real browser for the journeys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from tests.journeys.line import Line
from tests.journeys.running import RunningDemo

CHROMIUM = next((path for path in map(Path, ("/usr/bin/chromium", "/usr/bin/chromium-browser")) if path.exists()), None)
QUIET = [
    "--no-sandbox",  # CI runs as root, where Chromium's sandbox does not start
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Chromium glides to a field that is filled in; a button then moves on between the mouse's down and up.
    "--disable-smooth-scrolling",
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    running = RunningDemo(tmp_path_factory.mktemp("journey") / "data")
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def line(demo: RunningDemo) -> Iterator[Line]:
    line = Line(demo.port)
    yield line
    line.close()


@pytest.fixture(scope="module")
def chromium_over_the_line(demo: RunningDemo, line: Line) -> Iterator[Browser]:
    """A browser that reaches the server over the line; addresses stay what the server thinks they are.

    In place of `chromium`, not beside it: Playwright runs once in a thread.
    """
    over_the_line = f"--host-resolver-rules=MAP 127.0.0.1:{demo.port} 127.0.0.1:{line.port}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, over_the_line])
        yield browser
        browser.close()
