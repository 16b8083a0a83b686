"""Accessibility findings of the page that a browser shows, by axe-core.

The page's own policy (CSP and Trusted Types) forbids what script tags would bring in, and switching it off would hide
real violations. The debugging protocol evaluates beside it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import CDPSession, Error, Page

AXE: Final = Path(__file__).parents[2] / "backend/frontend/node_modules/axe-core/axe.min.js"
RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_MOVES: Final = 3  # pages that may follow one another while axe looks
_RUN: Final = f"""axe.run(document, {{runOnly: {json.dumps(RULES)}, resultTypes: ["violations", "incomplete"]}}).then(
    ({{violations, incomplete}}) => ["violations", "incomplete"].flatMap((kind) =>
        ({{violations, incomplete}})[kind].map((rule) => ({{
            rule: rule.id, kind, help: rule.help,
            places: rule.nodes.map((node) => node.target.join(" ") + ": " + (node.failureSummary || ""))
        }})))
)"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that the page breaks (`violations`) or that axe could not decide (`incomplete`), and where.

    Undecided counts too: a page with its labels under the fields once had nothing but an undecided contrast.
    """

    rule: str
    kind: str
    help: str
    places: tuple[str, ...]


def run_axe(page: Page) -> list[Finding]:
    """Every finding on the page as it is now, WCAG 2.2 A and AA and axe's best practices; Chromium only.

    A page that makes way for the next one while axe looks has no document any more: then the next one is looked at.
    """
    session = page.context.new_cdp_session(page)
    try:
        for _ in range(_MOVES):
            page.wait_for_load_state()
            document = _document(session)
            try:
                _evaluate(session.send("Runtime.evaluate", {"expression": AXE.read_text(encoding="utf-8")}))
                asked = {"expression": _RUN, "awaitPromise": True, "returnByValue": True}
                found = _evaluate(session.send("Runtime.evaluate", asked))
            except (RuntimeError, Error):
                if _document(session) == document:
                    raise
                continue
            if _document(session) == document:
                return [Finding(item["rule"], item["kind"], item["help"], tuple(item["places"])) for item in found]
        raise RuntimeError(f"no page stayed long enough to look at; the last was {page.url}")
    finally:
        session.detach()


def _document(session: CDPSession) -> str:
    """The document that the tab shows, by the browser's own name for its loading."""
    return str(session.send("Page.getFrameTree")["frameTree"]["frame"]["loaderId"])


def _evaluate(answer: dict[str, Any]) -> Any:
    if "exceptionDetails" in answer:
        raise RuntimeError(f"axe could not run: {answer['exceptionDetails']}")
    return answer["result"].get("value")
