"""Governing: what the policy and the house style are at this moment, for every process alike.

The settings give the defaults; what administrators chose on screen goes over them, and is in the database. A number grows
with every choice: it is read at the beginning of every request and of every unit of work that writes, and only when it grew
is the rest read too. Services hold this object and ask it each time; none keeps what it answered.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.house_style import HouseStyle
from zegelpost.model.logo import Logo, LogoPicture
from zegelpost.model.policy import Policy
from zegelpost.model.policy_choices import THE_ROW, Choice, PolicyChoices
from zegelpost.model.policy_fields import BY_NAME, Standing, restored

# A request that takes long, an upload say, reads it again.
_A_MOMENT_SECONDS: Final = 0.1
# Who looked for the request under way, and when.
_LOOKED: Final[ContextVar[tuple[Governing, float] | None]] = ContextVar("_LOOKED", default=None)
_LOG: Final = structlog.get_logger()
_VERSION: Final = select(PolicyChoices.version).where(PolicyChoices.id == THE_ROW)
_ROW: Final = select(PolicyChoices).where(PolicyChoices.id == THE_ROW).execution_options(populate_existing=True)


class Governing:
    def __init__(self, policy: Policy, house_style: HouseStyle) -> None:
        self.by_settings: Final = Standing(policy, house_style)
        self._standing = self.by_settings
        self._choices: Mapping[str, Choice] = {}
        self._version = 0
        self._logo: LogoPicture | None = None
        self._logo_looked_for = ""

    @property
    def policy(self) -> Policy:
        """The present policy. Not to be kept: ask again."""
        return self._standing.policy

    @property
    def house_style(self) -> HouseStyle:
        """The present house style. Not to be kept: ask again."""
        return self._standing.house_style

    @property
    def logo(self) -> LogoPicture | None:
        """The picture itself, for mails and print, which fetch nothing. Not there where it was chosen just now."""
        return self._logo if self._logo is not None and self._logo.digest == self.house_style.logo else None

    @property
    def standing(self) -> Standing:
        return self._standing

    @property
    def choices(self) -> Mapping[str, Choice]:
        """The latest change of each field that was ever changed on screen."""
        return self._choices

    @property
    def version(self) -> int:
        return self._version

    async def notice(self, session: AsyncSession) -> None:
        """Take over what was chosen since, by whatever process: one number is read, and seldom more.

        Not once more where the request that this belongs to looked a moment ago: it has what was chosen when it came.
        """
        looked = _LOOKED.get()
        if looked is not None and looked[0] is self and time.monotonic() - looked[1] < _A_MOMENT_SECONDS:
            return
        version = await session.scalar(_VERSION)
        if version is not None and version > self._version:
            self.take(await session.scalar(_ROW))
        await self._see_logo(session)

    async def look(self, database: Database) -> None:
        """As `notice`, for who has no unit of work yet."""
        version = await database.glance(_VERSION)
        if (version is not None and version > self._version) or self._logo_looked_for != self.house_style.logo:
            async with database.reading() as session:
                self.take(await session.scalar(_ROW))
                await self._see_logo(session)
        _LOOKED.set((self, time.monotonic()))

    async def _see_logo(self, session: AsyncSession) -> None:
        """Fetch the picture when another one counts; once, also where it is not there."""
        digest = self.house_style.logo
        if digest != self._logo_looked_for:
            found = await session.get(Logo, digest) if digest else None
            self._logo, self._logo_looked_for = found.picture if found is not None else None, digest

    def take(self, row: PolicyChoices | None) -> None:
        """Have this counted from now on. Two requests may read at once: the older answer must not come last."""
        if row is None or row.version <= self._version:
            return
        choices = row.read()
        self._standing = self.with_choices(choices)
        self._choices = choices
        self._version = row.version

    def with_choices(self, choices: Mapping[str, Choice]) -> Standing:
        """The settings with these choices over them.

        What was kept by another version or with something connected that is gone, and is no good any more, leaves its
        field to the settings.
        """
        values: dict[str, Any] = {}
        for name, choice in choices.items():
            if name not in BY_NAME or choice.is_default:
                continue
            try:
                values[name] = restored(name, choice.value)
            except ValueError:
                _LOG.warning("policy_choice_unusable", field=name)
        for name in self.by_settings.changed(values).refused(self.by_settings):
            # Only what is not connected any more: choices are judged together before they are kept.
            if values.pop(name, None) is not None:
                _LOG.warning("policy_choice_not_usable_here", field=name)
        return self.by_settings.changed(values)
