"""The organisation's sign-in provider: Entra ID or any other that speaks OpenID Connect, through `msal`.

Authorisation code flow with PKCE (RFC 7636), state and nonce, as `msal` makes them; tokens are verified by `identity_tokens`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msal  # type: ignore[import-untyped]
import requests
from msal.exceptions import MsalServiceError  # type: ignore[import-untyped]
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from zegelpost.adapters.identity_tokens import Tokens, claimed_issuer
from zegelpost.model.refusals import IdentityRefused
from zegelpost.ports import Departure, IdentityError, ProvenIdentity

_DESCRIPTION_LIFESPAN_SECONDS: Final = 24 * 3600
# What the provider says of ourselves, not of the person (RFC 6749, sections 4.1.2.1 and 5.2).
_OUR_FAULTS: Final = {"invalid_client", "unauthorized_client", "invalid_scope", "unsupported_response_type", "invalid_request"}
_THEIR_FAULTS: Final = {"server_error", "temporarily_unavailable"}


@dataclass(frozen=True, slots=True)
class Description:
    """What a provider says of itself (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    keys_url: str
    sign_out_url: str | None


@dataclass(frozen=True, slots=True)
class _Connection:
    """Everything that follows from the description, made anew once a day."""

    application: msal.ConfidentialClientApplication
    verifiers: Mapping[str, Tokens]  # by issuer
    sign_out_url: str | None
    made_at: float


class OidcProvider:
    """`authority` is the issuer's identifier; `tenant` the organisation's, when it is Entra ID.

    `other_tenants` are those whose people are staff too. Nobody can tell beforehand who comes from which, so people go to the
    `entrance` of all tenants; what comes back counts when it is of exactly one of these.
    """

    def __init__(
        self,
        *,
        authority: str,
        client_id: str,
        client_secret: str,
        tenant: str | None,
        other_tenants: Sequence[str] = (),
        entrance: str | None = None,
        redirect_url: str,
        left_url: str,
        timeout_seconds: float = 10,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """`left_url` is where someone lands who signed out there; `trust` replaces the system's authorities."""
        self._authority = authority
        self._client_id = client_id
        self._client_secret = client_secret
        self._tenant = tenant
        self._other_tenants = other_tenants
        self._entrance = entrance or authority
        self._issuers = {authority: tenant} | {self._of_tenant(each, "v2.0"): each for each in other_tenants}
        self._redirect_url = redirect_url
        self._left_url = left_url
        self._timeout_seconds = timeout_seconds
        self._trust = trust or ssl.create_default_context()
        self._http = _Http(self._trust, timeout_seconds)
        self._making = threading.Lock()
        self._connection: _Connection | None = None
        # It would have us take `form_post`, see `_begin`.
        warnings.filterwarnings("ignore", message="response_mode='form_post'", category=UserWarning)
        # At DEBUG they write down addresses with codes in them.
        for name in ("msal", "urllib3"):
            logging.getLogger(name).setLevel(logging.WARNING)

    async def begin(self) -> Departure:
        return await asyncio.to_thread(self._begin)

    async def finish(self, kept: str, answer: Mapping[str, str]) -> ProvenIdentity:
        return await asyncio.to_thread(self._finish, kept, answer)

    async def check(self, access_token: str) -> ProvenIdentity:
        return await asyncio.to_thread(self._check, access_token)

    async def sign_out_url(self) -> str | None:
        connection = await asyncio.to_thread(self._connected)
        if connection.sign_out_url is None:
            return None
        # OpenID Connect RP-Initiated Logout 1.0, section 2. No ID token as a hint: keeping it would be keeping who it is of.
        query = urlencode({"client_id": self._client_id, "post_logout_redirect_uri": self._left_url})
        return f"{connection.sign_out_url}{'&' if '?' in connection.sign_out_url else '?'}{query}"

    def describe(self) -> Description:
        """What the provider says of itself, asked now. Raises `IdentityError`."""
        try:
            answer = self._http.get(f"{self._entrance}/.well-known/openid-configuration")
            described = json.loads(answer.text)
        except requests.exceptions.SSLError as error:
            raise IdentityError("the certificate of the sign-in provider is not trusted") from error
        except (requests.RequestException, ValueError) as error:
            raise IdentityError("the sign-in provider does not describe itself") from error
        if not isinstance(described, dict) or answer.status_code != requests.codes.ok:
            raise IdentityError("the sign-in provider does not describe itself")
        # Section 4.3: exactly. `msal` is content with the same host. At the entrance of all tenants a place is held for theirs.
        if described.get("issuer") != (self._of_tenant("{tenantid}", "v2.0") if self._other_tenants else self._authority):
            raise IdentityError("the sign-in provider calls itself otherwise than ZEGELPOST_OIDC_AUTHORITY", is_permanent=True)
        keys, sign_out = described.get("jwks_uri"), described.get("end_session_endpoint")
        needed = [keys, described.get("authorization_endpoint"), described.get("token_endpoint")]
        if not all(_is_https(each) for each in needed):
            raise IdentityError("the sign-in provider has addresses without https", is_permanent=True)
        if self._other_tenants:
            keys = self._of_tenant(str(self._tenant), "discovery/v2.0/keys")
        return Description(self._authority, str(keys), str(sign_out) if _is_https(sign_out) else None)

    def key_count(self, described: Description) -> int:
        """How many keys it publishes that can sign a token for us; of several tenants, the fewest. Raises `IdentityError`."""
        return min(tokens.key_count() for tokens in self._verifiers(described).values())

    def _begin(self) -> Departure:
        connection = self._connected()
        flow = connection.application.initiate_auth_code_flow(
            scopes=["email"],
            redirect_uri=self._redirect_url,
            # Not `form_post` (RFC 9700, section 4.3.1): a browser sends no Lax cookies with another site's form. The code in the
            # address is worth nothing twice, nor without the verifier, and is never on a page.
            response_mode="query",
        )
        return Departure(flow["auth_uri"], json.dumps(flow))

    def _finish(self, kept: str, answer: Mapping[str, str]) -> ProvenIdentity:
        """From what the browser brought to who it is.

        1. The answer is to this sign-in (state), and of this provider where it says of which (RFC 9207).
        2. The code becomes tokens, with the verifier that never left us (PKCE).
        3. The ID token is verified, nonce included.
        """
        connection = self._connected()
        flow: dict[str, Any] = json.loads(kept)
        # 1.
        if answer.get("state") != flow["state"] or answer.get("iss", self._authority) not in self._issuers:
            raise IdentityRefused
        # 2.
        try:
            result: dict[str, Any] = connection.application.acquire_token_by_auth_code_flow(flow, dict(answer))
        except (requests.RequestException, MsalServiceError) as error:
            raise IdentityError("the sign-in provider does not answer") from error
        except (ValueError, RuntimeError, LookupError, TypeError, AttributeError):
            # It does not look before it takes a token apart, and its texts quote tokens and nonces.
            raise IdentityRefused from None
        if "error" in result:
            raise _verdict(str(result["error"]))
        # 3. It is `msal` that hashes the nonce before it asks with it.
        token = str(result.get("id_token", ""))
        return _verifier(connection, token).of_sign_in(token, nonce=sha256(flow["nonce"].encode()).hexdigest())

    def _check(self, access_token: str) -> ProvenIdentity:
        # Elsewhere an access token is not for us to read, and says of nobody for whom it is.
        if self._tenant is None:
            raise IdentityRefused
        return _verifier(self._connected(), access_token).of_pane(access_token)

    def _connected(self) -> _Connection:
        """On first use, not at the start: a provider that is down must not keep everything else down."""
        with self._making:
            now = time.monotonic()
            if self._connection is None or now - self._connection.made_at > _DESCRIPTION_LIFESPAN_SECONDS:
                self._connection = self._connect(now)
            return self._connection

    def _connect(self, now: float) -> _Connection:
        described = self.describe()
        try:
            application = msal.ConfidentialClientApplication(
                self._client_id,
                client_credential=self._client_secret,
                oidc_authority=self._entrance,
                http_client=self._http,
                http_cache=_NoAnswersKept(),
                token_cache=_NothingKept(),
                exclude_scopes=["offline_access"],
            )
        except (requests.RequestException, ValueError, KeyError) as error:
            raise IdentityError("the sign-in provider does not describe itself") from error
        return _Connection(application, self._verifiers(described), described.sign_out_url, now)

    def _verifiers(self, described: Description) -> dict[str, Tokens]:
        """One for each issuer, with keys of its own: what one tenant signs is worth nothing as another's."""
        return {
            issuer: Tokens(
                issuer=issuer,
                client_id=self._client_id,
                tenant=tenant,
                keys_url=described.keys_url
                if issuer == described.issuer
                else self._of_tenant(str(tenant), "discovery/v2.0/keys"),
                timeout_seconds=self._timeout_seconds,
                trust=self._trust,
                is_own=issuer == described.issuer,
            )
            for issuer, tenant in self._issuers.items()
        }

    def _of_tenant(self, tenant: str, path: str) -> str:
        """An address at Entra ID, next to that of our own tenant."""
        return f"{self._authority.removesuffix(f'/{self._tenant}/v2.0')}/{tenant}/{path}"


def _verifier(connection: _Connection, token: str) -> Tokens:
    """Who judges a token: of several issuers, the one that it says it is of. Raises `IdentityRefused`."""
    verifiers = list(connection.verifiers.values())
    found = verifiers[0] if len(verifiers) == 1 else connection.verifiers.get(claimed_issuer(token))
    if found is None:
        raise IdentityRefused
    return found


def _verdict(error: str) -> IdentityRefused | IdentityError:
    """Whose fault it is. The provider's own text stays out: it may name the person."""
    if error in _OUR_FAULTS:
        return IdentityError(
            "the sign-in provider refuses us: see ZEGELPOST_OIDC_CLIENT_ID, …_SECRET and the registration", is_permanent=True
        )
    return IdentityError("the sign-in provider has a fault") if error in _THEIR_FAULTS else IdentityRefused()


def _is_https(url: object) -> bool:
    return isinstance(url, str) and urlsplit(url).scheme == "https" and bool(urlsplit(url).hostname)


class _NothingKept(msal.TokenCache):  # type: ignore[misc]
    """We want to know once who it is: tokens of people are not for keeping, in memory neither."""

    def add(self, event: object, now: object = None) -> None:
        pass


class _NoAnswersKept(dict[str, object]):
    """`msal` keeps an answer like "too busy" for up to an hour, by a key without the code: one person's would be everyone's."""

    def __setitem__(self, key: str, value: object) -> None:
        pass


class _TrustingAdapter(HTTPAdapter):
    """Believes the authorities of a context, as the other adapters do, and so those in `SSL_CERT_FILE`."""

    def __init__(self, trust: ssl.SSLContext) -> None:
        self._trust = trust
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, ssl_context=self._trust)


class _Http:
    """What `msal` asks of an HTTP client: time-outs always, redirects never, nothing from the environment but proxies."""

    def __init__(self, trust: ssl.SSLContext, timeout_seconds: float) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount("https://", _TrustingAdapter(trust))
        # What one person's answer sets must not go along with another's.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._options: dict[str, Any] = {"timeout": timeout_seconds, "allow_redirects": False}

    def get(self, url: str, **options: Any) -> requests.Response:
        return self._session.get(url, **(options | self._options), proxies=get_environ_proxies(url))

    def post(self, url: str, **options: Any) -> requests.Response:
        return self._session.post(url, **(options | self._options), proxies=get_environ_proxies(url))

    def close(self) -> None:
        self._session.close()
