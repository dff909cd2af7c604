"""Extensions, created unbound here and bound to the application in ``create_app``."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def config() -> Config:
    """Return the running application's configuration."""
    settings: Config = current_app.extensions["tally_config"]
    return settings


def redis_client() -> redis.Redis:
    """Return the running application's Redis client; connecting happens at the first command."""
    client: redis.Redis = current_app.extensions["tally_redis"]
    return client


def connect_redis(url: str) -> redis.Redis:
    """Return a client with short time-outs: Redis is a messenger, never worth waiting for."""
    return redis.Redis.from_url(url, socket_connect_timeout=1.0, socket_timeout=5.0, health_check_interval=30)
