"""Turn claimed images into the pipeline's requests: local files, settings, exemplars of other images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import select

from app.extensions import db
from app.jobs.models import JobImage
from app.storage import NotFoundError, StorageError, storage
from app.storage.keys import exemplar_key, image_key
from app.uploads.models import Image
from app.worker.claims import ClaimedImage
from pipeline.archive import read_candidates
from pipeline.contract import CountRequest, CountSettings, ErrorCode, PipelineError
from pipeline.types import Candidates


@dataclass(slots=True)
class Batch:
    """What a call of the pipeline needs.

    Attributes:
        requests: one a claimed image, named by ``ClaimedImage.key``.
        helpers: images nobody claimed, whose candidates are needed because exemplars lie in them: with these
            exemplars alone.
        known: candidates of such images that are stored already.
        errors: claimed images that cannot even be asked for.
    """

    requests: dict[str, CountRequest] = field(default_factory=dict)
    helpers: dict[str, CountRequest] = field(default_factory=dict)
    known: dict[str, Candidates] = field(default_factory=dict)
    errors: dict[str, PipelineError] = field(default_factory=dict)


@contextmanager
def prepared(images: Sequence[ClaimedImage]) -> Iterator[Batch]:
    """Give the requests of a batch, with every file on local disk while the block runs."""
    batch = Batch()
    with ExitStack() as files:
        for image in images:
            try:
                batch.requests[image.key] = _request(image, files)
            except PipelineError as error:
                batch.errors[image.key] = error
        for image in images:
            if image.key in batch.requests:
                _add_exemplar_images(batch, image, files)
        yield batch


def _request(image: ClaimedImage, files: ExitStack) -> CountRequest:
    settings = _with_keys(image.job_id, image.settings)
    return CountRequest(image.key, str(_local(files, image.sha256)), image.type, settings)


def _with_keys(job_id: str, settings: CountSettings) -> CountSettings:
    """Name the images that exemplars lie in as the batch does, which may hold images of several jobs."""
    exemplars = tuple(
        e if e.file_id is None else replace(e, file_id=ClaimedImage.key_of(job_id, e.file_id))
        for e in settings.exemplars
    )
    return replace(settings, exemplars=exemplars)


def _local(files: ExitStack, sha256: str) -> Path:
    try:
        return files.enter_context(storage().local_path(image_key(sha256)))
    except NotFoundError as error:
        raise PipelineError(ErrorCode.FILE_NOT_FOUND, "the uploaded file is gone") from error
    except (StorageError, OSError) as error:
        raise PipelineError(ErrorCode.STORAGE_ERROR, "the uploaded file cannot be read") from error


def _add_exemplar_images(batch: Batch, image: ClaimedImage, files: ExitStack) -> None:
    """See to the candidates of images outside of the batch: stored ones, else counted along as helpers."""
    request = batch.requests[image.key]
    for exemplar in request.settings.exemplars:
        key = exemplar.file_id
        if key is None or key in batch.requests or key in batch.helpers or key in batch.known:
            continue
        try:
            file_id = key.partition("/")[2]
            if found := _stored_candidates(image.job_id, file_id):
                batch.known[key] = found
            else:
                helper = replace(request, image_id=key, path=str(_local(files, _sha256(file_id))))
                own = tuple(e for e in request.settings.exemplars if e.file_id == key)  # steer the engine
                batch.helpers[key] = replace(helper, settings=replace(request.settings, exemplars=own))
        except PipelineError as error:
            batch.errors[image.key] = error
            del batch.requests[image.key]
            return


def _stored_candidates(job_id: str, file_id: str) -> Candidates | None:
    """Return what is stored of an image that a job needs: of its own count, or of a helper; else None."""
    counted = db.session.scalar(
        select(JobImage.candidates_key).where(JobImage.job_id == job_id, JobImage.image_id == file_id)
    )
    key = counted or exemplar_key(job_id, file_id)
    try:
        if counted is None and not storage().exists(key):
            return None
        with storage().open(key) as file:
            return read_candidates(file.read())
    except StorageError as error:
        raise PipelineError(ErrorCode.STORAGE_ERROR, "stored candidates cannot be read") from error


def _sha256(file_id: str) -> str:
    found = db.session.scalar(select(Image.sha256).where(Image.id == file_id))
    if found is None:
        raise PipelineError(ErrorCode.FILE_NOT_FOUND, "an exemplar lies in a file that is not there")
    return found
