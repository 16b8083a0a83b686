"""Every address that the application answers at. The first that fits counts."""

from __future__ import annotations

from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from zegelpost.web import (
    account_pages,
    accounts_pages,
    addin_pages,
    address_book_pages,
    address_list_pages,
    administration_pages,
    audit_pages,
    bounce_webhook,
    contact_import_pages,
    contact_pages,
    demo,
    department_pages,
    guest_pages,
    handbook_pages,
    health,
    held_pages,
    holds_pages,
    house_style_pages,
    identity_pages,
    intake_pages,
    metrics,
    person_pages,
    policy_pages,
    received_pages,
    recipient_pages,
    report_pages,
    request_pages,
    sign_in_pages,
    staff_pages,
    staying,
    template_pages,
    webhooks,
)
from zegelpost.web.api import api_routes
from zegelpost.web.rendering import STATIC_ADDRESS, WEB
from zegelpost.web.sessions import api_actor, portal_actor
from zegelpost.web.uploads import upload_routes


def all_routes(*, bounce_token: str | None, is_demo: bool) -> list[BaseRoute]:
    """Without `bounce_token` nobody can tell of mail that came back; `is_demo` adds what only a demonstration shows."""
    return [
        *sign_in_pages.routes(),
        *identity_pages.routes(),
        # Before the links of intakes, whose pages stand under the same prefix.
        *intake_pages.routes(),
        *account_pages.routes(),
        *staff_pages.routes(),
        *staying.routes(),
        *report_pages.routes(),
        *recipient_pages.device_routes(),
        *(route for prefix in guest_pages.PREFIXES for route in recipient_pages.routes(prefix)),
        *(route for prefix in guest_pages.PREFIXES for route in guest_pages.routes(prefix)),
        *received_pages.routes(),
        *held_pages.routes(),
        *request_pages.routes(),
        *department_pages.routes(),
        *contact_import_pages.routes(),
        *address_book_pages.routes(),
        *address_list_pages.routes(),
        *contact_pages.routes(),
        *template_pages.routes(),
        *api_routes(),
        *upload_routes("/api/v1/uploads", api_actor),
        *upload_routes("/uploads", portal_actor),
        *addin_pages.routes(),
        *administration_pages.routes(),
        *accounts_pages.routes(),
        *policy_pages.routes(),
        *house_style_pages.routes(),
        *holds_pages.routes(),
        *person_pages.routes(),
        *audit_pages.routes(),
        *(bounce_webhook.routes(bounce_token) if bounce_token else []),
        *webhooks.routes(),
        *health.routes(),
        *metrics.routes(),
        *handbook_pages.routes(),
        *(demo.routes() if is_demo else []),
        Route("/favicon.ico", health.favicon, methods=["GET"]),
        Mount(STATIC_ADDRESS, StaticFiles(directory=WEB / "static")),
    ]
