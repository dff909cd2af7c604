"""Jobs from their submission to their deletion: rules and transactions, no HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session, selectinload

from app.columns import utcnow
from app.database import transaction
from app.errors import TallyError
from app.events.service import record, wake
from app.extensions import config, db
from app.jobs.description import API, describe_file, describe_job, describe_jobs
from app.jobs.idempotency import Data, RequestKey, first_answer, once
from app.jobs.models import Job, JobImage
from app.jobs.queue import announce_work, queue_length
from app.jobs.states import LIVE, EventType, ImageStatus, JobStatus
from app.jobs.status import rfc3339, seconds_per_image
from app.jobs.transitions import lock_job, transition
from app.monitoring.metrics import INFERENCE_JOBS
from app.storage import storage
from app.storage.keys import job_prefixes, thumbnail_key
from app.uploads.models import Image, Upload
from app.uploads.service import CheckedFiles, add_upload, display_name, store_files
from pipeline.contract import CountSettings, SettingsError
from pipeline.settings import settings_from_json

MAX_TYPE_CHARS = 100


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list shows; None does not filter."""

    status: str | None = None
    type: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    needs_review: bool | None = None


def checked_settings(sent: Any) -> CountSettings:
    """Return the settings a request asks for.

    Raises:
        TallyError: INVALID_CONFIG with every bad field.
    """
    try:
        return settings_from_json(sent)
    except SettingsError as error:
        details = [dict(detail) for detail in error.details]
        raise TallyError("INVALID_CONFIG", str(error), field=details[0]["field"], details=details) from error


def checked_type(sent: str) -> str:
    """Return what to count: a type's name or any other words, which are then only a label.

    Raises:
        TallyError: INVALID_REQUEST when it is empty or too long.
    """
    name = " ".join(sent.split())
    if not name or len(name) > MAX_TYPE_CHARS or display_name(name) != name:
        message = f"want 1 to {MAX_TYPE_CHARS} printable characters, got {len(name)}"
        raise TallyError("INVALID_REQUEST", f"type: {message}", field="type")
    return name


def refuse_when_full(n_images: int) -> None:
    """Raise QUEUE_FULL when so many images wait that ``n_images`` more would wait too long."""
    waiting, limit = queue_length(), config().queue_max_images
    if waiting >= limit:
        raise TallyError(
            "QUEUE_FULL", f"{waiting} images wait, the limit is {limit}; {n_images} more were not taken"
        )


def create_job(
    files: CheckedFiles, type_name: str, sent_config: Data, request_key: RequestKey | None, request_id: str
) -> Data:
    """Store the files, write upload, images and job in one transaction, and call the workers.

    Args:
        files: that passed ``uploads.service.check_files``.
        type_name: from ``checked_type``.
        sent_config: the request's config, already checked; kept as it was sent.
        request_key: of an ``Idempotency-Key`` header.
        request_id: for logs of the worker.

    Returns:
        The ``data`` of the 202.

    Raises:
        TallyError: QUEUE_FULL, IDEMPOTENCY_CONFLICT. StorageError: nothing was accepted.
    """
    if request_key and (known := first_answer(request_key)):
        return known
    settings = checked_settings(sent_config)
    refuse_when_full(len(files.good))
    store_files(files.good)

    def work(session: Session) -> Data:
        upload = add_upload(session, files.good)
        job = _new_job(type_name, sent_config, settings, upload.images, request_id=request_id)
        accepted = _accept(session, job)
        return accepted | {"rejected_files": files.bad}

    data, is_new = once(request_key, 202, work)
    if is_new:
        _announce(data["job_id"], _engine_key(settings))
    return data


def retry_job(job_id: str, request_key: RequestKey | None, request_id: str) -> Data:
    """Start a new job over the images of an ended one that did not complete.

    Raises:
        TallyError: JOB_NOT_FOUND; INVALID_STATE when the job is live or nothing is left to do;
            FILE_NOT_FOUND when retention has deleted a file; QUEUE_FULL.
    """
    if request_key and (known := first_answer(request_key)):
        return known
    old = get_job(job_id)
    if old.status in LIVE:
        raise TallyError("INVALID_STATE", f"want a job that has ended, this one is {old.status}")
    images = [row.image for row in old.images if row.status != ImageStatus.COMPLETED]
    if not images:
        raise TallyError("INVALID_STATE", "every image of this job was counted; there is nothing to retry")
    refuse_when_full(len(images))
    settings, ids = checked_settings(old.config), [image.id for image in images]
    type_name, config_json = old.type, old.config

    def work(session: Session) -> Data:
        fresh = _kept_images(session, ids)
        job = _new_job(
            type_name, config_json, settings, [fresh[i] for i in ids], request_id=request_id, retry_of=job_id
        )
        return _accept(session, job) | {"rejected_files": []}

    data, is_new = once(request_key, 202, work)
    if is_new:
        _announce(data["job_id"], _engine_key(settings))
    return data


def cancel_job(job_id: str) -> Data:
    """Cancel a live job; images that are done keep their counts.

    Raises:
        TallyError: JOB_NOT_FOUND; INVALID_STATE when it has ended.
    """
    with transaction() as session:
        status = lock_known_job(session, job_id)
        if not transition(session, job_id, JobStatus.CANCELLED):
            raise TallyError("INVALID_STATE", f"want a queued or processing job, this one is {status}")
        record(session, job_id, EventType.JOB_CANCELLED)
    INFERENCE_JOBS.labels(JobStatus.CANCELLED.value).inc()
    wake(job_id)
    return describe_job(get_job(job_id))


def delete_job(job_id: str) -> Data:
    """Delete an ended job and its results; its upload goes at the next purge unless another job needs it.

    Raises:
        TallyError: JOB_NOT_FOUND; INVALID_STATE when it is live.
    """
    with transaction() as session:
        status = lock_known_job(session, job_id)
        if status in LIVE:
            raise TallyError(
                "INVALID_STATE", f"want a job that has ended, this one is {status}; cancel it first"
            )
        job_id, upload_id = session.execute(select(Job.id, Job.upload_id).where(Job.id == job_id)).one()
        shown = _hashes(session, JobImage.job_id == job_id)
        session.execute(delete(Job).where(Job.id == job_id))
        if session.scalar(select(func.count()).where(Job.upload_id == upload_id)) == 0:
            session.get_one(Upload, upload_id).expires_at = utcnow()
        unseen = shown - _hashes(session, Image.sha256.in_(shown))
    for prefix in job_prefixes(job_id):
        storage().delete_prefix(prefix)
    for sha256 in unseen:
        storage().delete(thumbnail_key(sha256, "jpg"))
    wake(job_id)
    return {"job_id": job_id, "deleted": True}


def lock_known_job(session: Session, job_id: str) -> str:
    """Hold the job's row until the transaction ends, and return its state.

    Raises:
        TallyError: JOB_NOT_FOUND.
    """
    status = lock_job(session, job_id)
    if status is None:
        raise _no_job(job_id)
    return status


def get_job(job_id: str) -> Job:
    """Return a job with its images loaded.

    Raises:
        TallyError: JOB_NOT_FOUND.
    """
    images = selectinload(Job.images).joinedload(JobImage.image)
    job = db.session.scalar(
        select(Job).where(Job.id == job_id).options(images).execution_options(populate_existing=True)
    )
    if job is None:
        raise _no_job(job_id)
    return job


def list_jobs(wanted: JobFilter, first: int, size: int) -> tuple[list[Data], int]:
    """Return ``size`` jobs from number ``first``, newest first, and how many there are in all."""
    conditions = _conditions(wanted)
    total = db.session.scalar(select(func.count()).select_from(Job).where(*conditions)) or 0
    page = select(Job).where(*conditions).order_by(Job.created_at.desc(), Job.id.desc())
    jobs = db.session.scalars(page.offset(first).limit(size)).all()
    return describe_jobs(db.session(), jobs), total


def _hashes(session: Session, condition: ColumnElement[bool]) -> set[str]:
    """Return the hashes of the files that jobs show."""
    query = select(Image.sha256).join(JobImage, JobImage.image_id == Image.id).where(condition)
    return set(session.scalars(query))


def _conditions(wanted: JobFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.status is not None:
        conditions.append(Job.status == wanted.status)
    if wanted.type is not None:
        conditions.append(Job.type == wanted.type)
    if wanted.created_after is not None:
        conditions.append(Job.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        conditions.append(Job.created_at < wanted.created_before)
    if wanted.needs_review is not None:
        in_doubt = Job.images.any(JobImage.needs_review)
        conditions.append(in_doubt if wanted.needs_review else ~in_doubt)
    return conditions


def _new_job(
    type_name: str,
    config_json: Data,
    settings: CountSettings,
    images: Sequence[Image],
    *,
    request_id: str,
    retry_of: str | None = None,
) -> Job:
    key = _engine_key(settings)
    job = Job(
        upload_id=images[0].upload_id,
        type=type_name,
        config=config_json,
        engine_key=key,
        priority=settings.priority,
        total_images=len(images),
        retry_of=retry_of,
        request_id=request_id,
    )
    job.images = [
        JobImage(image=image, position=position, engine_key=key, priority=settings.priority)
        for position, image in enumerate(images)
    ]
    return job


def _kept_images(session: Session, ids: Sequence[str]) -> dict[str, Image]:
    """Return images by id and hold their rows: a purge either came before, or will see the job."""
    query = select(Image).where(Image.id.in_(ids)).with_for_update()
    found = {image.id: image for image in session.scalars(query.execution_options(populate_existing=True))}
    if any(image.purged_at for image in found.values()):
        raise TallyError("FILE_NOT_FOUND", "retention has deleted an image of this job; upload it again")
    return found


def _accept(session: Session, job: Job) -> Data:
    """Write the job with its first event, and return the ``data`` of the 202."""
    session.add(job)
    session.flush()
    record(session, job.id, EventType.JOB_QUEUED)
    base = f"{API}/jobs/{job.id}"
    return {
        "job_id": job.id,
        "status_url": f"{base}/status",
        "events_url": f"{base}/events",
        "results_url": f"{base}/results",
        "estimated_completion": rfc3339(_estimate(session, job)),
        "images": [describe_file(row.image) for row in job.images],
    }


def _estimate(session: Session, job: Job) -> datetime | None:
    """Say when the job should end, by the speed of those before it; None before the first one."""
    per_image = seconds_per_image(session, job.engine_key)
    return None if per_image is None else utcnow() + timedelta(seconds=per_image * queue_length())


def _announce(job_id: str, engine_key: str) -> None:
    wake(job_id)
    announce_work(engine_key)


def _engine_key(settings: CountSettings) -> str:
    return f"{settings.engine}:{settings.model or ''}"


def _no_job(job_id: str) -> TallyError:
    return TallyError("JOB_NOT_FOUND", f"there is no job {display_name(job_id)}")
