"""The add-in's manifests: one template, filled in for this installation's own address.

Add-in-only XML, because only that reaches Outlook on Mac, LTSC versions and Exchange on-premises. Sources: MS-OWEMXML, and
Microsoft's pages on manifest element ordering and on limits of the manifest.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from zegelpost.web.handbook import docs_folder

ICON_SIZES: Final = frozenset({16, 32, 64, 80, 128})  # pixels, square
# Raised when the manifest itself changes: Outlook and administrators see an update by it, and have to agree to it again.
VERSION: Final = "1.0.0.0"
# The guard's calls (internet headers, attachments) have been there since 1.8; its event came with 1.12.
_HIGHEST_SET: Final = "1.12"
_HIGHEST_SET_ON_PREMISES: Final = "1.5"
_LONGEST_NAME: Final = 125  # characters of a short string

_WORDS: Final = {
    "compose": {"en": "Send securely", "nl": "Verstuur veilig"},
    "compose_tip": {
        "en": "Send the text and the attachments through the secure channel. The recipient gets a link and a code.",
        "nl": "Verstuur de tekst en de bijlagen via het beveiligde kanaal. De ontvanger krijgt een link en een code.",
    },
    "read": {"en": "Zegelpost", "nl": "Zegelpost"},
    "read_tip": {
        "en": "Ask this person for documents, answer safely, or see what became of what you sent.",
        "nl": "Vraag deze persoon om documenten, antwoord veilig, of bekijk wat er van uw verzendingen is geworden.",
    },
    "description": {
        "en": "Send documents safely to people outside the organisation, and ask them for documents.",
        "nl": "Verstuur documenten veilig naar mensen buiten de organisatie, en vraag hun om documenten.",
    },
}


def manifest_folder() -> Path:
    """Where template and icons are: at the top of a clone, inside the package when it is installed."""
    packaged = Path(__file__).resolve().parents[1] / "manifest"
    return packaged if packaged.is_dir() else docs_folder().parents[1] / "manifest"


MANIFEST_FOLDER: Final = manifest_folder()


def manifest(base_url: str, organisation: str, *, is_on_premises: bool) -> str:
    """The manifest of the add-in at `base_url`.

    The identifier follows from the address: a test environment and the real one are two add-ins, which Outlook's caches would
    otherwise mix up, and every time that it is fetched it is the same.
    """
    environment = Environment(
        loader=FileSystemLoader(MANIFEST_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=False, auto_reload=False
    )
    name = f"Zegelpost {organisation}"[:_LONGEST_NAME] if organisation != "Zegelpost" else "Zegelpost"
    return environment.get_template("template.xml.j2").render(
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{base_url}/addin{'/onprem' if is_on_premises else ''}")),
        version=VERSION,
        base_url=base_url,
        set=_HIGHEST_SET_ON_PREMISES if is_on_premises else _HIGHEST_SET,
        words={"name": {"en": name, "nl": name}, **_WORDS},
    )
