"""Anna sends: the form, its refusals, drafts, and what leaves."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import httpx2
import pytest
from sqlalchemy import func, select
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.web.acts import BRAM, DOCUMENT, ROSA, SAM, Row, add_document, draft, form_of, open_link, send, sentences, values, words

from zegelpost.main import Services, build_app, build_services, build_worker
from zegelpost.model.event import Event, EventTag
from zegelpost.model.policy import Policy
from zegelpost.model.recipient import VerificationMethod
from zegelpost.model.transfer import Transfer
from zegelpost.settings import Settings

LINK_ONLY = Policy(staff_domains=("zegelpost.example",), has_sender_copy=False, requires_second_factor=False)


async def transfer_count(services: Services) -> int:
    async with services.database.reading() as session:
        return await session.scalar(select(func.count()).select_from(Transfer)) or 0


# The form


def access_code_fields(row: int) -> list[str]:
    return [f"recipient-{row}-{name}" for name in ("method", "access_code", "hint")]


async def test_tells_all_that_is_wrong_at_once_and_keeps_what_was_typed(services: Services, anna_portal: Portal) -> None:
    typed = form_of(
        Row("", "rosa", "0201234567"),
        Row('Sam <Smit> "x" & co', "sam@advocaat.example", "061234"),
        Row("y" * 121, "sam@advocaat.example", "0687654321"),
        subject="",
        reference="r" * 101,
        note="n" * 20_001,
        expires_in_days="366",
        language="nl",
    )

    answer = await anna_portal.press("/transfers", **typed)

    assert answer.status_code == 422
    assert sentences(answer) == {
        "recipient-0-name": "Enter a name.",
        "recipient-0-email": "Enter a valid e-mail address, such as name@example.com.",
        "recipient-0-mobile": "This is not a mobile number. Enter a number that can receive text messages.",
        "recipient-1-mobile": "This is not a telephone number. Check the digits.",
        "recipient-2-name": "This name is too long: 120 characters at most.",
        "subject": "Enter a subject.",
        "reference": "The reference is too long: 100 characters at most.",
        "note": "The note is too long: 20000 characters at most.",
        "expires_in_days": "Choose a number of days from 1 to 365.",
    }
    assert values(answer) == {name: "" for row in range(3) for name in access_code_fields(row)} | typed
    assert await transfer_count(services) == 0


MOBILE = "recipient-0-mobile"
NOT_MOBILE = "This is not a mobile number. Enter a number that can receive text messages."
NO_NUMBER = "This is not a telephone number. Check the digits."
DAYS = {"expires_in_days": "Choose a number of days from 1 to 365."}
FIELDS: list[tuple[dict[str, str], dict[str, str]]] = [
    ({}, {}),
    ({"recipient-0-name": "n" * 120}, {}),
    ({"recipient-0-name": " "}, {"recipient-0-name": "Enter a name."}),
    ({MOBILE: ""}, {MOBILE: "Enter a telephone number. The recipient gets a code on it."}),
    ({MOBILE: "020 123 4567"}, {MOBILE: NOT_MOBILE}),
    ({MOBILE: "+31 970 12345678"}, {MOBILE: NOT_MOBILE}),
    ({MOBILE: "06 123"}, {MOBILE: NO_NUMBER}),
    ({MOBILE: "06-12 34 56 7B"}, {MOBILE: NO_NUMBER}),
    ({MOBILE: "+7 912 345 67 89"}, {MOBILE: "We cannot send codes to numbers that start with +7."}),
    ({"recipient-0-email": "rosa@zorg"}, {"recipient-0-email": "Enter a valid e-mail address, such as name@example.com."}),
    ({"expires_in_days": "1"}, {}),
    ({"expires_in_days": "365"}, {}),
    ({"expires_in_days": "0"}, DAYS),
    ({"expires_in_days": "-1"}, DAYS),
    ({"expires_in_days": "1.5"}, DAYS),
    ({"expires_in_days": "9" * 5000}, DAYS),
    ({"expires_in_days": ""}, DAYS),
]


async def test_each_field_has_its_own_sentence(anna_portal: Portal) -> None:
    for change, refused in FIELDS:
        answer = await anna_portal.press("/transfers", **form_of(ROSA) | change)

        assert (change, sentences(answer)) == (change, refused)
        assert answer.status_code == (422 if refused else 200)


@pytest.mark.parametrize("method", ["sign_in", "pigeon"])
async def test_an_outsider_has_no_account_to_sign_in_with(anna_portal: Portal, method: str) -> None:
    answer = await anna_portal.press("/transfers", **form_of(ROSA) | {"recipient-0-method": method})

    assert answer.status_code == 422
    assert "This way of verifying is not possible here." in answer.text


async def test_a_refusal_stands_at_the_row_that_was_typed_also_below_an_empty_one(anna_portal: Portal) -> None:
    answer = await anna_portal.press("/transfers", **form_of(Row("", ""), ROSA, Row("Sam", "sam")))

    where = next(name for name, text in sentences(answer).items() if text.startswith("Enter a valid e-mail"))
    assert values(answer)[where] == "sam"
    assert {name.partition("-")[2][0] for name in sentences(answer)} == {where.partition("-")[2][0]}


async def test_a_colleague_needs_no_mobile_and_an_outsider_does(anna_portal: Portal) -> None:
    refused = await anna_portal.press("/transfers", **form_of(Row("Rosa", "rosa@zorg.example"), BRAM))
    assert list(sentences(refused)) == ["recipient-0-mobile"]

    await draft(anna_portal, BRAM)


async def test_no_recipient_and_one_recipient_twice(anna_portal: Portal) -> None:
    for rows in ((), (Row("", " "),)):
        nobody = await anna_portal.press("/transfers", **form_of(*rows))
        assert sentences(nobody) == {"recipient-0-name": "Add at least one recipient."}

    twice = await anna_portal.press("/transfers", **form_of(ROSA, Row("Rosa", "ROSA@Zorg.example", ROSA.mobile)))
    assert sentences(twice) == {"recipient-1-email": "This e-mail address is there twice."}


async def test_fifty_recipients_are_the_most(anna_portal: Portal) -> None:
    rows = [Row(f"R {n}", f"r{n}@zorg.example", ROSA.mobile) for n in range(51)]

    for count, status in ((50, 200), (51, 422)):
        answer = await anna_portal.press("/transfers", **form_of(*rows[:count]))

        assert (count, answer.status_code) == (count, status)
        assert ("There are too many recipients: 50 at most." in answer.text) is (status == 422)


async def test_rows_come_and_go_without_script(services: Services, anna_portal: Portal) -> None:
    added = await anna_portal.press("/transfers", **form_of(ROSA, note="keep me"), add_recipient="1")
    assert {name: value for name, value in values(added).items() if "recipient-1" in name} == {
        "recipient-1-name": "",
        "recipient-1-email": "",
        "recipient-1-mobile": "",
        **dict.fromkeys(access_code_fields(1), ""),
    }
    assert values(added)["note"] == "keep me"
    assert not sentences(added)

    removed = await anna_portal.press("/transfers", **form_of(ROSA, SAM), remove_recipient="0")
    assert values(removed)["recipient-0-email"] == SAM.email
    assert "recipient-1-email" not in values(removed)

    emptied = await anna_portal.press("/transfers", **form_of(ROSA), remove_recipient="0")
    assert values(emptied)["recipient-0-email"] == ""
    assert await transfer_count(services) == 0


async def test_removing_a_row_that_is_not_there_removes_none(anna_portal: Portal) -> None:
    for number in ("2", "7", "-1", "x", "9" * 5000, "²", ""):
        answer = await anna_portal.press("/transfers", **form_of(ROSA, SAM), remove_recipient=number)

        # The button did nothing; the form counts.
        assert (number[:9], answer.status_code, answer.url.path[-10:]) == (number[:9], 200, "/documents")


async def test_a_draft_can_be_changed_until_it_is_sent(anna_portal: Portal, outbox: Outbox) -> None:
    transfer_id = await draft(anna_portal, ROSA, subject="First")
    form = await anna_portal.client.get(f"/transfers/{transfer_id}/edit")
    assert values(form)["recipient-0-email"] == ROSA.email
    assert values(form)["subject"] == "First"

    await anna_portal.press(f"/transfers/{transfer_id}/edit", **form_of(SAM, subject="Second"))
    check = await anna_portal.client.get(f"/transfers/{transfer_id}/check")
    assert "Second" in check.text
    assert ROSA.email not in check.text

    await anna_portal.press(f"/transfers/{transfer_id}/send")
    assert [mail["to"] for mail in await outbox.all(kind="mail")] == [SAM.email]
    late = await anna_portal.press(f"/transfers/{transfer_id}/edit", **form_of(ROSA))
    assert late.status_code == 409
    assert "This transfer has been sent already." in late.text


# Sending


async def test_every_recipient_gets_exactly_one_mail_and_it_tells_no_content(anna_portal: Portal, outbox: Outbox) -> None:
    await send(anna_portal, ROSA, SAM, BRAM, documents={"geheim.pdf": DOCUMENT})

    mails = await outbox.all(kind="mail")
    assert sorted(mail["to"] for mail in mails) == sorted([ROSA.email, SAM.email, BRAM.email])
    for mail in mails:
        for content in ("Dossier Visser", "Z-1", "Beste Rosa", "geheim.pdf"):
            assert content not in mail["text"] + mail["html"] + mail["subject"]
    assert (await outbox.link(ROSA.email)) != (await outbox.link(SAM.email))
    [colleague] = [mail for mail in mails if mail["to"] == BRAM.email]
    assert "#" not in colleague["text"]  # signing in is the way in; there is no secret


@pytest.mark.parametrize(
    ("note", "documents", "sentence"),
    [
        ("Beste Rosa", {}, None),
        ("", {"a.pdf": DOCUMENT}, None),
        ("", {}, "Add a document or write a note first."),
        (" \n ", {}, "Add a document or write a note first."),
    ],
)
async def test_sends_a_note_or_a_document_but_not_nothing(
    anna_portal: Portal, outbox: Outbox, note: str, documents: dict[str, bytes], sentence: str | None
) -> None:
    transfer_id = await draft(anna_portal, ROSA, note=note, documents=documents)

    answer = await anna_portal.press(f"/transfers/{transfer_id}/send")

    assert (sentence is None) == (len(await outbox.all()) == 1)
    assert sentence is None or sentence in answer.text


async def test_an_upload_that_has_not_finished_keeps_the_transfer_from_being_sent(anna_portal: Portal, outbox: Outbox) -> None:
    transfer_id = await draft(anna_portal, ROSA)
    upload = await anna_portal.client.post(
        "/uploads",
        headers={
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(len(DOCUMENT)),
            "Upload-Metadata": f"transfer_id {_base64(transfer_id)},filename {_base64('a.pdf')}",
        },
    )
    assert upload.status_code == 201, upload.text

    refused = await anna_portal.press(f"/transfers/{transfer_id}/send")
    assert "Not all documents have arrived yet. Finish or remove them first." in refused.text
    assert not await outbox.all()

    finished = await anna_portal.client.patch(
        upload.headers["location"],
        content=DOCUMENT,
        headers={"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
    )
    assert finished.status_code == 204, finished.text
    await anna_portal.press(f"/transfers/{transfer_id}/send")
    assert len(await outbox.all()) == 1


def _base64(text: str) -> str:
    import base64

    return base64.b64encode(text.encode()).decode()


async def test_two_clicks_on_send_have_one_winner_and_one_mail(
    database_kind: str, services: Services, anna_portal: Portal, outbox: Outbox
) -> None:
    transfer_id = await draft(anna_portal, ROSA, SAM, BRAM)

    answers = await asyncio.gather(*(anna_portal.press(f"/transfers/{transfer_id}/send") for _ in range(5)))

    assert all(answer.url.path.startswith(f"/transfers/{transfer_id}") and answer.status_code == 200 for answer in answers)
    await asyncio.gather(*(outbox.deliver() for _ in range(3)))
    assert sorted(mail["to"] for mail in await outbox.all()) == sorted([ROSA.email, SAM.email, BRAM.email])
    async with services.database.reading() as session:
        sent = list(await session.scalars(select(Event).where(Event.tag == EventTag.TRANSFER_SENT)))
    assert len(sent) == 1


# Drafts and the sign-in that made them


async def test_a_draft_survives_signing_out_when_the_policy_keeps_a_sender_copy(
    app: Starlette, services: Services, clock: MovableClock, outbox: Outbox, anna_portal: Portal
) -> None:
    transfer_id = await draft(anna_portal, ROSA, subject="Bewaard", documents={"a.pdf": DOCUMENT})
    await anna_portal.press("/sign-out")
    clock.forward(days=9)
    await build_worker(services).sweep()

    await anna_portal.sign_in("anna@zegelpost.example")
    assert "Bewaard" in (await anna_portal.client.get("/")).text
    assert "a.pdf" in (await anna_portal.client.get(f"/transfers/{transfer_id}/documents")).text
    await add_document(anna_portal, transfer_id, "b.pdf", DOCUMENT)
    await anna_portal.press(f"/transfers/{transfer_id}/send")

    async with browser(app) as rosa:
        path = await open_link(rosa, outbox)
        assert "Bewaard" in (await rosa.get(f"{path}/transfer")).text


class TestLinkOnly:
    """Without a sender copy only the recipient's link opens a transfer."""

    @pytest.fixture
    def policy(self) -> Policy:
        return LINK_ONLY

    async def test_the_check_page_warns_and_the_sent_list_shows_no_subject(self, anna_portal: Portal) -> None:
        transfer_id = await draft(anna_portal, ROSA)
        check = await anna_portal.client.get(f"/transfers/{transfer_id}/check")
        assert "Only the recipient's link opens this transfer." in words(check)

        await anna_portal.press(f"/transfers/{transfer_id}/send")

        for page in ("/", "/sent", f"/transfers/{transfer_id}"):
            shown = await anna_portal.client.get(page)
            assert "Dossier Visser" not in shown.text
            assert "(only readable with the link)" in shown.text

    async def test_no_new_link_can_be_made_and_the_sentence_says_why(self, anna_portal: Portal, outbox: Outbox) -> None:
        transfer_id = await send(anna_portal, ROSA)
        link = await outbox.link(ROSA.email)

        answer = await anna_portal.press(await reissue_button(anna_portal, transfer_id))

        assert "No new link can be made: only the recipient's link opens this transfer." in words(answer)
        assert await outbox.link(ROSA.email) == link
        assert len(await outbox.all(kind="mail")) == 1

    async def test_extending_works_without_the_key_and_the_old_link_opens_in_the_later_week(
        self, app: Starlette, clock: MovableClock, anna_portal: Portal, outbox: Outbox
    ) -> None:
        transfer_id = await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT})
        await outbox.deliver()
        clock.forward(hours=1)
        await anna_portal.press(f"/transfers/{transfer_id}/extend", days="100")
        clock.forward(days=90)

        async with browser(app) as rosa:
            path = await open_link(rosa, outbox)
            page = await rosa.get(f"{path}/transfer")
            assert "Dossier Visser" in page.text
            [document] = re.findall(rf'href="({path}/documents/[a-z2-7]+)"', page.text)
            assert (await rosa.get(document)).content == DOCUMENT

    async def test_a_draft_dies_with_the_sign_in(self, anna_portal: Portal) -> None:
        transfer_id = await draft(anna_portal, ROSA)
        await anna_portal.press("/sign-out")
        await anna_portal.sign_in("anna@zegelpost.example")

        answer = await anna_portal.press(f"/transfers/{transfer_id}/send")

        assert "This page does not exist, or it is not for you." in words(answer)
        assert "Dossier Visser" not in answer.text + (await anna_portal.client.get("/")).text

    async def test_a_reminder_without_a_key_says_where_the_link_is(
        self, clock: MovableClock, anna_portal: Portal, outbox: Outbox
    ) -> None:
        transfer_id = await send(anna_portal, ROSA)
        link = await outbox.link(ROSA.email)
        clock.forward(hours=1)
        await anna_portal.press(f"/transfers/{transfer_id}/remind")

        reminder = (await outbox.all(kind="mail", to=ROSA.email))[-1]
        assert "Please use the link in the e-mail you received from us on 23 November 2026." in " ".join(reminder["text"].split())
        assert link[1] not in reminder["text"]


async def reissue_button(portal: Portal, transfer_id: str) -> str:
    page = await portal.client.get(f"/transfers/{transfer_id}")
    found = re.search(r'action="(/transfers/[^"]+/reissue)"', page.text)
    assert found
    return found.group(1)


KEES = Row("Kees Bos", "kees@zorg.example")


def coded(code: str, hint: str = "") -> dict[str, str]:
    """What the form says of a first recipient who opens with an access code."""
    return {"recipient-0-method": "access_code", "recipient-0-access_code": code, "recipient-0-hint": hint}


async def test_an_access_code_with_a_hint_from_the_form_to_the_door(
    app: Starlette, anna: httpx2.AsyncClient, anna_portal: Portal, outbox: Outbox
) -> None:
    transfer_id = await draft(anna_portal, KEES, documents={"a.pdf": DOCUMENT}, **coded("tulp-en-molen", "Uw  cliëntnummer"))
    (recipient,) = (await anna.get(f"/api/v1/transfers/{transfer_id}")).json()["recipients"]
    assert (recipient["method"], recipient["hint"], recipient["mobile"]) == ("access_code", "Uw cliëntnummer", None)
    check = await anna_portal.client.get(f"/transfers/{transfer_id}/check")
    assert "Hint: Uw cliëntnummer" in words(check)
    assert "tulp-en-molen" not in check.text

    await anna_portal.press(f"/transfers/{transfer_id}/send")

    (mail,) = await outbox.all(kind="mail", to=KEES.email)
    assert "liëntnummer" not in mail["text"] + mail["html"]
    async with browser(app) as kees:
        path, secret = await outbox.link(KEES.email)
        # Not before the secret was right: the page in front of it is everyone's.
        assert "liëntnummer" not in (await kees.get(path)).text
        door = await kees.post(path, data={"link_secret": secret})
        assert "Hint from Anna de Vries: Uw cliëntnummer" in words(door)
        opened = await kees.post(f"{path}/verify", data={"code": "tulp-en-molen"})
        assert opened.url.path == f"{path}/transfer"


async def test_changing_a_draft_keeps_the_access_code_that_the_page_does_not_show(
    anna: httpx2.AsyncClient, anna_portal: Portal
) -> None:
    kees = {"name": KEES.name, "email": KEES.email, "method": "access_code", "access_code": "tulp-en-molen", "hint": "Molens"}
    made = await anna.post("/api/v1/transfers", json={"subject": "Rapport", "recipients": [kees]})
    transfer_id = made.json()["id"]
    page = await anna_portal.client.get(f"/transfers/{transfer_id}/edit")
    assert "tulp-en-molen" not in page.text
    typed = values(page)
    assert (typed["recipient-0-method"], typed["recipient-0-hint"]) == ("access_code", "Molens")

    answer = await anna_portal.press(f"/transfers/{transfer_id}/edit", **(typed | {"subject": "Ander rapport"}))

    assert answer.url.path == f"/transfers/{transfer_id}/documents"
    (recipient,) = (await anna.get(f"/api/v1/transfers/{transfer_id}")).json()["recipients"]
    assert (recipient["method"], recipient["hint"], recipient["id"]) == (
        "access_code",
        "Molens",
        made.json()["recipients"][0]["id"],
    )
    # Back to text messages: then a number is needed, and code and hint are gone.
    back = typed | {"recipient-0-method": "", "recipient-0-mobile": ""}
    refused = await anna_portal.press(f"/transfers/{transfer_id}/edit", **back)
    assert list(sentences(refused)) == ["recipient-0-mobile"]
    await anna_portal.press(f"/transfers/{transfer_id}/edit", **(back | {"recipient-0-mobile": ROSA.mobile}))
    (recipient,) = (await anna.get(f"/api/v1/transfers/{transfer_id}")).json()["recipients"]
    assert (recipient["method"], recipient["hint"]) == ("sms", None)


@pytest.mark.parametrize(
    ("code", "hint", "field", "sentence"),
    [
        ("kort", "", "access_code", "The access code is too short: at least 8 characters."),
        ("", "Molens", "access_code", "The access code is too short: at least 8 characters."),
        ("tulp-en-molen", "x" * 101, "hint", "The hint is too long: 100 characters at most."),
        ("tulp-en-molen", "het is Tulp en Molen!", "hint", "The hint gives the access code away. Choose another hint."),
        ("--------", "x --------", "hint", "The hint gives the access code away. Choose another hint."),
    ],
)
async def test_what_is_wrong_with_code_or_hint_is_told_at_the_field(
    anna_portal: Portal, code: str, hint: str, field: str, sentence: str
) -> None:
    answer = await anna_portal.press("/transfers", **form_of(KEES), **coded(code, hint))

    assert sentences(answer) == {f"recipient-0-{field}": sentence}
    assert values(answer)["recipient-0-hint"] == hint
    assert values(answer)["recipient-0-access_code"] == code


async def test_the_form_offers_no_access_codes_where_policy_has_none(
    settings: Settings, policy: Policy, services: Services, app: Starlette
) -> None:
    strict = build_services(settings, policy=replace(policy, methods=(VerificationMethod.SMS,)), clock=services.clock)
    async with browser(build_app(strict, has_worker=False)) as client:
        portal = Portal(client)
        await portal.sign_in("anna@zegelpost.example")
        assert "recipient-0-method" not in (await portal.client.get("/transfers/new")).text
        answer = await portal.press("/transfers", **form_of(KEES), **coded("tulp-en-molen"))
        assert answer.status_code == 422
    await strict.database.close()
