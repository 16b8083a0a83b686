"""How far the clock is believed: as far as time that nobody can set confirms it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from zegelpost.model.believed_time import BelievedTime

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
WEEKS = timedelta(weeks=7)


@dataclass
class Stage:
    now: datetime = START
    kept: BelievedTime = field(
        default_factory=lambda: BelievedTime(
            id=1, observed_seconds=0.0, anchored_at=None, anchored_seconds=0.0, doubted_at=None, doubted_seconds=0.0
        )
    )

    def pass_by(self, length: timedelta, *, ahead: timedelta = timedelta()) -> datetime:
        """So much time passes, and the clock is set ahead by so much; returns what is believed."""
        self.now += length + ahead
        self.kept.observed_seconds += length.total_seconds()
        return self.kept.observe(self.now)


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    assert stage.pass_by(timedelta()) == START
    return stage


def test_a_clock_that_goes_as_time_goes_is_believed(stage: Stage) -> None:
    for _ in range(50):
        assert stage.pass_by(timedelta(days=1)) == stage.now


def test_a_jump_is_believed_after_a_day_of_saying_so(stage: Stage) -> None:
    assert stage.pass_by(timedelta(minutes=5), ahead=WEEKS) == START + timedelta(minutes=5)
    assert stage.pass_by(timedelta(hours=23)) == START + timedelta(hours=23, minutes=5)
    assert stage.pass_by(timedelta(hours=1)) == stage.now


def test_a_jump_that_is_undone_changes_nothing(stage: Stage) -> None:
    stage.pass_by(timedelta(minutes=5), ahead=WEEKS)
    stage.pass_by(timedelta(hours=20))

    assert stage.pass_by(timedelta(minutes=5), ahead=-WEEKS) == stage.now
    assert stage.pass_by(timedelta(hours=10), ahead=WEEKS) < stage.now - WEEKS + timedelta(hours=1)


def test_a_second_jump_begins_the_day_anew(stage: Stage) -> None:
    stage.pass_by(timedelta(minutes=5), ahead=WEEKS)
    stage.pass_by(timedelta(hours=23), ahead=timedelta(days=1))

    assert stage.pass_by(timedelta(hours=23)) < START + timedelta(days=3)
    assert stage.pass_by(timedelta(hours=1)) == stage.now


def test_many_small_steps_are_one_jump(stage: Stage) -> None:
    for _ in range(60):
        believed = stage.pass_by(timedelta(minutes=5), ahead=timedelta(minutes=20))

    assert believed <= START + timedelta(hours=5 + 1, minutes=20)


def test_a_clock_that_is_set_back_is_followed_and_a_jump_from_there_is_a_jump(stage: Stage) -> None:
    assert stage.pass_by(timedelta(minutes=5), ahead=-WEEKS) == stage.now
    assert stage.pass_by(timedelta(minutes=5), ahead=WEEKS) == stage.now - WEEKS


@pytest.mark.parametrize("ahead", [timedelta(minutes=59), timedelta(minutes=-59)])
def test_corrections_and_restarts_pass(stage: Stage, ahead: timedelta) -> None:
    assert stage.pass_by(timedelta(minutes=5), ahead=ahead) == stage.now
