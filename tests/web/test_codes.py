"""The code is the gate: tries, limits, and what is written down about it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import httpx2
import pytest
from sqlalchemy import func, select
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.web.acts import DOCUMENT, ROSA, enter, open_link, other_than, recognise, send, words

from zegelpost.main import Services
from zegelpost.model.event import Event, EventTag
from zegelpost.model.recipient import Challenge, Recipient, VerificationMethod
from zegelpost.model.refusals import FormRefused
from zegelpost.model.secret import SecretToken
from zegelpost.model.staff_user import SignInKind
from zegelpost.model.transfer import TransferText
from zegelpost.services.addressing import TypedRecipient, address
from zegelpost.services.sending import DraftContent

NOT_RIGHT = "This code is not right."


@pytest.fixture
async def rosa(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    async with browser(app) as someone:
        yield someone


@pytest.fixture
async def path(anna_portal: Portal, outbox: Outbox, rosa: httpx2.AsyncClient) -> str:
    """Rosa has pressed the button behind her link; no code has been asked for."""
    await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT})
    link = await outbox.link(ROSA.email)
    await recognise(rosa, link)
    return link[0]


async def ask(someone: httpx2.AsyncClient, path: str, outbox: Outbox) -> str:
    """Ask for a code and read it from the telephone."""
    answer = await someone.post(f"{path}/code")
    assert answer.status_code == 200, words(answer)
    return await outbox.code(ROSA.number)


async def wrong_count(services: Services) -> int:
    async with services.database.reading() as session:
        return await session.scalar(select(Recipient.wrong_code_count)) or 0


async def test_right_at_the_fifth_try_and_exhausted_after_five_wrong_ones(
    path: str, outbox: Outbox, clock: MovableClock, rosa: httpx2.AsyncClient
) -> None:
    code = await ask(rosa, path, outbox)
    for left in (4, 3, 2, 1):
        answer = await enter(rosa, path, other_than(code))
        assert (answer.status_code, f"You have {left} more tries" in words(answer)) == (422, True)
    assert (await enter(rosa, path, code)).url.path == f"{path}/transfer"

    await rosa.post(f"{path}/leave")
    await recognise(rosa, await outbox.link(ROSA.email))
    clock.forward(minutes=1)
    code = await ask(rosa, path, outbox)
    for _ in range(5):
        answer = await enter(rosa, path, other_than(code))
    assert (answer.status_code, "This code was wrong too often. Ask for a new one." in words(answer)) == (429, True)
    late = await enter(rosa, path, code)
    assert (late.status_code, late.url.path) == (429, f"{path}/verify")


@pytest.mark.parametrize(
    ("spelling", "is_right"),
    [("{}", True), (" {} ", True), ("{0[0]}{0[1]}{0[2]} {0[3]}{0[4]}{0[5]}", True), ("{}0", False), ("", False), ("geen", False)],
)
async def test_reads_a_code_as_people_type_it(
    path: str, outbox: Outbox, rosa: httpx2.AsyncClient, spelling: str, is_right: bool
) -> None:
    answer = await enter(rosa, path, spelling.format(await ask(rosa, path, outbox)))

    assert (answer.url.path == f"{path}/transfer") is is_right


@pytest.mark.parametrize("slip", ["", " ", "12345", "1234567", "geen"])
async def test_what_cannot_be_a_code_costs_no_try(
    path: str, services: Services, outbox: Outbox, rosa: httpx2.AsyncClient, slip: str
) -> None:
    code = await ask(rosa, path, outbox)
    for _ in range(6):
        answer = await enter(rosa, path, slip)
        assert (answer.status_code, "Enter the whole code." in words(answer)) == (422, True)

    assert await wrong_count(services) == 0
    assert "You have 4 more tries" in words(await enter(rosa, path, other_than(code)))
    assert (await enter(rosa, path, code)).url.path == f"{path}/transfer"


async def test_fifteen_wrong_codes_lock_the_link_and_tell_the_sender(
    database_kind: str,
    path: str,
    services: Services,
    anna_portal: Portal,
    outbox: Outbox,
    clock: MovableClock,
    rosa: httpx2.AsyncClient,
) -> None:
    for _ in range(3):
        code = await ask(rosa, path, outbox)
        for _ in range(5):
            answer = await enter(rosa, path, other_than(code))
        clock.forward(minutes=3)

    assert answer.status_code == 423
    assert "This link has been locked because a wrong code was entered too often." in words(answer)
    assert "anna@zegelpost.example" in answer.text
    [told] = await outbox.all(kind="mail", to="anna@zegelpost.example")
    assert ROSA.email in told["text"]
    assert (await rosa.post(f"{path}/code")).status_code == 423
    assert (await recognise(rosa, await outbox.link(ROSA.email))).status_code == 423
    assert await wrong_count(services) == 15

    # A new link is a new beginning.
    transfer_id = re.findall(r"/transfers/([a-z2-7]{26})", told["text"])[0]
    page = await anna_portal.client.get(f"/transfers/{transfer_id}")
    assert "Locked" in words(page)
    await anna_portal.press(re.findall(r'action="([^"]+/reissue)"', page.text)[0])
    await open_link(rosa, outbox)
    assert await wrong_count(services) == 0


async def test_thirty_guesses_at_once_are_five_tries(
    database_kind: str, path: str, services: Services, outbox: Outbox, rosa: httpx2.AsyncClient
) -> None:
    code = await ask(rosa, path, outbox)

    answers = await asyncio.gather(*(enter(rosa, path, other_than(code)) for _ in range(30)))

    assert sorted({answer.status_code for answer in answers}) == [422, 429]
    async with services.database.reading() as session:
        compared = await session.scalar(select(func.count()).where(Event.tag == EventTag.CODE_FAILED))
        tries = await session.scalar(select(Challenge.try_count))
    assert (compared, tries, await wrong_count(services)) == (5, 5, 5)


async def test_a_right_code_works_once_also_when_it_comes_twice_at_once(
    database_kind: str, path: str, app: Starlette, services: Services, outbox: Outbox, rosa: httpx2.AsyncClient
) -> None:
    code = await ask(rosa, path, outbox)
    async with browser(app) as thief:
        await recognise(thief, await outbox.link(ROSA.email))
        answers = await asyncio.gather(*(enter(someone, path, code) for someone in (rosa, thief, rosa, thief)))

    opened = [answer for answer in answers if answer.url.path == f"{path}/transfer"]
    async with services.database.reading() as session:
        verified = await session.scalar(select(func.count()).where(Event.tag == EventTag.CODE_VERIFIED))
    assert verified == 1
    assert opened


@pytest.mark.parametrize(("seconds", "is_open"), [(599, True), (600, False)])
async def test_a_code_lives_ten_minutes(
    path: str, outbox: Outbox, clock: MovableClock, rosa: httpx2.AsyncClient, seconds: int, is_open: bool
) -> None:
    code = await ask(rosa, path, outbox)
    clock.forward(seconds=seconds)

    answer = await enter(rosa, path, code)

    assert (answer.url.path == f"{path}/transfer") is is_open
    assert ("This code is too old. Ask for a new one." in words(answer)) is not is_open


async def test_a_new_code_replaces_the_old_one_and_a_used_one_is_used_up(
    path: str, app: Starlette, outbox: Outbox, clock: MovableClock, rosa: httpx2.AsyncClient
) -> None:
    before = await enter(rosa, path, "123456")
    assert (before.status_code, "Ask for a code first." in words(before)) == (409, True)
    old = await ask(rosa, path, outbox)
    clock.forward(seconds=30)
    new = await ask(rosa, path, outbox)
    if old != new:
        assert NOT_RIGHT in words(await enter(rosa, path, old))
    await enter(rosa, path, new)

    async with browser(app) as second:
        await recognise(second, await outbox.link(ROSA.email))
        answer = await enter(second, path, new)
        assert (answer.status_code, "Ask for a code first." in words(answer)) == (409, True)


async def test_each_code_in_vain_is_waited_for_longer(
    path: str, outbox: Outbox, clock: MovableClock, rosa: httpx2.AsyncClient
) -> None:
    link = await outbox.link(ROSA.email)
    for seconds, said in ((30, "30 seconds"), (120, "2 minutes"), (600, "10 minutes"), (600, "10 minutes")):
        await ask(rosa, path, outbox)
        too_soon = await rosa.post(f"{path}/code")
        assert (too_soon.status_code, f"Wait {said} before you ask" in words(too_soon)) == (429, True), words(too_soon)
        clock.forward(seconds=seconds - 1)
        await recognise(rosa, link)
        assert (await rosa.post(f"{path}/code")).status_code == 429
        clock.forward(seconds=1)
    # Who gets in begins anew.
    await ask(rosa, path, outbox)
    await enter(rosa, path, await outbox.code(ROSA.number))
    clock.forward(minutes=45)
    await recognise(rosa, link)
    assert (await rosa.post(f"{path}/code")).status_code == 200
    assert len(await outbox.all(kind="sms")) == 6


async def test_codes_cool_down_and_have_a_limit_per_hour_and_per_day(
    path: str, outbox: Outbox, clock: MovableClock, rosa: httpx2.AsyncClient
) -> None:
    await ask(rosa, path, outbox)

    async def asked_until_refused() -> int:
        count = 0
        while True:
            clock.forward(minutes=10)
            await recognise(rosa, await outbox.link(ROSA.email))
            answer = await rosa.post(f"{path}/code")
            if answer.status_code == 429:
                assert "Too many codes have been sent. Try again later." in words(answer)
                return count
            await outbox.deliver()
            count += 1

    assert await asked_until_refused() == 4
    clock.forward(hours=1)
    assert await asked_until_refused() == 5
    clock.forward(hours=2)
    assert await asked_until_refused() == 0
    clock.forward(hours=22)
    assert await asked_until_refused() == 5
    assert len(await outbox.all(kind="sms")) == 15


async def test_the_limit_of_a_number_counts_over_all_links_to_it(
    app: Starlette, path: str, anna_portal: Portal, outbox: Outbox, clock: MovableClock, rosa: httpx2.AsyncClient
) -> None:
    for _ in range(5):
        await ask(rosa, path, outbox)
        clock.forward(minutes=10)
        await recognise(rosa, await outbox.link(ROSA.email))
    await send(anna_portal, ROSA, subject="Another")
    async with browser(app) as second:
        link = await outbox.link(ROSA.email)
        assert link[0] != path
        await recognise(second, link)

        answer = await second.post(f"{link[0]}/code")

    assert (answer.status_code, "Too many codes have been sent." in words(answer)) == (429, True)
    assert len(await outbox.all(kind="sms")) == 5


async def test_a_double_click_on_send_me_the_code_sends_one(
    database_kind: str, path: str, outbox: Outbox, rosa: httpx2.AsyncClient
) -> None:
    answers = await asyncio.gather(*(rosa.post(f"{path}/code") for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [200, 429, 429, 429]
    assert len(await outbox.all(kind="sms")) == 1


# Access codes, agreed elsewhere


@pytest.fixture
async def agreed_path(services: Services, anna_portal: Portal, outbox: Outbox, rosa: httpx2.AsyncClient) -> str:
    """A transfer to Rosa that opens with an access code; she has pressed the button."""
    token = SecretToken(anna_portal.client.cookies["zegelpost-staff"])
    anna = await services.signing_in.actor(token, SignInKind.PORTAL)
    typed = TypedRecipient(ROSA.name, ROSA.email, method="access_code", access_code=" kanarie-op-zolder ")
    content = DraftContent(
        text=TransferText.parse(subject="Dossier", reference="", note="Beste Rosa"),
        addressees=address([typed], services.policy),
        expires_in_days=28,
        language="en",
    )
    transfer_id = await services.sending.create(anna, content)
    await services.sending.send(anna, transfer_id)
    link = await outbox.link(ROSA.email)
    await recognise(rosa, link)
    return link[0]


async def code_events(services: Services) -> list[EventTag]:
    async with services.database.reading() as session:
        tags = await session.scalars(select(Event.tag).order_by(Event.id))
        return [tag for tag in tags if tag in {EventTag.CODE_FAILED, EventTag.CODE_VERIFIED, EventTag.LINK_LOCKED}]


@pytest.mark.parametrize("wrong_before", [0, 1, 14])
async def test_the_access_code_opens_as_long_as_tries_are_left(
    database_kind: str, agreed_path: str, services: Services, rosa: httpx2.AsyncClient, wrong_before: int
) -> None:
    assert "The code that you agreed with Anna de Vries." in words(await rosa.get(f"{agreed_path}/verify"))
    for _ in range(wrong_before):
        answer = await enter(rosa, agreed_path, "kanarie-in-kelder")
        assert (answer.status_code, "This access code is not right." in words(answer)) == (422, True)

    answer = await enter(rosa, agreed_path, "kanarie-op-zolder")

    assert answer.url.path == f"{agreed_path}/transfer"
    assert await code_events(services) == [EventTag.CODE_FAILED] * wrong_before + [EventTag.CODE_VERIFIED]
    assert await wrong_count(services) == wrong_before


async def test_no_access_code_costs_no_try(agreed_path: str, services: Services, rosa: httpx2.AsyncClient) -> None:
    answer = await enter(rosa, agreed_path, " ")

    assert (answer.status_code, "Enter the whole code." in words(answer)) == (422, True)
    assert await wrong_count(services) == 0
    assert await code_events(services) == []


async def test_fifteen_wrong_access_codes_lock_also_when_they_come_at_once(
    database_kind: str, agreed_path: str, services: Services, outbox: Outbox, rosa: httpx2.AsyncClient
) -> None:
    answers = await asyncio.gather(*(enter(rosa, agreed_path, "kanarie-in-kelder") for _ in range(20)))

    # Who was told that it is wrong while the last one locked it may hear of the lock instead.
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(422) <= 14
    assert statuses.count(422) + statuses.count(423) == 20
    # The fifteenth may be written down before others that were counted earlier.
    assert sorted(await code_events(services)) == [EventTag.CODE_FAILED] * 15 + [EventTag.LINK_LOCKED]
    assert len(await outbox.all(kind="mail", to="anna@zegelpost.example")) == 1
    assert (await enter(rosa, agreed_path, "kanarie-op-zolder")).status_code == 423


async def test_a_text_message_is_no_way_around_the_access_code(
    agreed_path: str, outbox: Outbox, rosa: httpx2.AsyncClient
) -> None:
    answer = await rosa.post(f"{agreed_path}/code")

    assert (answer.status_code, "This way of verifying is not possible here." in words(answer)) == (422, True)
    assert not await outbox.all(kind="sms")


def test_an_access_code_has_eight_characters_at_least(services: Services) -> None:
    def typed(length: int) -> list[TypedRecipient]:
        return [TypedRecipient(ROSA.name, ROSA.email, method="access_code", access_code="x" * length)]

    with pytest.raises(FormRefused) as caught:
        address(typed(7), services.policy)
    [addressee] = address(typed(8), services.policy)

    assert caught.value.fields["recipients.0.access_code"].facts == {"limit": 8}
    assert addressee.method == VerificationMethod.ACCESS_CODE
