"""Settings of codes: who carries them, where to, how many, and what that costs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final
from urllib.parse import parse_qs, urlsplit

from zegelpost.model.outgoing import Prices
from zegelpost.settings_reading import PREFIX, SettingsError, is_loopback, is_on, listed, split

_COUNTRY: Final = re.compile(r"\+[1-9][0-9]{0,2}")
_MOST_PER_DAY: Final = 1_000_000
_PRICE: Final = re.compile(r"[0-9]{1,2}(\.[0-9]{1,4})?")


def sms_url(text: str | None, *, is_demo: bool) -> str | None:
    if not text or text == "demo:":
        if text and not is_demo:
            raise SettingsError(f"{PREFIX}SMS_URL=demo: only works with {PREFIX}DEMO=1")
        return None
    urls = text.split()
    for url in urls:
        _require_sms_gateway(url)
    if len({urlsplit(url).scheme for url in urls}) < len(urls):
        raise SettingsError(f"{PREFIX}SMS_URL names one provider twice: the second is for when the first is away")
    return text


def _require_sms_gateway(url: str) -> None:
    parts = split("SMS_URL", url)
    has_origin = "from=" in parts.query
    if parts.scheme == "twilio" and parts.username and parts.password and parts.hostname and has_origin:
        return
    if parts.scheme == "messagebird" and parts.username and not parts.password and has_origin:
        return
    if parts.scheme == "messagebird+http" and parts.username and has_origin and is_loopback(parts.hostname or ""):
        return
    raise SettingsError(
        f"{PREFIX}SMS_URL must be twilio://KEY_SID:SECRET@ACCOUNT_SID?from=… or messagebird://ACCESS_KEY@?from=…,"
        " or both with a space between: the second is tried when the first sent nothing"
    )


def countries(text: str | None) -> tuple[str, ...] | None:
    """Prefixes of countries, as in front of international numbers."""
    prefixes = listed(text)
    for prefix in prefixes:
        if not _COUNTRY.fullmatch(prefix):
            raise SettingsError(f"{PREFIX}SMS_COUNTRIES: {prefix} is no country's prefix; list them, such as +31, +32")
    return prefixes or None


def codes_per_day(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= _MOST_PER_DAY):
        raise SettingsError(f"{PREFIX}SMS_PER_DAY must be a number of codes from 1 to {_MOST_PER_DAY}, not {text!r}")
    return int(text)


def has_spoken_codes(values: Mapping[str, str], *, is_demo: bool) -> bool:
    """Off unless asked for: every call needs a number of our own, and proof of who tells that a key was pressed."""
    is_wanted = is_on(values, "SPOKEN_CODES", default=is_demo)
    if not is_wanted or is_demo:
        return is_wanted
    if not values.get("TWILIO_AUTH_TOKEN"):
        raise SettingsError(
            f"{PREFIX}SPOKEN_CODES=on needs {PREFIX}TWILIO_AUTH_TOKEN, to check who asks for a code to be read out"
        )
    twilio = next((url for url in (values.get("SMS_URL") or "").split() if url.startswith("twilio:")), "")
    options = parse_qs(urlsplit(twilio).query.replace("+", "%2B"))
    if not any(number.startswith("+") for name in ("from", "call_from") for number in options.get(name, [])):
        raise SettingsError(f"{PREFIX}SPOKEN_CODES=on needs a number to call from: add call_from=+31… to {PREFIX}SMS_URL")
    return is_wanted


def prices(values: Mapping[str, str], *, is_demo: bool) -> Prices:
    """By the provider's price list: what it reports per message comes late, and in its own currency."""
    if is_demo:
        values = {"SMS_PRICE": "0.08", "CALL_PRICE": "0.15", **values}
    return Prices(_price("SMS_PRICE", values), _price("CALL_PRICE", values))


def _price(name: str, values: Mapping[str, str]) -> Decimal | None:
    text = values.get(name)
    if text and not _PRICE.fullmatch(text):
        raise SettingsError(f"{PREFIX}{name} must be an amount in euros such as 0.085, not {text!r}")
    return Decimal(text) if text else None
