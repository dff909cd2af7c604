"""SQLite made fit for several processes: WAL, waiting for locks, foreign keys, real transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from app.extensions import db


def engine_options(url: str) -> dict[str, Any]:
    """Return ``create_engine`` keywords for ``url``."""
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": 30}}
    # REPEATABLE READ would let a worker decide on rows as they were before the claim it waited for.
    return {"pool_pre_ping": True, "pool_recycle": 1800, "isolation_level": "READ COMMITTED"}


def prepare(engine: Engine, path: Path) -> None:
    """Create the folder of the SQLite file and set every new connection up."""
    path.parent.mkdir(parents=True, exist_ok=True)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)


def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN is deferred; _on_begin sends ours
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _on_begin(connection: Any) -> None:
    """Take the write lock when the transaction will write: a later upgrade would fail, not wait."""
    writes = connection.get_execution_options().get("sqlite_immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def transaction() -> Iterator[Session]:
    """Run one write transaction: commit at the end, roll back on any error. Not nestable.

    A read transaction that is still open ends first: its snapshot could not be written from.
    """
    session = db.session()
    session.rollback()
    session.connection(execution_options={"sqlite_immediate": True})
    try:
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        raise
