"""Which values of the policy and the house style administrators choose on screen, and what they must be together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Final

from zegelpost.model.house_style import HouseStyle
from zegelpost.model.policy import GuardMode, Policy
from zegelpost.model.policy_values import (
    Accent,
    Count,
    Kind,
    Languages,
    Line,
    Methods,
    OneOf,
    Picture,
    Size,
    Text,
    Words,
    YesNo,
    country_prefix,
    extension,
    staff_domain,
)
from zegelpost.model.refusals import (
    DefaultExpiryTooLong,
    DocumentLargerThanTransfer,
    MethodNotConnected,
    Refusal,
    ScannerNotConnected,
    TransferLargerThanQuota,
)


class PolicyGroup(StrEnum):
    """What stands together on one page."""

    LIMITS = "limits"
    RECIPIENTS = "recipients"
    STAFF = "staff"
    ORGANISATION = "organisation"
    TEXTS = "texts"


@dataclass(frozen=True, slots=True)
class PolicyField:
    """Named as the attribute that it is a value of."""

    name: str
    group: PolicyGroup
    kind: Kind


FIELDS: Final = (
    PolicyField("largest_document_bytes", PolicyGroup.LIMITS, Size()),
    PolicyField("largest_transfer_bytes", PolicyGroup.LIMITS, Size()),
    PolicyField("quota_bytes", PolicyGroup.LIMITS, Size()),
    PolicyField("most_documents", PolicyGroup.LIMITS, Count(1, 1000)),
    PolicyField("most_recipients", PolicyGroup.LIMITS, Count(1, 200)),
    PolicyField("default_expiry_days", PolicyGroup.LIMITS, Count(1, 3650)),
    PolicyField("longest_expiry_days", PolicyGroup.LIMITS, Count(1, 3650)),
    PolicyField("extensions", PolicyGroup.LIMITS, Words(extension)),
    PolicyField("is_scanning", PolicyGroup.LIMITS, YesNo()),
    PolicyField("methods", PolicyGroup.RECIPIENTS, Methods()),
    PolicyField("country_prefixes", PolicyGroup.RECIPIENTS, Words(country_prefix)),
    PolicyField("remembers_devices", PolicyGroup.RECIPIENTS, YesNo()),
    PolicyField("has_sender_copy", PolicyGroup.RECIPIENTS, YesNo()),
    PolicyField("has_intake", PolicyGroup.RECIPIENTS, YesNo()),
    PolicyField("staff_domains", PolicyGroup.STAFF, Words(staff_domain)),
    PolicyField("guard_mode", PolicyGroup.STAFF, OneOf([mode.value for mode in GuardMode], GuardMode)),
    PolicyField("requires_second_factor", PolicyGroup.STAFF, YesNo()),
    PolicyField("name", PolicyGroup.ORGANISATION, Line(60)),
    PolicyField("help_phone", PolicyGroup.ORGANISATION, Line(40, is_required=False)),
    PolicyField("languages", PolicyGroup.ORGANISATION, Languages()),
    PolicyField("accent", PolicyGroup.ORGANISATION, Accent()),
    PolicyField("logo", PolicyGroup.ORGANISATION, Picture()),
    PolicyField("help_text_nl", PolicyGroup.TEXTS, Text()),
    PolicyField("help_text_en", PolicyGroup.TEXTS, Text()),
    PolicyField("intake_text_nl", PolicyGroup.TEXTS, Text()),
    PolicyField("intake_text_en", PolicyGroup.TEXTS, Text()),
)
BY_NAME: Final = {each.name: each for each in FIELDS}
_OF_HOUSE_STYLE: Final = frozenset(each.name for each in fields(HouseStyle))


def restored(name: str, kept: str) -> Any:
    """What was kept of a field. Raises `ValueError` where the field is no more, or takes such a value no more."""
    try:
        return BY_NAME[name].kind.restore(kept)
    except (KeyError, Refusal, TypeError, AttributeError):
        raise ValueError(name) from None


def restored_or_kept(name: str, kept: str) -> Any:
    """The same, of what events of long ago hold: as it was kept where nobody knows any more what it was."""
    try:
        return restored(name, kept)
    except ValueError:
        return kept


@dataclass(frozen=True, slots=True)
class Standing:
    """All that administrators can choose, as it stands at one moment."""

    policy: Policy
    house_style: HouseStyle

    def value(self, name: str) -> Any:
        return getattr(self.house_style if name in _OF_HOUSE_STYLE else self.policy, name)

    def changed(self, values: Mapping[str, Any]) -> Standing:
        of_style = {name: value for name, value in values.items() if name in _OF_HOUSE_STYLE}
        of_policy = {name: value for name, value in values.items() if name not in _OF_HOUSE_STYLE}
        return Standing(replace(self.policy, **of_policy), replace(self.house_style, **of_style))

    def refused(self, by_settings: Standing) -> dict[str, Refusal]:
        """What does not go together, by the field at which to say so. `by_settings` knows what is connected here."""
        policy, found = self.policy, dict[str, Refusal]()
        if policy.default_expiry_days > policy.longest_expiry_days:
            found["default_expiry_days"] = DefaultExpiryTooLong(limit=policy.longest_expiry_days)
        if policy.largest_document_bytes > policy.largest_transfer_bytes:
            found["largest_document_bytes"] = DocumentLargerThanTransfer()
        if policy.largest_transfer_bytes > policy.quota_bytes:
            found["largest_transfer_bytes"] = TransferLargerThanQuota()
        if not set(policy.methods) <= set(by_settings.policy.methods):
            found["methods"] = MethodNotConnected()
        if policy.is_scanning and not by_settings.policy.is_scanning:
            found["is_scanning"] = ScannerNotConnected()
        return found
