"""Transfers over the API: drafting, sending, following up, and what others get to see of them (nothing)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from tests.conftest import MovableClock, Outbox

API = "/api/v1/transfers"
ROSA = {"name": "Rosa Visser", "email": "rosa@zorg.example", "mobile": "06-12345678"}
KEES = {"name": "Kees Bos", "email": "kees@zorg.example", "method": "access_code", "access_code": "tulp-en-molen"}
BRAM = {"name": "Bram Jansen", "email": "bram@zegelpost.example"}
DRAFT = {"subject": "Rapport", "reference": "Z-12", "note": "Zie het rapport.", "recipients": [ROSA]}
ABSENT = "a" * 26


async def drafted(program: httpx2.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await program.post(API, json=DRAFT | changes)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def sent(program: httpx2.AsyncClient, **changes: Any) -> dict[str, Any]:
    draft = await drafted(program, **changes)
    answer = await program.post(f"{API}/{draft['id']}/send")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_draft_says_what_was_put_in(anna: httpx2.AsyncClient) -> None:
    answer = await anna.post(API, json=DRAFT | {"recipients": [ROSA, KEES, BRAM]})
    assert answer.status_code == 201
    draft = answer.json()
    assert answer.headers["location"] == f"http://127.0.0.1:8000{API}/{draft['id']}"
    assert (draft["state"], draft["box"], draft["language"]) == ("draft", "sent", "nl")
    assert (draft["subject"], draft["reference"], draft["note"]) == ("Rapport", "Z-12", "Zie het rapport.")
    assert (draft["expires_in_days"], draft["sent_at"], draft["expires_at"]) == (28, None, None)
    assert draft["created_at"].endswith("Z")
    assert draft["documents"] == []
    found = [(r["name"], r["email"], r["mobile"], r["method"], r["state"]) for r in draft["recipients"]]
    assert found == [
        ("Rosa Visser", "rosa@zorg.example", "+31612345678", "sms", "waiting"),
        ("Kees Bos", "kees@zorg.example", None, "access_code", "waiting"),
        ("Bram Jansen", "bram@zegelpost.example", None, "sign_in", "waiting"),
    ]
    assert "tulp-en-molen" not in answer.text
    assert (await anna.get(f"{API}/{draft['id']}")).json() == draft


async def test_only_subject_and_recipients_are_needed(anna: httpx2.AsyncClient) -> None:
    draft = (await anna.post(API, json={"subject": "Rapport", "recipients": [ROSA]})).json()
    assert (draft["reference"], draft["note"]) == ("", "")


async def test_everything_that_is_wrong_is_said_at_once(anna: httpx2.AsyncClient) -> None:
    wrong = {"name": " ", "email": "rosa@zorg", "mobile": "020-1234567"}
    answer = await anna.post(API, json={"subject": "", "expires_in_days": 0, "recipients": [ROSA, wrong, ROSA]})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "form_refused"
    assert {name: field["code"] for name, field in problem["fields"].items()} == {
        "subject": "subject_missing",
        "expires_in_days": "expiry_out_of_range",
        "recipients.1.name": "name_missing",
        "recipients.1.email": "email_address_invalid",
        "recipients.1.mobile": "phone_number_not_mobile",
        "recipients.2.email": "recipient_duplicate",
    }
    assert all(field["detail"] for field in problem["fields"].values())


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"recipients": []}, "recipients", "recipients_missing"),
        ({"recipients": [ROSA] * 51}, "recipients", "too_many_recipients"),
        ({"expires_in_days": 365}, None, None),
        ({"expires_in_days": 366}, "expires_in_days", "expiry_out_of_range"),
        ({"expires_in_days": 28.0}, None, None),
        ({"subject": "x" * 200}, None, None),
        ({"subject": "x" * 201}, "subject", "subject_too_long"),
        ({"note": "x" * 20_001}, "note", "note_too_long"),
        ({"recipients": [ROSA | {"mobile": None}]}, "recipients.0.mobile", "phone_number_missing"),
        ({"recipients": [KEES | {"access_code": "kort"}]}, "recipients.0.access_code", "access_code_too_short"),
        ({"recipients": [ROSA | {"method": "sign_in"}]}, "recipients.0.method", "verification_method_not_allowed"),
    ],
)
async def test_limits(anna: httpx2.AsyncClient, changes: dict[str, Any], field: str | None, code: str | None) -> None:
    answer = await anna.post(API, json=DRAFT | changes)
    if field is None:
        assert answer.status_code == 201, answer.text
        return
    assert answer.status_code == 422
    assert {name: refused["code"] for name, refused in answer.json()["fields"].items()} == {field: code}


@pytest.mark.parametrize(
    ("body", "place", "kind"),
    [
        (DRAFT | {"state": "sent"}, "state", "extra_forbidden"),
        (DRAFT | {"sender_id": ABSENT}, "sender_id", "extra_forbidden"),
        (DRAFT | {"id": ABSENT}, "id", "extra_forbidden"),
        (DRAFT | {"has_sender_copy": False}, "has_sender_copy", "extra_forbidden"),
        (DRAFT | {"recipients": [ROSA | {"fetched_at": None}]}, "recipients.0.fetched_at", "extra_forbidden"),
        (DRAFT | {"recipients": [ROSA | {"method": "none"}]}, "recipients.0.method", "enum"),
        (DRAFT | {"expires_in_days": "28"}, "expires_in_days", "int_type"),
        (DRAFT | {"expires_in_days": True}, "expires_in_days", "int_type"),
        (DRAFT | {"language": "de"}, "language", "enum"),
        ({"subject": "Rapport"}, "recipients", "missing"),
        (["Rapport"], "", "model_type"),
    ],
)
async def test_the_shape_is_strict(anna: httpx2.AsyncClient, body: object, place: str, kind: str) -> None:
    answer = await anna.post(API, json=body)
    assert answer.status_code == 422
    assert answer.json()["code"] == "input_invalid"
    assert answer.json()["problems"] == [{"place": place, "kind": kind}]
    assert (await anna.get(API)).json()["total_count"] == 0


async def test_a_refused_body_is_not_echoed(anna: httpx2.AsyncClient) -> None:
    answer = await anna.post(API, json=DRAFT | {"subject": {"geheim": "BSN 123456782"}})
    assert answer.status_code == 422
    assert "123456782" not in answer.text
    assert "geheim" not in answer.text


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"null", b'{"subject": NaN}', b'{"subject": "\\ud800"}', b"[" * 100_000, b'{"a":' * 5_000]
)
async def test_what_is_no_json_is_refused(anna: httpx2.AsyncClient, content: bytes) -> None:
    answer = await anna.post(API, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["code"] == "input_invalid"


async def test_a_form_is_no_json(anna: httpx2.AsyncClient) -> None:
    answer = await anna.post(API, content=b"{}", headers={"Content-Type": "text/plain"})
    assert answer.json()["problems"] == [{"place": "content-type", "kind": "not_json"}]


@pytest.mark.parametrize("is_announced", [True, False])
async def test_a_huge_body_is_refused(anna: httpx2.AsyncClient, is_announced: bool) -> None:
    huge = b'{"note": "' + b"x" * 1024 * 1024 + b'"}'

    async def pieces() -> Any:
        yield huge

    content = huge if is_announced else pieces()
    answer = await anna.post(API, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"


async def test_departments_that_are_not_there(anna: httpx2.AsyncClient) -> None:
    answer = await anna.post(API, json=DRAFT | {"department_id": ABSENT})
    assert (answer.status_code, answer.json()["code"]) == (422, "department_not_found")


# Changing


async def test_a_change_leaves_the_rest(anna: httpx2.AsyncClient) -> None:
    draft = await drafted(anna, language="en", expires_in_days=7)
    answer = await anna.patch(f"{API}/{draft['id']}", json={"subject": "Ander rapport", "note": None})
    assert answer.status_code == 200
    changed = answer.json()
    assert changed["subject"] == "Ander rapport"
    for name in ("reference", "note", "language", "expires_in_days", "state"):
        assert changed[name] == draft[name]
    assert [r["email"] for r in changed["recipients"]] == ["rosa@zorg.example"]
    assert [r["mobile"] for r in changed["recipients"]] == ["+31612345678"]


async def test_recipients_are_replaced_as_a_whole(anna: httpx2.AsyncClient) -> None:
    draft = await drafted(anna)
    changed = (await anna.patch(f"{API}/{draft['id']}", json={"recipients": [KEES, BRAM], "reference": ""})).json()
    assert [r["email"] for r in changed["recipients"]] == ["kees@zorg.example", "bram@zegelpost.example"]
    assert (changed["subject"], changed["reference"]) == ("Rapport", "")


async def test_who_is_addressed_again_stays_the_same_recipient(anna: httpx2.AsyncClient) -> None:
    draft = await drafted(anna, recipients=[ROSA, KEES])
    changed = (await anna.patch(f"{API}/{draft['id']}", json={"recipients": [KEES | {"name": "K. Bos"}, BRAM]})).json()
    kees, bram = changed["recipients"]
    assert (kees["id"], kees["name"]) == (draft["recipients"][1]["id"], "K. Bos")
    assert bram["id"] not in {each["id"] for each in draft["recipients"]}


async def test_an_agreed_access_code_outlives_a_change(
    anna: httpx2.AsyncClient, client: httpx2.AsyncClient, outbox: Outbox
) -> None:
    draft = await drafted(anna, recipients=[KEES])
    answer = await anna.patch(f"{API}/{draft['id']}", json={"subject": "Ander rapport"})
    assert (answer.status_code, answer.json()["subject"]) == (200, "Ander rapport")
    assert (await anna.post(f"{API}/{draft['id']}/send")).status_code == 200

    path, secret = await outbox.link(KEES["email"])
    await client.post(path, data={"link_secret": secret})
    opened = await client.post(f"{path}/verify", data={"code": KEES["access_code"]})
    assert "Ander rapport" in opened.text


async def test_someone_new_needs_an_access_code_of_their_own(anna: httpx2.AsyncClient) -> None:
    draft = await drafted(anna, recipients=[ROSA])
    bare = {name: value for name, value in KEES.items() if name != "access_code"}
    answer = await anna.patch(f"{API}/{draft['id']}", json={"recipients": [bare]})
    assert answer.status_code == 422
    assert list(answer.json()["fields"]) == ["recipients.0.access_code"]


async def test_what_was_sent_does_not_change(anna: httpx2.AsyncClient) -> None:
    transfer = await sent(anna, recipients=[KEES])
    answer = await anna.patch(f"{API}/{transfer['id']}", json={"subject": "Ander rapport"})
    assert (answer.status_code, answer.json()["code"]) == (409, "transfer_not_draft")


@pytest.mark.parametrize("field", ["state", "sent_at", "sender_id", "documents", "history"])
async def test_a_change_assigns_nothing_else(anna: httpx2.AsyncClient, field: str) -> None:
    draft = await drafted(anna)
    answer = await anna.patch(f"{API}/{draft['id']}", json={field: "sent"})
    assert (answer.status_code, answer.json()["code"]) == (422, "input_invalid")
    assert (await anna.get(f"{API}/{draft['id']}")).json() == draft


# Sending and following up


async def test_sending_mails_the_link(anna: httpx2.AsyncClient, outbox: Outbox, clock: MovableClock) -> None:
    transfer = await sent(anna, expires_in_days=7)
    assert transfer["state"] == "sent"
    assert datetime.fromisoformat(transfer["expires_at"]) == clock.now + timedelta(days=7)
    assert [event["event"] for event in transfer["history"]] == ["transfer:created", "transfer:sent"]
    await outbox.link("rosa@zorg.example")
    again = await anna.post(f"{API}/{transfer['id']}/send")
    assert (again.status_code, again.json()["code"]) == (409, "transfer_not_draft")


async def test_an_empty_draft_is_not_sent(anna: httpx2.AsyncClient) -> None:
    draft = await drafted(anna, note="")
    answer = await anna.post(f"{API}/{draft['id']}/send")
    assert (answer.status_code, answer.json()["code"]) == (422, "content_missing")


async def test_history_tells_per_recipient_what_happened(anna: httpx2.AsyncClient, outbox: Outbox) -> None:
    transfer = await sent(anna, recipients=[ROSA, KEES])
    await outbox.deliver()
    rosa, kees = (await anna.get(f"{API}/{transfer['id']}")).json()["recipients"]
    for recipient in (rosa, kees):
        assert [event["event"] for event in recipient["history"]] == ["mail:accepted"]
        assert set(recipient["history"][0]) == {"at", "event", "facts"}
        assert datetime.fromisoformat(recipient["history"][0]["at"]).tzinfo == UTC


async def test_revoking(anna: httpx2.AsyncClient, outbox: Outbox) -> None:
    transfer = await sent(anna)
    path, secret = await outbox.link("rosa@zorg.example")
    answer = await anna.post(f"{API}/{transfer['id']}/revoke", json={"tell_recipients": False})
    assert (answer.status_code, answer.json()["state"]) == (200, "revoked")
    assert len(await outbox.all(to="rosa@zorg.example")) == 1
    assert (await anna.post(path, data={"secret": secret})).status_code >= 400
    again = await anna.post(f"{API}/{transfer['id']}/revoke")
    assert (again.status_code, again.json()["code"]) == (409, "transfer_not_sent")


async def test_revoking_tells_recipients_unless_asked_not_to(anna: httpx2.AsyncClient, outbox: Outbox) -> None:
    transfer = await sent(anna)
    await outbox.deliver()
    assert (await anna.post(f"{API}/{transfer['id']}/revoke")).status_code == 200
    assert len(await outbox.all(to="rosa@zorg.example")) == 2


async def test_extending(anna: httpx2.AsyncClient, clock: MovableClock) -> None:
    transfer = await sent(anna, expires_in_days=7)
    answer = await anna.post(f"{API}/{transfer['id']}/extend", json={"days": 30})
    assert datetime.fromisoformat(answer.json()["expires_at"]) == clock.now + timedelta(days=30)
    shorter = await anna.post(f"{API}/{transfer['id']}/extend", json={"days": 29})
    assert (shorter.status_code, shorter.json()["code"]) == (422, "expiry_out_of_range")
    assert shorter.json()["longest"] == 365
    assert (await anna.post(f"{API}/{transfer['id']}/extend")).status_code == 422


async def test_an_expired_transfer_reopens_by_extending(anna: httpx2.AsyncClient, clock: MovableClock) -> None:
    transfer = await sent(anna, expires_in_days=1)
    await anna.delete("/api/v1/sign-in")
    clock.forward(days=2)
    signed_in = await anna.post("/api/v1/sign-in", json={"email": "anna@zegelpost.example", "password": "demo-zegelpost-2026"})
    anna.headers["Authorization"] = f"Bearer {signed_in.json()['access_token']}"
    assert (await anna.get(f"{API}/{transfer['id']}")).json()["state"] == "expired"
    reopened = await anna.post(f"{API}/{transfer['id']}/extend", json={"days": 7})
    assert reopened.json()["state"] == "sent"


async def test_reminding(anna: httpx2.AsyncClient, outbox: Outbox) -> None:
    transfer = await sent(anna, recipients=[ROSA, KEES])
    await outbox.deliver()
    answer = await anna.post(f"{API}/{transfer['id']}/remind")
    assert (answer.status_code, answer.json()) == (200, {"reminded": 2})
    assert len(await outbox.all(to="rosa@zorg.example")) == 2
    again = await anna.post(f"{API}/{transfer['id']}/remind")
    assert (again.status_code, again.json()["code"]) == (429, "reminded_recently")
    assert int(again.headers["retry-after"]) > 0


async def test_blocking_one_and_letting_them_in_again(anna: httpx2.AsyncClient, outbox: Outbox) -> None:
    transfer = await sent(anna, recipients=[ROSA, KEES])
    old = await outbox.link("rosa@zorg.example")
    rosa = f"{API}/{transfer['id']}/recipients/{transfer['recipients'][0]['id']}"
    blocked = (await anna.post(f"{rosa}/block")).json()
    assert [r["state"] for r in blocked["recipients"]] == ["blocked", "waiting"]
    reissued = (await anna.post(f"{rosa}/reissue")).json()
    assert [r["state"] for r in reissued["recipients"]] == ["waiting", "waiting"]
    assert await outbox.link("rosa@zorg.example") != old


@pytest.mark.parametrize("action", ["revoke", "extend", "remind"])
async def test_a_draft_is_not_followed_up(anna: httpx2.AsyncClient, action: str) -> None:
    draft = await drafted(anna)
    answer = await anna.post(f"{API}/{draft['id']}/{action}", json={"days": 30} if action == "extend" else None)
    assert (answer.status_code, answer.json()["code"]) == (409, "transfer_not_sent")


# Boxes


async def test_the_sent_box_has_pages(anna: httpx2.AsyncClient, bram: httpx2.AsyncClient, clock: MovableClock) -> None:
    for number in range(21):
        clock.forward(seconds=1)
        await sent(anna, subject=f"Rapport {number}")
    await drafted(anna, subject="Concept")
    first = (await anna.get(API, params={"box": "sent"})).json()
    assert (first["page"], first["page_count"], first["total_count"]) == (1, 2, 21)
    assert [item["subject"] for item in first["items"]] == [f"Rapport {number}" for number in range(20, 0, -1)]
    second = (await anna.get(API, params={"page": 2})).json()
    assert [item["subject"] for item in second["items"]] == ["Rapport 0"]
    assert (await bram.get(API)).json()["items"] == []


async def test_a_colleague_receives(anna: httpx2.AsyncClient, bram: httpx2.AsyncClient, mallory: httpx2.AsyncClient) -> None:
    transfer = await sent(anna, recipients=[BRAM, ROSA])
    box = (await bram.get(API, params={"box": "received"})).json()
    assert box["total_count"] == 1
    assert (box["items"][0]["id"], box["items"][0]["sender_name"], box["items"][0]["is_opened"]) == (
        transfer["id"],
        "Anna de Vries",
        False,
    )
    received = (await bram.get(f"{API}/{transfer['id']}")).json()
    assert (received["box"], received["subject"], received["note"]) == ("received", "Rapport", "Zie het rapport.")
    # What the sender knows about other recipients stays with the sender.
    assert "recipients" not in received
    assert "rosa" not in str(received)
    assert (await bram.get(API, params={"box": "received"})).json()["items"][0]["is_opened"] is True
    assert (await anna.get(f"{API}/{transfer['id']}")).json()["recipients"][0]["state"] == "opened"
    assert (await mallory.get(API, params={"box": "received"})).json()["items"] == []
    await anna.post(f"{API}/{transfer['id']}/revoke")
    gone = await bram.get(f"{API}/{transfer['id']}")
    assert (gone.status_code, gone.json()["code"]) == (410, "transfer_revoked")


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("box=drafts", "box"),
        ("page=0", "page"),
        ("page=x", "page"),
        ("page=1&page=2", "page"),
        ("page=9999999999999999999", "page"),
    ],
)
async def test_a_box_that_is_not_there(anna: httpx2.AsyncClient, query: str, place: str) -> None:
    answer = await anna.get(f"{API}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "input_invalid")
    assert answer.json()["problems"][0]["place"] == place


# Other people's


def operations_on(transfer: str, recipient: str) -> list[tuple[str, str, object]]:
    return [
        ("GET", f"{API}/{transfer}", None),
        ("PATCH", f"{API}/{transfer}", {"subject": "Van mij"}),
        ("POST", f"{API}/{transfer}/send", None),
        ("POST", f"{API}/{transfer}/revoke", None),
        ("POST", f"{API}/{transfer}/extend", {"days": 300}),
        ("POST", f"{API}/{transfer}/remind", None),
        ("POST", f"{API}/{transfer}/recipients/{recipient}/reissue", None),
        ("POST", f"{API}/{transfer}/recipients/{recipient}/block", None),
        ("GET", f"{API}/{transfer}/documents/{ABSENT}", None),
        ("DELETE", f"{API}/{transfer}/documents/{ABSENT}", None),
        ("GET", f"{API}/{transfer}/archive.zip", None),
    ]


@pytest.mark.parametrize("make", [drafted, sent])
async def test_another_persons_is_absent(anna: httpx2.AsyncClient, mallory: httpx2.AsyncClient, make: Any) -> None:
    transfer = await make(anna)
    theirs = operations_on(transfer["id"], transfer["recipients"][0]["id"])
    for (method, path, body), (_, absent_path, _) in zip(theirs, operations_on(ABSENT, ABSENT), strict=True):
        answer = await mallory.request(method, path, json=body)
        absent = await mallory.request(method, absent_path, json=body)
        assert answer.status_code == absent.status_code == 404, path
        assert answer.json() == absent.json()
        assert dict(answer.headers) == dict(absent.headers)
    assert (await anna.get(f"{API}/{transfer['id']}")).json() == transfer


@pytest.mark.parametrize("action", ["reissue", "block"])
async def test_recipients_do_not_swap_transfers(
    anna: httpx2.AsyncClient, mallory: httpx2.AsyncClient, outbox: Outbox, action: str
) -> None:
    annas, other, mallorys = await sent(anna), await sent(anna), await sent(mallory)
    before = len(await outbox.all())
    for program, transfer, recipient in (
        (mallory, mallorys, annas["recipients"][0]["id"]),
        (anna, other, annas["recipients"][0]["id"]),
        (anna, annas, mallorys["recipients"][0]["id"]),
        (anna, annas, "../" + annas["recipients"][0]["id"]),
        (anna, annas, annas["recipients"][0]["id"].upper()),
    ):
        answer = await program.post(f"{API}/{transfer['id']}/recipients/{recipient}/{action}")
        assert answer.status_code == 404
    assert len(await outbox.all()) == before
    assert (await anna.get(f"{API}/{annas['id']}")).json()["recipients"][0]["state"] == "waiting"
