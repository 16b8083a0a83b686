"""The command `zegelpost`: serve, work, migrate, demo, sync, doctor, sweep, rotate-keys, verify-audit, verify-report."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import structlog
import typer
import uvicorn

from zegelpost.logs import set_up_logs
from zegelpost.migrations import SchemaOutdated, migrate_database, require_current_schema
from zegelpost.model.clock import system_clock
from zegelpost.ports import KeyRingError
from zegelpost.services.recognising_restore import RestoreFound, ancestors
from zegelpost.settings import Settings, SettingsError
from zegelpost.web.rendering import AssetsMissing

if TYPE_CHECKING:
    from zegelpost.main import Services

_LOG: Final = structlog.get_logger()
app = typer.Typer(
    help="Zegelpost: secure document exchange.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


def main() -> None:
    """Run a command. What an operator can mend is one line that names it, not a traceback."""
    set_up_logs()
    try:
        app()
    except (SettingsError, SchemaOutdated, AssetsMissing, KeyRingError, RestoreFound) as error:
        typer.echo(f"zegelpost: {error}", err=True)
        sys.exit(2)


@app.command()
def serve(host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve the portal, the API and the add-in, and deliver what is in the outbox."""
    settings = Settings.from_environment()
    if settings.database_url.startswith("sqlite"):
        _migrate(settings)
    _serve(settings, host, port)


@app.command()
def work() -> None:
    """Deliver, expire and sweep, without serving. Any number of these may run."""
    from zegelpost.main import build_services, build_worker  # noqa: PLC0415 - `migrate` needs none of this

    async def run() -> None:
        services = build_services(Settings.from_environment())
        await _require(services)
        stop = asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await build_worker(services).run(stop)
        await services.database.close()

    asyncio.run(run())


@app.command()
def migrate() -> None:
    """Bring the database to the version of this program."""
    _migrate(Settings.from_environment())


@app.command()
def demo(port: int = typer.Option(8000, envvar="PORT"), data_dir: Path = Path(".demo")) -> None:
    """Serve a demonstration on this computer, with people to try it as. Nothing leaves."""
    from zegelpost.demo import DEMO_PASSWORD, seed_people  # noqa: PLC0415 - only here

    settings = Settings.from_environment(
        {"ZEGELPOST_DEMO": "1", "ZEGELPOST_BASE_URL": f"http://127.0.0.1:{port}", "ZEGELPOST_DATA_DIR": str(data_dir)}
        | {name: value for name, value in os.environ.items() if name.startswith("ZEGELPOST_")}
    )
    _migrate(settings)
    asyncio.run(seed_people(settings))
    typer.echo(
        f"\nZegelpost demonstration: {settings.base_url}\n"
        f"  sign in as anna@zegelpost.example, password {DEMO_PASSWORD}\n"
        f"  mail and text messages: {settings.base_url}/demo/outbox\n",
    )
    _serve(settings, "127.0.0.1", port)


@app.command()
def sweep() -> None:
    """Expire, erase and remove everything that is due, once."""
    from zegelpost.main import build_services, build_worker  # noqa: PLC0415 - `migrate` needs none of this

    async def run() -> None:
        services = build_services(Settings.from_environment())
        await _require(services)
        await build_worker(services).sweep()
        await services.database.close()

    asyncio.run(run())


@app.command("rotate-keys")
def rotate_keys() -> None:
    """Make new keys, and all that stands under those of before anew. After it was interrupted, run it again: it goes on.

    Ends with 1 when something opens under no key.
    """
    from zegelpost.main import build_services  # noqa: PLC0415 - `migrate` needs none of this

    async def run() -> bool:
        services = build_services(Settings.from_environment())
        await require_current_schema(services.database)
        try:
            rotated = await services.rotating_keys.run()
        finally:
            await services.database.close()
        for purpose in ("people", "factors", "index", "senders"):
            typer.echo(f"{purpose}: {rotated.made_anew[purpose]} made anew")
        for purpose, count in sorted(rotated.unreadable.items()):
            if count:
                typer.echo(f"wrong: {count} values of {purpose} open under no key - see operating.md; the earlier key is kept")
        typer.echo(
            "The earlier keys are destroyed by the sweep, an hour from now at the earliest, as soon as nothing needs them."
        )
        typer.echo(
            "Back up the key ring now, and database and documents after it: older backups need the key ring of their time."
        )
        return not rotated.unreadable.total()

    sys.exit(0 if asyncio.run(run()) else 1)


@app.command("accept-restore")
def accept_restore() -> None:
    """Go on with a database or a key ring that was restored and is older than the other. What came after it is lost."""
    from zegelpost.main import build_services  # noqa: PLC0415 - `migrate` needs none of this

    async def run() -> None:
        services = build_services(Settings.from_environment())
        await require_current_schema(services.database)
        origin = await services.recognising_restore.accept()
        await services.recognising_restore.require()
        await services.database.close()
        two_names = "; keep the mails with checkpoints of before, and say why there are two names" if ancestors(origin) else ""
        typer.echo(f"fine: the record goes on as {origin}{two_names}")

    asyncio.run(run())


@app.command()
def sync() -> None:
    """Read every address book now, and say how it went. Ends with 1 when one of them could not be read."""
    from zegelpost.main import build_services  # noqa: PLC0415 - `migrate` needs none of this

    async def run() -> bool:
        services = build_services(Settings.from_environment())
        await require_current_schema(services.database)
        await services.syncing.ask_now(is_everything=True)
        is_well = True
        while read := await services.syncing.read_due():
            for feed in read:
                whose = "book of " + feed.owner_id if feed.owner_id else feed.place
                changed = feed.changed
                counts = f"{changed.added_count} added, {changed.changed_count} changed, {changed.removed_count} removed"
                typer.echo(f"{whose}: {feed.trouble.value.replace('_', ' ') if feed.trouble else 'read'}; {counts}")
                is_well = is_well and feed.trouble is None
        await services.database.close()
        return is_well

    sys.exit(0 if asyncio.run(run()) else 1)


@app.command()
def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Look at every setting and every outside service. Ends with 0 when nothing is wrong, else with 1."""
    from dns.asyncresolver import Resolver  # noqa: PLC0415 - only here
    from dns.resolver import NoResolverConfiguration  # noqa: PLC0415

    from zegelpost.doctor import examining  # noqa: PLC0415 - imports every adapter
    from zegelpost.doctor.findings import Examination, wrong  # noqa: PLC0415

    examination: Examination | None = None
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        # Nothing can be looked at before this; it is a line like the others, for whoever reads them.
        lines = [examining.Line("settings", wrong(str(error), "see configuration.md"))]
    else:
        try:
            resolver = Resolver()
        except NoResolverConfiguration:
            resolver = Resolver(configure=False)
        examination = Examination(settings=settings, environment=os.environ, clock=system_clock, resolver=resolver)
        lines = asyncio.run(examining.examine(examination))
    typer.echo((examining.as_json if as_json else examining.as_text)(lines, examination))
    sys.exit(0 if examining.is_well(lines) else 1)


@app.command("verify-audit")
def verify_audit(
    export: Annotated[Path | None, typer.Argument(help="An export of the audit; without one, the database.")] = None,
    checkpoint: Annotated[list[Path] | None, typer.Option(help="A mail with a checkpoint that was kept, or its text.")] = None,
    earlier: Annotated[list[Path] | None, typer.Option(help="An export from before, to compare an export with.")] = None,
    key: Annotated[str | None, typer.Option(help="The verifier key to check an export with.")] = None,
) -> None:
    """Hold every event against the tree that was signed. Ends with 0 when all holds, else with 1 and the first bad entry."""
    from zegelpost.verifier import zegelpost_verify  # noqa: PLC0415 - only here

    if export is not None:
        options = [f"--checkpoint={path}" for path in checkpoint or ()] + [f"--earlier={path}" for path in earlier or ()]
        sys.exit(zegelpost_verify.main([str(export), *options, *([f"--key={key}"] if key else [])]))
    notes = []
    for path in checkpoint or ():
        found = zegelpost_verify.find_notes(path.read_bytes())
        if not found:
            raise typer.BadParameter(f"{path} holds no checkpoint")
        notes += found
    sys.exit(asyncio.run(_verify_database(notes)))


@app.command("verify-report")
def verify_report(
    report: Annotated[Path, typer.Argument(help="A report of a transfer, as PDF or as JSON.")],
    key: Annotated[str | None, typer.Option(help="The verifier key, from a mail with a checkpoint.")] = None,
    checkpoint: Annotated[list[Path] | None, typer.Option(help="A mail with a checkpoint that was kept, or its text.")] = None,
) -> None:
    """Say what a report proves and what it does not, without a network. Ends with 0 when all of it holds, else with 1."""
    from zegelpost.verifier import zegelpost_verify  # noqa: PLC0415 - only here

    options = [f"--checkpoint={path}" for path in checkpoint or ()] + ([f"--key={key}"] if key else [])
    code = zegelpost_verify.main([str(report), *options])
    if code == 0 and (content := report.read_bytes()).startswith(b"%PDF-"):
        code = asyncio.run(_verify_seal(content))
    sys.exit(code)


async def _verify_seal(pdf: bytes) -> int:
    from zegelpost.adapters.seal_pyhanko import read_seal  # noqa: PLC0415 - imports pyHanko
    from zegelpost.ports import SealError  # noqa: PLC0415

    try:
        found = await read_seal(pdf)
    except SealError as error:
        typer.echo(f"wrong: {error.reason}")
        return 1
    if found is None:
        typer.echo("wrong: the PDF has no seal")
        return 1
    typer.echo(f"PROVEN: all of the PDF is as it was sealed by the holder of certificate {found.fingerprint} ({found.name}).")
    why = "it signs itself, so anyone can make one in that name" if found.is_self_signed else "its issuer was not asked"
    typer.echo(f"NOT proven: whose certificate that is: {why}. Compare its fingerprint with what the organisation publishes.")
    return 0


async def _verify_database(notes: list[str]) -> int:
    from zegelpost.main import build_services  # noqa: PLC0415 - `migrate` needs none of this
    from zegelpost.services.verifying_audit import AuditBroken  # noqa: PLC0415

    services = build_services(Settings.from_environment())
    await require_current_schema(services.database)
    try:
        found = await services.verifying_audit.verify(notes)
    except AuditBroken as broken:
        typer.echo(f"wrong: {broken}")
        return 1
    finally:
        await services.database.close()
    typer.echo(
        f"fine: {found.size} events, in the tree that {found.checkpoint_count} checkpoint(s) tell of;"
        f" of {found.erased_count} the personal part was erased after five years ({found.requested_count} earlier,"
        f" on request), {found.waiting_count} have no place yet\n"
        f"root: {found.root.hex()}\nkey: {found.key}"
    )
    if found.lost_count:
        typer.echo(f"lost: {found.lost_count} checkpoint(s) tell of events that were lost when an older database was restored")
    if not notes:
        typer.echo(
            "not proven: that this is the history that was signed earlier - give checkpoints that were mailed (--checkpoint)"
        )
    return 0


async def _require(services: Services) -> None:
    """Raise unless the database is of this program's version, and of the time and the installation of the key ring."""
    await require_current_schema(services.database)
    await services.recognising_restore.require()


def _migrate(settings: Settings) -> None:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrate_database(settings.database_url)


def _serve(settings: Settings, host: str, port: int) -> None:
    from zegelpost.main import build_app, build_services  # noqa: PLC0415 - `migrate` needs none of this
    from zegelpost.server import server_options  # noqa: PLC0415

    services = build_services(settings)

    async def check() -> None:
        await _require(services)
        await services.database.close()

    asyncio.run(check())
    _run: Callable[..., Any] = uvicorn.run
    _run(build_app(services), host=host, port=port, **server_options())
