"""The worker: delivers what is in the outbox, reads what comes back, expires, erases and sweeps.

Inside `serve`, or any number of `work` processes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from zegelpost.services.changing_password import ChangingPassword
from zegelpost.services.checkpointing import Checkpointing
from zegelpost.services.dispatching import Dispatching
from zegelpost.services.erasing import Erasing
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
from zegelpost.services.uploading import Uploading

_LOG: Final = structlog.get_logger()
_SWEEP_EVERY_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class Worker:
    dispatching: Dispatching
    noticing: Noticing
    judging_held: JudgingHeld
    erasing: Erasing
    uploading: Uploading
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
        """Everything that is due now, once."""
        noticed = await self.noticing.run()
        held = await self.judging_held.tell_waiting()
        erased = await self.erasing.run()
        swept = await self.uploading.sweep()
        await self.dispatching.forget_old()
        await self.signing_in.forget_old()
        await self.changing_password.forget_old()
        await self.introducing.forget_old()
        await self.handing_over_sign_in.forget_old()
        await self.remembering.forget_old()
        forgotten = await self.erasing_events.run()
        await self.sequencing.catch_up()
        await self.checkpointing.run()
        await self.recognising_restore.remember()
        destroyed_keys = await self.rotating_keys.finish()
        summed = await self.summing.run()
        if self.identifying is not None:
            await self.identifying.forget_old()
        _LOG.info(
            "swept",
            noticed=noticed,
            held=held,
            expired=erased.expired_count,
            erased=erased.erased_count,
            destroyed_weeks=list(erased.destroyed_weeks),
            removed_blobs=swept.blob_count,
            removed_uploads=swept.upload_count,
            erased_events=forgotten,
            destroyed_keys=destroyed_keys,
            summed_days=summed,
        )

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
