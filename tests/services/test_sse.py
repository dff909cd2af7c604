"""Event streams over real HTTP from a real server: nothing is missed, nothing doubled, one end."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.events.service import CHANNEL
from app.extensions import db, redis_client
from app.jobs.models import Job
from app.jobs.service import cancel_job
from app.jobs.states import TERMINAL_EVENTS
from tests.doubles.pipeline import script
from tests.servers import MariaDBServer, RedisServer, free_port
from tests.services.conftest import MakeWorkplace
from tests.services.sse import Event, follow
from tests.services.workplace import SQLITE, Workplace

MARIADB = pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)


def serve(workplace: Workplace) -> str:
    """Start the web server of a workplace as production does, and return its address."""
    port = free_port()
    options = ["--config", "deploy/gunicorn.conf.py", "--bind", f"127.0.0.1:{port}"]
    workplace.start("gunicorn", *options, "wsgi:application")
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        try:
            return httpx.get(f"{url}/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    workplace.wait(is_up, "the web server")
    return url


def gate_script(tmp_path: Path, name: str, count: int) -> bytes:
    return script(count=count, begun=str(tmp_path / f"{name}-begun"), wait_for=str(tmp_path / name))


def ids(events: list[Event]) -> list[int]:
    return [event.id for event in events if event.id is not None]


def assert_whole(events: list[Event], workplace: Workplace, job_id: str) -> None:
    """The durable events are exactly the rows, in order, and the last is the only terminal one."""
    durable = [event for event in events if event.id is not None]
    assert [(event.id, event.type) for event in durable] == [
        (row.seq, row.type) for row in workplace.events(job_id)
    ]
    assert [event.type in TERMINAL_EVENTS for event in durable] == [False] * (len(durable) - 1) + [True]


def test_a_connection_dropped_in_the_middle_of_a_job_is_resumed(workplace: Workplace, tmp_path: Path) -> None:
    url = serve(workplace)
    scripts = script(count=2), gate_script(tmp_path, "one", 3), gate_script(tmp_path, "two", 4)
    job_id = workplace.submit(*scripts, announce=True)
    workplace.worker()
    with follow(url, job_id) as stream:
        before = stream.until("image.completed")
    (tmp_path / "one").touch()
    workplace.wait(lambda: workplace.counts(job_id)[:2] == [2, 3], "the second image")
    with follow(url, job_id, last_event_id=ids(before)[-1]) as stream:
        missed = stream.until("image.completed")
        (tmp_path / "two").touch()
        rest = stream.until("job.completed")
    assert_whole(before + missed + rest, workplace, job_id)
    assert [e.data["image_count"] for e in before + missed + rest if e.type == "image.completed"] == [2, 3, 4]


@SQLITE
def test_a_stream_outlives_redis(
    make_workplace: MakeWorkplace, redis_server: RedisServer, tmp_path: Path
) -> None:
    workplace = make_workplace(redis_server.url)
    url = serve(workplace)
    job_id = workplace.submit(gate_script(tmp_path, "one", 3), gate_script(tmp_path, "two", 4), announce=True)
    workplace.worker()
    with follow(url, job_id) as stream:
        events = stream.until("job.processing")
        redis_server.stop(kill=True)
        (tmp_path / "one").touch()
        events += stream.until("image.completed")
        redis_server.start()
        (tmp_path / "two").touch()
        events += stream.until("job.completed")
    assert_whole(events, workplace, job_id)


@SQLITE
def test_a_stream_without_any_redis(make_workplace: MakeWorkplace) -> None:
    workplace = make_workplace(f"redis://127.0.0.1:{free_port()}/0")
    url = serve(workplace)
    job_id = workplace.submit(script(count=3))
    with follow(url, job_id) as stream:
        events = stream.until("job.queued")
        workplace.drain()
        events += stream.until("job.completed")
    assert_whole(events, workplace, job_id)


@SQLITE
def test_the_grammar_of_a_stream(make_workplace: MakeWorkplace) -> None:
    workplace = make_workplace(sse_heartbeat_s=1)
    url = serve(workplace)
    job_id = workplace.submit(script(count=3))
    with follow(url, job_id) as stream:
        headers = stream.response.headers
        assert headers["content-type"].partition(";")[0] == "text/event-stream"
        assert (headers["x-accel-buffering"], headers["cache-control"]) == ("no", "no-store")
        seen = iter(stream)
        assert next(seen).type == "job.queued"
        assert next(seen).comment == "heartbeat"
        assert stream.retry_ms == 2000
        with workplace.app.app_context():
            cancel_job(job_id)
        left = [event for event in seen if not event.comment]
        assert [event.type for event in left] == ["job.cancelled"]


@SQLITE
def test_requests_that_get_no_stream(workplace: Workplace) -> None:
    url = serve(workplace)
    job_id = workplace.submit(script(count=3))
    workplace.drain()
    events = f"{url}/api/v1/jobs/{job_id}/events"
    last = workplace.events(job_id)[-1].seq
    assert httpx.get(events, headers={"Last-Event-ID": str(last)}).status_code == 204
    assert httpx.get(events, params={"last_event_id": last}).status_code == 204
    assert httpx.get(events, headers={"Last-Event-ID": "9" * 40}).status_code == 204
    bad = httpx.get(events, headers={"Last-Event-ID": "x"})
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    unknown = httpx.get(f"{url}/api/v1/jobs/job_x/events")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "JOB_NOT_FOUND")
    whole = httpx.get(events)
    assert whole.text.count("event: ") == last


@SQLITE
def test_progress_is_passed_on_four_times_a_second_at_most(workplace: Workplace) -> None:
    url = serve(workplace)
    job_id = workplace.submit(script(count=3))
    n_sent = 40
    with follow(url, job_id) as stream, workplace.app.app_context():
        stream.until("job.queued")
        started = time.monotonic()
        for number in range(n_sent):
            message = {"job_id": job_id, "data": {"job_id": job_id, "number": number}}
            redis_client().publish(CHANNEL, json.dumps(message))
            time.sleep(0.025)
        seconds = time.monotonic() - started
        cancel_job(job_id)
        events = stream.until("job.cancelled")
    numbers = [event.data["number"] for event in events if event.type == "stage.progress"]
    assert 2 <= len(numbers) <= seconds * 4 + 1
    assert numbers == sorted(numbers)
    assert {event.id for event in events if event.type == "stage.progress"} == {None}


@SQLITE
def test_a_real_worker_reports_progress_on_the_way(workplace: Workplace, tmp_path: Path) -> None:
    url = serve(workplace)
    job_id = workplace.submit(gate_script(tmp_path, "one", 3), announce=True)
    workplace.worker()
    with follow(url, job_id) as stream:
        progress = stream.until("stage.progress")[-1]
    (tmp_path / "one").touch()
    assert (progress.data["current_stage"], progress.data["percentage"]) == ("segment", 40.0)
    assert progress.data["file_id"] == workplace.images(job_id)[0].image_id


@SQLITE
def test_a_deleted_job_ends_its_streams(workplace: Workplace) -> None:
    url = serve(workplace)
    job_id = workplace.submit(script(count=3))
    with follow(url, job_id) as stream:
        stream.until("job.queued")
        with workplace.app.app_context():
            db.session.delete(db.session.get_one(Job, job_id))
            db.session.commit()
        assert list(stream.events()) == []


@MARIADB
def test_idle_streams_hold_no_database_connection(
    workplace: Workplace, mariadb_server: MariaDBServer
) -> None:
    url = serve(workplace)
    job_id = workplace.submit(script(count=3))
    with ExitStack() as streams:
        opened = [streams.enter_context(follow(url, job_id)) for _ in range(40)]
        for stream in opened:
            stream.until("job.queued")
        assert n_connections(workplace) <= 10
        assert metric(url, "sse_connections") == 40
        workplace.drain()
        for stream in opened:
            stream.until("job.completed")
    workplace.wait(lambda: metric(url, "sse_connections") == 0, "the streams to be forgotten")


def n_connections(workplace: Workplace) -> int:
    with workplace.app.app_context():
        query = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'root'"
        found: int = db.session.connection().exec_driver_sql(query).scalar_one()
        return found


def metric(url: str, name: str) -> float:
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)
