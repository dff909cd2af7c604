"""A lease lives as long as its worker works on the image, and no longer."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app.database import transaction
from app.jobs.models import JobImage
from app.jobs.states import EventType, JobStatus
from app.jobs.transitions import transition
from app.worker.claims import ClaimedImage, claim
from app.worker.progress import Heartbeat
from tests.doubles import pipeline
from tests.doubles.pipeline import script
from tests.services.conftest import MakeWorkplace
from tests.services.test_reconcile import lose_worker, run_round
from tests.services.workplace import ENGINE_KEY, Workplace


@pytest.fixture
def stopping() -> threading.Event:
    return threading.Event()


@pytest.fixture
def claimed(workplace: Workplace) -> list[ClaimedImage]:
    workplace.submit(script(count=1), script(count=2))
    with workplace.app.app_context(), transaction() as session:
        return claim(session, ENGINE_KEY, 8, "me", workplace.config.lease_s)


@pytest.fixture
def heartbeat(
    workplace: Workplace, claimed: list[ClaimedImage], stopping: threading.Event
) -> Iterator[Heartbeat]:
    with Heartbeat(workplace.app, "me", claimed, stopping) as beating:
        yield beating


def lease_ends(workplace: Workplace, job_id: str) -> list[datetime]:
    return [image.lease_until for image in workplace.images(job_id) if image.lease_until]


def test_a_silent_forward_pass_keeps_its_leases(
    workplace: Workplace, claimed: list[ClaimedImage], heartbeat: Heartbeat
) -> None:
    job_id = claimed[0].job_id
    before = lease_ends(workplace, job_id)
    for _ in range(3):
        ends = lease_ends(workplace, job_id)
        workplace.wait(lambda ends=ends: min(lease_ends(workplace, job_id)) > max(ends), "a heartbeat")
        assert run_round(workplace).expired == 0
    assert (min(lease_ends(workplace, job_id)) - max(before)).total_seconds() >= 1
    assert all(heartbeat.is_wanted(image.key) for image in claimed)


def test_progress_reaches_the_rows(
    workplace: Workplace, claimed: list[ClaimedImage], heartbeat: Heartbeat
) -> None:
    heartbeat.report(claimed[1].key, "segment", 0.25)
    workplace.wait(lambda: workplace.images(claimed[0].job_id)[1].progress == 0.25, "the progress")
    assert [image.stage for image in workplace.images(claimed[0].job_id)] == [None, "segment"]


def test_a_lost_lease_is_noticed_and_not_touched(
    workplace: Workplace, claimed: list[ClaimedImage], heartbeat: Heartbeat
) -> None:
    with workplace.app.app_context(), transaction() as session:
        mine = JobImage.id == claimed[0].id
        session.execute(update(JobImage).where(mine).values(lease_owner="other", progress=0.5))
    workplace.wait(lambda: not heartbeat.is_ours(claimed[0].key), "the loss to be noticed")
    heartbeat.report(claimed[0].key, "segment", 0.9)
    heartbeat.report(claimed[1].key, "segment", 0.1)
    workplace.wait(lambda: workplace.images(claimed[0].job_id)[1].progress == 0.1, "the other's progress")
    assert workplace.images(claimed[0].job_id)[0].progress == 0.5
    assert heartbeat.is_wanted(claimed[1].key)


def test_a_cancelled_job_is_not_wanted(
    workplace: Workplace, claimed: list[ClaimedImage], heartbeat: Heartbeat
) -> None:
    with workplace.app.app_context(), transaction() as session:
        assert transition(session, claimed[0].job_id, JobStatus.CANCELLED)
    workplace.wait(lambda: not any(heartbeat.is_wanted(image.key) for image in claimed), "the cancel")


def test_nothing_is_wanted_while_stopping(
    claimed: list[ClaimedImage], heartbeat: Heartbeat, stopping: threading.Event
) -> None:
    stopping.set()
    assert not heartbeat.is_wanted(claimed[0].key)
    assert heartbeat.is_ours(claimed[0].key)


def test_what_was_begun_is_still_wanted_while_stopping(
    claimed: list[ClaimedImage], heartbeat: Heartbeat, stopping: threading.Event
) -> None:
    begun, decoded = (image.key for image in claimed)
    heartbeat.report(begun, "segment", 0.1)
    heartbeat.report(decoded, "preprocess", 0.0)
    stopping.set()
    assert heartbeat.is_wanted(begun)
    assert not heartbeat.is_wanted(decoded)


def test_the_last_two_images_end_their_job_once(make_workplace: MakeWorkplace) -> None:
    workplace = make_workplace(batch_max=1)
    jobs = [workplace.submit(script(count=1), script(count=2)) for _ in range(6)]
    together = threading.Barrier(2, timeout=30)

    def count_batch(requests: Any, **kwargs: Any) -> Any:
        together.wait()
        return pipeline.count_batch(requests, **kwargs)

    def work() -> None:
        with workplace.app.app_context():
            director = workplace.director(count_batch)
            for _ in range(len(jobs)):
                assert director.work_any()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for job_id in jobs:
        assert workplace.job(job_id).status == JobStatus.COMPLETED
        kinds = [event.type for event in workplace.events(job_id)]
        assert (kinds[-1], kinds.count(EventType.JOB_COMPLETED)) == (EventType.JOB_COMPLETED, 1)
        assert workplace.n_instances(job_id) == 3


def test_the_scheduler_takes_back_what_a_dead_worker_left(workplace: Workplace) -> None:
    job_id = workplace.submit(script(count=1))
    lose_worker(workplace)
    process = workplace.start("app", "scheduler")
    workplace.wait(lambda: workplace.images(job_id)[0].status == "queued", "the scheduler")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, workplace.logged()


def test_the_command_line_reconciles(workplace: Workplace, tmp_path: Path) -> None:
    workplace.submit(script(count=1), script(count=1))
    lose_worker(workplace)
    process = workplace.start("app", "jobs", "reconcile")
    assert process.wait(60) == 0, workplace.logged()
    printed = dict(line.rsplit(maxsplit=1) for line in workplace.logged().splitlines() if line[0] != "{")
    assert (printed["expired"], printed["timed out"], printed["ended"]) == ("2", "0", "0")
