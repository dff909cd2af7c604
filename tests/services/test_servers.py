"""The servers the other tests stand on are real, clean and can be taken down."""

from __future__ import annotations

import socket

import pytest
import redis
from sqlalchemy import create_engine, text

from tests.servers import RedisServer


@pytest.mark.parametrize("attempt", [1, 2])
def test_each_test_gets_an_empty_database(database_url: str, attempt: int) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE leftovers (id INTEGER PRIMARY KEY)"))
        assert connection.execute(text("SELECT COUNT(*) FROM leftovers")).scalar() == 0
    engine.dispose()


def test_mariadb_locks_rows_and_skips_locked_ones(mariadb_url: str) -> None:
    engine = create_engine(mariadb_url)
    with engine.begin() as setup:
        setup.execute(text("CREATE TABLE work (id INTEGER PRIMARY KEY)"))
        setup.execute(text("INSERT INTO work VALUES (1), (2)"))
    claim = text("SELECT id FROM work ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
    with engine.begin() as one, engine.begin() as other:
        assert [one.execute(claim).scalar(), other.execute(claim).scalar()] == [1, 2]
    engine.dispose()


@pytest.mark.parametrize("attempt", [1, 2])
def test_each_test_gets_an_empty_redis(redis_url: str, attempt: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("leftover", attempt)


def test_a_redis_of_ones_own_can_be_killed_and_comes_back_empty(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("key", "value")
        redis_server.stop(kill=True)
        with pytest.raises(redis.ConnectionError):
            client.ping()
        redis_server.start()
        assert client.get("key") is None


def test_nothing_leaves_this_machine() -> None:
    with socket.socket() as outward, pytest.raises(PermissionError, match="loopback"):
        outward.connect(("192.0.2.1", 80))


@pytest.mark.parametrize("attempt", [1, 2])
def test_each_test_gets_the_newest_schema_without_rows(migrated_url: str, attempt: int) -> None:
    engine = create_engine(migrated_url)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT COUNT(*) FROM idempotency_keys")).scalar() == 0
        assert connection.execute(text("SELECT COUNT(*) FROM alembic_version")).scalar() == 1
        values = f"({attempt}, 'local', 'k', 'x', 200, '{{}}', '2026-01-01 00:00:00')"
        columns = "(id, owner_id, `key`, body_sha256, response_status, response, created_at)"
        connection.execute(text(f"INSERT INTO idempotency_keys {columns} VALUES {values}"))
    engine.dispose()
