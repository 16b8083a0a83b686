"""Handing over a sign-in from the dialog to the pane, which share no cookies: by a code that works once and soon.

The dialog is a page of ours in a window of its own; its person signed in there with everything the policy asks. The pane gets
the code from it through Outlook, and exchanges it for a token of its own.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import delete

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.identifiers import StaffUserId
from zegelpost.model.refusals import SignInRequired
from zegelpost.model.secret import SecretToken
from zegelpost.model.staff_user import SignInCode, SignInKind, StaffUser
from zegelpost.services.access import StaffActor
from zegelpost.services.signing_in import SignedIn, start_sign_in

CODE_LIFETIME: Final = timedelta(minutes=2)


class HandingOverSignIn:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def make_code(self, actor: StaffActor) -> SecretToken:
        """A code for this person, kept as a digest only."""
        code = SecretToken.generate()
        async with self._database.work() as session:
            session.add(SignInCode(digest=code.digest, user_id=actor.user.id, created_at=self._clock()))
        return code

    async def redeem(self, code: SecretToken) -> SignedIn:
        """A sign-in for the pane. Raises `SignInRequired` for a code that is unknown, used, or older than two minutes.

        1. The code is used up before anything is looked at: of two who have it, one gets in.
        2. It is young, and its person was not switched off meanwhile.
        """
        now = self._clock()
        async with self._database.work() as session:
            # 1.
            row = (
                await session.execute(
                    delete(SignInCode)
                    .where(SignInCode.digest == code.digest)
                    .returning(SignInCode.user_id, SignInCode.created_at)
                )
            ).first()
            # 2.
            user = await session.get(StaffUser, StaffUserId(row.user_id)) if row else None
            if row is None or user is None or user.is_switched_off or now - row.created_at >= CODE_LIFETIME:
                signed_in = None
            else:
                signed_in = start_sign_in(session, user, SignInKind.API, now, factor=None)
        if signed_in is None:
            raise SignInRequired
        return signed_in

    async def forget_old(self) -> None:
        """Drop codes that nobody redeemed. Part of the sweep."""
        async with self._database.work() as session:
            await session.execute(delete(SignInCode).where(SignInCode.created_at <= self._clock() - CODE_LIFETIME))
