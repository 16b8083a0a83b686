"""An installation as `backend/docs/deploy.md` sets one up: nginx before two web processes, and two workers, on the same data."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pyotp
import trustme
from anyio.from_thread import start_blocking_portal
from tests.contracts.object_storage import environment as store_environment
from tests.contracts.object_storage import s3_server
from tests.databases import database_urls
from tests.free_ports import free_port
from tests.journeys.running import Running, start_program
from tests.stand_ins.mail_server import MailServer, mail_server
from tests.stand_ins.twilio_api import TwilioApi, twilio_api

DEPLOY = Path(__file__).parents[2] / "backend/deploy"
ANNA = "anna@zegelpost.example"
PASSWORD = "demo-zegelpost-2026"
_BUCKET = "zegelpost"
_START_SECONDS = 60  # on a machine that is busy with other things
# What Debian's own file says around a site, for as far as a site has to stand up to it.
_AROUND = """
worker_processes 2; daemon off; pid FOLDER/nginx.pid; error_log FOLDER/error.log;
events { worker_connections 768; }
http {
  sendfile on; tcp_nopush on; gzip on;
  ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
  access_log FOLDER/access.log;
  client_body_temp_path FOLDER/body; proxy_temp_path FOLDER/proxy;
  fastcgi_temp_path FOLDER/fastcgi; uwsgi_temp_path FOLDER/uwsgi; scgi_temp_path FOLDER/scgi;
  include FOLDER/zegelpost;
}
"""


@dataclass
class Program(Running):
    """`zegelpost serve` or `zegelpost work`."""

    arguments: list[str]
    environment: dict[str, str] = field(repr=False)
    log: Path
    code: Path | None = None  # of another version, where it is one

    def start(self) -> None:
        self.process = start_program(self.arguments, self.log, self.environment, self.code)


@dataclass
class Nginx:
    """Debian's nginx with the file of `backend/deploy`, in which only names, ports and folders are others."""

    folder: Path
    web_ports: list[int]
    port: int = field(default_factory=free_port)
    plain_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self, authority: trustme.CA) -> None:
        certificate = authority.issue_cert("localhost")
        certificate.private_key_pem.write_to_path(self.folder / "privkey.pem")
        for pem in certificate.cert_chain_pems:
            pem.write_to_path(self.folder / "fullchain.pem", append=True)
        (self.folder / "zegelpost").write_text(self._site(), encoding="utf-8")
        (self.folder / "nginx.conf").write_text(_AROUND.replace("FOLDER", str(self.folder)), encoding="utf-8")
        said = self.folder / "said.log"
        with said.open("wb") as out:
            self.process = subprocess.Popen(
                ["/usr/sbin/nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")], stdout=out, stderr=out
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, said.read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.02)
        # Whatever it would put on disk on the way has no place to go, and fails.
        for name in ("body", "proxy"):
            (self.folder / name).rmdir()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)

    def lines(self) -> list[dict[str, Any]]:
        """The access log."""
        return [json.loads(line) for line in (self.folder / "zegelpost.log").read_text(encoding="utf-8").splitlines()]

    def processes_that_took(self, method: str, *, since: int, count: int) -> set[str]:
        """Which web processes the requests of this kind went to, once so many stand in the log after so many lines."""
        deadline = time.monotonic() + 10
        while True:  # a line is written just after the answer
            found = [line["process"] for line in self.lines()[since:] if line["method"] == method]
            if len(found) >= count or time.monotonic() > deadline:
                assert len(found) == count, self.lines()[since:]
                return set(found)
            time.sleep(0.02)

    def _site(self) -> str:
        text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
        first, second = self.web_ports
        for ours, here in (
            ("post.example.nl", "localhost"),
            ("127.0.0.1:8000 ", f"127.0.0.1:{first} "),
            ("127.0.0.1:8001 ", f"127.0.0.1:{second} "),
            ("/etc/ssl/zegelpost/", f"{self.folder}/"),
            ("/var/log/nginx/", f"{self.folder}/"),
            ("listen 80;", f"listen 127.0.0.1:{self.plain_port};"),
            ("listen 443 ", f"listen 127.0.0.1:{self.port} "),
        ):
            assert ours in text
            text = text.replace(ours, here)
        # Containers often have no IPv6, and nginx then does not start.
        return re.sub(r"^ *listen \[::\]:.*\n", "", text, flags=re.MULTILINE)


@dataclass
class Installation:
    folder: Path
    database_url: str
    nginx: Nginx
    web: list[Program]
    workers: list[Program]
    mail: MailServer
    sms: TwilioApi
    trust: ssl.SSLContext
    environment: dict[str, str] = field(repr=False)
    recovery_codes: list[str] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        return f"https://localhost:{self.nginx.port}"

    def browser(self, address: str = "127.0.0.2", **headers: str) -> httpx2.Client:
        """Somebody at an address of their own, which is not that of the proxy."""
        return httpx2.Client(
            base_url=self.base_url,
            transport=httpx2.HTTPTransport(verify=self.trust, local_address=address),
            headers={"Accept-Language": "en", **headers},
            follow_redirects=True,
            timeout=30,
        )

    def anna(self) -> httpx2.Client:
        """Her program, with a token."""
        program = self.browser()
        who = {"email": ANNA, "password": PASSWORD, "second_factor": self.recovery_codes.pop()}
        answer = program.post("/api/v1/sign-in", json=who)
        assert answer.status_code == 200, answer.text
        program.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return program

    def mails_to(self, address: str) -> list[bytes]:
        return [each.message for each in list(self.mail.delivered) if each.recipient == address]

    def everything_written(self) -> str:
        """All logs there are, of nginx and of our own processes."""
        return "".join(path.read_text(encoding="utf-8", errors="replace") for path in sorted(self.folder.rglob("*.log")))


@contextmanager
def installation(folder: Path, code: Path | None = None) -> Iterator[Installation]:
    """All of it running, with Anna's account and her second factor; all of it of another version, where there is `code`."""
    with ExitStack() as stack:
        # Beside the tests' own thread, in which an earlier journey may have left an event loop.
        portal = stack.enter_context(start_blocking_portal())
        mail = stack.enter_context(portal.wrap_async_context_manager(mail_server()))
        sms = stack.enter_context(twilio_api())
        s3 = stack.enter_context(s3_server())
        s3.make_bucket(_BUCKET)
        database_url = stack.enter_context(database_urls("postgresql", folder))
        (folder / "nginx").mkdir()
        web_ports = [free_port(), free_port()]
        nginx = Nginx(folder / "nginx", web_ports)
        environment = {
            "ZEGELPOST_BASE_URL": f"https://localhost:{nginx.port}",
            "ZEGELPOST_DATA_DIR": str(folder / "data"),
            "ZEGELPOST_KEYS_DIR": str(folder / "keys"),
            "ZEGELPOST_DATABASE_URL": database_url,
            "ZEGELPOST_BLOBS_URL": f"s3://{_BUCKET}/documents",
            "ZEGELPOST_SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
            "ZEGELPOST_MAIL_FROM": "post@zegelpost.example",
            "ZEGELPOST_SMS_URL": sms.sms_url(),
            "ZEGELPOST_TWILIO_API_URL": sms.url,
            "ZEGELPOST_STAFF_DOMAINS": "zegelpost.example",
            "ZEGELPOST_TRUSTED_PROXIES": "127.0.0.1",
            **store_environment(s3.url),
        }
        migrate(folder, environment, code)
        authority = trustme.CA()
        trust = ssl.create_default_context()
        authority.configure_trust(trust)
        web = [
            Program(
                arguments=["serve", "--host", "127.0.0.1", "--port", str(port)],
                environment=environment,
                log=folder / f"web-{number}.log",
                code=code,
                port=port,
            )
            for number, port in enumerate(web_ports)
        ]
        workers = [
            Program(arguments=["work"], environment=environment, log=folder / f"work-{number}.log", code=code)
            for number in range(2)
        ]
        made = Installation(folder, database_url, nginx, web, workers, mail, sms, trust, environment)
        for program in (*web, *workers):
            stack.callback(program.stop)
            program.start()
        _open_account(environment, code)
        for program in web:
            program.wait_until_it_answers()
        stack.callback(nginx.stop)
        nginx.start(authority)
        made.recovery_codes = _set_up_second_factor(made)
        yield made


def migrate(folder: Path, environment: dict[str, str], code: Path | None = None) -> None:
    """Make the database, or bring it to this version."""
    migration = start_program(["migrate"], folder / "migrate.log", environment, code)
    migration.join(_START_SECONDS)
    assert migration.exitcode == 0, (folder / "migrate.log").read_text()


_OPEN_ACCOUNT = """
import asyncio, os, sys
from zegelpost.main import build_services
from zegelpost.settings import Settings
async def make(email, password):
    services = build_services(Settings.from_environment(os.environ))
    await services.registering.create_account(email=email, name="Anna de Vries", password=password)
    await services.database.close()
asyncio.run(make(*sys.argv[1:]))
"""


def _open_account(environment: dict[str, str], code: Path | None) -> None:
    """By the version that is running: of another one, it knows what an account has."""
    path = {} if code is None else {"PYTHONPATH": str(code)}
    command = [sys.executable, "-c", _OPEN_ACCOUNT, ANNA, PASSWORD]
    made = subprocess.run(command, check=False, env={**os.environ, **environment, **path}, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr


def _set_up_second_factor(made: Installation) -> list[str]:
    """Anna's first sign-in, through nginx; returns her recovery codes, with each of which a program of hers can sign in."""
    where = "/account/second-factor/app"
    with made.browser() as client:
        client.post("/sign-in", data={"email": ANNA, "password": PASSWORD, "next": ""})
        page = client.get(where).text
        hidden = {name: _found(page, rf'name="{name}" value="([^"]+)"') for name in ("csrf", "app_id", "sealed")}
        secret = _found(page, r"<code>([A-Z2-7 ]+)</code>").replace(" ", "")
        done = client.post(where, data={**hidden, "name": "Telefoon", "code": pyotp.TOTP(secret).now()})
        codes = re.findall(r"<code>([a-z2-7]{4}(?:-[a-z2-7]{4}){3})</code>", done.text)
    assert codes, done.text
    return codes


def _found(page: str, pattern: str) -> str:
    found = re.search(pattern, page)
    assert found, page
    return found.group(1)
