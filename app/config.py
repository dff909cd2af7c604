"""Configuration: ``TALLY_*`` environment variables, read once into a frozen ``Config``.

This table is the one place for names, defaults and meanings; ``.env.example`` lists the same.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

_PREFIX = "TALLY_"


class ConfigError(ValueError):
    """A variable is malformed; the message names it and says what was wanted and what came."""


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError
        return value

    parse.__doc__ = f"an integer from {low} to {high}"
    return parse


def _optional_integer(low: int, high: int) -> Callable[[str], int | None]:
    inner = _integer(low, high)

    def parse(text: str) -> int | None:
        return inner(text) if text else None

    parse.__doc__ = f"empty, or {inner.__doc__}"
    return parse


def _text(text: str) -> str:
    """any text"""  # noqa: D403, D415 - completes the sentence "want ..."
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _delays_s(text: str) -> tuple[int, ...]:
    """one or more comma-separated numbers of seconds"""  # noqa: D403, D415
    delays = tuple(int(part) for part in _names(text))
    _require(bool(delays) and min(delays) >= 0)
    return delays


def _filled(text: str) -> str:
    """any text but none"""  # noqa: D403, D415
    _require(bool(text.strip()))
    return text


def _level(text: str) -> str:
    """DEBUG, INFO, WARNING or ERROR"""  # noqa: D415
    _require(text.upper() in ("DEBUG", "INFO", "WARNING", "ERROR"))
    return text


def _storage_url(text: str) -> str:
    """a folder, or s3://bucket/prefix"""  # noqa: D403, D415
    parts = urlsplit(_filled(text))
    _require("://" not in text or (parts.scheme == "s3" and bool(parts.netloc)))
    return text


def _database_url(text: str) -> str:
    """sqlite:///file, or mysql+pymysql://user:password@host/name"""  # noqa: D415
    parts = urlsplit(text)
    has_server = bool(parts.hostname) or "unix_socket=" in parts.query
    is_server = parts.scheme in ("mysql+pymysql", "mariadb+pymysql") and has_server
    _require(is_server or text.removeprefix("sqlite:///") not in (text, ""))
    return text


def _redis_url(text: str) -> str:
    """empty, or a URL that begins with redis://, rediss:// or unix://"""  # noqa: D415
    _require(not text or text.startswith(("redis://", "rediss://", "unix://")))
    return text


def _http_url(text: str) -> str:
    """empty, or an http or https URL"""  # noqa: D415
    _require(not text or _is_http(text))
    return text


def _dsn(text: str) -> str:
    """empty, or https://key@host/project"""  # noqa: D415
    parts = urlsplit(text)
    project = parts.path.rpartition("/")[2]
    _require(not text or (_is_http(text) and bool(parts.username) and project.isdecimal()))
    return text


def _origins(text: str) -> tuple[str, ...]:
    """comma-separated origins such as https://example.org, or *"""  # noqa: D415
    origins = _names(text)
    _require(all(one == "*" or (_is_http(one) and not urlsplit(one).path) for one in origins))
    return origins


def _is_http(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError


def _flag(text: str) -> bool:
    """true or false"""  # noqa: D403, D415
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


def _var(parse: Callable[[str], Any], default: Any, help_text: str, *, is_secret: bool = False) -> Any:
    return field(default=default, metadata={"parse": parse, "help": help_text, "is_secret": is_secret})


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set from outside. Field ``x_y`` is the variable ``TALLY_X_Y``."""

    host: str = _var(_filled, "127.0.0.1", "address the web server listens on")
    port: int = _var(_integer(1, 65535), 8000, "port the web server listens on")
    web_workers: int = _var(_integer(1, 64), 1, "gunicorn worker processes of `tally up`")
    database_url: str = _var(
        _database_url,
        "sqlite:///var/tally.sqlite3",
        "SQLAlchemy URL; mysql+pymysql://... in production",
        is_secret=True,
    )
    redis_url: str = _var(
        _redis_url, "", "Redis URL; empty is the private server of `tally up`", is_secret=True
    )
    storage_url: str = _var(_storage_url, "./media", "folder, or s3://bucket/prefix")
    s3_endpoint_url: str = _var(_http_url, "", "S3 API other than AWS, for example MinIO")
    weights_dir: str = _var(_filled, "./weights", "model weights, read-only at run time")
    cache_dir: str = _var(
        _filled, "./var/cache", "text embeddings and what weights were verified; may be emptied at any time"
    )
    secret_key: str = _var(_text, "", "signs cookies; random at every start when empty")
    sentry_dsn: str = _var(_dsn, "", "Sentry project; empty is off", is_secret=True)
    log_level: str = _var(_level, "INFO", "DEBUG, INFO, WARNING or ERROR")
    cors_origins: tuple[str, ...] = _var(_origins, (), "origins other than our own that may call the API")
    rate_limit_per_minute: int = _var(_integer(1, 1_000_000), 100, "requests a minute a client")
    max_file_bytes: int = _var(_integer(1, 2**40), 50 * 2**20, "largest accepted image file")
    max_body_bytes: int = _var(_integer(1, 2**40), 2**30, "largest accepted request body")
    max_files: int = _var(_integer(1, 10_000), 100, "images a job")
    retention_days: int = _var(_integer(1, 36_500), 7, "days until uploads are deleted")
    batch_max: int = _var(_integer(1, 64), 8, "images a worker takes at once")
    batch_window_ms: int = _var(_integer(0, 10_000), 10, "how long a worker waits for a batch to fill")
    lease_s: int = _var(_integer(1, 3600), 60, "seconds without a heartbeat until an image is taken back")
    max_attempts: int = _var(_integer(1, 20), 3, "attempts an image")
    retry_delays_s: tuple[int, ...] = _var(_delays_s, (60, 300, 900), "delay before each further attempt")
    queue_timeout_s: int | None = _var(
        _optional_integer(1, 10**7), None, "fail jobs queued longer; empty is never"
    )
    queue_max_images: int = _var(_integer(1, 10**8), 10_000, "images waiting before QUEUE_FULL")
    sse_heartbeat_s: int = _var(_integer(1, 600), 15, "seconds between comment heartbeats")
    torch_threads: int = _var(_integer(1, 256), 2, "CPU threads of a worker's models")
    trust_proxy: bool = _var(_flag, False, "believe X-Forwarded-For and -Proto of one proxy in front")

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, **overrides: Any) -> Self:
        """Return the configuration of ``env`` (default: the process environment).

        Raises:
            ConfigError: a variable is malformed, or a ``TALLY_`` variable is unknown.
        """
        env = os.environ if env is None else env
        by_name = {_PREFIX + f.name.upper(): f for f in fields(cls)}
        unknown = sorted(name for name in env if name.startswith(_PREFIX) and name not in by_name)
        if unknown:
            raise ConfigError(
                f"unknown variable {', '.join(unknown)}; known are {', '.join(sorted(by_name))}"
            )
        values = {f.name: _parse(name, f, env[name]) for name, f in by_name.items() if name in env}
        return cls(**(values | overrides))

    @property
    def sqlalchemy_url(self) -> str:
        """Database URL with the embedded database's path made absolute."""
        path = self.sqlite_path
        return f"sqlite:///{path.absolute()}" if path else self.database_url

    @property
    def embedded_redis_dir(self) -> Path:
        """Folder of the private redis-server: short (socket paths end at 107 bytes), one a working folder."""
        digest = hashlib.sha256(str(Path.cwd()).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"tally-{os.getuid()}-{digest}"

    @property
    def redis_connection_url(self) -> str:
        """URL to connect to: the configured one, or the private server's socket."""
        return self.redis_url or f"unix://{self.embedded_redis_dir / 'redis.sock'}"

    @property
    def is_sqlite(self) -> bool:
        """Whether the embedded database is used."""
        return self.database_url.startswith("sqlite")

    @property
    def sqlite_path(self) -> Path | None:
        """File of the embedded database, None for a server."""
        return Path(self.database_url.removeprefix("sqlite:///")) if self.is_sqlite else None


def _parse(name: str, spec: Any, text: str) -> Any:
    parse = spec.metadata["parse"]
    try:
        return parse(text)
    except (ValueError, KeyError):
        default = "" if spec.default is MISSING else f" (default {spec.default!r})"
        got = "another text, which may hold a password" if spec.metadata["is_secret"] else repr(text)
        raise ConfigError(f"{name}: want {parse.__doc__}{default}, got {got}") from None
