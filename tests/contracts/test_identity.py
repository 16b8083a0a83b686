"""What every sign-in provider does: prove who someone is, or let nobody in. A real one, and Entra as documented, which lies."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx2
import jwt
import pytest
from tests.stand_ins import entra as microsoft
from tests.stand_ins import oidc_provider as certified
from tests.stand_ins.entra import CLIENT_ID, OTHER_TENANT, TENANT, Claims, Entra, Key, entra
from tests.stand_ins.oidc_provider import oidc_provider

from zegelpost.adapters import identity_tokens
from zegelpost.adapters.identity_oidc import OidcProvider
from zegelpost.model.refusals import IdentityRefused
from zegelpost.ports import IdentityError, ProvenIdentity

BACK, LEFT = "http://127.0.0.1:8000/sign-in/callback", "http://127.0.0.1:8000/sign-in"
ANNA = {"name": "Anna de Vries", "email": "anna@zegelpost.example"}


class House(Protocol):
    async def walk(self, url: str, login: str) -> httpx2.URL: ...


@dataclass
class Side:
    """A provider, our adapter to it, and by which name it knows Anna."""

    house: House
    provider: OidcProvider
    subject: str

    async def sign_in(self, login: str = "anna", /, **changed: str | None) -> ProvenIdentity:
        departure = await self.provider.begin()
        back = await self.house.walk(departure.url, login)
        answer = dict(back.params) | changed
        return await self.provider.finish(departure.kept, {name: text for name, text in answer.items() if text is not None})


def adapter(house: Any, module: Any, tenant: str | None, **changed: Any) -> OidcProvider:
    given = {
        "authority": house.authority,
        "client_id": module.CLIENT_ID,
        "client_secret": module.CLIENT_SECRET,
        "tenant": tenant,
        "redirect_url": BACK,
        "left_url": LEFT,
        "timeout_seconds": 5,
        "trust": house.trust,
    }
    return OidcProvider(**(given | changed))


PEOPLE = {"anna": ANNA | {"oid": "oid of anna", "preferred_username": "anna@zegelpost.example", "roles": ["Beheer"]}}


@pytest.fixture
def tenant() -> Iterator[Entra]:
    with entra(redirect_url=BACK, people={login: dict(claims) for login, claims in PEOPLE.items()}) as running:
        yield running


@pytest.fixture(scope="module", params=["real", "entra"])
def side(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    if request.param == "entra":
        with entra(redirect_url=BACK, people=PEOPLE) as house:
            yield Side(house, adapter(house, microsoft, TENANT), "oid of anna")
        return
    people = {"anna": ANNA | {"email_verified": True, "groups": ["Beheer"]}}
    with oidc_provider(tmp_path_factory.mktemp("provider"), redirect_url=BACK, left_url=LEFT, people=people) as real:
        yield Side(real, adapter(real, certified, None), "anna")


def told(caplog: pytest.LogCaptureFixture, error: Exception) -> str:
    """What ends up in logs, but for what the browser of these tests says."""
    lines = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx2", "httpcore2"))]
    return "\n".join([*lines, *traceback.format_exception(error)])


# Both sides


async def test_a_code_becomes_a_person(side: Side) -> None:
    proven = await side.sign_in()
    assert (proven.subject, proven.name, proven.emails[0]) == (side.subject, ANNA["name"], ANNA["email"])
    assert proven.issuer == side.house.authority  # type: ignore[attr-defined]
    assert proven.roles == {"Beheer"}
    assert "anna" not in repr(proven)


async def test_an_answer_to_another_sign_in_proves_nothing(side: Side) -> None:
    with pytest.raises(IdentityRefused):
        await side.sign_in(state="other")
    with pytest.raises(IdentityRefused):
        await side.sign_in(state=None)
    mine, theirs = await side.provider.begin(), await side.provider.begin()
    back = dict((await side.house.walk(theirs.url, "anna")).params)
    # Even with the state put right: nonce and verifier are of the other.
    with pytest.raises(IdentityRefused):
        await side.provider.finish(mine.kept, back | {"state": json.loads(mine.kept)["state"]})


async def test_an_answer_of_another_provider_proves_nothing(side: Side) -> None:
    with pytest.raises(IdentityRefused):
        await side.sign_in(iss="https://elders.example/oidc")


async def test_a_code_works_once(side: Side) -> None:
    departure = await side.provider.begin()
    back = dict((await side.house.walk(departure.url, "anna")).params)
    assert (await side.provider.finish(departure.kept, back)).subject == side.subject
    with pytest.raises(IdentityRefused):
        await side.provider.finish(departure.kept, back)


@pytest.mark.parametrize(
    "changed", [{"code": None}, {"code": ""}, {"code": "x"}, {"code": None, "error": "access_denied"}], ids=str
)
async def test_no_code_is_nobody(side: Side, changed: dict[str, str | None]) -> None:
    with pytest.raises(IdentityRefused):
        await side.sign_in(**changed)


async def test_there_is_a_place_to_sign_out_which_knows_us(side: Side) -> None:
    url = await side.provider.sign_out_url()
    assert url
    params = httpx2.URL(url).params
    assert params["post_logout_redirect_uri"] == LEFT
    assert params["client_id"] in {CLIENT_ID, certified.CLIENT_ID}
    if not isinstance(side.house, Entra):
        async with httpx2.AsyncClient(verify=side.house.trust, trust_env=False) as browser:  # type: ignore[attr-defined]
            assert (await browser.get(url)).status_code == 200


async def test_a_wrong_secret_is_our_fault_and_no_persons(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    module, tenant = (microsoft, TENANT) if isinstance(side.house, Entra) else (certified, None)
    wrong = Side(side.house, adapter(side.house, module, tenant, client_secret="kanarie-geheim"), side.subject)
    with pytest.raises(IdentityError) as caught:
        await wrong.sign_in()
    assert caught.value.is_permanent
    assert "OIDC_CLIENT" in caught.value.reason
    assert "kanarie" not in told(caplog, caught.value)


# Tokens that are not right


def _unsigned(entra: Entra, claims: Claims) -> str:
    return jwt.encode(claims, "", algorithm="none", headers={"kid": entra.keys[-1].kid})


def _hmac(entra: Entra, claims: Claims) -> str:
    """Signed with what everyone has: the public key. PyJWT will not do it, so by hand."""
    import hashlib
    import hmac

    def part(content: object) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=")

    signed = part({"alg": "HS256", "typ": "JWT", "kid": entra.keys[-1].kid}) + b"." + part(claims)
    mac = hmac.new(entra.keys[-1].public_pem, signed, hashlib.sha256).digest()
    return (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def _by(key: Callable[[Entra], Key], kid: str | None = None, **header: Any) -> Callable[[Entra, Claims], str]:
    def make(entra: Entra, claims: Claims) -> str:
        signing = key(entra)
        headers = {"kid": kid or signing.kid} | header
        return jwt.encode(claims, signing.private, algorithm="RS256", headers=headers)

    return make


def _without_kid(entra: Entra, claims: Claims) -> str:
    return jwt.encode(claims, entra.keys[-1].private, algorithm="RS256")


def _cut(entra: Entra, claims: Claims) -> str:
    head, body, _ = microsoft.signed(entra, claims).split(".")
    return f"{head}.{body}."


def _altered(entra: Entra, claims: Claims) -> str:
    head, body, signature = microsoft.signed(entra, claims).split(".")
    _, other, _ = microsoft.signed(entra, claims | {"oid": "oid of chris"}).split(".")
    assert other != body
    return f"{head}.{other}.{signature}"


def _said(**claims: Any) -> Callable[[Entra, Claims], str]:
    """Rightly signed, with these claims; none where a value is `None`."""

    def make(entra: Entra, right: Claims) -> str:
        made = right | {name: value(right) if callable(value) else value for name, value in claims.items()}
        return microsoft.signed(entra, {name: value for name, value in made.items() if value is not None})

    return make


def _later(seconds: int) -> Callable[[Claims], int]:
    return lambda right: int(right["iat"]) + seconds


WRONG: dict[str, Callable[[Entra, Claims], str]] = {
    "alg none": _unsigned,
    "HS256 with the public key": _hmac,
    "no signature": _cut,
    "other claims under the signature": _altered,
    "key of another tenant": _by(lambda entra: entra.other_tenants_key),
    "key of another tenant with our kid": _by(lambda entra: entra.other_tenants_key, "first"),
    "unknown kid": _by(lambda entra: entra.keys[-1], "unknown"),
    "no kid": _without_kid,
    "something to understand in the header": _by(lambda entra: entra.keys[-1], crit=["x"], x=1),
    "another audience": _said(aud="00000003-0000-0000-c000-000000000000"),
    "no audience": _said(aud=None),
    "more audiences and no party": _said(aud=[CLIENT_ID, "elders"]),
    "given to another client": _said(azp="elders"),
    "another issuer": _said(iss="https://login.microsoftonline.com/common/v2.0"),
    "the issuer with a slash": _said(iss=lambda right: right["iss"] + "/"),
    "the issuer of another tenant": _said(iss=lambda right: right["iss"].replace(TENANT, OTHER_TENANT)),
    "no issuer": _said(iss=None),
    "another tenant": _said(tid=OTHER_TENANT),
    "no tenant": _said(tid=None),
    "version 1.0": _said(ver="1.0"),
    "a guest of the tenant": _said(idp=f"https://sts.windows.net/{OTHER_TENANT}/"),
    "a guest by the optional claim": _said(acct=1),
    "another nonce": _said(nonce="x"),
    "no nonce": _said(nonce=None),
    "expired": _said(exp=_later(-120)),
    "never expires": _said(exp=None),
    "not valid yet": _said(nbf=_later(600)),
    "issued in the future": _said(iat=_later(600)),
    "no object": _said(oid=None),
    "an empty object": _said(oid=""),
    "an object that is no text": _said(oid=7),
    "an object that is too long": _said(oid="x" * 256),
    "no token": lambda *_: "x",
    "an empty token": lambda *_: "",
    "a token beyond measure": lambda entra, claims: microsoft.signed(entra, claims | {"x": "x" * 40_000}),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_token_that_is_not_right_is_nobody(tenant: Entra, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    side = Side(tenant, adapter(tenant, microsoft, TENANT), "oid of anna")
    tenant.maker = WRONG[name]
    with pytest.raises(IdentityRefused) as caught:
        await side.sign_in()
    # Neither what we log nor what a traceback would show names her.
    assert "anna" not in told(caplog, caught.value)
    # The same provider, the same adapter: it was the token.
    tenant.maker = microsoft.signed
    assert (await side.sign_in()).subject == side.subject


# Tokens of the pane

# What makes an ID token wrong makes an access token wrong, but for the nonce, which it has not.
WRONG_FOR_THE_PANE = {name: make for name, make in WRONG.items() if "nonce" not in name} | {
    "no scope": _said(scp=None),
    "another scope": _said(scp="User.Read"),
    "a scope that looks like it": _said(scp="access_as_user.all not_access_as_user"),
    "scopes that are no text": _said(scp=["access_as_user"]),
    "an application's own": _said(scp=None, roles=["access_as_user"], idtyp="app"),
    "no party": _said(azp=None),
    "an ID token": _said(scp=None, azp=None, nonce="x"),
    "for Graph": _said(aud="00000003-0000-0000-c000-000000000000", scp="User.Read access_as_user"),
    "by our address instead of our name": _said(aud=f"api://{CLIENT_ID}"),
}


@pytest.mark.parametrize("name", WRONG_FOR_THE_PANE)
async def test_a_token_of_the_pane_that_is_not_right_is_nobody(tenant: Entra, name: str) -> None:
    provider = adapter(tenant, microsoft, TENANT)
    right = tenant.claims("anna", azp=CLIENT_ID, scp="access_as_user")
    with pytest.raises(IdentityRefused):
        await provider.check(WRONG_FOR_THE_PANE[name](tenant, right))
    assert (await provider.check(microsoft.signed(tenant, right))).subject == "oid of anna"


async def test_the_scope_may_be_one_of_several(tenant: Entra) -> None:
    token = tenant.access_token("anna", scp="openid access_as_user profile")
    assert (await adapter(tenant, microsoft, TENANT).check(token)).subject == "oid of anna"


async def test_a_token_of_the_pane_opens_no_page(tenant: Entra) -> None:
    """Given instead of an ID token it lacks what ties it to this sign-in."""
    side = Side(tenant, adapter(tenant, microsoft, TENANT), "")
    tenant.maker = lambda entra, _: entra.access_token("anna")
    with pytest.raises(IdentityRefused):
        await side.sign_in()


async def test_only_entra_gives_tokens_that_we_may_read(tenant: Entra) -> None:
    with pytest.raises(IdentityRefused):
        await adapter(tenant, microsoft, None).check(tenant.access_token("anna"))


@pytest.mark.parametrize(
    "claims",
    [{"aud": [CLIENT_ID]}, {"aud": [CLIENT_ID, "elders"], "azp": CLIENT_ID}, {"exp": _later(-30)}, {"acct": 0}],
    ids=["one audience", "two and a party", "just expired", "a member"],
)
async def test_what_is_allowed_is_taken(tenant: Entra, claims: dict[str, Any]) -> None:
    tenant.maker = _said(**claims)
    assert (await Side(tenant, adapter(tenant, microsoft, TENANT), "").sign_in()).subject == "oid of anna"


async def test_the_address_of_the_account_is_the_directorys(tenant: Entra) -> None:
    tenant.people["anna"] = {
        "oid": "1",
        "preferred_username": "anna@zegelpost.example",
        "email": 7,
        "name": " Anna \x00 de  Vries",
    }
    proven = await Side(tenant, adapter(tenant, microsoft, TENANT), "").sign_in()
    assert (proven.emails, proven.name) == (("anna@zegelpost.example",), "Anna de Vries")


async def test_elsewhere_an_address_counts_when_the_provider_stands_for_it(tmp_path: Path) -> None:
    people: dict[str, Claims] = {
        "anna": ANNA,
        "bram": ANNA | {"email_verified": "true"},
        "chris": ANNA | {"email_verified": False},
        "eve": ANNA | {"preferred_username": "chris@zegelpost.example"},
    }
    with oidc_provider(tmp_path, redirect_url=BACK, left_url=LEFT, people=people) as real:
        provider = adapter(real, certified, None)
        for login in people:
            assert (await Side(real, provider, login).sign_in(login)).emails == ()


# More than one tenant


def of_both(tenant: Entra, **changed: Any) -> Side:
    """People of the other tenant are staff too. Of a third one nobody is."""
    tenant.people["fay"] = {
        "oid": "oid of fay",
        "tid": OTHER_TENANT,
        "name": "Fay Bos",
        "email": "chris@zegelpost.example",
        "preferred_username": "fay@zegelpost.example",
        "roles": ["Beheer"],
    }
    given = {"other_tenants": [OTHER_TENANT], "entrance": tenant.entrance} | changed
    return Side(tenant, adapter(tenant, microsoft, TENANT, **given), "oid of anna")


async def test_people_of_each_tenant_are_who_they_are_there(tenant: Entra) -> None:
    side = of_both(tenant)
    assert "/organizations/" in (await side.provider.begin()).url
    anna, fay = await side.sign_in("anna"), await side.sign_in("fay")
    assert (anna.issuer, anna.subject, anna.roles) == (tenant.authority, "oid of anna", frozenset({"Beheer"}))
    # The other's directory says neither who administers here nor who has which address, only which name is its own.
    assert (fay.issuer, fay.subject) == (tenant.authority.replace(TENANT, OTHER_TENANT), "oid of fay")
    assert (set(fay.roles), fay.emails) == (set(), ("fay@zegelpost.example",))
    for login, proven in (("anna", anna), ("fay", fay)):
        assert await side.provider.check(tenant.access_token(login)) == proven


@pytest.mark.parametrize("name", WRONG)
async def test_a_token_that_is_not_right_is_nobody_with_more_tenants_either(tenant: Entra, name: str) -> None:
    side = of_both(tenant)
    tenant.maker = WRONG[name]
    with pytest.raises(IdentityRefused):
        await side.sign_in()
    tenant.maker = microsoft.signed
    assert (await side.sign_in()).subject == side.subject


@pytest.mark.parametrize(
    "make",
    [
        _by(lambda entra: entra.keys[-1]),
        _by(lambda entra: entra.keys[-1], "other tenant"),
        _said(tid=TENANT),
        _said(iss=lambda right: right["iss"].replace(OTHER_TENANT, TENANT)),
        _said(iss=lambda right: right["iss"].replace(OTHER_TENANT, "organizations")),
        _said(iss=lambda right: right["iss"].replace(OTHER_TENANT, "{tenantid}")),
        _said(iss=lambda right: right["iss"] + "/"),
        _said(tid="88888888-2222-3333-4444-555555555555"),
        _said(acct=1),
    ],
)
async def test_what_one_tenant_signs_is_worth_nothing_as_anothers(tenant: Entra, make: microsoft.Maker) -> None:
    side = of_both(tenant)
    tenant.maker = make
    with pytest.raises(IdentityRefused):
        await side.sign_in("fay")
    right = tenant.claims("fay", azp=CLIENT_ID, scp="access_as_user")
    with pytest.raises(IdentityRefused):
        await side.provider.check(make(tenant, right))
    assert (await side.provider.check(microsoft.signed(tenant, right))).subject == "oid of fay"


async def test_a_tenant_that_is_not_named_is_elsewhere(tenant: Entra) -> None:
    third = of_both(tenant, other_tenants=["88888888-2222-3333-4444-555555555555"])
    with pytest.raises(IdentityRefused):
        await third.sign_in("fay")
    with pytest.raises(IdentityRefused):
        await third.provider.check(tenant.access_token("fay"))
    alone = Side(tenant, adapter(tenant, microsoft, TENANT), "")
    with pytest.raises(IdentityRefused):
        await alone.sign_in("fay")


# Keys


async def test_a_new_key_is_found_when_something_is_signed_with_it_and_keys_are_not_fetched_all_the_time(
    tenant: Entra, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity_tokens, "_REFETCH_SECONDS", 0)
    side = Side(tenant, adapter(tenant, microsoft, TENANT), "")
    for _ in range(3):
        await side.sign_in()
    assert tenant.key_fetches == 1
    tenant.rotate()
    await side.sign_in()
    assert tenant.key_fetches == 2


async def test_unknown_keys_do_not_make_us_ask_all_the_time(tenant: Entra) -> None:
    side = Side(tenant, adapter(tenant, microsoft, TENANT), "")
    await side.sign_in()
    tenant.maker = WRONG["unknown kid"]
    for _ in range(5):
        with pytest.raises(IdentityRefused):
            await side.sign_in()
    assert tenant.key_fetches == 1


async def test_a_key_that_was_withdrawn_signs_nothing(tenant: Entra, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_tokens, "_REFETCH_SECONDS", 0)
    side = Side(tenant, adapter(tenant, microsoft, TENANT), "")
    old = tenant.keys[-1]
    tenant.rotate()
    await side.sign_in()
    tenant.maker = _by(lambda _: old)
    with pytest.raises(IdentityRefused):
        await side.sign_in()


# Outages


async def test_a_provider_that_is_down_is_an_outage_and_comes_back(tenant: Entra) -> None:
    side = Side(tenant, adapter(tenant, microsoft, TENANT), "")
    tenant.is_down = True
    with pytest.raises(IdentityError) as caught:
        await side.provider.begin()
    assert not caught.value.is_permanent
    tenant.is_down = False
    departure = await side.provider.begin()
    back = dict((await tenant.walk(departure.url, "anna")).params)
    tenant.is_down = True
    with pytest.raises((IdentityError, IdentityRefused)):
        await side.provider.finish(departure.kept, back)
    tenant.is_down = False
    assert (await side.sign_in()).subject == "oid of anna"


async def test_nobody_answers_there_or_somebody_else_does(tenant: Entra, tmp_path: Path) -> None:
    nobody = adapter(tenant, microsoft, TENANT, authority="https://localhost:1/x")
    with pytest.raises(IdentityError):
        await nobody.begin()
    tenant.issuer_told = f"{tenant.url}/common/v2.0"
    with pytest.raises(IdentityError, match="calls itself otherwise"):
        await adapter(tenant, microsoft, TENANT).begin()
    import ssl

    stranger = adapter(tenant, microsoft, TENANT, trust=ssl.create_default_context())
    with pytest.raises(IdentityError, match="certificate"):
        await stranger.begin()
