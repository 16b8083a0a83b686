"""The upload area as people use it: many files, a line that drops, a server that dies, and never a byte lost."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from tests.journeys.line import Line
from tests.journeys.people import EVERYWHERE
from tests.journeys.running import RunningDemo
from tests.journeys.upload_area import MEGABYTE, WORDS, Anna, download, image, rosa_opens, sha256_of, until_quiet

# What the browser and the operating system had taken in, and the line had not carried, when it broke.
IN_FLIGHT = 8 * MEGABYTE


@pytest.fixture(scope="module")
def chromium(chromium_over_the_line: Browser) -> Browser:
    return chromium_over_the_line


@pytest.fixture
def anna_in(demo: RunningDemo, chromium: Browser, line: Line) -> Iterator[Callable[..., Anna]]:
    """Anna in a language and at a width; afterwards nothing may stand on her console."""
    made: list[Anna] = []

    def open_page(language: str, width: int) -> Anna:
        locale = {"nl": "nl-NL", "en": "en-GB"}[language]
        context = chromium.new_context(locale=locale, viewport={"width": width, "height": 800})
        number = random.randrange(10**7)
        made.append(Anna(demo, context.new_page(), WORDS[language], f"rosa-{number}@example.nl", f"061{number:07d}"))
        return made[-1]

    line.bytes_per_second = None
    yield open_page
    line.mend()
    for anna in made:
        anna.page.context.close()
    assert [anna.watched.complaints for anna in made] == [[] for _ in made]


def _picture(anna: Anna, name: str) -> None:
    """Kept when `ZEGELPOST_TEST_PICTURES` names a folder, to look at."""
    if folder := os.environ.get("ZEGELPOST_TEST_PICTURES"):
        anna.page.screenshot(path=Path(folder) / f"uploading-{name}.png", full_page=True)


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_many_at_once_and_every_state(
    anna_in: Callable[..., Anna], chromium: Browser, line: Line, tmp_path: Path, language: str, width: int
) -> None:
    anna = anna_in(language, width)
    program, fake, large = tmp_path / "setup.exe", tmp_path / "geen.pdf", tmp_path / "groot.zip"
    program.write_bytes(b"MZ" + bytes(100))
    fake.write_bytes(b"MZ" + bytes(1000))
    with large.open("wb") as file:
        file.truncate(20_000 * MEGABYTE + 1)  # a hole: it takes no room
    letters = [tmp_path / f"brief {number}.txt" for number in range(6)]
    for letter in letters:
        letter.write_text(f"Beste Rosa, dit is {letter.name}.\n" * 50)
    scan, second, third = (image(tmp_path / f"scan {n}.dcm", 12, n) for n in range(3))
    folder = tmp_path / "Beelden.zip"
    folder.mkdir()

    # Refusals stand at their row, in a sentence, and hold nothing up.
    anna.choose(program, letters[0], fake, large, *letters[1:4])
    anna.sees("setup.exe", "exe")
    anna.sees("groot.zip", "large")
    anna.sees("geen.pdf", "fake")
    for letter in letters[:4]:
        anna.sees(letter.name, "done")

    # Dragged, with a folder among them, which is told. What travels moves, what waits says so.
    line.bytes_per_second = 4 * MEGABYTE
    anna.drag(*letters[4:], folder, scan, second, third)
    for letter in letters[4:]:
        anna.sees(letter.name, "done")
    anna.sees(folder.name, "folder")
    anna.sees(third.name, "waiting")
    anna.wait_for_percent(second.name, 2)
    anna.press(second.name, "pause")
    anna.sees(second.name, "paused")
    before = anna.percent(scan.name)
    anna.wait_for_percent(scan.name, before + 5)
    anna.sees(scan.name, "uploading")
    anna.watched.look()
    _picture(anna, f"states-{width}")

    # Taken back while it travels, while it rests, and when it is done: the server has forgotten it too.
    for name in (scan.name, second.name, letters[0].name, program.name, fake.name, large.name, folder.name):
        anna.press(name, "remove")
        expect(anna.row(name)).to_have_count(0)
    line.bytes_per_second = None
    anna.sees(third.name, "done")
    kept = [third.name, *(letter.name for letter in letters[1:])]
    anna.page.reload()
    expect(anna.page.locator("[data-list] > li")).to_have_count(len(kept))
    for name in kept:
        anna.sees(name, "done")
    anna.send()
    rosa = rosa_opens(anna, chromium)
    expect(rosa.locator("a[download]:not([href$='.zip'])")).to_have_count(len(kept))
    assert download(rosa, letters[5].name).read_bytes() == letters[5].read_bytes()


def test_paused_halfway_the_bytes_are_the_same(
    anna_in: Callable[..., Anna], chromium: Browser, line: Line, tmp_path: Path
) -> None:
    anna = anna_in("en", 1280)
    scan = image(tmp_path / "MRI.dcm", 60)
    line.bytes_per_second = 30 * MEGABYTE
    anna.choose(scan)
    anna.wait_for_percent(scan.name, 30)
    anna.press(scan.name, "pause")
    anna.sees(scan.name, "paused")
    until_quiet(line, anna.page)
    at_rest = line.sent_bytes
    anna.page.wait_for_timeout(300)
    assert line.sent_bytes == at_rest
    assert 15 < anna.percent(scan.name) < 85

    line.bytes_per_second = None
    anna.press(scan.name, "resume")
    anna.sees(scan.name, "done")
    assert anna.offsets()[0] == 0
    assert len(anna.offsets()) == 2
    assert anna.offsets()[1] > 15 * MEGABYTE
    anna.send()
    assert sha256_of(download(rosa_opens(anna, chromium), scan.name)) == sha256_of(scan)


def test_after_a_reload_the_same_file_goes_on(
    anna_in: Callable[..., Anna], chromium: Browser, line: Line, tmp_path: Path
) -> None:
    anna = anna_in("nl", 390)
    scan = image(tmp_path / "MRI.dcm", 40)
    (tmp_path / "ander").mkdir()
    other = image(tmp_path / "ander" / "MRI.dcm", 2, seed=7)
    line.bytes_per_second = 15 * MEGABYTE
    start = line.sent_bytes
    anna.choose(scan)
    anna.wait_for_percent(scan.name, 50)
    anna.page.reload()
    expect(anna.page.locator("[data-list] > li")).to_have_count(1)
    anna.sees("MRI.dcm", "unfinished")
    anna.watched.look()
    _picture(anna, "reloaded")
    until_quiet(line, anna.page)
    anna.page.goto(anna.page.url.replace("/documents", "/check"))
    expect(anna.page.locator("main")).to_contain_text(anna.words["left_over"])
    anna.watched.look()
    anna.page.go_back()

    # Another file of that name is another document.
    line.bytes_per_second = None
    anna.choose(other)
    expect(anna.page.locator("[data-list] > li")).to_have_count(2)
    expect(anna.row("MRI.dcm").filter(has_text="2 MB")).to_contain_text(anna.words["done"])
    expect(anna.row("MRI.dcm").filter(has_text="40 MB")).to_contain_text(anna.words["unfinished"])

    anna.requests.clear()
    anna.choose(scan)
    expect(anna.page.locator("[data-list] > li")).to_have_count(2)
    expect(anna.row("MRI.dcm").filter(has_text="40 MB")).to_contain_text(anna.words["done"], timeout=20_000)
    expect(anna.page.locator("[data-list] > li")).to_have_count(2)
    assert anna.offsets()[0] > 15 * MEGABYTE
    assert line.sent_bytes - start < scan.stat().st_size + other.stat().st_size + IN_FLIGHT
    anna.send()
    rosa = rosa_opens(anna, chromium)
    got = {sha256_of(download(rosa, size)) for size in ("40 MB", "2 MB")}
    assert got == {sha256_of(scan), sha256_of(other)}


def test_a_lost_line_and_a_dead_server_pass_by_themselves(
    anna_in: Callable[..., Anna], chromium: Browser, line: Line, tmp_path: Path
) -> None:
    anna = anna_in("nl", 390)
    scan = image(tmp_path / "MRI.dcm", 50)
    line.bytes_per_second = 12 * MEGABYTE
    anna.choose(scan)

    # The line breaks; the browser does not know.
    anna.wait_for_percent(scan.name, 20)
    line.cut()
    anna.sees(scan.name, "offline")
    anna.watched.look()
    line.mend()
    anna.sees(scan.name, "uploading")
    at_first = anna.offsets()[-1]
    assert at_first > 5 * MEGABYTE
    # What is shown is what is there: never more than arrived and is under way.
    assert anna.percent(scan.name) / 100 * scan.stat().st_size <= at_first + line.bytes_per_second

    # The server dies without a goodbye. What it acknowledged is still there; what it had not, goes again.
    anna.wait_for_percent(scan.name, 50)
    anna.demo.kill()
    anna.sees(scan.name, "offline")
    anna.demo.start()
    anna.sees(scan.name, "uploading")
    assert anna.offsets()[-1] >= at_first

    # The browser knows: aeroplane mode.
    anna.wait_for_percent(scan.name, 60)
    anna.page.context.set_offline(True)
    line.cut()
    anna.sees(scan.name, "offline")
    _picture(anna, "offline")
    line.mend()
    line.bytes_per_second = None
    anna.page.context.set_offline(False)
    anna.sees(scan.name, "done")
    assert [each.method for each in anna.requests].count("POST") == 1
    anna.send()
    assert sha256_of(download(rosa_opens(anna, chromium), scan.name)) == sha256_of(scan)


def test_going_on_waits_until_all_is_there(anna_in: Callable[..., Anna], line: Line, tmp_path: Path) -> None:
    anna = anna_in("nl", 390)
    scan, second = image(tmp_path / "MRI.dcm", 9), image(tmp_path / "CT.dcm", 9, seed=3)
    line.bytes_per_second = 5 * MEGABYTE
    anna.choose(scan, second)
    anna.wait_for_percent(second.name, 3)
    anna.press(second.name, "pause")
    onward, why = anna.page.locator("a[href$='/check']"), anna.page.locator("[data-why]")
    onward.click()
    expect(why).to_contain_text(anna.words["on_its_way"])
    anna.watched.look()
    _picture(anna, "on-its-way")
    # One is there, the other rests: nobody is sent on without it.
    anna.sees(scan.name, "done")
    expect(why).to_contain_text(anna.words["left_over"])
    onward.click()
    assert anna.page.url.endswith("/documents")
    anna.watched.look()

    line.bytes_per_second = 10 * MEGABYTE
    anna.press(second.name, "resume")
    onward.click()
    expect(why).to_contain_text(anna.words["on_its_way"])
    anna.page.wait_for_url("**/check")
    expect(anna.page.locator("main")).to_contain_text("CT.dcm")
    # What was typed is still there.
    expect(anna.page.locator("main")).to_contain_text("Beelden")
    anna.page.locator("form[action$='/send'] button").click()
    anna.page.wait_for_url("**done=sent")


def test_nothing_is_lost_when_the_sign_in_ends(anna_in: Callable[..., Anna], line: Line, tmp_path: Path) -> None:
    anna = anna_in("nl", 390)
    scan = image(tmp_path / "MRI.dcm", 12)
    line.bytes_per_second = 6 * MEGABYTE
    anna.choose(scan)
    anna.wait_for_percent(scan.name, 30)
    anna.press(scan.name, "pause")
    until_quiet(line, anna.page)
    elsewhere = anna.page.context.new_page()
    elsewhere.goto(anna.demo.base_url)
    elsewhere.locator("form[action='/sign-out'] button").click()
    elsewhere.wait_for_url("**/sign-in*")
    anna.page.bring_to_front()
    anna.press(scan.name, "resume")
    anna.sees(scan.name, "signed_out")
    anna.watched.look()
    _picture(anna, "signed-out")
    anna.sign_in(elsewhere)
    # What a browser says to a page that is looked at again; without a screen it never says it.
    anna.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    anna.sees(scan.name, "done")
    assert anna.offsets()[-1] > 2 * MEGABYTE
    anna.send()


def test_a_file_that_changes_under_way_is_told(anna_in: Callable[..., Anna], line: Line, tmp_path: Path) -> None:
    anna = anna_in("nl", 390)
    scan = image(tmp_path / "MRI.dcm", 12)
    line.bytes_per_second = 4 * MEGABYTE
    anna.choose(scan)
    anna.wait_for_percent(scan.name, 30)
    anna.press(scan.name, "pause")
    until_quiet(line, anna.page)
    image(scan, 11, seed=9)
    anna.press(scan.name, "resume")
    anna.sees(scan.name, "changed")
    _picture(anna, "changed")
    anna.press(scan.name, "remove")
    expect(anna.row(scan.name)).to_have_count(0)
    line.bytes_per_second = None
    anna.choose(scan)
    anna.sees(scan.name, "done")
    anna.page.reload()
    expect(anna.page.locator("[data-list] > li")).to_have_count(1)
