"""Rosa opens: looking changes nothing, and every way that does not open says why and whom to call."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest
from sqlalchemy import text
from starlette.applications import Starlette
from tests.conftest import MovableClock, Outbox, Portal, browser
from tests.web.acts import DOCUMENT, ROSA, SAM, enter, open_link, other_than, recognise, send, words

from zegelpost.main import Services
from zegelpost.model.base import Base

OPENED = "/transfer"


@pytest.fixture
async def rosa(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    async with browser(app) as someone:
        yield someone


@pytest.fixture
async def transfer_id(anna_portal: Portal) -> str:
    return await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT})


@pytest.fixture
async def link(transfer_id: str, outbox: Outbox) -> tuple[str, str]:
    return await outbox.link(ROSA.email)


async def everything(services: Services) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    async with services.database.reading() as session:
        return {
            table.name: [tuple(row) for row in (await session.execute(text(f'SELECT * FROM "{table.name}"'))).all()]
            for table in Base.metadata.sorted_tables
        }


async def test_looking_changes_nothing_however_often_and_however_the_link_was_mangled(
    services: Services, outbox: Outbox, link: tuple[str, str], rosa: httpx2.AsyncClient
) -> None:
    path, secret = link
    before, sent = await everything(services), len(await outbox.all())
    shown = set()
    for _ in range(5):
        for method in ("GET", "HEAD"):
            for address in (
                path,
                f"{path}?fbclid=1",
                f"{path}%23{secret}",
                f"{path}%2523{secret}",
                f"{path}%252523{secret}",
                path[:-3],
                f"{path}/verify",
                f"{path}/transfer",
                f"{path}/archive.zip",
                f"{path}?again=1",
            ):
                answer = await rosa.request(method, address)
                assert (method, address, answer.status_code) == (method, address, 200)
                assert secret not in answer.text
                if method == "GET" and address in {path, f"{path}?fbclid=1", f"{path}%23{secret}", f"{path}%2523{secret}"}:
                    shown.add(answer.text)

    assert len(shown) == 1  # always the same page, posting to the link without the secret
    assert f'action="{path}"' in shown.pop()
    assert not rosa.cookies
    assert await everything(services) == before
    assert len(await outbox.all()) == sent


@pytest.mark.parametrize("mangled", ["{path}%23{secret}", "{path}%2523{secret}", "{path}#{secret}", "{path}"])
async def test_the_button_works_where_a_gateway_has_mangled_the_link(
    link: tuple[str, str], rosa: httpx2.AsyncClient, mangled: str
) -> None:
    path, secret = link
    page = await rosa.get(mangled.format(path=path, secret=secret))
    [action] = re.findall(r'<form[^>]*action="([^"]+)"[^>]*data-island="open"', page.text)

    answer = await rosa.post(action, data={"link_secret": f"http://127.0.0.1:8000{path}%2523{secret}"})

    assert answer.url.path == f"{path}/verify"


async def test_from_the_link_to_the_document_in_four_steps(
    app: Starlette, services: Services, outbox: Outbox, link: tuple[str, str], rosa: httpx2.AsyncClient
) -> None:
    recognised = await recognise(rosa, link)
    assert recognised.url.path == f"{link[0]}/verify"
    assert "number that ends in 78" in words(recognised)
    for digits in ("12345678", "3456", "345678"):
        assert digits not in recognised.text
    for content in ("Dossier", "Beste Rosa", "a.pdf", ROSA.email, "Z-1"):
        assert content not in recognised.text
    assert not await outbox.all(kind="sms")  # only the button sends

    asked = await rosa.post(f"{link[0]}/code")
    assert "number that ends in 78" in words(asked)
    opened = await enter(rosa, link[0], await outbox.code(ROSA.number))

    assert opened.url.path == f"{link[0]}/transfer"
    for content in ("Dossier Visser", "Beste Rosa", "a.pdf", "Anna de Vries"):
        assert content in opened.text
    [document] = re.findall(rf'href="({link[0]}/documents/[a-z2-7]+)"', opened.text)
    assert (await rosa.get(document)).content == DOCUMENT


async def test_who_is_in_and_goes_back_is_not_asked_for_another_code(
    outbox: Outbox, link: tuple[str, str], rosa: httpx2.AsyncClient
) -> None:
    await open_link(rosa, outbox)
    back = await rosa.get(f"{link[0]}/verify")
    assert back.url.path == f"{link[0]}/transfer"
    assert len(await outbox.all(kind="sms", to=ROSA.number)) == 1


async def test_before_the_code_was_right_nothing_is_given(
    link: tuple[str, str], outbox: Outbox, rosa: httpx2.AsyncClient
) -> None:
    await recognise(rosa, link)
    await rosa.post(f"{link[0]}/code")
    await enter(rosa, link[0], other_than(await outbox.code(ROSA.number)))
    for inside in ("transfer", "archive.zip", "documents/aaaaaaaaaaaaaaaaaaaaaaaaaa"):
        answer = await rosa.get(f"{link[0]}/{inside}")
        assert (inside, answer.url.path) == (inside, link[0])
        assert "Dossier" not in answer.text


# What does not open

Act = Callable[[Portal, str, str, MovableClock, Outbox], Awaitable[None]]


async def recipient_id_of(portal: Portal, transfer_id: str) -> str:
    page = await portal.client.get(f"/transfers/{transfer_id}")
    [recipient_id] = re.findall(r"/recipients/([a-z2-7]{26})/block", page.text)
    return str(recipient_id)


async def nothing(*_: object) -> None: ...


async def revoke(anna: Portal, transfer_id: str, _recipient_id: str, _clock: MovableClock, _outbox: Outbox) -> None:
    answer = await anna.press(f"/transfers/{transfer_id}/revoke")
    assert "Nobody can open it any more." in words(answer)


async def block(anna: Portal, transfer_id: str, recipient_id: str, _clock: MovableClock, _outbox: Outbox) -> None:
    answer = await anna.press(f"/transfers/{transfer_id}/recipients/{recipient_id}/block")
    assert "This recipient can no longer open the transfer." in words(answer)


async def reissue(anna: Portal, transfer_id: str, recipient_id: str, _clock: MovableClock, outbox: Outbox) -> None:
    before = await outbox.link(ROSA.email)
    answer = await anna.press(f"/transfers/{transfer_id}/recipients/{recipient_id}/reissue")
    assert "A new link is on its way." in words(answer)
    assert await outbox.link(ROSA.email) != before


async def remind(anna: Portal, transfer_id: str, _recipient_id: str, _clock: MovableClock, _outbox: Outbox) -> None:
    answer = await anna.press(f"/transfers/{transfer_id}/remind")
    assert "The reminder is on its way." in words(answer)


async def expire(_anna: Portal, _transfer_id: str, _recipient_id: str, clock: MovableClock, _outbox: Outbox) -> None:
    clock.forward(days=28)


ENDS: list[tuple[Act, int, str]] = [
    (revoke, 410, "The sender has withdrawn these documents."),
    (block, 410, "The sender has ended your access to these documents."),
    (reissue, 410, "There is a newer link. Look for our latest e-mail."),
    (remind, 410, "There is a newer link. Look for our latest e-mail."),
    (expire, 410, "These documents are no longer available. The period has ended."),
]


@pytest.mark.parametrize(("end", "status", "sentence"), ENDS)
async def test_a_link_that_no_longer_opens_says_why_and_whom_to_call(
    anna_portal: Portal,
    outbox: Outbox,
    clock: MovableClock,
    transfer_id: str,
    link: tuple[str, str],
    rosa: httpx2.AsyncClient,
    end: Act,
    status: int,
    sentence: str,
) -> None:
    await end(anna_portal, transfer_id, await recipient_id_of(anna_portal, transfer_id), clock, outbox)

    answer = await recognise(rosa, link)
    assert (answer.status_code, sentence in words(answer)) == (status, True)
    assert "anna@zegelpost.example" in answer.text
    assert "014 000" in answer.text

    # Whoever has not the secret is not told any of that.
    stranger = await recognise(rosa, (link[0], "a" * 32))
    assert (stranger.status_code, "This link is not right." in words(stranger)) == (404, True)
    assert sentence not in words(stranger)


@pytest.mark.parametrize(("end", "status", "sentence"), ENDS)
async def test_a_reader_is_cut_off_at_once(
    anna_portal: Portal,
    outbox: Outbox,
    clock: MovableClock,
    transfer_id: str,
    link: tuple[str, str],
    rosa: httpx2.AsyncClient,
    end: Act,
    status: int,
    sentence: str,
) -> None:
    path = await open_link(rosa, outbox)
    page = await rosa.get(f"{path}/transfer")
    [document] = re.findall(rf'href="({path}/documents/[a-z2-7]+)"', page.text)
    if end is not remind:  # who has fetched it is not reminded
        assert (await rosa.get(document)).content == DOCUMENT

    await end(anna_portal, transfer_id, await recipient_id_of(anna_portal, transfer_id), clock, outbox)

    for inside in (f"{path}/transfer", document, f"{path}/archive.zip"):
        answer = await rosa.get(inside)
        assert DOCUMENT not in answer.content
        assert "Beste Rosa" not in answer.text
        assert answer.url.path == path or answer.status_code == status


@pytest.mark.parametrize(
    "secret", ["", "a" * 32, "not a secret", "a" * 31, "\x00", "%23", "é" * 32, "a" * 10_000], ids=lambda s: ascii(s)[:12]
)
async def test_a_wrong_secret_is_wrong_whatever_its_form(
    services: Services, outbox: Outbox, link: tuple[str, str], rosa: httpx2.AsyncClient, secret: str
) -> None:
    before = await everything(services)

    answer = await recognise(rosa, (link[0], secret))

    assert (answer.status_code, "This link is not right." in words(answer)) == (404, True)
    assert "anna@zegelpost.example" in answer.text
    assert not rosa.cookies
    assert await everything(services) == before
    assert not await outbox.all(kind="sms")


async def test_a_link_that_does_not_exist_answers_as_a_wrong_secret_does(link: tuple[str, str], rosa: httpx2.AsyncClient) -> None:
    for path in ("/o/" + "a" * 26, "/o/x", "/o/%00", "/o/" + "é" * 26):
        answer = await recognise(rosa, (path, link[1]))
        assert (path, answer.status_code, "This link is not right." in words(answer)) == (path, 404, True)
        assert "anna@zegelpost.example" not in answer.text  # nobody to name: it is nobody's link


# Grants


@pytest.mark.parametrize(
    ("minutes", "is_open"),
    [([14.9], True), ([15], False), ([14, 14, 14, 14, 3.9], True), ([14, 14, 14, 14, 4], False)],
)
async def test_a_grant_ends_after_a_quarter_idle_and_after_an_hour(
    outbox: Outbox, clock: MovableClock, link: tuple[str, str], rosa: httpx2.AsyncClient, minutes: list[float], is_open: bool
) -> None:
    path = await open_link(rosa, outbox)
    for length in minutes:
        clock.forward(minutes=length)
        answer = await rosa.get(f"{path}/transfer")

    assert (answer.url.path == f"{path}/transfer") is is_open
    if not is_open:
        assert "For your safety you were signed out. Open the link from the e-mail again." in words(answer)
        assert "Beste Rosa" not in answer.text


async def test_a_grant_of_one_link_opens_no_other(
    app: Starlette, anna_portal: Portal, outbox: Outbox, rosa: httpx2.AsyncClient
) -> None:
    await send(anna_portal, ROSA, SAM, subject="First", documents={"a.pdf": DOCUMENT})
    mine = await open_link(rosa, outbox, ROSA)
    others = await outbox.link(SAM.email)
    cookie = rosa.cookies[f"zegelpost-open-{mine[3:]}"]
    rosa.cookies.set(f"zegelpost-open-{others[0][3:]}", cookie, domain="127.0.0.1")

    for inside in ("transfer", "verify", "archive.zip"):
        answer = await rosa.get(f"{others[0]}/{inside}")
        assert (inside, answer.url.path) == (inside, others[0])
        assert "First" not in answer.text


async def test_documents_of_one_transfer_do_not_come_through_the_link_of_another(
    app: Starlette, anna_portal: Portal, outbox: Outbox, rosa: httpx2.AsyncClient
) -> None:
    await send(anna_portal, ROSA, documents={"a.pdf": DOCUMENT})
    first = await open_link(rosa, outbox)
    await send(anna_portal, SAM, documents={"b.pdf": DOCUMENT + b"secret of Sam"})
    async with browser(app) as sam:
        second = await open_link(sam, outbox, SAM)
        [foreign] = re.findall(r"/documents/([a-z2-7]+)", (await sam.get(f"{second}/transfer")).text)
        assert (await sam.get(f"{second}/documents/{foreign}")).content.endswith(b"Sam")

    swapped = await rosa.get(f"{first}/documents/{foreign}")
    absent = await rosa.get(f"{first}/documents/{'a' * 26}")

    assert (swapped.status_code, swapped.text) == (absent.status_code, absent.text) == (404, absent.text)


async def test_a_second_browser_needs_its_own_code_and_leaving_ends_only_its_own(
    app: Starlette, clock: MovableClock, outbox: Outbox, link: tuple[str, str], rosa: httpx2.AsyncClient
) -> None:
    path = await open_link(rosa, outbox)
    clock.forward(minutes=1)
    async with browser(app) as telephone:
        assert (await recognise(telephone, link)).url.path == f"{path}/verify"
        assert (await telephone.get(f"{path}/transfer")).url.path == path
        await open_link(telephone, outbox)

        await rosa.post(f"{path}/leave")
        assert (await rosa.get(f"{path}/transfer")).url.path == path
        assert (await telephone.get(f"{path}/transfer")).url.path == f"{path}/transfer"


async def test_help_reaches_the_sender_once_an_hour_and_tells_a_stranger_nothing(
    outbox: Outbox, clock: MovableClock, link: tuple[str, str], rosa: httpx2.AsyncClient
) -> None:
    for minutes, count in ((0, 1), (59, 1), (1, 2)):
        clock.forward(minutes=minutes)
        answer = await rosa.post(f"{link[0]}/help")
        assert "We have let the sender know that you need help." in words(answer)
        mails = await outbox.all(kind="mail", to="anna@zegelpost.example")
        assert (minutes, len(mails)) == (minutes, count)
    assert ROSA.email in mails[0]["text"]

    unknown = await rosa.post(f"/o/{'a' * 26}/help")
    assert "We have let the sender know that you need help." in words(unknown)
    assert len(await outbox.all()) == 3
