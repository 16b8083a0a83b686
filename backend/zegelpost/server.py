"""How uvicorn is run."""

from __future__ import annotations

from typing import Any


def server_options() -> dict[str, Any]:
    """Options that the product depends on.

    No access log: the paths of links would be in it. No proxy headers: `web/network.py` reads them, and believes only our
    own proxies, where uvicorn believes every client on this machine.
    """
    return {
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
        "date_header": True,
        "http": "httptools",
        "ws": "none",
        "log_config": None,
        "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": 20,
    }
