"""Tell what happened to a job: durable rows in the caller's transaction, wake-ups over Redis after it."""

from __future__ import annotations

import json
import logging
from typing import Any

from redis import RedisError
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.errors import TallyError
from app.events.models import JobEvent
from app.extensions import db, redis_client
from app.jobs.models import Job
from app.jobs.states import EventType
from app.jobs.status import forget_snapshot, job_facts, renew_status

log = logging.getLogger(__name__)

CHANNEL = "tally:events"
"""Redis channel of all jobs: ``{"job_id": ...}`` wakes up, with ``"data"`` it is a transient event."""


def record(session: Session, job_id: str, event: EventType, data: dict[str, Any] | None = None) -> int:
    """Write a durable event inside the caller's transaction, and return its number (the SSE id).

    Call it after the change it tells about: the facts every event carries (state, images done, percentage,
    count so far) are read here. After the commit call ``wake``.

    Args:
        session: of the caller's transaction.
        job_id: the job; its row is locked until the transaction ends.
        event: any but ``stage.progress``.
        data: what this kind of event says besides (file_id, error, ...).
    """
    session.flush()
    session.execute(
        update(Job)
        .where(Job.id == job_id)
        .values(event_seq=Job.event_seq + 1)
        .execution_options(synchronize_session=False)
    )
    seq = session.scalars(select(Job.event_seq).where(Job.id == job_id)).one()
    facts = job_facts(session, job_id) | (data or {})
    session.add(JobEvent(job_id=job_id, seq=seq, type=event, data=facts))
    session.flush()
    return seq


def wake(job_id: str) -> None:
    """After a commit: renew the status snapshot and wake those who follow the job.

    Without Redis one warning and no error: followers poll the database.
    """
    session = db.session()
    session.rollback()
    try:
        renew_status(session, job_id)
    except TallyError:  # deleted since
        forget_snapshot(job_id)
    _publish({"job_id": job_id})


def publish_progress(job_id: str, data: dict[str, Any]) -> None:
    """Send a transient ``stage.progress`` event and renew the snapshot; callers keep to 4 a second a job.

    Args:
        job_id: the job.
        data: ``file_id``, ``current_stage`` and what else the event says besides the job's facts.
    """
    session = db.session()
    session.rollback()
    try:
        status = renew_status(session, job_id)
    except TallyError:
        return
    facts = {
        "job_id": job_id,
        "status": status["status"],
        "total_images": status["progress"]["total_images"],
        "processed_images": status["progress"]["processed_images"],
        "percentage": status["progress"]["percentage"],
        "count": status["summary"]["total_detections"],
        "estimated_completion": status["progress"]["estimated_completion"],
    }
    _publish({"job_id": job_id, "data": facts | data})


def events_after(session: Session, after: dict[str, int]) -> list[dict[str, Any]]:
    """Return the durable events of several jobs after a number each, oldest first.

    Args:
        session: any.
        after: job id -> number of the last event already known.
    """
    heads = session.execute(select(Job.id, Job.event_seq).where(Job.id.in_(after)))
    behind = {row.id for row in heads if row.event_seq > after[row.id]}
    if not behind:
        return []
    rows = session.execute(
        select(JobEvent.job_id, JobEvent.seq, JobEvent.type, JobEvent.data)
        .where(JobEvent.job_id.in_(behind), JobEvent.seq > min(after[job_id] for job_id in behind))
        .order_by(JobEvent.job_id, JobEvent.seq)
    )
    return [row._asdict() for row in rows if row.seq > after[row.job_id]]


def _publish(message: dict[str, Any]) -> None:
    try:
        redis_client().publish(CHANNEL, json.dumps(message))
    except RedisError as error:
        log.warning(
            "redis unavailable, followers will poll",
            extra={"job_id": message["job_id"], "reason": str(error)},
        )
