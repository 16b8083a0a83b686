"""What pages of the handbook may fill in: this installation's names, and the numbers that the code goes by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from zegelpost.model.account_link import PASSWORD_LINK_HOURS, REGISTRATION_HOURS
from zegelpost.model.document import UPLOAD_LIFETIME
from zegelpost.model.intake import INTRODUCTION_LIFETIME
from zegelpost.model.password import SHORTEST_PASSWORD
from zegelpost.model.policy import Policy
from zegelpost.model.recipient import (
    CODE_COOL_DOWNS,
    CODE_LIFETIME,
    CODES_PER_HOUR,
    GRANT_IDLE,
    GRANT_LONGEST,
    SENDING_GRANT_IDLE,
    TRIES_PER_CODE,
    WRONG_CODES_PER_LINK,
    VerificationMethod,
)
from zegelpost.model.remembered_device import REMEMBERED_FOR
from zegelpost.model.staff_user import SIGN_IN_IDLE, SIGN_IN_LONGEST
from zegelpost.model.transfer import DRAFT_LIFETIME, GRACE
from zegelpost.web.rendering import Formats
from zegelpost.web.translation import Language

_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_WEEK: Final = timedelta(days=7)


def facts_of_policy(policy: Policy, language: Language) -> Mapping[str, object]:
    """Limits and terms. Every name says its unit."""
    formats = Formats(language)
    return {
        "is_scanning": policy.is_scanning,
        "has_sender_copy": policy.has_sender_copy,
        "has_spoken_codes": VerificationMethod.SPOKEN in policy.methods,
        "requires_second_factor": policy.requires_second_factor,
        "expiry_days": policy.default_expiry_days,
        "longest_expiry_days": policy.longest_expiry_days,
        "largest_document": formats.filesize(policy.largest_document_bytes),
        "largest_transfer": formats.filesize(policy.largest_transfer_bytes),
        "most_documents": policy.most_documents,
        "most_recipients": policy.most_recipients,
        "extensions": ", ".join(policy.extensions),
        "draft_days": DRAFT_LIFETIME.days,
        "introduction_hours": int(INTRODUCTION_LIFETIME.total_seconds() // 3600),
        "grace_days": GRACE.days,
        # The week in which it expired has to be over too, and a day is kept in hand: see `services/erasing.py`.
        "destroyed_within_days": (GRACE + 2 * _WEEK).days + 1,
        "upload_days": UPLOAD_LIFETIME.days,
        "code_minutes": CODE_LIFETIME // _MINUTE,
        "device_days": REMEMBERED_FOR.days,
        "code_pause_seconds": int(CODE_COOL_DOWNS[0].total_seconds()),
        "codes_per_hour": CODES_PER_HOUR,
        "tries_per_code": TRIES_PER_CODE,
        "wrong_codes": WRONG_CODES_PER_LINK,
        "reading_idle_minutes": GRANT_IDLE // _MINUTE,
        "reading_longest_minutes": GRANT_LONGEST // _MINUTE,
        "sending_idle_hours": SENDING_GRANT_IDLE // _HOUR,
        "sign_in_idle_hours": SIGN_IN_IDLE // _HOUR,
        "sign_in_longest_hours": SIGN_IN_LONGEST // _HOUR,
        "shortest_password": SHORTEST_PASSWORD,
        "confirm_hours": REGISTRATION_HOURS,
        "password_link_hours": PASSWORD_LINK_HOURS,
    }
