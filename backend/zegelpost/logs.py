"""Logs: technical lines in JSON, without personal data. Services log identifiers and kinds, never names or addresses."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import structlog

_transform: Final = structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)


def _kinds_and_places(exc_info: structlog.typing.ExcInfo) -> list[dict[str, Any]]:
    """What went wrong and where. Locals and messages stay out: they may hold what people typed."""
    return [_without_message(stack) for stack in _transform(exc_info)]


def _without_message(stack: dict[str, Any]) -> dict[str, Any]:
    nested = [[_without_message(each) for each in group] for group in stack.get("exceptions", [])]
    return {**stack, "exc_value": "", "exc_notes": [], "exceptions": nested}


def set_up_logs() -> None:
    """One JSON object a line on standard error, for our own lines and for those of the libraries."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_kinds_and_places),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.INFO)
    # These write what they send, addresses and numbers included.
    for name in ("twilio.http_client", "aiosmtplib", "sqlalchemy", "aiosqlite", "httpx", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
