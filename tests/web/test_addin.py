"""What the server gives to Outlook: pages that may be framed, the guard with its facts, and a sign-in that is handed over."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace

import httpx2
import pytest
from sqlalchemy import func, select, update
from starlette.applications import Starlette
from starlette.routing import Route
from tests.conftest import PASSWORD, MovableClock, Portal, browser
from tests.web.acts import sentences

from zegelpost.main import Services, build_app, build_services
from zegelpost.model.policy import GuardMode
from zegelpost.model.seen_outlook import SeenOutlook
from zegelpost.model.staff_user import StaffUser
from zegelpost.services import seeing_outlooks
from zegelpost.settings import Settings
from zegelpost.web.addin_pages import OUTLOOK_HOSTS, pane_policy
from zegelpost.web.manifests import VERSION

pytestmark = pytest.mark.anyio

FRAMED = ("/addin/pane", "/addin/launchevent.html")


async def _code(portal: Portal) -> str:
    page = await portal.client.get("/addin/sign-in")
    found = re.search(r'data-code="([\w-]{40,})"', page.text)
    assert found
    return found.group(1)


def _gets(app: Starlette) -> list[str]:
    """Every address that answers to GET, from the application's own routes; identifiers are made up."""
    routes = [route for route in app.routes if isinstance(route, Route) and "GET" in (route.methods or set())]
    paths = {re.sub(r"\{(\w+)(?::\w+)?\}", lambda one: "16" if one[1] == "size" else "a" * 26, each.path) for each in routes}
    assert len(paths) > 100
    return sorted(paths - set(FRAMED))


async def test_only_the_pane_may_be_framed(app: Starlette, client: httpx2.AsyncClient, anna_portal: Portal) -> None:
    for path in FRAMED:
        headers = (await client.get(path)).headers
        assert "x-frame-options" not in headers, path
        assert "frame-ancestors 'none'" not in headers["content-security-policy"], path
        assert "set-cookie" not in headers, path
        for asked in ("nl", "en"):
            answer = await client.get(path, params={"language": asked})
            assert (f'lang="{asked}"' in answer.text, "set-cookie" in answer.headers) == (True, False), path
    for path in _gets(app):
        for who in (client, anna_portal.client):
            headers = (await who.get(path, follow_redirects=False)).headers
            assert headers["x-frame-options"] == "DENY", path
            assert "frame-ancestors 'none'" in headers["content-security-policy"], path


def test_outside_a_demonstration_outlook_alone_may() -> None:
    policy = pane_policy(hosts=("https://mail.example.nl",), is_demo=False)
    ancestors = policy.partition("frame-ancestors ")[2].split()
    assert ancestors == [*OUTLOOK_HOSTS, "https://mail.example.nl"]
    assert "'unsafe-inline'" not in policy
    assert "default-src 'none'" in policy


async def test_the_pane_needs_no_cookie_and_tells_nothing_of_anyone(client: httpx2.AsyncClient, anna_portal: Portal) -> None:
    nobody, anna = await client.get("/addin/pane"), await anna_portal.client.get("/addin/pane")
    assert nobody.text == anna.text
    assert "appsforoffice.microsoft.com" in nobody.text
    # The API looks at no cookie: whoever rides on one gets nowhere.
    assert (await anna_portal.client.get("/api/v1/me")).status_code == 401


@pytest.mark.parametrize("url", [None, "graph://client:secret@tenant"])
async def test_the_pane_knows_whether_the_server_keeps_a_copy_for_the_sender(services: Services, url: str | None) -> None:
    other = replace(services, settings=replace(services.settings, mailboxes_url=url))
    async with browser(build_app(other, has_worker=False)) as client:
        page = await client.get("/addin/pane")
    facts = json.loads(html.unescape(page.text.partition('data-facts="')[2].partition('"')[0]))
    assert facts["keeps_sent_copy"] is (url is not None)
    assert "secret" not in page.text
    await services.database.close()


@pytest.mark.parametrize("origin", ["https://outlook.office.com", "null", "https://elders.example"])
async def test_no_other_site_may_read_an_answer(app: Starlette, anna: httpx2.AsyncClient, origin: str) -> None:
    for path in (*FRAMED, *_gets(app)):
        asks = {"Origin": origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
        for answer in (
            await anna.get(path, headers={"Origin": origin}, follow_redirects=False),
            await anna.options(path, headers=asks),
        ):
            assert not [name for name in answer.headers if name.startswith("access-control-")], path


@pytest.mark.parametrize("mode", list(GuardMode))
async def test_the_guard_gets_the_policys_facts(services: Services, clock: MovableClock, mode: GuardMode) -> None:
    policy = replace(services.policy, guard_mode=mode, staff_domains=("a.example", 'b"</script>.example'))
    other = build_services(services.settings, clock=clock, policy=policy)
    async with browser(build_app(other, has_worker=False)) as client:
        answer = await client.get("/addin/launchevent.js")
    await other.database.close()
    assert answer.headers["content-type"].startswith("text/javascript")
    found = re.search(r"^var facts = (\{.*\});$", answer.text, re.MULTILINE)
    assert found
    facts = json.loads(found.group(1))
    assert facts == {"staff_domains": list(policy.staff_domains), "guard_mode": mode.value, "command_id": "zpCompose"}
    assert "__ZEGELPOST_FACTS__" not in answer.text


async def test_the_event_runtime_finds_its_file(client: httpx2.AsyncClient) -> None:
    allowed = (await client.get("/.well-known/microsoft-officeaddins-allowed.json")).json()
    assert allowed == {"allowed": ["http://127.0.0.1:8000/addin/launchevent.js"]}


async def test_manifests_and_icons_are_served(client: httpx2.AsyncClient) -> None:
    for name in ("manifest.xml", "manifest-onprem.xml"):
        answer = await client.get(f"/addin/{name}")
        assert answer.headers["content-type"].startswith("application/xml")
        assert "http://127.0.0.1:8000/addin/pane" in answer.text
    for size in (16, 32, 64, 80, 128):
        assert (await client.get(f"/addin/icons/icon-{size}.png")).content.startswith(b"\x89PNG")
    assert (await client.get("/addin/icons/icon-17.png")).status_code == 404


async def test_nobody_deploys_a_manifest_without_tls(services: Services) -> None:
    in_use = replace(services, settings=replace(services.settings, is_demo=False))
    async with browser(build_app(in_use, has_worker=False)) as client:
        for name in ("manifest.xml", "manifest-onprem.xml"):
            answer = await client.get(f"/addin/{name}")
            assert (answer.status_code, "<OfficeApp" in answer.text) == (409, False)
            assert "ZEGELPOST_BASE_URL" in answer.text
    await services.database.close()


# Signing in


async def test_the_dialog_hands_over_a_sign_in_once(client: httpx2.AsyncClient, anna_portal: Portal, database_kind: str) -> None:
    code = await _code(anna_portal)
    answer = await client.post("/api/v1/sign-in/code", json={"code": code})
    assert answer.status_code == 200, answer.text
    token = answer.json()["access_token"]
    me = await client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert me.json()["email"] == "anna@zegelpost.example"
    again = await client.post("/api/v1/sign-in/code", json={"code": code})
    assert (again.status_code, again.json()["code"]) == (401, "sign_in_required")
    assert await _code(anna_portal) != code


async def test_a_code_is_worth_nothing_after_two_minutes(
    client: httpx2.AsyncClient, anna_portal: Portal, clock: MovableClock, services: Services
) -> None:
    code = await _code(anna_portal)
    clock.forward(minutes=2)
    assert (await client.post("/api/v1/sign-in/code", json={"code": code})).status_code == 401
    await _code(anna_portal)
    clock.forward(minutes=2)
    await services.handing_over_sign_in.forget_old()


async def test_who_was_switched_off_meanwhile_gets_nothing(
    client: httpx2.AsyncClient, anna_portal: Portal, services: Services
) -> None:
    code = await _code(anna_portal)
    async with services.database.work() as session:
        await session.execute(update(StaffUser).where(StaffUser.email == "anna@zegelpost.example").values(is_switched_off=True))
    for typed in (code, "", "x", "é"):
        assert (await client.post("/api/v1/sign-in/code", json={"code": typed})).status_code == 401


@pytest.mark.parametrize("how", ["sign_out", "this_one", "everywhere", "password"])
async def test_a_code_ends_with_the_sign_in_that_it_was_made_in(
    app: Starlette, client: httpx2.AsyncClient, anna_portal: Portal, database_kind: str, how: str
) -> None:
    code = await _code(anna_portal)
    async with browser(app) as elsewhere:
        other = Portal(elsewhere)
        await other.sign_in("anna@zegelpost.example")
        if how == "sign_out":
            await anna_portal.press("/sign-out")
        elif how == "this_one":
            ends = re.findall(r"/account/sign-ins/\w+/end", (await elsewhere.get("/account")).text)
            assert len(ends) == 1
            await other.press(ends[0])
        elif how == "everywhere":
            await other.press("/account/sign-out-everywhere")
        else:
            new = "paarse fiets onder de brug"
            changed = await other.press("/account/password", old_password=PASSWORD, new_password=new)
            assert changed.url.path == "/account", sentences(changed)
    assert (await client.post("/api/v1/sign-in/code", json={"code": code})).status_code == 401


async def test_the_dialog_asks_to_sign_in_first_and_stays_joined_to_outlook(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/addin/sign-in")
    assert answer.url.path == "/sign-in"
    assert "data-code" not in answer.text
    # `same-origin` would cut the window off from the one that opened it (Outlook's error 12006).
    assert answer.headers["cross-origin-opener-policy"] == "unsafe-none"
    assert (await client.get("/help")).headers["cross-origin-opener-policy"] == "same-origin"


# Numbers for the pane


async def test_known_numbers_are_told_to_who_may_see_them(anna: httpx2.AsyncClient, mallory: httpx2.AsyncClient) -> None:
    await anna.post("/api/v1/contacts", json={"name": "Rosa Visser", "email": "rosa@zorg.example", "mobile": "0612345678"})
    asked = {"emails": ["ROSA@zorg.example", "onbekend@zorg.example", "geen adres"]}
    found = (await anna.post("/api/v1/contacts/lookup", json=asked)).json()["contacts"]
    assert [(each["email"], each["mobile"]) for each in found] == [("rosa@zorg.example", "+31612345678")]
    assert (await mallory.post("/api/v1/contacts/lookup", json=asked)).json() == {"contacts": []}
    assert (await anna.post("/api/v1/contacts/lookup", json={"emails": ["x"] * 101})).status_code == 422


# For administrators


async def test_the_deployment_page_is_the_administrators(
    client: httpx2.AsyncClient, chris_portal: Portal, anna_portal: Portal
) -> None:
    page = await chris_portal.client.get("/admin/add-in")
    assert "http://127.0.0.1:8000/addin/manifest.xml" in page.text
    assert "New-App -OrganizationApp" in page.text
    # What it sends people to is there, for anybody.
    for path in ("/addin/pane", "/addin/launchevent.js", "/.well-known/microsoft-officeaddins-allowed.json"):
        assert f'href="{path}"' in page.text
        assert (await client.get(path)).status_code == 200
    absent = await anna_portal.client.get("/admin/nothing")
    hidden = await anna_portal.client.get("/admin/add-in")
    assert (hidden.status_code, hidden.text) == (absent.status_code, absent.text)


async def test_where_the_pane_opens_is_counted_without_a_name(
    anna: httpx2.AsyncClient, chris_portal: Portal, clock: MovableClock, database_kind: str
) -> None:
    async def opened(told: str) -> None:
        assert (await anna.get("/api/v1/me", headers={"Zegelpost-Outlook": told})).status_code == 200

    async def seen() -> str:
        page = (await chris_portal.client.get("/admin/add-in")).text
        table = page.partition("Seen in the last 30 days")[2].partition("What the guard does not see")[0]
        return " ".join(re.sub("<[^>]*>", " ", table).split())

    assert "Nobody opened the pane" in await seen()
    for told in (f"{VERSION} Outlook PC 16.0.18025.20160", f"{VERSION} Outlook PC 16.0.18025.20200"):
        await opened(told)
    await opened("0.9.0.0 OutlookWebApp OfficeOnline 1.2.3")
    # What nobody's pane says counts for nothing, and neither does saying nothing.
    for told in ("", "1.0 Outlook PC 16.0", f"{VERSION} <b> PC 16.0", f"{VERSION} Outlook PC {'1' * 50}"):
        await opened(told)
    assert (await anna.get("/api/v1/me")).status_code == 200

    rows = await seen()
    assert f"Outlook, PC 16.0.18025 {VERSION} 2 times" in rows
    assert "OutlookWebApp, OfficeOnline 1.2.3 0.9.0.0 Update it once" in rows
    assert "Anna" not in rows
    clock.forward(days=31)
    await chris_portal.sign_in("chris@zegelpost.example")
    assert "Nobody opened the pane" in await seen()


async def test_made_up_outlooks_fill_no_table(
    services: Services, anna: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeing_outlooks, "MOST_KINDS", 3)
    for number in range(6):
        await anna.get("/api/v1/me", headers={"Zegelpost-Outlook": f"{VERSION} Outlook PC 16.0.{number}"})
    async with services.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(SeenOutlook)) == 3


def test_webmail_that_is_no_origin_stops_the_start() -> None:
    base = {"ZEGELPOST_DEMO": "1", "ZEGELPOST_BASE_URL": "http://127.0.0.1:8000", "ZEGELPOST_DATA_DIR": "/tmp/x"}
    settings = Settings.from_environment(base | {"ZEGELPOST_OUTLOOK_HOSTS": "https://mail.example.nl, https://owa.example.nl/"})
    assert settings.outlook_hosts == ("https://mail.example.nl", "https://owa.example.nl")
    for wrong in ("mail.example.nl", "http://mail.example.nl", "https://mail.example.nl/owa", "*", "https://*; script-src *"):
        with pytest.raises(Exception, match="OUTLOOK_HOSTS"):
            Settings.from_environment(base | {"ZEGELPOST_OUTLOOK_HOSTS": wrong})
