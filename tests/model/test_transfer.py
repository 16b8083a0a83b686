from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from zegelpost.model.refusals import (
    FormRefused,
    NoteTooLong,
    ReferenceTooLong,
    SubjectMissing,
    SubjectTooLong,
    TransferExpired,
    TransferNotDraft,
    TransferNotSent,
    TransferRevoked,
)
from zegelpost.model.transfer import Transfer, TransferState, TransferText, week_of

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("subject", "reference", "note", "refused"),
    [
        ("s", "", "", {}),
        ("s" * 200, "r" * 100, "n" * 20_000, {}),
        ("é" * 200, "", "", {}),
        ("", "", "", {"subject": SubjectMissing}),
        (" \t\n", "", "", {"subject": SubjectMissing}),
        ("s" * 201, "", "", {"subject": SubjectTooLong}),
        ("s", "r" * 101, "", {"reference": ReferenceTooLong}),
        ("s", "", "n" * 20_001, {"note": NoteTooLong}),
        ("", "r" * 101, "n" * 20_001, {"subject": SubjectMissing, "reference": ReferenceTooLong, "note": NoteTooLong}),
    ],
)
def test_text_has_limits_and_all_of_them_are_told_at_once(
    subject: str, reference: str, note: str, refused: dict[str, type[Exception]]
) -> None:
    found = {}
    try:
        TransferText.parse(subject=subject, reference=reference, note=note)
    except FormRefused as form:
        found = {name: type(refusal) for name, refusal in form.fields.items()}

    assert found == refused


def test_text_is_one_line_where_it_is_one_line_and_does_not_show_itself() -> None:
    text = TransferText.parse(subject="  Dossier\r\nVisser  ", reference=" Z-1\t2 ", note="\r\nBeste,\r\n\r\nRosa\r\n")

    assert (text.subject, text.reference, text.note) == ("Dossier Visser", "Z-1 2", "Beste,\n\nRosa")
    assert "Visser" not in repr(text)
    assert "Rosa" not in repr(text)


@pytest.mark.parametrize(
    ("moment", "week"),
    [
        (datetime(2026, 11, 23, tzinfo=UTC), "2026-W48"),
        (datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC), "2026-W47"),
        (datetime(2026, 12, 31, tzinfo=UTC), "2026-W53"),
        (datetime(2027, 1, 1, tzinfo=UTC), "2026-W53"),
        (datetime(2027, 1, 4, tzinfo=UTC), "2027-W01"),
        (datetime(2024, 12, 30, tzinfo=UTC), "2025-W01"),
    ],
)
def test_weeks_are_those_of_iso_8601(moment: datetime, week: str) -> None:
    assert week_of(moment) == week


def test_weeks_sort_as_time_does() -> None:
    weeks = [week_of(NOW + timedelta(days=7 * i)) for i in range(520)]

    assert weeks == sorted(weeks)
    assert len(set(weeks)) == 520


@pytest.mark.parametrize(
    ("state", "draft", "sent", "opened"),
    [
        (TransferState.DRAFT, None, TransferNotSent, TransferExpired),
        (TransferState.SENT, TransferNotDraft, None, None),
        (TransferState.EXPIRED, TransferNotDraft, None, TransferExpired),
        (TransferState.REVOKED, TransferNotDraft, TransferNotSent, TransferRevoked),
        (TransferState.ERASED, TransferNotDraft, TransferNotSent, TransferExpired),
    ],
)
def test_each_state_allows_what_it_allows(
    state: TransferState, draft: type[Exception] | None, sent: type[Exception] | None, opened: type[Exception] | None
) -> None:
    transfer = Transfer(state=state, expires_at=NOW + timedelta(days=1))
    for expected, require in (
        (draft, transfer.require_draft),
        (sent, transfer.require_sent),
        (opened, lambda: transfer.require_open(NOW)),
    ):
        if expected is None:
            require()
        else:
            with pytest.raises(expected):
                require()


@pytest.mark.parametrize(("seconds", "is_open"), [(-1, True), (0, False), (1, False)])
def test_time_closes_a_transfer_whether_or_not_a_worker_has_noticed(seconds: int, is_open: bool) -> None:
    transfer = Transfer(state=TransferState.SENT, expires_at=NOW)
    if is_open:
        transfer.require_open(NOW + timedelta(seconds=seconds))
        return
    with pytest.raises(TransferExpired):
        transfer.require_open(NOW + timedelta(seconds=seconds))
