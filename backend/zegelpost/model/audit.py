"""The audit: each event's place in a tree that is signed, so that nobody can change the record unseen.

`backend/docs/audit-format.md` says what is hashed and signed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import BigInteger, LargeBinary, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from zegelpost.model.base import DIGEST, Base

# Five years at least (NEN 7513; Stcrt. 2019, 38007), with the most leap days that five years can have.
PERSONAL_KEPT: Final = timedelta(days=5 * 365 + 2)
# Hashes are kept of the leaves and of subtrees of 2**8, 2**16, … leaves: a proof then reads a few hundred rows whatever the size.
NODE_LEVELS: Final = 8
TREE: Final = 1  # there is one


class AuditLeaf(Base):
    """One event's place.

    No foreign key: it would write to each event's row once more, and what is missing is found by verifying.
    """

    __tablename__ = "audit_leaf"

    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    event_id: Mapped[int] = mapped_column(BigInteger, unique=True)
    hash: Mapped[bytes] = mapped_column(DIGEST)
    # One of both: the commitment can be computed while the salt is there, and takes its place when the personal part is erased.
    salt: Mapped[bytes | None] = mapped_column(DIGEST)
    commitment: Mapped[bytes | None] = mapped_column(DIGEST)


class AuditNode(Base):
    """The hash of a subtree of 2**level leaves."""

    __tablename__ = "audit_node"

    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    index: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(DIGEST)


class AuditTree(Base):
    """The one row from which the tree grows; whoever has it locked is the one sequencer."""

    __tablename__ = "audit_tree"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    origin: Mapped[str] = mapped_column(String(300))  # empty until the first event got its place
    size: Mapped[int] = mapped_column(BigInteger)
    frontier: Mapped[bytes] = mapped_column(LargeBinary)
    checkpoint: Mapped[str] = mapped_column(Text)  # signed, of this size; empty at 0
    # Every event up to this number has its place, or will never exist.
    settled_id: Mapped[int] = mapped_column(BigInteger)
    # The same will hold up to this number, once every transaction before this one of PostgreSQL's has ended.
    watched_id: Mapped[int | None] = mapped_column(BigInteger)
    watched_transaction: Mapped[int | None] = mapped_column(BigInteger)
    # The personal parts of the leaves before this position have been erased.
    erased_size: Mapped[int] = mapped_column(BigInteger)


class AuditCheckpoint(Base):
    """The checkpoint of one day (in UTC), as it was mailed."""

    __tablename__ = "audit_checkpoint"

    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    note: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
