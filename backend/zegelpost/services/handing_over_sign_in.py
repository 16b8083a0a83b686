"""Handing over a sign-in from the dialog to the pane, which share no cookies: by a code that works once and soon.

The dialog is a page of ours in a window of its own; its person signed in there with everything the policy asks. The pane gets
the code from it through Outlook, and exchanges it for a token of its own.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.refusals import SignInRequired
from zegelpost.model.secret import SecretToken
from zegelpost.model.staff_user import SignIn, SignInCode, SignInKind, StaffUser
from zegelpost.services.access import StaffActor
from zegelpost.services.signing_in import SignedIn, start_sign_in

CODE_LIFETIME: Final = timedelta(minutes=2)


class HandingOverSignIn:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def make_code(self, actor: StaffActor) -> SecretToken:
        """A code for the pane, as long as this sign-in lasts; kept as a digest only."""
        code = SecretToken.generate()
        async with self._database.work() as session:
            session.add(SignInCode(digest=code.digest, sign_in_digest=actor.token.digest, created_at=self._clock()))
        return code

    async def redeem(self, code: SecretToken) -> SignedIn:
        """A sign-in for the pane. Raises `SignInRequired` for a code that is unknown, used, or older than two minutes.

        1. The code is used up before anything is looked at: of two who have it, one gets in.
        2. It is young; the sign-in that it was made in did not end meanwhile, by signing out, by a new password or by being
           switched off.
        """
        now = self._clock()
        async with self._database.work() as session:
            # 1.
            row = (
                await session.execute(
                    delete(SignInCode)
                    .where(SignInCode.digest == code.digest)
                    .returning(SignInCode.sign_in_digest, SignInCode.created_at)
                )
            ).first()
            # 2.
            is_young = row is not None and now - row.created_at < CODE_LIFETIME
            user = await _signed_in_user(session, row.sign_in_digest, now) if row is not None and is_young else None
            signed_in = start_sign_in(session, user, SignInKind.API, now, factor=None) if user is not None else None
        if signed_in is None:
            raise SignInRequired
        return signed_in

    async def forget_old(self) -> None:
        """Drop codes that nobody redeemed. Part of the sweep."""
        async with self._database.work() as session:
            await session.execute(delete(SignInCode).where(SignInCode.created_at <= self._clock() - CODE_LIFETIME))


async def _signed_in_user(session: AsyncSession, sign_in_digest: bytes, now: datetime) -> StaffUser | None:
    """Whose sign-in this is, as long as it is good for anything. Its row is held, so that it does not end beside this."""
    found = (
        await session.execute(
            select(SignIn, StaffUser)
            .join(StaffUser, StaffUser.id == SignIn.user_id)
            .where(SignIn.digest == sign_in_digest)
            .with_for_update(of=SignIn)
        )
    ).first()
    if found is None or not found.SignIn.is_live(now) or found.StaffUser.is_switched_off:
        return None
    user: StaffUser = found.StaffUser
    return user
