"""The second step: set up at the first sign-in, asked at every other, and nothing of it to be found or guessed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx2
import pyotp
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from tests.conftest import PASSWORD, MovableClock, Outbox, Portal, browser
from tests.web.acts import sentences, words

from zegelpost.main import Services, build_app, build_services
from zegelpost.model.event import Event, EventTag
from zegelpost.model.policy import Policy
from zegelpost.model.second_factor import AuthenticatorApp, RecoveryCode
from zegelpost.settings import Settings

ANNA, BRAM = "anna@zegelpost.example", "bram@zegelpost.example"
APP = "/account/second-factor/app"
REFUSED = "This code is not right, or it has been used before."


@pytest.fixture
def policy() -> Policy:
    """As an installation is, and not a demonstration."""
    return Policy(staff_domains=("zegelpost.example",), requires_second_factor=True)


def csrf_of(page: httpx2.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found, page.text
    return found.group(1)


def hidden(page: httpx2.Response, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]+)"', page.text)
    assert found, page.text
    return found.group(1)


def secret_of(page: httpx2.Response) -> str:
    """The key that the page shows to whoever cannot scan."""
    found = re.search(r"<code>([A-Z2-7 ]+)</code>", page.text)
    assert found, page.text
    return found.group(1).replace(" ", "")


def codes_of(page: httpx2.Response) -> list[str]:
    return re.findall(r"<code>([a-z2-7]{4}(?:-[a-z2-7]{4}){3})</code>", page.text)


@dataclass
class Phone:
    """An authenticator app, on the test's clock."""

    secret: str
    clock: MovableClock
    recovery_codes: list[str] = field(default_factory=list)

    def code(self, *, steps: int = 0) -> str:
        return pyotp.TOTP(self.secret).at(self.clock.now + timedelta(seconds=30 * steps))


async def first_step(client: httpx2.AsyncClient, email: str = ANNA, wanted: str = "") -> httpx2.Response:
    return await client.post("/sign-in", data={"email": email, "password": PASSWORD, "next": wanted})


async def second_step(client: httpx2.AsyncClient, code: str) -> httpx2.Response:
    page = await client.get("/sign-in/second-factor")
    return await client.post("/sign-in/second-factor", data={"csrf": csrf_of(page), "code": code, "next": ""})


async def set_up(client: httpx2.AsyncClient, clock: MovableClock, email: str = ANNA) -> Phone:
    """The first sign-in, to its end; the half minute of the code has passed after it."""
    await first_step(client, email)
    page = await client.get(APP)
    phone = Phone(secret_of(page), clock)
    form = {"csrf": csrf_of(page), "app_id": hidden(page, "app_id"), "sealed": hidden(page, "sealed"), "name": "Telefoon"}
    done = await client.post(APP, data=form | {"code": phone.code()})
    assert done.status_code == 200, sentences(done)
    phone.recovery_codes = codes_of(done)
    clock.forward(seconds=30)
    return phone


@pytest.fixture
async def anna_browser(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    async with browser(app) as client:
        yield client


@pytest.fixture
async def phone(anna_browser: httpx2.AsyncClient, clock: MovableClock) -> Phone:
    """Anna's, set up from a browser in which she is signed in now."""
    return await set_up(anna_browser, clock)


@pytest.fixture
async def anna_portal(anna_browser: httpx2.AsyncClient, phone: Phone) -> Portal:
    return Portal(anna_browser, csrf_of(await anna_browser.get("/account")))


async def api_sign_in(client: httpx2.AsyncClient, second_factor: str | None = None, **changed: str) -> httpx2.Response:
    body = {"email": ANNA, "password": PASSWORD, "second_factor": second_factor} | changed
    return await client.post("/api/v1/sign-in", json=body)


async def tags(services: Services) -> list[EventTag]:
    async with services.database.reading() as session:
        return list(await session.scalars(select(Event.tag).order_by(Event.id)))


# Setting up


async def test_the_first_sign_in_sets_up_a_second_step_before_anything_else(
    database_kind: str, client: httpx2.AsyncClient, clock: MovableClock, outbox: Outbox, services: Services
) -> None:
    answer = await first_step(client)
    assert (answer.url.path, "Anna de Vries" in answer.text) == ("/account/second-factor", False)
    for path in ("/", "/sent", "/account", "/transfers/new", "/account/second-factor/codes"):
        assert (await client.get(path)).url.path == "/sign-in"
    assert (await client.get("/sign-in/second-factor")).url.path == "/account/second-factor"

    page = await client.get(APP)
    assert 'src="data:image/svg+xml;base64,' in page.text
    phone = Phone(secret_of(page), clock)
    form = {"csrf": csrf_of(page), "app_id": hidden(page, "app_id"), "sealed": hidden(page, "sealed"), "name": "Telefoon"}
    wrong = await client.post(APP, data=form | {"code": "000000" if phone.code() != "000000" else "000001"})
    assert (wrong.status_code, list(sentences(wrong)), secret_of(wrong)) == (422, ["code"], phone.secret)
    done = await client.post(APP, data=form | {"code": f"{phone.code()[:3]} {phone.code()[3:]}"})

    assert (done.status_code, len(set(codes_of(done)))) == (200, 10)
    assert (await client.get("/sent")).url.path == "/sent"
    assert "zegelpost-half" not in client.cookies
    assert [mail["subject"] for mail in await outbox.all(to=ANNA)] == ["Uw account is gewijzigd"]
    assert {EventTag.SECOND_FACTOR_ADDED, EventTag.RECOVERY_CODES_RENEWED, EventTag.SIGN_IN_SUCCEEDED} <= set(
        await tags(services)
    )


@pytest.mark.parametrize(
    ("wanted", "goes_on"),
    [("/addin/sign-in", "/addin/sign-in"), ("/sent?q=Rosa%20V", "/sent?q=Rosa%20V"), ("", "/"), ("//elders.example", "/")],
)
async def test_setting_up_goes_on_to_where_they_were_going(
    client: httpx2.AsyncClient, clock: MovableClock, wanted: str, goes_on: str
) -> None:
    await first_step(client, wanted="/elders")
    await first_step(client, wanted=wanted)
    page = await client.get(APP)
    form = {"csrf": csrf_of(page), "app_id": hidden(page, "app_id"), "sealed": hidden(page, "sealed"), "name": "Telefoon"}
    phone = Phone(secret_of(page), clock)
    done = await client.post(APP, data=form | {"code": phone.code()})
    button = re.search(r'class="zp-actions">\s*<a [^>]*href="([^"]*)"', done.text)
    assert button
    assert button.group(1) == goes_on
    assert "zegelpost-wanted" not in client.cookies


async def test_the_way_on_is_looked_at_again_when_it_comes_back(client: httpx2.AsyncClient, clock: MovableClock) -> None:
    await first_step(client, wanted="/sent")
    client.cookies.set("zegelpost-wanted", "https://elders.example/", domain="127.0.0.1", path="/")
    page = await client.get(APP)
    form = {"csrf": csrf_of(page), "app_id": hidden(page, "app_id"), "sealed": hidden(page, "sealed"), "name": "Telefoon"}
    done = await client.post(APP, data=form | {"code": Phone(secret_of(page), clock).code()})
    assert "elders.example" not in done.text


async def test_a_program_is_told_to_set_up_in_the_portal(client: httpx2.AsyncClient) -> None:
    answer = await api_sign_in(client, "123456")
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_not_set_up")
    assert (await api_sign_in(client, password="wrong")).json()["code"] == "sign_in_incorrect"


async def test_half_a_sign_in_ends_after_twenty_minutes(client: httpx2.AsyncClient, clock: MovableClock) -> None:
    await first_step(client)
    clock.forward(minutes=19, seconds=59)
    assert (await client.get(APP)).url.path == APP
    clock.forward(seconds=1)
    assert (await client.get(APP)).url.path == "/sign-in"


async def test_nobody_sets_up_an_app_in_anothers_place(app: Starlette, clock: MovableClock, services: Services) -> None:
    async with browser(app) as anna, browser(app) as mallory:
        await first_step(anna)
        await first_step(mallory, "mallory@zegelpost.example")
        of_anna, of_mallory = await anna.get(APP), await mallory.get(APP)
        code = Phone(secret_of(of_mallory), clock).code()
        form = {"csrf": csrf_of(of_anna), "name": "x", "code": code}
        for app_id, sealed in (
            (hidden(of_mallory, "app_id"), hidden(of_mallory, "sealed")),
            (hidden(of_anna, "app_id"), hidden(of_mallory, "sealed")),
            ("a" * 26, hidden(of_anna, "sealed")),
            ("x", "x"),
            (hidden(of_anna, "app_id"), "é"),
        ):
            answer = await anna.post(APP, data=form | {"app_id": app_id, "sealed": sealed})
            assert answer.status_code == 404
        async with services.database.reading() as session:
            assert list(await session.scalars(select(AuthenticatorApp))) == []


async def test_whoever_has_a_second_step_cannot_set_up_another_with_the_password_alone(
    database_kind: str, app: Starlette, client: httpx2.AsyncClient, clock: MovableClock, services: Services
) -> None:
    async with browser(app) as mallory:  # who has Anna's password, and was here before Anna set anything up
        await first_step(mallory)
        page = await mallory.get(APP)
        form = {"csrf": csrf_of(page), "app_id": hidden(page, "app_id"), "sealed": hidden(page, "sealed"), "name": "x"}
        await set_up(client, clock)

        code = Phone(secret_of(page), clock).code()
        assert (await mallory.post(APP, data=form | {"code": code})).url.path in {"/sign-in", "/sign-in/second-factor"}
        for path in (APP, "/account/second-factor", "/account/second-factor/passkey"):
            shown = await mallory.get(path)
            assert (shown.url.path, "sealed" in shown.text) == ("/sign-in/second-factor", False)
        assert (await mallory.get("/sent")).url.path == "/sign-in"
    async with services.database.reading() as session:
        assert len(list(await session.scalars(select(AuthenticatorApp)))) == 1


# Being asked


async def test_every_other_sign_in_asks_for_a_code(client: httpx2.AsyncClient, phone: Phone, services: Services) -> None:
    asked = await first_step(client, wanted="/sent")
    assert (asked.url.path, asked.url.query) == ("/sign-in/second-factor", b"next=/sent")
    assert "Anna de Vries" not in asked.text
    assert "data-passkey" not in asked.text  # she has none

    form = {"csrf": csrf_of(asked), "next": "/sent"}
    wrong = await client.post("/sign-in/second-factor", data=form | {"code": "12345"})
    assert (wrong.status_code, REFUSED in words(wrong)) == (401, True)
    done = await client.post("/sign-in/second-factor", data=form | {"code": phone.code()})

    assert (done.url.path, "Anna de Vries" in done.text) == ("/sent", True)
    assert EventTag.SECOND_FACTOR_FAILED in await tags(services)


@pytest.mark.parametrize("steps", [-1, 0, 1])
async def test_a_clock_may_be_half_a_minute_off(
    client: httpx2.AsyncClient, phone: Phone, clock: MovableClock, steps: int
) -> None:
    clock.forward(minutes=5)
    assert (await api_sign_in(client, phone.code(steps=steps))).status_code == 200


@pytest.mark.parametrize("steps", [-2, 2])
async def test_and_no_more(client: httpx2.AsyncClient, phone: Phone, clock: MovableClock, steps: int) -> None:
    clock.forward(minutes=5)
    assert (await api_sign_in(client, phone.code(steps=steps))).status_code == 401


async def test_a_code_works_once_whatever_the_process(
    database_kind: str,
    client: httpx2.AsyncClient,
    phone: Phone,
    clock: MovableClock,
    settings: Settings,
    policy: Policy,
) -> None:
    other = build_services(settings, clock=clock, policy=policy)
    async with browser(build_app(other, has_worker=False)) as elsewhere:
        used, before = phone.code(), phone.code(steps=-1)
        assert (await api_sign_in(client, used)).status_code == 200
        for who, code in ((client, used), (elsewhere, used), (elsewhere, before)):
            assert (await api_sign_in(who, code)).json()["code"] == "second_factor_incorrect"
        await first_step(elsewhere)
        assert REFUSED in words(await second_step(elsewhere, used))
        clock.forward(seconds=30)
        assert (await second_step(elsewhere, phone.code())).url.path == "/"
    await other.database.close()


async def test_the_code_of_setting_up_is_used_too(client: httpx2.AsyncClient, phone: Phone, clock: MovableClock) -> None:
    clock.forward(seconds=-30)
    assert (await api_sign_in(client, phone.code())).status_code == 401


async def test_guessing_is_limited_for_all_processes_together(
    database_kind: str,
    app: Starlette,
    phone: Phone,
    clock: MovableClock,
    settings: Settings,
    policy: Policy,
) -> None:
    other = build_services(settings, clock=clock, policy=policy)
    apps = (app, build_app(other, has_worker=False))

    async def guess(number: int, code: str) -> int:
        async with browser(apps[number % 2]) as client:
            if number % 3:
                return (await api_sign_in(client, code)).status_code
            await first_step(client)  # a new browser each time: nothing to start anew with
            return (await second_step(client, code)).status_code

    for _ in range(4):
        assert [await guess(n, "12345") for n in range(5)] == [401] * 5
        assert [await guess(n, phone.code()) for n in range(3)] == [429] * 3
        clock.forward(minutes=15)
    assert await guess(1, phone.code()) == 429  # twenty in a day
    clock.forward(hours=23)
    assert await guess(1, phone.code()) == 200
    await other.database.close()


async def test_a_program_is_asked_for_a_second_factor(client: httpx2.AsyncClient, phone: Phone) -> None:
    for missing in (None, ""):
        answer = await api_sign_in(client, missing)
        assert (answer.status_code, answer.json()["code"]) == (401, "second_factor_required")
    assert (await api_sign_in(client, phone.code(), password="wrong")).json()["code"] == "sign_in_incorrect"
    answer = await api_sign_in(client, phone.code())
    assert answer.status_code == 200
    me = await client.get("/api/v1/me", headers={"Authorization": f"Bearer {answer.json()['access_token']}"})
    assert me.json()["email"] == ANNA


async def test_anothers_code_is_no_code(client: httpx2.AsyncClient, phone: Phone, app: Starlette, clock: MovableClock) -> None:
    async with browser(app) as elsewhere:
        of_bram = await set_up(elsewhere, clock, BRAM)
    assert (await api_sign_in(client, of_bram.code())).status_code == 401
    assert (await api_sign_in(client, of_bram.recovery_codes[0])).status_code == 401
    assert (await api_sign_in(client, of_bram.recovery_codes[0], email=BRAM)).status_code == 200


# Recovery codes


async def test_a_recovery_code_works_once(
    database_kind: str, client: httpx2.AsyncClient, phone: Phone, anna_portal: Portal
) -> None:
    first, second = phone.recovery_codes[:2]
    assert (await api_sign_in(client, first)).status_code == 200
    assert (await api_sign_in(client, first)).status_code == 401
    await first_step(client)
    assert (await second_step(client, f" {second.upper().replace('-', ' ')} ")).url.path == "/"
    assert "You have 8 recovery codes left." in words(await anna_portal.client.get("/account"))


async def test_new_recovery_codes_replace_the_old_ones(
    client: httpx2.AsyncClient, phone: Phone, anna_portal: Portal, outbox: Outbox
) -> None:
    path = "/account/second-factor/codes"
    assert codes_of(await anna_portal.press(path, password="wrong")) == []
    renewed = codes_of(await anna_portal.press(path, password=PASSWORD))

    assert (len(renewed), set(renewed) & set(phone.recovery_codes)) == (10, set())
    assert (await api_sign_in(client, phone.recovery_codes[0])).status_code == 401
    assert (await api_sign_in(client, renewed[0])).status_code == 200
    assert not codes_of(await anna_portal.client.get(path))
    assert len(await outbox.all(to=ANNA)) == 2


# Adding and removing


async def test_adding_another_asks_the_password_and_both_work(
    client: httpx2.AsyncClient, anna_portal: Portal, phone: Phone, clock: MovableClock, outbox: Outbox
) -> None:
    page = await anna_portal.client.get(APP)
    tablet = Phone(secret_of(page), clock)
    form = {"app_id": hidden(page, "app_id"), "sealed": hidden(page, "sealed"), "name": "Tablet <b>"}
    assert list(sentences(await anna_portal.press(APP, **form, code=tablet.code(), password="wrong"))) == ["password"]
    assert list(sentences(await anna_portal.press(APP, **form | {"name": " "}, code=tablet.code(), password=PASSWORD))) == [
        "name"
    ]
    added = await anna_portal.press(APP, **form, code=tablet.code(), password=PASSWORD)

    assert (added.url.path, codes_of(added)) == ("/account", [])
    assert "Tablet &lt;b&gt;" in added.text
    assert (await anna_portal.press(APP, **form, code=tablet.code(), password=PASSWORD)).status_code == 404  # sent twice
    clock.forward(minutes=1)
    for device in (phone, tablet):
        assert (await api_sign_in(client, device.code())).status_code == 200
    assert (await api_sign_in(client, phone.recovery_codes[3])).status_code == 200
    mails = await outbox.all(to=ANNA)
    assert (len(mails), "Tablet <b>" in mails[-1]["text"]) == (2, True)


async def test_the_last_one_stays_as_long_as_one_is_asked_for(anna_portal: Portal, phone: Phone, services: Services) -> None:
    page = await anna_portal.client.get("/account")
    [path] = re.findall(r'href="(/account/second-factor/[a-z2-7]{26}/remove)"', page.text)
    refused = await anna_portal.press(path, password=PASSWORD)

    assert (refused.status_code, "You need a second step." in words(refused)) == (409, True)
    assert EventTag.SECOND_FACTOR_REMOVED not in await tags(services)


async def test_one_of_two_is_removed_and_its_owner_told(
    client: httpx2.AsyncClient, anna_portal: Portal, phone: Phone, clock: MovableClock, outbox: Outbox, services: Services
) -> None:
    page = await anna_portal.client.get(APP)
    form = {"app_id": hidden(page, "app_id"), "sealed": hidden(page, "sealed"), "name": "Tablet"}
    await anna_portal.press(APP, **form, code=Phone(secret_of(page), clock).code(), password=PASSWORD)
    account = await anna_portal.client.get("/account")
    old = re.findall(r'href="(/account/second-factor/[a-z2-7]{26}/remove)"', account.text)[0]
    assert "You can no longer use Telefoon to sign in." in words(await anna_portal.client.get(old))
    assert list(sentences(await anna_portal.press(old, password="wrong"))) == ["password"]

    removed = await anna_portal.press(old, password=PASSWORD)

    assert (removed.url.path, "Telefoon" in words(removed)) == ("/account", False)
    clock.forward(minutes=1)
    assert (await api_sign_in(client, phone.code())).status_code == 401
    assert "Telefoon" in (await outbox.all(to=ANNA))[-1]["text"]
    assert (await tags(services)).count(EventTag.SECOND_FACTOR_REMOVED) == 1


async def test_nobody_removes_anothers(
    app: Starlette, anna_portal: Portal, clock: MovableClock, client: httpx2.AsyncClient
) -> None:
    account = await anna_portal.client.get("/account")
    [of_anna] = re.findall(r"/account/second-factor/([a-z2-7]{26})/remove", account.text)
    async with browser(app) as mallory:
        await set_up(mallory, clock, "mallory@zegelpost.example")
        csrf = csrf_of(await mallory.get("/account"))
        answers = []
        for identifier in (of_anna, "a" * 26, "x"):
            for method in ("GET", "POST"):
                answer = await mallory.request(
                    method,
                    f"/account/second-factor/{identifier}/remove",
                    data={"csrf": csrf, "password": PASSWORD} if method == "POST" else None,
                )
                answers.append((answer.status_code, words(answer)))
        assert answers == [answers[0]] * 6
        assert answers[0][0] == 404
    assert of_anna in (await anna_portal.client.get("/account")).text


@pytest.mark.parametrize(
    "answer", ["", "x", "{}", "[]", '{"id":1}', '{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{}}', "\x00é"]
)
async def test_no_passkey_answer_that_is_made_up_gets_anyone_in(
    app: Starlette, client: httpx2.AsyncClient, anna_portal: Portal, phone: Phone, answer: str
) -> None:
    base = "/account/second-factor/passkey"
    question = await anna_portal.press(f"{base}/question")
    assert question.json()["rp"]["id"] == "127.0.0.1"
    for _ in range(2):  # with a question, and with none any more
        made = await anna_portal.press(base, name="x", password=PASSWORD, answer=answer)
        assert (made.status_code, "The passkey did not work." in words(made)) == (422, True)

    csrf = csrf_of(await first_step(client))
    assert (await client.post("/sign-in/passkey/question", data={"csrf": csrf})).json()["allowCredentials"] == []
    for _ in range(2):
        shown = await client.post("/sign-in/passkey", data={"csrf": csrf, "answer": answer})
        assert (shown.status_code, "The passkey did not work." in words(shown)) == (422, True)
    assert (await client.get("/sent")).url.path == "/sign-in"


async def test_the_second_step_takes_forms_of_its_own_pages_only(
    app: Starlette, client: httpx2.AsyncClient, phone: Phone
) -> None:
    mine = csrf_of(await first_step(client))
    async with browser(app) as other:
        await first_step(other)
        for path in ("/sign-in/second-factor", "/sign-in/passkey", "/sign-in/passkey/question"):
            for csrf in ("", mine, "é"):
                answer = await other.post(path, data={"csrf": csrf, "code": phone.code()})
                assert (path, csrf, answer.status_code) == (path, csrf, 403)
        assert (await other.get("/sent")).url.path == "/sign-in"


async def test_a_new_password_ends_half_sign_ins_and_keeps_the_second_step(
    app: Starlette, client: httpx2.AsyncClient, phone: Phone, outbox: Outbox
) -> None:
    async with browser(app) as mallory:  # knows the old password
        page = await first_step(mallory)
        await client.post("/account/forgot", data={"email": ANNA})
        found = re.search(r"(/account/reset/\S+)", (await outbox.all(to=ANNA))[-1]["text"])
        assert found
        await client.post(found.group(1), data={"new_password": "paarse fiets onder de brug"})

        tried = await mallory.post("/sign-in/second-factor", data={"csrf": csrf_of(page), "code": phone.code()})
        assert tried.url.path == "/sign-in"
    asked = await client.post("/sign-in", data={"email": ANNA, "password": "paarse fiets onder de brug"})
    assert asked.url.path == "/sign-in/second-factor"
    assert (await second_step(client, phone.code())).url.path == "/"


async def test_setting_up_works_right_after_opening_an_account(client: httpx2.AsyncClient, outbox: Outbox) -> None:
    form = {"name": "Eve Smit", "email": "eve@zegelpost.example", "password": "paarse fiets onder de brug"}
    await client.post("/account/new", data=form)
    found = re.search(r"(/account/confirm/\S+)", (await outbox.all(to=form["email"]))[-1]["text"])
    assert found
    opened = await client.post(found.group(1), data={"password": form["password"]})
    assert opened.url.path == "/account/second-factor"
    assert (await client.get(APP)).url.path == APP


# The policy, and a stolen disk


def test_a_demonstration_asks_for_none_and_every_other_installation_does(tmp_path: Path) -> None:
    demo = {"ZEGELPOST_DEMO": "1", "ZEGELPOST_BASE_URL": "http://127.0.0.1:8000", "ZEGELPOST_DATA_DIR": str(tmp_path / "demo")}
    real = {
        "ZEGELPOST_BASE_URL": "https://post.example.nl",
        "ZEGELPOST_DATA_DIR": str(tmp_path / "real"),
        "ZEGELPOST_SMTP_URL": "smtp://127.0.0.1:1",
        "ZEGELPOST_SMS_URL": "twilio://SK1:secret@AC1?from=x",
        "ZEGELPOST_MAIL_FROM": "post@example.nl",
        "ZEGELPOST_STAFF_DOMAINS": "zegelpost.example",
    }
    asked = [build_services(Settings.from_environment(settings)).policy.requires_second_factor for settings in (demo, real)]
    assert asked == [False, True]


async def test_no_secret_of_an_account_lies_readable_on_the_disk_or_in_a_log(
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    client: httpx2.AsyncClient,
    phone: Phone,
    anna_portal: Portal,
    outbox: Outbox,
    services: Services,
    settings: Settings,
) -> None:
    caplog.set_level("INFO")
    password = "kanariegeel fluit op dinsdag"
    await client.post("/account/new", data={"name": "Eve Smit", "email": "eve@zegelpost.example", "password": password})
    await client.post("/account/forgot", data={"email": ANNA})
    links = [
        found.group(1)
        for mail in await outbox.all(kind="mail")
        if (found := re.search(r"/account/(?:confirm|reset)/(\S+)", mail["text"]))
    ]
    assert len(links) == 2
    await client.get(f"/account/confirm/{links[0]}")
    await client.post(f"/account/confirm/{links[0]}", data={"password": "wrong"})
    await api_sign_in(client, phone.code())
    await api_sign_in(client, phone.recovery_codes[0])
    cookies = [cookie.value for browser in (client, anna_portal.client) for cookie in browser.cookies.jar if cookie.value]

    needles = [password, PASSWORD, phone.secret, *links, *phone.recovery_codes, *cookies]
    needles += [code.replace("-", "") for code in phone.recovery_codes]
    stored = {path: path.read_bytes() for path in settings.data_dir.parent.rglob("*") if path.is_file()}
    assert any(path.name == "database.sqlite3" for path in stored)
    for path, content in stored.items():
        for needle in needles:
            assert needle.encode() not in content, (path, needle)
    written = "".join(str(record.__dict__) for record in caplog.records if record.name != "httpx2") + "".join(capsys.readouterr())
    for needle in needles:
        assert needle not in written
    async with services.database.reading() as session:
        digests = list(await session.scalars(select(RecoveryCode.digest)))
    assert (len(digests), {len(digest) for digest in digests}) == (10, {32})
