"""Write what became of an image: files first, then one guarded transaction. Each result is written once."""

from __future__ import annotations

import io
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.columns import utcnow
from app.database import transaction
from app.events.service import record, wake
from app.extensions import config, db
from app.jobs.models import Job, JobImage
from app.jobs.queue import announce_work
from app.jobs.states import EventType, ImageStatus, JobStatus
from app.jobs.transitions import ended_as, execute, lock_job, transition
from app.monitoring.metrics import DETECTIONS, INFERENCE_DURATION, INFERENCE_JOBS, MODEL_TIME
from app.results.objects import CountedObject, facts_of, objects_of
from app.results.recount import earlier_name
from app.results.service import replace_instances
from app.storage import StorageError, storage
from app.storage.keys import candidates_key, picture_folder, picture_key, thumbnail_key
from app.types.models import ObjectType
from app.version import API
from app.worker.claims import ClaimedImage
from app.worker.exemplars import keep_unsaved
from pipeline.archive import write_candidates
from pipeline.contract import RETRIED, CountResult, ErrorCode, PipelineError
from pipeline.settings import settings_to_json

if TYPE_CHECKING:  # the scheduler needs this file, and no cv2
    from pipeline.run import ImageOutcome
    from pipeline.types import Candidates

log = logging.getLogger(__name__)

JITTER = 0.2
"""Retry delays vary by this share, so that what failed together does not come back together."""


def save(image: ClaimedImage, owner: str, outcome: ImageOutcome) -> bool:
    """Store a result; return False, and leave nothing behind, when the lease is not ours any more.

    Raises:
        PipelineError: STORAGE_ERROR when the files could not be stored; nothing is written then.
    """
    if outcome.result is None or outcome.candidates is None or outcome.instances is None:
        raise ValueError(f"{image.key}: want a complete outcome, got one without a result")
    result = _with_own_settings(image, outcome.result)
    objects, facts = objects_of(outcome.candidates, outcome.instances), facts_of(outcome.candidates)
    _store_files(image, outcome.pictures, outcome.candidates)
    keep_unsaved(outcome.exemplars_in)
    with transaction() as session:
        is_written = _write(session, image, owner, result, objects, facts)
        ended = end_job_if_done(session, image.job_id) if is_written else None
    if not is_written:
        log.warning("result not wanted any more", extra=image.about)
        _remove_unwanted_files(image)
        return False
    wake(image.job_id)
    _observe(result)
    observe_end(ended)
    return True


def fail(image: ClaimedImage, owner: str, error: PipelineError) -> None:
    """Give an image another attempt later, or fail it: at once for what no attempt can mend."""
    with transaction() as session:
        if lock_job(session, image.job_id) != JobStatus.PROCESSING:
            return
        if error.code not in RETRIED or image.attempts >= config().max_attempts:
            values = failure(error, image.attempts)
        else:
            values = {"status": ImageStatus.QUEUED, "available_at": utcnow() + retry_delay(image.attempts)}
        if not _end_lease(session, image, owner, values):
            return
        ended = None
        if values["status"] == ImageStatus.FAILED:
            record_failure(session, image.job_id, image.image_id, image.filename, values)
            ended = end_job_if_done(session, image.job_id)
    log.warning(
        "image failed",
        extra=image.about
        | {
            "code": error.code,
            "reason": str(error),
            "attempt": image.attempts,
            "is_final": values["status"] == ImageStatus.FAILED,
        },
        exc_info=error if error.__cause__ else None,  # what the reason, which clients see, leaves out
    )
    wake(image.job_id)
    observe_end(ended)


def release(image: ClaimedImage, owner: str, engine_key: str) -> None:
    """Give back an image that was not begun: the attempt does not count."""
    values = {"status": ImageStatus.QUEUED, "attempts": image.attempts - 1, "available_at": utcnow()}
    with transaction() as session:
        is_given_back = _end_lease(session, image, owner, values)
    if is_given_back:
        announce_work(engine_key)


def retry_delay(attempts: int) -> timedelta:
    """Return how long to wait after so many attempts, with jitter."""
    delays_s = config().retry_delays_s or (0,)
    delay_s = delays_s[min(attempts, len(delays_s)) - 1]
    return timedelta(seconds=delay_s * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret


def failure(error: PipelineError, attempts: int) -> dict[str, Any]:
    """Return the columns of an image that fails for good."""
    if error.code not in RETRIED:
        code, message = error.code, str(error)
    else:
        code = ErrorCode.MAX_RETRIES
        message = f"gave up after {attempts} attempts; the last: {error.code}: {error}"
    return {
        "status": ImageStatus.FAILED,
        "error_code": code,
        "error_message": message[:2000],
        "completed_at": utcnow(),
    }


def record_failure(
    session: Session, job_id: str, file_id: str, filename: str, values: dict[str, Any]
) -> None:
    """Write the event of an image that failed for good."""
    error = {"code": values["error_code"], "message": values["error_message"]}
    record(
        session,
        job_id,
        EventType.IMAGE_FAILED,
        {"file_id": file_id, "filename": filename, "error": error},
    )


def end_job_if_done(session: Session, job_id: str) -> tuple[JobStatus, float] | None:
    """End a job whose last image is done, inside the caller's transaction, which holds the job's row.

    Returns:
        How it ended and the seconds since its start; None when it goes on, or somebody else ended it.
    """
    found = ended_as(session, job_id)
    if found is None or not transition(session, job_id, found[0], **found[1]):
        return None
    status, values = found
    if status == JobStatus.FAILED:
        error = {"code": values["error_code"], "message": values["error_message"]}
        record(session, job_id, EventType.JOB_FAILED, {"error": error})
    else:
        data = {"partial": values["partial"], "failed_images": _n_failed(session, job_id)}
        record(session, job_id, EventType.JOB_COMPLETED, data)
    started_at = session.scalar(select(Job.started_at).where(Job.id == job_id))
    return status, (utcnow() - started_at).total_seconds() if started_at else 0.0


def observe_end(ended: tuple[JobStatus, float] | None) -> None:
    """Count a job that ended; after the commit."""
    if ended:
        INFERENCE_JOBS.labels(ended[0].value).inc()
        INFERENCE_DURATION.observe(ended[1])


def _n_failed(session: Session, job_id: str) -> int:
    failed = select(func.count()).where(JobImage.job_id == job_id, JobImage.status == ImageStatus.FAILED)
    return session.scalar(failed) or 0


def _with_own_settings(image: ClaimedImage, result: CountResult) -> CountResult:
    """Name exemplars' images in the provenance as the request did, not as the batch does."""
    own = settings_to_json(image.settings)
    return replace(result, provenance=replace(result.provenance, settings=own))


def _store_files(image: ClaimedImage, pictures: Mapping[str, bytes], candidates: Candidates) -> None:
    """Store under the attempt's own keys: a worker whose lease ran out must not replace another's files."""
    files = {
        picture_key(image.job_id, image.image_id, image.attempts, name, "jpg"): data
        for name, data in pictures.items()
        if name != "thumbnail"
    }
    if "thumbnail" in pictures:
        files[thumbnail_key(image.sha256, image.settings.pages, "jpg")] = pictures["thumbnail"]
    key = candidates_key(image.job_id, image.image_id, image.attempts)
    files[key] = write_candidates(candidates)
    try:
        for key, data in files.items():
            storage().put(key, io.BytesIO(data))
    except (StorageError, OSError) as error:
        raise PipelineError(ErrorCode.STORAGE_ERROR, "the result's files cannot be stored") from error


def _remove_unwanted_files(image: ClaimedImage) -> None:
    """Delete the files of an attempt nobody wants, unless its commit came through and the answer was lost."""
    key = candidates_key(image.job_id, image.image_id, image.attempts)
    is_held = select(JobImage.id).where(JobImage.id == image.id, JobImage.candidates_key == key)
    if db.session.scalar(is_held) is not None:
        return
    try:
        storage().delete_prefix(picture_folder(image.job_id, image.image_id, image.attempts))
        storage().delete(key)
    except (StorageError, OSError) as error:
        log.warning("unwanted files stay", extra=image.about | {"reason": str(error)})


def _write(
    session: Session,
    image: ClaimedImage,
    owner: str,
    result: CountResult,
    objects: Sequence[CountedObject],
    facts: dict[str, Any],
) -> bool:
    if lock_job(session, image.job_id) != JobStatus.PROCESSING:
        return False
    result = result.counted_twice(earlier_name(session, session.get_one(JobImage, image.id)))
    if not _end_lease(session, image, owner, _columns(image, result, facts)):
        return False
    replace_instances(session, image.id, objects)
    files = f"{API}/files/{image.image_id}"
    record(
        session,
        image.job_id,
        EventType.IMAGE_COMPLETED,
        {
            "file_id": image.image_id,
            "filename": image.filename,
            "image_count": result.count,
            "count_interval": list(result.count_interval),
            "needs_review": result.needs_review,
            "annotated_url": f"{files}/annotated?job_id={image.job_id}",
            "thumbnail_url": f"{files}/thumbnail?job_id={image.job_id}",
        },
    )
    return True


def _end_lease(session: Session, image: ClaimedImage, owner: str, values: dict[str, Any]) -> bool:
    """Change the row if the image is still leased to ``owner``; the lease ends with it."""
    ours = (
        JobImage.id == image.id,
        JobImage.status == ImageStatus.PROCESSING,
        JobImage.lease_owner == owner,
    )
    cleared = {"lease_owner": None, "lease_until": None, "stage": None}
    return execute(session, update(JobImage).where(*ours).values(**cleared, **values)) == 1


def _columns(image: ClaimedImage, result: CountResult, facts: dict[str, Any]) -> dict[str, Any]:
    """The first version of a result is the number of the attempt that made it: files carry it."""
    return {
        "status": ImageStatus.COMPLETED,
        "progress": 1.0,
        "count": result.count,
        "count_low": result.count_interval[0],
        "count_high": result.count_interval[1],
        "average_confidence": result.average_confidence,
        "needs_review": result.needs_review,
        "review_reason": result.review_reason[:255] if result.review_reason else None,
        "result": result.to_json() | facts,
        "candidates_key": candidates_key(image.job_id, image.image_id, image.attempts),
        "version": image.attempts,
        "pictures_version": image.attempts,
        "error_code": None,
        "error_message": None,
        "completed_at": utcnow(),
    }


def _observe(result: CountResult) -> None:
    for stage, seconds in result.timings_s.items():
        MODEL_TIME.labels(result.provenance.model or result.provenance.engine, stage).observe(seconds)
    known = set(db.session.scalars(select(ObjectType.name)))
    for name, count in result.by_type.items():
        DETECTIONS.labels(name if name in known else "other").inc(count)
