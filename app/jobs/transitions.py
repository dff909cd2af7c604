"""Change a job's state: one guarded UPDATE over ``TRANSITIONS``, and what it does to the job's images."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import CursorResult, func, select, update
from sqlalchemy.orm import Session

from app.columns import utcnow
from app.jobs.models import Job, JobImage
from app.jobs.states import LIVE_IMAGE, TERMINAL, TRANSITIONS, ImageStatus, JobStatus

_TIME_OF = {JobStatus.PROCESSING: "started_at"} | dict.fromkeys(TERMINAL, "completed_at")
_IMAGES_BECOME = {JobStatus.CANCELLED: ImageStatus.CANCELLED, JobStatus.FAILED: ImageStatus.FAILED}


def transition(session: Session, job_id: str, to: JobStatus, **values: Any) -> bool:
    """Move a job to ``to`` if its state allows that, inside the caller's transaction.

    Started and completed times are set. A job that ends as cancelled or failed takes its unfinished
    images with it: they lose their lease, so that a worker that still counts one finds its result unwanted.
    No event is written: the caller records the one that belongs to it (``events.service.record``).

    Args:
        session: of the caller's transaction.
        job_id: the job.
        to: the state it should have.
        values: further columns, for example ``error_code``; unfinished images get the error too.

    Returns:
        False when the job is gone or in a state that does not lead to ``to``: somebody else won.
    """
    sources = [state for state, targets in TRANSITIONS.items() if to in targets]
    if not sources:
        return False
    changed = execute(
        session,
        update(Job)
        .where(Job.id == job_id, Job.status.in_(sources))
        .values(status=to, **{_TIME_OF[to]: utcnow()}, **values),
    )
    if changed and to in _IMAGES_BECOME:
        error = {name: values[name] for name in ("error_code", "error_message") if name in values}
        execute(
            session,
            update(JobImage)
            .where(JobImage.job_id == job_id, JobImage.status.in_(LIVE_IMAGE))
            .values(
                status=_IMAGES_BECOME[to],
                completed_at=utcnow(),
                lease_owner=None,
                lease_until=None,
                **error,
            ),
        )
    return changed == 1


def lock_job(session: Session, job_id: str) -> str | None:
    """Hold the job's row until the transaction ends, and return its state; None when there is no such job.

    Everything that touches a job and its images takes this row first: one order, so no deadlock, and of
    two workers with the last two images the second sees what the first has written.
    """
    return session.scalar(select(Job.status).where(Job.id == job_id).with_for_update())


def ended_as(session: Session, job_id: str) -> tuple[JobStatus, dict[str, Any]] | None:
    """Return the state and columns a live job should end with, None while an image of it is unfinished.

    All failed is failed, with the first image's error; some failed is completed, and partial.
    """
    rows = session.execute(
        select(JobImage.status, func.count()).where(JobImage.job_id == job_id).group_by(JobImage.status)
    )
    counts = {status: n for status, n in rows}
    if any(counts.get(state) for state in LIVE_IMAGE):
        return None
    if counts.get(ImageStatus.COMPLETED):
        return JobStatus.COMPLETED, {"partial": bool(counts.get(ImageStatus.FAILED))}
    first = session.execute(
        select(JobImage.error_code, JobImage.error_message)
        .where(JobImage.job_id == job_id, JobImage.status == ImageStatus.FAILED)
        .order_by(JobImage.position)
        .limit(1)
    ).first()
    code, message = first or (None, None)
    return JobStatus.FAILED, {"error_code": code, "error_message": message}


def execute(session: Session, statement: Any) -> int:
    """Run a bulk UPDATE and return how many rows it changed."""
    result = session.execute(statement.execution_options(synchronize_session=False))
    return cast("CursorResult[Any]", result).rowcount
