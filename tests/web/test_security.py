"""What Mallory tries: other sites, other hosts, other people's identifiers, guessed passwords, and a stolen disk."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import re
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
import structlog
from sqlalchemy import select, text
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from tests.conftest import PASSWORD, MovableClock, Outbox, Portal, browser
from tests.web.acts import BRAM, DOCUMENT, ROSA, SAM, Row, draft, form_of, open_link, recognise, send, words

from zegelpost.main import Services, build_app, build_services
from zegelpost.model.base import Base
from zegelpost.model.policy import Policy
from zegelpost.model.staff_user import SignInAttempt
from zegelpost.settings import Settings

ANNA = "anna@zegelpost.example"
OURS = "http://127.0.0.1:8000"


@pytest.fixture
async def mallory_portal(app: Starlette) -> AsyncIterator[Portal]:
    async with browser(app) as client:
        portal = Portal(client)
        await portal.sign_in("mallory@zegelpost.example")
        yield portal


# Other sites


ORIGINS: list[tuple[dict[str, str], bool]] = [
    ({}, True),
    ({"Origin": OURS}, True),
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "none"}, True),
    ({"Sec-Fetch-Site": "same-origin", "Origin": OURS}, True),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "cross-site", "Origin": OURS}, False),
    ({"Sec-Fetch-Site": "SAME-ORIGIN"}, False),
    ({"Origin": "https://evil.example"}, False),
    ({"Origin": "null"}, False),
    ({"Origin": "http://127.0.0.1:8001"}, False),
    ({"Origin": "https://127.0.0.1:8000"}, False),
    ({"Origin": "http://127.0.0.1:8000.evil.example"}, False),
]


async def test_another_site_makes_a_browser_do_nothing(anna: httpx2.AsyncClient, anna_portal: Portal, outbox: Outbox) -> None:
    client, csrf = anna_portal.client, {"csrf": anna_portal.csrf}
    sent = 0
    for headers, is_ours in ORIGINS:
        transfer_id = await draft(anna_portal, ROSA)
        tried = {
            "form": await client.post("/transfers", data=form_of(ROSA) | csrf, headers=headers),
            "sign in": await client.post("/sign-in", data={"email": f"{len(headers)}{sent}", "password": "y"}, headers=headers),
            "open": await client.post(f"/o/{'a' * 26}/help", headers=headers),
            "upload": await client.post("/uploads", headers=headers),
            "cancel": await client.delete(f"/uploads/{'a' * 26}", headers=headers),
            "send": await client.post(f"/transfers/{transfer_id}/send", data=csrf, headers=headers),
            "ask": await client.options("/uploads", headers=headers),
            "look": await client.get("/", headers=headers),
            # A program shows its token and has no cookies to ride on.
            "program": await anna.get("/api/v1/me", headers=headers),
        }

        refused = {name for name, answer in tried.items() if answer.status_code == 403}
        assert (headers, refused) == (headers, set() if is_ours else {"form", "sign in", "open", "upload", "cancel", "send"})
        sent += is_ours
        assert len(await outbox.all(to=ROSA.email)) == sent


async def test_a_form_without_the_token_of_this_very_sign_in_does_nothing(
    app: Starlette, anna_portal: Portal, mallory_portal: Portal, outbox: Outbox
) -> None:
    transfer_id = await draft(anna_portal, ROSA)
    page = await anna_portal.client.get(f"/transfers/{transfer_id}/check")
    assert anna_portal.csrf in page.text
    for csrf in ("", "x", "é", mallory_portal.csrf, anna_portal.csrf[:-1]):
        for path in (f"/transfers/{transfer_id}/send", "/transfers", "/sign-out"):
            answer = await anna_portal.client.post(path, data=form_of(ROSA) | {"csrf": csrf})
            assert (csrf, path, answer.status_code) == (csrf, path, 403)
        upload = await anna_portal.client.post(
            f"/transfers/{transfer_id}/documents", data={"csrf": csrf}, files={"documents": ("a.pdf", DOCUMENT)}
        )
        assert "another website" in upload.text
    no_token = await anna_portal.client.post(f"/transfers/{transfer_id}/documents", files={"documents": ("a.pdf", DOCUMENT)})
    assert "another website" in no_token.text

    assert not await outbox.all()
    assert "a.pdf" not in (await anna_portal.client.get(f"/transfers/{transfer_id}/documents")).text


# Cookies, hosts, addresses


class TestBehindTls:
    """An installation as it runs: https, and two proxies of our own in front."""

    @pytest.fixture
    def settings(self, tmp_path: Path, database_url: str) -> Settings:
        return Settings.from_environment(
            {
                "ZEGELPOST_BASE_URL": "https://post.example.nl",
                "ZEGELPOST_DATA_DIR": str(tmp_path / "data"),
                "ZEGELPOST_DATABASE_URL": database_url,
                "ZEGELPOST_SMTP_URL": "smtp://127.0.0.1:1",
                "ZEGELPOST_SMS_URL": "twilio://SK1:secret@AC1?from=x",
                "ZEGELPOST_MAIL_FROM": "post@example.nl",
                "ZEGELPOST_STAFF_DOMAINS": "zegelpost.example",
                "ZEGELPOST_TRUSTED_PROXIES": "10.0.0.0/8, 2001:db8::/32",
            }
        )

    def client(self, app: Starlette, address: str = "203.0.113.9") -> httpx2.AsyncClient:
        transport = httpx2.ASGITransport(app=app, client=(address, 1))
        return httpx2.AsyncClient(transport=transport, base_url="https://post.example.nl")

    async def test_cookies_are_for_this_host_over_tls_and_not_for_scripts(self, app: Starlette) -> None:
        async with self.client(app) as client:
            signed = await client.post("/sign-in", data={"email": ANNA, "password": PASSWORD})
            chosen = await client.get("/sign-in?language=en")

        [staff] = signed.headers.get_list("set-cookie")
        assert staff.startswith("__Host-zegelpost-staff=")
        flags = {flag.strip().lower() for flag in staff.split(";")[1:]}
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= flags
        assert not any(flag.startswith("domain") for flag in flags)
        [language] = chosen.headers.get_list("set-cookie")
        assert {"secure", "httponly", "samesite=lax"} <= {flag.strip().lower() for flag in language.split(";")}
        assert signed.headers["strict-transport-security"] == "max-age=63072000; includeSubDomains"
        assert not (await self.client(app).get("/demo/outbox.json")).is_success

    @pytest.mark.parametrize(
        ("peer", "forwarded", "counted"),
        [
            ("203.0.113.9", None, "203.0.113.9"),
            ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # no proxy of ours says so
            ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "192.0.2.66, 198.51.100.1", "198.51.100.1"),  # what stands left was written by anyone
            ("10.0.0.1", "192.0.2.66, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
            ("10.0.0.1", "10.1.1.1", "10.1.1.1"),
            ("2001:db8::1", "2001:db9::7", "2001:db9::"),
        ],
    )
    async def test_an_address_is_believed_from_our_own_proxies_only(
        self, app: Starlette, services: Services, peer: str, forwarded: str | None, counted: str
    ) -> None:
        headers = {"X-Forwarded-For": forwarded} if forwarded else {}
        async with self.client(app, peer) as client:
            await client.post("/sign-in", data={"email": "nobody@x.nl", "password": "y"}, headers=headers)

        async with services.database.reading() as session:
            keys = set(await session.scalars(select(SignInAttempt.key)))
        prefix = 64 if ":" in counted else 32
        assert hashlib.sha256(f"network\x00{counted}/{prefix}".encode()).digest() in keys

    @pytest.mark.parametrize(
        ("host", "status"),
        [
            ("post.example.nl", 200),
            ("POST.example.nl", 200),
            ("evil.example", 421),
            ("post.example.nl.evil.example", 421),
            ("post.example.nl:8443", 421),
            ("post.example.nl@evil.example", 421),
            ("127.0.0.1", 421),
            ("", 421),
        ],
    )
    async def test_answers_to_its_own_host_only(self, app: Starlette, host: str, status: int) -> None:
        async with self.client(app) as client:
            answer = await client.get("/sign-in", headers={"Host": host})

        assert answer.status_code == status
        assert "evil.example" not in answer.text


async def test_links_come_from_the_configuration_whatever_a_request_says(anna_portal: Portal, outbox: Outbox) -> None:
    anna_portal.client.headers |= {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "Forwarded": "host=evil.example",
        "X-Original-URL": "/admin",
    }
    await send(anna_portal, ROSA, BRAM)

    for mail in await outbox.all():
        assert "evil.example" not in mail["text"] + mail["html"]
        assert OURS in mail["text"]


@pytest.mark.parametrize(
    ("wanted", "arrived"),
    [
        ("", "/"),
        ("/sent", "/sent"),
        ("/sent?page=2", "/sent?page=2"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("\\\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\n/evil.example", "/"),
        ("\t//evil.example", "/"),
        (" //evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("evil.example", "/"),
        ("/sent\r\nSet-Cookie: x=1", "/"),
        ("/é", "/"),
    ],
)
async def test_signing_in_goes_to_a_page_of_ours(app: Starlette, wanted: str, arrived: str) -> None:
    async with browser(app) as client:
        client.follow_redirects = False
        answer = await client.post("/sign-in", data={"email": ANNA, "password": PASSWORD, "next": wanted})

    assert (answer.status_code, answer.headers["location"]) == (303, arrived)
    assert len(answer.headers.get_list("set-cookie")) == 1


# Signing in


async def test_an_unknown_address_and_a_wrong_password_get_the_same_answer(database_kind: str, app: Starlette) -> None:
    answers = []
    async with browser(app) as client:
        for email in (ANNA, "nobody@zegelpost.example", "x" * 300, "a\x00b", ""):
            answer = await client.post("/sign-in", data={"email": email, "password": "wrong"})
            answers.append((answer.status_code, words(answer), sorted(answer.headers)))

    assert answers == [answers[0]] * len(answers)
    assert answers[0][0] == 401
    assert "The e-mail address or the password is wrong." in answers[0][1]


async def test_guessing_slows_down_for_all_processes_together(
    database_kind: str, app: Starlette, services: Services, settings: Settings, clock: MovableClock, policy: Policy
) -> None:
    other = build_services(settings, clock=clock, policy=policy)
    apps = (app, build_app(other, has_worker=False))

    async def guess(number: int, password: str = "wrong") -> int:
        async with browser(apps[number % 2]) as client:
            client.follow_redirects = False
            return (await client.post("/sign-in", data={"email": ANNA, "password": password})).status_code

    assert [await guess(n) for n in range(5)] == [401] * 5
    assert await guess(0, PASSWORD) == 303  # being right forgets the slips before it
    assert [await guess(n) for n in range(10)] == [401] * 10
    assert [await guess(n, PASSWORD) for n in range(2)] == [429, 429]
    clock.forward(minutes=15)
    assert await guess(1, PASSWORD) == 303
    await other.database.close()


async def test_many_guesses_at_once_count_as_many(app: Starlette) -> None:
    async with browser(app) as client:
        answers = await asyncio.gather(*(client.post("/sign-in", data={"email": ANNA, "password": "wrong"}) for _ in range(25)))

    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(401), statuses.count(429)) == (10, 15)


async def test_signing_out_ends_the_token_in_every_process(
    app: Starlette, settings: Settings, clock: MovableClock, policy: Policy, anna_portal: Portal
) -> None:
    other = build_services(settings, clock=clock, policy=policy)
    stolen = anna_portal.client.cookies["zegelpost-staff"]
    async with browser(build_app(other, has_worker=False)) as elsewhere:
        elsewhere.cookies.set("zegelpost-staff", stolen, domain="127.0.0.1")
        assert "Anna de Vries" in (await elsewhere.get("/")).text

        await anna_portal.press("/sign-out")

        answer = await elsewhere.get("/")
        assert (answer.url.path, "Anna de Vries" in answer.text) == ("/sign-in", False)
    await other.database.close()


@pytest.mark.parametrize(("hours", "is_in"), [([1.9], True), ([2], False), ([1.9] * 6, True), ([1.9] * 6 + [0.7], False)])
async def test_a_sign_in_ends_after_two_hours_idle_and_after_twelve(
    anna_portal: Portal, clock: MovableClock, hours: list[float], is_in: bool
) -> None:
    for length in hours:
        clock.forward(hours=length)
        answer = await anna_portal.client.get("/sent")

    assert (answer.url.path == "/sent") is is_in


async def test_a_token_of_a_browser_is_none_of_a_program_and_the_reverse(
    app: Starlette, anna: httpx2.AsyncClient, anna_portal: Portal
) -> None:
    async with browser(app) as program:
        token = anna_portal.client.cookies["zegelpost-staff"]
        answer = await program.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401
        cookie_only = await anna_portal.client.get("/api/v1/me")
        assert cookie_only.status_code == 401

        program.cookies.set("zegelpost-staff", anna.headers["Authorization"].removeprefix("Bearer "), domain="127.0.0.1")
        assert (await program.get("/")).url.path == "/sign-in"


# Headers, methods, identifiers

HEADERS = {
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "permissions-policy",
    "x-frame-options",
    "cache-control",
}


async def test_no_answer_goes_without_its_headers(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    transfer_id = await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT})
    async with browser(app) as rosa:
        path = await open_link(rosa, outbox)
        [document] = re.findall(rf'href="({path}/documents/[a-z2-7]+)"', (await rosa.get(f"{path}/transfer")).text)
        answers = [await rosa.get(f"{path}/transfer"), await rosa.get(document), await rosa.get(f"{path}/archive.zip")]
        answers.append(await recognise(rosa, (path, "a" * 32)))
        answers.append(await rosa.get("/", headers={"Host": "evil.example"}))
        answers.append(await rosa.post("/transfers", headers={"Origin": "https://evil.example"}))
        answers.append(await rosa.post("/transfers", content=b"x" * (1024 * 1024 + 1)))
        answers.append(await rosa.request("BREW", "/"))
    pages = ["/", "/sent", f"/transfers/{transfer_id}", "/nowhere", "/sign-in", "/static/nothing.css", "/api/v1/me", "/healthz"]
    answers += [await anna_portal.client.get(page) for page in pages]

    for answer in answers:
        missing = HEADERS - set(answer.headers)
        assert (str(answer.url), answer.status_code, missing) == (str(answer.url), answer.status_code, set())
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "no-store" in answer.headers["cache-control"]
    assert {answer.status_code for answer in answers} >= {200, 401, 403, 404, 405, 413, 421}


async def test_every_route_says_which_methods_it_takes(app: Starlette) -> None:
    for route in app.routes:
        if isinstance(route, Mount):
            assert route.path == "/static"
            continue
        assert isinstance(route, Route)
        assert route.methods, route.path
        assert route.methods <= {"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"}


async def test_mallory_cannot_tell_anothers_identifier_from_none(
    app: Starlette, anna_portal: Portal, mallory_portal: Portal, outbox: Outbox
) -> None:
    transfer_id = await send(anna_portal, ROSA, BRAM, documents={"a.pdf": DOCUMENT})
    page = await anna_portal.client.get(f"/transfers/{transfer_id}")
    recipient_id = re.findall(r"/recipients/([a-z2-7]{26})/", page.text)[0]
    async with browser(app) as rosa:
        path = await open_link(rosa, outbox)
        [document_id] = re.findall(r"/documents/([a-z2-7]{26})", (await rosa.get(f"{path}/transfer")).text)
    other_draft = await draft(anna_portal, ROSA, documents={"b.pdf": DOCUMENT})
    shown = await anna_portal.client.get(f"/transfers/{other_draft}/documents")
    upload_id = re.findall(r"/documents/([a-z2-7]{26})/remove", shown.text)[0]
    mine = await send(mallory_portal, SAM)
    sent = len(await outbox.all())
    real = {"transfer_id": transfer_id, "recipient_id": recipient_id, "document_id": document_id, "upload_id": upload_id}
    absent = dict.fromkeys(real, "a" * 26)

    async def ask(method: str, route: str, identifiers: dict[str, str]) -> tuple[int, str]:
        address = re.sub(r"{(\w+)}", lambda name: identifiers[name.group(1)], route)
        form = {**form_of(ROSA), "csrf": mallory_portal.csrf, "days": "100"}
        data = form if method == "POST" else None
        answer = await mallory_portal.client.request(method, address, data=data, follow_redirects=False)
        page = answer.text
        for value in identifiers.values():
            page = page.replace(value, "")
        return answer.status_code, page

    walked = 0
    for route in app.routes:
        if not isinstance(route, Route) or not re.match(r"/(transfers|received|uploads)/.*{", route.path):
            continue
        for method in sorted((route.methods or set()) - {"HEAD", "OPTIONS"}):
            if route.path.endswith("/documents") and method == "POST":
                continue  # takes a file; proven with uploads
            walked += 1
            expected = await ask(method, route.path, absent)
            for identifiers in (real, {**real, "transfer_id": other_draft}):
                assert (route.path, method, await ask(method, route.path, identifiers)) == (route.path, method, expected)
            assert expected[0] in {404, 412}, (route.path, method, expected)
            if "{recipient_id}" in route.path:  # Anna's recipient under a transfer of Mallory's own
                swapped = await ask(method, route.path, {**real, "transfer_id": mine})
                assert "This page does not exist, or it is not for you." in swapped[1]
    assert walked >= 18
    assert len(await outbox.all()) == sent
    assert "Withdrawn" not in words(await anna_portal.client.get(f"/transfers/{transfer_id}"))


# A stolen disk

CANARY = "kanariegeel"


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Everything that is logged, by us and by the libraries."""
    caught: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name != "httpx2":  # the tests' own browsers
                caught.append(f"{record.name} {record.getMessage()} {record.__dict__}")

    def keep(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        caught.append(repr(event))
        if isinstance(error := event.get("exc_info"), BaseException):
            caught.extend(traceback.format_exception(error))
        raise structlog.DropEvent

    before, level, handler = structlog.get_config(), logging.root.level, Keep()
    structlog.configure(processors=[keep])
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.INFO)
    yield caught
    logging.root.removeHandler(handler)
    logging.root.setLevel(level)
    structlog.configure(**before)


async def test_nothing_of_what_people_sent_lies_readable_on_the_disk_or_in_a_log(
    lines: list[str],
    app: Starlette,
    services: Services,
    settings: Settings,
    anna_portal: Portal,
    outbox: Outbox,
    clock: MovableClock,
) -> None:
    typed = {
        "subject": f"{CANARY}-onderwerp",
        "reference": f"{CANARY}-kenmerk",
        "note": f"{CANARY}-tekst",
    }
    row = Row(f"Rosa {CANARY}", f"{CANARY}@zorg.example", "06 12 34 56 78", "+31612345678")
    content = b"%PDF-1.7\n" + f"{CANARY}-inhoud ".encode() * 5000
    kees = Row(f"Kees {CANARY}", f"{CANARY}-kees@zorg.example")
    coded = {"recipient-1-method": "access_code", "recipient-1-access_code": f"{CANARY}-code", "recipient-1-hint": f"{CANARY}-"}
    transfer_id = await send(anna_portal, row, kees, documents={f"{CANARY}-naam.pdf": content}, **typed, **coded)
    stored_before = {path: path.read_bytes() for path in settings.data_dir.parent.rglob("*") if path.is_file()}
    async with browser(app) as rosa:
        path, secret = await outbox.link(row.email)
        await open_link(rosa, outbox, row, remembers=True)
        assert any("device" in name for name in rosa.cookies)
        code = await outbox.code(row.number)
        shown = await rosa.get(f"{path}/transfer")
        assert f"{CANARY}-tekst" in shown.text
        [document] = re.findall(rf'href="({path}/documents/[a-z2-7]+)"', shown.text)
        assert (await rosa.get(document)).content == content
        await rosa.get(f"{path}%23{secret}")
        clock.forward(minutes=1)
        await rosa.post(f"{path}/code")
        cookies = [cookie.value for cookie in rosa.cookies.jar]
    await anna_portal.press(f"/transfers/{transfer_id}/extend", days="100")
    await anna_portal.press("/transfers", **form_of(row, subject=f"{CANARY}" * 40))
    await outbox.deliver()
    stored_after = {path: path.read_bytes() for path in settings.data_dir.parent.rglob("*") if path.is_file()}

    staff = [anna_portal.client.cookies["zegelpost-staff"], anna_portal.csrf]
    plain = [CANARY, "612345678", *[value for value in cookies if value], *staff, PASSWORD]
    secrets = [secret, "-".join(secret[i : i + 4] for i in range(0, 32, 4)), path]
    needles = [needle.encode() for needle in (*plain, *secrets[:2])] + [content[:64], base64.b32decode(secret.upper())]
    for stored in (stored_before, stored_after):
        assert {path.name for path in stored} >= {"database.sqlite3", "database.sqlite3-wal"}
        assert any("blobs" in path.parts for path in stored)
        assert any("keys" in path.parts for path in stored)
        for file, held in stored.items():
            for needle in needles:
                assert needle not in held, (file, needle)
    for line in lines:
        for word in (*plain, *secrets, code):
            assert word not in line, line
    async with services.database.reading() as session:
        for table in Base.metadata.sorted_tables:
            for held_row in (await session.execute(text(f'SELECT * FROM "{table.name}"'))).all():
                assert code not in [str(value) for value in held_row]
                for value in held_row:
                    assert not isinstance(value, bytes) or code.encode() not in value


async def test_an_error_of_ours_is_a_page_with_its_headers_and_logs_nothing_that_was_typed(
    lines: list[str], app: Starlette, services: Services
) -> None:
    async with services.database.work() as session:
        await session.execute(text("ALTER TABLE staff_user RENAME TO somewhere_else"))
    async with browser(app) as client:
        answer = await client.post("/sign-in", data={"email": f"{CANARY}@zegelpost.example", "password": CANARY})

    assert (answer.status_code, "Something does not work on our side." in words(answer)) == (500, True)
    assert set(answer.headers) >= HEADERS
    assert "staff_user" not in answer.text
    assert any("staff_user" in line for line in lines)  # whoever mends it knows where to look
    assert not [line for line in lines if CANARY in line]
