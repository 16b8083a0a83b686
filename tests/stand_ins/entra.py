"""Entra ID as its documentation describes it: one tenant's issuer with code flow and PKCE, on loopback. It lies on command.

Sources: Microsoft's pages on the authorisation code flow, on ID token claims and on access token claims.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import jwt
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from tests.stand_ins.http_server import Handler, served

TENANT, OTHER_TENANT = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
CLIENT_ID, CLIENT_SECRET = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "Q~geheim/met+tekens"
Claims = dict[str, Any]
# Makes the token that goes out from the claims that would be in it.
Maker = Callable[["Entra", Claims], str]


@dataclass
class Key:
    """A signing key. One that is not published is somebody else's."""

    kid: str
    private: RSAPrivateKey = field(default_factory=lambda: generate_private_key(65537, 2048))

    @property
    def public_pem(self) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, form)


def signed(entra: Entra, claims: Claims) -> str:
    """As it should be: by the key of the tenant that the issuer names."""
    key = entra.other_tenants_key if f"/{OTHER_TENANT}/" in str(claims.get("iss")) else entra.keys[-1]
    return jwt.encode(claims, key.private, algorithm="RS256", headers={"kid": key.kid})


@dataclass
class Entra:
    """`people` are claims by the login that `walk` gives. `maker` makes the ID tokens that go out."""

    url: str
    trust: ssl.SSLContext
    redirect_url: str
    people: dict[str, Claims]
    authority_pem: bytes
    # Who signs in when the address does not say it, as in a browser of a test that drives one.
    at_the_keyboard: str = ""
    keys: list[Key] = field(default_factory=lambda: [Key("first")])
    other_tenants_key: Key = field(default_factory=lambda: Key("other tenant"))
    maker: Maker = signed
    issuer_told: str = ""
    is_down: bool = False
    key_fetches: int = 0
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def authority(self) -> str:
        return f"{self.url}/{TENANT}/v2.0"

    @property
    def entrance(self) -> str:
        """Of all tenants there are; whose `tid` is another than ours comes back with a token of that one."""
        return f"{self.url}/organizations/v2.0"

    def rotate(self) -> None:
        """A new key signs from now on; the old one is gone."""
        self.keys[:] = [Key(secrets.token_hex(4))]

    def claims(self, login: str, **more: Any) -> Claims:
        """Of a token for this person, now."""
        now = int(time.time())
        tenant = self.people[login].get("tid", TENANT)
        issuer = f"{self.url}/{tenant}/v2.0"
        base = {"iss": issuer, "aud": CLIENT_ID, "iat": now, "nbf": now, "exp": now + 3600, "ver": "2.0", "tid": tenant}
        return base | {"sub": f"pairwise {login}"} | self.people[login] | more

    def access_token(self, login: str, **more: Any) -> str:
        """What Outlook would be given for our API; `None` leaves a claim out."""
        claims = self.claims(login, azp=CLIENT_ID, azpacr="0", scp="access_as_user") | more
        return signed(self, {name: value for name, value in claims.items() if value is not None})

    async def walk(self, url: str, login: str) -> httpx2.URL:
        """Sign in as this person, in a new browser, up to where they are sent back to."""
        async with httpx2.AsyncClient(verify=self.trust, trust_env=False) as browser:
            answer = await browser.get(f"{url}&login={login}")
        assert answer.status_code == 302, answer.text
        return httpx2.URL(answer.headers["location"])


@contextmanager
def entra(*, redirect_url: str, people: dict[str, Claims]) -> Iterator[Entra]:
    """A running one."""
    authority = trustme.CA()
    tls, trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(trust)

    def made(url: str) -> Entra:
        return Entra(url, trust, redirect_url, people, authority.cert_pem.bytes())

    with served(_Handler, made, tls) as running:
        yield running


class _Handler(Handler, BaseHTTPRequestHandler):
    @property
    def entra(self) -> Entra:
        return self.stand_in(Entra)

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, dict(parse_qsl(urlsplit(self.path).query))
        if self.entra.is_down:
            self._json(503, {"error": "temporarily_unavailable"})
        elif path == f"/{TENANT}/v2.0/.well-known/openid-configuration":
            self._json(200, self._description(TENANT))
        elif path == "/organizations/v2.0/.well-known/openid-configuration":
            self._json(200, self._description("organizations") | {"issuer": f"{self.entra.url}/{{tenantid}}/v2.0"})
        elif path == f"/{OTHER_TENANT}/discovery/v2.0/keys":
            self._json(200, {"keys": [self._jwk(self.entra.other_tenants_key)]})
        elif path == f"/{TENANT}/discovery/v2.0/keys":
            self.entra.key_fetches += 1
            self._json(200, {"keys": [self._jwk(key) for key in self.entra.keys]})
        elif path in {f"/{TENANT}/oauth2/v2.0/authorize", "/organizations/oauth2/v2.0/authorize"}:
            self._authorize(query)
        else:
            self._json(404, {"error": "not_found"})

    def do_POST(self) -> None:
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        asked = self.entra.codes.pop(form.get("code", ""), None)
        if self.entra.is_down:
            self._json(503, {"error": "temporarily_unavailable"})
        elif (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            self._json(401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret"})
        elif asked is None or form.get("redirect_uri") != asked["redirect_uri"] or not _fits(form, asked):
            self._json(400, {"error": "invalid_grant"})
        else:
            claims = self.entra.claims(asked["login"], nonce=asked["nonce"])
            token = self.entra.maker(self.entra, claims)
            answer = {"token_type": "Bearer", "expires_in": 3600, "access_token": "for userinfo", "id_token": token}
            self._json(200, answer)

    def _authorize(self, query: dict[str, str]) -> None:
        """Whoever `walk` says it is signs in at once."""
        wrong = (query.get("client_id"), query.get("redirect_uri")) != (CLIENT_ID, self.entra.redirect_url)
        if wrong or query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            self._json(400, {"error": "invalid_request"})
            return
        answer = {"state": query["state"], "session_state": "x"}
        query.setdefault("login", self.entra.at_the_keyboard)
        if query["login"] in self.entra.people:
            answer["code"] = secrets.token_urlsafe(16)
            self.entra.codes[answer["code"]] = query
        else:
            answer |= {"error": "access_denied", "error_description": f"AADSTS50105: {query['login']} is not assigned"}
        self.answer(302, b"", {"Location": f"{query['redirect_uri']}?{urlencode(answer)}"})

    def _description(self, tenant: str) -> dict[str, str]:
        base = f"{self.entra.url}/{tenant}"
        return {
            "issuer": self.entra.issuer_told or self.entra.authority,
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "end_session_endpoint": f"{base}/oauth2/v2.0/logout",
        }

    def _jwk(self, key: Key) -> dict[str, Any]:
        jwk = jwt.algorithms.RSAAlgorithm.to_jwk(key.private.public_key(), as_dict=True)
        return {"kty": jwk["kty"], "n": jwk["n"], "e": jwk["e"], "kid": key.kid, "use": "sig"}

    def _json(self, status: int, content: dict[str, Any]) -> None:
        self.answer(status, json.dumps(content).encode())


def _fits(form: dict[str, str], asked: dict[str, str]) -> bool:
    """RFC 7636, section 4.6."""
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
