"""Take images to work on: fair between jobs, each by one worker, for as long as its lease lasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select, update
from sqlalchemy.orm import Session

from app.columns import utcnow
from app.events.service import record
from app.jobs.models import Job, JobImage
from app.jobs.states import EventType, ImageStatus, JobStatus
from app.jobs.transitions import execute, transition
from app.uploads.models import Image
from pipeline.contract import CountSettings
from pipeline.settings import settings_from_json

ROUNDS = 4
"""So often other images are tried when another worker is just taking the ones chosen."""


@dataclass(frozen=True, slots=True)
class ClaimedImage:
    """One image that this worker holds a lease on.

    Attributes:
        id: its ``job_images`` row. image_id: the uploaded file; two jobs of a batch may share one.
        attempts: this attempt included. version: of the result that is there now.
        request_id: of the request that made the job.
    """

    id: int
    job_id: str
    image_id: str
    filename: str
    sha256: str
    type: str
    config: dict[str, Any]
    attempts: int
    version: int
    request_id: str | None

    @property
    def settings(self) -> CountSettings:
        """What its job asks for, without the regions of other images."""
        return settings_from_json(self.config).in_image(self.image_id)

    @property
    def about(self) -> dict[str, str | None]:
        """What every line of the log about this image says."""
        return {"request_id": self.request_id, "job_id": self.job_id, "file_id": self.image_id}

    @property
    def key(self) -> str:
        """Name of the image in the pipeline: two jobs of a batch may count the same file."""
        return self.key_of(self.job_id, self.image_id)

    @staticmethod
    def key_of(job_id: str, image_id: str) -> str:
        """Return the name of any image of a job."""
        return f"{job_id}/{image_id}"


def claim(
    session: Session,
    engine_key: str,
    limit: int,
    owner: str,
    lease_s: float,
    *,
    fresh_only: bool = False,
) -> list[ClaimedImage]:
    """Lease up to ``limit`` waiting images of one engine key, inside the caller's transaction.

    One image of each job, then a second of each, and so on; among those the higher priority first, then
    the job that waited longest since it was last served. An image that was tried before is taken alone:
    if it is the one that kills workers, its neighbours do not pay. Jobs that start get their event.

    Args:
        session: of the caller's transaction.
        engine_key: images of this key may share a batch.
        limit: at most so many.
        owner: written into the leases; results are accepted from this owner only.
        lease_s: seconds until the lease ends without a heartbeat.
        fresh_only: leave out images that were tried before.
    """
    taken: list[int] = []
    passed: list[int] = []
    for _ in range(ROUNDS):
        rows = session.execute(
            _fair_order(engine_key, limit - len(taken), passed, fresh_only or bool(taken))
        ).all()
        if not rows:
            break
        if rows[0].attempts:
            rows = rows[:1]
        _start_jobs(session, {row.job_id for row in rows if row.job_status == JobStatus.QUEUED})
        ids = [row.id for row in rows if not (row.attempts and len(rows) > 1)]
        passed += ids
        taken += _lock(session, ids)
        if len(taken) >= limit or rows[0].attempts:
            break
    _lease(session, taken, owner, lease_s)
    return _load(session, taken)


def next_engine_key(session: Session) -> str | None:
    """Return the engine key of the image that has waited longest, None when nothing waits."""
    return session.scalar(
        select(JobImage.engine_key)
        .where(JobImage.status == ImageStatus.QUEUED, JobImage.available_at <= utcnow())
        .order_by(JobImage.priority.desc(), JobImage.available_at)
        .limit(1)
    )


def is_waiting(session: Session, engine_key: str) -> bool:
    """Return whether an image of this key could be claimed now."""
    return session.scalar(select(JobImage.id).where(_claimable(engine_key)).limit(1)) is not None


def _claimable(engine_key: str) -> ColumnElement[bool]:
    return and_(
        JobImage.status == ImageStatus.QUEUED,
        JobImage.engine_key == engine_key,
        JobImage.available_at <= utcnow(),
    )


def _fair_order(
    engine_key: str, limit: int, passed: Sequence[int], fresh_only: bool
) -> Select[int, str, int, str]:
    """Return the query for the next rows in turn: id, job_id, attempts, job_status."""
    turn = func.row_number().over(partition_by=JobImage.job_id, order_by=JobImage.position)
    waiting = (
        select(JobImage.id, JobImage.job_id, JobImage.priority, JobImage.attempts, turn.label("turn"))
        .where(_claimable(engine_key), JobImage.id.not_in(passed))
        .where(JobImage.attempts == 0 if fresh_only else JobImage.attempts >= 0)
        .subquery()
    )
    served_at = (
        select(func.max(JobImage.started_at))
        .where(JobImage.job_id == waiting.c.job_id)
        .correlate(waiting)
        .scalar_subquery()
    )
    return (
        select(waiting.c.id, waiting.c.job_id, waiting.c.attempts, Job.status.label("job_status"))
        .join(Job, Job.id == waiting.c.job_id)
        .where(waiting.c.turn <= limit)
        .order_by(
            waiting.c.turn,
            waiting.c.priority.desc(),
            func.coalesce(served_at, Job.created_at),
            waiting.c.id,
        )
        .limit(limit)
    )


def _start_jobs(session: Session, job_ids: set[str]) -> None:
    """Move queued jobs on; in the order of their ids, so that two workers cannot wait for each other."""
    for job_id in sorted(job_ids):
        if transition(session, job_id, JobStatus.PROCESSING):
            record(session, job_id, EventType.JOB_PROCESSING)


def _lock(session: Session, ids: Sequence[int]) -> list[int]:
    """Return those of ``ids`` that still wait and that nobody else is taking, in the same order."""
    free = set(
        session.scalars(
            select(JobImage.id)
            .where(JobImage.id.in_(ids), JobImage.status == ImageStatus.QUEUED)
            .with_for_update(skip_locked=True)
        )
    )
    return [found for found in ids if found in free]


def _lease(session: Session, ids: Sequence[int], owner: str, lease_s: float) -> None:
    now = utcnow()
    execute(
        session,
        update(JobImage)
        .where(JobImage.id.in_(ids))
        .values(
            status=ImageStatus.PROCESSING,
            attempts=JobImage.attempts + 1,
            lease_owner=owner,
            lease_until=now + timedelta(seconds=lease_s),
            started_at=now,
            stage=None,
            progress=0.0,
        ),
    )


def _load(session: Session, ids: Sequence[int]) -> list[ClaimedImage]:
    rows = session.execute(
        select(
            JobImage.id,
            JobImage.job_id,
            JobImage.image_id,
            Image.filename,
            Image.sha256,
            Job.type,
            Job.config,
            JobImage.attempts,
            JobImage.version,
            Job.request_id,
        )
        .join(Job, Job.id == JobImage.job_id)
        .join(Image, Image.id == JobImage.image_id)
        .where(JobImage.id.in_(ids))
    )
    by_id = {row.id: ClaimedImage(**row._asdict()) for row in rows}
    return [by_id[found] for found in ids]
