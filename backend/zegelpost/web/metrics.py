"""`/metrics`, for Prometheus: what this process did, and how the installation fares. Nobody's name, address or link is in it."""

from __future__ import annotations

import hmac
import ipaddress
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zegelpost.model.refusals import NotFound
from zegelpost.services.measuring import Measured

PATH: Final = "/metrics"
# Uploads of gigabytes among them.
_SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600)
# Whoever came through a proxy is not on this machine, whatever address the connection has.
_FORWARDED: Final = ("x-forwarded-for", "x-real-ip", "forwarded", "via")


class Meters:
    """What is counted in this process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "zegelpost_http_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "zegelpost_http_request_seconds",
            "Time until the last byte was handed over.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        about = Gauge("zegelpost_info", "The version that runs.", ["version"], registry=self.registry)
        about.labels(version("zegelpost")).set(1)


@dataclass(frozen=True, slots=True)
class Metered:
    """Counts requests by the route's pattern: real paths have links in them.

    Stands directly around the routes. What is turned away before (another host, another site, too large) was for none of them.
    """

    app: ASGIApp
    meters: Meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, start = 500, time.perf_counter()

        async def send_seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_seen)
        finally:
            # A mount has no pattern of its own.
            route = getattr(scope.get("route"), "path", "") or "none"
            self.meters.requests.labels(scope["method"], route, status).inc()
            self.meters.seconds.labels(route).observe(time.perf_counter() - start)


class _Installation(Collector):
    """The same in every process: it stands in the database."""

    def __init__(self, measured: Measured) -> None:
        self._measured = measured

    def collect(self) -> Iterator[Metric]:
        count = GaugeMetricFamily("zegelpost_outbox_waiting", "Mails and SMS that have not left yet.", labels=["kind"])
        age = GaugeMetricFamily("zegelpost_outbox_oldest_seconds", "How long the oldest of them waits.", labels=["kind"])
        for kind, waiting in self._measured.waiting.items():
            count.add_metric([kind], waiting.count)
            age.add_metric([kind], waiting.oldest_seconds)
        lost = GaugeMetricFamily(
            "zegelpost_outbox_lost", "Mails and SMS of the last day that do not arrive.", labels=["kind", "state"]
        )
        for (kind, state), number in self._measured.lost.items():
            lost.add_metric([kind, state], number)
        feeds = GaugeMetricFamily("zegelpost_address_books", "Address books that are read, by trouble.", labels=["trouble"])
        for trouble, number in self._measured.feeds.items():
            feeds.add_metric([trouble], number)
        yield from (count, age, lost, feeds)
        yield GaugeMetricFamily(
            "zegelpost_uploads_unfinished", "Documents on their way in.", value=self._measured.unfinished_uploads
        )
        yield GaugeMetricFamily(
            "zegelpost_quarantine_waiting", "Documents held back that nobody judged yet.", value=self._measured.held_back
        )


async def metrics(request: Request) -> Response:
    """For whoever has the token, or is on this machine. For others there is no such page."""
    if not _is_on_this_machine(request) and not _has_token(request):
        raise NotFound
    registry = CollectorRegistry()
    registry.register(_Installation(await request.app.state.services.measuring.measure()))
    meters: Meters = request.app.state.meters
    return Response(generate_latest(meters.registry) + generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _is_on_this_machine(request: Request) -> bool:
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _has_token(request: Request) -> bool:
    expected: str | None = request.app.state.services.settings.metrics_token
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    is_same = hmac.compare_digest(token.strip().encode(), (expected or "").encode())
    return expected is not None and scheme.lower() == "bearer" and is_same


def routes() -> list[Route]:
    return [Route(PATH, metrics, methods=["GET"])]
