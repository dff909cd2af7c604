"""The worker takes RQ messages, lives without them, and says that it lives."""

from __future__ import annotations

import threading

import pytest
import redis

from app.extensions import connect_listener, redis_client
from app.jobs.queue import (
    announce_work,
    live_workers,
    message_queue,
    queue_length,
    report_alive,
    report_gone,
)
from app.jobs.states import JobStatus
from app.worker.main import MessageListener, run_worker
from tests.doubles import pipeline
from tests.doubles.pipeline import script
from tests.servers import RedisServer, free_port
from tests.services.conftest import MakeWorkplace
from tests.services.workplace import ENGINE_KEY, SQLITE, Workplace

pytestmark = SQLITE  # these tests are about Redis


@pytest.fixture
def listener(workplace: Workplace) -> MessageListener:
    workplace.app.extensions["tally_director"] = workplace.director()
    return MessageListener("a worker", connect_listener(workplace.config.redis_url))


def test_a_message_is_executed_and_leaves_nothing_behind(
    workplace: Workplace, listener: MessageListener
) -> None:
    job_id = workplace.submit(script(count=2), announce=True)
    with workplace.app.app_context():
        assert listener.listen(5)
        assert message_queue(redis_client()).count == 0
        left = [key.decode() for key in redis_client().keys("rq:job:*")]
    assert workplace.job(job_id).status == JobStatus.COMPLETED
    assert left == []


def test_a_batch_announces_the_images_it_left(make_workplace: MakeWorkplace) -> None:
    workplace = make_workplace(batch_max=2)
    workplace.submit(*[script(count=1)] * 3)
    with workplace.app.app_context():
        assert workplace.director().work(ENGINE_KEY) == 2
        assert message_queue(redis_client()).count == 1


def test_a_doubled_message_does_no_harm(workplace: Workplace, listener: MessageListener) -> None:
    job_id = workplace.submit(script(count=2))
    with workplace.app.app_context():
        announce_work(ENGINE_KEY)
        announce_work(ENGINE_KEY)
        assert listener.listen(5)
        assert listener.listen(5)
    assert (workplace.counts(job_id), workplace.n_instances(job_id)) == ([2], 2)


def test_no_message_is_no_error(workplace: Workplace, listener: MessageListener) -> None:
    with workplace.app.app_context():
        assert not listener.listen(1)


def test_a_listener_survives_a_redis_that_forgot_everything(
    workplace: Workplace, listener: MessageListener
) -> None:
    with workplace.app.app_context():
        assert not listener.listen(1)
        redis_client().flushall()
        job_id = workplace.submit(script(count=2), announce=True)
        assert listener.listen(5)
    assert workplace.counts(job_id) == [2]


def test_a_listener_says_when_redis_is_away(make_workplace: MakeWorkplace) -> None:
    make_workplace(f"redis://127.0.0.1:{free_port()}/0")
    listener = MessageListener("a worker", connect_listener(f"redis://127.0.0.1:{free_port()}/0"))
    with pytest.raises(redis.ConnectionError):
        listener.listen(1)


def test_a_worker_ends_after_its_batches_so_that_a_fresh_one_can_start(make_workplace: MakeWorkplace) -> None:
    workplace = make_workplace(batch_max=1)
    job_id = workplace.submit(*[script(count=1)] * 3, announce=True)
    assert run_worker(workplace.app, pipeline.count_batch, max_batches=2) == 2
    assert workplace.counts(job_id) == [1, 1, None]


def test_workers_are_counted_while_they_report(workplace: Workplace) -> None:
    with workplace.app.app_context():
        assert live_workers() == 0
        report_alive("one")
        report_alive("two")
        report_alive("one")
        assert live_workers() == 2
        report_gone("one")
        assert live_workers() == 1


def test_without_redis_workers_are_counted_by_their_leases(
    make_workplace: MakeWorkplace, redis_server: RedisServer
) -> None:
    workplace = make_workplace(redis_server.url)
    workplace.submit(script(count=1))
    seen: list[int] = []

    def count_batch(requests: object, **kwargs: object) -> list[object]:
        redis_server.stop(kill=True)
        with workplace.app.app_context():
            seen.append(live_workers())
        return pipeline.count_batch(requests, **kwargs)  # type: ignore[arg-type,return-value]

    with workplace.app.app_context():
        workplace.director(count_batch, threading.Event()).work(ENGINE_KEY)  # type: ignore[arg-type]
        assert (seen, live_workers()) == ([1], 0)


def test_the_queue_is_as_long_as_its_images(workplace: Workplace) -> None:
    workplace.submit(script(count=1), script(count=2))
    with workplace.app.app_context():
        assert queue_length() == 2
    workplace.drain()
    with workplace.app.app_context():
        assert queue_length() == 0
