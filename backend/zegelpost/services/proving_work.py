"""Proving work: a puzzle that a browser solves by itself, so that a program that starts a thousand times works a thousand times.

ALTCHA, version 2, with PBKDF2 (https://altcha.org/docs/v2). The puzzle's age stands inside its signature and goes by our clock.
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime, timedelta
from typing import Any, Final

import altcha
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.model.clock import Clock
from zegelpost.model.intake import PROOF_LIFETIME, SpentProof
from zegelpost.services.keeping_keys import KeepingKeys

# Rounds for each of 256 tries on average: about a second on a laptop, a few on an old telephone.
_ALGORITHM: Final = "PBKDF2/SHA-256"
_COST: Final = 4000


class ProvingWork:
    def __init__(self, keeping_keys: KeepingKeys, clock: Clock) -> None:
        self._keys = keeping_keys
        self._clock = clock

    def puzzle(self) -> dict[str, Any]:
        """A puzzle for one browser, signed."""
        made_at = int(self._clock().timestamp())
        challenge = altcha.create_challenge(
            _ALGORITHM, _COST, data={"made_at": made_at}, hmac_secret=self._keys.proof_secrets()[0]
        )
        found: dict[str, Any] = challenge.to_dict()
        return found

    def is_proved(self, proof: str) -> bool:
        """Whether this is a solved puzzle of ours that is not too old. What is not counts as none at all. Blocks: PBKDF2."""
        try:
            payload = altcha.Payload.from_base64(proof)
            made_at = datetime.fromtimestamp(int((payload.challenge.parameters.data or {})["made_at"]), tz=self._clock().tzinfo)
            is_solved = any(altcha.verify_solution(payload, secret).verified for secret in self._keys.proof_secrets())
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            return False
        return is_solved and timedelta(0) <= self._clock() - made_at < PROOF_LIFETIME

    async def spend(self, session: AsyncSession, proof: str, now: datetime) -> bool:
        """Use up a proof that `is_proved`; whether it had not been used yet. By its nonce: a solution is written in many ways."""
        nonce = json.loads(base64.b64decode(proof))["challenge"]["parameters"]["nonce"]
        try:
            async with session.begin_nested():
                session.add(SpentProof(digest=hashlib.sha256(nonce.encode()).digest(), at=now))
        except IntegrityError:
            return False
        return True

    async def forget_old(self, session: AsyncSession, now: datetime) -> None:
        """Drop what is too old to be used again."""
        await session.execute(delete(SpentProof).where(SpentProof.at <= now - PROOF_LIFETIME))
