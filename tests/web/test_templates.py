"""Templates: standard texts that are inserted with one choice and filled in for whoever reads them."""

from __future__ import annotations

import re

import pytest
from starlette.applications import Starlette
from tests.conftest import Outbox, Portal, browser
from tests.web.acts import DOCUMENT, ROSA, SAM, form_of, open_link, send, sentences, values, words

pytestmark = pytest.mark.anyio

TEXT = "Beste {naam},\n\nHierbij ons besluit in zaak { Kenmerk }.\n\n{ondertekening}"


async def add(portal: Portal, **fields: str) -> str:
    """Make a template; returns its identifier."""
    answer = await portal.press("/templates/new", **({"name": "Besluit", "text": TEXT, "use": "send"} | fields))
    assert answer.url.path == "/templates", sentences(answer)
    name = fields.get("name", "Besluit")
    found = re.search(rf'href="/templates/([a-z2-7]{{26}})">{re.escape(name)}<', answer.text)
    assert found
    return found.group(1)


async def test_inserted_signed_and_filled_in_for_each_reader(
    app: Starlette, anna_portal: Portal, outbox: Outbox, database_kind: str
) -> None:
    await anna_portal.press("/templates/signature", signature="Anna de Vries\nInspecteur")
    template = await add(anna_portal)
    form = form_of(ROSA, SAM, note="") | {"template": template, "insert_template": "1"}
    shown = await anna_portal.press("/transfers", **form)
    note = values(shown)["note"]
    assert note == "Beste {naam},\n\nHierbij ons besluit in zaak { Kenmerk }.\n\nAnna de Vries\nInspecteur"
    assert [value for value in (ROSA.name, ROSA.email, SAM.mobile, "Dossier Visser", "Z-1") if value not in shown.text] == []
    await send(anna_portal, ROSA, SAM, documents={"besluit.pdf": DOCUMENT}, note=note)
    for mail in await outbox.all(kind="mail"):
        assert "besluit in zaak" not in mail["text"]
    for row in (ROSA, SAM):
        async with browser(app) as reader:
            base = await open_link(reader, outbox, row)
            page = words(await reader.get(f"{base}/transfer"))
            assert f"Beste {row.name}," in page
            assert "zaak Z-1" in page
            assert "Inspecteur" in page
            assert "{" not in page


async def test_what_was_typed_is_never_thrown_away_nor_doubled(anna_portal: Portal) -> None:
    template = await add(anna_portal, text="Met vriendelijke groet")
    typed = form_of(ROSA, note="Eigen tekst") | {"template": template, "insert_template": "1"}
    note = values(await anna_portal.press("/transfers", **typed))["note"]
    assert note == "Eigen tekst\n\nMet vriendelijke groet"
    again = values(await anna_portal.press("/transfers", **(typed | {"note": note})))["note"]
    assert again == note
    nothing = values(await anna_portal.press("/transfers", **(typed | {"template": ""})))["note"]
    assert nothing == "Eigen tekst"


async def test_the_default_stands_there_in_its_own_place(anna_portal: Portal) -> None:
    await add(anna_portal, name="Een", text="Standaard een", is_default="1")
    await add(anna_portal, name="Twee", text="Standaard twee", is_default="1")
    await add(anna_portal, name="Vraag", text="Wij vragen u {naam}", use="request", is_default="1")
    assert values(await anna_portal.client.get("/transfers/new"))["note"] == "Standaard twee"
    assert values(await anna_portal.client.get("/requests/new"))["note"] == "Wij vragen u {naam}"
    assert words(await anna_portal.client.get("/templates")).count("Default") == 2


async def test_a_request_fills_in_its_guest(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    template = await add(anna_portal, use="request", text="Beste {name}, stuur ons uw stukken.")
    typed = {"name": ROSA.name, "email": ROSA.email, "subject": "Stukken", "language": "en", "items": "Diploma"}
    shown = await anna_portal.press("/requests", **typed, template=template, insert_template="1")
    assert values(shown)["note"] == "Beste {name}, stuur ons uw stukken."
    assert "Diploma" in shown.text
    await anna_portal.press("/requests", **typed, note=values(shown)["note"])
    path, secret = await outbox.link(ROSA.email)
    async with browser(app) as guest:
        assert f"Beste {ROSA.name}, stuur" in words(await guest.post(path, data={"link_secret": secret}))


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("name", "", "Enter a name."),
        ("text", " ", "Write a text."),
        ("text", "Beste {naam}, uw {bsn}", "We cannot fill in {bsn}"),
        ("text", "x" * 20_001, "too long: 20000"),
    ],
)
async def test_what_is_wrong_is_told_and_the_rest_stays(anna_portal: Portal, field: str, typed: str, sentence: str) -> None:
    answer = await anna_portal.press(
        "/templates/new", **({"name": "Besluit", "text": "Tekst", "use": "request"} | {field: typed})
    )
    assert answer.status_code == 422
    assert sentence in sentences(answer)[field]
    assert '<option value="request" selected>' in answer.text


async def test_others_templates_are_out_of_reach(app: Starlette, anna_portal: Portal) -> None:
    template = await add(anna_portal, text="Geheim van Anna")
    async with browser(app) as client:
        mallory = Portal(client)
        await mallory.sign_in("mallory@zegelpost.example")
        assert (await client.get(f"/templates/{template}")).status_code == 404
        for path in ("", "/delete"):
            assert (await mallory.press(f"/templates/{template}{path}", name="x", text="x", use="send")).status_code == 404
        stolen = await mallory.press("/transfers", **form_of(ROSA, note=""), template=template, insert_template="1")
        assert stolen.status_code == 404
        assert "Geheim" not in (await client.get("/templates")).text + (await client.get("/transfers/new")).text
        assert (await mallory.press("/templates/new", name="x", text="x", department_id="a" * 26)).status_code == 422
    assert "Delete this standard text?" in words(await anna_portal.client.get(f"/templates/{template}/delete"))
    await anna_portal.press(f"/templates/{template}/delete")
    assert "Geheim" not in (await anna_portal.client.get("/templates")).text


async def test_braces_that_are_none_of_ours_stay(app: Starlette, anna_portal: Portal, outbox: Outbox) -> None:
    await send(anna_portal, note="Vul {zelf} in: {{naam}} {naam:x} {}")
    async with browser(app) as rosa:
        base = await open_link(rosa, outbox)
        assert f"Vul {{zelf}} in: {{{ROSA.name}}} {{naam:x}} {{}}" in words(await rosa.get(f"{base}/transfer"))
