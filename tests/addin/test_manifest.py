"""The manifests: right as they are served, and every check of the validator finds what it is for."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.addin.manifest_checks import problems

from zegelpost.web.addin_pages import PANE_COMMAND
from zegelpost.web.manifests import MANIFEST_FOLDER, manifest

BASE = "https://post.example.nl"
HANDLERS = (Path(__file__).parents[2] / "addin/src/launchevent/launchevent.js").read_text(encoding="utf-8")
SETS = {False: "1.12", True: "1.5"}


def found(text: str, *, is_on_premises: bool = False) -> list[str]:
    return list(
        problems(
            text,
            base_url=BASE,
            icons=MANIFEST_FOLDER / "icons",
            handlers=HANDLERS,
            highest_set=SETS[is_on_premises],
            command_id=PANE_COMMAND,
        )
    )


@pytest.mark.parametrize("is_on_premises", [False, True])
@pytest.mark.parametrize("organisation", ["Gemeente Voorbeeld", 'Zorg & "Welzijn" <Noord>', "Ë" * 200])
def test_both_are_right(organisation: str, *, is_on_premises: bool) -> None:
    assert found(manifest(BASE, organisation, is_on_premises=is_on_premises), is_on_premises=is_on_premises) == []


def test_each_address_has_its_own_identifier_and_always_the_same() -> None:
    made = [manifest(url, "X", is_on_premises=each) for url in (BASE, "https://test.example.nl") for each in (False, True)]
    ids = [text.partition("<Id>")[2].partition("</Id>")[0] for text in made]
    assert len(set(ids)) == 4
    assert manifest(BASE, "Y", is_on_premises=False).count(ids[0]) == 1


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("<Version>1.0.0.0", "<Version>0.9.0.0", "a version below 1.0"),
        ("<Id>", "<Id>x", "no identifier"),
        ("ReadWriteItem", "ReadWriteMailbox", "asks for more than the item"),
        ('xsi:type="MailApp"', 'xsi:type="TaskPaneApp"', "not a mail app"),
        (f"<AppDomain>{BASE}", "<AppDomain>https://elders.example", "our own origin is no app domain"),
        (f'"{BASE}/addin/support"', '"http://post.example.nl/addin/support"', "not https: http://post.example.nl/addin/support"),
        ("icon-16.png", "icon-17.png", f"no icon {BASE}/addin/icons/icon-17.png"),
        ("icon-16.png", "icon-32.png", "icon-32.png is not 16 pixels"),
        ("icon-64.png", "icon-80.png", "icon-80.png is not 64 pixels"),
        ("icon-128.png", "icon-64.png", "icon-64.png is not 128 pixels"),
        ('id="zpCompose"', 'id="zpWrite"', "no button zpCompose to point to"),
        (
            '<Title resid="Read.Label"/><Description resid="Read.Tip"/>',
            '<Description resid="Read.Tip"/><Title resid="Read.Label"/>',
            "Supertip has its children out of order",
        ),
        (
            '<SupportsSharedFolders>true</SupportsSharedFolders>\n            <FunctionFile resid="Runtime.Html"/>',
            '<FunctionFile resid="Runtime.Html"/><SupportsSharedFolders>true</SupportsSharedFolders>',
            "DesktopFormFactor has its children out of order",
        ),
        ('DefaultMinVersion="1.12"', 'DefaultMinVersion="1.15"', "asks for set 1.15"),
        ("onMessageSendHandler", "onSend", "nothing answers to onSend"),
        ('SendMode="SoftBlock"', 'SendMode="Block"', "a guard that is not there would stop all mail, or none"),
        ('<bt:Override Locale="nl-NL" Value="Verstuur veilig"/>', "", "Compose.Label lacks a language"),
        ('<Override Locale="nl-BE"', '<Override Locale="fr-BE"', "DisplayName lacks a language"),
        ('resid="Read.Tip"', 'resid="Read.Tap"', "not defined: ['Read.Tap']"),
        ("Verstuur veilig", "V" * 126, "Compose.Label is too long"),
        ('id="zpRead"', 'id="zpOther"', "the overrides show other buttons"),
        (
            '<SourceLocation resid="Runtime.Html"/>',
            '<SourceLocation resid="Pane.Url"/>',
            "the guard starts elsewhere than its runtime",
        ),
        ("<ProviderName>Zegelpost</ProviderName>", "", "elements out of order"),
    ],
)
def test_every_check_finds_what_it_is_for(old: str, new: str, problem: str) -> None:
    right = manifest(BASE, "Gemeente Voorbeeld", is_on_premises=False)
    assert old in right
    # Of two overrides with the same buttons, one is enough to break.
    broken = right.replace(old, new, 1 if old == 'id="zpRead"' else -1)
    if problem == "elements out of order":
        broken = right.replace(old, "").replace("<DefaultLocale>", f"{old}<DefaultLocale>").replace("<Version>", "<Version>", 1)
        broken = broken.replace("<Version>1.0.0.0</Version>", "").replace(
            "</Permissions>", "</Permissions><Version>1.0.0.0</Version>"
        )
    assert problem in found(broken)


def test_exchange_on_premises_is_asked_for_nothing_new() -> None:
    assert "asks for set 1.12" in found(manifest(BASE, "X", is_on_premises=False), is_on_premises=True)
