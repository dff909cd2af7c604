"""Draw the pictures of a result again after a recount or a correction: from its rows, no model runs."""

from __future__ import annotations

import io
import logging
from typing import Any

import numpy as np
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.database import transaction
from app.events.service import wake
from app.extensions import db
from app.jobs.models import JobImage
from app.jobs.states import ImageStatus
from app.jobs.transitions import execute
from app.results.objects import CountedObject
from app.results.service import read_instances
from app.storage import NotFoundError, StorageError, storage
from app.storage.keys import image_key, picture_folder, picture_key
from app.uploads.models import Image
from app.worker.reconcile import stale_picture_jobs
from app.worker.requests import object_types, stored_candidates
from pipeline.contract import CountSettings, ErrorCode, PipelineError, Rejection
from pipeline.count import count
from pipeline.explain import DrawnObject, drawn_objects
from pipeline.explain import render as draw
from pipeline.preprocess import preprocess, stack_pages
from pipeline.settings import settings_from_json

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
    row = db.session.get_one(JobImage, row_id, populate_existing=True)
    sha256 = db.session.get_one(Image, row.image_id).sha256
    job_id, image_id, version, shown = row.job_id, row.image_id, row.version, row.pictures_version
    about = {"job_id": job_id, "file_id": image_id, "version": version}
    try:
        for name, data in _draw(db.session(), row, sha256).items():
            storage().put(picture_key(job_id, image_id, version, name, "jpg"), io.BytesIO(data))
    except (PipelineError, StorageError, OSError) as error:
        log.warning("pictures cannot be drawn", extra=about | {"reason": str(error)})
        if not _is_permanent(error):
            return False
    with transaction() as session:
        is_current = execute(
            session,
            update(JobImage)
            .where(JobImage.id == row_id, JobImage.version == version, JobImage.pictures_version < version)
            .values(pictures_version=version),
        )
    if is_current and shown:
        storage().delete_prefix(picture_folder(job_id, image_id, shown))
    return bool(is_current)


def _is_permanent(error: Exception) -> bool:
    if isinstance(error, PipelineError):
        return error.code != ErrorCode.STORAGE_ERROR
    return isinstance(error, NotFoundError)


def _draw(session: Session, row: JobImage, sha256: str) -> dict[str, bytes]:
    """Return the encoded pictures by name, without the thumbnail, which never changes."""
    settings = settings_from_json((row.result or {})["provenance"]["settings"])
    objects = read_instances(session, row)
    rejected = _rejected(session, row, settings, {found.object_id for found in objects})
    with storage().local_path(image_key(sha256)) as path:
        image = stack_pages(preprocess(row.image_id, path, settings))
    pictures = draw(image, [_drawn(found) for found in objects], rejected, settings)
    pictures.pop("thumbnail", None)
    return pictures


def _rejected(
    session: Session, row: JobImage, settings: CountSettings, counted: set[str]
) -> list[DrawnObject]:
    """Return the candidates that are not counted now; those the settings would count fell to a human."""
    candidates = stored_candidates(row.job_id, row.image_id)
    if candidates is None:
        return []
    files = {e.file_id for e in settings.exemplars if e.file_id}
    others: dict[str, Any] = {file: stored_candidates(row.job_id, file) for file in files}
    instances = count(
        candidates,
        settings,
        object_types(session),
        others={file: found for file, found in others.items() if found},
    )
    by_settings, rejected = drawn_objects(candidates, instances)
    removed = [
        DrawnObject(d.object_id, 0, d.label, d.confidence, d.polygon_xy, str(Rejection.HUMAN))
        for d in by_settings
        if d.object_id not in counted
    ]
    return removed + [d for d in rejected if d.object_id not in counted]


def _drawn(found: CountedObject) -> DrawnObject:
    polygon_xy = np.array(found.polygon, dtype=np.float32).reshape(-1, 2)
    return DrawnObject(found.object_id, found.number, found.label, found.confidence, polygon_xy)
