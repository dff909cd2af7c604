"""Candidates of images that a job needs for its exemplars: stored with the job, and gone with it."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from sqlalchemy import select

from app.extensions import db
from app.jobs.models import JobImage
from app.results.recount import keep_exemplar
from app.storage import StorageError, storage
from app.storage.keys import exemplar_key
from pipeline.types import Candidates

log = logging.getLogger(__name__)


def keep_unsaved(exemplars_in: Mapping[str, Candidates]) -> None:
    """Store what a result relies on and no result holds yet, so that it can be shown and corrected at once.

    Args:
        exemplars_in: ``ImageOutcome.exemplars_in``, by ``ClaimedImage.key_of``.
    """
    for key, candidates in exemplars_in.items():
        job_id, _, image_id = key.partition("/")
        own = select(JobImage.candidates_key).where(JobImage.job_id == job_id, JobImage.image_id == image_id)
        if db.session.scalar(own) is None and not storage().exists(exemplar_key(job_id, image_id)):
            keep_exemplars(key, candidates)


def keep_exemplars(key: str, candidates: Candidates) -> None:
    """Store the candidates of an image that a job needs for its exemplars alone; ``ClaimedImage.key_of``.

    A file that cannot be stored is no loss but of time: the next batch finds the candidates again.
    """
    job_id, _, image_id = key.partition("/")
    try:
        keep_exemplar(job_id, image_id, candidates)
    except (StorageError, OSError) as error:
        log.warning("exemplars' candidates not kept", extra={"job_id": job_id, "reason": str(error)})
