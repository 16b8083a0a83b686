"""A real Dovecot on loopback that needs no rights of its own, with one account and its Maildir to look into."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final
from urllib.parse import quote

import trustme
from tests.free_ports import free_port

USER: Final = "bounces@voorbeeld.example"
PASSWORD: Final = "p@ss:w/rd%-gehéim"
_PROGRAM = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@dataclass(slots=True)
class ImapServer:
    """`url` goes into `ZEGELPOST_BOUNCE_MAILBOX_URL`."""

    port: int
    tls_port: int
    maildir: Path
    process: subprocess.Popen[bytes]
    _numbers: Iterator[int] = field(default_factory=count)

    def url(self, scheme: str = "imaps", *, password: str = PASSWORD, folder: str = "") -> str:
        port = self.tls_port if scheme == "imaps" else self.port
        return f"{scheme}://{quote(USER, safe='')}:{quote(password, safe='')}@localhost:{port}/{folder}"

    def put(self, content: bytes) -> None:
        """As a mail server delivers it (Maildir: written aside, then moved)."""
        name = f"{next(self._numbers):06d}.{os.getpid()}.test"
        (self.maildir / "tmp" / name).write_bytes(content)
        (self.maildir / "tmp" / name).rename(self.maildir / "new" / name)

    def contents(self, *, is_read: bool | None = None) -> list[bytes]:
        """What is there; Dovecot moves a mail that was read to `cur` and puts `S` at the end of its name."""
        files = sorted([*(self.maildir / "new").iterdir(), *(self.maildir / "cur").iterdir()], key=lambda file: file.name)
        return [file.read_bytes() for file in files if is_read is None or is_read == ("S" in file.name.partition(":2,")[2])]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@contextmanager
def imap_server(authority: trustme.CA, *, host: str = "localhost", tokens: str = "") -> Iterator[ImapServer]:
    """A running Dovecot whose certificate is for `host`.

    With `tokens`, the address of who knows whose a token is, it takes tokens and no password, as Exchange Online does.
    """
    assert _PROGRAM, "dovecot is missing: install dovecot-imapd"
    # Not the folder of the test: its path may be too long for the sockets.
    with tempfile.TemporaryDirectory(prefix="imap") as name:
        # When root runs the tests, the part that talks to strangers runs as another user, and has to get in.
        Path(name).chmod(0o711)
        with _running(Path(name), authority, host, tokens) as server:
            yield server


@contextmanager
def _running(folder: Path, authority: trustme.CA, host: str, tokens: str) -> Iterator[ImapServer]:
    assert _PROGRAM
    maildir = folder / "mail"
    for each in ("tmp", "new", "cur"):
        (maildir / each).mkdir(parents=True)
    for made in (maildir, *maildir.iterdir()):
        os.chown(made, _reader().pw_uid, _reader().pw_gid)
    certificate = authority.issue_cert(host)
    certificate.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    port, tls_port = free_port(), free_port()
    configuration = folder / "dovecot.conf"
    (folder / "oauth2.conf").write_text(
        f"tokeninfo_url = {tokens}?access_token=\nusername_attribute = email\nactive_attribute = active\nactive_value = yes\n",
        encoding="utf-8",
    )
    configuration.write_text(_configuration(folder, port, tls_port, has_tokens=tokens != ""), encoding="utf-8")
    with (folder / "dovecot.out").open("wb") as out:
        process = subprocess.Popen([_PROGRAM, "-F", "-c", str(configuration)], stdout=out, stderr=out)
    running = ImapServer(port, tls_port, maildir, process)
    try:
        _wait_for(running, folder)
        yield running
    finally:
        running.stop()


def _configuration(folder: Path, port: int, tls_port: int, *, has_tokens: bool) -> str:
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    reader = _reader()
    door = (
        f"""
auth_mechanisms = xoauth2
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2.conf
}}"""
        if has_tokens
        else f"""
auth_mechanisms = plain
passdb {{
  driver = static
  args = user={USER} password={PASSWORD.replace("%", "%%")}
}}"""
    )
    return f"""
protocols = imap
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {reader.pw_name}
first_valid_uid = 0
last_valid_uid = 0
first_valid_gid = 0
mail_location = maildir:{folder}/mail
ssl = yes
ssl_cert = <{folder}/certificate.pem
ssl_key = <{folder}/key.pem
# Without TLS it takes no password, but from this machine any.
disable_plaintext_auth = no
{door}
userdb {{
  driver = static
  args = uid={reader.pw_uid} gid={reader.pw_gid} home={folder}/mail
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
"""


def _reader() -> pwd.struct_passwd:
    """Whom Dovecot reads mail as: never root, so that its package brings a user without rights."""
    return pwd.getpwnam("dovenull") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def _wait_for(running: ImapServer, folder: Path) -> None:
    deadline = time.monotonic() + 20

    def said() -> str:
        return "".join(
            file.read_text(errors="replace") for file in (folder / "dovecot.out", folder / "dovecot.log") if file.exists()
        )

    while True:
        try:
            with socket.create_connection(("127.0.0.1", running.port), timeout=1) as probe:
                if probe.recv(4) == b"* OK":
                    return
        except OSError:
            pass
        assert running.process.poll() is None, said()
        assert time.monotonic() < deadline, said()
        time.sleep(0.02)
