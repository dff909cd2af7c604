"""Draw the pictures of a result again after a recount or a correction; no model runs."""

from __future__ import annotations

import io
import logging

import numpy as np
from sqlalchemy import select, update

from app.database import transaction
from app.errors import TallyError
from app.events.service import wake
from app.extensions import db
from app.jobs.models import Job, JobImage
from app.jobs.states import ImageStatus
from app.jobs.transitions import execute
from app.results.objects import CountedObject
from app.results.recount import Recounted, settings_of
from app.results.service import current
from app.storage import NotFoundError, StorageError, storage
from app.storage.keys import image_key, picture_folder, picture_key
from app.uploads.models import Image
from app.worker.reconcile import stale_picture_jobs
from pipeline.contract import PipelineError
from pipeline.explain import DrawnObject, drawn_faint, render
from pipeline.preprocess import preprocess, stack_pages

log = logging.getLogger(__name__)

JOBS_A_TURN = 20


def work(job_id: str) -> None:
    """Draw the stale pictures of a job. RQ calls this by its dotted name inside a running worker."""
    render_job(job_id)


def work_any() -> bool:
    """Draw the stale pictures of a few jobs; return False when none could be drawn."""
    return any([render_job(job_id) for job_id in stale_picture_jobs(db.session(), limit=JOBS_A_TURN)])


def render_job(job_id: str) -> int:
    """Draw every picture of a job that shows an older version than its rows; return how many images."""
    ids = db.session.scalars(
        select(JobImage.id).where(
            JobImage.job_id == job_id,
            JobImage.status == ImageStatus.COMPLETED,
            JobImage.pictures_version < JobImage.version,
        )
    ).all()
    n_drawn = sum(_render_image(row_id) for row_id in ids)
    if n_drawn:
        wake(job_id)
    return n_drawn


def _render_image(row_id: int) -> bool:
    """Draw one image's pictures; False when that must be tried again, or its result changed meanwhile.

    What can never be drawn, because the upload is gone, has no pictures from then on; no stale ones either.
    """
    image = db.session.get_one(JobImage, row_id, populate_existing=True)
    job_id, file_id, version, shown = image.job_id, image.image_id, image.version, image.pictures_version
    about = {"job_id": job_id, "file_id": file_id, "version": version}
    try:
        for name, data in _draw(image).items():
            storage().put(picture_key(job_id, file_id, version, name, "jpg"), io.BytesIO(data))
    except (NotFoundError, PipelineError, TallyError) as error:
        log.warning("pictures cannot be drawn, there will be none", extra=about | {"reason": str(error)})
    except (StorageError, OSError) as error:
        log.warning("pictures cannot be drawn now", extra=about | {"reason": str(error)})
        return False
    with transaction() as session:
        is_current = execute(
            session,
            update(JobImage)
            .where(JobImage.id == row_id, JobImage.version == version, JobImage.pictures_version < version)
            .values(pictures_version=version),
        )
    if not is_current:
        _remove_unwanted(row_id, job_id, file_id, version)
    elif shown:
        _delete(picture_folder(job_id, file_id, shown))
    return bool(is_current)


def _remove_unwanted(row_id: int, job_id: str, file_id: str, version: int) -> None:
    """Delete pictures that were drawn in vain: the result changed, or its job was deleted, meanwhile.

    Those that somebody else drew of the same version, and that are shown, stay.
    """
    shown = db.session.scalar(select(JobImage.pictures_version).where(JobImage.id == row_id))
    if shown != version:
        _delete(picture_folder(job_id, file_id, version))


def _delete(folder: str) -> None:
    """Delete pictures that nobody is shown any more; what a failing store keeps goes with the job."""
    try:
        storage().delete_prefix(folder)
    except (StorageError, OSError) as error:
        log.warning("old pictures stay", extra={"folder": folder, "reason": str(error)})


def _draw(image: JobImage) -> dict[str, bytes]:
    """Return the encoded pictures by name, without the thumbnail, which never changes."""
    settings = settings_of(image)
    found = current(db.session.get_one(Job, image.job_id), image)
    upload = db.session.get_one(Image, image.image_id)
    with storage().local_path(image_key(upload.sha256)) as path:
        picture = stack_pages(preprocess(image.image_id, path, settings))
    objects = [_drawn(one) for one in found.objects]
    rejected = [*_rejected(found), *drawn_faint(found.candidates, objects, settings)]
    pictures = render(picture, objects, rejected, settings)
    pictures.pop("thumbnail", None)
    return pictures


def _rejected(found: Recounted) -> list[DrawnObject]:
    """Return the candidates that are not counted now, those that a human removed among them."""
    drawn = []
    for object_id, reason in found.rejected.items():
        index = int(object_id.removeprefix("c"))
        score = float(found.instances.scores[index])
        drawn.append(DrawnObject(0, "", score, found.candidates.batch.polygon(index), reason))
    return drawn


def _drawn(one: CountedObject) -> DrawnObject:
    polygon_xy = np.array(one.polygon, dtype=np.float32).reshape(-1, 2)
    return DrawnObject(one.number, one.label, one.confidence, polygon_xy)
