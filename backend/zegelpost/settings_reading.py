"""What every setting is read with: its prefix, lists, addresses, choices, and the line that stops the start."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final, NoReturn
from urllib.parse import SplitResult, urlsplit

PREFIX: Final = "ZEGELPOST_"


class SettingsError(Exception):
    """A missing or unsafe value. The text is one line that names the setting and says what to do."""


def missing(name: str, meaning: str) -> NoReturn:
    raise SettingsError(f"{PREFIX}{name} is missing: set it to {meaning}")


def listed(text: str | None) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def split(name: str, url: str) -> SplitResult:
    """The parts of an address; one with a port or host that is none stops the start here, not at the first mail."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise SettingsError(f"{PREFIX}{name} is not an address: {error}") from None
    return parts


def is_loopback(hostname: str) -> bool:
    """Whether a host name can only mean this machine."""
    if hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return False


def is_on(values: Mapping[str, str], name: str, *, default: bool = True) -> bool:
    """What is a choice and no more: `on` or `off`."""
    text = values.get(name)
    if text and text not in {"on", "off"}:
        raise SettingsError(f"{PREFIX}{name} must be on or off, not {text!r}")
    return text == "on" if text else default
