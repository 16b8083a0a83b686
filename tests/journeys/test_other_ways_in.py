"""Ways in besides a code every time by text message: an access code with a hint, a remembered device, and a telephone call."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.journeys.people import Watched, device, sign_in
from tests.journeys.running import RunningDemo

LINK = r"(http://127\.0\.0\.1:\d+/o/[a-z2-7]{26}#[a-z2-7]{32})$"
WORDS = {
    "nl": {
        "short": "De toegangscode is te kort",
        "telling": "De hint verraadt de toegangscode",
        "hint": "Hint van Anna de Vries: uw cliëntnummer",
        "send": "Verstuur veilig",
        "sent": "Uw verzending is verstuurd",
        "open": "Open de documenten",
        "send_code": "Stuur mij de code",
        "remember": "Onthoud dit apparaat 30 dagen",
        "remove": "Verwijder dit apparaat",
        "removed": "Het apparaat is verwijderd",
        "without_code": "Geopend zonder code op een onthouden apparaat",
        "landline": "Dit is geen mobiel nummer",
        "check": "Krijgt een code voorgelezen aan de telefoon, op",
        "call_me": "Bel mij met de code",
        "calling": "Wij bellen nu het nummer dat eindigt op",
        "key": "Druk op de 1",
        "read_out": "De code is voorgelezen.",
        "told": "Code voorgelezen aan de telefoon, nadat op een toets is gedrukt",
    },
    "en": {
        "short": "The access code is too short",
        "telling": "The hint gives the access code away",
        "hint": "Hint from Anna de Vries: uw cliëntnummer",
        "send": "Send securely",
        "sent": "Your transfer has been sent",
        "open": "Open the documents",
        "send_code": "Send me the code",
        "remember": "Remember this device for 30 days",
        "remove": "Remove this device",
        "removed": "The device has been removed",
        "without_code": "Opened without a code on a remembered device",
        "landline": "This is not a mobile number",
        "check": "Gets a code read out on the telephone, on",
        "call_me": "Call me with the code",
        "calling": "We are calling the number that ends in",
        "key": "Press 1",
        "read_out": "The code has been read out.",
        "told": "Code read out on the telephone after a key was pressed",
    },
}
PLACES = [("nl", 390, True), ("en", 1280, True), ("en", 390, False), ("nl", 1280, False)]


def _begin(page: Page, demo: RunningDemo, language: str, to: str) -> None:
    """Anna's form, filled in but for how the recipient opens it."""
    page.goto(demo.base_url + "/transfers/new")
    page.fill("#subject", "Rapport")
    page.fill("#note", "Uw rapport")
    page.fill("#recipient-0-name", "Kees Bos")
    page.fill("#recipient-0-email", to)
    page.select_option("#language", language)


def _go_on(page: Page) -> None:
    page.locator("main form .zp-actions button").last.click()


def _send(page: Page, words: dict[str, str]) -> str:
    """From the form to sent; returns the address of the transfer."""
    _go_on(page)
    page.locator("a[href$='/check']").click()
    page.get_by_role("button", name=words["send"]).click()
    expect(page.locator("main")).to_contain_text(words["sent"])
    return page.url.split("?")[0]


def _press(page: Page, link: str, *, has_script: bool) -> None:
    """Follow the link from the mail and press the button; without script the secret is pasted."""
    page.goto("about:blank")
    page.goto(link)
    if not has_script:
        page.fill("#link_secret", link)
    page.locator("[data-island=open] button").click()


def _look(watched: Watched, *, has_script: bool) -> None:
    if has_script:
        watched.look()


def _anna(chromium: Browser, demo: RunningDemo, language: str, width: int, *, has_script: bool) -> Watched:
    anna = Watched(device(chromium, language, width, has_script=has_script).new_page())
    sign_in(anna.page, demo, "anna@zegelpost.example")
    return anna


@pytest.mark.parametrize(("language", "width", "has_script"), PLACES)
def test_an_access_code_with_a_hint(demo: RunningDemo, chromium: Browser, language: str, width: int, has_script: bool) -> None:
    words, to = WORDS[language], f"kees-{language}-{width}@example.nl"
    anna = _anna(chromium, demo, language, width, has_script=has_script)
    _begin(anna.page, demo, language, to)
    # Code and hint come with the choice, also without script.
    expect(anna.page.locator("#recipient-0-access_code")).to_be_hidden()
    anna.page.select_option("#recipient-0-method", "access_code")
    expect(anna.page.locator("#recipient-0-access_code")).to_be_visible()
    _look(anna, has_script=has_script)
    anna.page.fill("#recipient-0-access_code", "kort")
    anna.page.fill("#recipient-0-hint", "uw cliëntnummer")
    _go_on(anna.page)
    expect(anna.page.locator("#recipient-0-access_code-error")).to_contain_text(words["short"])
    expect(anna.page.locator("#recipient-0-hint")).to_have_value("uw cliëntnummer")
    anna.page.fill("#recipient-0-access_code", "98765432")
    anna.page.fill("#recipient-0-hint", "het is 98 76 54 32")
    _go_on(anna.page)
    expect(anna.page.locator("#recipient-0-hint-error")).to_contain_text(words["telling"])
    _look(anna, has_script=has_script)
    anna.page.fill("#recipient-0-hint", "uw cliëntnummer")
    _send(anna.page, words)

    kees = Watched(device(chromium, language, width, has_script=has_script).new_page())
    _press(kees.page, demo.find(to, f"(?m)^{LINK}"), has_script=has_script)
    expect(kees.page.locator("main")).to_contain_text(words["hint"])
    expect(kees.page.locator("#remember")).to_have_count(0)
    _look(kees, has_script=has_script)
    kees.page.fill("#code", "98765432")
    kees.page.get_by_role("button", name=words["open"]).click()
    expect(kees.page.locator("main")).to_contain_text("Uw rapport")


def _link(demo: RunningDemo, to: str, *, other_than: str = "") -> str:
    """The latest link that was mailed, once there is a new one."""
    return demo.find(to, f"(?m)^(?!{re.escape(other_than)}$){LINK}" if other_than else f"(?m)^{LINK}")


@pytest.mark.parametrize(("language", "width", "has_script"), PLACES)
def test_a_remembered_device(demo: RunningDemo, chromium: Browser, language: str, width: int, has_script: bool) -> None:
    words, to = WORDS[language], f"rosa-{language}-{width}@example.nl"
    number = f"+316{['nl', 'en'].index(language) + 21}{width:04d}90"
    anna = _anna(chromium, demo, language, width, has_script=has_script)
    telephone: BrowserContext = device(chromium, language, width, has_script=has_script)
    rosa = Watched(telephone.new_page())

    # The first time with a code, and the tick.
    _begin(anna.page, demo, language, to)
    anna.page.fill("#recipient-0-mobile", number)
    _send(anna.page, words)
    first = _link(demo, to)
    _press(rosa.page, first, has_script=has_script)
    rosa.page.get_by_role("button", name=words["send_code"]).click()
    tick = rosa.page.get_by_label(words["remember"])
    expect(tick).not_to_be_checked()
    tick.check()
    _look(rosa, has_script=has_script)
    sms = demo.wait_for("sms", number)
    rosa.page.fill("#code", sms["text"][-6:])
    rosa.page.get_by_role("button", name=words["open"]).click()
    expect(rosa.page.locator("main")).to_contain_text("Uw rapport")
    (cookie,) = [each for each in telephone.cookies() if "device" in each["name"]]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")

    # The second time without.
    _begin(anna.page, demo, language, to)
    anna.page.fill("#recipient-0-mobile", number)
    transfer = _send(anna.page, words)
    second = _link(demo, to, other_than=first)
    _press(rosa.page, second, has_script=has_script)
    expect(rosa.page.locator("main")).to_contain_text("Uw rapport")
    anna.page.goto(transfer)
    for summary in anna.page.locator("main summary").all():
        summary.click()
    expect(anna.page.locator("main")).to_contain_text(words["without_code"])
    _look(anna, has_script=has_script)

    # The mail tells, and leads to where it ends.
    rosa.page.goto(demo.find(to, r"(?m)^(http\S+/o/device/[a-z2-7]{26})$"))
    _look(rosa, has_script=has_script)
    rosa.page.get_by_role("button", name=words["remove"]).click()
    expect(rosa.page.locator("h1")).to_have_text(words["removed"])
    _look(rosa, has_script=has_script)
    _press(rosa.page, second, has_script=has_script)
    expect(rosa.page.get_by_role("button", name=words["send_code"])).to_be_visible()


@pytest.mark.parametrize(("language", "width", "has_script"), PLACES)
def test_a_code_by_telephone(demo: RunningDemo, chromium: Browser, language: str, width: int, has_script: bool) -> None:
    words, to = WORDS[language], f"oma-{language}-{width}@example.nl"
    number = f"+312012{['nl', 'en'].index(language)}{width:04d}"
    anna = _anna(chromium, demo, language, width, has_script=has_script)
    _begin(anna.page, demo, language, to)
    anna.page.fill("#recipient-0-mobile", number)
    _go_on(anna.page)
    expect(anna.page.locator("#recipient-0-mobile-error")).to_contain_text(words["landline"])
    anna.page.select_option("#recipient-0-method", "spoken")
    expect(anna.page.locator("#recipient-0-access_code")).to_be_hidden()
    _look(anna, has_script=has_script)
    _go_on(anna.page)
    anna.page.locator("a[href$='/check']").click()
    expect(anna.page.locator("main")).to_contain_text(f"{words['check']} {number}")
    _look(anna, has_script=has_script)
    with anna.page.expect_navigation():
        anna.page.get_by_role("button", name=words["send"]).click()
    transfer = anna.page.url.split("?")[0]

    oma = Watched(device(chromium, language, width, has_script=has_script).new_page())
    _press(oma.page, _link(demo, to), has_script=has_script)
    _look(oma, has_script=has_script)
    oma.page.get_by_role("button", name=words["call_me"]).click()
    expect(oma.page.locator("main")).to_contain_text(f"{words['calling']} {number[-2:]}.")
    _look(oma, has_script=has_script)
    # Her telephone is on the page of the outbox. It rings by itself, and tells the code to whoever presses the key.
    demo.wait_for("call", number)
    telephone = Watched(device(chromium, language, width, has_script=has_script).new_page())
    telephone.page.goto(demo.base_url + "/demo/outbox")
    _look(telephone, has_script=has_script)
    with telephone.page.expect_navigation():
        telephone.page.locator("article", has_text=number).get_by_role("button", name=words["key"]).click()
    code = "".join(re.findall(r"\b\d\b", telephone.page.locator("body").inner_text()))[:6]
    oma.page.reload()
    expect(oma.page.locator("main")).to_contain_text(words["read_out"])
    _look(oma, has_script=has_script)
    oma.page.fill("#code", code)
    oma.page.get_by_role("button", name=words["open"]).click()
    expect(oma.page.locator("main")).to_contain_text("Uw rapport")
    anna.page.goto(transfer)
    expect(anna.page.locator("main")).to_contain_text(words["told"])
