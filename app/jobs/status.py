"""How far a job is: from the Redis snapshot that every event leaves behind, else from the database."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta
from typing import Any

from redis import RedisError
from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from app.columns import utcnow
from app.errors import TallyError
from app.extensions import db, redis_client
from app.jobs.counts import total_columns, totals_of
from app.jobs.models import Job, JobImage
from app.jobs.states import DONE_IMAGE, TERMINAL, ImageStatus, JobStatus
from app.version import API

log = logging.getLogger(__name__)

SNAPSHOT_S = 5
"""Life of a snapshot: so long at most an outage of Redis can make an old one look new."""

_KEEP = """
local kept = redis.call('HGET', KEYS[1], 'revision')
if kept and (ARGV[4] == '1' or tonumber(kept) > tonumber(ARGV[1])) then return end
redis.call('HSET', KEYS[1], 'revision', ARGV[1], 'facts', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
"""
"""Redis runs it without anything in between: who read before a change may write after who read it."""

RECENT_IMAGES = 50
"""So many finished images of the same engine say how long the next one takes."""


def status_of(job_id: str) -> dict[str, Any]:
    """Return the ``data`` of GET /jobs/{id}/status.

    Raises:
        TallyError: JOB_NOT_FOUND.
    """
    try:
        found: Any = redis_client().hget(snapshot_key(job_id), "facts")
        if found:
            facts: dict[str, Any] = json.loads(found)
            return facts
    except RedisError as error:
        log.warning(
            "redis unavailable, status comes from the database",
            extra={"job_id": job_id, "reason": str(error)},
        )
        return read_status(db.session(), job_id)
    return renew_status(db.session(), job_id, only_if_absent=True)


def renew_status(session: Session, job_id: str, *, only_if_absent: bool = False) -> dict[str, Any]:
    """Return the same facts from the database, and keep them in Redis unless newer ones are there.

    Raises:
        TallyError: JOB_NOT_FOUND.
    """
    revision, facts = _read(session, job_id)
    _write_snapshot(revision, facts, only_if_absent)
    return facts


def read_status(session: Session, job_id: str) -> dict[str, Any]:
    """Return the same facts from the database alone.

    Raises:
        TallyError: JOB_NOT_FOUND.
    """
    return _read(session, job_id)[1]


def _read(session: Session, job_id: str) -> tuple[int, dict[str, Any]]:
    """Return the facts after how many events and changes of results they are; neither ever gets fewer."""
    row = session.execute(
        select(
            Job.status,
            Job.total_images,
            Job.partial,
            Job.error_code,
            Job.error_message,
            Job.engine_key,
            Job.event_seq,
            Job.created_at,
            Job.started_at,
            Job.completed_at,
        ).where(Job.id == job_id)
    ).first()
    if row is None:
        raise TallyError("JOB_NOT_FOUND", f"there is no job {job_id}")
    sums = _sums(session, job_id)
    share = _share(sums, row.total_images)
    is_done = row.status == JobStatus.COMPLETED
    return row.event_seq + sums["version"], {
        "job_id": job_id,
        "status": row.status,
        "partial": row.partial,
        "created_at": rfc3339(row.created_at),
        "started_at": rfc3339(row.started_at),
        "completed_at": rfc3339(row.completed_at),
        "progress": {
            "total_images": row.total_images,
            "processed_images": sums["processed"],
            "percentage": round(100 * share, 1),
            "current_stage": _current_stage(session, job_id, row.status),
            "estimated_completion": rfc3339(_estimate(session, row, share)),
        },
        "summary": {
            "total_detections": sums["count"],
            "count_interval": sums["count_interval"],
            "average_confidence": sums["confidence"],
            "processing_time_seconds": _seconds(row.started_at, row.completed_at),
        },
        "results_url": f"{API}/jobs/{job_id}/results" if is_done else None,
        "visualization_url": f"{API}/jobs/{job_id}/visualization" if is_done else None,
        "error": error_of(row.error_code, row.error_message),
    }


def job_facts(session: Session, job_id: str) -> dict[str, Any]:
    """Return what every event of a job says: state, images done, percentage, partial count."""
    job = session.execute(select(Job.status, Job.total_images).where(Job.id == job_id)).one()
    sums = _sums(session, job_id)
    return {
        "job_id": job_id,
        "status": job.status,
        "total_images": job.total_images,
        "processed_images": sums["processed"],
        "percentage": round(100 * _share(sums, job.total_images), 1),
        "count": sums["count"],
    }


def seconds_per_image(session: Session, engine_key: str) -> float | None:
    """Return the measured mean over recently finished images of this engine key; None without any."""
    recent = session.execute(
        select(JobImage.started_at, JobImage.completed_at)
        .where(
            JobImage.status == ImageStatus.COMPLETED,
            JobImage.engine_key == engine_key,
            JobImage.started_at.is_not(None),
        )
        .order_by(JobImage.available_at.desc())  # the index is in this order
        .limit(RECENT_IMAGES)
    )
    seconds = [(end - start).total_seconds() for start, end in recent if start and end]
    return sum(seconds) / len(seconds) if seconds else None


def _write_snapshot(revision: int, facts: dict[str, Any], only_if_absent: bool) -> None:
    """Keep the facts in Redis for ``SNAPSHOT_S``; nothing happens when Redis is away."""
    try:
        words = (revision, json.dumps(facts), SNAPSHOT_S, int(only_if_absent))
        redis_client().eval(_KEEP, 1, snapshot_key(facts["job_id"]), *words)
    except RedisError as error:
        log.warning(
            "redis unavailable, no status snapshot", extra={"job_id": facts["job_id"], "reason": str(error)}
        )


def forget_snapshot(job_id: str) -> None:
    """Drop the facts of a job that is gone; without Redis they end by themselves."""
    try:
        redis_client().delete(snapshot_key(job_id))
    except RedisError as error:
        log.warning("redis unavailable, snapshot stays", extra={"job_id": job_id, "reason": str(error)})


def snapshot_key(job_id: str) -> str:
    """Return the Redis key of a job's snapshot."""
    return f"tally:status:{job_id}"


def error_of(code: str | None, message: str | None) -> dict[str, str | None] | None:
    """Return the failure of a job or an image, None without one."""
    return {"code": code, "message": message} if code else None


def rfc3339(time: datetime | None) -> str | None:
    """Return a UTC time as the API writes it."""
    return None if time is None else time.isoformat().replace("+00:00", "Z")


def _sums(session: Session, job_id: str) -> dict[str, Any]:
    """Add up a job's images: done, share of the work, objects, confidence weighted by objects, versions."""
    is_done: ColumnElement[bool] = JobImage.status.in_(DONE_IMAGE)
    scored = case((JobImage.average_confidence.is_not(None), JobImage.count), else_=0)
    row: Any = session.execute(
        select(
            *total_columns(),
            func.sum(case((is_done, 1), else_=0)).label("processed"),
            func.sum(case((is_done, 1.0), else_=JobImage.progress)).label("share"),
            func.sum(JobImage.count * JobImage.average_confidence).label("weighted"),
            func.sum(scored).label("weight"),
            func.sum(JobImage.version).label("version"),
        ).where(JobImage.job_id == job_id)
    ).one()
    return {
        **totals_of(row),
        "processed": int(row.processed or 0),
        "share": float(row.share or 0),
        "confidence": round(float(row.weighted) / float(row.weight), 4) if row.weight else None,
        "version": int(row.version or 0),
    }


def _share(sums: dict[str, Any], total_images: int) -> float:
    return min(1.0, float(sums["share"]) / total_images) if total_images else 1.0


def _current_stage(session: Session, job_id: str, status: str) -> str | None:
    """Return the stage of the first image in work; ``queued`` before, None after."""
    if status in TERMINAL:
        return None
    stage = session.scalar(
        select(JobImage.stage)
        .where(JobImage.job_id == job_id, JobImage.status == ImageStatus.PROCESSING)
        .order_by(JobImage.position)
        .limit(1)
    )
    return stage or "queued"


def _estimate(session: Session, job: Any, share: float) -> datetime | None:
    """Say when a live job should end: from its own speed, else from that of images before it."""
    if job.status in TERMINAL:
        return None
    now = utcnow()
    started_at: datetime | None = job.started_at
    if started_at and share > 0:
        return now + (now - started_at) * ((1 - share) / share)
    per_image = seconds_per_image(session, job.engine_key)
    return None if per_image is None else now + timedelta(seconds=per_image * job.total_images)


def _seconds(started_at: datetime | None, completed_at: datetime | None) -> float | None:
    if started_at is None:
        return None
    return round(((completed_at or utcnow()) - started_at).total_seconds(), 3)
