"""The key ring: made once however many ask, gone for good once destroyed, read by nobody else."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from zegelpost.adapters import keys_directory
from zegelpost.adapters.keys_directory import DirectoryKeyRing
from zegelpost.ports import KeyDestroyedError, KeyRing, KeyRingError

WEEK, NEXT_WEEK = "2026-W52", "2026-W53"
DAY = date(2026, 11, 23)
YESTERDAY, TOMORROW = DAY - timedelta(days=1), DAY + timedelta(days=1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def ring(root: Path) -> KeyRing:
    return DirectoryKeyRing(root)


def test_keys_are_made_on_first_use_and_stay(ring: KeyRing, root: Path) -> None:
    made = ring.week(WEEK)

    assert made.week == WEEK
    assert DirectoryKeyRing(root).week(WEEK) == made
    assert DirectoryKeyRing(root).installation("people") == ring.installation("people")
    assert DirectoryKeyRing(root).outbox_day(DAY) == ring.outbox_day(DAY)


def test_no_two_keys_are_the_same(ring: KeyRing) -> None:
    weeks = [ring.week(WEEK), ring.week(NEXT_WEEK)]
    keys = [key for week in weeks for key in (week.link_salt, week.sender_key)]
    keys += [ring.installation("people"), ring.installation("index"), ring.outbox_day(DAY), ring.outbox_day(TOMORROW)]

    assert {len(key) for key in keys} == {32}
    assert len(set(keys)) == len(keys)


def test_weeks_lists_those_with_keys(ring: KeyRing) -> None:
    assert ring.weeks() == []

    ring.week(NEXT_WEEK)
    ring.week(WEEK)
    assert ring.weeks() == [WEEK, NEXT_WEEK]

    ring.destroy_week(WEEK)
    assert ring.weeks() == [NEXT_WEEK]


def test_processes_that_race_get_the_same_keys(root: Path) -> None:
    program = f"""
import sys
from datetime import date
from pathlib import Path
from zegelpost.adapters.keys_directory import DirectoryKeyRing
ring = DirectoryKeyRing(Path({str(root)!r}))
print("ready", flush=True)
sys.stdin.readline()
for number in range(1, 53):
    keys = ring.week(f"2027-W{{number:02}}")
    print(keys.link_salt.hex(), keys.sender_key.hex())
print(ring.installation("people").hex(), ring.outbox_day(date(2026, 11, 23)).hex())
"""
    racers = [
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    one, other = (racer.communicate(timeout=60)[0] for racer in racers)

    assert [racer.returncode for racer in racers] == [0, 0]
    assert len(one.split()) == 106
    assert one == other
    assert not [path for path in root.rglob(".*") if path.is_file()], "half-made keys stayed behind"


def test_a_destroyed_week_never_comes_back(ring: KeyRing, root: Path) -> None:
    made = ring.week(WEEK)

    ring.destroy_week(WEEK)
    ring.destroy_week(WEEK)

    for asked in (ring, DirectoryKeyRing(root)):
        with pytest.raises(KeyDestroyedError) as caught:
            asked.week(WEEK)
        assert caught.value.is_permanent
    content = b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())
    assert made.link_salt not in content
    assert made.sender_key not in content


def test_a_week_can_be_destroyed_before_it_had_keys(ring: KeyRing) -> None:
    ring.destroy_week(WEEK)

    with pytest.raises(KeyDestroyedError):
        ring.week(WEEK)


def test_destroying_one_week_leaves_the_others(ring: KeyRing) -> None:
    kept = ring.week(NEXT_WEEK)

    ring.destroy_week(WEEK)

    assert ring.week(NEXT_WEEK) == kept


def test_destruction_overwrites_what_other_names_still_point_to(ring: KeyRing, root: Path, tmp_path: Path) -> None:
    key = ring.week(WEEK).link_salt
    os.link(root / "weeks" / f"{WEEK}.link", tmp_path / "forgotten")

    ring.destroy_week(WEEK)

    assert (tmp_path / "forgotten").read_bytes() != key


def test_destruction_finds_what_a_dead_process_left(ring: KeyRing, root: Path) -> None:
    ring.week(WEEK)
    os.link(root / "weeks" / f"{WEEK}.link", root / "weeks" / f".{WEEK}.link.0123456789abcdef")

    ring.destroy_week(WEEK)

    assert [path.name for path in (root / "weeks").iterdir()] == [f"{WEEK}.destroyed"]


def test_a_key_destroyed_while_others_ask_for_it_is_gone(root: Path) -> None:
    """Whoever asks gets the key of before, or the refusal; never one made afterwards."""
    ring = DirectoryKeyRing(root)
    weeks = [f"2028-W{number:02}" for number in range(1, 53)]
    started = threading.Barrier(3)
    found: list[str] = []

    def ask(week: str) -> None:
        started.wait()
        for _ in range(20):
            try:
                ring.week(week)
            except KeyDestroyedError:
                continue
            except BaseException as error:  # noqa: BLE001 - a thread has nowhere to raise it
                found.append(repr(error))

    for week in weeks:
        threads = [threading.Thread(target=ask, args=[week]) for _ in range(2)]
        for thread in threads:
            thread.start()
        started.wait()
        ring.destroy_week(week)
        for thread in threads:
            thread.join()

    assert found == []
    assert ring.weeks() == []
    assert {path.suffix for path in (root / "weeks").iterdir()} == {".destroyed"}


def test_the_outbox_forgets_days_but_keeps_today(ring: KeyRing, root: Path) -> None:
    ring.outbox_day(YESTERDAY)
    today, tomorrow = ring.outbox_day(DAY), ring.outbox_day(TOMORROW)

    ring.destroy_outbox_days_before(DAY)
    ring.destroy_outbox_days_before(DAY)

    with pytest.raises(KeyDestroyedError):
        ring.outbox_day(YESTERDAY)
    with pytest.raises(KeyDestroyedError):
        DirectoryKeyRing(root).outbox_day(YESTERDAY - timedelta(days=300))
    assert ring.outbox_day(DAY) == today
    assert ring.outbox_day(TOMORROW) == tomorrow


def test_forgetting_with_an_earlier_day_brings_nothing_back(ring: KeyRing) -> None:
    ring.outbox_day(DAY)
    ring.destroy_outbox_days_before(TOMORROW)

    ring.destroy_outbox_days_before(YESTERDAY)

    with pytest.raises(KeyDestroyedError):
        ring.outbox_day(DAY)


AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LATER = AT + timedelta(hours=1)


def test_a_rotation_makes_new_keys_once_and_keeps_those_of_before(ring: KeyRing, root: Path) -> None:
    before = {purpose: ring.installation(purpose) for purpose in ("people", "index", "codes", "factors")}
    checkpoint, week = ring.installation("checkpoint"), ring.week(WEEK)

    rotation = ring.begin_rotation(AT)
    assert ring.begin_rotation(LATER) == rotation
    assert ring.renew(rotation, AT) == 5
    assert ring.renew(rotation, LATER) == 0

    for asked in (ring, DirectoryKeyRing(root)):
        for purpose, key in before.items():
            new, *earlier = asked.installation_keys(purpose)
            assert asked.installation(purpose) == new != key
            assert earlier == [key]
        assert asked.installation("checkpoint") == checkpoint
        assert asked.installation_keys("checkpoint") == (checkpoint,)
        assert asked.week(WEEK).link_salt == week.link_salt
        assert asked.week(WEEK).earlier_sender_keys == (week.sender_key,)
        assert asked.week(WEEK).sender_key != week.sender_key
        assert asked.weeks() == [WEEK]
        assert asked.installation("feeds") == before["index"]


def test_what_feeds_are_recognised_by_stays_the_key_of_before_the_first_rotation(ring: KeyRing) -> None:
    first = ring.installation("feeds")
    assert first == ring.installation("index")

    for at in (AT, LATER):
        ring.renew(ring.begin_rotation(at), at)
        ring.end_rotation()

    assert ring.installation("feeds") == first
    assert len(ring.installation_keys("index")) == 3


def test_a_rotation_that_died_anywhere_leaves_every_key_and_goes_on(ring: KeyRing, root: Path) -> None:
    """After each write: the copy of before, a half-made new key, the new key."""
    key = ring.installation("people")
    rotation = ring.begin_rotation(AT)
    path = root / "installation" / "people"
    copy = path.with_name(f"people.until-{rotation}")
    copy.write_bytes(key)
    copy.chmod(0o400)
    (root / "installation" / ".people.0123456789abcdef").write_bytes(b"half")

    assert ring.installation_keys("people") == (key, key)
    ring.renew(rotation, AT)

    new, earlier = ring.installation_keys("people")
    assert (earlier, new != key) == (key, True)
    assert not list((root / "installation").glob(".people.*"))


def test_keys_of_before_are_told_after_the_rotation_ended_and_destroyed_one_by_one(ring: KeyRing, root: Path) -> None:
    key = ring.installation("people")
    ring.week(WEEK)
    rotation = ring.begin_rotation(AT)
    ring.renew(rotation, AT)
    assert ring.earlier_keys() == []

    ring.end_rotation()

    told = ring.earlier_keys()
    assert [each.name for each in told] == [f"{WEEK}.sender", "codes", "factors", "index", "people"]
    assert {each.replaced_at for each in told} == {AT}
    os.link(root / "installation" / f"people.until-{rotation}", root / "forgotten")
    ring.destroy_earlier(told[-1])
    ring.destroy_earlier(told[-1])
    assert len(ring.installation_keys("people")) == 1
    assert (root / "forgotten").read_bytes() != key
    ring.destroy_earlier(told[0])
    assert ring.week(WEEK).earlier_sender_keys == ()


def test_a_destroyed_week_takes_its_earlier_sender_keys_with_it(ring: KeyRing, root: Path) -> None:
    key = ring.week(WEEK).sender_key
    ring.renew(ring.begin_rotation(AT), AT)

    ring.destroy_week(WEEK)

    assert [path.name for path in (root / "weeks").iterdir()] == [f"{WEEK}.destroyed"]
    assert key not in b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize("count", range(4))
def test_a_destruction_that_died_anywhere_is_told_and_finished(
    ring: KeyRing, root: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ring.week(WEEK)
    ring.renew(ring.begin_rotation(AT), AT)
    secrets_ = [keys.link_salt, keys.sender_key, ring.week(WEEK).sender_key]
    left = count
    unlink = Path.unlink

    def dying(path: Path, missing_ok: bool = False) -> None:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        unlink(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", dying)
        with contextlib.suppress(KeyboardInterrupt):
            ring.destroy_week(WEEK)
    with pytest.raises(KeyDestroyedError):
        DirectoryKeyRing(root).week(WEEK)

    for week in ring.weeks():
        ring.destroy_week(week)

    assert [path.name for path in (root / "weeks").iterdir()] == [f"{WEEK}.destroyed"]
    content = b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())
    assert not [key for key in secrets_ if key in content]


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_week_that_is_destroyed_while_it_is_rotated_is_gone(
    ring: KeyRing, root: Path, is_killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rotation has read the key, and puts its copy down when destroying has looked for copies."""
    key = ring.week(WEEK).sender_key
    ring.week(NEXT_WEEK)
    rotation = ring.begin_rotation(AT)
    put = keys_directory._put

    def late(path: Path, content: bytes) -> None:
        if path.name.startswith(f"{WEEK}.sender"):
            DirectoryKeyRing(root).destroy_week(WEEK)
            put(path, content)
            if is_killed:
                raise KeyboardInterrupt
        else:
            put(path, content)

    with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
        patched.setattr(keys_directory, "_put", late)
        ring.renew(rotation, AT)
    ring.renew(rotation, AT)
    ring.end_rotation()

    assert len(ring.week(NEXT_WEEK).earlier_sender_keys) == 1
    assert key not in b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())
    with pytest.raises(KeyDestroyedError):
        ring.week(WEEK)


def test_a_week_whose_maker_died_halfway_keeps_nobody_from_rotating(ring: KeyRing, root: Path) -> None:
    ring.week(WEEK)
    (root / "weeks" / f"{WEEK}.sender").unlink()

    rotation = ring.begin_rotation(AT)
    ring.renew(rotation, AT)
    ring.end_rotation()

    assert ring.week(WEEK).earlier_sender_keys == ()


def test_one_process_rotates_at_a_time(ring: KeyRing, root: Path) -> None:
    with ring.rotating(), pytest.raises(KeyRingError, match="another process"), DirectoryKeyRing(root).rotating():
        pass
    with ring.rotating():
        pass


def test_nobody_else_can_read_keys(root: Path) -> None:
    previous = os.umask(0o000)
    try:
        ring = DirectoryKeyRing(root)
        ring.week(WEEK)
        ring.installation("people")
        ring.outbox_day(DAY)
        ring.destroy_week(NEXT_WEEK)
    finally:
        os.umask(previous)

    assert {stat.S_IMODE(path.stat().st_mode) for path in (root, *root.rglob("*")) if path.is_dir()} == {0o700}
    keys = [path for path in root.rglob("*") if path.is_file() and path.suffix != ".destroyed"]
    assert len(keys) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o400}


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o420, 0o444])
def test_a_key_that_others_can_read_is_refused(ring: KeyRing, root: Path, mode: int) -> None:
    ring.week(WEEK)
    (root / "weeks" / f"{WEEK}.sender").chmod(mode)

    with pytest.raises(KeyRingError, match="can be read by others") as caught:
        ring.week(WEEK)
    assert caught.value.is_permanent


@pytest.mark.parametrize("folder", [".", "weeks", "installation", "outbox"])
def test_a_folder_that_others_can_read_is_refused(ring: KeyRing, root: Path, folder: str) -> None:
    (root / folder).chmod(0o750)

    with pytest.raises(KeyRingError, match="0700"):
        DirectoryKeyRing(root)


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_damaged_key_is_refused_and_not_replaced(ring: KeyRing, root: Path, content: bytes) -> None:
    path = root / "installation" / "people"
    path.write_bytes(content)
    path.chmod(0o400)

    with pytest.raises(KeyRingError, match="damaged"):
        ring.installation("people")
    assert path.read_bytes() == content


def test_a_folder_that_vanished_is_an_outage_and_no_destruction(ring: KeyRing, root: Path) -> None:
    (root / "weeks").rmdir()

    with pytest.raises(KeyRingError) as caught:
        ring.week(WEEK)
    assert not isinstance(caught.value, KeyDestroyedError)


@pytest.mark.parametrize(
    "ask",
    [
        lambda ring: ring.week("2026-52"),
        lambda ring: ring.week("../2026-W52"),
        lambda ring: ring.week("2026-W52\n"),
        lambda ring: ring.destroy_week("*"),
        lambda ring: ring.installation("../weeks/2026-W52.link"),
        lambda ring: ring.installation(""),
    ],
)
def test_names_cannot_lead_elsewhere(ring: KeyRing, ask: Callable[[KeyRing], object]) -> None:
    with pytest.raises(ValueError, match="not a"):
        ask(ring)


def test_keys_do_not_show_in_their_representation(ring: KeyRing) -> None:
    keys = ring.week(WEEK)

    assert keys.link_salt.hex() not in repr(keys)
    assert repr(keys.link_salt) not in repr(keys)
