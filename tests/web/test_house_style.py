"""The house style on screen: name, help, languages, colour, own words and logo, wherever people see them."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import subprocess
import zlib
from typing import Any

import httpx2
import pikepdf
import pytest
from PIL import Image
from tests.conftest import Outbox, Portal
from tests.web.acts import words
from tests.web.policy_acts import changes, draft, save
from tests.web.test_report import VARIANTS

from zegelpost.main import Services

pytestmark = pytest.mark.anyio


async def test_name_telephone_and_own_words_stand_where_people_need_them(
    services: Services, chris_portal: Portal, anna: httpx2.AsyncClient, client: httpx2.AsyncClient, outbox: Outbox
) -> None:
    await save(chris_portal, "organisation", name="Gemeente  Nieuwstad", help_phone="088-123 45 67 (9-17)", accent="7a1f5c")
    await save(chris_portal, "texts", help_text_en="Ask for <b>Els</b>.\r\nShe knows.", intake_text_en="No photographs, please.")
    made = (await anna.post("/api/v1/transfers", json=draft(language="en"))).json()["id"]
    await anna.post(f"/api/v1/transfers/{made}/send")
    mail = (await outbox.all(kind="mail", to="rosa@zorg.example"))[-1]
    assert "Gemeente Nieuwstad sends documents safely" in mail["text"]
    assert "background:#7a1f5c" in mail["html"]
    assert "#0b5a75" not in mail["html"]
    link = await outbox.link("rosa@zorg.example")
    wrong = await client.post(link[0], data={"secret": "a" * 32})
    assert "088-123 45 67 (9-17)" in wrong.text.partition("<main")[2].partition("</main>")[0]
    assert "Ask for &lt;b&gt;Els&lt;/b&gt;." in wrong.text
    pane = (await client.get("/addin/pane")).text.partition('data-facts="')[2].partition('"')[0]
    assert json.loads(html.unescape(pane))["help_phone"] == "088-123 45 67 (9-17)"
    home = await client.get("/i")
    assert "No photographs, please." in home.text
    assert "Gemeente Nieuwstad" in home.text
    assert "Call us: 088-123 45 67 (9-17)" in home.text
    assert '<link rel="stylesheet" href="/house-style/7a1f5c.css">' in home.text
    assert "Ask for &lt;b&gt;Els&lt;/b&gt;.\nShe knows." in (await client.get("/help")).text
    style = await client.get("/house-style/7a1f5c.css")
    assert "--voorbeeld-kleuren-violet-500: #7a1f5c;" in style.text
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    for nonsense in ("7a1f5", "7A1F5C", "7a1f5c}body{display:none", "red"):
        assert (await client.get(f"/house-style/{nonsense}.css")).status_code == 404
    assert "Gemeente Nieuwstad" in (await client.get("/addin/manifest.xml")).text


async def test_one_language_is_the_only_one(
    chris_portal: Portal, client: httpx2.AsyncClient, anna: httpx2.AsyncClient, outbox: Outbox
) -> None:
    await save(chris_portal, "organisation", languages="nl")
    page = await client.get("/i?language=en")
    assert '<html lang="nl"' in page.text
    assert "English" not in page.text
    made = (await anna.post("/api/v1/transfers", json=draft(language="en"))).json()["id"]
    await anna.post(f"/api/v1/transfers/{made}/send")
    assert "verstuurt documenten veilig" in (await outbox.all(kind="mail", to="rosa@zorg.example"))[-1]["text"]


def picture(kind: str = "PNG", size: tuple[int, int] = (600, 200), **extra: Any) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", size, "#7a1f5c").save(written, kind, **extra)
    return written.getvalue()


async def hand_in(portal: Portal, content: bytes, **fields: str) -> httpx2.Response:
    data = {"csrf": portal.csrf, **fields}
    return await portal.client.post("/admin/policy/logo", data=data, files={"file": ("logo.png", content)})


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
async def test_a_logo_is_drawn_anew_and_shown(
    services: Services, chris_portal: Portal, client: httpx2.AsyncClient, kind: str, database_kind: str
) -> None:
    secret = b"GPS 52.37 4.89 <script>"
    content = picture(kind, exif=b"Exif\x00\x00" + secret) + secret
    assert "Saved" in words(await hand_in(chris_portal, content))
    path = re.search(r'src="(/logo/[0-9a-f]{64})"', (await client.get("/help")).text)
    assert path
    shown = await client.get(path.group(1))
    assert shown.headers["content-type"] == "image/png"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert shown.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert secret not in shown.content
    with Image.open(io.BytesIO(shown.content)) as drawn:
        assert (drawn.format, drawn.size) == ("PNG", (288, 96))
    [change] = await changes(services)
    assert (change["field"], change["old"], change["new"]) == ("logo", "", path.group(1).removeprefix("/logo/"))
    await chris_portal.press("/admin/policy/default", field="logo")
    assert "/logo/" not in (await client.get("/help")).text


def claims_to_be_huge() -> bytes:
    """A small file whose header says that it is forty thousand dots wide and high."""
    content = bytearray(picture(size=(30, 30)))
    content[16:24] = (40_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Choose a PNG or JPEG picture"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "Choose a PNG or JPEG picture"),
        (picture("GIF"), "Choose a PNG or JPEG picture"),
        (picture()[:100], "Choose a PNG or JPEG picture"),
        (picture(size=(20, 100)), "with sides of 24 to 2000 dots"),
        (picture(size=(2001, 30)), "with sides of 24 to 2000 dots"),
        (claims_to_be_huge(), "with sides of 24 to 2000 dots"),
        (picture() + bytes(300_000), "too large: 256 kB at most"),
    ],
)
async def test_what_is_no_logo_is_refused(services: Services, chris_portal: Portal, content: bytes, said: str) -> None:
    answer = await hand_in(chris_portal, content)
    assert answer.status_code == 422
    assert said in words(answer)
    assert 'id="file-error"' in answer.text
    assert await changes(services) == []


async def test_only_administrators_hand_in_a_logo_and_only_from_their_own_page(
    services: Services, chris_portal: Portal, anna_portal: Portal
) -> None:
    assert (await hand_in(anna_portal, picture())).status_code == 404
    assert (await hand_in(chris_portal, picture(), csrf="x")).status_code == 403
    assert await changes(services) == []


async def test_a_logo_that_does_not_exist(client: httpx2.AsyncClient) -> None:
    for digest in ("0" * 64, "x", "%00"):
        assert (await client.get(f"/logo/{digest}")).status_code == 404


async def send_one(anna: httpx2.AsyncClient) -> str:
    made: str = (await anna.post("/api/v1/transfers", json=draft())).json()["id"]
    assert (await anna.post(f"/api/v1/transfers/{made}/send")).is_success
    return made


def dots_of(pdf: bytes, colour: tuple[int, int, int]) -> int:
    """How many there are of this colour on the first page, as it is printed."""
    drawn = subprocess.run(["pdftoppm", "-png", "-singlefile", "-"], input=pdf, capture_output=True, check=True).stdout
    with Image.open(io.BytesIO(drawn)) as page:
        return sum(count for count, each in page.convert("RGB").getcolors(1 << 20) or [] if each == colour)


async def test_mails_and_printed_reports_look_like_the_organisation(
    chris_portal: Portal, anna: httpx2.AsyncClient, client: httpx2.AsyncClient, outbox: Outbox, database_kind: str
) -> None:
    await save(chris_portal, "organisation", accent="7a1f5c")
    assert "Saved" in words(await hand_in(chris_portal, picture()))
    transfer_id = await send_one(anna)

    path = re.search(r'src="(/logo/[0-9a-f]{64})"', (await client.get("/help")).text)
    assert path
    drawn = base64.b64encode((await client.get(path.group(1))).content).decode()
    mail = (await outbox.all(kind="mail", to="rosa@zorg.example"))[-1]
    assert f'<img src="data:image/png;base64,{drawn}" alt="" width="144" height="48"' in mail["html"]
    for variant in VARIANTS:
        pdf = (await anna.get(f"/api/v1/transfers/{transfer_id}/report.pdf", params={"variant": variant})).content
        assert dots_of(pdf, (0x7A, 0x1F, 0x5C)) > 5000
        with pikepdf.open(io.BytesIO(pdf)) as report:
            assert [(int(each.Width), int(each.Height)) for each in report.pages[0].get_images().values()] == [(288, 96)]

    await chris_portal.press("/admin/policy/default", field="logo")
    await send_one(anna)
    assert "<img" not in (await outbox.all(kind="mail", to="rosa@zorg.example"))[-1]["html"]
