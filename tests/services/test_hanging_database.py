"""A database server that takes connections and never answers is away, as one that is stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, QueuePool, event

from app import database
from app.commands.db import upgrade_to_head
from app.config import Config
from tests.servers import MariaDBServer, free_port
from tests.services.client import Client, data_of, error_of
from tests.services.workplace import Workplace

GIVE_UP_S = 40.0
"""A client that waits without end is let go, to a failure."""


@contextmanager
def hanging(server: MariaDBServer) -> Iterator[threading.Event]:
    """Stop the server's process without ending it; the event is set when somebody waited too long."""
    assert server.process is not None
    process, too_long = server.process, threading.Event()

    def let_go() -> None:
        too_long.set()
        process.send_signal(signal.SIGCONT)

    timer = threading.Timer(GIVE_UP_S, let_go)
    process.send_signal(signal.SIGSTOP)
    timer.start()
    try:
        yield too_long
    finally:
        timer.cancel()
        process.send_signal(signal.SIGCONT)


@pytest.fixture
def client(mariadb_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(database, "ANSWER_S", 1)
    workplace = Workplace(mariadb_url, f"redis://127.0.0.1:{free_port()}/0", tmp_path)
    yield Client(workplace)
    workplace.close()


def test_answers_say_that_it_is_away(client: Client, mariadb_server: MariaDBServer) -> None:
    assert data_of(client.get("/jobs")) == []
    with hanging(mariadb_server) as too_long:
        answer = client.get("/jobs")
        ready = client.http.get("/readyz")
    assert error_of(answer)["code"] == "DATABASE_UNAVAILABLE"
    assert answer.headers["Retry-After"]
    assert ready.status_code == 503
    assert not too_long.is_set()
    assert data_of(client.get("/jobs")) == []


def test_a_pool_that_hanging_requests_have_emptied_says_so_too(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.extensions import db

    with client.workplace.app.app_context():
        pool = db.engine.pool
        assert isinstance(pool, QueuePool)
        monkeypatch.setattr(pool, "_timeout", 0)
        busy = [db.engine.connect() for _ in range(pool.size() + pool._max_overflow)]
    answer = client.get("/jobs")
    for connection in busy:
        connection.close()
    assert answer.status_code == 503
    assert error_of(answer)["code"] == "DATABASE_UNAVAILABLE"


def test_a_migration_may_take_as_long_as_it_takes(mariadb_url: str) -> None:
    limits: list[Any] = []

    def note(connection: Any, _record: object) -> None:
        limits.append(connection._read_timeout)

    event.listen(Engine, "connect", note)
    try:
        upgrade_to_head(Config(database_url=mariadb_url))
    finally:
        event.remove(Engine, "connect", note)
    assert limits == [None]
