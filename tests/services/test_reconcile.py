"""The reconciler gives work without an owner another one, and ends what nobody ended."""

from __future__ import annotations

import threading
from datetime import timedelta

from rq.job import Job as Message
from sqlalchemy import update

from app.columns import utcnow
from app.database import transaction
from app.extensions import redis_client
from app.jobs.models import Job, JobImage
from app.jobs.queue import message_queue
from app.jobs.states import EventType, ImageStatus, JobStatus
from app.jobs.transitions import transition
from app.worker.claims import claim
from app.worker.reconcile import Reconciled, reconcile
from tests.doubles.pipeline import script
from tests.servers import free_port
from tests.services.conftest import MakeWorkplace
from tests.services.workplace import ENGINE_KEY, Workplace

PHOTO = script(count=1)


def run_round(workplace: Workplace) -> Reconciled:
    with workplace.app.app_context():
        return reconcile()


def lose_worker(workplace: Workplace, limit: int = 8) -> None:
    """Claim images, and let the leases run out."""
    with workplace.app.app_context():
        with transaction() as session:
            claim(session, ENGINE_KEY, limit, "dead worker", lease_s=60)
        with transaction() as session:
            leased = JobImage.status == ImageStatus.PROCESSING
            ended = utcnow() - timedelta(seconds=1)
            session.execute(update(JobImage).where(leased).values(lease_until=ended))


def messages(workplace: Workplace) -> list[tuple[str, list[str]]]:
    with workplace.app.app_context():
        queue = message_queue(redis_client())
        found = [
            Message.fetch(i, connection=queue.connection, serializer=queue.serializer) for i in queue.job_ids
        ]
        return [(message.func_name, list(message.args)) for message in found]


def test_images_of_a_dead_worker_wait_again(workplace: Workplace) -> None:
    job_id = workplace.submit(PHOTO, PHOTO)
    lose_worker(workplace)
    assert run_round(workplace).expired == 2
    assert [(i.status, i.lease_owner, i.attempts) for i in workplace.images(job_id)] == [
        ("queued", None, 1)
    ] * 2
    workplace.drain()
    assert workplace.job(job_id).status == JobStatus.COMPLETED


def test_a_lease_that_runs_is_left_alone(workplace: Workplace) -> None:
    job_id = workplace.submit(PHOTO)
    with workplace.app.app_context(), transaction() as session:
        claim(session, ENGINE_KEY, 1, "live worker", lease_s=60)
    assert run_round(workplace).expired == 0
    assert workplace.images(job_id)[0].lease_owner == "live worker"


def test_an_image_that_lost_all_its_workers_fails_and_ends_the_job(make_workplace: MakeWorkplace) -> None:
    workplace = make_workplace(max_attempts=2)
    job_id = workplace.submit(PHOTO)
    for _ in range(2):
        lose_worker(workplace)
        run_round(workplace)
    (image,) = workplace.images(job_id)
    assert (image.status, image.error_code, image.attempts) == (ImageStatus.FAILED, "MAX_RETRIES", 2)
    assert "the worker died or hung" in (image.error_message or "")
    assert workplace.job(job_id).status == JobStatus.FAILED
    kinds = [event.type for event in workplace.events(job_id)]
    assert kinds[-2:] == [EventType.IMAGE_FAILED, EventType.JOB_FAILED]


def test_two_reconcilers_at_once_take_each_image_back_once(workplace: Workplace) -> None:
    jobs = [workplace.submit(*[PHOTO] * 4) for _ in range(3)]
    lose_worker(workplace, limit=12)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(run_round(workplace).expired)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(found) == 12
    assert {image.status for job_id in jobs for image in workplace.images(job_id)} == {"queued"}


def test_a_job_queued_too_long_fails_with_its_images(make_workplace: MakeWorkplace) -> None:
    workplace = make_workplace(queue_timeout_s=5)
    old, young = workplace.submit(PHOTO), workplace.submit(PHOTO)
    with workplace.app.app_context(), transaction() as session:
        created = utcnow() - timedelta(seconds=6)
        session.execute(update(Job).where(Job.id == old).values(created_at=created))
    assert run_round(workplace).timed_out == 1
    assert (workplace.job(old).status, workplace.job(old).error_code) == ("failed", "QUEUE_TIMEOUT")
    assert (workplace.images(old)[0].status, workplace.images(old)[0].error_code) == (
        "failed",
        "QUEUE_TIMEOUT",
    )
    assert workplace.events(old)[-1].data["error"]["code"] == "QUEUE_TIMEOUT"
    assert workplace.job(young).status == JobStatus.QUEUED


def test_without_a_limit_jobs_wait_for_ever(workplace: Workplace) -> None:
    job_id = workplace.submit(PHOTO)
    with workplace.app.app_context(), transaction() as session:
        session.execute(update(Job).values(created_at=utcnow() - timedelta(days=30)))
    assert run_round(workplace).timed_out == 0
    assert workplace.job(job_id).status == JobStatus.QUEUED


def test_a_live_job_without_live_images_is_ended(workplace: Workplace) -> None:
    job_id = workplace.submit(PHOTO)
    with workplace.app.app_context(), transaction() as session:
        transition(session, job_id, JobStatus.PROCESSING)
        done = {"status": ImageStatus.COMPLETED, "count": 1}
        session.execute(update(JobImage).where(JobImage.job_id == job_id).values(**done))
    assert run_round(workplace).ended == 1
    assert workplace.job(job_id).status == JobStatus.COMPLETED
    assert workplace.events(job_id)[-1].type == EventType.JOB_COMPLETED


def test_waiting_images_and_stale_pictures_are_announced_again_but_not_twice(workplace: Workplace) -> None:
    drawn = workplace.submit(PHOTO)
    workplace.drain()
    with workplace.app.app_context(), transaction() as session:
        session.execute(update(JobImage).values(version=2))
    workplace.submit(PHOTO)
    assert run_round(workplace).announced == 2
    assert run_round(workplace).announced == 0
    assert messages(workplace) == [
        ("app.worker.director.work", [ENGINE_KEY]),
        ("app.worker.render.work", [drawn]),
    ]


def test_without_redis_the_rest_is_still_done(make_workplace: MakeWorkplace) -> None:
    workplace = make_workplace(f"redis://127.0.0.1:{free_port()}/0")
    workplace.submit(PHOTO)
    lose_worker(workplace)
    assert run_round(workplace) == Reconciled(expired=1, timed_out=0, ended=0, announced=0)
