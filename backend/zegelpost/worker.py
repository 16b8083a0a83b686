"""The worker: delivers what is in the outbox, reads what comes back, expires, erases and sweeps.

Inside `serve`, or any number of `work` processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from zegelpost.services.changing_password import ChangingPassword
from zegelpost.services.checkpointing import Checkpointing
from zegelpost.services.clearing_uploads import ClearingUploads, Swept
from zegelpost.services.dispatching import Dispatching
from zegelpost.services.erasing import Erased, Erasing
from zegelpost.services.erasing_events import ErasingEvents
from zegelpost.services.handing_over_sign_in import HandingOverSignIn
from zegelpost.services.identifying import Identifying
from zegelpost.services.introducing import Introducing
from zegelpost.services.judging_held import JudgingHeld
from zegelpost.services.noticing import Noticing
from zegelpost.services.recognising_restore import RecognisingRestore
from zegelpost.services.remembering import Remembering
from zegelpost.services.rotating_keys import RotatingKeys
from zegelpost.services.sequencing import Sequencing
from zegelpost.services.signing_in import SigningIn
from zegelpost.services.summing import Summing
from zegelpost.services.syncing import Syncing
from zegelpost.services.taking_bounces import TakingBounces

_LOG: Final = structlog.get_logger()
_SWEEP_EVERY_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class Worker:
    dispatching: Dispatching
    noticing: Noticing
    judging_held: JudgingHeld
    erasing: Erasing
    clearing_uploads: ClearingUploads
    signing_in: SigningIn
    changing_password: ChangingPassword
    introducing: Introducing
    handing_over_sign_in: HandingOverSignIn
    syncing: Syncing
    remembering: Remembering
    taking_bounces: TakingBounces
    sequencing: Sequencing
    checkpointing: Checkpointing
    erasing_events: ErasingEvents
    rotating_keys: RotatingKeys
    recognising_restore: RecognisingRestore
    summing: Summing
    identifying: Identifying | None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; finishes what it has in hand."""
        loops = (self.dispatching, self.taking_bounces, self.syncing, self.sequencing)
        await asyncio.gather(*(loop.run(stop) for loop in loops), self._sweep_again(stop))

    async def sweep(self) -> None:
        """Everything that is due now, once. What fails keeps nothing else from being done, and is raised in the end.

        A store that does not let go of one blob must not keep keys from being destroyed and checkpoints from being mailed.
        """
        done: dict[str, Any] = {}
        failures: list[Exception] = []
        for name, step in self._steps():
            try:
                done[name] = await step()
            except Exception as error:  # noqa: BLE001 - raised below
                failures.append(error)
        erased: Erased | None = done.get("erasing")
        swept: Swept | None = done.get("clearing_uploads")
        _LOG.info(
            "swept",
            noticed=done.get("noticing"),
            held=done.get("judging_held"),
            expired=erased and erased.expired_count,
            erased=erased and erased.erased_count,
            destroyed_weeks=erased and list(erased.destroyed_weeks),
            removed_blobs=swept and swept.blob_count,
            removed_uploads=swept and swept.upload_count,
            erased_events=done.get("erasing_events"),
            destroyed_keys=done.get("rotating_keys"),
            summed_days=done.get("summing"),
        )
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise ExceptionGroup("parts of the sweep failed", failures)

    def _steps(self) -> list[tuple[str, Callable[[], Awaitable[Any]]]]:
        steps: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
            ("noticing", self.noticing.run),
            ("judging_held", self.judging_held.tell_waiting),
            ("erasing", self.erasing.run),
            ("clearing_uploads", self.clearing_uploads.run),
            ("dispatching", self.dispatching.forget_old),
            ("signing_in", self.signing_in.forget_old),
            ("changing_password", self.changing_password.forget_old),
            ("introducing", self.introducing.forget_old),
            ("handing_over_sign_in", self.handing_over_sign_in.forget_old),
            ("remembering", self.remembering.forget_old),
            ("erasing_events", self.erasing_events.run),
            ("sequencing", self.sequencing.catch_up),
            ("checkpointing", self.checkpointing.run),
            ("recognising_restore", self.recognising_restore.remember),
            ("rotating_keys", self.rotating_keys.finish),
            ("summing", self.summing.run),
        ]
        if self.identifying is not None:
            steps.append(("identifying", self.identifying.forget_old))
        return steps

    async def _sweep_again(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self.sweep()
            except Exception:  # noqa: BLE001 - logged, and tried again in a few minutes
                _LOG.exception("sweep_failed")
            try:
                await asyncio.wait_for(stop.wait(), _SWEEP_EVERY_SECONDS)
            except TimeoutError:
                continue
