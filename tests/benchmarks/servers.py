"""The servers that are compared: ours, a Node tus server and nginx. The peers are installed by this."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx2
from tests.benchmarks.measuring import Answer, Group, exchange

TUS = {"Tus-Resumable": "1.0.0"}
_PATCH = {**TUS, "Content-Type": "application/offset+octet-stream"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(command: list[str], port: int, folder: Path, environment: Mapping[str, str] | None = None) -> Group:
    with (folder / f"{port}.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, start_new_session=True, env={**os.environ, **(environment or {})}
        )
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return Group(process)
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError((folder / f"{port}.log").read_text())


class Server(Protocol):
    name: str
    group: Group

    def upload(self, size_bytes: int) -> str:
        """Upload noise; returns where to download it."""

    def download(self, url: str) -> Answer:
        """Fetch it all."""

    def forget(self, url: str) -> None:
        """Make room for the next round."""


@dataclass
class Zegelpost:
    """The program as it is served, on embedded defaults."""

    folder: Path
    name: str = "Zegelpost"
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        program = Path(sys.executable).with_name("zegelpost")
        environment = {"PORT": str(self.port), "ZEGELPOST_DATA_DIR": str(self.folder / "data")}
        self.group = start([str(program), "demo"], self.port, self.folder, environment)
        self.base = f"http://127.0.0.1:{self.port}"
        self.api = httpx2.Client(base_url=f"{self.base}/api/v1", timeout=120)
        who = {"email": "anna@zegelpost.example", "password": "demo-zegelpost-2026"}
        self.token = self.api.post("/sign-in", json=who).raise_for_status().json()["access_token"]
        self.bearer = {"Authorization": f"Bearer {self.token}"}
        self.api.headers.update(self.bearer)

    def draft(self, recipient_count: int = 1) -> str:
        people = [
            {"name": "Rosa", "email": f"rosa-{number}@example.nl", "mobile": "+31612345678"} for number in range(recipient_count)
        ]
        body = {"subject": "Meting", "reference": "", "note": "Meting", "recipients": people}
        return str(self.api.post("/transfers", json=body).raise_for_status().json()["id"])

    def begin(self, transfer_id: str, size_bytes: int, name: str = "meting.dcm") -> str:
        pairs = {"transfer_id": transfer_id, "filename": name}
        metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())
        headers = {**TUS, "Upload-Length": str(size_bytes), "Upload-Metadata": metadata}
        return str(self.api.post("/uploads", headers=headers).raise_for_status().headers["location"])

    def second_process(self) -> tuple[Group, int]:
        """Another web process on the same data; returns it and its port."""
        port = free_port()
        environment = {"ZEGELPOST_DEMO": "1", "ZEGELPOST_BASE_URL": self.base, "ZEGELPOST_DATA_DIR": str(self.folder / "data")}
        program = Path(sys.executable).with_name("zegelpost")
        return start([str(program), "serve", "--port", str(port)], port, self.folder, environment), port

    def patch(
        self, upload: str, size_bytes: int, *, offset: int = 0, cut_after: int | None = None, port: int | None = None
    ) -> Answer:
        headers = {**_PATCH, **self.bearer, "Upload-Offset": str(offset)}
        return exchange("PATCH", upload, headers, size_bytes, cut_after=cut_after, port=port)

    def offset(self, upload: str) -> int:
        return int(self.api.head(upload, headers=TUS).headers["upload-offset"])

    def upload(self, size_bytes: int) -> str:
        transfer_id = self.draft()
        answer = self.patch(self.begin(transfer_id, size_bytes), size_bytes)
        assert answer.status == 204, answer
        return self.document_url(transfer_id)

    def document_url(self, transfer_id: str) -> str:
        transfer: dict[str, Any] = self.api.get(f"/transfers/{transfer_id}").raise_for_status().json()
        return f"{self.base}/api/v1/transfers/{transfer_id}/documents/{transfer['documents'][0]['id']}"

    def download(self, url: str) -> Answer:
        return exchange("GET", url, self.bearer)

    def forget(self, url: str) -> None:
        self.api.delete(url).raise_for_status()
        # The sweep removes the bytes a little later; the next round must not find the disk full.
        for path in (self.folder / "data/blobs").rglob("*"):
            if path.is_file() and path.stat().st_size > 50_000_000:
                path.unlink()


_NODE_SERVER = """
const { Server } = require('@tus/server');
const { FileStore } = require('@tus/file-store');
const server = new Server({ path: '/files', datastore: new FileStore({ directory: './files' }) });
server.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
"""


@dataclass
class NodeTus:
    """@tus/server with its file store, plaintext, as its README shows it."""

    folder: Path
    name: str = "Node tus"
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "package.json").write_text(json.dumps({"private": True}))
        (self.folder / "files").mkdir(exist_ok=True)
        command = [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--loglevel=error",
            "@tus/server",
            "@tus/file-store",
        ]
        subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)
        (self.folder / "server.cjs").write_text(_NODE_SERVER)
        self.group = start(["node", "server.cjs"], self.port, self.folder, {"PORT": str(self.port)})

    def upload(self, size_bytes: int) -> str:
        base = f"http://127.0.0.1:{self.port}/files"
        made = httpx2.post(base, headers={**TUS, "Upload-Length": str(size_bytes)})
        url = str(httpx2.URL(base).join(made.headers["location"]))
        answer = exchange("PATCH", url, {**_PATCH, "Upload-Offset": "0"}, size_bytes)
        assert answer.status == 204, answer
        return url

    def download(self, url: str) -> Answer:
        return exchange("GET", url, {})

    def forget(self, url: str) -> None:
        httpx2.delete(url, headers=TUS)


_NGINX = """
worker_processes 2; daemon off; pid nginx.pid; error_log error.log;
events { }
http {
  access_log off; client_max_body_size 0; sendfile on;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server { listen 127.0.0.1:PORT; root FOLDER/www; location / { dav_methods PUT DELETE; } }
}
"""


@dataclass
class Nginx:
    """Plaintext PUT and GET: about what this machine can do at all."""

    folder: Path
    name: str = "nginx"
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        if shutil.which("nginx", path="/usr/sbin:/usr/bin") is None:
            subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "nginx-light"], check=True)
        (self.folder / "www").mkdir(parents=True, exist_ok=True)
        (self.folder / "www").chmod(0o777)
        self.folder.chmod(0o755)
        text = ("user root;" if os.geteuid() == 0 else "") + _NGINX.replace("PORT", str(self.port)).replace(
            "FOLDER", str(self.folder)
        )
        (self.folder / "nginx.conf").write_text(text)
        self.group = start(["/usr/sbin/nginx", "-p", str(self.folder), "-c", "nginx.conf"], self.port, self.folder)

    def upload(self, size_bytes: int) -> str:
        url = f"http://127.0.0.1:{self.port}/meting"
        answer = exchange("PUT", url, {}, size_bytes)
        assert answer.status in {201, 204}, answer
        return url

    def download(self, url: str) -> Answer:
        return exchange("GET", url, {})

    def forget(self, url: str) -> None:
        httpx2.delete(url)
