"""Asks a database of known weaknesses about everything in these bills of materials (CycloneDX): `known_weaknesses.py FILE…`.

Ends with 1 on anything that is known, and on anything that could not be asked: a check that passes over what it cannot see is
worse than none. So packages with a known weakness are asked along, in every question, and have to be found.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

# https://google.github.io/osv.dev/post-v1-querybatch/
_SERVICE: Final = os.environ.get("OSV_API_URL", "https://api.osv.dev")
_AT_ONCE: Final = 500  # the service takes 1000
# CVE-2019-10906 and CVE-2019-10744: of both kinds of package that we use.
_KNOWN: Final = ("pkg:pypi/jinja2@2.10", "pkg:npm/lodash@4.17.11")


class Unchecked(Exception):
    """Something could not be asked."""


def main(files: list[str]) -> int:
    """Print what is known, a line each."""
    try:
        asked = sorted({address for file in files for address in _components(Path(file))})
        found: dict[str, list[str]] = {}
        for start in range(0, len(asked), _AT_ONCE):
            found |= _known(asked[start : start + _AT_ONCE])
    except Unchecked as error:
        print(f"not checked: {error}", file=sys.stderr)
        return 1
    for address, names in sorted(found.items()):
        print(f"{address}: {', '.join(names)}")
    print(f"{len(asked)} packages were asked about, {len(found)} with a known weakness")
    return 1 if found else 0


def _components(file: Path) -> list[str]:
    """The package URL of each."""
    try:
        components = json.loads(file.read_bytes())["components"]
        addresses = [(each.get("purl", ""), each["name"]) for each in components]
    except (OSError, ValueError, KeyError) as error:
        raise Unchecked(f"{file} cannot be read as a bill of materials ({error!r})") from None
    for address, name in addresses:
        if "@" not in address.removeprefix("pkg:npm/@"):
            raise Unchecked(f"{name} in {file} has no package URL with a version")
    if not addresses:
        raise Unchecked(f"there is nothing in {file}")
    # What stands behind the version says where it came from.
    return [address.partition("?")[0].partition("#")[0] for address, _ in addresses]


def _known(addresses: list[str]) -> dict[str, list[str]]:
    """Of which of these something is known, and what."""
    asked = [*_KNOWN, *addresses]
    body = json.dumps({"queries": [{"package": {"purl": each}} for each in asked]}).encode()
    request = urllib.request.Request(f"{_SERVICE}/v1/querybatch", data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            results: list[dict[str, Any]] = json.load(answer)["results"]
    except (OSError, ValueError, KeyError) as error:
        raise Unchecked(f"{_SERVICE} gives no answer that can be read ({error!r})") from None
    if len(results) != len(asked):
        raise Unchecked(f"{_SERVICE} answered about {len(results)} of {len(asked)} packages")
    names = {each: [one["id"] for one in (result or {}).get("vulns", [])] for each, result in zip(asked, results, strict=True)}
    for each in _KNOWN:
        if not names.pop(each):
            raise Unchecked(
                f"{_SERVICE} does not know of {each}, which has a well-known weakness: what it says of others means nothing"
            )
    return {each: found for each, found in names.items() if found}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
