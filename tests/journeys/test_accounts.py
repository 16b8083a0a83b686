"""Accounts in a real browser: opening one, the second step by app and by passkey, and the pages about it.

Passkeys come from Chromium's own virtual authenticator, which makes and signs with real keys.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyotp
import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.journeys.axe import run_axe
from tests.journeys.people import EVERYWHERE
from tests.journeys.running import RunningDemo

from zegelpost.demo import seed_people
from zegelpost.main import build_app, build_services
from zegelpost.migrations import migrate_database
from zegelpost.model.policy import Policy
from zegelpost.server import server_options
from zegelpost.settings import Settings

PASSWORD = "demo-zegelpost-2026"
NEW = "paarse fiets onder de brug"
LINK = re.compile(r"^(http://localhost:\d+/account/\S+)$", re.MULTILINE)


def _serve(data_dir: Path, port: int, log: Path) -> None:
    """A demonstration that asks for a second step. By name, because browsers make no passkeys for numbers."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    settings = Settings.from_environment(
        {"ZEGELPOST_DEMO": "1", "ZEGELPOST_BASE_URL": f"http://localhost:{port}", "ZEGELPOST_DATA_DIR": str(data_dir)}
    )
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrate_database(settings.database_url)
    asyncio.run(seed_people(settings))
    services = build_services(settings, policy=Policy(staff_domains=settings.staff_domains, requires_second_factor=True))
    uvicorn.run(build_app(services), host="127.0.0.1", port=port, **server_options())


class RunningStrict(RunningDemo):
    """As an installation is, with the outbox of the demonstration to read the mail in."""

    @property
    def base_url(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["zegelpost.cli", "zegelpost.main", "zegelpost.demo"])
        self.process = context.Process(target=_serve, args=(self.data_dir, self.port, self.log), daemon=True)
        self.process.start()
        self.wait_until_it_answers()


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStrict]:
    running = RunningStrict(tmp_path_factory.mktemp("accounts") / "data")
    running.start()
    yield running
    running.stop()


def _context(chromium: Browser, language: str, width: int, *, has_script: bool = True) -> BrowserContext:
    return chromium.new_context(
        locale={"nl": "nl-NL", "en": "en-GB"}[language],
        viewport={"width": width, "height": 800},
        java_script_enabled=has_script,
    )


def _look(page: Page, name: str, *, has_script: bool = True) -> None:
    """No accessibility findings and nothing to scroll sideways for; kept as a picture when asked for."""
    if folder := os.environ.get("ZEGELPOST_TEST_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
    if not has_script:
        return  # axe is script too, and waits for ever
    assert run_axe(page) == [], (name, page.url)
    assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth"), (name, page.url)


def _authenticator(page: Page) -> None:
    """A telephone that says yes. Gone when a session of the debugging protocol ends, so `_look` comes before or after."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def _sign_in(page: Page, running: RunningDemo, email: str, password: str = PASSWORD) -> None:
    page.goto(f"{running.base_url}/sign-in")
    page.fill("#email", email)
    page.fill("#password", password)
    page.locator("main form button").click()


def _submit(page: Page) -> None:
    page.locator("main form:not([hidden]) button:not([name])").last.click()


def _follow(page: Page, link: str) -> None:
    """Press a link or a button and wait for the page it leads to, so that what comes next is not asked of the page before."""
    with page.expect_navigation():
        page.locator(link).click()


def _fresh_code(secret: str, used: set[str]) -> str:
    """The code of now, or of the next half minute when this one was used; the server takes one step ahead."""
    totp = pyotp.TOTP(secret)
    for moment in (time.time(), time.time() + 30):
        if (code := totp.at(int(moment))) not in used:
            used.add(code)
            return code
    raise AssertionError("both codes were used")


@pytest.mark.parametrize(("language", "width", "has_script"), [*((*each, True) for each in EVERYWHERE), ("nl", 1280, False)])
def test_from_no_account_to_a_second_sign_in(  # noqa: PLR0915 - a journey is long, and each step stands on the one before
    strict: RunningStrict, chromium: Browser, language: str, width: int, has_script: bool
) -> None:
    email = f"eve-{language}-{width}-{has_script}@zegelpost.example"
    page = _context(chromium, language, width, has_script=has_script).new_page()

    def look(name: str) -> None:
        _look(page, f"{name}-{language}-{width}{'' if has_script else '-plain'}", has_script=has_script)

    # Asking: what is wrong stands at its field.
    page.goto(f"{strict.base_url}/account/new")
    look("new")
    page.fill("#name", "Eve Smit")
    page.fill("#email", email)
    page.fill("#password", "Welkom01")
    _submit(page)
    expect(page.locator("#password-error")).to_be_visible()
    look("new-refused")
    page.fill("#password", NEW)
    _submit(page)
    expect(page.locator("main")).to_contain_text(email)
    look("mailed")

    # Confirming, with the password.
    mail = strict.wait_for("mail", email)
    found = LINK.search(mail["text"])
    assert found
    page.goto(found.group(1))
    look("confirm")
    page.fill("#password", NEW)
    _submit(page)

    # The second step comes before anything else.
    page.wait_for_url("**/account/second-factor")
    look("choose")
    _follow(page, "a[href='/account/second-factor/app']")
    expect(page.locator("img.zp-qr")).to_be_visible()
    assert page.locator("img.zp-qr").evaluate("image => image.naturalWidth") > 0  # the page's policy lets it be drawn
    look("app")
    used: set[str] = set()
    secret = page.locator(".zp-key code").inner_text().replace(" ", "")
    page.fill("#code", "12345")
    _submit(page)
    expect(page.locator("#code-error")).to_be_visible()
    look("app-refused")
    page.fill("#code", _fresh_code(secret, used))
    _submit(page)
    expect(page.locator(".zp-codes li")).to_have_count(10)
    look("codes")
    recovery_code = page.locator(".zp-codes li").first.inner_text()
    _follow(page, "main a[href='/']")
    expect(page.locator("form[action='/sign-out']")).to_contain_text("Eve Smit")

    # One's own page, and the password.
    _follow(page, "a[href='/account']")
    look("account")
    _follow(page, "a[href='/account/password']")
    look("password")
    page.goto(f"{strict.base_url}/account/second-factor/codes")
    look("renew-codes")
    page.goto(f"{strict.base_url}/account")
    _follow(page, "a[href$='/remove']")
    look("remove")
    page.goto(f"{strict.base_url}/account")
    page.locator("form[action='/account/sign-out-everywhere'] button").click()
    page.wait_for_url("**/sign-in?done=everywhere")
    look("signed-out")

    # And again, with code and with recovery code.
    _sign_in(page, strict, email, NEW)
    page.wait_for_url("**/sign-in/second-factor")
    look("second-step")
    page.fill("#code", recovery_code)
    _submit(page)
    expect(page.locator("form[action='/sign-out']")).to_be_visible()
    _follow(page, "form[action='/sign-out'] button")
    _sign_in(page, strict, email, NEW)
    page.fill("#code", _fresh_code(secret, used))
    _submit(page)
    expect(page.locator("form[action='/sign-out']")).to_be_visible()
    page.context.close()


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_a_forgotten_password(strict: RunningStrict, chromium: Browser, language: str, width: int) -> None:
    email = {"nl": "anna@zegelpost.example", "en": "bram@zegelpost.example"}[language]
    new = f"{NEW} {width}"
    page = _context(chromium, language, width).new_page()
    page.goto(f"{strict.base_url}/sign-in")
    _look(page, f"sign-in-{language}-{width}")
    _follow(page, "a[href='/account/forgot']")
    _look(page, f"forgot-{language}-{width}")
    page.fill("#email", email)
    mail_count = sum(each["to"] == email for each in strict.outbox())
    _submit(page)
    mail = strict.wait_for("mail", email, more_than=mail_count)
    found = LINK.search(mail["text"])
    assert found
    page.goto(found.group(1))
    _look(page, f"reset-{language}-{width}")
    page.fill("#new_password", new)
    _submit(page)
    page.wait_for_url("**/sign-in?done=password")
    page.goto(found.group(1))
    _look(page, f"link-refused-{language}-{width}")
    _sign_in(page, strict, email, new)
    page.wait_for_url("**/account/second-factor")
    page.context.close()


@pytest.mark.parametrize(("language", "width"), EVERYWHERE)
def test_a_passkey_is_made_and_used(strict: RunningStrict, chromium: Browser, language: str, width: int) -> None:
    email = f"pia-{language}-{width}@zegelpost.example"
    page = _context(chromium, language, width).new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(f"{strict.base_url}/account/new")
    page.fill("#name", "Pia Post")
    page.fill("#email", email)
    page.fill("#password", NEW)
    _submit(page)
    found = LINK.search(strict.wait_for("mail", email)["text"])
    assert found
    page.goto(found.group(1))
    page.fill("#password", NEW)
    _submit(page)

    _follow(page, "a[href='/account/second-factor/passkey']")
    expect(page.locator("[data-no-passkey]")).to_have_count(0)
    _look(page, f"passkey-{language}-{width}")
    _authenticator(page)
    page.fill("#name", "Telefoon van Pia")
    _submit(page)
    expect(page.locator(".zp-codes li")).to_have_count(10)
    page.goto(f"{strict.base_url}/account")
    expect(page.locator("main")).to_contain_text("Telefoon van Pia")

    # Used twice: every question is a new one.
    for _ in range(2):
        _follow(page, "form[action='/sign-out'] button")
        _sign_in(page, strict, email, NEW)
        page.wait_for_url("**/sign-in/second-factor")
        page.locator("form[data-passkey='get'] button").click()
        expect(page.locator("form[action='/sign-out']")).to_be_visible()
    assert complaints == []

    # What was sent once does not open a second time.
    answers: list[str] = []
    _follow(page, "form[action='/sign-out'] button")
    _sign_in(page, strict, email, NEW)
    page.on(
        "request", lambda request: answers.append(request.post_data or "") if request.url.endswith("/sign-in/passkey") else None
    )
    page.locator("form[data-passkey='get'] button").click()
    expect(page.locator("form[action='/sign-out']")).to_be_visible()
    [sent] = answers
    _follow(page, "form[action='/sign-out'] button")
    _sign_in(page, strict, email, NEW)
    _look(page, f"second-step-passkey-{language}-{width}")
    csrf = page.locator("form[data-passkey='get'] input[name=csrf]").input_value()
    replayed = re.sub(r"csrf=[^&]*", f"csrf={csrf}", sent)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = page.request.post(f"{strict.base_url}/sign-in/passkey", data=replayed, headers=headers)
    assert answer.status == 422
    page.goto(f"{strict.base_url}/sent")
    assert page.url.partition("?")[0] == f"{strict.base_url}/sign-in"
    page.context.close()


def test_when_a_passkey_fails_the_page_says_so_and_the_code_still_works(strict: RunningStrict, chromium: Browser) -> None:
    page = _context(chromium, "nl", 390).new_page()
    _authenticator(page)
    _sign_in(page, strict, "chris@zegelpost.example")
    page.goto(f"{strict.base_url}/account/second-factor/passkey")
    page.route("**/passkey/question", lambda route: route.abort())
    _submit(page)
    expect(page.locator("[data-failed]")).to_be_visible()
    _look(page, "passkey-failed-nl-390")
    _follow(page, "main a[href='/account/second-factor']")
    _follow(page, "a[href='/account/second-factor/app']")
    expect(page.locator("img.zp-qr")).to_be_visible()
    page.context.close()
