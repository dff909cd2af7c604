"""A Redis that takes connections and never answers: nobody waits for it twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from app import extensions
from app.worker.main import POLL_S
from tests.doubles.painted import painted_png, row_of_discs
from tests.servers import SilentServer
from tests.services.client import Client, data_of
from tests.services.conftest import MakeWorkplace
from tests.services.workplace import SQLITE


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[SilentServer]:
    monkeypatch.setattr(extensions, "ANSWER_S", 0.2)
    monkeypatch.setattr(extensions, "AWAY_S", 600.0)
    server = SilentServer()
    yield server
    server.close()


def url_of(server: SilentServer) -> str:
    return f"redis://{server.address}/0"


def test_after_one_wait_it_is_not_asked_again(silent: SilentServer) -> None:
    with extensions.connect_redis(url_of(silent)) as client:
        for _ in range(3):
            with pytest.raises(redis.RedisError):
                client.get("key")
    assert len(silent.asked) == 1


def test_a_pipeline_or_a_channel_that_waits_spares_the_others(silent: SilentServer) -> None:
    def piped(client: redis.Redis) -> None:
        with client.pipeline() as pipe:
            pipe.get("key")
            pipe.execute()

    def listened(client: redis.Redis) -> None:
        client.pubsub().subscribe("channel")

    def watched(client: redis.Redis) -> None:
        with client.pipeline() as pipe:
            pipe.watch("key")

    for n, ask in enumerate((piped, listened, watched), start=1):
        with extensions.connect_redis(url_of(silent)) as client:
            for again in (ask, ask, piped, listened, lambda client: client.get("key")):
                with pytest.raises(redis.RedisError):
                    again(client)
        assert len(silent.asked) == n


def test_after_a_while_it_is_asked_again(silent: SilentServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extensions, "AWAY_S", 0.0)
    with extensions.connect_redis(url_of(silent)) as client:
        for _ in range(2):
            with pytest.raises(redis.TimeoutError):
                client.get("key")
    assert len(silent.asked) == 2


def test_a_wrong_command_is_no_failure_of_the_server(redis_url: str) -> None:
    with extensions.connect_redis(redis_url) as client:
        client.set("key", "text")
        with pytest.raises(redis.ResponseError):
            client.incr("key")
        assert client.get("key") == b"text"


@SQLITE
def test_one_process_submits_counts_and_tells_with_one_wait(
    make_workplace: MakeWorkplace, silent: SilentServer
) -> None:
    client = Client(make_workplace(url_of(silent)))
    job_id = client.accepted(painted_png(row_of_discs(3)))["job_id"]
    client.work()
    assert data_of(client.get(f"/jobs/{job_id}/status"))["status"] == "completed"
    assert client.http.get("/readyz").json["checks"]["redis"]["status"] == "degraded"
    limiter_asks = 6  # it has a client of its own, and asks again at ever longer intervals
    assert len(silent.asked) <= 1 + limiter_asks


@SQLITE
def test_health_asks_nobody(make_workplace: MakeWorkplace, silent: SilentServer) -> None:
    assert Client(make_workplace(url_of(silent))).http.get("/healthz").status_code == 200
    assert silent.asked == []


def test_a_listener_waits_longer_than_its_longest_command() -> None:
    assert extensions.LISTEN_S > POLL_S
