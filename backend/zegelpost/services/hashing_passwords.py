"""Hashing passwords: Argon2id, a few at a time."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from zegelpost.model.password import LONGEST_PASSWORD, normalised

# ASVS 5.0, appendix C: Argon2id with t=2 and at least 19 MiB.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=46 * 1024, parallelism=1)
# Two at once: each takes a core and 46 MiB, and uploads must not stall behind a burst of sign-ins.
_HASHING: Final = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
# Compared against when no account has the address, so that both cases take as long.
NOBODY: Final = "$argon2id$v=19$m=47104,t=2,p=1$xNoC4zJVb++SZ4u9CgeC7g$5hMTyJNUDOuiaenLQTjfx0W7Vk/HpwfqsCKYroPqGso"


async def hash_password(password: str) -> str:
    """Argon2id (RFC 9106) with its parameters in the text."""
    return await asyncio.get_running_loop().run_in_executor(_HASHING, _HASHER.hash, normalised(password))


async def is_password(password_hash: str, password: str) -> bool:
    """Whether it is the password. Takes as long for a right one, a wrong one and one too long to be any."""
    # Cut off rather than refused: a refusal would be quicker. No password is this long, so none is let in by it.
    typed = normalised(password)[: LONGEST_PASSWORD + 1]
    return await asyncio.get_running_loop().run_in_executor(_HASHING, _verify, password_hash, typed)


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except VerificationError:
        return False
