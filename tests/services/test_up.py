"""``tally up`` for real: everything answers, whatever dies comes back, and nothing is left afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.config import Config
from app.embedded import private_folder, redis_server_path
from tests.servers import free_port

pytestmark = [
    pytest.mark.services,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("up"),  # four of these at once would only slow each other down
]
ROLES = {"web": "gunicorn", "worker": "app worker", "scheduler": "app scheduler", "redis": "redis-server"}


def wait_for(condition: Callable[[], object], what: str, limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)


class Tally:
    """One ``tally up`` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.log = folder / "up.log"
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
        env |= {"TALLY_PORT": str(self.port), "TMPDIR": str(self.folder.parent)}
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", "up"], cwd=self.folder, env=env, stdout=out, stderr=out
            )
        wait_for(self.is_healthy, f"the web server\n{self.log.read_text()}")
        wait_for(lambda: len(self.children()) == len(ROLES), f"all children\n{self.log.read_text()}")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return json.load(answer)

    def is_healthy(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return bool(self.get("/healthz"))
        except (OSError, urllib.error.URLError):
            return False

    def children(self) -> dict[str, psutil.Process]:
        found = {}
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                command = " ".join(child.cmdline())
                found |= {role: child for role, word in ROLES.items() if word in command}
        return found

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)


@pytest.fixture
def tally(tmp_path: Path, server_folder: Path) -> Iterator[Tally]:
    if redis_server_path() is None:
        pytest.skip("no redis-server")
    folder = server_folder / tmp_path.name
    folder.mkdir()
    tally = Tally(folder)
    yield tally
    tally.stop()


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return those that run; a zombie has ended, whoever will collect it."""
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_ctrl_c_ends_every_process_and_frees_the_port(tally: Tally) -> None:
    tally.start()
    family = tally.family()
    assert "Tally is ready" in tally.log.read_text()
    assert "coin" in [row["name"] for row in tally.get("/api/v1/types")["data"]]
    tally.process.send_signal(signal.SIGINT)
    assert tally.process.wait(60) == 0
    assert alive(family) == []
    assert is_free(tally.port)


def test_every_part_that_is_killed_comes_back(tally: Tally) -> None:
    tally.start()
    before = tally.children()
    for child in before.values():
        child.kill()

    def all_are_new() -> bool:
        now = tally.children()
        return now.keys() == before.keys() and all(now[role].pid != before[role].pid for role in ROLES)

    wait_for(all_are_new, "new processes")
    wait_for(tally.is_healthy, "the web server")
    wait_for(lambda: tally.get("/readyz")["checks"], "the checks")


def test_after_a_killed_supervisor_the_next_one_starts_in_its_place(tally: Tally) -> None:
    tally.start()
    orphans = tally.family()
    tally.process.kill()
    tally.process.wait()
    tally.start()
    assert alive(orphans) == []


def test_a_second_one_in_the_same_folder_is_refused(tally: Tally) -> None:
    tally.start()
    env = os.environ | {"TALLY_PORT": str(free_port()), "TMPDIR": str(tally.folder.parent)}
    second = subprocess.run(
        [sys.executable, "-m", "app", "up"],
        cwd=tally.folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 1
    assert "already runs in this folder" in second.stderr


def test_the_private_folder_is_open_to_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = private_folder(Config())
    folder.chmod(0o777)
    assert private_folder(Config()) == folder
    assert folder.stat().st_mode & 0o077 == 0
