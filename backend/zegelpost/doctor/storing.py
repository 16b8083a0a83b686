"""Folder, database, blobs and key ring. Nothing is made that `serve` would have to make, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from sqlalchemy import make_url, text
from sqlalchemy.exc import SQLAlchemyError

from zegelpost.adapters.blobs_object_store import blobs_from_url
from zegelpost.adapters.keys_directory import DirectoryKeyRing
from zegelpost.adapters.seal_pyhanko import PyHankoSeal
from zegelpost.database import Database
from zegelpost.doctor.findings import Examination, Finding, fine, note, wrong
from zegelpost.migrations import SchemaOutdated, schema_version
from zegelpost.model.believed_time import BELIEVED, HOLD, BelievedTime
from zegelpost.model.identifiers import BlobName, new_identifier
from zegelpost.ports import BlobError, BlobMissingError, Blobs, KeyRingError, OutageError, SealError
from zegelpost.services.keeping_keys import KeepingKeys
from zegelpost.services.recognising_restore import RecognisingRestore, RestoreFound
from zegelpost.services.sequencing import Sequencing

_PROBE_BYTES: Final = 4096
_SOON: Final = timedelta(days=30)
_LITTLE_SPACE: Final = 0.10
_NO_SPACE_BYTES: Final = 1_000_000_000


async def folder(examination: Examination) -> AsyncIterator[Finding]:
    """The data folder: there, ours, private, and with room."""
    path = examination.settings.data_dir
    missing = wrong(f"{path} is missing", "make it, with 0700 and for the user that runs Zegelpost")
    if (fault := _fault(path, missing)) is not None:
        yield fault
        return
    if path.stat().st_mode & 0o077:
        yield wrong(f"{path} can be entered by others", f"chmod 0700 {path}")
        return
    yield _space(path)


async def database(examination: Examination) -> AsyncIterator[Finding]:
    """Whether it answers and is of this program's version."""
    url = examination.settings.database_url
    if url.startswith("sqlite"):
        path = Path(make_url(url).database or "")
        missing = wrong(f"there is no database at {path}", "run `zegelpost migrate`, or correct ZEGELPOST_DATABASE_URL")
        if (fault := _fault(path, missing)) is not None:
            yield fault
            return
    reached = Database(url)
    try:
        version = await schema_version(reached)
        if not reached.is_sqlite:
            async with reached.engine.connect() as connection:
                told = await connection.scalar(text("SELECT clock_timestamp()"))
            if isinstance(told, datetime):
                examination.clocks.append(("the database", told.astimezone(UTC), examination.clock()))
        name = "SQLite" if reached.is_sqlite else "PostgreSQL"
        yield fine(f"{name}, schema {version}")
    except SchemaOutdated as error:
        yield wrong(str(error), "run `zegelpost migrate` with the version that runs")
    except (SQLAlchemyError, OSError) as error:
        yield wrong(
            f"the database does not answer: {_first_line(error)}", "correct ZEGELPOST_DATABASE_URL, or start the database"
        )
    finally:
        await reached.close()


async def blobs(examination: Examination) -> AsyncIterator[Finding]:
    """Write a blob, read it, remove it."""
    url = examination.settings.blobs_url
    remedy = "correct ZEGELPOST_BLOBS_URL, the rights on it, or the credentials in AWS_… or AZURE_…"
    if url.startswith("file:"):
        path = Path(unquote(urlsplit(url).path))
        if (fault := _fault(path, note(f"{path} is not there yet", "`zegelpost serve` makes it"))) is not None:
            yield fault
            return
        remedy = f"correct ZEGELPOST_BLOBS_URL, or the rights on {path}"
    try:
        await asyncio.to_thread(_try_blobs, blobs_from_url(url))
    except (OutageError, OSError) as error:
        yield wrong(_first_line(error), remedy)
        return
    yield fine(f"{urlsplit(url).scheme}: wrote, read and removed {_PROBE_BYTES} bytes")


def _try_blobs(store: Blobs) -> None:
    name = BlobName(new_identifier())
    content = secrets.token_bytes(_PROBE_BYTES)
    writer = store.create(name)
    try:
        writer.write(content)
        writer.commit()
    except BaseException:
        writer.abort()
        raise
    try:
        if store.read(name, 0, _PROBE_BYTES) != content:
            raise BlobError("what was read is not what was written")
    finally:
        store.delete(name)
    try:
        store.size(name)
    except BlobMissingError:
        return
    raise BlobError("what was removed is still there: old versions are kept, or the right to remove is missing")


async def keys(examination: Examination) -> AsyncIterator[Finding]:
    """Private, readable, and able to give the keys of every week that there are and of today."""
    path = examination.settings.keys_dir
    missing = wrong(f"{path} is missing", "correct ZEGELPOST_KEYS_DIR; a new installation makes it with `zegelpost serve`")
    if (fault := _fault(path, missing)) is not None:
        yield fault
        return
    now = examination.clock()
    try:
        ring = await asyncio.to_thread(DirectoryKeyRing, path)
        for purpose in ("people", "index", "codes", "factors", "checkpoint"):
            ring.installation(purpose)
        ring.outbox_day(max(now.date(), ring.first_outbox_day()))
        # One that is damaged shows itself only when someone opens an old transfer. None is made: a gap tells of a restore.
        for each in ring.weeks():
            # What a kill left of it goes with the next sweep; what a clock that ran ahead destroyed is done without.
            if not ring.is_destroyed(each):
                ring.week(each)
    except KeyRingError as error:
        yield wrong(error.reason, "restore it from the backup of the key ring, or correct its rights")
        return
    if path.is_relative_to(examination.settings.data_dir):
        yield note(
            f"{len(ring.weeks())} weeks, this one's readable; in the data folder",
            "keep it out of the backup of database and documents, or set ZEGELPOST_KEYS_DIR to another place",
        )
        return
    yield fine(f"{len(ring.weeks())} weeks, this one's readable")


async def restore(examination: Examination) -> AsyncIterator[Finding]:
    """Whether database and key ring are of one time and one installation, and how far the clock is believed."""
    settings = examination.settings
    if not (settings.keys_dir / "installation").is_dir():
        yield note("nothing to compare yet", "`zegelpost serve` makes the key ring")
        return
    database = Database(settings.database_url)
    try:
        await schema_version(database)
        ring = DirectoryKeyRing(settings.keys_dir)
        sequencing = Sequencing(database, ring, f"{settings.host}/audit")
        stand = await RecognisingRestore(database, ring, KeepingKeys(ring), sequencing, examination.clock).require()
        async with database.reading() as session:
            believed = await session.get_one(BelievedTime, BELIEVED)
    except RestoreFound as found:
        text, _, remedy = str(found).partition("; " if "; " in str(found) else ": ")
        yield wrong(text, remedy)
        return
    except (SchemaOutdated, SQLAlchemyError, OSError, KeyRingError):
        yield note("could not be looked at", "see the lines about database and keys")
        return
    finally:
        await database.close()
    if stand.lost_week_count:
        yield note(
            f"{stand.lost_week_count} transfers are of weeks whose keys were destroyed: an older database was restored",
            "nothing opens them; they are erased when their time comes",
        )
    if believed.doubted_at is not None:
        until = f"{believed.doubted_at + HOLD:%Y-%m-%d %H:%M} UTC"
        yield wrong(
            f"the clock jumped ahead and is not believed yet: until {until} nothing is erased by it",
            "correct the clock; if it is right, wait",
        )
    yield fine(f"the record has {stand.size} events, {stand.signed_size} are known to be signed")


async def seal(examination: Examination) -> AsyncIterator[Finding]:
    """What reports are signed with."""
    path = examination.settings.report_seal
    if path is None:
        yield note(
            "reports are signed with a certificate that we make: readers show that nothing changed, and do not know the signer",
            "set ZEGELPOST_REPORT_SEAL to the seal of a trust service provider, or publish the certificate's fingerprint",
        )
        return
    try:
        certificate = await asyncio.to_thread(PyHankoSeal(path).certificate)
    except SealError as error:
        yield wrong(error.reason, "correct ZEGELPOST_REPORT_SEAL or the file")
        return
    left = certificate.not_valid_after_utc - examination.clock()
    ends = f"{certificate.subject.rfc4514_string()}, valid until {certificate.not_valid_after_utc:%Y-%m-%d}"
    if left <= timedelta(0):
        yield wrong(ends, "renew the certificate")
    elif left < _SOON:
        yield note(ends, "renew the certificate")
    else:
        yield fine(ends)


def _fault(path: Path, missing: Finding) -> Finding | None:
    """Why nothing can be tried here. What root would make, the service could not open afterwards."""
    try:
        owner = path.stat().st_uid
    except FileNotFoundError:
        return missing
    except OSError as error:
        return wrong(f"{path}: {error.strerror}", "run this as the user that runs Zegelpost")
    if owner == os.geteuid():
        return None
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = str(owner)
    return wrong(f"{path} belongs to {name}", f"run this as {name}: `sudo -u {name} zegelpost doctor`")


def _space(path: Path) -> Finding:
    usage = shutil.disk_usage(path)
    free = f"{path}: {usage.free / 1e9:.1f} GB free"
    if usage.free < _NO_SPACE_BYTES:
        return wrong(free, "make room: without it uploads are refused and SQLite cannot write")
    return note(free, "make room") if usage.free < usage.total * _LITTLE_SPACE else fine(free)


def _first_line(error: Exception) -> str:
    """Drivers say more than fits a line. What they quote of an address has its secret masked where lines are printed."""
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0][:200]
