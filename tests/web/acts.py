"""What people do in a browser, said in one word each: Anna makes and sends, Rosa opens."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2

if TYPE_CHECKING:
    from tests.conftest import Outbox, Portal

DOCUMENT = b"%PDF-1.7\n1 0 obj << >> endobj\ntrailer << >>\n%%EOF\n"


@dataclass(frozen=True, slots=True)
class Row:
    """A recipient as typed, and where their post arrives."""

    name: str
    email: str
    mobile: str = ""
    number: str = ""


ROSA = Row("Rosa Visser", "rosa@zorg.example", "06-12 34 56 78", "+31612345678")
SAM = Row("Sam Smit", "sam@advocaat.example", "06 87 65 43 21", "+31687654321")
BRAM = Row("Bram Jansen", "bram@zegelpost.example")


def form_of(*rows: Row, **fields: str) -> dict[str, str]:
    """The form of a draft as a browser sends it."""
    form = {"subject": "Dossier Visser", "reference": "Z-1", "note": "Beste Rosa", "expires_in_days": "28", "language": "en"}
    for number, row in enumerate(rows):
        form |= {
            f"recipient-{number}-name": row.name,
            f"recipient-{number}-email": row.email,
            f"recipient-{number}-mobile": row.mobile,
        }
    return form | fields


async def draft(portal: Portal, *rows: Row, documents: Mapping[str, bytes] | None = None, **fields: str) -> str:
    """Fill in the form and add documents; returns the transfer's identifier."""
    answer = await portal.press("/transfers", **form_of(*(rows or (ROSA,)), **fields))
    found = re.fullmatch(r"/transfers/([a-z2-7]{26})/documents", answer.url.path)
    assert found, sentences(answer)
    for name, content in (documents or {}).items():
        await add_document(portal, found.group(1), name, content)
    return found.group(1)


async def add_document(portal: Portal, transfer_id: str, name: str, content: bytes) -> None:
    """Upload one document with the plain form."""
    answer = await portal.client.post(
        f"/transfers/{transfer_id}/documents", data={"csrf": portal.csrf}, files={"documents": (name, content)}
    )
    assert answer.status_code == 200, sentences(answer)


async def send(portal: Portal, *rows: Row, documents: Mapping[str, bytes] | None = None, **fields: str) -> str:
    """From an empty form to a sent transfer; returns its identifier."""
    transfer_id = await draft(portal, *rows, documents=documents, **fields)
    answer = await portal.press(f"/transfers/{transfer_id}/send")
    assert answer.url.path == f"/transfers/{transfer_id}", sentences(answer)
    return transfer_id


async def recognise(browser: httpx2.AsyncClient, link: tuple[str, str]) -> httpx2.Response:
    """Press the button behind the link."""
    path, secret = link
    return await browser.post(path, data={"link_secret": secret})


async def open_link(browser: httpx2.AsyncClient, outbox: Outbox, row: Row = ROSA, *, remembers: bool = False) -> str:
    """From the mail to the documents; returns the link's path. `remembers`: with the tick to have the device remembered."""
    link = await outbox.link(row.email)
    await recognise(browser, link)
    await browser.post(f"{link[0]}/code")
    typed = {"code": await outbox.code(row.number)} | ({"remember": "1"} if remembers else {})
    answer = await browser.post(f"{link[0]}/verify", data=typed)
    assert answer.url.path == f"{link[0]}/transfer", sentences(answer)
    return link[0]


async def enter(browser: httpx2.AsyncClient, path: str, code: str) -> httpx2.Response:
    """Type a code."""
    return await browser.post(f"{path}/verify", data={"code": code})


def other_than(code: str) -> str:
    """A code that is not this one."""
    return f"{(int(code) + 1) % 1_000_000:06d}"


def words(answer: httpx2.Response) -> str:
    """The text of a page, as people read it."""
    main = answer.text.partition("<main")[2].partition("</main>")[0] or answer.text
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())


def sentences(answer: httpx2.Response) -> dict[str, str]:
    """What a form says at each field that was refused, by the field's name."""
    found = re.findall(r'id="([^"]+)-error">(.*?)</div>', answer.text, re.DOTALL)
    return {name: " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split()).removeprefix("Error: ") for name, text in found}


def values(answer: httpx2.Response) -> dict[str, str]:
    """What stands in the fields of a form."""
    inputs = re.findall(r'<input class="utrecht-textbox[^>]* name="([^"]+)"[^>]* value="([^"]*)"', answer.text)
    texts = re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>\n?(.*?)</textarea>', answer.text, re.DOTALL)
    chosen = re.findall(r'<select[^>]* name="([^"]+)".*?<option value="([^"]*)" selected', answer.text, re.DOTALL)
    return {name: html.unescape(value) for name, value in [*inputs, *texts, *chosen] if "__INDEX__" not in name}
