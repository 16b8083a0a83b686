"""Asks every address for nonsense, first while all is well and then without a database; logs go to standard error.

A program of its own, `python -m tests.asking_everything FOLDER`: how lines are written is set once in a process.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import text, update
from starlette.routing import Mount, Route
from tests.conftest import BASE_URL, CAST, PASSWORD, MovableClock, Portal

from zegelpost.logs import set_up_logs
from zegelpost.main import Services, build_app, build_services
from zegelpost.migrations import migrate_database
from zegelpost.model.staff_user import StaffUser
from zegelpost.settings import Settings

CANARY = "kanarie"
IDENTIFIER = "kanarie" + "a" * 19  # has the form of one, so that it is looked up
# Whoever does this asks nothing after it.
ENDING = {("POST", "/sign-out"), ("POST", "/account/sign-out-everywhere"), ("DELETE", "/api/v1/sign-in")}
CALLED = "chris@zegelpost.example"


def addresses(routes: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """Method and path of each, filled in with the canary."""
    for route in routes:
        if isinstance(route, Mount):
            yield from addresses(route.routes or [], before + route.path)
        elif isinstance(route, Route):
            path = before + route.path_format
            for name, convertor in route.param_convertors.items():
                path = path.replace(f"{{{name}}}", "16" if type(convertor).__name__ == "IntegerConvertor" else IDENTIFIER)
            for method in sorted(route.methods or {"GET"}):
                if (method, path) not in ENDING:
                    yield method, path


async def ask(client: httpx2.AsyncClient, csrf: str, routes: Any) -> dict[int, int]:
    """How often each status was the answer."""
    statuses: dict[int, int] = {}
    for method, path in addresses(routes):
        typed = {"email": f"{CANARY}@example.nl", "link_secret": CANARY, "code": CANARY, "name": CANARY}
        for body in (
            {"data": {"csrf": csrf, **typed}},
            {"json": {"email": f"{CANARY}@example.nl", "subject": CANARY, "recipients": [{"name": CANARY}]}},
        ):
            sent: dict[str, Any] = body if method not in {"GET", "HEAD"} else {}
            answer = await client.request(method, path, params={"page": CANARY, "q": CANARY, "token": CANARY}, **sent)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
    return statuses


async def ask_everything(services: Services) -> None:
    for email, name in CAST.items():
        await services.registering.create_account(email=email, name=name, password=PASSWORD)
    async with services.database.work() as session:
        await session.execute(update(StaffUser).where(StaffUser.email == CALLED).values(is_administrator=True, is_auditor=True))
    app = build_app(services, has_worker=False)
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url=BASE_URL, headers={"User-Agent": CANARY}) as client:
        portal = Portal(client)
        client.follow_redirects = True
        await portal.sign_in(CALLED)
        client.follow_redirects = False
        token = await client.post("/api/v1/sign-in", json={"email": CALLED, "password": PASSWORD})
        client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
        print(await ask(client, portal.csrf, app.routes))
        async with services.database.work() as session:
            for table in ("transfer", "link", "recipient", "contact", "event", "outgoing", "department", "sign_in_attempt"):
                await session.execute(text(f'ALTER TABLE "{table}" RENAME TO "gone_{table}"'))
        print(await ask(client, portal.csrf, app.routes))
    await services.database.close()


def main() -> None:
    folder = Path(sys.argv[1])
    settings = Settings.from_environment(
        {"ZEGELPOST_DEMO": "1", "ZEGELPOST_BASE_URL": BASE_URL, "ZEGELPOST_DATA_DIR": str(folder)}
    )
    migrate_database(settings.database_url)
    set_up_logs()
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # of whoever asks here, which is no part of the product
    asyncio.run(ask_everything(build_services(settings, clock=MovableClock())))


if __name__ == "__main__":
    main()
