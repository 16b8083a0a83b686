"""`zegelpost sync`: one line for each address book, and an exit code for whoever plans it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.stand_ins.graph_api import TENANT, graph_api
from tests.stand_ins.tls import trusted

from zegelpost.main import build_services
from zegelpost.model.identity import Identity
from zegelpost.model.refusals import SignInRequired
from zegelpost.model.secret import SecretToken
from zegelpost.model.staff_user import SignInKind, StaffUser
from zegelpost.services.signing_in import start_sign_in
from zegelpost.settings import PREFIX, Settings

EVE = "eve@zegelpost.example"


def _command(environment: dict[str, str], name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("zegelpost")), name],
        env={name: os.environ.get(name, "") for name in ("PATH", "REQUESTS_CA_BUNDLE")}
        | {f"{PREFIX}{key}": value for key, value in environment.items()},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_file_is_read_and_told(tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    environment = {"DEMO": "1", "BASE_URL": "http://127.0.0.1:1", "DATA_DIR": str(tmp_path), "ADDRESS_BOOK_CSV": str(path)}
    path.write_text("Naam;E-mailadres;Mobiel\nRosa Visser;rosa@zorg.example;06-12345678\nSam;sam@zorg.example;\n")
    assert _command(environment, "migrate").returncode == 0

    first, again = _command(environment, "sync"), _command(environment, "sync")
    path.unlink()
    missing = _command(environment, "sync")

    assert (first.returncode, "file: read; 2 added, 0 changed, 0 removed" in first.stdout) == (0, True), first
    assert (again.returncode, "file: read; 0 added, 0 changed, 0 removed" in again.stdout) == (0, True), again
    assert (missing.returncode, "file: file missing; 0 added, 0 changed, 0 removed" in missing.stdout) == (1, True), missing
    for answer in (first, again, missing):
        assert "rosa" not in (answer.stdout + answer.stderr).lower()


async def _joined(settings: Settings, authority: str) -> SecretToken:
    """Eve, joined to who she is in the tenant, with a program that is signed in."""
    services = build_services(settings)
    user_id = await services.registering.create_account(email=EVE, name="Eve Smit", password="any-password-2026")
    async with services.database.work() as session:
        user = await session.get_one(StaffUser, user_id)
        session.add(Identity(issuer=authority, subject="oid-eve", user_id=user_id, created_at=services.clock()))
        signed_in = start_sign_in(session, user, SignInKind.API, services.clock(), factor=None)
    await services.database.close()
    return signed_in.token


async def _ask(settings: Settings, token: SecretToken) -> None:
    services = build_services(settings)
    try:
        await services.signing_in.actor(token, SignInKind.API)
    finally:
        await services.database.close()


def test_who_is_switched_off_in_the_tenant_of_both_settings_is_out(tmp_path: Path) -> None:
    """The settings as they are written for Microsoft; nothing but Graph is asked."""
    authority = f"https://login.microsoftonline.com/{TENANT}/v2.0"
    with trusted(tmp_path) as context, graph_api(context) as graph:
        environment = {
            "DEMO": "1",
            "BASE_URL": "http://127.0.0.1:1",
            "DATA_DIR": str(tmp_path),
            "OIDC_AUTHORITY": authority,
            "OIDC_CLIENT_ID": "x",
            "OIDC_CLIENT_SECRET": "y",
            "ADDRESS_BOOK_URL": graph.address_book_url,
        }
        settings = Settings.from_environment({f"{PREFIX}{key}": value for key, value in environment.items()})
        assert _command(environment, "migrate").returncode == 0
        token = asyncio.run(_joined(settings, authority))
        graph.mailbox(EVE)
        graph.users.put("oid-eve", displayName="Eve", mail=EVE, accountEnabled=True)
        first = _command(environment, "sync")
        assert first.returncode == 0, first
        asyncio.run(_ask(settings, token))
        graph.users.put("oid-eve", accountEnabled=False)
        second = _command(environment, "sync")
        assert second.returncode == 0, second
        with pytest.raises(SignInRequired):
            asyncio.run(_ask(settings, token))
    said = first.stdout + first.stderr + second.stdout + second.stderr
    assert not [word for word in (EVE, "oid-eve", "Eve Smit") if word in said]
