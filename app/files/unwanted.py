"""Delete files that nobody needs any more; what a failing storage keeps is tried again by the purge."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import product

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from app.database import transaction
from app.extensions import db
from app.files.models import UnwantedFile
from app.jobs.models import JobImage
from app.storage import StorageError, storage
from app.storage.keys import job_prefixes, thumbnail_key
from app.uploads.models import Image
from pipeline.contract import PAGES

log = logging.getLogger(__name__)


def files_of_job(job_id: str, unseen: Iterable[str]) -> list[UnwantedFile]:
    """Return rows for the files of a deleted job, and for the thumbnails that no job shows any more.

    Args:
        job_id: of the job.
        unseen: hashes of the images that it alone showed.
    """
    thumbnails = [
        UnwantedFile(key=thumbnail_key(sha256, pages, "jpg"), sha256=sha256)
        for sha256, pages in product(unseen, PAGES)
    ]
    return [*(UnwantedFile(key=prefix) for prefix in job_prefixes(job_id)), *thumbnails]


def shown_hashes(session: Session, condition: ColumnElement[bool]) -> set[str]:
    """Return the hashes of the files that jobs show."""
    query = select(Image.sha256).join(JobImage, JobImage.image_id == Image.id).where(condition)
    return set(session.scalars(query))


def delete_unwanted(keys: Iterable[str] | None = None) -> None:
    """Delete files that are known to be unwanted: these, or all that earlier tries had to leave."""
    query = select(UnwantedFile.key, UnwantedFile.sha256)
    rows = db.session.execute(query if keys is None else query.where(UnwantedFile.key.in_(keys))).all()
    for key, sha256 in rows:
        is_shown = sha256 is not None and shown_hashes(db.session(), Image.sha256 == sha256)
        if is_shown or _deleted(key, is_folder=sha256 is None):
            with transaction() as session:
                session.execute(delete(UnwantedFile).where(UnwantedFile.key == key))


def _deleted(key: str, *, is_folder: bool) -> bool:
    try:
        if is_folder:
            storage().delete_prefix(key)
        else:
            storage().delete(key)
    except (StorageError, OSError) as error:
        log.warning("unwanted files stay until the next purge", extra={"key": key, "reason": str(error)})
        return False
    return True
