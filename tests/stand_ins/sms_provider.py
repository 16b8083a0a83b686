"""What stand-ins of SMS providers have in common: they misbehave on command, once for each command."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.stand_ins.http_server import Handler


@dataclass(frozen=True, slots=True)
class Trouble:
    """How the next request ends. Without status, the connection is cut."""

    status: int | None
    code: int = 0
    parameter: str | None = None
    is_accepted: bool = False
    delay_seconds: float = 0
    body: bytes | None = None
    retry_after_seconds: int | None = None


@dataclass(slots=True)
class SmsProvider:
    """What a test holds."""

    url: str
    upcoming: deque[Trouble] = field(default_factory=deque)
    closing: threading.Event = field(default_factory=threading.Event)

    def fail_next(
        self,
        status: int,
        code: int = 0,
        parameter: str | None = None,
        *,
        is_accepted: bool = False,
        retry_after_seconds: int | None = None,
    ) -> None:
        """Answer the next request with this error; `is_accepted` keeps the message all the same."""
        self.upcoming.append(Trouble(status, code, parameter, is_accepted, retry_after_seconds=retry_after_seconds))

    def cut_next(self, *, is_accepted: bool = False) -> None:
        """Cut the connection instead of answering."""
        self.upcoming.append(Trouble(None, is_accepted=is_accepted))

    def stall_next(self, seconds: float, *, is_accepted: bool = True) -> None:
        """Answer too late."""
        self.upcoming.append(Trouble(201, is_accepted=is_accepted, delay_seconds=seconds))

    def garble_next(self, body: bytes, *, status: int = 201) -> None:
        """Answer with this body, having accepted the message if the status says so."""
        self.upcoming.append(Trouble(status, is_accepted=status == 201, body=body))


class SmsProviderHandler(Handler):
    def misbehave(
        self, provider: SmsProvider, how: Trouble, *, error: Mapping[str, Any], taken: Mapping[str, Any] | None
    ) -> None:
        """End this request so. `error` is what the provider says of it, `taken` what it says of what it kept."""
        if how.delay_seconds:
            provider.closing.wait(how.delay_seconds)
        if how.status is None:
            self.close_connection = True
            self.connection.close()
        elif how.body is not None:
            self.answer(how.status, how.body)
        elif how.status >= 400:
            headers = {} if how.retry_after_seconds is None else {"Retry-After": str(how.retry_after_seconds)}
            self.answer(how.status, json.dumps(error).encode(), headers)
        elif taken is not None:
            self.json(how.status, taken)

    def json(self, status: int, content: Mapping[str, Any]) -> None:
        self.answer(status, json.dumps(content).encode())
