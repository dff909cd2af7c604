"""Images are shared out fairly, each to one worker, on SQLite and on MariaDB."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import update

from app.columns import utcnow
from app.database import transaction
from app.jobs.models import JobImage
from app.jobs.states import EventType, ImageStatus, JobStatus
from app.jobs.transitions import transition
from app.worker.claims import ClaimedImage, claim, next_engine_key
from tests.doubles.pipeline import script
from tests.services.workplace import ENGINE_KEY, Workplace

PHOTO = script(count=1)


def take(workplace: Workplace, limit: int, owner: str = "worker") -> list[ClaimedImage]:
    with workplace.app.app_context(), transaction() as session:
        return claim(session, ENGINE_KEY, limit, owner, lease_s=60)


def change(workplace: Workplace, job_id: str, **values: object) -> None:
    with workplace.app.app_context(), transaction() as session:
        session.execute(update(JobImage).where(JobImage.job_id == job_id).values(**values))


def test_every_job_gets_a_place_before_any_gets_a_second(workplace: Workplace) -> None:
    large = workplace.submit(*[PHOTO] * 10)
    small = workplace.submit(PHOTO)
    assert [image.job_id for image in take(workplace, 4)] == [large, small, large, large]


def test_more_jobs_than_places_take_turns(workplace: Workplace) -> None:
    jobs = [workplace.submit(PHOTO, PHOTO) for _ in range(3)]
    served = [image.job_id for _ in range(3) for image in take(workplace, 2)]
    assert served == [jobs[0], jobs[1], jobs[2], jobs[0], jobs[1], jobs[2]]


def test_priority_decides_within_a_turn(workplace: Workplace) -> None:
    normal = workplace.submit(PHOTO, PHOTO)
    urgent = workplace.submit(PHOTO, PHOTO, priority=5)
    assert [image.job_id for image in take(workplace, 3)] == [urgent, normal, urgent]


def test_an_image_that_was_tried_before_is_taken_alone(workplace: Workplace) -> None:
    tried = workplace.submit(PHOTO)
    change(workplace, tried, attempts=1)
    fresh = workplace.submit(PHOTO, PHOTO)
    assert [image.job_id for image in take(workplace, 8)] == [tried]
    assert [image.job_id for image in take(workplace, 8)] == [fresh, fresh]


def test_a_tried_image_does_not_join_a_batch_of_fresh_ones(workplace: Workplace) -> None:
    fresh = workplace.submit(PHOTO, PHOTO)
    tried = workplace.submit(PHOTO)
    change(workplace, tried, attempts=1)
    assert [image.job_id for image in take(workplace, 8)] == [fresh, fresh]
    assert [(image.job_id, image.attempts) for image in take(workplace, 8)] == [(tried, 2)]


def test_a_lease_names_its_owner_and_its_end(workplace: Workplace) -> None:
    job_id = workplace.submit(PHOTO)
    take(workplace, 1, owner="me")
    (image,) = workplace.images(job_id)
    assert (image.status, image.lease_owner, image.attempts) == (ImageStatus.PROCESSING, "me", 1)
    assert image.lease_until is not None
    assert timedelta(seconds=50) < image.lease_until - utcnow() <= timedelta(seconds=60)


def test_a_job_starts_once(workplace: Workplace) -> None:
    job_id = workplace.submit(PHOTO, PHOTO)
    take(workplace, 1)
    take(workplace, 1)
    assert workplace.job(job_id).status == JobStatus.PROCESSING
    kinds = [event.type for event in workplace.events(job_id)]
    assert kinds == [EventType.JOB_QUEUED, EventType.JOB_PROCESSING]


@pytest.mark.parametrize("reason", ["later", "other engine", "cancelled"])
def test_nothing_is_taken_that_is_not_waiting(workplace: Workplace, reason: str) -> None:
    job_id = workplace.submit(PHOTO)
    if reason == "later":
        change(workplace, job_id, available_at=utcnow() + timedelta(hours=1))
    elif reason == "other engine":
        change(workplace, job_id, engine_key="sam:vit_b")
    else:
        with workplace.app.app_context(), transaction() as session:
            assert transition(session, job_id, JobStatus.CANCELLED)
    assert take(workplace, 8) == []


def test_the_engine_that_waited_longest_is_next(workplace: Workplace) -> None:
    with workplace.app.app_context(), transaction() as session:
        assert next_engine_key(session) is None
    older = workplace.submit(PHOTO)
    change(workplace, older, engine_key="sam:", available_at=utcnow() - timedelta(minutes=1))
    workplace.submit(PHOTO)
    with workplace.app.app_context(), transaction() as session:
        assert next_engine_key(session) == "sam:"


def test_racing_workers_share_without_overlap(workplace: Workplace) -> None:
    jobs = [workplace.submit(*[PHOTO] * 12) for _ in range(4)]
    taken: dict[str, list[int]] = {"one": [], "two": [], "three": []}

    def work(owner: str) -> None:
        while images := take(workplace, 5, owner):
            taken[owner] += [image.id for image in images]

    threads = [threading.Thread(target=work, args=(owner,)) for owner in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = [image.id for job_id in jobs for image in workplace.images(job_id)]
    assert sorted(image for images in taken.values() for image in images) == sorted(everything)
    assert {image.attempts for job_id in jobs for image in workplace.images(job_id)} == {1}
