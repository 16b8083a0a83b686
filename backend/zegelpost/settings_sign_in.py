"""Settings of the organisation's own sign-in provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from zegelpost.settings_reading import PREFIX, SettingsError, listed, missing, split

# Microsoft's sign-in pages, in its three clouds. Anyone's tenant is there, so the address has to name ours.
_ENTRA_HOSTS: Final = ("login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn")
_TENANT: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ENTRA: Final = re.compile(rf"(https://[^/]+)/({_TENANT})/v2\.0")
_WITH_IT: Final = ("OIDC_ADMINISTRATORS", "OIDC_AUDITORS", "OIDC_TENANTS")
_TOGETHER: Final = ("OIDC_AUTHORITY", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInProvider:
    """Entra ID or any other OpenID provider, and who administers or audits by its word: names of groups or app roles."""

    authority: str
    client_id: str
    client_secret: str = field(repr=False)
    administrators: tuple[str, ...] = ()
    auditors: tuple[str, ...] = ()
    other_tenants: tuple[str, ...] = ()  # of Entra ID, whose people are staff too

    @property
    def entra_tenant(self) -> str | None:
        """The organisation's tenant, when the provider is Entra ID; its issuers are told by their address."""
        found = _ENTRA.fullmatch(self.authority)
        return found.group(2) if found else None

    @property
    def entrance(self) -> str:
        """Where people go to sign in. With several tenants that of all there are: Microsoft asks them which is theirs."""
        found = _ENTRA.fullmatch(self.authority)
        return f"{found.group(1)}/organizations/v2.0" if found and self.other_tenants else self.authority


def sign_in_provider(values: Mapping[str, str]) -> SignInProvider | None:
    """The three that belong together, and what only means something with them."""
    given = [name for name in _TOGETHER if values.get(name)]
    if not given:
        for name in _WITH_IT:
            if values.get(name):
                raise SettingsError(f"{PREFIX}{name} only means something with {PREFIX}OIDC_AUTHORITY")
        return None
    for name in _TOGETHER:
        if name not in given:
            missing(name, f"what {PREFIX}{given[0]} goes with: sign-in at a provider needs all three")
    authority = _authority(values["OIDC_AUTHORITY"])
    return SignInProvider(
        authority=authority,
        client_id=values["OIDC_CLIENT_ID"],
        client_secret=values["OIDC_CLIENT_SECRET"],
        administrators=listed(values.get("OIDC_ADMINISTRATORS")),
        auditors=listed(values.get("OIDC_AUDITORS")),
        other_tenants=_other_tenants(values.get("OIDC_TENANTS"), authority),
    )


def _authority(text: str) -> str:
    """An issuer's identifier (OpenID Connect Discovery, section 3). `msal` asks for a path in it."""
    url = text.rstrip("/")
    parts = split("OIDC_AUTHORITY", url)
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment or not parts.path:
        raise SettingsError(f"{PREFIX}OIDC_AUTHORITY must be https://host/path, as the provider calls itself, not {url}")
    if parts.hostname in _ENTRA_HOSTS and not _ENTRA.fullmatch(url):
        # `common` and `organizations` would let the staff of any organisation in the world prove who they are.
        raise SettingsError(f"{PREFIX}OIDC_AUTHORITY must be https://{parts.hostname}/<your tenant's identifier>/v2.0")
    return url


def _other_tenants(text: str | None, authority: str) -> tuple[str, ...]:
    """Besides the one that the authority names, each by its identifier: a name can be had by someone else later."""
    tenants, own = listed((text or "").lower()), _ENTRA.fullmatch(authority)
    if tenants and own is None:
        raise SettingsError(f"{PREFIX}OIDC_TENANTS is for Entra ID: {PREFIX}OIDC_AUTHORITY has to name a tenant there")
    for tenant in tenants:
        if not re.fullmatch(_TENANT, tenant):
            raise SettingsError(f"{PREFIX}OIDC_TENANTS: {tenant} is no identifier of a tenant; list them with commas")
    return tuple(dict.fromkeys(tenant for tenant in tenants if own is not None and tenant != own.group(2)))
