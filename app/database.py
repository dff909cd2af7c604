"""SQLite made fit for several processes: WAL, waiting for locks, foreign keys, real transactions."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.extensions import db

BUSY_TIMEOUT_MS = 5000
"""How long SQLite itself waits: for a checkpoint or a recovery, never for another transaction of ours."""

CONNECT_S = 5
ANSWER_S = 30
"""How long a database server may take to be reached, and to answer one statement; one that hangs is away."""

LOCK_TIMEOUT_S = 30.0
LOCK_POLL_S = 0.005
"""How long a SQLite transaction waits for another writer, and how often it looks."""


def engine_options(url: str) -> dict[str, Any]:
    """Return ``create_engine`` keywords for ``url``."""
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": BUSY_TIMEOUT_MS / 1000}}
    # REPEATABLE READ would let a worker decide on rows as they were before the claim it waited for.
    patience = {"connect_timeout": CONNECT_S, "read_timeout": ANSWER_S, "write_timeout": ANSWER_S}
    return {
        "pool_pre_ping": True,
        "pool_recycle": 1800,
        "isolation_level": "READ COMMITTED",
        "connect_args": patience,
    }


def prepare(engine: Engine, path: Path) -> None:
    """Create the folder of the SQLite file and set every new connection up."""
    path.parent.mkdir(parents=True, exist_ok=True)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)


def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN is deferred; _on_begin sends ours
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _on_begin(connection: Connection) -> None:
    """Take the write lock when the transaction will write: a later upgrade would fail, not wait.

    SQLite's own waiting would stop the whole gevent process, and with it the request that holds the lock.
    """
    if not connection.get_execution_options().get("sqlite_immediate", False):
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql("PRAGMA busy_timeout=0")
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    try:
        while not _takes_lock(connection, last_try=time.monotonic() > deadline):
            time.sleep(LOCK_POLL_S)
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


def _takes_lock(connection: Connection, *, last_try: bool) -> bool:
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except OperationalError as error:
        if last_try or "locked" not in str(error.orig):
            raise
        return False
    return True


@contextmanager
def one_moment() -> Iterator[Session]:
    """Read with several statements what stood there at one moment, as SQLite's readers always do."""
    session = db.session()
    session.rollback()
    if session.get_bind().dialect.name != "sqlite":
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    try:
        yield session
    finally:
        session.rollback()


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
