"""The reconciler: whatever lost its owner or its message gets another. Safe to run twice at once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from redis import RedisError
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.columns import utcnow
from app.database import transaction
from app.events.service import record, wake
from app.extensions import config, db, redis_client
from app.jobs.models import Job, JobImage
from app.jobs.queue import announce_render, announce_work, message_queue
from app.jobs.states import LIVE, LIVE_IMAGE, EventType, ImageStatus, JobStatus
from app.jobs.transitions import execute, lock_job, transition
from app.monitoring.metrics import INFERENCE_JOBS, LEASES_EXPIRED
from app.uploads.models import Image
from app.worker import persist
from pipeline.contract import ErrorCode, PipelineError

log = logging.getLogger(__name__)

ROUND_IMAGES = 500
"""Images looked at in one round; the next round takes the rest."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What one round found: images taken back, jobs timed out, jobs ended, wake-ups sent."""

    expired: int
    timed_out: int
    ended: int
    announced: int


def reconcile() -> Reconciled:
    """Run one round over everything."""
    return Reconciled(take_back_expired(), time_out_queued(), end_finished(), announce_waiting())


def take_back_expired() -> int:
    """Take images back whose lease ran out: their worker died or hangs. Returns how many."""
    wanted = select(JobImage.id, JobImage.job_id).where(*_expired()).limit(ROUND_IMAGES)
    rows = db.session.execute(wanted).all()
    db.session.remove()
    by_job: dict[str, list[int]] = {}
    for row in rows:
        by_job.setdefault(row.job_id, []).append(row.id)
    return sum(_take_back(job_id, ids) for job_id, ids in by_job.items())


def time_out_queued() -> int:
    """Fail the jobs that nobody began within ``TALLY_QUEUE_TIMEOUT_S``. Returns how many."""
    limit_s = config().queue_timeout_s
    if limit_s is None:
        return 0
    message = f"no worker began within {limit_s} s"
    ids = _job_ids(Job.status == JobStatus.QUEUED, Job.created_at < utcnow() - timedelta(seconds=limit_s))
    return sum(_end(job_id, ErrorCode.QUEUE_TIMEOUT, message) for job_id in ids)


def end_finished() -> int:
    """End live jobs whose images are all done, which a crash can leave behind. Returns how many."""
    has_live_image = (
        select(JobImage.id).where(JobImage.job_id == Job.id, JobImage.status.in_(LIVE_IMAGE)).exists()
    )
    return sum(_end_if_done(job_id) for job_id in _job_ids(Job.status.in_(LIVE), ~has_live_image))


def announce_waiting() -> int:
    """Send wake-ups for waiting images and stale pictures when the queue holds none. Returns how many."""
    try:
        if message_queue(redis_client()).count:
            return 0
    except RedisError as error:
        log.warning("redis unavailable, workers will find the rows themselves", extra={"reason": str(error)})
        return 0
    engine_keys = list(
        db.session.scalars(
            select(JobImage.engine_key)
            .where(JobImage.status == ImageStatus.QUEUED, JobImage.available_at <= utcnow())
            .distinct()
        )
    )
    job_ids = stale_picture_jobs(db.session())
    db.session.remove()
    for engine_key in engine_keys:
        announce_work(engine_key)
    for job_id in job_ids:
        announce_render(job_id)
    return len(engine_keys) + len(job_ids)


def stale_picture_jobs(session: Session, limit: int = ROUND_IMAGES) -> list[str]:
    """Return jobs with pictures that show an older version than their rows."""
    return list(
        session.scalars(
            select(JobImage.job_id)
            .where(
                JobImage.status == ImageStatus.COMPLETED,
                JobImage.pictures_version < JobImage.version,
            )
            .distinct()
            .limit(limit)
        )
    )


def _job_ids(*conditions: Any) -> Sequence[str]:
    ids = db.session.scalars(select(Job.id).where(*conditions).limit(ROUND_IMAGES)).all()
    db.session.remove()
    return ids


def _take_back(job_id: str, ids: Sequence[int]) -> int:
    """Requeue a job's images, or fail those that had all their attempts."""
    with transaction() as session:
        lock_job(session, job_id)
        rows = session.execute(
            select(JobImage.id, JobImage.image_id, JobImage.attempts, JobImage.engine_key, Image.filename)
            .join(Image, Image.id == JobImage.image_id)
            .where(JobImage.id.in_(ids), *_expired())
        ).all()
        taken = [row for row in rows if _requeue_or_fail(session, job_id, row)]
        ended = persist.end_job_if_done(session, job_id) if taken else None
    if taken:
        log.warning("leases ran out", extra={"job_id": job_id, "images": len(taken)})
        LEASES_EXPIRED.inc(len(taken))
        wake(job_id)
        persist.observe_end(ended)
    for engine_key in {row.engine_key for row in taken}:
        announce_work(engine_key)
    return len(taken)


def _expired() -> tuple[Any, ...]:
    return JobImage.status == ImageStatus.PROCESSING, JobImage.lease_until < utcnow()


def _requeue_or_fail(session: Session, job_id: str, row: Any) -> bool:
    values: dict[str, Any] = {"status": ImageStatus.QUEUED, "available_at": utcnow()}
    if row.attempts >= config().max_attempts:
        lost = PipelineError(ErrorCode.INFERENCE_ERROR, "the worker died or hung while it counted this image")
        values = persist.failure(lost, row.attempts)
    changed = execute(
        session,
        update(JobImage)
        .where(JobImage.id == row.id, *_expired())
        .values(lease_owner=None, lease_until=None, stage=None, **values),
    )
    if changed and values["status"] == ImageStatus.FAILED:
        persist.record_failure(session, job_id, row.image_id, row.filename, values)
    return changed == 1


def _end(job_id: str, code: ErrorCode, message: str) -> bool:
    with transaction() as session:
        lock_job(session, job_id)
        still_queued = session.scalar(select(Job.id).where(Job.id == job_id, Job.status == JobStatus.QUEUED))
        if still_queued is None or not transition(
            session, job_id, JobStatus.FAILED, error_code=code, error_message=message
        ):
            return False
        record(session, job_id, EventType.JOB_FAILED, {"error": {"code": code, "message": message}})
    wake(job_id)
    INFERENCE_JOBS.labels(JobStatus.FAILED.value).inc()  # it never ran: no duration
    return True


def _end_if_done(job_id: str) -> bool:
    with transaction() as session:
        lock_job(session, job_id)
        ended = persist.end_job_if_done(session, job_id)
    if ended:
        wake(job_id)
        persist.observe_end(ended)
    return ended is not None
