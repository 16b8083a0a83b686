"""Drafts as programs describe them: whole, or as a change to what is there."""

from __future__ import annotations

from collections.abc import Sequence

from zegelpost.model.policy import Policy
from zegelpost.model.refusals import (
    ExpiryOutOfRange,
    FormRefused,
    NotFound,
    Refusal,
    TransferNotDraft,
)
from zegelpost.model.transfer import TransferState, TransferText
from zegelpost.services.addressing import Addressee, TypedRecipient, address
from zegelpost.services.overseeing import Progress, RecipientOverview, TransferOverview
from zegelpost.services.sending import DraftContent
from zegelpost.web.api_models import RecipientInput, TransferChange, TransferInput


def new_content(wanted: TransferInput, policy: Policy, language: str) -> DraftContent:
    """What a new draft says. Raises `FormRefused` with everything that is wrong, so that one round of corrections is enough."""
    return _content(
        policy,
        subject=wanted.subject,
        reference=wanted.reference,
        note=wanted.note,
        recipients=[_typed(recipient) for recipient in wanted.recipients],
        expires_in_days=policy.default_expiry_days if wanted.expires_in_days is None else wanted.expires_in_days,
        language=wanted.language or language,
        department_id=wanted.department_id,
    )


def changed_content(transfer: TransferOverview, change: TransferChange, policy: Policy) -> DraftContent:
    """The draft with the change in it. Raises `FormRefused`, `TransferNotDraft`, `NotFound` when this sign-in can't read it."""
    # Before the fields: that a sent transfer's old values no longer pass is nothing to tell anyone.
    if transfer.state != TransferState.DRAFT:
        raise TransferNotDraft
    if transfer.text is None:
        raise NotFound
    return _content(
        policy,
        subject=transfer.text.subject if change.subject is None else change.subject,
        reference=transfer.text.reference if change.reference is None else change.reference,
        note=transfer.text.note if change.note is None else change.note,
        recipients=[_retyped(recipient) for recipient in transfer.recipients]
        if change.recipients is None
        else [_typed(recipient) for recipient in change.recipients],
        expires_in_days=transfer.expires_in_days if change.expires_in_days is None else change.expires_in_days,
        language=change.language or transfer.language,
        department_id=transfer.department_id if change.department_id is None else change.department_id or None,
    )


def _content(
    policy: Policy,
    *,
    subject: str,
    reference: str,
    note: str,
    recipients: Sequence[TypedRecipient],
    expires_in_days: int,
    language: str,
    department_id: str | None,
) -> DraftContent:
    refused: dict[str, Refusal] = {}
    try:
        policy.require_expiry(expires_in_days)
    except ExpiryOutOfRange as refusal:
        refused["expires_in_days"] = refusal
    addressees: Sequence[Addressee] = ()
    try:
        addressees = address(recipients, policy)
    except FormRefused as form:
        refused |= form.fields
    text = TransferText("", "", "")
    try:
        text = TransferText.parse(subject=subject, reference=reference, note=note)
    except FormRefused as form:
        refused |= form.fields
    if refused:
        raise FormRefused(refused)
    return DraftContent(
        text=text,
        addressees=addressees,
        expires_in_days=expires_in_days,
        language=str(language),
        department_id=department_id,
    )


def _typed(recipient: RecipientInput) -> TypedRecipient:
    return TypedRecipient(
        recipient.name,
        recipient.email,
        recipient.mobile or "",
        recipient.method or "",
        recipient.access_code or "",
        recipient.hint or "",
        is_parked=recipient.is_parked,
    )


def _retyped(recipient: RecipientOverview) -> TypedRecipient:
    """A recipient as they stand, their access code included, which is only there as a hash."""
    person = recipient.person
    mobile = person.mobile.e164 if person.mobile else ""
    is_parked = recipient.progress == Progress.PARKED
    return TypedRecipient(
        person.name,
        str(person.email),
        mobile,
        recipient.method,
        hint=recipient.hint,
        has_access_code=True,
        is_parked=is_parked,
    )
