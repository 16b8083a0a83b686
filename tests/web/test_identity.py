"""Signing in at the organisation's own provider: whose account it is, who gets none, and what a password is worth then."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select, update
from starlette.applications import Starlette
from tests.conftest import BASE_URL, PASSWORD, MovableClock, Outbox, Portal, browser, make_administrator, make_auditor
from tests.contracts.test_identity import WRONG, WRONG_FOR_THE_PANE
from tests.stand_ins import oidc_provider as certified
from tests.stand_ins.entra import CLIENT_ID, CLIENT_SECRET, OTHER_TENANT, TENANT, Claims, Entra, entra
from tests.stand_ins.oidc_provider import RunningProvider, oidc_provider
from tests.web.acts import sentences, words

from zegelpost.adapters.identity_oidc import OidcProvider
from zegelpost.main import Services, build_app, build_services
from zegelpost.model.event import Event, EventTag
from zegelpost.model.identity import Identity, Joining, ProviderVisit
from zegelpost.model.policy import Policy
from zegelpost.model.staff_user import StaffUser
from zegelpost.settings_sign_in import SignInProvider
from zegelpost.web.rendering import WEB

BACK, LEFT = f"{BASE_URL}/sign-in/callback", f"{BASE_URL}/sign-in"
ANNA, EVE = "anna@zegelpost.example", "eve@zegelpost.example"
PEOPLE = {
    "anna": {"oid": "oid-anna", "name": "Anna de Vries", "email": ANNA},
    "eve": {"oid": "oid-eve", "name": "Eve Smit", "email": "Eve@zegelpost.example"},
    # In a directory anyone can write anything: this is not Anna.
    "mallory": {"oid": "oid-mallory", "name": "Anna de Vries", "email": ANNA},
    "rosa": {"oid": "oid-rosa", "name": "Rosa Visser", "email": "rosa@zorg.example"},
}
BUTTON = re.compile(r'href="(/sign-in/organisation[^"]*)"')


@pytest.fixture
def tenant() -> Iterator[Entra]:
    with entra(redirect_url=BACK, people={login: dict(claims) for login, claims in PEOPLE.items()}) as running:
        yield running


@pytest.fixture
def provider_of(tenant: Entra) -> Callable[[], OidcProvider]:
    """Each web process has one of its own."""
    return lambda: OidcProvider(
        authority=tenant.authority,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        tenant=TENANT,
        redirect_url=BACK,
        left_url=LEFT,
        trust=tenant.trust,
    )


@pytest.fixture
def policy(policy: Policy) -> Policy:
    return replace(policy, has_sign_in_provider=True)


@pytest.fixture
async def app(
    services: Services, provider_of: Callable[[], OidcProvider], policy: Policy, clock: MovableClock
) -> AsyncIterator[Starlette]:
    wired = build_services(services.settings, clock=clock, policy=policy, provider=provider_of())
    for email, name in ((ANNA, "Anna de Vries"), ("mallory@zegelpost.example", "Mallory Kwaad")):
        await wired.registering.create_account(email=email, name=name, password=PASSWORD)
    yield build_app(wired, has_worker=False)
    await wired.database.close()
    await services.database.close()


@dataclass
class Traveller:
    """A browser that goes to the provider and back."""

    client: httpx2.AsyncClient
    house: Entra | RunningProvider

    async def depart(self, path: str = "/sign-in/organisation") -> str:
        answer = await self.client.get(path, follow_redirects=False)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def back(self, url: str, login: str) -> str:
        """The path, with what the provider sends along."""
        there = await self.house.walk(url, login)
        assert str(there).startswith(BACK), there
        return there.raw_path.decode()

    async def sign_in(self, login: str, path: str = "/sign-in/organisation") -> httpx2.Response:
        return await self.client.get(await self.back(await self.depart(path), login))


@pytest.fixture
async def traveller(app: Starlette, tenant: Entra) -> AsyncIterator[Traveller]:
    async with browser(app) as client:
        yield Traveller(client, tenant)


async def tags(services: Services) -> list[EventTag]:
    async with services.database.reading() as session:
        return list(await session.scalars(select(Event.tag).order_by(Event.id)))


async def user_of(services: Services, email: str) -> StaffUser:
    async with services.database.reading() as session:
        user: StaffUser | None = await session.scalar(select(StaffUser).where(StaffUser.email == email))
    assert user
    return user


async def count(services: Services, table: type) -> int:
    async with services.database.reading() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


def csrf_of(answer: httpx2.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
    assert found
    return found.group(1)


# The first time, and ever after


async def test_from_the_button_to_where_they_were_going(
    database_kind: str, app: Starlette, services: Services, traveller: Traveller
) -> None:
    asked = await traveller.client.get("/contacts")
    assert asked.url.path == "/sign-in"
    found = BUTTON.search(asked.text)
    assert found
    assert "Sign in with Gemeente Voorbeeld" in asked.text

    arrived = await traveller.sign_in("eve", unescape(found.group(1)))

    assert (arrived.status_code, arrived.url.path) == (200, "/contacts")
    assert "Eve Smit" in arrived.text
    eve = await user_of(services, EVE)
    assert not eve.is_administrator
    assert [tag for tag in await tags(services) if tag.startswith(("account", "sign_in"))] == [
        EventTag.ACCOUNT_OPENED,
        EventTag.SIGN_IN_SUCCEEDED,
    ]
    # Not her address, but who she is there: both can change their minds about the rest.
    tenant = traveller.house
    assert isinstance(tenant, Entra)
    tenant.people["eve"] |= {"email": "eva@zegelpost.example", "name": "Eva"}
    async with browser(app) as client:
        assert "Eve Smit" in (await Traveller(client, tenant).sign_in("eve")).text
    assert await count(services, Identity) == 1


async def test_with_a_provider_that_is_certified(services: Services, policy: Policy, clock: MovableClock, tmp_path: Path) -> None:
    people: dict[str, Claims] = {
        "eve": {"name": "Eve Smit", "email": EVE, "email_verified": True},
        "guus": {"name": "Guus", "email": EVE},
    }
    with oidc_provider(tmp_path, redirect_url=BACK, left_url=LEFT, people=people) as real:
        provider = OidcProvider(
            authority=real.authority,
            client_id=certified.CLIENT_ID,
            client_secret=certified.CLIENT_SECRET,
            tenant=None,
            redirect_url=BACK,
            left_url=LEFT,
            trust=real.trust,
        )
        wired = build_services(services.settings, clock=clock, policy=policy, provider=provider)
        async with browser(build_app(wired, has_worker=False)) as client:
            assert "Eve Smit" in (await Traveller(client, real).sign_in("eve", "/sign-in/organisation?next=/sent")).text
        async with browser(build_app(wired, has_worker=False)) as client:
            refused = await Traveller(client, real).sign_in("guus")
            assert (refused.status_code, "no e-mail address of the organisation" in words(refused)) == (403, True)
        await wired.database.close()
        await services.database.close()


async def test_two_windows_at_once_are_one_account(database_kind: str, app: Starlette, services: Services, tenant: Entra) -> None:
    async with browser(app) as one, browser(app) as two:
        travellers = [Traveller(client, tenant) for client in (one, two)]
        answers = await asyncio.gather(*(each.sign_in("eve") for each in travellers))
        assert [answer.url.path for answer in answers] == ["/", "/"]
    assert await count(services, Identity) == 1


async def test_the_pane_in_outlook_gets_its_code(traveller: Traveller) -> None:
    asked = await traveller.client.get("/addin/sign-in?language=nl")
    found = BUTTON.search(asked.text)
    assert found
    departed = await traveller.client.get(unescape(found.group(1)), follow_redirects=False)
    # A window that is cut off from the pane could hand it nothing.
    assert departed.headers["cross-origin-opener-policy"] == "unsafe-none"
    arrived = await traveller.client.get(await traveller.back(departed.headers["location"], "eve"))
    assert arrived.url.path == "/addin/sign-in"
    code = re.search(r'data-code="([^"]+)"', arrived.text)
    assert code
    assert (await traveller.client.post("/api/v1/sign-in/code", json={"code": code.group(1)})).status_code == 200


# Who gets in nowhere


async def test_an_address_alone_gets_into_no_account(
    app: Starlette, services: Services, traveller: Traveller, clock: MovableClock
) -> None:
    asked = await traveller.sign_in("mallory")

    assert (asked.status_code, asked.url.path) == (200, "/sign-in/join")
    assert "sign in once more with its password" in words(asked)
    assert (await traveller.client.get("/")).url.path == "/sign-in"
    # No form of hers makes it so.
    assert (await traveller.client.post("/sign-in/join", data={"password": "x"})).url.path == "/sign-in/join"
    assert await count(services, Identity) == 0
    # Not even in the browser that Anna left signed in.
    async with browser(app) as left:
        portal = Portal(left)
        await portal.sign_in(ANNA)
        clock.forward(minutes=1)
        asked = await Traveller(left, traveller.house).sign_in("mallory")
        assert asked.url.path == "/sign-in/join"
        for typed in ("", "mallory-raadt-2026"):
            refused = await portal.press("/sign-in/join", password=typed)
            assert (refused.status_code, sentences(refused)) == (422, {"password": "This password is not right."})
        forged = await left.post("/sign-in/join", data={"csrf": "x", "password": PASSWORD})
        assert forged.status_code == 403
    assert await count(services, Identity) == 0


async def test_whoever_has_the_account_joins_it_and_needs_no_password_any_more(
    database_kind: str, app: Starlette, services: Services, traveller: Traveller, outbox: Outbox
) -> None:
    asked = await traveller.sign_in("anna", "/sign-in/organisation?next=/sent")
    assert asked.url.path == "/sign-in/join"
    there = re.search(r'href="(/sign-in\?next=[^"]+)"', asked.text)
    assert there
    form = await traveller.client.get(unescape(there.group(1)))
    wanted = re.search(r'name="next" value="([^"]*)"', form.text)
    assert wanted
    proven = await traveller.client.post("/sign-in", data={"email": ANNA, "password": PASSWORD, "next": wanted.group(1)})
    assert (proven.url.path, 'name="password"' in proven.text) == ("/sign-in/join", False)

    joined = await traveller.client.post("/sign-in/join", data={"csrf": csrf_of(proven)})

    assert joined.url.path == "/sent"
    assert EventTag.ACCOUNT_JOINED in await tags(services)
    assert [mail["subject"] for mail in await outbox.all(kind="mail", to=ANNA)] == ["Uw account is gewijzigd"]
    async with browser(app) as client:
        assert (await Traveller(client, traveller.house).sign_in("anna")).url.path == "/"
        account = await client.get("/account")
        assert "You sign in with your work account." in words(account)
        assert "/account/password" not in account.text
    async with browser(app) as client:
        refused = await client.post("/sign-in", data={"email": ANNA, "password": PASSWORD})
        assert (refused.status_code, "not with a password" in words(refused)) == (403, True)
        wrong = await client.post("/sign-in", data={"email": ANNA, "password": "x"})
        assert (wrong.status_code, "not with a password" in words(wrong)) == (401, False)
        program = await client.post("/api/v1/sign-in", json={"email": ANNA, "password": PASSWORD})
        assert (program.status_code, program.json()["code"]) == (403, "sign_in_at_provider")
    # One identity for an account: Mallory's comes too late, whoever is persuaded to press the button.
    async with browser(app) as client:
        await Traveller(client, traveller.house).sign_in("anna")
        asked = await Traveller(client, traveller.house).sign_in("mallory")
        refused = await client.post("/sign-in/join", data={"csrf": csrf_of(asked), "password": PASSWORD})
        assert refused.status_code == 409
    assert await count(services, Identity) == 1


async def test_joining_waits_twenty_minutes(traveller: Traveller, services: Services, clock: MovableClock) -> None:
    await traveller.sign_in("anna")
    clock.forward(minutes=19, seconds=59)
    assert (await traveller.client.get("/sign-in/join")).status_code == 200
    clock.forward(seconds=1)
    assert (await traveller.client.get("/sign-in/join")).status_code == 401
    wired = traveller.client._transport.app.state.services  # type: ignore[attr-defined]
    await wired.identifying.forget_old()
    assert await count(services, Joining) == 0


async def test_people_of_elsewhere_get_no_account(traveller: Traveller, services: Services) -> None:
    refused = await traveller.sign_in("rosa")
    assert (refused.status_code, "no e-mail address of the organisation" in words(refused)) == (403, True)
    assert await count(services, Identity) == 0


async def test_who_is_switched_off_stays_out(traveller: Traveller, services: Services) -> None:
    await traveller.sign_in("eve")
    async with services.database.work() as session:
        await session.execute(update(StaffUser).where(StaffUser.email == EVE).values(is_switched_off=True))
    assert (await traveller.client.get("/sent")).url.path == "/sign-in"
    refused = await traveller.sign_in("eve")
    assert (refused.status_code, "switched off" in words(refused)) == (403, True)
    assert (await traveller.client.get("/sent")).url.path == "/sign-in"


async def test_who_stops_at_the_provider_or_brings_a_forged_token_is_back_at_the_start(
    traveller: Traveller, tenant: Entra, services: Services
) -> None:
    stopped = await traveller.sign_in("nobody")
    assert (stopped.status_code, "Signing in did not work." in words(stopped)) == (401, True)
    tenant.maker = WRONG["alg none"]
    assert (await traveller.sign_in("eve")).status_code == 401
    assert await count(services, Identity) == 0
    assert (await tags(services)).count(EventTag.SIGN_IN_FAILED) == 2


# There and back


async def test_only_the_browser_that_went_comes_back_once_and_soon(
    app: Starlette, traveller: Traveller, clock: MovableClock, services: Services
) -> None:
    path = await traveller.back(await traveller.depart(), "eve")
    async with browser(app) as other:
        assert (await other.get(path)).status_code == 401
        # With a visit of its own, but the answer of another.
        await Traveller(other, traveller.house).depart()
        assert (await other.get(path)).status_code == 401
    kept = dict(traveller.client.cookies)
    assert (await traveller.client.get(path)).url.path == "/"
    traveller.client.cookies.update(kept)
    assert (await traveller.client.get(path)).status_code == 401

    late = await traveller.back(await traveller.depart(), "eve")
    clock.forward(minutes=15)
    assert (await traveller.client.get(late)).status_code == 401
    await traveller.depart()
    clock.forward(minutes=15)
    await app.state.services.identifying.forget_old()
    assert await count(services, ProviderVisit) == 0


@pytest.mark.parametrize(
    "wanted", ["//elders.example", "https://elders.example", "/\\elders.example", "x" * 600, "/" + "x" * 600]
)
async def test_nobody_is_sent_elsewhere(traveller: Traveller, wanted: str) -> None:
    answer = await traveller.sign_in("eve", f"/sign-in/organisation?next={wanted}")
    assert str(answer.url) == f"{BASE_URL}/"


async def test_what_waits_in_the_database_is_sealed(traveller: Traveller, services: Services) -> None:
    url = httpx2.URL(await traveller.depart())
    async with services.database.reading() as session:
        visit = await session.scalar(select(ProviderVisit))
    assert visit
    assert url.params["state"].encode() not in visit.sealed_kept
    assert b"code_verifier" not in visit.sealed_kept


async def test_a_provider_that_is_down_leaves_the_password(traveller: Traveller, tenant: Entra) -> None:
    tenant.is_down = True
    answer = await traveller.client.get("/sign-in/organisation?next=/sent")
    assert (answer.status_code, "cannot be reached" in words(answer)) == (503, True)
    entered = await traveller.client.post("/sign-in", data={"email": ANNA, "password": PASSWORD, "next": "/sent"})
    assert entered.url.path == "/sent"


async def test_going_there_is_limited_by_network(traveller: Traveller) -> None:
    answers = [(await traveller.client.get("/sign-in/organisation", follow_redirects=False)).status_code for _ in range(301)]
    assert (answers[299], answers[300]) == (303, 429)


# Out again


async def test_signing_out_here_offers_signing_out_there(traveller: Traveller, tenant: Entra) -> None:
    home = await traveller.sign_in("eve")
    out = await traveller.client.post("/sign-out", data={"csrf": csrf_of(home)})
    assert "You are signed out" in words(out)
    found = re.search(rf'href="({re.escape(tenant.url)}/[^"]+)"', out.text)
    assert found
    there = httpx2.URL(unescape(found.group(1)))
    assert (there.params["client_id"], there.params["post_logout_redirect_uri"]) == (CLIENT_ID, LEFT)
    assert (await traveller.client.get("/sent")).url.path == "/sign-in"


async def test_who_has_a_password_signs_out_as_before(traveller: Traveller) -> None:
    portal = Portal(traveller.client)
    await portal.sign_in(ANNA)
    assert (await portal.press("/sign-out")).url.path == "/sign-in"


async def test_a_provider_that_is_down_keeps_nobody_in(
    traveller: Traveller, tenant: Entra, provider_of: Callable[[], OidcProvider], services: Services, policy: Policy
) -> None:
    home = await traveller.sign_in("eve")
    tenant.is_down = True
    other_process = build_services(services.settings, clock=services.clock, policy=policy, provider=provider_of())
    async with browser(build_app(other_process, has_worker=False)) as client:
        client.cookies.update(traveller.client.cookies)
        assert (await client.post("/sign-out", data={"csrf": csrf_of(home)})).url.path == "/sign-in"
    assert (await traveller.client.get("/sent")).url.path == "/sign-in"
    await other_process.database.close()


# Inside Outlook


async def exchange(client: httpx2.AsyncClient, token: object) -> tuple[int, str]:
    answer = await client.post("/api/v1/sign-in/provider", json={"access_token": token})
    return answer.status_code, answer.json().get("code", "")


async def test_the_pane_exchanges_its_token_for_one_of_ours(
    database_kind: str, app: Starlette, services: Services, traveller: Traveller, tenant: Entra
) -> None:
    async with browser(app) as pane:
        # Nobody is known by that yet, and nothing is opened or joined where nobody sees it; whatever the address.
        for login in ("eve", "anna", "mallory", "rosa"):
            assert await exchange(pane, tenant.access_token(login)) == (403, "identity_unknown")
        assert (await count(services, Identity), await count(services, Joining)) == (0, 0)
        await traveller.sign_in("eve")
        answer = await pane.post("/api/v1/sign-in/provider", json={"access_token": tenant.access_token("eve")})
        assert answer.status_code == 200
        assert not answer.cookies
        pane.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        assert (await pane.get("/api/v1/me")).json()["email"] == EVE
        # Microsoft's token itself opens nothing but that.
        pane.headers["Authorization"] = f"Bearer {tenant.access_token('eve')}"
        assert (await pane.get("/api/v1/me")).status_code == 401
        # The same object in another tenant is someone else; so is the same address.
        assert await exchange(pane, tenant.access_token("eve", tid=OTHER_TENANT)) == (401, "identity_refused")
        assert await exchange(pane, tenant.access_token("eve", oid="oid-other")) == (403, "identity_unknown")
        assert await exchange(pane, tenant.access_token("mallory", email=EVE)) == (403, "identity_unknown")
    # Her page shows it, and ends it.
    account = await traveller.client.get("/account")
    assert "Outlook or another program" in words(account)


@pytest.mark.parametrize("name", WRONG_FOR_THE_PANE)
async def test_a_token_that_is_not_right_is_exchanged_for_nothing(traveller: Traveller, tenant: Entra, name: str) -> None:
    await traveller.sign_in("eve")
    token = WRONG_FOR_THE_PANE[name](tenant, tenant.claims("eve", azp=CLIENT_ID, scp="access_as_user"))
    status, code = await exchange(traveller.client, token)
    assert (status, code) in {(401, "identity_refused"), (422, "input_invalid")}
    assert (await exchange(traveller.client, tenant.access_token("eve")))[0] == 200


async def test_what_is_no_token_is_told_so(traveller: Traveller) -> None:
    for typed in ("", "x", "é", "a.b.c", "e30.e30.", 7, None):
        assert (await exchange(traveller.client, typed))[0] in {401, 422}


async def test_who_is_switched_off_gets_no_token(traveller: Traveller, tenant: Entra, services: Services) -> None:
    await traveller.sign_in("eve")
    async with services.database.work() as session:
        await session.execute(update(StaffUser).where(StaffUser.email == EVE).values(is_switched_off=True))
    assert await exchange(traveller.client, tenant.access_token("eve")) == (403, "account_switched_off")


async def test_trying_tokens_is_limited_and_right_ones_are_not(traveller: Traveller, tenant: Entra) -> None:
    await traveller.sign_in("eve")
    statuses = [(await exchange(traveller.client, "x"))[0] for _ in range(300)]
    assert set(statuses) == {401}
    assert (await exchange(traveller.client, "x"))[0] == 429
    assert (await exchange(traveller.client, tenant.access_token("eve")))[0] == 429


async def test_an_outage_of_the_keys_is_an_outage(traveller: Traveller, tenant: Entra) -> None:
    tenant.is_down = True
    assert (await exchange(traveller.client, tenant.access_token("eve")))[0] == 503


def facts_of(answer: httpx2.Response) -> dict[str, Any]:
    found = re.search(r'data-facts="([^"]*)"', answer.text)
    assert found
    facts: dict[str, Any] = json.loads(unescape(found.group(1)))
    return facts


async def test_the_pane_is_told_how_only_where_entra_is(services: Services, clock: MovableClock, tenant: Entra) -> None:
    told = []
    microsoft = f"https://login.microsoftonline.com/{TENANT}/v2.0"
    for authority, others in (
        (None, ()),
        ("https://login.example.nl/realms/post", ()),
        (microsoft, ()),
        (microsoft, (OTHER_TENANT,)),
    ):
        given = None
        if authority:
            given = SignInProvider(authority=authority, client_id=CLIENT_ID, client_secret="s", other_tenants=others)
        settings = replace(services.settings, sign_in_provider=given)
        wired = build_services(settings, clock=clock)
        async with browser(build_app(wired, has_worker=False)) as client:
            answer = await client.get("/addin/pane")
            told.append(facts_of(answer)["nested"])
            # Only named: what the page loads by itself is the pane's own script.
            assert not re.search(r"<script[^>]*nested", answer.text)
        await wired.database.close()
    await services.database.close()
    entra = {
        "client_id": CLIENT_ID,
        "authority": f"https://login.microsoftonline.com/{TENANT}",
        "scope": f"api://{CLIENT_ID}/access_as_user",
    }
    assert told == [None, None, entra, entra | {"authority": "https://login.microsoftonline.com/organizations"}]


def test_the_pane_itself_is_small() -> None:
    dist = WEB / "static/dist"
    names = json.loads((dist / "manifest.json").read_text())
    assert "acquireTokenSilent" in (dist / names["nested.js"]).read_text()
    assert "acquireTokenSilent" not in (dist / names["pane.js"]).read_text()


# Rights


async def rights(services: Services, email: str = EVE) -> tuple[bool, bool]:
    """Whether someone administers, and whether they audit."""
    user = await user_of(services, email)
    return user.is_administrator, user.is_auditor


class TestRights:
    @pytest.fixture
    def policy(self, policy: Policy) -> Policy:
        return replace(
            policy,
            administrator_roles=("Zegelpost.Beheer", "7b1c0000-0000-0000-0000-000000000000"),
            auditor_roles=("Zegelpost.Audit", "7b1c0000-0000-0000-0000-000000000001"),
        )

    @pytest.mark.parametrize(
        ("claims", "given"),
        [
            ({"roles": ["Zegelpost.Beheer"]}, (True, False)),
            ({"groups": ["x", "7b1c0000-0000-0000-0000-000000000000"]}, (True, False)),
            ({"roles": ["Zegelpost.Audit"]}, (False, True)),
            ({"groups": ["7b1c0000-0000-0000-0000-000000000001"]}, (False, True)),
            ({"roles": ["Zegelpost.Audit"], "groups": ["7b1c0000-0000-0000-0000-000000000000"]}, (True, True)),
        ],
        ids=str,
    )
    async def test_the_provider_gives_rights_and_takes_them_back(
        self,
        traveller: Traveller,
        tenant: Entra,
        services: Services,
        claims: dict[str, list[str]],
        given: tuple[bool, bool],
    ) -> None:
        tenant.people["eve"] |= claims
        await traveller.sign_in("eve")
        assert await rights(services) == given
        assert (await traveller.client.get("/admin/add-in")).status_code == (200 if given[0] else 404)
        tenant.people["eve"] = {name: value for name, value in tenant.people["eve"].items() if name not in claims}
        async with browser(traveller.client._transport.app) as elsewhere:  # type: ignore[attr-defined]
            await Traveller(elsewhere, tenant).sign_in("eve")
        # At once, also where they were signed in already.
        assert await rights(services) == (False, False)
        assert (await traveller.client.get("/admin/add-in")).status_code == 404
        assert (await tags(services)).count(EventTag.ACCOUNT_RIGHTS_CHANGED) == 2

    @pytest.mark.parametrize(
        "claims",
        [
            {"roles": "Zegelpost.Beheer"},
            {"roles": ["zegelpost.beheer"]},
            {"groups": None, "_claim_names": {"groups": "src1"}},
            {"name": "Zegelpost.Beheer"},
            {"roles": [["Zegelpost.Beheer"]]},
        ],
        ids=str,
    )
    async def test_what_it_does_not_say_is_no_right(
        self, traveller: Traveller, tenant: Entra, services: Services, claims: dict[str, object]
    ) -> None:
        tenant.people["eve"] |= claims
        await traveller.sign_in("eve")
        assert await rights(services) == (False, False)


async def test_the_same_object_in_two_tenants_is_two_people(
    services: Services, policy: Policy, clock: MovableClock, tenant: Entra
) -> None:
    for login, more in (("eve", {}), ("fay", {"tid": OTHER_TENANT, "name": "Fay Bos", "email": EVE})):
        tenant.people[login] = {"oid": "oid-eve", "name": "Eve Smit", "roles": ["Zegelpost.Beheer"]} | more
        tenant.people[login]["preferred_username"] = f"{login}@zegelpost.example"
    provider = OidcProvider(
        authority=tenant.authority,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        tenant=TENANT,
        other_tenants=[OTHER_TENANT],
        entrance=tenant.entrance,
        redirect_url=BACK,
        left_url=LEFT,
        trust=tenant.trust,
    )
    policy = replace(policy, administrator_roles=("Zegelpost.Beheer",))
    wired = build_services(services.settings, clock=clock, policy=policy, provider=provider)
    app = build_app(wired, has_worker=False)
    for login, name in (("eve", "Eve Smit"), ("fay", "Fay Bos")):
        async with browser(app) as client:
            assert name in (await Traveller(client, tenant).sign_in(login)).text
            answer = await client.post("/api/v1/sign-in/provider", json={"access_token": tenant.access_token(login)})
            client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            me = (await client.get("/api/v1/me")).json()
            # Roles of another tenant are its own business.
            assert (me["email"], me["is_administrator"]) == (f"{login}@zegelpost.example", login == "eve")
    assert await count(services, Identity) == 2
    await wired.database.close()
    await services.database.close()


async def test_without_the_settings_rights_are_ours_to_give(traveller: Traveller, tenant: Entra, services: Services) -> None:
    await traveller.sign_in("eve")
    await make_administrator(services, EVE)
    await make_auditor(services, EVE)
    await traveller.sign_in("eve")
    assert await rights(services) == (True, True)


async def test_without_a_provider_there_is_nothing_of_it(services: Services, clock: MovableClock, policy: Policy) -> None:
    plain = build_services(services.settings, clock=clock, policy=policy)
    async with browser(build_app(plain, has_worker=False)) as client:
        assert not BUTTON.search((await client.get("/sign-in")).text)
        for path in ("/sign-in/organisation", "/sign-in/callback?code=x&state=y", "/sign-in/join"):
            assert (await client.get(path)).status_code == 404
    await plain.database.close()
    await services.database.close()
