"""Settings of the organisation's own sign-in provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from zegelpost.settings_reading import PREFIX, SettingsError, listed, missing, split

# Microsoft's sign-in pages, in its three clouds. Anyone's tenant is there, so the address has to name ours.
_ENTRA_HOSTS: Final = ("login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn")
_ENTRA: Final = re.compile(r"https://[^/]+/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/v2\.0")
_BY_ITS_WORD: Final = ("OIDC_ADMINISTRATORS", "OIDC_AUDITORS")
_TOGETHER: Final = ("OIDC_AUTHORITY", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInProvider:
    """Entra ID or any other OpenID provider, and who administers or audits by its word: names of groups or app roles."""

    authority: str
    client_id: str
    client_secret: str = field(repr=False)
    administrators: tuple[str, ...] = ()
    auditors: tuple[str, ...] = ()

    @property
    def entra_tenant(self) -> str | None:
        """The organisation's tenant, when the provider is Entra ID; its issuers are told by their address."""
        found = _ENTRA.fullmatch(self.authority)
        return found.group(1) if found else None


def sign_in_provider(values: Mapping[str, str]) -> SignInProvider | None:
    """The three that belong together, and what only means something with them."""
    given = [name for name in _TOGETHER if values.get(name)]
    administrators, auditors = (listed(values.get(name)) for name in _BY_ITS_WORD)
    if not given:
        for name in _BY_ITS_WORD:
            if values.get(name):
                raise SettingsError(f"{PREFIX}{name} only means something with {PREFIX}OIDC_AUTHORITY")
        return None
    for name in _TOGETHER:
        if name not in given:
            missing(name, f"what {PREFIX}{given[0]} goes with: sign-in at a provider needs all three")
    return SignInProvider(
        authority=_authority(values["OIDC_AUTHORITY"]),
        client_id=values["OIDC_CLIENT_ID"],
        client_secret=values["OIDC_CLIENT_SECRET"],
        administrators=administrators,
        auditors=auditors,
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
