"""What stand-ins that speak HTTP have in common: running on loopback, and answering, whole or cut off."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol, TypeVar


class StandIn(Protocol):
    """What a test holds. `closing` is set when the server is about to end, so that nobody waits on."""

    closing: threading.Event


S = TypeVar("S", bound=StandIn)


class _Server(ThreadingHTTPServer):
    stand_in: StandIn


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    content_type = "application/json"

    def stand_in(self, kind: type[S]) -> S:
        """What this request is for."""
        assert isinstance(self.server, _Server)
        assert isinstance(self.server.stand_in, kind)
        return self.server.stand_in

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        try:
            self.send_response(status)
            for name, value in {"Content-Type": self.content_type, "Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            # Whoever asked has stopped waiting.
            self.close_connection = True

    def cut(self, status: int, body: bytes) -> None:
        """Promise all of it, give half, and hang up."""
        self.answer(status, body[: len(body) // 2], {"Content-Length": str(len(body))})
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's signature
        pass


@contextmanager
def served(handler: type[Handler], make: Callable[[str], S], context: ssl.SSLContext | None = None) -> Iterator[S]:
    """A running stand-in, made of its own address; on TLS with a `context`."""
    server = _Server(("127.0.0.1", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    # Kept-alive connections end with their client, which may be later than this.
    server.daemon_threads = True
    scheme = "http" if context is None else "https"
    server.stand_in = stand_in = make(f"{scheme}://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    try:
        yield stand_in
    finally:
        stand_in.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
