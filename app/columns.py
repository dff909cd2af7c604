"""Declarative base and column types that mean the same on SQLite and MySQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, MetaData, String, TypeDecorator
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase

LOCAL_OWNER = "local"
"""Owner of every row until accounts exist."""


class Base(DeclarativeBase):
    """Base of all tables; constraints get stable names, so that migrations can find them."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Let text compare as SQLite does, byte by byte: keys and names that differ by case differ."""
        if "__tablename__" in cls.__dict__:
            collated = {f"{dialect}_collate": "utf8mb4_bin" for dialect in ("mysql", "mariadb")}
            cls.__table_args__ = (*cls.__dict__.get("__table_args__", ()), collated)
        super().__init_subclass__(**options)

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UTCDateTime(TypeDecorator[datetime]):
    """Timezone-aware UTC, microseconds. Naive values are refused."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Keep microseconds on MySQL too."""
        return dialect.type_descriptor(
            mysql.DATETIME(fsp=6) if dialect.name in {"mysql", "mariadb"} else DateTime()
        )

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC without the zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"want a timezone-aware time, got {value!r}")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the zone."""
        return None if value is None else value.replace(tzinfo=UTC)


ID = String(32)
"""Public identifiers (``ids.new_id``)."""


def utcnow() -> datetime:
    """Return the current time, timezone-aware."""
    return datetime.now(UTC)
