"""`/metrics`: who may read it, that it tells what an operator has to know, and that nobody is in it."""

from __future__ import annotations

import re
from dataclasses import replace

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update
from starlette.applications import Starlette
from tests.conftest import BASE_URL, MovableClock, Outbox, Portal, browser
from tests.web.acts import DOCUMENT, ROSA, open_link, send

from zegelpost.main import Services, build_app
from zegelpost.model.outgoing import Outgoing, OutgoingState

pytestmark = pytest.mark.anyio
TOKEN = "a-token-of-thirty-two-characters"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """What Prometheus reads there: values by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


async def read(app: Starlette) -> Samples:
    """As from this machine."""
    async with browser(app) as prometheus:
        answer = await prometheus.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return samples(answer.text)


def elsewhere(app: Starlette, **headers: str) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=app, client=("192.0.2.7", 1234))
    return httpx2.AsyncClient(transport=transport, base_url=BASE_URL, headers=headers)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Via"])
async def test_without_a_token_only_this_machine_reads_it(app: Starlette, header: str) -> None:
    async with elsewhere(app, Authorization="Bearer ") as stranger, browser(app, **{header: "127.0.0.1"}) as behind_the_proxy:
        assert (await stranger.get("/metrics")).status_code == 404
        assert (await behind_the_proxy.get("/metrics")).status_code == 404
    assert await read(app)


@pytest.mark.parametrize(("given", "status"), [(TOKEN, 200), (TOKEN[:-1], 404), ("", 404)])
async def test_from_elsewhere_with_the_token(services: Services, given: str, status: int) -> None:
    app = build_app(replace(services, settings=replace(services.settings, metrics_token=TOKEN)), has_worker=False)
    async with elsewhere(app, Authorization=f"Bearer {given}") as prometheus:
        assert (await prometheus.get("/metrics")).status_code == status
    await services.database.close()


async def test_by_another_name_than_the_sites(app: Starlette) -> None:
    """Monitoring asks the process, not the site."""
    async with browser(app) as prometheus:
        assert (await prometheus.get("/metrics", headers={"Host": "web-1.internal:8000"})).status_code == 200


async def test_mail_that_waits_and_mail_that_is_lost(
    app: Starlette, services: Services, outbox: Outbox, anna_portal: Portal, clock: MovableClock
) -> None:
    await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT})
    clock.forward(minutes=5)
    found = await read(app)
    assert value(found, "zegelpost_outbox_waiting", kind="mail") == 1
    assert value(found, "zegelpost_outbox_oldest_seconds", kind="mail") == 300
    assert value(found, "zegelpost_outbox_waiting", kind="sms") == 0
    await outbox.deliver()
    assert value(await read(app), "zegelpost_outbox_waiting", kind="mail") == 0
    async with services.database.work() as session:
        await session.execute(update(Outgoing).values(state=OutgoingState.FAILED))
    found = await read(app)
    assert value(found, "zegelpost_outbox_lost", kind="mail", state="failed") == 1
    clock.forward(days=2)
    assert value(await read(app), "zegelpost_outbox_lost", kind="mail", state="failed") == 0


async def test_what_made_way_for_something_newer_is_not_lost(app: Starlette, anna_portal: Portal) -> None:
    sent = await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT})
    page = (await anna_portal.client.get(f"/transfers/{sent}")).text
    reissue = re.findall(rf"/transfers/{sent}/recipients/[a-z2-7]{{26}}/reissue", page)[0]
    await anna_portal.press(reissue)
    found = await read(app)
    assert value(found, "zegelpost_outbox_waiting", kind="mail") == 1
    assert value(found, "zegelpost_outbox_lost", kind="mail", state="failed") == 0


async def test_requests_are_counted_by_pattern_and_nobody_is_in_it(app: Starlette, outbox: Outbox, anna_portal: Portal) -> None:
    transfer_id = await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT}, subject="KANARIE-ONDERWERP")
    await anna_portal.client.get(f"/transfers/{transfer_id}")
    await anna_portal.client.get("/nowhere/KANARIE-PAD")
    async with browser(app) as rosa:
        await open_link(rosa, outbox)
    async with browser(app) as prometheus:
        text = (await prometheus.get("/metrics")).text
    found = samples(text)
    assert value(found, "zegelpost_http_requests_total", method="GET", route="/transfers/{transfer_id}", status="200") == 2
    assert value(found, "zegelpost_http_requests_total", method="GET", route="none", status="404") == 1
    assert value(found, "zegelpost_http_requests_total", method="POST", route="/o/{link_id}/verify", status="303") == 1
    assert value(found, "zegelpost_http_request_seconds_count", route="/o/{link_id}/transfer") == 1
    assert "KANARIE" not in text
    assert not re.search(r"[a-z2-7]{26}", text)
    for personal in (ROSA.name, ROSA.email, ROSA.number, "anna"):
        assert personal not in text


async def test_what_breaks_is_counted(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    app = build_app(services, has_worker=False)
    monkeypatch.setattr(services.verifying, "contact", None)
    async with browser(app) as someone:
        assert (await someone.post(f"/o/{'a' * 26}/help")).status_code == 500
    found = await read(app)
    assert value(found, "zegelpost_http_requests_total", method="POST", route="/o/{link_id}/help", status="500") == 1
    await services.database.close()
