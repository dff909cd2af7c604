"""Real worker processes, real faults: nothing accepted is lost, nothing is counted twice."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest
import redis

from app.jobs.service import cancel_job
from app.jobs.states import TERMINAL_EVENTS, EventType, ImageStatus, JobStatus
from app.worker.reconcile import reconcile
from tests.doubles.pipeline import script
from tests.servers import MariaDBServer, RedisServer, free_port
from tests.services.conftest import MakeWorkplace
from tests.services.workplace import SQLITE, Workplace


class Gate:
    """An image that waits inside the pipeline until it is let through."""

    def __init__(self, folder: Path) -> None:
        self.begun, self.opened = folder / "gate-begun", folder / "gate-opened"

    def script(self, count: int) -> bytes:
        return script(count=count, begun=str(self.begun), wait_for=str(self.opened))

    def wait_begun(self, workplace: Workplace) -> None:
        workplace.wait(self.begun.exists, "an image in work")

    def open(self) -> None:
        self.opened.touch()


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def assert_counted_once(workplace: Workplace, job_id: str, counts: list[int | None]) -> None:
    """The job has ended well, with these counts, one result an image and one end."""
    job = workplace.wait_end(job_id)
    assert job.status == JobStatus.COMPLETED, workplace.logged()
    assert workplace.counts(job_id) == counts
    assert workplace.n_instances(job_id) == sum(count or 0 for count in counts)
    events = workplace.events(job_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    done = [e.data["file_id"] for e in events if e.type == EventType.IMAGE_COMPLETED]
    counted = [image.image_id for image in workplace.images(job_id) if image.count is not None]
    assert sorted(done) == sorted(counted)
    assert [event.type in TERMINAL_EVENTS for event in events] == [False] * (len(events) - 1) + [True]


def reconcile_until(workplace: Workplace, job_id: str) -> None:
    """Do what the scheduler does, until the job has ended."""

    def is_done() -> bool:
        with workplace.app.app_context():
            reconcile()
        return workplace.job(job_id).completed_at is not None

    workplace.wait(is_done, "the end of the job")


def test_a_worker_killed_in_the_middle_of_a_job(make_workplace: MakeWorkplace, gate: Gate) -> None:
    workplace = make_workplace(batch_max=3, lease_s=1)
    job_id = workplace.submit(
        script(count=1), gate.script(2), script(count=3), script(count=4), announce=True
    )
    first = workplace.worker()
    gate.wait_begun(workplace)
    workplace.wait(lambda: workplace.counts(job_id)[0] == 1, "the first result")
    first.kill()
    assert first.wait(30) == -signal.SIGKILL
    assert workplace.counts(job_id) == [1, None, None, None]
    gate.open()
    workplace.worker()
    reconcile_until(workplace, job_id)
    assert_counted_once(workplace, job_id, [1, 2, 3, 4])
    assert [image.attempts for image in workplace.images(job_id)] == [1, 2, 2, 1]


@SQLITE
def test_a_flushed_redis(make_workplace: MakeWorkplace, redis_url: str, gate: Gate) -> None:
    workplace = make_workplace(redis_url, batch_max=1)
    job_id = workplace.submit(gate.script(2), script(count=3), announce=True)
    workplace.worker()
    gate.wait_begun(workplace)
    other = workplace.submit(script(count=5), announce=True)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    gate.open()
    assert_counted_once(workplace, job_id, [2, 3])
    assert_counted_once(workplace, other, [5])


@SQLITE
def test_redis_is_away_while_a_job_is_submitted_and_comes_back(
    make_workplace: MakeWorkplace, redis_server: RedisServer, gate: Gate
) -> None:
    workplace = make_workplace(redis_server.url, batch_max=1)
    before = workplace.submit(gate.script(2), script(count=1), announce=True)
    workplace.worker()
    gate.wait_begun(workplace)
    redis_server.stop(kill=True)
    during = workplace.submit(script(count=3), announce=True)
    gate.open()
    assert_counted_once(workplace, during, [3])
    assert_counted_once(workplace, before, [2, 1])
    redis_server.start()
    after = workplace.submit(script(count=4), announce=True)
    assert_counted_once(workplace, after, [4])


@SQLITE
def test_there_is_no_redis_at_all(make_workplace: MakeWorkplace) -> None:
    workplace = make_workplace(f"redis://127.0.0.1:{free_port()}/0")
    job_id = workplace.submit(script(count=2), script(count=3), announce=True)
    workplace.worker()
    assert_counted_once(workplace, job_id, [2, 3])


def test_two_workers_race_for_the_same_images(make_workplace: MakeWorkplace, tmp_path: Path) -> None:
    workplace = make_workplace(batch_max=2)
    begun = tmp_path / "begun"
    counts: list[int | None] = [n % 7 for n in range(30)]
    job_id = workplace.submit(*[script(count=n, begun=str(begun)) for n in counts], announce=True)
    for _ in range(2):
        workplace.worker()
    assert_counted_once(workplace, job_id, counts)
    lines = [line.split() for line in begun.read_text().splitlines()]
    assert Counter(key for _, key in lines).most_common(1)[0][1] == 1


def test_an_image_that_kills_its_worker_fails_alone(make_workplace: MakeWorkplace) -> None:
    workplace = make_workplace(lease_s=1, max_attempts=2)
    scripts = [script(count=n) for n in (1, 2, 3)]
    job_id = workplace.submit(*scripts[:1], script(die=True), *scripts[1:], announce=True)
    process = workplace.worker()

    def is_done() -> bool:
        nonlocal process
        if process.poll() is not None:  # what the supervisor does
            process = workplace.worker()
        with workplace.app.app_context():
            reconcile()
        return workplace.job(job_id).completed_at is not None

    workplace.wait(is_done, "the end of the job")
    assert_counted_once(workplace, job_id, [1, None, 2, 3])
    images = workplace.images(job_id)
    assert (images[1].status, images[1].error_code) == (ImageStatus.FAILED, "MAX_RETRIES")
    assert workplace.job(job_id).partial


def test_a_job_is_cancelled_while_it_is_counted(make_workplace: MakeWorkplace, gate: Gate) -> None:
    workplace = make_workplace(batch_max=8)
    job_id = workplace.submit(script(count=1), gate.script(2), gate.script(3), announce=True)
    workplace.worker()
    gate.wait_begun(workplace)
    workplace.wait(lambda: workplace.counts(job_id)[0] == 1, "the first result")
    with workplace.app.app_context():
        cancel_job(job_id)
    gate.open()
    next_job = workplace.submit(script(count=4), announce=True)
    assert_counted_once(workplace, next_job, [4])
    assert workplace.job(job_id).status == JobStatus.CANCELLED
    assert [image.status for image in workplace.images(job_id)] == ["completed", "cancelled", "cancelled"]
    assert workplace.n_instances(job_id) == 1
    assert workplace.events(job_id)[-1].type == EventType.JOB_CANCELLED


@SQLITE
def test_a_stopped_worker_finishes_its_image_and_gives_the_others_back(
    make_workplace: MakeWorkplace, gate: Gate
) -> None:
    workplace = make_workplace(lease_s=60)
    job_id = workplace.submit(gate.script(2), script(count=3), announce=True)
    process = workplace.worker()
    gate.wait_begun(workplace)
    os.kill(process.pid, signal.SIGTERM)
    gate.open()
    assert process.wait(30) == 0, workplace.logged()
    done, waiting = workplace.images(job_id)
    assert (done.count, waiting.status, waiting.attempts) == (2, ImageStatus.QUEUED, 0)
    workplace.worker()
    assert_counted_once(workplace, job_id, [2, 3])


def test_the_database_restarts_in_the_middle_of_a_job(
    mariadb_server: MariaDBServer, redis_url: str, tmp_path: Path, gate: Gate
) -> None:
    workplace = Workplace(mariadb_server.empty_database("restarted"), redis_url, tmp_path, lease_s=60)
    try:
        job_id = workplace.submit(script(count=1), gate.script(2), script(count=3), announce=True)
        workplace.worker()
        gate.wait_begun(workplace)
        mariadb_server.stop()
        gate.open()
        workplace.wait(lambda: "database unavailable" in workplace.logged(), "the worker to notice")
        mariadb_server.start()
        assert_counted_once(workplace, job_id, [1, 2, 3])
        assert [image.attempts for image in workplace.images(job_id)] == [1, 1, 1]
    finally:
        workplace.close()
