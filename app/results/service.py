"""Results: counted objects ⇄ rows, and what is told of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from app.database import one_moment
from app.errors import TallyError
from app.events.service import wake
from app.extensions import db
from app.jobs.counts import current_count
from app.jobs.description import counted_as, picture_urls
from app.jobs.models import Job, JobImage
from app.jobs.queue import announce_render
from app.jobs.service import get_job
from app.jobs.states import LIVE, ImageStatus
from app.jobs.transitions import execute
from app.results.description import Data, describe_faint, describe_rejected, describe_result
from app.results.models import Instance
from app.results.objects import CountedObject
from app.results.recount import (
    Elsewhere,
    Recounted,
    corrections_of_images,
    edits_of,
    found_elsewhere,
    recounted,
    settings_of,
)
from app.storage import NotFoundError
from app.types.service import object_types
from app.uploads.service import display_name
from pipeline.ops.interval import total_interval

MAX_LABEL_CHARS = 100


def job_results(job_id: str, file_id: str | None, *, with_rejected: bool) -> Data:
    """Return the results of a job that has ended, or of one image of it that is counted.

    Raises:
        TallyError: JOB_NOT_FOUND, FILE_NOT_FOUND, RESULTS_NOT_READY.
    """
    try:
        return _results_now(job_id, file_id, with_rejected=with_rejected)
    except NotFoundError:  # a recount as another type, or by other rules, put candidates in place of these
        return _results_now(job_id, file_id, with_rejected=with_rejected)


def _results_now(job_id: str, file_id: str | None, *, with_rejected: bool) -> Data:
    with one_moment() as session:
        job = get_job(job_id)
        images = counted_images(job, file_id)
        class_ids = {counted_as(images[0]): 0}
        described = []
        for image, objects in zip(images, _objects_of_images(session, images), strict=True):
            described.append(describe_result(image, objects, class_ids))
        if with_rejected:
            for result, found in zip(described, each_current(job, images), strict=True):
                result |= {"rejected": describe_rejected(found), "faint": describe_faint(found)}
        return {
            "job_id": job.id,
            "type": job.type,
            "count": sum(image["count"] for image in described),
            "count_interval": total_interval(image["count_interval"] for image in described),
            "images": described,
        }


def visualization(job_id: str, file_id: str | None) -> Data:
    """Return the addresses of the pictures of every counted image.

    Raises:
        TallyError: JOB_NOT_FOUND, FILE_NOT_FOUND, RESULTS_NOT_READY.
    """
    images = counted_images(get_job(job_id), file_id)
    return {
        "job_id": job_id,
        "images": [
            {
                "file_id": image.image_id,
                "filename": image.image.filename,
                "detection_count": current_count(image),
                "version": image.version,
            }
            | picture_urls(image)
            for image in images
        ],
    }


def current(job: Job, image: JobImage) -> Recounted:
    """Return an image's count as it stands: its own settings and limits, and the edits not reverted."""
    return next(each_current(job, [image]))


def each_current(job: Job, images: Sequence[JobImage]) -> Iterator[Recounted]:
    """Give ``current`` of several images; what their exemplars and groups need is read once in a row."""
    needed, elsewhere = None, Elsewhere({}, {})
    types = object_types(db.session())
    corrections = corrections_of_images(db.session(), images)
    for image, standing in zip(images, corrections, strict=True):
        settings = settings_of(image)
        if needed != (needed := (settings.exemplars, settings.groups, settings.groups_scope)):
            elsewhere = found_elsewhere(job, settings)
        yield recounted(image, settings, types, elsewhere, edits_of(standing), keeps_type=True)


def counted_images(job: Job, file_id: str | None) -> list[JobImage]:
    """Return the images of a job that have a result; with ``file_id`` that one, also before the job's end.

    Raises:
        TallyError: FILE_NOT_FOUND, RESULTS_NOT_READY.
    """
    if file_id is not None:
        named = [image for image in job.images if image.image_id == file_id]
        if not named:
            raise TallyError("FILE_NOT_FOUND", f"this job has no file {display_name(file_id)}")
        return _ready(named, f"this file is {named[0].status}")
    if job.status in LIVE:
        raise TallyError("RESULTS_NOT_READY", f"the job is {job.status}")
    return _ready(job.images, f"the job is {job.status} and no image of it was counted")


def change_image(session: Session, image_id: int, version: int, columns: Data) -> None:
    """Raise the version of a job image and set columns, inside the caller's transaction.

    Raises:
        TallyError: VERSION_CONFLICT when its version is not ``version`` any more.
    """
    same = (JobImage.id == image_id, JobImage.version == version, JobImage.status == ImageStatus.COMPLETED)
    if not execute(session, update(JobImage).where(*same).values(version=version + 1, **columns)):
        now = session.scalar(select(JobImage.version).where(JobImage.id == image_id))
        raise version_conflict(version, now)


def version_conflict(named: int, now: int | None, where: str = "") -> TallyError:
    """Return the error of a change that names an old version."""
    message = f"{where}want the current version {now}, got {named}: somebody changed this result meanwhile"
    return TallyError("VERSION_CONFLICT", message, field="version", details=[{"version": now}])


def announce_change(job_id: str) -> None:
    """After a commit: renew the job's status and have its pictures drawn again."""
    wake(job_id)
    announce_render(job_id)


def replace_instances(session: Session, job_image_id: int, objects: Sequence[CountedObject]) -> None:
    """Replace all rows of one job image by ``objects``, inside the caller's transaction."""
    session.execute(delete(Instance).where(Instance.job_image_id == job_image_id))
    if objects:
        session.execute(insert(Instance), [_row(job_image_id, found) for found in objects])


def read_instances(session: Session, job_image: JobImage) -> list[CountedObject]:
    """Return the current objects of one image in the order of their numbers."""
    return _objects_of_images(session, [job_image])[0]


def _objects_of_images(session: Session, images: Sequence[JobImage]) -> list[list[CountedObject]]:
    """Return the objects of several images with one query."""
    found: dict[int, list[CountedObject]] = {image.id: [] for image in images}
    query = select(Instance).where(Instance.job_image_id.in_(found)).order_by(Instance.number)
    for row in session.scalars(query):
        found[row.job_image_id].append(_object(row))
    return [found[image.id] for image in images]


def _ready(images: Sequence[JobImage], otherwise: str) -> list[JobImage]:
    ready = [image for image in images if image.status == ImageStatus.COMPLETED]
    if not ready:
        raise TallyError("RESULTS_NOT_READY", f"there is no result: {otherwise}")
    return ready


def _row(job_image_id: int, found: CountedObject) -> dict[str, object]:
    x_min, y_min, x_max, y_max = found.bbox_xyxy
    return {
        "job_image_id": job_image_id,
        "object_id": found.object_id,
        "number": found.number,
        "label": found.label[:MAX_LABEL_CHARS],
        "confidence": found.confidence,
        "x_min": x_min,
        "y_min": y_min,
        "x_max": x_max,
        "y_max": y_max,
        "area": found.area,
        "group_id": found.group_id,
        "polygon": list(found.polygon),
        "source": found.source,
    }


def _object(row: Instance) -> CountedObject:
    return CountedObject(
        object_id=row.object_id,
        number=row.number,
        label=row.label,
        confidence=row.confidence,
        bbox_xyxy=(row.x_min, row.y_min, row.x_max, row.y_max),
        area=row.area,
        group_id=row.group_id,
        polygon=tuple(row.polygon),
        source=row.source,
    )
