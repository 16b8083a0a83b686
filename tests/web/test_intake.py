"""The public page: an outsider starts unasked, confirms a mailbox, and sends to a department or a colleague."""

from __future__ import annotations

import base64
import html
import json
import re
from dataclasses import replace

import httpx2
import pytest
from sqlalchemy import event, func, select, update
from starlette.applications import Starlette
from tests.conftest import PASSWORD, MovableClock, Outbox, Portal, browser
from tests.databases import is_of_the_policy
from tests.web.acts import DOCUMENT, Row, open_link, other_than, recognise, send, sentences, values, words
from tests.web.intake_acts import GUUS, TYPED, come_in, hand_in, introduce, mailed_code, open_department, puzzle_of, solve

from zegelpost.main import Services, build_app, build_services
from zegelpost.model.event import Event, EventTag
from zegelpost.model.intake import Introduction
from zegelpost.model.policy import Policy
from zegelpost.model.staff_user import StaffUser
from zegelpost.model.transfer import Transfer

pytestmark = pytest.mark.anyio


@pytest.fixture
def policy(policy: Policy) -> Policy:
    return replace(policy, has_intake=True)


async def test_from_the_public_page_to_a_department(
    app: Starlette, services: Services, anna_portal: Portal, outbox: Outbox, database_kind: str
) -> None:
    department = await open_department(services)
    async with browser(app) as guest:
        start = await guest.get("/i")
        assert "You do not need an account" in words(start)
        assert "Klachten" in words(await guest.get("/i/new"))
        base = await come_in(guest, outbox, to=department, colleague="")
        page = words(await guest.get(f"{base}/answer"))
        assert "To Klachten" in page
        assert TYPED["subject"] in page
        await outbox.link(GUUS)  # delivered before the receipt
        done = await hand_in(guest, base)
        assert "We have received it" in words(done)
        number = re.search(r"Number ([A-Z2-7]{4}-[A-Z2-7]{4}) Received", words(done))
        assert number

        receipt = (await outbox.all(kind="mail", to=GUUS))[-1]
        assert number.group(1) in receipt["subject"]
        notice = (await outbox.all(kind="mail", to="klachten@zegelpost.example"))[-1]
        for mail in await outbox.all(kind="mail"):
            for secret in ("nachtdienst", "Z-9", "bijlage", "melding.pdf"):
                assert secret not in mail["text"] + mail["subject"] + mail["html"]
        found = re.search(r"(/received/[a-z2-7]{26})", notice["text"])
        assert found
        received = await anna_portal.client.get(found.group(1))
        for told in (
            TYPED["subject"],
            "Guus Gast",
            GUUS,
            "Zie de bijlage.",
            "melding.pdf",
            "Z-9",
            "confirmed the e-mail address",
        ):
            assert told in words(received)
        document = re.search(rf'href="({found.group(1)}/documents/[a-z2-7]{{26}})"', received.text)
        assert document
        assert (await anna_portal.client.get(document.group(1))).content == DOCUMENT

        assert "Opened by us" in words(await guest.get(f"{base}/transfer"))
        await anna_portal.press(f"{found.group(1)}/handled", is_handled="1")
        assert "Handled" in words(await guest.get(f"{base}/transfer"))
        answer = await anna_portal.client.get(f"/transfers/new?answers={found.group(1).split('/')[-1]}")
        for told in (f"Re: {TYPED['subject']}", GUUS, "+31612345699"):
            assert told in html.unescape(answer.text)


async def test_the_mailed_link_lets_the_guest_add_something_until_it_is_picked_up(
    app: Starlette, services: Services, anna_portal: Portal, outbox: Outbox, database_kind: str
) -> None:
    async with browser(app) as guest:
        base = await come_in(guest, outbox)
        link = await outbox.link(GUUS)
        await hand_in(guest, base)
    async with browser(app) as elsewhere:
        looked = await elsewhere.get(link[0])
        assert TYPED["subject"] not in looked.text
        inside = await recognise(elsewhere, link)
        assert inside.url.path == f"{base}/transfer"
        await hand_in(elsewhere, base, note="Nog iets vergeten.", name="bijlage-2.pdf")
        page = await elsewhere.get(f"{base}/transfer")
        answers = re.findall(rf"{base}/answers/([a-z2-7]{{26}})/withdraw", page.text)
        assert len(answers) == 2
        notices = [each["text"] for each in await outbox.all(kind="mail", to="anna@zegelpost.example")]
        assert len(notices) == 2
        received = re.search(r"(/received/[a-z2-7]{26})", notices[-1])
        assert received
        thread = words(await anna_portal.client.get(received.group(1)))
        assert "Conversation" in thread
        told = [words(await elsewhere.post(f"{base}/answers/{answer}/withdraw")) for answer in answers]
        assert sum("cannot take it back any more" in each for each in told) == 1
        assert sum("You have taken it back" in each for each in told) == 1


async def test_nothing_tells_whether_a_colleague_exists(
    app: Starlette, outbox: Outbox, services: Services, database_kind: str
) -> None:
    pages: list[list[str]] = []
    for number, colleague in enumerate(["bram@zegelpost.example", "nobody@zegelpost.example"]):
        email = f"guus{number}@praktijk.example"
        async with browser(app) as guest:
            base = await come_in(guest, outbox, colleague=colleague, email=email)
            seen = [words(await guest.get(f"{base}/answer")), words(await hand_in(guest, base))]
            seen += [words(await guest.get(f"{base}/transfer"))]
        # Sorted: of two mails that wait either may go first.
        mails = sorted(each["subject"] + each["text"] for each in await outbox.all(kind="mail", to=email))
        texts = [re.sub(r"[A-Z2-7]{4}-[A-Z2-7]{4}|[a-z2-7-]{26,}|\b\d{6}\b", "…", each) for each in seen + mails]
        pages.append([each.replace(colleague, "X").replace(email, "Y") for each in texts])
    assert pages[0] == pages[1]
    # It waits for whoever has that mailbox.
    notice = (await outbox.all(kind="mail", to="nobody@zegelpost.example"))[-1]
    assert "/received/" in notice["text"]


@pytest.mark.parametrize(("days", "is_theirs"), [(13, True), (14, False)])
async def test_post_waits_a_fortnight_for_an_account_and_never_for_the_next_owner_of_an_address(
    app: Starlette, services: Services, outbox: Outbox, clock: MovableClock, database_kind: str, days: int, is_theirs: bool
) -> None:
    async with browser(app) as guest:
        base = await come_in(guest, outbox, colleague="noor@zegelpost.example")
        await hand_in(guest, base)
    notice = (await outbox.all(kind="mail", to="noor@zegelpost.example"))[-1]
    received = re.search(r"(/received/[a-z2-7]{26})", notice["text"])
    assert received
    clock.forward(days=days)
    await services.registering.create_account(email="noor@zegelpost.example", name="Noor", password=PASSWORD)
    async with browser(app) as client:
        noor = Portal(client)
        await noor.sign_in("noor@zegelpost.example")
        page, listed = await client.get(received.group(1)), await client.get("/received")
        found = re.search(r"/documents/[a-z2-7]{26}", page.text)
        assert (page.status_code == 200, TYPED["subject"] in listed.text, found is not None) == (is_theirs,) * 3
        for action in ("handled", "forward"):
            done = await noor.press(f"{received.group(1)}/{action}", is_handled="1", email="anna@zegelpost.example")
            assert (done.status_code == 200) == is_theirs


async def test_a_department_that_is_not_on_the_page_cannot_be_chosen(
    app: Starlette, services: Services, client: httpx2.AsyncClient, outbox: Outbox
) -> None:
    hidden = await open_department(services, is_on_intake=False, name="Recherche")
    assert "Recherche" not in (await client.get("/i/new")).text
    refused = await introduce(client, to=hidden)
    assert (refused.status_code, await outbox.all(kind="mail")) == (422, [])
    unknown = await introduce(client, to="a" * 26)
    assert sentences(refused) == sentences(unknown)
    assert "Choose for whom it is" in sentences(refused)["colleague"]
    await open_department(services)
    assert "Choose for whom it is" in sentences(await introduce(client, to=hidden))["to"]


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("email", "guus", "Enter a valid e-mail address"),
        ("name", " ", "Enter a name"),
        ("subject", "", "Enter a subject"),
        ("mobile", "020 123 45 67", "not a mobile number"),
        ("colleague", "", "Choose for whom it is"),
        ("colleague", "anna@elders.example", "Use your e-mail address of the organisation"),
        ("reference", "x" * 101, "too long: 100"),
    ],
)
async def test_what_is_wrong_is_told_at_the_field_and_the_rest_stays(
    client: httpx2.AsyncClient, outbox: Outbox, field: str, typed: str, sentence: str
) -> None:
    answer = await introduce(client, **{field: typed})
    assert answer.status_code == 422
    assert sentence in sentences(answer)[field]
    for name, value in TYPED.items():
        if name not in (field, "to"):
            assert html.escape(value) in answer.text
    assert await outbox.all(kind="mail") == []


async def test_a_form_in_an_encoding_of_its_own_holds_no_halves_of_characters(app: Starlette, outbox: Outbox) -> None:
    """No page and no mail could show them."""
    fields = TYPED | {"name": "Gu\\ud800us Gast", "subject": "Melding\\x00"}
    parts = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    kind = "multipart/form-data; boundary=x; charset=unicode_escape"
    async with browser(app) as guest:
        await guest.post("/i/new", content="".join([*parts, "--x--\r\n"]).encode(), headers={"Content-Type": kind})
        inside = await guest.post("/i/confirm", data={"code": await mailed_code(outbox)})

    assert inside.status_code == 200
    assert "Gu\ufffdus Gast" in (await outbox.all(kind="mail", to=GUUS))[-1]["text"]


async def test_without_the_code_nothing_is_delivered_and_no_document_is_taken(
    app: Starlette, services: Services, outbox: Outbox, database_kind: str
) -> None:
    async with browser(app) as guest:
        await introduce(guest)
        code = await mailed_code(outbox)
        # What cannot be a code costs no try.
        for slip in ("", "12345", "geen"):
            assert sentences(await guest.post("/i/confirm", data={"code": slip}))["code"] == "Enter the whole code."
        for left in (4, 3, 2, 1):
            refused = await guest.post("/i/confirm", data={"code": other_than(code)})
            assert f"You have {left} more tries" in sentences(refused)["code"]
        assert "wrong too often" in sentences(await guest.post("/i/confirm", data={"code": other_than(code)}))["code"]
        # Even the right one comes too late now.
        assert (await guest.post("/i/confirm", data={"code": code})).status_code == 429
    async with services.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Transfer)) == 0
        tags = set(await session.scalars(select(Event.tag)))
    assert EventTag.INTAKE_OPENED not in tags
    assert [each["to"] for each in await outbox.all(kind="mail")] == [GUUS]


async def test_a_new_code_replaces_the_old_one_and_there_are_not_many(
    app: Starlette, outbox: Outbox, clock: MovableClock, database_kind: str
) -> None:
    async with browser(app) as guest:
        await introduce(guest)
        first = await mailed_code(outbox)
        assert "A code was sent just now" in words(await guest.post("/i/confirm/again"))
        for _ in range(3):
            clock.forward(seconds=31)
            assert "Only the newest one works" in words(await guest.post("/i/confirm/again"))
            newest = await mailed_code(outbox)  # delivered one at a time: of two that wait either may go first
        clock.forward(seconds=31)
        assert (await guest.post("/i/confirm/again")).status_code == 429
        if newest != first:
            assert (await guest.post("/i/confirm", data={"code": first})).status_code == 422
        assert (await guest.post("/i/confirm", data={"code": newest})).url.path.endswith("/answer")


async def test_a_code_gets_too_old_and_an_introduction_too(
    app: Starlette, outbox: Outbox, clock: MovableClock, database_kind: str
) -> None:
    async with browser(app) as guest:
        await introduce(guest)
        code = await mailed_code(outbox)
        clock.forward(minutes=30)
        late = await guest.post("/i/confirm", data={"code": code})
        assert (late.status_code, "too old" in sentences(late)["code"]) == (410, True)
        clock.forward(hours=4)
        gone = await guest.post("/i/confirm", data={"code": code})
        assert gone.url.path == "/i"
        assert "Please start again" in words(gone)


async def test_the_code_works_only_in_the_browser_that_asked_and_once(app: Starlette, outbox: Outbox, database_kind: str) -> None:
    async with browser(app) as guest, browser(app) as mallory:
        await introduce(guest)
        code = await mailed_code(outbox)
        assert (await mallory.post("/i/confirm", data={"code": code})).url.path == "/i"
        await introduce(mallory, email="mallory@elders.example")
        assert (await mallory.post("/i/confirm", data={"code": code})).status_code == 422
        cookies = dict(guest.cookies)
        assert (await guest.post("/i/confirm", data={"code": code})).url.path.endswith("/answer")
        guest.cookies.update(cookies)
        assert (await guest.post("/i/confirm", data={"code": code})).url.path == "/i"


async def test_mallory_gets_nothing_of_another_guest(app: Starlette, outbox: Outbox, database_kind: str) -> None:
    async with browser(app) as guest, browser(app) as mallory:
        base = await come_in(guest, outbox)
        theirs = await come_in(mallory, outbox, email="mallory@elders.example")
        await hand_in(guest, base)
        page = await guest.get(f"{base}/transfer")
        answer = re.findall(rf"{base}/answers/([a-z2-7]{{26}})/withdraw", page.text)[0]
        for path in (f"{base}/transfer", f"{base}/answer"):
            refused = await mallory.get(path)
            assert TYPED["subject"] not in refused.text
        assert (await mallory.post(f"{theirs}/answers/{answer}/withdraw")).status_code == 404
        assert "Received" in words(await guest.get(f"{base}/transfer"))


async def test_work_is_proved_once_by_whoever_was_given_it(
    app: Starlette, services: Services, outbox: Outbox, clock: MovableClock, database_kind: str
) -> None:
    async with browser(app) as guest:
        # Without proof, five an hour from one network.
        for number in range(5):
            assert (await introduce(guest, email=f"g{number}@praktijk.example")).url.path == "/i/confirm"
        refused = await introduce(guest)
        assert refused.status_code == 429
        assert html.escape(TYPED["subject"]) in refused.text

        proof = solve(puzzle_of(await guest.get("/i/new")))
        assert (await introduce(guest, proof=proof)).url.path == "/i/confirm"
        replayed = await introduce(guest, proof=proof, email="again@praktijk.example")
        assert replayed.status_code == 429
        rewritten = json.loads(base64.b64decode(proof))
        rewritten["solution"]["time"] = 7
        other_form = base64.b64encode(json.dumps(rewritten).encode()).decode()
        assert (await introduce(guest, proof=other_form, email="again@praktijk.example")).status_code == 429

        easier = puzzle_of(await guest.get("/i/new"))
        parameters = easier["parameters"]
        assert isinstance(parameters, dict)
        for forged in (
            {**easier, "parameters": {**parameters, "cost": 1}},
            {**easier, "parameters": {**parameters, "keyPrefix": "0"}},
            {**easier, "signature": "00" * 32},
        ):
            assert (await introduce(guest, proof=solve(forged), email="x@praktijk.example")).status_code == 429
        for nonsense in ("", "%", "e30=", base64.b64encode(b'{"challenge":{},"solution":{}}').decode(), "A" * 9999):
            assert (await introduce(guest, proof=nonsense, email="x@praktijk.example")).status_code == 429

        old = solve(puzzle_of(await guest.get("/i/new")))
        clock.forward(minutes=59)
        clock.forward(hours=1, minutes=1)
        for number in range(5):
            await introduce(guest, email=f"h{number}@praktijk.example")
        assert (await introduce(guest, proof=old, email="x@praktijk.example")).status_code == 429


async def test_our_mail_is_no_tool_to_trouble_others_with(
    app: Starlette, outbox: Outbox, clock: MovableClock, database_kind: str
) -> None:
    async with browser(app) as guest:
        for _ in range(4):
            proof = solve(puzzle_of(await guest.get("/i/new")))
            assert (await introduce(guest, proof=proof, name="http://evil.example", subject="Win!")).url.path == "/i/confirm"
        proof = solve(puzzle_of(await guest.get("/i/new")))
        assert (await introduce(guest, proof=proof)).status_code == 429
    mails = await outbox.all(kind="mail", to=GUUS)
    assert len(mails) == 4
    for mail in mails:
        assert "evil" not in mail["text"] + mail["html"] + mail["subject"]
        assert "Win" not in mail["text"] + mail["html"] + mail["subject"]


async def test_a_closed_public_page_says_so(services: Services, clock: MovableClock, outbox: Outbox) -> None:
    closed = build_services(services.settings, clock=clock, policy=replace(services.policy, has_intake=False))
    app = build_app(closed, has_worker=False)
    async with browser(app) as guest:
        for answer in (await guest.get("/i"), await guest.get("/i/new"), await introduce(guest), await guest.get("/i/confirm")):
            assert answer.status_code in {404, 200}
            assert "start again" in words(answer) or "without being asked" in words(answer)
        assert (await guest.get("/i")).status_code == 404
        assert 'href="/i"' not in (await guest.get("/sign-in")).text
    await closed.database.close()


async def test_looking_changes_nothing(app: Starlette, services: Services, database_kind: str) -> None:
    async with browser(app) as scanner:
        for path in ("/i", "/i/new", "/i/confirm"):
            await scanner.get(path)
    async with services.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Introduction)) == 0
        assert await session.scalar(select(func.count()).select_from(Event)) == 0


async def test_what_was_typed_is_not_readable_in_the_database_and_is_forgotten(
    app: Starlette, services: Services, clock: MovableClock, database_kind: str
) -> None:
    async with browser(app) as guest:
        await introduce(guest)
        # A slip in the address is mended without typing all of it again.
        assert html.escape(TYPED["subject"]) in (await guest.get("/i/new")).text
    async with services.database.reading() as session:
        row = (await session.scalars(select(Introduction))).one()
        for text in (GUUS, "Guus", "nachtdienst"):
            assert text.encode() not in row.sealed_words
    clock.forward(hours=4)
    await services.introducing.forget_old()
    async with services.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Introduction)) == 0


async def test_staff_do_not_find_an_intake_among_what_they_sent(
    app: Starlette, services: Services, anna_portal: Portal, outbox: Outbox, database_kind: str
) -> None:
    department = await open_department(services)
    async with browser(app) as guest:
        base = await come_in(guest, outbox, to=department, colleague="")
        await hand_in(guest, base)
        asked = await guest.post(f"{base}/help")
        assert asked.status_code == 200
    async with services.database.reading() as session:
        intake = (await session.scalars(select(Transfer.id).where(Transfer.kind == "intake"))).one()
    assert (await anna_portal.client.get(f"/transfers/{intake}")).status_code == 404
    assert TYPED["subject"] not in (await anna_portal.client.get("/sent")).text
    assert "/received" in (await outbox.all(kind="mail", to="klachten@zegelpost.example"))[-1]["text"]


async def test_one_guest_cannot_fill_the_store(app: Starlette, services: Services, outbox: Outbox, database_kind: str) -> None:
    async with browser(app) as guest:
        base = await come_in(guest, outbox)
        announced = await guest.post(
            f"{base}/uploads",
            headers={
                "Tus-Resumable": "1.0.0",
                "Upload-Length": str(services.policy.intake_quota_bytes + 1),
                "Upload-Metadata": f"transfer_id {_b64(await _draft_of(services))},filename {_b64('groot.pdf')}",
            },
        )
        assert (announced.status_code, announced.json()["code"]) == (413, "quota_exceeded")


async def _draft_of(services: Services) -> str:
    async with services.database.reading() as session:
        return (await session.scalars(select(Transfer.id).where(Transfer.kind == "answer", Transfer.state == "draft"))).one()


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def test_the_guest_opens_what_staff_answer(
    app: Starlette, services: Services, anna_portal: Portal, outbox: Outbox, database_kind: str
) -> None:
    """With a code on the number they gave, and not by the link they sent with; another guest gets nothing of it."""
    async with browser(app) as guest, browser(app) as mallory:
        base = await come_in(guest, outbox)
        await hand_in(guest, base)
        notice = (await outbox.all(kind="mail", to="anna@zegelpost.example"))[-1]
        received = re.search(r"/received/([a-z2-7]{26})", notice["text"])
        assert received
        form = values(await anna_portal.client.get(f"/transfers/new?answers={received.group(1)}"))
        guus = Row(form["recipient-0-name"], form["recipient-0-email"], form["recipient-0-mobile"], "+31612345699")
        assert (guus.email, guus.mobile) == (GUUS, guus.number)
        words_of_anna = {"subject": form["subject"], "note": "Wij zoeken het uit.", "answers": received.group(1)}
        await send(anna_portal, guus, documents={"brief.pdf": DOCUMENT}, **words_of_anna)
        assert "Wij zoeken het uit." not in (await guest.get(f"{base}/transfer")).text
        opened = await open_link(guest, outbox, guus)
        page = await guest.get(f"{opened}/transfer")
        assert "Wij zoeken het uit." in words(page)
        document = re.search(rf"{opened}/documents/[a-z2-7]{{26}}", page.text)
        assert document
        assert (await guest.get(document.group())).content == DOCUMENT
        await come_in(mallory, outbox, email="mallory@elders.example")
        for path in (f"{opened}/transfer", document.group()):
            refused = await mallory.get(path)
            assert "Wij zoeken het uit." not in refused.text
            assert refused.content != DOCUMENT
        # And the answer to that lands with Anna, in the same conversation.
        await hand_in(guest, opened, note="Dank u.", name="nog-iets.pdf")
    latest = (await outbox.all(kind="mail", to="anna@zegelpost.example"))[-1]
    again = re.search(r"/received/[a-z2-7]{26}", latest["text"])
    assert again
    assert "Conversation" in words(await anna_portal.client.get(again.group()))


async def test_as_much_is_done_for_a_colleague_who_exists_as_for_one_who_does_not(
    app: Starlette, services: Services, outbox: Outbox, database_kind: str
) -> None:
    """What could be timed is work: the same questions to the database, in the same order, at every step."""
    asked: list[str] = []
    event.listen(services.database.engine.sync_engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    left_out = ("FROM outgoing", "UPDATE outgoing")
    seen: list[list[str]] = []
    await services.registering.create_account(email="weg@zegelpost.example", name="Weg", password=PASSWORD)
    async with services.database.work() as session:
        await session.execute(update(StaffUser).where(StaffUser.email == "weg@zegelpost.example").values(is_switched_off=True))
    for number, name in enumerate(("warm-up", "bram", "weg", "nobody")):
        async with browser(app) as guest:
            asked.clear()
            base = await come_in(guest, outbox, colleague=f"{name}@zegelpost.example", email=f"guus{number}@praktijk.example")
            await hand_in(guest, base)
            await guest.get(f"{base}/transfer")
        seen.append([each for each in asked if not is_of_the_policy(each) and not any(words in each for words in left_out)])
    assert len(seen[1]) > 50
    assert seen[1] == seen[2] == seen[3]
