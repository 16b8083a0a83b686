"""What the policy on screen changes for senders, recipients and staff, in drafts and in what is made from now on."""

from __future__ import annotations

import httpx2
import pytest
from sqlalchemy import select
from tests.conftest import PASSWORD, Portal
from tests.web.acts import words
from tests.web.policy_acts import draft, save

from zegelpost.main import Services
from zegelpost.model.identifiers import FactorId, new_identifier
from zegelpost.model.second_factor import AuthenticatorApp
from zegelpost.model.staff_user import StaffUser
from zegelpost.model.transfer import Transfer

pytestmark = pytest.mark.anyio


async def test_the_order_of_ways_is_what_senders_are_offered_and_get(
    services: Services, chris_portal: Portal, anna: httpx2.AsyncClient, anna_portal: Portal
) -> None:
    coded = draft(recipients=[{"name": "Rosa", "email": "rosa@zorg.example", "access_code": "geheim-1234"}])
    coded["recipients"][0]["method"] = "access_code"
    before = (await anna.post("/api/v1/transfers", json=coded)).json()["id"]
    form = (await anna_portal.client.get("/transfers/new")).text
    assert form.index("A code by text message") < form.index("An access code you agree")
    await save(chris_portal, "recipients", **{"methods-1": "access_code", "methods-2": "sms"})
    form = (await anna_portal.client.get("/transfers/new")).text
    assert form.index("An access code you agree") < form.index("A code by text message")
    # Whoever says nothing about the way, as the add-in does, still gets one that needs a number alone.
    made = (await anna.post("/api/v1/transfers", json=draft())).json()["id"]
    assert (await anna.get(f"/api/v1/transfers/{made}")).json()["recipients"][0]["method"] == "sms"
    await save(chris_portal, "recipients", **{"methods-1": "sms", "methods-2": ""})
    assert "An access code you agree" not in (await anna_portal.client.get("/transfers/new")).text
    refused = await anna.post("/api/v1/transfers", json=coded)
    assert refused.json()["fields"]["recipients.0.method"]["code"] == "verification_method_not_allowed"
    sent = await anna.post(f"/api/v1/transfers/{before}/send")
    assert (sent.status_code, sent.json()["code"]) == (422, "verification_method_not_allowed")
    # Where text messages are not allowed, nobody gets one by saying nothing.
    await save(chris_portal, "recipients", **{"methods-1": "access_code", "methods-2": ""})
    refused = await anna.post("/api/v1/transfers", json=draft())
    assert refused.json()["fields"]["recipients.0.access_code"]["code"] == "access_code_too_short"
    colleague = draft(recipients=[{"name": "Bram", "email": "bram@zegelpost.example"}])
    assert (await anna.post("/api/v1/transfers", json=colleague)).status_code == 201


async def test_colleagues_need_no_access_code_where_forms_offer_one_first(
    chris_portal: Portal, anna_portal: Portal, anna: httpx2.AsyncClient
) -> None:
    await save(chris_portal, "recipients", **{"methods-1": "access_code", "methods-2": "sms"})
    row = {
        "name": "Bram",
        "email": "bram@zegelpost.example",
        "mobile": "",
        "method": "access_code",
        "access_code": "",
        "hint": "",
    }
    typed = {f"recipient-0-{name}": value for name, value in row.items()}
    made = await anna_portal.press(
        "/transfers", subject="x", reference="", note="y", expires_in_days="28", language="nl", department_id="", **typed
    )
    transfer_id = str(made.url).split("/")[-2]
    assert (await anna.get(f"/api/v1/transfers/{transfer_id}")).json()["recipients"][0]["method"] == "sign_in"


async def test_link_only_counts_for_what_is_sent_from_now_on(
    services: Services, chris_portal: Portal, anna: httpx2.AsyncClient, anna_portal: Portal
) -> None:
    """A draft that was made with a sender copy is sent without one, and the sender is told before it is sent."""
    drafted, sent = [(await anna.post("/api/v1/transfers", json=draft())).json()["id"] for _ in range(2)]
    assert (await anna.post(f"/api/v1/transfers/{sent}/send")).status_code == 200
    warning = "Only the recipient's link opens this transfer"
    assert warning not in words(await anna_portal.client.get(f"/transfers/{drafted}/check"))
    await save(chris_portal, "recipients", has_sender_copy="no")
    assert warning in words(await anna_portal.client.get(f"/transfers/{drafted}/check"))
    assert (await anna.post(f"/api/v1/transfers/{drafted}/send")).status_code == 200
    async with services.database.reading() as session:
        rows = await session.execute(select(Transfer.id, Transfer.has_sender_copy, Transfer.sender_wrap, Transfer.draft_wrap))
        kept = {row.id: (row.has_sender_copy, row.sender_wrap is not None, row.draft_wrap) for row in rows}
    assert kept == {drafted: (False, False, None), sent: (True, True, None)}


async def test_who_waits_for_a_number_is_not_sent_without_a_sender_copy(
    chris_portal: Portal, anna: httpx2.AsyncClient, anna_portal: Portal
) -> None:
    row = {"name": "Rosa", "email": "rosa@zorg.example", "mobile": "", "park": "1", "method": "", "access_code": "", "hint": ""}
    typed = {f"recipient-0-{name}": value for name, value in row.items()}
    made = await anna_portal.press(
        "/transfers", subject="x", reference="", note="y", expires_in_days="28", language="nl", department_id="", **typed
    )
    transfer_id = str(made.url).split("/")[-2]
    await save(chris_portal, "recipients", has_sender_copy="no")
    refused = await anna_portal.press(f"/transfers/{transfer_id}/send")
    assert "Enter a telephone number" in words(refused)
    assert (await anna.get(f"/api/v1/transfers/{transfer_id}")).json()["state"] == "draft"


async def test_countries_are_judged_when_it_is_sent(chris_portal: Portal, anna: httpx2.AsyncClient) -> None:
    belgian = {"name": "Rosa", "email": "rosa@zorg.example", "mobile": "+32470123456"}
    made = (await anna.post("/api/v1/transfers", json=draft(recipients=[belgian]))).json()["id"]
    await save(chris_portal, "recipients", country_prefixes="+31")
    assert (await anna.post(f"/api/v1/transfers/{made}/send")).json()["code"] == "phone_country_not_allowed"
    refused = await anna.post("/api/v1/transfers", json=draft(recipients=[belgian]))
    assert refused.json()["fields"]["recipients.0.mobile"]["code"] == "phone_country_not_allowed"


async def test_nobody_starts_unasked_where_that_was_switched_off(chris_portal: Portal, client: httpx2.AsyncClient) -> None:
    assert "Send us documents" in (await client.get("/help")).text
    await save(chris_portal, "recipients", has_intake="no")
    assert (await client.get("/i/new")).status_code == 404
    assert 'href="/i"' not in (await client.get("/help")).text


async def test_the_guard_in_outlook_goes_by_it_from_the_next_mail_on(chris_portal: Portal, client: httpx2.AsyncClient) -> None:
    first = await client.get("/addin/launchevent.js")
    assert first.headers["cache-control"] == "public, no-cache"
    asked = {"If-None-Match": first.headers["etag"]}
    assert (await client.get("/addin/launchevent.js", headers=asked)).status_code == 304
    assert '"soft_block"' in first.text
    await save(chris_portal, "staff", guard_mode="prompt_user", staff_domains="zegelpost.example, tweede.example")
    second = await client.get("/addin/launchevent.js", headers=asked)
    assert second.status_code == 200
    assert '"prompt_user"' in second.text
    assert '"tweede.example"' in second.text


async def test_a_second_step_for_everyone_ends_what_is_open_without_one(
    services: Services, chris_portal: Portal, anna: httpx2.AsyncClient, database_kind: str
) -> None:
    async with services.database.work() as session:
        chris = await session.scalar(select(StaffUser).where(StaffUser.email == "chris@zegelpost.example"))
        assert chris is not None
        sealed = AuthenticatorApp(
            id=FactorId(new_identifier()), user_id=chris.id, sealed_secret=b"x", name="", last_step=0, created_at=services.clock()
        )
        session.add(sealed)
    assert (await anna.get("/api/v1/me")).status_code == 200
    saved = await save(chris_portal, "staff", requires_second_factor="yes")
    assert "Saved" in words(saved)
    assert (await anna.get("/api/v1/me")).status_code == 401
    again = await anna.post("/api/v1/sign-in", json={"email": "anna@zegelpost.example", "password": PASSWORD})
    assert again.json()["code"] == "second_factor_not_set_up"
    # Who has one stays in.
    assert (await chris_portal.client.get("/admin/policy")).status_code == 200
