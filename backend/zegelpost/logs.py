"""Logs: technical lines in JSON, without personal data. Services log identifiers and kinds, never names or addresses."""

from __future__ import annotations

import logging
import sys

import structlog


def set_up_logs() -> None:
    """One JSON object a line on standard error, for our own lines and for those of the libraries."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Only types and places of what went wrong: locals and messages may hold what people typed.
        structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)),
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
