"""What tests of the policy on screen do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2
from lxml import html as markup  # type: ignore[import-untyped]
from sqlalchemy import select
from tests.conftest import Portal

from zegelpost.main import Services
from zegelpost.model.event import Event, EventTag


def draft(**fields: Any) -> dict[str, Any]:
    rosa = {"name": "Rosa", "email": "rosa@zorg.example", "mobile": "06-12 34 56 78"}
    return {"subject": "Brief", "reference": "", "note": "Bijgaand.", "recipients": [rosa], **fields}


async def form_values(portal: Portal, group: str) -> dict[str, str]:
    """What the form of this group sends when nobody types anything."""
    page = await portal.client.get(f"/admin/policy/{group}")
    assert page.status_code == 200, page.text
    return controls(page.text)


def controls(html: str) -> dict[str, str]:
    """The names and values of a page's form of the policy."""
    [form] = [
        each
        for each in markup.fromstring(html).forms
        if str(each.action).startswith("/admin/policy/") and "version" in each.fields
    ]
    return {str(name): str(value) for name, value in form.form_values() if name != "csrf"}


async def save(portal: Portal, group: str, **typed: str) -> httpx2.Response:
    return await portal.press(f"/admin/policy/{group}", **(await form_values(portal, group) | typed))


async def changes(services: Services) -> list[Mapping[str, Any]]:
    async with services.database.reading() as session:
        rows = await session.scalars(select(Event).where(Event.tag == EventTag.POLICY_CHANGED).order_by(Event.id))
        return [row.facts for row in rows]
