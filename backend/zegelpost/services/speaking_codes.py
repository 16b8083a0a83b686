"""Speaking codes: a telephone rings, and whoever presses the key hears the code. Answering machines press nothing.

The code stays sealed in the outbox until the call is over, and is unsealed for one key press at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.event import EventTag
from zegelpost.model.identifiers import OutgoingId, is_identifier
from zegelpost.model.outgoing import CarrierState, Outgoing, OutgoingKind
from zegelpost.model.recipient import Challenge
from zegelpost.model.refusals import ReportForged
from zegelpost.model.transfer import Transfer
from zegelpost.ports import KeyDestroyedError, Script, SmsErrorKind, Telephone
from zegelpost.services.carrying_codes import call_path, key_path
from zegelpost.services.composing import KEY, Composing
from zegelpost.services.notifying import Notifying, subject_of
from zegelpost.services.recording import record
from zegelpost.services.tracking_codes import CodeNews, is_used, take_news

_NOT_SAID: Final = ""


class SpeakingCodes:
    """`telephone` is nothing where no code is read out; then nobody can call us about one either."""

    def __init__(
        self, database: Database, notifying: Notifying, composing: Composing, telephone: Telephone | None, clock: Clock
    ) -> None:
        self._database = database
        self._notifying = notifying
        self._composing = composing
        self._base_url = composing.organisation.base_url
        self._telephone = telephone
        self._clock = clock

    async def pressed(self, outgoing_id: str, fields: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> Script:
        """Somebody pressed a key: what they hear. Raises `ReportForged`.

        1. It is our provider's, about the call that we had made here.
        2. Another key than the right one hears the question again.
        3. The code is the latest of this recipient, was not entered and is not too old.
        4. That it was heard is written down, once. Asking again within the call tells the same code.
        """
        # 1.
        telephone, ours = self._ours(outgoing_id)
        address = self._base_url + key_path(ours)
        report = telephone.read(address=address, fields=fields, headers=headers)
        now = self._clock()
        async with self._database.work() as session:
            outgoing = await _call_of(session, ours, report.provider_reference)
            language = await self._language(session, outgoing)
            # 2.
            if report.key != KEY:
                return telephone.ask(self._composing.call_greeting(language), key_to=address)
            # 3.
            code = await self._code(session, outgoing) if outgoing.useless_after > now else _NOT_SAID
            if not code:
                return telephone.say(self._composing.spoken_refusal(language))
            # 4.
            news = CodeNews(report.provider_reference, CarrierState.DELIVERED)
            if await take_news(session, ours, OutgoingKind.CALL, news, now) is not None:
                record(session, EventTag.CALL_ANSWERED, subject_of(outgoing), now, purpose=outgoing.purpose.value)
            return telephone.say(self._composing.spoken_code(code, language))

    async def reported(self, outgoing_id: str, fields: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> None:
        """The call is over. Raises `ReportForged`.

        The code is blanked. When nobody heard it, the sender is told why, unless the recipient got in with it all the same.
        """
        telephone, ours = self._ours(outgoing_id)
        report = telephone.read(address=self._base_url + call_path(ours), fields=fields, headers=headers)
        if report.state is None:
            return
        now = self._clock()
        async with self._database.work() as session:
            await _call_of(session, ours, report.provider_reference)
            await session.execute(
                update(Outgoing)
                .where(Outgoing.id == ours, Outgoing.kind == OutgoingKind.CALL)
                .values(sealed_payload=None)
                .execution_options(synchronize_session=False)
            )
            news = CodeNews(report.provider_reference, report.state, report.kind)
            outgoing = await take_news(session, ours, OutgoingKind.CALL, news, now)
            if outgoing is None:
                return
            failure = (report.kind or SmsErrorKind.OTHER).value
            record(session, EventTag.CALL_MISSED, subject_of(outgoing), now, purpose=outgoing.purpose.value, failure=failure)
            if not await is_used(session, outgoing):
                await self._notifying.tell_sender(session, outgoing, failure)

    def _ours(self, outgoing_id: str) -> tuple[Telephone, OutgoingId]:
        if self._telephone is None or not is_identifier(outgoing_id):
            raise ReportForged
        return self._telephone, OutgoingId(outgoing_id)

    async def _language(self, session: AsyncSession, outgoing: Outgoing) -> str:
        """Of the page on which the code was asked for, and once that is gone of the mail with the link."""
        if (envelope := self._opened(outgoing)) is not None:
            return envelope["language"]
        return await session.scalar(select(Transfer.language).where(Transfer.id == outgoing.transfer_id)) or "nl"

    async def _code(self, session: AsyncSession, outgoing: Outgoing) -> str:
        """Nothing when it no longer works."""
        challenge = await session.scalar(
            select(Challenge).where(
                Challenge.id == outgoing.challenge_id, Challenge.replaced_at.is_(None), Challenge.used_at.is_(None)
            )
        )
        envelope = self._opened(outgoing)
        return envelope["code"] if challenge is not None and envelope else _NOT_SAID

    def _opened(self, outgoing: Outgoing) -> dict[str, str] | None:
        if outgoing.sealed_payload is None:
            return None
        try:
            return self._notifying.envelope(outgoing)
        except KeyDestroyedError:
            return None


async def _call_of(session: AsyncSession, outgoing_id: OutgoingId, provider_reference: str) -> Outgoing:
    """A call that we handed over. What is reported may overtake the answer that names it. Raises `ReportForged`."""
    outgoing = await session.scalar(
        select(Outgoing).where(Outgoing.id == outgoing_id, Outgoing.kind == OutgoingKind.CALL, Outgoing.attempt_count > 0)
    )
    if outgoing is None or outgoing.acceptance not in {None, provider_reference}:
        raise ReportForged
    return outgoing
