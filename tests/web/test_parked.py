"""A recipient whose number nobody has yet: the others get it at once, and this one when the sender adds the number."""

from __future__ import annotations

import asyncio
import re

import httpx2
import pytest
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.web.acts import DOCUMENT, ROSA, SAM, Row, form_of, open_link, send, sentences, words

ANNA = "anna@zegelpost.example"
NUMBERLESS = Row(SAM.name, SAM.email)
PARK = "recipient-1-park"


async def parked(portal: Portal, **fields: str) -> tuple[str, str]:
    """Sent to Rosa, and parked for Sam; the transfer and where Sam's number goes."""
    transfer_id = await send(portal, ROSA, NUMBERLESS, documents={"a.pdf": DOCUMENT}, **{PARK: "1"}, **fields)
    page = await portal.client.get(f"/transfers/{transfer_id}")
    return transfer_id, re.findall(r'action="([^"]+/complete)"', page.text)[0]


async def everything_for(outbox: Outbox, row: Row) -> list[str]:
    return [entry["subject"] or entry["text"] for entry in await outbox.all() if entry["to"] in {row.email, row.number}]


async def test_without_the_choice_a_number_is_needed_and_the_choice_is_offered(anna_portal: Portal) -> None:
    first = await anna_portal.client.get("/transfers/new")
    assert "I do not have a usable number yet" not in words(first)

    refused = await anna_portal.press("/transfers", **form_of(ROSA, NUMBERLESS))

    assert list(sentences(refused)) == ["recipient-1-mobile"]
    assert 'name="recipient-1-park"' in refused.text
    assert 'name="recipient-0-park"' not in refused.text
    landline = await anna_portal.press("/transfers", **form_of(ROSA, Row(SAM.name, SAM.email, "070 123 45 67")))
    assert 'name="recipient-1-park"' in landline.text


async def test_the_others_get_it_at_once_and_the_rest_when_there_is_a_number(
    app: Starlette, anna_portal: Portal, outbox: Outbox, anna: httpx2.AsyncClient
) -> None:
    transfer_id, complete = await parked(anna_portal)

    async with browser(app) as rosa:
        await open_link(rosa, outbox, ROSA)
    # Who is in had the code: what its way was is no news any more.
    assert "A code was sent" not in words(await anna_portal.client.get(f"/transfers/{transfer_id}"))
    assert await everything_for(outbox, SAM) == []
    [told] = [mail for mail in await outbox.all(kind="mail", to=ANNA) if "ontbreekt" in mail["subject"]]
    assert SAM.name in told["text"]
    assert f"\nhttp://127.0.0.1:8000/transfers/{transfer_id}\n" in told["text"]
    page = await anna_portal.client.get(f"/transfers/{transfer_id}")
    assert "Number missing" in words(page)
    assert "Number missing" in words(await anna_portal.client.get("/sent"))

    done = await anna_portal.press(complete, mobile=SAM.mobile)

    assert "The number was added." in words(done)
    assert "Number missing" not in words(done)
    async with browser(app) as sam:
        await open_link(sam, outbox, SAM)
    report = (await anna.get(f"/api/v1/transfers/{transfer_id}/report.json")).json()
    tags = [event["event"] for event in report["events"] if event["recipient_number"] == 2]
    assert tags[:3] == ["recipient:parked", "recipient:completed", "mail:accepted"]
    assert [recipient["parked"] for recipient in report["recipients"]] == [None, None]


async def test_an_unusable_number_is_left_out_and_a_usable_one_counts(anna_portal: Portal, outbox: Outbox) -> None:
    landline = Row(SAM.name, SAM.email, "070 123 45 67")
    await send(anna_portal, ROSA, landline, documents=None, **{PARK: "1"})
    assert await everything_for(outbox, SAM) == []

    await send(anna_portal, ROSA, SAM, documents=None, **{PARK: "1"})
    assert len(await everything_for(outbox, SAM)) == 1


async def test_a_draft_remembers_who_waits(anna_portal: Portal, outbox: Outbox) -> None:
    answer = await anna_portal.press("/transfers", **form_of(ROSA, NUMBERLESS), **{PARK: "1"})
    transfer_id = answer.url.path.split("/")[2]
    edit = await anna_portal.client.get(f"/transfers/{transfer_id}/edit")
    assert re.search(r'name="recipient-1-park" value="1" checked', edit.text)
    assert "Gets nothing yet" in words(await anna_portal.client.get(f"/transfers/{transfer_id}/check"))

    await anna_portal.press(f"/transfers/{transfer_id}/edit", **form_of(ROSA, SAM), **{PARK: "1"})
    await anna_portal.press(f"/transfers/{transfer_id}/send")
    assert len(await everything_for(outbox, SAM)) == 1


async def test_what_was_typed_stays_with_the_reason(anna_portal: Portal, outbox: Outbox) -> None:
    _, complete = await parked(anna_portal)
    for typed, said in [
        ("", "Enter a telephone number."),
        ("070 123 45 67", "This is not a mobile number."),
        ("+7 912 345 67 89", "numbers that start with +7"),
        ("06 hallo", "This is not a telephone number."),
    ]:
        answer = await anna_portal.press(complete, mobile=typed)
        assert (answer.status_code, said in words(answer)) == (422, True)
        assert f'value="{typed}"' in answer.text
    assert await everything_for(outbox, SAM) == []


async def test_two_clicks_send_one_link(database_kind: str, anna_portal: Portal, outbox: Outbox) -> None:
    _, complete = await parked(anna_portal)

    answers = await asyncio.gather(*(anna_portal.press(complete, mobile=SAM.mobile) for _ in range(3)))

    assert sorted(answer.status_code for answer in answers) == [200, 422, 422]
    assert len(await everything_for(outbox, SAM)) == 1


async def test_nothing_reaches_them_before(
    anna_portal: Portal, outbox: Outbox, clock: MovableClock, anna: httpx2.AsyncClient
) -> None:
    transfer_id, complete = await parked(anna_portal)
    recipient = complete.rpartition("/")[0]
    await outbox.deliver()
    await anna_portal.press(f"/transfers/{transfer_id}/remind")
    await outbox.deliver()
    again = await anna.post(f"/api/v1{recipient}/reissue")
    assert (again.status_code, again.json()["code"]) == (422, "phone_number_missing")
    await anna_portal.press(f"/transfers/{transfer_id}/extend", days="60")

    await anna_portal.press(f"/transfers/{transfer_id}/revoke", tell_recipients="1")

    assert await everything_for(outbox, SAM) == []
    assert len(await everything_for(outbox, ROSA)) == 3  # invitation, reminder, withdrawal


@pytest.mark.parametrize("end", ["revoke", "expire", "block"])
async def test_what_is_over_is_over_for_them_too(anna_portal: Portal, outbox: Outbox, clock: MovableClock, end: str) -> None:
    transfer_id, complete = await parked(anna_portal)
    if end == "expire":
        clock.forward(days=28)
        await anna_portal.sign_in(ANNA)
    elif end == "block":
        await anna_portal.press(f"{complete.rpartition('/')[0]}/block")
    else:
        await anna_portal.press(f"/transfers/{transfer_id}/revoke")

    answer = await anna_portal.press(complete, mobile=SAM.mobile)

    assert answer.status_code == 422
    assert "/complete" not in answer.text
    assert await everything_for(outbox, SAM) == []


async def test_an_extended_transfer_still_reaches_them(
    app: Starlette, anna_portal: Portal, outbox: Outbox, clock: MovableClock
) -> None:
    transfer_id, complete = await parked(anna_portal)
    await anna_portal.press(f"/transfers/{transfer_id}/extend", days="90")
    clock.forward(days=40)
    await anna_portal.sign_in(ANNA)

    await anna_portal.press(complete, mobile=SAM.mobile)

    async with browser(app) as sam:
        await open_link(sam, outbox, SAM)


async def test_a_program_parks_and_completes(anna: httpx2.AsyncClient, outbox: Outbox) -> None:
    recipients: list[dict[str, str | bool]] = [
        {"name": ROSA.name, "email": ROSA.email, "mobile": ROSA.mobile},
        {"name": SAM.name, "email": SAM.email},
    ]
    draft = {"subject": "Dossier", "note": "Beste", "recipients": recipients}
    refused = await anna.post("/api/v1/transfers", json=draft)
    assert refused.json()["fields"]["recipients.1.mobile"]["code"] == "phone_number_missing"
    recipients[1]["is_parked"] = True
    made = (await anna.post("/api/v1/transfers", json=draft)).json()
    # What is not about recipients leaves who waits waiting.
    await anna.patch(f"/api/v1/transfers/{made['id']}", json={"subject": "Nieuw"})
    sent = (await anna.post(f"/api/v1/transfers/{made['id']}/send")).json()
    assert [recipient["state"] for recipient in sent["recipients"]] == ["waiting", "parked"]
    assert await everything_for(outbox, SAM) == []

    where = f"/api/v1/transfers/{sent['id']}/recipients/{sent['recipients'][1]['id']}/complete"
    wrong = await anna.post(where, json={"mobile": "070 123 45 67"})
    assert wrong.json()["fields"]["mobile"]["code"] == "phone_number_not_mobile"
    done = await anna.post(where, json={"mobile": SAM.mobile})

    assert [recipient["state"] for recipient in done.json()["recipients"]] == ["waiting", "waiting"]
    assert len(await everything_for(outbox, SAM)) == 1
    twice = await anna.post(where, json={"mobile": SAM.mobile})
    assert (twice.status_code, twice.json()["code"]) == (409, "recipient_not_parked")
