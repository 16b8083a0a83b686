"""Tokens of the sign-in provider, verified: a JWT is only a claim until its signature, its issuer and its audience are right.

`msal` leaves this to whoever uses it: since 1.38 it takes an ID token as it comes. Sources: OpenID Connect Core 1.0, section
3.1.3.7; RFC 8725 (JWT best current practices); Microsoft's pages on the claims of ID tokens and access tokens.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final

import jwt

from zegelpost.model.identity import LONGEST_SUBJECT
from zegelpost.model.refusals import IdentityRefused
from zegelpost.ports import IdentityError, ProvenIdentity

# One algorithm, ours to say: what a token's header asks for (`none`, or HMAC with the public key as secret) is not looked at.
_ALGORITHMS: Final = ["RS256"]
_LEEWAY_SECONDS: Final = 60
_KEYS_LIFESPAN_SECONDS: Final = 3600
_REFETCH_SECONDS: Final = 60  # a token with an unknown key makes us look for new ones, but not more often
_LONGEST_TOKEN: Final = 32_768  # characters; with many groups they grow
_LONGEST_NAME: Final = 120

# What the add-in asks for, as the registration exposes it: `api://<client id>/access_as_user`.
SCOPE: Final = "access_as_user"

Claims = Mapping[str, Any]


class Tokens:
    """Verifies what one issuer signed for one client. Blocks; for a thread."""

    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        tenant: str | None,
        keys_url: str,
        timeout_seconds: float,
        trust: ssl.SSLContext,
        is_own: bool = True,
    ) -> None:
        """`tenant` is the issuer's, when the provider is Entra ID; `is_own`: of the organisation itself, see `_identity`."""
        self._issuer = issuer
        self._client_id = client_id
        self._tenant = tenant
        self._is_own = is_own
        self._keys = jwt.PyJWKClient(
            keys_url,
            lifespan=_KEYS_LIFESPAN_SECONDS,
            cooldown_duration=_REFETCH_SECONDS,
            timeout=timeout_seconds,
            ssl_context=trust,
        )

    def key_count(self) -> int:
        """How many keys the issuer publishes that can sign what we take. Raises `IdentityError`."""
        try:
            return sum(key.algorithm_name in _ALGORITHMS for key in self._keys.get_signing_keys())
        except jwt.PyJWTError as error:
            raise IdentityError("the sign-in provider does not give its keys") from error

    def of_sign_in(self, token: str, *, nonce: str) -> ProvenIdentity:
        """Who an ID token proves this to be. Raises `IdentityRefused`, `IdentityError`.

        1. The claims that every token has are right, see `_verified`.
        2. It answers this very sign-in: the nonce (OpenID Connect Core, 3.1.3.7, step 11).
        """
        # 1.
        claims = self._verified(token)
        # 2.
        if not nonce or claims.get("nonce") != nonce:
            raise IdentityRefused
        return self._identity(claims)

    def of_pane(self, token: str) -> ProvenIdentity:
        """Who an access token proves this to be, that the add-in was given for us. Raises `IdentityRefused`, `IdentityError`.

        1. The claims that every token has are right, see `_verified`.
        2. It was given to our own add-in, for us alone: audience and party are named, and are us.
        3. For our API: it has the scope. An ID token has none, nor has what an application got for itself.
        """
        # 1.
        claims = self._verified(token)
        # 2.
        if (claims["aud"], claims.get("azp")) != (self._client_id, self._client_id):
            raise IdentityRefused
        # 3.
        scopes = claims.get("scp")
        if not isinstance(scopes, str) or SCOPE not in scopes.split(" "):
            raise IdentityRefused
        return self._identity(claims)

    def _verified(self, token: str) -> Claims:
        """The claims of a token for which all of this holds; raises `IdentityRefused`, `IdentityError`.

        1. It is signed with RS256 by a key that the issuer publishes at this moment.
        2. It is of exactly this issuer, for us, not expired, and not from the future.
        3. If it names the client it was given to, that is us; with several audiences it has to name it.
        4. At Entra: of our tenant and of version 2.0. Guests of the tenant are somebody else's staff.
        """
        if len(token) > _LONGEST_TOKEN:
            raise IdentityRefused
        try:
            # 1.
            key = self._keys.get_signing_key(_key_id(token))
            # 2.
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=self._client_id,
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["iss", "sub", "aud", "exp", "iat"]},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise IdentityError("the sign-in provider does not give its keys") from error
        except (jwt.PyJWTError, ValueError):
            # Without the cause: texts of the library quote from the token.
            raise IdentityRefused from None
        # 3.
        audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if claims.get("azp", None if len(audiences) > 1 else self._client_id) != self._client_id:
            raise IdentityRefused
        # 4.
        if self._tenant is not None:
            if (claims.get("tid"), claims.get("ver")) != (self._tenant, "2.0"):
                raise IdentityRefused
            if claims.get("acct") == 1 or claims.get("idp", self._issuer) != self._issuer:
                raise IdentityRefused
        return claims

    def _identity(self, claims: Claims) -> ProvenIdentity:
        # Who administers, and who has which address, is for the organisation's own tenant to say, see also `_emails`.
        roles = {*_words(claims.get("roles")), *_words(claims.get("groups"))} if self._is_own else ()
        # At Entra, `sub` differs per application; `oid` is the person in the tenant that the issuer names.
        subject = claims.get("oid" if self._tenant else "sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
            raise IdentityRefused
        name = claims.get("name")
        return ProvenIdentity(
            issuer=self._issuer,
            subject=subject,
            emails=self._emails(claims),
            name=" ".join(name.replace("\x00", "").split())[:_LONGEST_NAME] if isinstance(name, str) else "",
            roles=frozenset(roles),
        )

    def _emails(self, claims: Claims) -> tuple[str, ...]:
        """Addresses the provider stands for. In a tenant of our own its directory does; elsewhere it has to say so.

        Of another tenant only the name to sign in with: its domain Microsoft had that tenant prove, and `email` is free text.
        """
        if self._tenant is not None:
            names: tuple[str, ...] = ("email", "preferred_username") if self._is_own else ("preferred_username",)
        else:
            names = ("email",) if claims.get("email_verified") is True else ()
        return tuple(claims[name] for name in names if isinstance(claims.get(name), str))


def claimed_issuer(token: str) -> str:
    """By whose keys a token may turn out to be right; so far it is only a claim. Raises `IdentityRefused`."""
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss") if len(token) <= _LONGEST_TOKEN else None
    except (jwt.PyJWTError, ValueError):
        raise IdentityRefused from None
    if not isinstance(issuer, str):
        raise IdentityRefused
    return issuer


def _key_id(token: str) -> str:
    # `crit` names extensions that have to be understood (RFC 7515, section 4.1.11), and we understand none.
    header = jwt.get_unverified_header(token)
    if not isinstance(header.get("kid"), str) or "crit" in header:
        raise IdentityRefused
    return str(header["kid"])


def _words(claim: object) -> list[str]:
    """Groups or roles. Where there are too many, Entra leaves them out and says so elsewhere: then there are none."""
    return [each for each in claim if isinstance(each, str)] if isinstance(claim, list) else []
