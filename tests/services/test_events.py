"""Durable events are numbered without gaps, whoever writes them, and read back after any number."""

from __future__ import annotations

import threading

from app.database import transaction
from app.events.service import events_after, record
from app.extensions import db
from app.jobs.states import EventType, JobStatus
from app.jobs.transitions import transition
from tests.doubles.pipeline import script
from tests.services.workplace import Workplace

PHOTO = script(count=1)


def test_concurrent_writers_number_a_jobs_events_without_gaps(workplace: Workplace) -> None:
    job_id = workplace.submit(PHOTO)

    def write() -> None:
        for _ in range(5):
            with workplace.app.app_context(), transaction() as session:
                record(session, job_id, EventType.IMAGE_COMPLETED)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.seq for event in workplace.events(job_id)] == list(range(1, 22))


def test_events_of_several_jobs_are_read_after_a_number_each(workplace: Workplace) -> None:
    one, two, seen = (workplace.submit(PHOTO) for _ in range(3))
    workplace.drain()
    with workplace.app.app_context():
        rows = events_after(db.session(), {one: 2, two: 3, seen: 4, "job_gone": 0})
    assert [(row["job_id"], row["seq"]) for row in rows] == [(one, 3), (one, 4), (two, 4)]


def test_nobody_followed_means_nothing_read(workplace: Workplace) -> None:
    with workplace.app.app_context():
        assert events_after(db.session(), {}) == []


def test_an_event_that_is_rolled_back_leaves_no_gap(workplace: Workplace) -> None:
    job_id = workplace.submit(PHOTO)
    with workplace.app.app_context():
        try:
            with transaction() as session:
                record(session, job_id, EventType.IMAGE_COMPLETED)
                raise RuntimeError("something else fails")
        except RuntimeError:
            pass
        with transaction() as session:
            assert record(session, job_id, EventType.IMAGE_FAILED, {"file_id": "img_1"}) == 2
    assert workplace.events(job_id)[-1].data["file_id"] == "img_1"


def test_no_state_is_left_but_by_the_transitions_there_are(workplace: Workplace) -> None:
    allowed = {
        ("queued", "processing"),
        ("queued", "failed"),
        ("queued", "cancelled"),
        ("processing", "completed"),
        ("processing", "failed"),
        ("processing", "cancelled"),
    }
    ways: dict[str, list[JobStatus]] = {
        "queued": [],
        "processing": [JobStatus.PROCESSING],
        "completed": [JobStatus.PROCESSING, JobStatus.COMPLETED],
        "failed": [JobStatus.FAILED],
        "cancelled": [JobStatus.CANCELLED],
    }
    for source, way in ways.items():
        for target in JobStatus:
            job_id = workplace.submit(PHOTO)
            with workplace.app.app_context(), transaction() as session:
                assert all(transition(session, job_id, step) for step in way)
                is_moved = transition(session, job_id, target)
            assert is_moved == ((source, target.value) in allowed), (source, target)
            assert workplace.job(job_id).status == (target if is_moved else source)
