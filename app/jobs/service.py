"""Jobs from their submission to their deletion: rules and transactions, no HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session, selectinload

from app.columns import utcnow
from app.database import transaction
from app.errors import TallyError
from app.events.service import record, wake
from app.extensions import config, db
from app.files.unwanted import delete_unwanted, files_of_job, shown_hashes
from app.jobs.asked import Asked, asked_for, checked_settings, missing_files, refuse
from app.jobs.description import describe_file, describe_job, describe_jobs
from app.jobs.idempotency import Data, RequestKey, first_answer, once
from app.jobs.models import Job, JobImage
from app.jobs.queue import announce_work, queue_length
from app.jobs.states import LIVE, EventType, ImageStatus, JobStatus
from app.jobs.status import rfc3339, seconds_per_image
from app.jobs.transitions import lock_job, transition
from app.monitoring.metrics import INFERENCE_JOBS
from app.types.service import meaning_the_same
from app.uploads.models import Image, Upload
from app.uploads.received import ReceivedFile
from app.uploads.service import add_upload, check_files, display_name, store_files
from app.version import API
from pipeline.contract import CountSettings

OF_COUNTED_IMAGES = ("groups", "groups_scope")
"""What a config says of images that a retry leaves out."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list shows; None does not filter."""

    status: str | None = None
    type: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    needs_review: bool | None = None


def refuse_when_full(n_images: int) -> None:
    """Raise QUEUE_FULL when so many images wait that ``n_images`` more would wait too long."""
    waiting, limit = queue_length(), config().queue_max_images
    if waiting >= limit:
        raise TallyError(
            "QUEUE_FULL", f"{waiting} images wait, the limit is {limit}; {n_images} more were not taken"
        )


def create_job(
    received: Sequence[tuple[str, ReceivedFile]],
    type_name: str | None,
    sent_config: Data,
    request_key: RequestKey | None,
    request_id: str,
    *,
    partial: bool,
) -> Data:
    """Check and store the files, write upload, images and job in one transaction, and call the workers.

    Args:
        received: (name as sent, file) in the order of the request.
        type_name: what to count; None means what the config's template says.
        sent_config: the request's config.
        request_key: of an ``Idempotency-Key`` header.
        request_id: for logs of the worker.
        partial: go on with the good files when others are bad.

    Returns:
        The ``data`` of the 202.

    Raises:
        TallyError: INVALID_CONFIG, INVALID_REQUEST, the codes of ``uploads.service.check_files``, QUEUE_FULL,
            IDEMPOTENCY_CONFLICT. StorageError: nothing was accepted.
    """
    if request_key and (known := first_answer(request_key)):
        return known
    asked = asked_for(type_name, sent_config, len(received))
    files = check_files(received, partial=partial)
    refuse_when_full(len(files.good))
    store_files(files.good)
    return start_job(
        asked,
        request_key,
        request_id,
        lambda session: add_upload(session, files.good).images,
        rejected_files=files.bad,
    )


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
    ids = [image.id for image in images]
    config_json = {key: value for key, value in old.config.items() if key not in OF_COUNTED_IMAGES}
    if regions := config_json.get("roi"):
        config_json["roi"] = [one for one in regions if one.get("file_id") in (None, *ids)]
    asked = Asked(old.type, config_json, checked_settings(config_json))
    return start_job(
        asked, request_key, request_id, lambda session: held_images(session, ids), retry_of=job_id
    )


def start_job(
    asked: Asked,
    request_key: RequestKey | None,
    request_id: str,
    images: Callable[[Session], Sequence[Image]],
    *,
    rejected_files: Sequence[Data] = (),
    retry_of: str | None = None,
) -> Data:
    """Write a job in one transaction, once a key, and call the workers.

    Args:
        asked: what to count, checked.
        request_key: of an ``Idempotency-Key`` header.
        request_id: for logs of the worker.
        images: gives the rows of the files, inside the transaction.
        rejected_files: what the answer says of files that were left out.
        retry_of: the job whose unfinished images these are.

    Returns:
        The ``data`` of the 202.

    Raises:
        TallyError: IDEMPOTENCY_CONFLICT, what ``images`` raises, INVALID_CONFIG when retention has deleted
            a file that an exemplar lies in.
    """

    def work(session: Session) -> Data:
        job = _new_job(asked, images(session), request_id=request_id, retry_of=retry_of)
        refuse(missing_files(asked.settings.exemplars, hold=True))
        return _accept(session, job) | {"rejected_files": list(rejected_files)}

    data, is_new = once(request_key, 202, work)
    if is_new:
        _announce(data["job_id"], _engine_key(asked.settings))
    return data


def held_images(session: Session, ids: Sequence[str]) -> list[Image]:
    """Return images in the order of ``ids`` and hold their rows: a purge either came before, or sees the job.

    Raises:
        TallyError: FILE_NOT_FOUND when retention has deleted one.
    """
    query = select(Image).where(Image.id.in_(ids)).with_for_update()
    found = {image.id: image for image in session.scalars(query.execution_options(populate_existing=True))}
    if any(image.purged_at for image in found.values()):
        raise TallyError("FILE_NOT_FOUND", "retention has deleted one of these images; upload it again")
    return [found[image_id] for image_id in ids]


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

    So do files that the storage fails to delete now.

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
        shown = shown_hashes(session, JobImage.job_id == job_id)
        session.execute(delete(Job).where(Job.id == job_id))
        if session.scalar(select(func.count()).where(Job.upload_id == upload_id)) == 0:
            session.get_one(Upload, upload_id).expires_at = utcnow()
        unseen = shown - shown_hashes(session, Image.sha256.in_(shown))
        unwanted = [session.merge(row).key for row in files_of_job(job_id, unseen)]
    delete_unwanted(unwanted)
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


def _conditions(wanted: JobFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.status is not None:
        conditions.append(Job.status == wanted.status)
    if wanted.type is not None:
        asked = db.session.scalars(select(Job.type).distinct())
        conditions.append(Job.type.in_(meaning_the_same(wanted.type, asked)))
    if wanted.created_after is not None:
        conditions.append(Job.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        conditions.append(Job.created_at < wanted.created_before)
    if wanted.needs_review is not None:
        in_doubt = Job.images.any(JobImage.needs_review)
        conditions.append(in_doubt if wanted.needs_review else ~in_doubt)
    return conditions


def _new_job(asked: Asked, images: Sequence[Image], *, request_id: str, retry_of: str | None = None) -> Job:
    key, priority = _engine_key(asked.settings), asked.settings.priority
    job = Job(
        upload_id=images[0].upload_id,
        type=asked.type_name,
        config=asked.config,
        engine_key=key,
        priority=priority,
        total_images=len(images),
        retry_of=retry_of,
        request_id=request_id,
    )
    job.images = [
        JobImage(image=image, position=position, engine_key=key, priority=priority)
        for position, image in enumerate(images)
    ]
    return job


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
    """Name what loads the engine: images of one key may share a batch, and take about as long."""
    mode = "" if settings.mode == "fast" else f":{settings.mode}"
    return f"{settings.engine}:{settings.model or ''}{mode}"


def _no_job(job_id: str) -> TallyError:
    return TallyError("JOB_NOT_FOUND", f"there is no job {display_name(job_id)}")
