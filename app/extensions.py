"""Extensions, created unbound here and bound to the application in ``create_app``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import redis
from flask import current_app
from flask_migrate import Migrate
from flask_smorest import Api
from flask_sqlalchemy import SQLAlchemy

from app.columns import Base

if TYPE_CHECKING:
    from app.config import Config

db = SQLAlchemy(model_class=Base)
migrate = Migrate()
api = Api()

ANSWER_S = 1
"""How long Redis may take to connect or to answer."""

AWAY_S = 2.0
"""So long after a failure nobody asks it again."""

LISTEN_S = 5.0
"""How long a worker's listener waits for an answer; longer than ``worker.main.POLL_S``."""


def config() -> Config:
    """Return the running application's configuration."""
    settings: Config = current_app.extensions["tally_config"]
    return settings


def redis_client() -> redis.Redis:
    """Return the running application's Redis client; connecting happens at the first command."""
    client: redis.Redis = current_app.extensions["tally_redis"]
    return client


class Pause:
    """So long after a failure that one connection notices, all connections of a client refuse at once.

    A Redis that hangs takes connections and never answers; each command would cost a request, or a lease,
    another ``ANSWER_S``.
    """

    def __init__(self) -> None:
        """Begin without one."""
        self._until = 0.0

    def refuse(self) -> None:
        """Raise ConnectionError during the pause."""
        if time.monotonic() < self._until:
            raise redis.ConnectionError("Redis did not answer a moment ago")

    @contextmanager
    def after_failure(self) -> Iterator[None]:
        """Begin one where the block fails."""
        try:
            yield
        except (redis.ConnectionError, redis.TimeoutError):
            self._until = time.monotonic() + AWAY_S
            raise


class _Pausing:
    """What a connection does besides: whoever takes one from the pool connects it, so that it can refuse."""

    def __init__(self, *, pause: Pause, **options: Any) -> None:
        super().__init__(**options)
        self._pause = pause

    def connect(self) -> None:
        self._pause.refuse()
        with self._pause.after_failure():
            super().connect()  # type: ignore[misc]

    def send_packed_command(self, *args: Any, **options: Any) -> None:
        with self._pause.after_failure():
            super().send_packed_command(*args, **options)  # type: ignore[misc]

    def read_response(self, *args: Any, **options: Any) -> Any:
        with self._pause.after_failure():
            return super().read_response(*args, **options)  # type: ignore[misc]


def connect_redis(url: str) -> redis.Redis:
    """Return a client for commands that answer at once: Redis is a messenger, never worth waiting for.

    After a failure it refuses at once for ``AWAY_S``, whether commands, pipelines or channels are asked for.
    """
    client = redis.Redis.from_url(url, pause=Pause(), **_patience(ANSWER_S))
    pool = client.connection_pool
    pool.connection_class = type("PausingConnection", (_Pausing, pool.connection_class), {})
    return client


def connect_listener(url: str) -> redis.Redis:
    """Return a client for commands that wait on the server, for less than ``LISTEN_S``."""
    return redis.Redis.from_url(url, **_patience(LISTEN_S))


def _patience(answer_s: float) -> dict[str, float]:
    return {"socket_connect_timeout": ANSWER_S, "socket_timeout": answer_s, "health_check_interval": 30}
