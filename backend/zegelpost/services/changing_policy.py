"""Changing the policy: administrators choose on screen what goes over the settings, for everyone, from the next request on.

Nothing reaches back into what was sent. Every value that changes is an event of its own, with what it was and what it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database, afterwards
from zegelpost.model.clock import Clock
from zegelpost.model.email_address import EmailAddress
from zegelpost.model.event import EventTag
from zegelpost.model.identity import Identity
from zegelpost.model.policy_choices import THE_ROW, Choice, PolicyChoices
from zegelpost.model.policy_fields import BY_NAME, FIELDS, PolicyField, PolicyGroup, Standing
from zegelpost.model.refusals import (
    FormRefused,
    NotFound,
    OwnDomainMissing,
    OwnSecondFactorMissing,
    PolicyChangedMeanwhile,
    Refusal,
)
from zegelpost.model.second_factor import AuthenticatorApp, Passkey
from zegelpost.model.staff_user import SignIn, StaffUser
from zegelpost.services.access import StaffActor, require_administrator
from zegelpost.services.governing import Governing
from zegelpost.services.proving_second_factor import has_second_factor
from zegelpost.services.recording import record


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldState:
    """One value as administrators see it."""

    name: str
    group: PolicyGroup
    value: Any
    typed: str  # as the form shows it
    default: Any
    is_chosen: bool  # on screen; otherwise it follows the settings
    changed_at: datetime | None
    changed_by: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PolicyOverview:
    fields: Mapping[str, FieldState]
    version: int


class ChangingPolicy:
    def __init__(self, database: Database, governing: Governing, clock: Clock) -> None:
        self._database = database
        self._governing = governing
        self._clock = clock

    async def overview(self, actor: StaffActor) -> PolicyOverview:
        """Every value, its default, since when it is so and by whom. Raises `NotFound`."""
        require_administrator(actor)
        async with self._database.reading() as session:
            await self._governing.notice(session)
            choices = self._governing.choices
            chosen_by = {choice.changed_by for choice in choices.values()}
            people = await session.execute(select(StaffUser.id, StaffUser.name).where(StaffUser.id.in_(chosen_by)))
            names = {row.id: row.name for row in people}
        standing, defaults = self._governing.standing, self._governing.by_settings
        states = {}
        for each in FIELDS:
            choice, value = choices.get(each.name), standing.value(each.name)
            states[each.name] = FieldState(
                name=each.name,
                group=each.group,
                value=value,
                typed=each.kind.typed(value),
                default=defaults.value(each.name),
                is_chosen=choice is not None and not choice.is_default,
                changed_at=choice.changed_at if choice else None,
                changed_by=names.get(choice.changed_by, "") if choice else "",
            )
        return PolicyOverview(states, self._governing.version)

    async def change(self, actor: StaffActor, group: PolicyGroup, typed: Mapping[str, str], seen_version: int) -> Sequence[str]:
        """Have what was typed count at once; what is not among it stays. Returns the names of what changed.

        1. An administrator with a second step of their own, where the settings ask one of staff.
        2. Nobody else changed the same value since the page was shown.
        3. Every value is good by itself, and all of them are together; the administrator keeps their own way in.
        4. The new values, and an event for each, are written together.

        Raises `NotFound`, and `FormRefused` with a refusal at each field.
        """
        require_administrator(actor)
        async with self._database.work() as session:
            row = await self._locked(session)
            # 1.
            await self._require_own_second_step(session, actor)
            standing = self._governing.standing
            values, refused = dict[str, Any](), dict[str, Refusal]()
            for each in (each for each in FIELDS if each.group == group and each.name in typed):
                try:
                    value = each.kind.parse(typed[each.name])
                except Refusal as refusal:
                    refused[each.name] = refusal
                    continue
                if value != standing.value(each.name):
                    values[each.name] = value
            # 2.
            for name in values:
                if name in self._governing.choices and self._governing.choices[name].version > seen_version:
                    refused[name] = PolicyChangedMeanwhile()
            # 3.
            if not refused:
                refused = await self._refused(session, actor, standing.changed(values), set(values))
            if refused:
                raise FormRefused(refused)
            # 4.
            chosen = {name: (value, False) for name, value in values.items()}
            await self._write(session, actor, row, chosen)
        return list(values)

    async def choose(self, actor: StaffActor, session: AsyncSession, name: str, value: Any) -> None:
        """As `change`, of one value that nobody types, in the caller's unit of work."""
        require_administrator(actor)
        row = await self._locked(session)
        await self._require_own_second_step(session, actor)
        if value != self._governing.standing.value(name):
            await self._write(session, actor, row, {name: (value, False)})

    async def reset(self, actor: StaffActor, name: str) -> None:
        """Back to what the settings say. Raises `NotFound`, and `FormRefused` when that does not go with the rest."""
        require_administrator(actor)
        if name not in BY_NAME:
            raise NotFound
        async with self._database.work() as session:
            row = await self._locked(session)
            await self._require_own_second_step(session, actor)
            choice = self._governing.choices.get(name)
            if choice is None or choice.is_default:
                return
            default = self._governing.by_settings.value(name)
            refused = await self._refused(session, actor, self._governing.standing.changed({name: default}), {name})
            if refused:
                # Said at the value that has to stay, also where the other one would be marked on a form.
                raise FormRefused({name: next(iter(refused.values()))})
            await self._write(session, actor, row, {name: (default, True)})

    async def _locked(self, session: AsyncSession) -> PolicyChoices:
        """The row, so that two administrators change it one after the other, each seeing what the other made of it."""
        query = select(PolicyChoices).where(PolicyChoices.id == THE_ROW).with_for_update()
        row = (await session.scalars(query.execution_options(populate_existing=True))).one()
        self._governing.take(row)
        return row

    async def _require_own_second_step(self, session: AsyncSession, actor: StaffActor) -> None:
        """Whoever has one was asked for it at signing in. Where the settings ask none, as in a demonstration, nobody needs it.

        Of the settings, not of the present policy: or whoever steals a password would wait until it is switched off.
        """
        if self._governing.by_settings.policy.requires_second_factor and not await self._has_second_step(session, actor):
            raise FormRefused({"": OwnSecondFactorMissing()})

    async def _has_second_step(self, session: AsyncSession, actor: StaffActor) -> bool:
        """Of our own, or of the sign-in provider that vouches for them."""
        is_joined = await session.scalar(select(exists().where(Identity.user_id == actor.user.id)))
        if is_joined and self._governing.policy.has_sign_in_provider:
            return True
        return await has_second_factor(session, actor.user.id)

    async def _refused(self, session: AsyncSession, actor: StaffActor, wanted: Standing, changed: set[str]) -> dict[str, Refusal]:
        refused = wanted.refused(self._governing.by_settings)
        own = EmailAddress.parse(actor.user.email).domain
        if "staff_domains" in changed and own not in wanted.policy.staff_domains:
            refused["staff_domains"] = OwnDomainMissing(word=own)
        is_asked = "requires_second_factor" in changed and wanted.policy.requires_second_factor
        if is_asked and not await self._has_second_step(session, actor):
            refused["requires_second_factor"] = OwnSecondFactorMissing()
        return refused

    async def _write(
        self, session: AsyncSession, actor: StaffActor, row: PolicyChoices, chosen: Mapping[str, tuple[Any, bool]]
    ) -> None:
        now, standing = self._clock(), self._governing.standing
        version = row.version + 1
        for name, (value, is_default) in chosen.items():
            kind = BY_NAME[name].kind
            kept = "" if is_default else kind.keep(value)
            row.write(name, Choice(kept, is_default, now, actor.user.id, version))
            facts = {"field": name, "old": kind.keep(standing.value(name)), "new": kind.keep(value)}
            record(session, EventTag.POLICY_CHANGED, actor.subject(), now, **facts, is_default=is_default or None)
            if name == "requires_second_factor" and value:
                await _end_sign_ins_without_second_step(session)
        # Others read it with their next unit of work; here it counts as soon as it is certain.
        afterwards(session, lambda: self._governing.take(row))


async def _end_sign_ins_without_second_step(session: AsyncSession) -> None:
    """Who is in with a password alone has to come in anew, and sets up a second step on the way."""
    has_step = exists().where(AuthenticatorApp.user_id == SignIn.user_id) | exists().where(Passkey.user_id == SignIn.user_id)
    is_joined = exists().where(Identity.user_id == SignIn.user_id)
    await session.execute(delete(SignIn).where(~has_step, ~is_joined).execution_options(synchronize_session=False))


def fields_of(group: PolicyGroup) -> Sequence[PolicyField]:
    return [each for each in FIELDS if each.group == group]
