"""Extensions, created unbound here and bound to the application in ``create_app``."""

from __future__ import annotations

import time
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


class Messenger(redis.Redis):
    """A client that lets others pay no second time: after a failure it refuses at once for ``AWAY_S``.

    A Redis that hangs takes connections and never answers; each command would cost a request, or a lease,
    another ``ANSWER_S``.
    """

    _away_until = 0.0

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command. Raises RedisError, also without sending it."""
        self._refuse_while_away()
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except (redis.ConnectionError, redis.TimeoutError):
            self._away_until = time.monotonic() + AWAY_S
            raise

    def pipeline(self, *args: Any, **options: Any) -> Any:
        """Return a pipeline. Raises RedisError."""
        self._refuse_while_away()
        return super().pipeline(*args, **options)

    def _refuse_while_away(self) -> None:
        if time.monotonic() < self._away_until:
            raise redis.ConnectionError("Redis did not answer a moment ago")


def connect_redis(url: str) -> redis.Redis:
    """Return a client for commands that answer at once: Redis is a messenger, never worth waiting for."""
    return Messenger.from_url(url, **_patience(ANSWER_S))


def connect_listener(url: str) -> redis.Redis:
    """Return a client for commands that wait on the server, for less than ``LISTEN_S``."""
    return redis.Redis.from_url(url, **_patience(LISTEN_S))


def _patience(answer_s: float) -> dict[str, float]:
    return {"socket_connect_timeout": ANSWER_S, "socket_timeout": answer_s, "health_check_interval": 30}
