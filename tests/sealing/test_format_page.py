from __future__ import annotations

import re
from pathlib import Path

from zegelpost.sealing import box, keys, parts, wrapping
from zegelpost.sealing.errors import SealBroken

PAGE = (Path(__file__).parents[2] / "backend" / "docs" / "sealed-format.md").read_text()


def test_every_refusal_is_on_the_page_and_no_other() -> None:
    named = set(re.findall(r"`((?:Format|Header|Manifest|Part|Segment|Text|Wrap)[A-Z]\w+)`", PAGE))
    assert named == {refusal.__name__ for refusal in SealBroken.__subclasses__()}


def test_the_constants_are_those_of_the_page() -> None:
    _, _, table = PAGE.partition("| Constant | Bytes |")
    rows = re.findall(r"^\| ([a-z][\w ,]*) \| ([\d ]+) \|$", table.partition("## 2.")[0], flags=re.MULTILINE)
    assert {name: int(size.replace(" ", "")) for name, size in rows} == {
        "key": keys.KEY_BYTES,
        "nonce": box.NONCE_BYTES,
        "tag": parts.TAG_BYTES,
        "segment, sealed": parts.SEGMENT_BYTES,
        "part header": parts.HEADER_BYTES,
        "wrap": wrapping.WRAP_BYTES,
    }


def test_every_label_is_on_the_page() -> None:
    package = Path(keys.__file__).parent
    used = {label for file in package.glob("*.py") for label in re.findall(r'b"(zegelpost/\S+?)"', file.read_text())}
    assert used == set(re.findall(r'"(zegelpost/\S+?)"', PAGE))
