"""A real S3 protocol on loopback: moto's server, which keeps everything in memory."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from moto.server import ThreadedMotoServer


class S3Server:
    """Buckets are made and looked at over plain HTTP: moto checks no signatures."""

    def __init__(self, url: str) -> None:
        self.url = url

    def make_bucket(self, bucket: str) -> None:
        self._request("PUT", bucket)

    def put(self, bucket: str, key: str, content: bytes) -> None:
        self._request("PUT", f"{bucket}/{key}", content)

    def keys(self, bucket: str) -> list[str]:
        return re.findall(r"<Key>(.*?)</Key>", self._request("GET", bucket))

    def unfinished_uploads(self, bucket: str) -> list[str]:
        return re.findall(r"<Key>(.*?)</Key>", self._request("GET", f"{bucket}?uploads"))

    def _request(self, method: str, path: str, content: bytes | None = None) -> str:
        request = urllib.request.Request(f"{self.url}/{path}", method=method, data=content)
        with urllib.request.urlopen(request, timeout=10) as answer:
            text: str = answer.read().decode()
            return text


@contextmanager
def s3_server() -> Iterator[S3Server]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        yield S3Server(f"http://{host}:{port}")
    finally:
        moto.stop()
        assert moto._server is not None
        moto._server.server_close()


@contextmanager
def store_that_answers(status: int, code: str) -> Iterator[str]:
    """An S3 endpoint in trouble: every request ends in this error."""

    class Trouble(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_POST = do_GET = do_HEAD = do_DELETE = _answer  # noqa: N815 - the library calls these

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's signature
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Trouble)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def use_endpoint(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """The environment in which operators give endpoint and credentials."""
    for name, value in environment(url).items():
        monkeypatch.setenv(name, value)


def environment(url: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
