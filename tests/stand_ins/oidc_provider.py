"""A real OpenID provider, the npm package `oidc-provider`, as a process of its own on loopback."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2
import trustme

SCRIPT = Path(__file__).with_suffix(".mjs")
CLIENT_ID, CLIENT_SECRET = "zegelpost", "een geheim / met + tekens"
_FORM = re.compile(r'<form[^>]*action="([^"]+)"[^>]*>(.*?)</form>', re.DOTALL)
_INPUT = re.compile(r"<input\b[^>]*>")


@dataclass(frozen=True)
class RunningProvider:
    """`trust` believes its certificate; `authority_file` is for programs that read `SSL_CERT_FILE`."""

    authority: str
    trust: ssl.SSLContext
    authority_file: Path

    async def walk(self, url: str, login: str) -> httpx2.URL:
        """What a person does with its pages, in a new browser, up to where they are sent back to."""
        async with httpx2.AsyncClient(verify=self.trust, trust_env=False) as browser:
            answer = await browser.get(url)
            for _ in range(20):
                if location := answer.headers.get("location"):
                    there = urljoin(str(answer.url), location)
                    if not there.startswith(self.authority):
                        return httpx2.URL(there)
                    answer = await browser.get(there)
                    continue
                assert answer.status_code == 200, answer.text
                form = _FORM.search(answer.text)
                assert form, answer.text
                fields = _fields(form[2])
                if "login" in fields:
                    fields |= {"login": login, "password": "any"}
                answer = await browser.post(urljoin(str(answer.url), unescape(form[1])), data=fields)
        raise AssertionError("went in circles")


def _fields(form: str) -> dict[str, str]:
    found = {}
    for each in _INPUT.findall(form):
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', each))
        if "name" in attributes:
            found[attributes["name"]] = unescape(attributes.get("value", ""))
    return found


@contextmanager
def oidc_provider(
    folder: Path, *, redirect_url: str, left_url: str, people: Mapping[str, Mapping[str, Any]]
) -> Iterator[RunningProvider]:
    """A running one. `people` are claims by what is typed as the login; any password will do."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    key_file, certificate_file, authority_file = folder / "key.pem", folder / "certificate.pem", folder / "authority.pem"
    certificate.private_key_pem.write_to_path(str(key_file))
    certificate.cert_chain_pems[0].write_to_path(str(certificate_file))
    authority.cert_pem.write_to_path(str(authority_file))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    client = {"id": CLIENT_ID, "secret": CLIENT_SECRET, "redirect": redirect_url, "left": left_url}
    wish = {"key": str(key_file), "certificate": str(certificate_file), "client": client, "people": people}
    node = shutil.which("node")
    assert node
    process = subprocess.Popen(
        [node, str(SCRIPT), json.dumps(wish)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port.isdigit(), "the provider did not start"
        yield RunningProvider(f"https://localhost:{port}/oidc", trust, authority_file)
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
