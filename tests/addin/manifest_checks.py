"""What a manifest has to be, offline: the checks that Outlook, Exchange and Microsoft's service make, and a few of our own.

Source: Microsoft's pages on the add-in-only manifest (element ordering, limits, requirement sets) and MS-OWEMXML. Microsoft's own
validator needs the network, and stays a step before a release.
"""

from __future__ import annotations

import re
import struct
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

APP = "{http://schemas.microsoft.com/office/appforoffice/1.1}"
BT = "{http://schemas.microsoft.com/office/officeappbasictypes/1.0}"
V1_0 = "{http://schemas.microsoft.com/office/mailappversionoverrides}"
V1_1 = "{http://schemas.microsoft.com/office/mailappversionoverrides/1.1}"
TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
ORDER = [
    *("Id", "Version", "ProviderName", "DefaultLocale", "DisplayName", "Description", "IconUrl", "HighResolutionIconUrl"),
    *("SupportUrl", "AppDomains", "Hosts", "Requirements", "FormSettings", "Permissions", "Rule", "DisableEntityHighlighting"),
    "VersionOverrides",
]
# Inside the overrides, by parent; what stands in no list may stand anywhere.
NESTED = {
    "VersionOverrides": ["Description", "Requirements", "Hosts", "Resources", "VersionOverrides"],
    "Host": ["Runtimes", "DesktopFormFactor", "MobileFormFactor"],
    "DesktopFormFactor": ["SupportsSharedFolders", "FunctionFile", "ExtensionPoint"],
    "ExtensionPoint": ["LaunchEvents", "SourceLocation"],
    "Group": ["Label", "Control"],
    "Control": ["Label", "Supertip", "Icon", "Action"],
    "Supertip": ["Title", "Description"],
    "Resources": ["Images", "Urls", "ShortStrings", "LongStrings"],
}
# Square, in pixels (Microsoft's page on the icons of add-ins in Outlook).
ICONS = {"IconUrl": "64", "HighResolutionIconUrl": "128"}
LOCALES = {"nl-NL", "nl-BE"}
LONGEST = {"ShortStrings": 125, "LongStrings": 250}


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _set_version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def problems(text: str, *, base_url: str, icons: Path, handlers: str, highest_set: str, command_id: str) -> Iterator[str]:
    """Everything that is wrong with a manifest, one sentence each."""
    if len(text.encode()) > 256 * 1024:
        yield "larger than 256 kB"
    root = ET.fromstring(text)
    if root.get(TYPE) != "MailApp":
        yield "not a mail app"
    if [_name(child) for child in root] != [
        name for name in ORDER if root.find(APP + name) is not None or name == "VersionOverrides"
    ]:
        yield "elements out of order"
    yield from _nested_order(root)
    yield from _head(root, base_url)
    for name, size in ICONS.items():
        yield from _icon((root.find(APP + name)), size, base_url, icons)
    for url in re.findall(r'(?:DefaultValue|Value)="(\w+://[^"]*)"', text):
        if not url.startswith("https://"):
            yield f"not https: {url}"
    for version in re.findall(r'(?:MinVersion|DefaultMinVersion)="([\d.]+)"', text):
        if _set_version(version) > _set_version(highest_set):
            yield f"asks for set {version}"
    yield from _overrides(root, base_url, icons, handlers, command_id)


def _overrides(root: ET.Element, base_url: str, icons: Path, handlers: str, command_id: str) -> Iterator[str]:
    first = root.find(f"{V1_0}VersionOverrides")
    second = first.find(f"{V1_1}VersionOverrides") if first is not None else None
    if first is None or second is None:
        yield "no version overrides"
        return
    if list(first)[-1] is not second:
        yield "the newer override is not the last child"
    if _buttons(first, V1_0) != _buttons(second, V1_1):
        yield "the overrides show other buttons"
    # The guard's "take action" button opens a pane by this identifier.
    if ("MessageComposeCommandSurface", command_id) not in [button[:2] for button in _buttons(second, V1_1)]:
        yield f"no button {command_id} to point to"
    for overrides, prefix in ((first, V1_0), (second, V1_1)):
        yield from _resources(overrides, prefix, base_url, icons)
    yield from _runtime(second, handlers)


def _nested_order(root: ET.Element) -> Iterator[str]:
    for overrides in root.iter(f"{V1_0}VersionOverrides"):
        for parent in overrides.iter():
            order = NESTED.get(_name(parent), [])
            places = [order.index(_name(child)) for child in parent if _name(child) in order]
            if places != sorted(places):
                yield f"{_name(parent)} has its children out of order"


def _head(root: ET.Element, base_url: str) -> Iterator[str]:
    try:
        uuid.UUID(root.findtext(f"{APP}Id") or "")
    except ValueError:
        yield "no identifier"
    if not re.fullmatch(r"[1-9]\d*\.\d+\.\d+\.\d+", root.findtext(f"{APP}Version") or ""):
        yield "a version below 1.0"
    for name, limit in (("DisplayName", 125), ("Description", 250)):
        element = root.find(APP + name)
        if element is None or {child.get("Locale") for child in element} != LOCALES:
            yield f"{name} lacks a language"
        elif max(len(each.get("DefaultValue") or each.get("Value") or "") for each in (element, *element)) > limit:
            yield f"{name} is too long"
    if base_url not in {domain.text for domain in root.iter(f"{APP}AppDomain")}:
        yield "our own origin is no app domain"
    if root.findtext(f"{APP}Permissions") != "ReadWriteItem":
        yield "asks for more than the item"


def _buttons(overrides: ET.Element, prefix: str) -> list[tuple[str | None, str | None, str | None]]:
    hosts = overrides.find(f"{prefix}Hosts")
    assert hosts is not None
    return [
        (point.get(TYPE), control.get("id"), control.find(f"{prefix}Label").get("resid"))  # type: ignore[union-attr]
        for point in hosts.iter(f"{prefix}ExtensionPoint")
        for control in point.iter(f"{prefix}Control")
    ]


def _resources(overrides: ET.Element, prefix: str, base_url: str, icons: Path) -> Iterator[str]:
    resources, hosts = overrides.find(f"{prefix}Resources"), overrides.find(f"{prefix}Hosts")
    assert resources is not None
    assert hosts is not None
    defined = {each.get("id"): each for each in resources.iter() if each.get("id")}
    used = {each.get("resid") for each in hosts.iter() if each.get("resid")}
    if missing := used - set(defined):
        yield f"not defined: {sorted(map(str, missing))}"
    if idle := set(defined) - used:
        yield f"not used: {sorted(map(str, idle))}"
    if any(len(str(name)) > 32 for name in defined):
        yield "a resource's name is too long"
    for kind, limit in LONGEST.items():
        for each in resources.findall(f"{BT}{kind}/{BT}String"):
            if {child.get("Locale") for child in each} != LOCALES:
                yield f"{each.get('id')} lacks a language"
            if max(len(one.get("DefaultValue") or one.get("Value") or "") for one in (each, *each)) > limit:
                yield f"{each.get('id')} is too long"
    sizes = {image.get("resid"): image.get("size") for image in hosts.iter(f"{BT}Image")}
    for each in resources.findall(f"{BT}Images/{BT}Image"):
        yield from _icon(each, sizes.get(each.get("id")), base_url, icons)


def _icon(element: ET.Element | None, size: str | None, base_url: str, icons: Path) -> Iterator[str]:
    url = (element.get("DefaultValue") if element is not None else None) or ""
    path = icons / url.removeprefix(f"{base_url}/addin/icons/")
    if not path.is_file():
        yield f"no icon {url}"
    elif _size(path) != size:
        yield f"{path.name} is not {size} pixels"


def _size(path: Path) -> str:
    width, height = struct.unpack(">II", path.read_bytes()[16:24])
    return str(width) if width == height else f"{width}x{height}"


def _runtime(overrides: ET.Element, handlers: str) -> Iterator[str]:
    point = next((each for each in overrides.iter(f"{V1_1}ExtensionPoint") if each.get(TYPE) == "LaunchEvent"), None)
    runtime = next(overrides.iter(f"{V1_1}Runtime"), None)
    if point is None or runtime is None:
        yield "no guard"
        return
    source = point.find(f"{V1_1}SourceLocation")
    if source is None or source.get("resid") != runtime.get("resid"):
        yield "the guard starts elsewhere than its runtime"
    for event in point.iter(f"{V1_1}LaunchEvent"):
        if f'associate("{event.get("FunctionName")}"' not in handlers:
            yield f"nothing answers to {event.get('FunctionName')}"
        if event.get("SendMode") != "SoftBlock":
            yield "a guard that is not there would stop all mail, or none"
