"""Legal holds: what is held is not erased, nobody may open it longer, and everyone else's goes on time."""

from __future__ import annotations

import httpx2
import pytest
from sqlalchemy import select, update
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.web.acts import BRAM, ROSA, SAM, open_link, send, sentences, words

from zegelpost.adapters.keys_directory import DirectoryKeyRing
from zegelpost.main import Services, build_worker
from zegelpost.model.event import Event, EventTag
from zegelpost.model.identifiers import TransferId
from zegelpost.model.legal_hold import LegalHold
from zegelpost.model.link import LinkSecret
from zegelpost.model.policy import Policy
from zegelpost.model.recipient import Link, Recipient
from zegelpost.model.transfer import Transfer, TransferState, receipt_number
from zegelpost.settings import Settings

DOCUMENT = {"brief.pdf": b"%PDF-1.7\n1 0 obj << >> endobj\ntrailer << >>\n%%EOF\n"}


@pytest.fixture
async def held(anna_portal: Portal) -> str:
    return await send(anna_portal, ROSA, BRAM, documents=DOCUMENT, reference="Z-7", expires_in_days="7")


@pytest.fixture
async def other(anna_portal: Portal) -> str:
    """In the same week as the one that is held."""
    return await send(anna_portal, SAM, documents=DOCUMENT, reference="Z-8", expires_in_days="7")


async def state(services: Services, transfer_id: str) -> TransferState:
    async with services.database.reading() as session:
        return (await session.get_one(Transfer, transfer_id)).state


async def days_pass(services: Services, clock: MovableClock, days: int) -> None:
    for _ in range(days // 5):
        clock.forward(days=5)
        await build_worker(services).sweep()


async def place(chris: Portal, kind: str, what: str, **more: str) -> httpx2.Response:
    answer = await chris.press("/admin/holds", kind=kind, what=what, reason="Rekestnummer 12", **more)
    assert answer.status_code == 200, sentences(answer)
    return answer


@pytest.fixture(params=["transfer", "receipt", "reference", "recipient", "sender", "colleague"])
async def on_hold(request: pytest.FixtureRequest, chris_portal: Portal, held: str, other: str) -> str:
    kind, what = {
        "transfer": ("transfer", held),
        "receipt": ("transfer", receipt_number(TransferId(held))),
        "reference": ("reference", "z-7"),
        "recipient": ("person", ROSA.email.upper()),
        "colleague": ("person", BRAM.email),
        "sender": ("person", "anna@zegelpost.example"),
    }[request.param]
    await place(chris_portal, kind, what)
    return str(request.param)


async def test_it_is_kept_while_others_of_its_week_are_erased_on_time(
    services: Services, settings: Settings, clock: MovableClock, on_hold: str, held: str, other: str
) -> None:
    ring = DirectoryKeyRing(settings.keys_dir)
    async with services.database.reading() as session:
        week = (await session.get_one(Transfer, held)).week
    assert week is not None

    await days_pass(services, clock, 120)

    assert await state(services, held) == TransferState.EXPIRED
    if on_hold == "sender":
        assert await state(services, other) == TransferState.EXPIRED
    else:
        assert await state(services, other) == TransferState.ERASED
    # The key of their week is gone, whatever backups still hold.
    assert ring.is_destroyed(week)
    async with services.database.reading() as session:
        transfer = await session.get_one(Transfer, held)
        keys = services.keeping_keys
        assert keys.text(keys.sender_key(transfer), transfer).reference == "Z-7"
        bram = await session.scalar(select(Recipient).where(Recipient.transfer_id == held, Recipient.staff_wrap.is_not(None)))
        assert bram is not None
        assert keys.colleague_key(transfer, bram) == keys.sender_key(transfer)


async def test_both_databases_keep_it_and_let_go_of_it(
    services: Services, clock: MovableClock, chris_portal: Portal, held: str, other: str, outbox: Outbox, database_kind: str
) -> None:
    link = await outbox.link(ROSA.email)
    await place(chris_portal, "transfer", held)
    await days_pass(services, clock, 120)
    assert (await state(services, held), await state(services, other)) == (TransferState.EXPIRED, TransferState.ERASED)
    # Of what nobody opens but with the link, the link still does: the hold keeps evidence, not a shell.
    async with services.database.reading() as session:
        [kept] = list(
            await session.scalars(
                select(Link).join(Recipient).where(Recipient.email_index == services.keeping_keys.index("email", ROSA.email))
            )
        )
        transfer = await session.get_one(Transfer, held)
        secret = LinkSecret.parse(link[1])
        assert services.keeping_keys.link_key(transfer.id, kept, secret) == services.keeping_keys.sender_key(transfer)

    await chris_portal.sign_in("chris@zegelpost.example")
    page = await chris_portal.client.get("/admin/holds")
    async with services.database.reading() as session:
        hold = (await session.scalars(select(LegalHold.id))).one()
    assert "Rekestnummer 12" in words(page)
    lifted = words(await chris_portal.press(f"/admin/holds/{hold}/lift"))
    assert "no longer kept" in lifted
    assert "Kept before" in lifted
    await build_worker(services).sweep()

    assert await state(services, held) == TransferState.ERASED
    async with services.database.reading() as session:
        rows = (await session.scalars(select(Event).where(Event.transfer_id == held).order_by(Event.id))).all()
        tags = [event.tag for event in rows]
        assert tags[-2:] == [EventTag.TRANSFER_RELEASED, EventTag.TRANSFER_ERASED]
        assert tags.count(EventTag.TRANSFER_RETAINED) == 1
        [placed] = await session.scalars(select(Event).where(Event.tag == EventTag.HOLD_PLACED))
        assert placed.facts == {"hold": hold, "kind": "transfer", "reason": "Rekestnummer 12", "until": None}
        assert (await session.scalars(select(Event.tag).where(Event.tag == EventTag.HOLD_LIFTED))).all() == [EventTag.HOLD_LIFTED]


async def test_recipients_and_senders_may_do_no_more_than_without(
    app: Starlette, services: Services, clock: MovableClock, chris_portal: Portal, anna_portal: Portal, held: str, outbox: Outbox
) -> None:
    link = await outbox.link(ROSA.email)
    await place(chris_portal, "transfer", held)
    await days_pass(services, clock, 30)

    async with browser(app) as rosa:
        assert (await rosa.post(link[0], data={"link_secret": link[1]})).status_code == 410
    bram = Portal(browser(app))
    await bram.sign_in(BRAM.email)
    assert "Dossier Visser" not in words(await bram.client.get("/received"))
    await bram.client.aclose()
    await anna_portal.sign_in("anna@zegelpost.example")
    refused = await anna_portal.press(f"/transfers/{held}/extend", days="28")
    assert (refused.status_code, "The period has ended" in words(refused)) == (422, True)
    assert await state(services, held) == TransferState.EXPIRED


async def test_an_end_ends_it(services: Services, clock: MovableClock, chris_portal: Portal, held: str) -> None:
    await place(chris_portal, "transfer", held, until="31-12-2026")
    assert "31 December 2026" in words(await chris_portal.client.get("/admin/holds"))
    await days_pass(services, clock, 35)
    assert await state(services, held) == TransferState.EXPIRED
    await days_pass(services, clock, 10)
    assert await state(services, held) == TransferState.ERASED


async def test_a_person_holds_what_is_sent_to_them_later_too(
    services: Services, clock: MovableClock, chris_portal: Portal, anna_portal: Portal
) -> None:
    await place(chris_portal, "person", ROSA.email)
    later = await send(anna_portal, ROSA, expires_in_days="7")

    await days_pass(services, clock, 60)

    assert await state(services, later) == TransferState.EXPIRED


async def test_a_rotation_of_keys_loses_no_hold(services: Services, clock: MovableClock, chris_portal: Portal, held: str) -> None:
    await place(chris_portal, "reference", "Z-7")
    await services.rotating_keys.run()
    clock.forward(hours=2)
    assert "people" in await services.rotating_keys.finish()

    await days_pass(services, clock, 60)

    assert await state(services, held) == TransferState.EXPIRED


async def test_the_sender_sees_that_it_is_kept_and_so_does_the_report(
    chris_portal: Portal, anna_portal: Portal, held: str
) -> None:
    assert "kept since" not in words(await anna_portal.client.get(f"/transfers/{held}"))
    await place(chris_portal, "transfer", held)

    page = words(await anna_portal.client.get(f"/transfers/{held}"))
    assert "An administrator has this transfer kept since 23 November 2026" in page
    assert "Rekestnummer" not in page
    assert "transfer:retained" in (await anna_portal.client.get(f"/transfers/{held}/report.json")).text


async def test_placing_says_what_is_wrong_and_keeps_what_was_typed(chris_portal: Portal, held: str) -> None:
    answer = await chris_portal.press("/admin/holds", kind="person", what="rosa", reason="", until="1-1-2020")
    assert answer.status_code == 422
    assert set(sentences(answer)) >= {"what", "reason"}
    assert 'value="rosa"' in answer.text
    for what in ("aaaa-bbbb", held[:6], "%", ""):
        assert "what" in sentences(await chris_portal.press("/admin/holds", kind="transfer", what=what, reason="x"))
    passed = await chris_portal.press("/admin/holds", kind="transfer", what=held, reason="x", until="1-1-2026")
    assert "until" in sentences(passed)


async def test_nothing_of_what_is_in_it_is_shown(chris_portal: Portal, held: str) -> None:
    page = words(await place(chris_portal, "transfer", held))

    for secret in ("Dossier Visser", "Beste Rosa", "brief.pdf", "Rosa Visser", "Z-7"):
        assert secret not in page


@pytest.mark.parametrize(
    "policy", [Policy(staff_domains=("zegelpost.example",), requires_second_factor=False, has_sender_copy=False)]
)
async def test_link_only_transfers_are_kept_too(
    services: Services, clock: MovableClock, chris_portal: Portal, anna_portal: Portal, outbox: Outbox, policy: Policy
) -> None:
    transfer_id = await send(anna_portal, ROSA, documents=DOCUMENT, expires_in_days="7")
    link = await outbox.link(ROSA.email)
    await place(chris_portal, "transfer", transfer_id)

    await days_pass(services, clock, 120)

    async with services.database.reading() as session:
        [kept] = list(await session.scalars(select(Link)))
        services.keeping_keys.link_key(TransferId(transfer_id), kept, LinkSecret.parse(link[1]))


@pytest.mark.parametrize("act", ["revoke", "block"])
@pytest.mark.parametrize("is_held", [True, False])
@pytest.mark.parametrize(
    "policy", [Policy(staff_domains=("zegelpost.example",), requires_second_factor=False, has_sender_copy=False)]
)
async def test_a_sender_does_not_destroy_what_is_held_by_taking_it_back(
    app: Starlette,
    services: Services,
    chris_portal: Portal,
    anna_portal: Portal,
    outbox: Outbox,
    policy: Policy,
    act: str,
    is_held: bool,
) -> None:
    """Without a sender copy nothing else opens it. It is taken back from everyone all the same."""
    transfer_id = await send(anna_portal, ROSA, documents=DOCUMENT)
    link = await outbox.link(ROSA.email)
    if is_held:
        await place(chris_portal, "transfer", transfer_id)
    async with services.database.reading() as session:
        rosa_id = (await session.scalars(select(Recipient.id))).one()
    path = f"/transfers/{transfer_id}/revoke" if act == "revoke" else f"/transfers/{transfer_id}/recipients/{rosa_id}/block"

    assert (await anna_portal.press(path)).status_code == 200

    async with browser(app) as rosa:
        assert (await rosa.post(link[0], data={"link_secret": link[1]})).status_code in {403, 410}
    async with services.database.reading() as session:
        [kept] = await session.scalars(select(Link))
        if is_held:
            services.keeping_keys.link_key(TransferId(transfer_id), kept, LinkSecret.parse(link[1]))
        else:
            assert kept.wrap is None


async def test_a_sweep_after_a_hold_that_came_too_late_goes_on(
    services: Services, settings: Settings, clock: MovableClock, chris_portal: Portal, held: str, other: str
) -> None:
    """The key of its week is gone: nothing to keep, and nothing else may wait for it."""
    async with services.database.work() as session:
        await session.execute(update(Transfer).where(Transfer.id == held).values(week="2026-W01"))
    DirectoryKeyRing(settings.keys_dir).destroy_week("2026-W01")
    await place(chris_portal, "transfer", held)

    await days_pass(services, clock, 60)

    assert await state(services, other) == TransferState.ERASED


async def test_a_guest_takes_back_what_is_held_and_it_stays(
    app: Starlette, services: Services, chris_portal: Portal, anna_portal: Portal, outbox: Outbox
) -> None:
    await send(anna_portal, ROSA, documents=DOCUMENT)
    async with browser(app) as rosa:
        path = await open_link(rosa, outbox)
        await rosa.post(f"{path}/answer")
        await rosa.post(f"{path}/answer/send", data={"note": "Mijn antwoord"})
        await place(chris_portal, "person", ROSA.email)
        async with services.database.reading() as session:
            answer = await session.scalar(select(Transfer).where(Transfer.answers_id.is_not(None)))
        assert answer is not None
        taken = await rosa.post(f"{path}/answers/{answer.id}/withdraw")
        assert taken.status_code == 200, words(taken)

    async with services.database.reading() as session:
        kept = await session.get_one(Transfer, answer.id)
        assert (kept.state, kept.erased_at) == (TransferState.REVOKED, None)


@pytest.mark.parametrize("is_sent", [True, False])
async def test_a_guest_still_opens_what_they_answer_when_their_answer_is_held_for_long(
    app: Starlette,
    services: Services,
    clock: MovableClock,
    chris_portal: Portal,
    anna_portal: Portal,
    outbox: Outbox,
    is_sent: bool,
) -> None:
    """What they answer lasts longer than the answer, which a hold then ties to later weeks."""
    await send(anna_portal, ROSA, documents=DOCUMENT, expires_in_days="90")
    async with browser(app) as rosa:
        path = await open_link(rosa, outbox)
        await rosa.post(f"{path}/answer")
        if is_sent:
            await rosa.post(f"{path}/answer/send", data={"note": "Mijn antwoord"})
        else:
            await rosa.post(f"{path}/answer/note", data={"note": "Mijn antwoord"})
    async with services.database.reading() as session:
        answer = (await session.scalars(select(Transfer).where(Transfer.guest_id.is_not(None)))).one()
    await place(chris_portal, "transfer", answer.id)

    await days_pass(services, clock, 80)

    async with services.database.reading() as session:
        carried = await session.get_one(Transfer, answer.id)
    assert carried.week is not None
    assert answer.week is not None
    assert carried.week > answer.week
    async with browser(app) as rosa:
        path = await open_link(rosa, outbox)
        page = await rosa.get(f"{path}/transfer")
        assert (page.status_code, "brief.pdf" in words(page)) == (200, True)
        if not is_sent:
            await rosa.post(f"{path}/answer")
            sent = await rosa.post(f"{path}/answer/send", data={"note": "Mijn antwoord, eindelijk"})
            assert sent.status_code == 200, words(sent)
            assert "Mijn antwoord, eindelijk" in words(await rosa.get(f"{path}/transfer"))
