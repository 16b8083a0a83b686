"""The policy on screen: what administrators choose counts at once, in every process, and each change is on record."""

from __future__ import annotations

import ast
import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from tests.conftest import PASSWORD, MovableClock, Portal, browser, make_auditor
from tests.web.acts import words
from tests.web.policy_acts import changes, controls, draft, form_values, save
from tests.web.tus import create, new_draft

import zegelpost
from zegelpost.main import Services, build_app, build_services
from zegelpost.model.event import Event, EventTag
from zegelpost.model.house_style import HouseStyle
from zegelpost.model.policy import GIGABYTE, Policy
from zegelpost.model.policy_fields import FIELDS, PolicyGroup
from zegelpost.model.staff_user import StaffUser
from zegelpost.services import governing
from zegelpost.services.governing import Governing
from zegelpost.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def other(app: Starlette, settings: Settings, clock: MovableClock, policy: Policy) -> AsyncIterator[Starlette]:
    """Another process on the same database, started before anything changed."""
    services = build_services(settings, clock=clock, policy=policy)
    yield build_app(services, has_worker=False)
    await services.database.close()


async def test_a_change_counts_at_once_in_every_process_and_is_on_record(
    services: Services, other: Starlette, chris_portal: Portal, anna: httpx2.AsyncClient, database_kind: str
) -> None:
    async with browser(other, Authorization=anna.headers["Authorization"]) as there:
        assert (await there.get("/api/v1/policy")).json()["default_expiry_days"] == 28
        saved = words(await save(chris_portal, "limits", default_expiry_days="14", longest_expiry_days="90", most_recipients="1"))
        assert "Saved. It counts from now on." in saved
        assert "Chris Bakker" in saved
        for program in (there, anna):
            told = (await program.get("/api/v1/policy")).json()
            assert (told["default_expiry_days"], told["longest_expiry_days"], told["limits"]["recipient_count"]) == (14, 90, 1)
            refused = await program.post("/api/v1/transfers", json=draft(expires_in_days=91))
            assert refused.json()["fields"]["expires_in_days"]["code"] == "expiry_out_of_range"
            made = await program.post("/api/v1/transfers", json=draft())
            assert (await program.get(f"/api/v1/transfers/{made.json()['id']}")).json()["expires_in_days"] == 14
    chris = await _id_of(services, "chris@zegelpost.example")
    assert await changes(services) == [
        {"field": "most_recipients", "old": "50", "new": "1", "is_default": None},
        {"field": "default_expiry_days", "old": "28", "new": "14", "is_default": None},
        {"field": "longest_expiry_days", "old": "365", "new": "90", "is_default": None},
    ]
    async with services.database.reading() as session:
        assert set(await session.scalars(select(Event.staff_user_id).where(Event.tag == EventTag.POLICY_CHANGED))) == {chris}


async def test_a_worker_without_requests_sees_it_too(
    services: Services, settings: Settings, clock: MovableClock, policy: Policy, chris_portal: Portal, database_kind: str
) -> None:
    worker = build_services(settings, clock=clock, policy=policy)
    await save(chris_portal, "limits", extensions="pdf, .TXT;*.docx\npdf")
    assert "png" in worker.policy.extensions
    async with worker.database.work():
        assert worker.policy.extensions == ("pdf", "txt", "docx")
    await worker.database.close()


async def test_a_request_that_takes_long_sees_it_before_it_ends(
    settings: Settings, clock: MovableClock, policy: Policy, chris_portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = build_services(settings, clock=clock, policy=policy)
    monkeypatch.setattr(governing, "_A_MOMENT_SECONDS", 60)
    await there.governing.look(there.database)
    await asyncio.create_task(save(chris_portal, "limits", extensions="pdf"))  # another request than ours
    async with there.database.work():
        assert "png" in there.policy.extensions  # it looked a moment ago, when it came
    monkeypatch.setattr(governing, "_A_MOMENT_SECONDS", 0)
    async with there.database.work():
        assert there.policy.extensions == ("pdf",)
    await there.database.close()


async def _id_of(services: Services, email: str) -> str:
    async with services.database.reading() as session:
        return str((await session.scalars(select(StaffUser.id).where(StaffUser.email == email))).one())


async def test_sizes_and_kinds_are_judged_when_a_document_is_added(
    chris_portal: Portal, anna: httpx2.AsyncClient, services: Services
) -> None:
    transfer_id = await new_draft(anna)
    assert (await create(anna, transfer_id, "groot.pdf", 600_000_000)).status_code == 201
    await save(chris_portal, "limits", largest_document_bytes="0,5", extensions="pdf")
    assert services.policy.largest_document_bytes == GIGABYTE // 2
    assert (await create(anna, transfer_id, "groot.pdf", 600_000_000)).status_code == 413
    assert (await create(anna, transfer_id, "klein.docx", 6)).status_code == 415
    assert (await create(anna, transfer_id, "klein.pdf", 6)).status_code == 201


async def test_a_draft_is_judged_by_what_counts_when_it_is_sent(chris_portal: Portal, anna: httpx2.AsyncClient) -> None:
    made = (await anna.post("/api/v1/transfers", json=draft(expires_in_days=60))).json()["id"]
    sent = (await anna.post("/api/v1/transfers", json=draft(expires_in_days=60))).json()["id"]
    assert (await anna.post(f"/api/v1/transfers/{sent}/send")).status_code == 200
    before = (await anna.get(f"/api/v1/transfers/{sent}")).json()["expires_at"]
    await save(chris_portal, "limits", longest_expiry_days="30")
    refused = await anna.post(f"/api/v1/transfers/{made}/send")
    assert (refused.status_code, refused.json()["code"]) == (422, "expiry_out_of_range")
    # What was sent stays as it was.
    assert (await anna.get(f"/api/v1/transfers/{sent}")).json()["expires_at"] == before


REFUSED = [
    ("limits", {"default_expiry_days": "400"}, "default_expiry_days", "cannot be more than the longest period, 365 days"),
    ("limits", {"longest_expiry_days": "7"}, "default_expiry_days", "cannot be more than the longest period, 7 days"),
    ("limits", {"largest_document_bytes": "60"}, "largest_document_bytes", "cannot be larger than all documents together"),
    ("limits", {"largest_transfer_bytes": "501"}, "largest_transfer_bytes", "cannot be larger than all that one sender"),
    ("limits", {"largest_document_bytes": "nan"}, "largest_document_bytes", "Enter a number from 0.1 to 100000"),
    ("limits", {"largest_document_bytes": "1e999999"}, "largest_document_bytes", "Enter a number from"),
    ("limits", {"largest_document_bytes": "-1"}, "largest_document_bytes", "Enter a number from"),
    ("limits", {"most_documents": "0"}, "most_documents", "Enter a number from 1 to 1000"),
    ("limits", {"most_documents": "9" * 5000}, "most_documents", "Enter a number from 1 to 1000"),
    ("limits", {"extensions": " ,"}, "extensions", "Enter at least one"),
    ("limits", {"extensions": "pdf, a/b"}, "extensions", "This is not a type of file: a/b"),
    ("limits", {"extensions": "pdf, exe"}, "extensions", "Files that end in .exe run programs"),
    ("limits", {"is_scanning": "yes"}, "is_scanning", "No virus scanner is connected"),
    ("recipients", {"methods-1": "", "methods-2": ""}, "methods", "Enter at least one"),
    ("recipients", {"methods-1": "sms", "methods-2": "sms"}, "methods", "Choose each way only once"),
    ("recipients", {"methods-1": "spoken"}, "methods", "is not connected"),
    ("recipients", {"methods-1": "link"}, "methods", "Choose one of the possibilities"),
    ("recipients", {"country_prefixes": "+31, 32"}, "country_prefixes", "This is not the prefix of a country: 32"),
    ("recipients", {"has_sender_copy": "perhaps"}, "has_sender_copy", "Choose one of the possibilities"),
    ("staff", {"staff_domains": "zegelpost.example, gmail.com"}, "staff_domains", "Anyone can have an address at gmail.com"),
    ("staff", {"staff_domains": "zegelpost.example, @ZIGGO.nl"}, "staff_domains", "Anyone can have an address at ziggo.nl"),
    ("staff", {"staff_domains": "zegelpost.example, nl"}, "staff_domains", "This is not a domain: nl"),
    ("staff", {"staff_domains": "example.nl"}, "staff_domains", "Your own address is at zegelpost.example"),
    ("staff", {"requires_second_factor": "yes"}, "requires_second_factor", "First set up a second step for your own account"),
    ("staff", {"guard_mode": "off"}, "guard_mode", "Choose one of the possibilities"),
    ("organisation", {"name": " "}, "name", "Enter a name"),
    ("organisation", {"name": "x" * 61}, "name", "This is too long: 60"),
    ("organisation", {"accent": "blue"}, "accent", "Enter a colour such as #0b5a75"),
    ("organisation", {"accent": "#ffcc00"}, "accent", "the contrast with white is 1.3, and must be 4.5"),
    ("organisation", {"languages": "fy"}, "languages", "Choose one of the possibilities"),
    ("texts", {"help_text_nl": "x" * 601}, "help_text_nl", "This is too long: 600"),
]


@pytest.mark.parametrize(("group", "typed", "at", "said"), REFUSED)
async def test_what_cannot_be_is_refused_with_a_sentence_at_its_field_and_stays_typed(
    services: Services, chris_portal: Portal, group: str, typed: dict[str, str], at: str, said: str
) -> None:
    before = services.governing.standing
    answer = await save(chris_portal, group, **typed)
    assert answer.status_code == 422
    assert said in words(answer)
    field = "methods-1" if at == "methods" else at
    # Where nothing is connected there is no control to point to.
    assert at == "is_scanning" or f'id="{field}-error"' in answer.text
    kept = controls(answer.text)
    offered = {name: value for name, value in typed.items() if name not in {"is_scanning", "guard_mode", "languages"}}
    if at not in {"methods", "has_sender_copy"}:
        assert {name: kept[name].strip() for name in offered} == {name: value.strip() for name, value in offered.items()}
    assert services.governing.standing == before
    assert await changes(services) == []


async def test_back_to_the_default(services: Services, chris_portal: Portal) -> None:
    await save(chris_portal, "limits", default_expiry_days="100")
    shown = words(await chris_portal.client.get("/admin/policy"))
    assert "100 days" in shown
    assert "Back to the default" in shown
    assert "follows the default again" in words(await chris_portal.press("/admin/policy/default", field="default_expiry_days"))
    assert services.policy.default_expiry_days == 28
    assert (await changes(services))[-1] == {"field": "default_expiry_days", "old": "100", "new": "28", "is_default": True}
    # Once more changes nothing; what does not exist is not there.
    await chris_portal.press("/admin/policy/default", field="default_expiry_days")
    assert len(await changes(services)) == 2
    assert (await chris_portal.press("/admin/policy/default", field="administrator_roles")).status_code == 404


async def test_back_to_a_default_that_does_not_go_with_the_rest_is_refused(services: Services, chris_portal: Portal) -> None:
    await save(chris_portal, "limits", default_expiry_days="400", longest_expiry_days="500")
    refused = await chris_portal.press("/admin/policy/default", field="longest_expiry_days")
    assert refused.status_code == 422
    assert "Can be fetched for at most: This cannot be more than the longest period, 365 days" in words(refused)
    assert services.policy.longest_expiry_days == 500


async def test_of_two_administrators_the_second_sees_what_the_first_did(services: Services, chris_portal: Portal) -> None:
    seen = await form_values(chris_portal, "limits")
    await save(chris_portal, "limits", default_expiry_days="7")
    late = await chris_portal.press("/admin/policy/limits", **seen | {"most_documents": "9"})
    assert late.status_code == 422
    assert "Somebody else changed this a moment ago" in words(late)
    assert (services.policy.default_expiry_days, services.policy.most_documents) == (7, 250)
    # What nobody else touched can be saved from an older page.
    seen = await form_values(chris_portal, "limits")
    await save(chris_portal, "staff", guard_mode="prompt_user")
    assert (await chris_portal.press("/admin/policy/limits", **seen | {"most_documents": "9"})).status_code == 200
    assert services.policy.most_documents == 9


async def test_only_with_a_second_step_where_the_settings_ask_one(
    services: Services, chris_portal: Portal, settings: Settings, clock: MovableClock, policy: Policy
) -> None:
    """Also after it was switched off on screen: or a stolen password would be enough to take over the rest."""
    strict = build_services(settings, clock=clock, policy=dataclasses.replace(policy, requires_second_factor=True))
    async with browser(build_app(strict, has_worker=False)) as client:
        client.cookies = chris_portal.client.cookies
        portal = Portal(client, chris_portal.csrf)
        for answer in (
            await save(portal, "limits", default_expiry_days="7"),
            await portal.press("/admin/policy/default", field="default_expiry_days"),
        ):
            assert "First set up a second step for your own account" in words(answer)
    await strict.database.close()
    assert await changes(services) == []


@pytest.mark.parametrize("email", ["anna@zegelpost.example", "vera@zegelpost.example"])
async def test_others_find_nothing_there(app: Starlette, services: Services, email: str) -> None:
    if email.startswith("vera"):
        await services.registering.create_account(email=email, name="Vera", password=PASSWORD)
        await make_auditor(services, email)
    async with browser(app) as client:
        portal = Portal(client)
        await portal.sign_in(email)
        for group in PolicyGroup:
            assert (await client.get(f"/admin/policy/{group}")).status_code == 404
            typed = {field.name: "1" for field in FIELDS}
            assert (await portal.press(f"/admin/policy/{group}", version="0", **typed)).status_code == 404
        assert (await portal.press("/admin/policy/default", field="quota_bytes")).status_code == 404
    assert await changes(services) == []


async def test_a_form_of_another_site_changes_nothing(services: Services, chris_portal: Portal) -> None:
    typed = await form_values(chris_portal, "limits") | {"default_expiry_days": "7", "csrf": "x"}
    assert (await chris_portal.client.post("/admin/policy/limits", data=typed)).status_code == 403
    assert services.policy.default_expiry_days == 28


async def test_what_is_kept_and_no_longer_usable_leaves_its_field_to_the_settings(
    services: Services, chris_portal: Portal, settings: Settings, clock: MovableClock, policy: Policy
) -> None:
    await save(chris_portal, "recipients", **{"methods-1": "access_code", "methods-2": ""})
    fewer = build_services(
        settings, clock=clock, policy=dataclasses.replace(policy, methods=tuple(policy.methods[:1]))
    )  # the way that was chosen is not connected any more
    async with fewer.database.work():
        assert fewer.policy.methods == policy.methods[:1]
    await fewer.database.close()


def test_no_service_keeps_a_policy_of_its_own() -> None:
    """A service that takes a policy when it is made would go by it until the program ends."""
    makers = []
    for path in (Path(zegelpost.__file__).parent).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                annotations = [ast.unparse(each.annotation) for each in node.args.args if each.annotation]
                if any(re.search(r"\b(Policy|HouseStyle)\b", annotation) for annotation in annotations):
                    makers.append(path.name)
    assert makers == ["governing.py"]


def test_pages_and_services_read_nothing_from_the_settings_that_administrators_can_change() -> None:
    """The settings are what was, and the page of the policy would say something else than what people see."""
    chosen = r"settings\.(organisation|help_phone|staff_domains|has_intake|sms_countries|remembers_devices|clamd_url)\b"
    for folder in ("web", "services"):
        for path in (Path(zegelpost.__file__).parent / folder).rglob("*.py"):
            assert not re.search(chosen, path.read_text(encoding="utf-8")), path


async def test_nothing_that_is_wired_holds_one(services: Services) -> None:
    """The same, of what is made in other ways."""
    seen: set[int] = set()

    def walk(thing: object, trail: str) -> None:
        if id(thing) in seen or isinstance(thing, (Governing, type, str, bytes)):
            return
        seen.add(id(thing))
        assert not isinstance(thing, Policy), trail
        if type(thing).__module__.startswith("zegelpost"):
            names = [*getattr(thing, "__dict__", {}), *getattr(type(thing), "__slots__", ())]
            for name in names:
                if hasattr(thing, name) and name != "policy":
                    walk(getattr(thing, name), f"{trail}.{name}")

    walk(services, "services")
    assert len(seen) > 50


def test_every_field_is_a_value_that_exists_and_survives_being_kept(policy: Policy) -> None:
    governing = Governing(policy, HouseStyle())
    for field in FIELDS:
        value = governing.standing.value(field.name)
        assert field.kind.restore(field.kind.keep(value)) == value, field.name
        assert field.kind.parse(field.kind.typed(value)) == value, field.name
