"""What all tables share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Enum, LargeBinary, MetaData, String
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql import operators
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeDecorator

IDENTIFIER = String(26)
DIGEST = LargeBinary(32)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in Python whatever the database: SQLite keeps no zone, and a naive time compares wrongly without a word."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive time reached the database")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class BlindIndex(bytes):
    """A keyed hash, and what it would have been under keys of before a rotation that are still kept (`earlier`)."""

    earlier: tuple[bytes, ...] = ()

    @classmethod
    def under(cls, hashes: Sequence[bytes], length: int = 32) -> BlindIndex:
        """`hashes`: under the key of now, and behind it those under keys of before. `length` bytes of each are kept."""
        index = cls(hashes[0][:length])
        index.earlier = tuple(each[:length] for each in hashes[1:])
        return index

    def cut(self, length: int) -> BlindIndex:
        """The first bytes of it."""
        return BlindIndex.under([bytes(self), *self.earlier], length)

    @property
    def all(self) -> tuple[bytes, ...]:
        """Whatever may stand in the database for it."""
        return bytes(self), *self.earlier


class BlindIndexed(TypeDecorator[bytes]):
    """A column of keyed hashes. Until a rotation is through, what is looked for may stand there under the key of before."""

    impl = LargeBinary
    cache_ok = True

    class Comparator(TypeDecorator.Comparator[bytes]):
        """Looks for every form of what it is compared with."""

        def operate(self, op: OperatorType, *other: Any, **kwargs: Any) -> ColumnElement[Any]:
            if op is operators.eq and isinstance(other[0], BlindIndex) and other[0].earlier:
                return self.expr.in_(other[0].all)
            if op is operators.in_op and isinstance(other[0], Sequence):
                other = ([form for each in other[0] for form in (each.all if isinstance(each, BlindIndex) else (each,))],)
            return super().operate(op, *other, **kwargs)

    comparator_factory = Comparator

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        return None if value is None else bytes(value)


BLIND = BlindIndexed(32)


def text_of(kind: type[StrEnum]) -> Enum:
    """A column for a closed set of words: readable in the database, and the enumeration again in Python."""
    return Enum(kind, native_enum=False, length=32, values_callable=lambda members: [member.value for member in members])


class Base(DeclarativeBase):
    # Named constraints, because migrations on SQLite have to name what they replace.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime()}  # noqa: RUF012 - read by SQLAlchemy as a class attribute
