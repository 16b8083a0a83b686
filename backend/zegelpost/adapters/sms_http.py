"""What gateways that speak HTTP have in common: whether a message left when something went wrong on the line, and two headers."""

from __future__ import annotations

import ssl
from datetime import datetime
from email.utils import parsedate_to_datetime

from zegelpost.model.whole_number import whole_number
from zegelpost.ports import SmsError, SmsErrorKind


def unclear(reason: str) -> SmsError:
    """Nobody knows whether it left."""
    return SmsError(reason, kind=SmsErrorKind.OTHER, is_permanent=False, may_have_been_sent=True)


def failed(provider: str, status: int) -> SmsError:
    """RFC 9110, section 15.6. It may have failed after queueing the message."""
    return SmsError(f"{provider} failed (HTTP {status})", kind=SmsErrorKind.BUSY, is_permanent=False, may_have_been_sent=True)


def broken(provider: str, error: Exception) -> SmsError:
    """Of an error of `requests`. Only what certainly went wrong before a byte of the message left counts as not sent."""
    # Takes a tenth of a second to import, which only installations with such a gateway pay.
    from requests import ConnectTimeout  # noqa: PLC0415
    from requests.exceptions import ProxyError  # noqa: PLC0415
    from urllib3.exceptions import MaxRetryError, NewConnectionError, SSLError  # noqa: PLC0415

    cause = error.args[0] if error.args else None
    fault = cause.reason if isinstance(cause, MaxRetryError) else None
    if isinstance(fault, SSLError) and isinstance(fault.args[0], ssl.SSLCertVerificationError):
        reason = f"no trustworthy TLS with {provider}: {fault.args[0].verify_message}"
        return SmsError(reason, kind=SmsErrorKind.OUR_SETUP, is_permanent=False, may_have_been_sent=False)
    # `ProxyError`: the proxy was not reached, or let nothing through.
    if isinstance(error, ConnectTimeout | ProxyError) or isinstance(fault, NewConnectionError):
        return SmsError(f"cannot connect to {provider}", kind=SmsErrorKind.BUSY, is_permanent=False, may_have_been_sent=False)
    return unclear(f"the connection to {provider} was lost or too slow")


def retry_after(text: str | None) -> float | None:
    """RFC 9110, section 10.2.3, in seconds; the form with a date is not worth a clock that may differ."""
    return whole_number((text or "").strip(), most_digits=5)


def moment(text: str | None) -> datetime | None:
    """The provider's clock, from its `Date`."""
    try:
        return parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
