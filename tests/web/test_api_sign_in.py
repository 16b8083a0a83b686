"""Who asks: bearer tokens of the right kind, and nothing else."""

from __future__ import annotations

from datetime import datetime

import httpx2
import pytest
from starlette.applications import Starlette
from tests.conftest import PASSWORD, MovableClock, browser

from zegelpost.main import Services
from zegelpost.model.staff_user import SIGN_IN_LONGEST, SignInKind

SIGN_IN = {"email": "anna@zegelpost.example", "password": PASSWORD}


async def test_a_token_says_who_you_are(client: httpx2.AsyncClient, clock: MovableClock) -> None:
    answer = await client.post("/api/v1/sign-in", json={**SIGN_IN, "second_factor": None})
    assert answer.status_code == 200
    assert set(answer.json()) == {"access_token", "expires_at"}
    assert answer.json()["expires_at"].endswith("Z")
    assert datetime.fromisoformat(answer.json()["expires_at"]) == clock.now + SIGN_IN_LONGEST
    assert "set-cookie" not in answer.headers
    me = await client.get("/api/v1/me", headers={"Authorization": f"Bearer {answer.json()['access_token']}"})
    person = me.json()
    assert len(person.pop("id")) == 26
    assert person == {
        "name": "Anna de Vries",
        "email": "anna@zegelpost.example",
        "language": "nl",
        "is_administrator": False,
        "is_auditor": False,
        "departments": [],
    }
    assert me.headers["cache-control"] == "no-store"


async def test_signing_out_ends_the_token(anna: httpx2.AsyncClient) -> None:
    assert (await anna.delete("/api/v1/sign-in")).status_code == 204
    assert (await anna.get("/api/v1/me")).status_code == 401


async def test_a_wrong_password_and_an_unknown_address_look_alike(client: httpx2.AsyncClient) -> None:
    wrong = await client.post("/api/v1/sign-in", json={**SIGN_IN, "password": "wrong"})
    unknown = await client.post("/api/v1/sign-in", json={**SIGN_IN, "email": "nobody@zegelpost.example"})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()
    assert wrong.json()["code"] == "sign_in_incorrect"
    assert wrong.headers["www-authenticate"] == "Bearer"
    assert wrong.headers["content-type"] == "application/problem+json"


async def test_guessing_is_slowed_down(client: httpx2.AsyncClient) -> None:
    for _ in range(10):
        assert (await client.post("/api/v1/sign-in", json={**SIGN_IN, "password": "wrong"})).status_code == 401
    answer = await client.post("/api/v1/sign-in", json=SIGN_IN)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == str(answer.json()["retry_after_seconds"])


async def test_no_other_credentials(client: httpx2.AsyncClient) -> None:
    for header in ("", "Bearer", "Bearer ", "Bearer nonsense", "Basic YW5uYTpx", "Bearer é", "Bearer a b"):
        answer = await client.get("/api/v1/me", headers={b"Authorization": header.encode("latin-1")})
        assert answer.status_code == 401, header


async def test_a_portal_token_is_no_access_token(app: Starlette, services: Services) -> None:
    portal = await services.signing_in.sign_in(**SIGN_IN, network="test", kind=SignInKind.PORTAL)
    program = await services.signing_in.sign_in(**SIGN_IN, network="test", kind=SignInKind.API)
    async with browser(app) as client:
        for token, status in ((portal, 401), (program, 200)):
            answer = await client.get("/api/v1/me", headers={"Authorization": f"Bearer {token.token.value}"})
            assert answer.status_code == status
        # Nor the other way round: an access token opens no pages.
        client.cookies.set("zegelpost-staff", program.token.value)
        assert (await client.get("/sent")).url.path == "/sign-in"


async def test_cookies_are_ignored(app: Starlette, services: Services) -> None:
    portal = await services.signing_in.sign_in(**SIGN_IN, network="test", kind=SignInKind.PORTAL)
    async with browser(app) as client:
        client.cookies.set("zegelpost-staff", portal.token.value)
        assert (await client.get("/sent")).url.path == "/sent"
        assert (await client.get("/api/v1/me")).status_code == 401


async def test_a_token_runs_out_when_left_alone(anna: httpx2.AsyncClient, clock: MovableClock) -> None:
    clock.forward(hours=1, minutes=59)
    assert (await anna.get("/api/v1/me")).status_code == 200
    clock.forward(hours=2)
    assert (await anna.get("/api/v1/me")).status_code == 401


async def test_the_policy(anna: httpx2.AsyncClient, services: Services) -> None:
    policy = (await anna.get("/api/v1/policy")).json()
    assert policy["limits"]["document_bytes"] == services.policy.largest_document_bytes
    assert policy["limits"]["recipient_count"] == services.policy.most_recipients
    assert policy["staff_domains"] == ["zegelpost.example"]
    assert "pdf" in policy["extensions"]
    assert policy["methods"] == ["sms", "access_code"]
    assert "+31" in policy["country_prefixes"]
    assert (policy["default_expiry_days"], policy["longest_expiry_days"]) == (28, 365)
    assert policy["is_scanning"] is False


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/sign-in", {"POST", "DELETE"}),
        ("PUT", "/transfers", {"GET", "HEAD", "POST"}),
        ("DELETE", "/me", {"GET", "HEAD"}),
        ("GET", f"/transfers/{'a' * 26}/send", {"POST"}),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(anna: httpx2.AsyncClient, method: str, path: str, allowed: set[str]) -> None:
    answer = await anna.request(method, f"/api/v1{path}")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == allowed
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_unknown_path_is_a_problem_too(anna: httpx2.AsyncClient) -> None:
    answer = await anna.get("/api/v1/nothing")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"
