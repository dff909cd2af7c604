"""The files behind the addresses: originals, pictures, thumbnails; and their end."""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import Text, cast, or_, select

from app.database import transaction
from app.errors import TallyError
from app.extensions import db
from app.files.unwanted import delete_unwanted
from app.jobs.description import PICTURES, is_visualized, pages_of
from app.jobs.idempotency import forget_old
from app.jobs.models import Job, JobImage
from app.jobs.states import LIVE, ImageStatus
from app.storage import NotFoundError, storage
from app.storage.keys import image_key, picture_key, thumbnail_key
from app.storage.protocol import CHUNK_BYTES, ByteSource
from app.templates.models import TemplateImage
from app.uploads.models import Image, Upload
from app.uploads.service import display_name
from pipeline.formats import FORMATS

log = logging.getLogger(__name__)

MEDIA_TYPES: dict[str, str] = {name: facts.media_type for name, facts in FORMATS.items()}
PICTURE_EXTENSION, PICTURE_TYPE = "jpg", "image/jpeg"
KINDS = ("original", *PICTURES, "thumbnail")

MAX_EMBEDDED_BYTES = 64 * 2**20
"""So much of pictures goes into one JSON answer, which is held in memory."""

LOW_DISK_SHARE = 0.05
"""With less of the disk free, uploads go after ``SHORTENED`` already."""

SHORTENED = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that can be served.

    Attributes:
        etag: changes with the bytes. is_final: the bytes behind this address never change.
        filename: for the person who saves it.
    """

    key: str
    size: int
    media_type: str
    etag: str
    filename: str
    is_final: bool


def find_file(file_id: str, kind: str, job_id: str | None) -> StoredFile:
    """Return one file of an image.

    Args:
        file_id: the image.
        kind: one of ``KINDS``.
        job_id: the run whose picture is meant; None is the newest.

    Raises:
        TallyError: FILE_NOT_FOUND; RESULTS_NOT_READY while a picture does not show the current count.
    """
    image = db.session.get(Image, file_id)
    if image is None:
        raise TallyError("FILE_NOT_FOUND", f"there is no file {display_name(file_id)}")
    run = _run(file_id, job_id)
    if kind == "original":
        return _original(image)
    if kind == "thumbnail":
        pages = pages_of(run) if run else "first"
        key = thumbnail_key(image.sha256, pages, PICTURE_EXTENSION)
        return _picture(key, f"thumbnail of {image.filename}", f"t-{image.sha256}-{pages}", is_final=True)
    return _drawn(image, run, kind)


class FileReader:
    """Iterator over a stored file's bytes that is opened at the first one: a HEAD or a 304 opens nothing.

    It seeks, so that Werkzeug answers a range without reading what comes before.
    """

    def __init__(self, key: str) -> None:
        """Start at the first byte; the application's storage is looked up now, read later."""
        self._storage, self._key, self._position = storage(), key, 0
        self._closing = ExitStack()
        self._file: ByteSource | None = None

    def __iter__(self) -> Self:
        """Return this iterator."""
        return self

    def __next__(self) -> bytes:
        """Return the next bytes, at most ``CHUNK_BYTES``."""
        if self._file is None:
            self._file = self._closing.enter_context(self._storage.open(self._key, self._position))
        if not (chunk := self._file.read(CHUNK_BYTES)):
            raise StopIteration
        self._position += len(chunk)
        return chunk

    def seekable(self) -> bool:
        """Reading may start anywhere."""
        return True

    def seek(self, position: int) -> None:
        """Start at ``position``; only before the first byte is read."""
        self._position = position

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self._position

    def close(self) -> None:
        """Close the file."""
        self._closing.close()


def overlays_base64(job: Job) -> list[str | None]:
    """Return the annotated picture of each image of a job as base64; None where there is none now.

    Raises:
        TallyError: INVALID_REQUEST when they are too large together.
    """
    return _embedded(job.id, [(row.image_id, "annotated") for row in job.images])


def embed_pictures(visualization: dict[str, Any]) -> dict[str, Any]:
    """Replace the addresses in a visualization by the files, as base64; None where there is none now.

    Raises:
        TallyError: INVALID_REQUEST when they are too large together.
    """
    places = [(shown, kind) for shown in visualization["images"] for kind in KINDS]
    pictures = _embedded(visualization["job_id"], [(shown["file_id"], kind) for shown, kind in places])
    for (shown, kind), picture in zip(places, pictures, strict=True):
        shown[kind] = picture
    return visualization


def purge_expired(now: datetime) -> int:
    """Delete the bytes of expired uploads whose jobs have ended; results stay. Return how many images.

    Files of deleted jobs that the storage kept go too.

    When the disk is nearly full, uploads older than ``SHORTENED`` go too, the oldest first. Bytes that
    another image still needs stay.
    """
    with transaction() as session:
        forget_old(session, now)
    delete_unwanted()
    n_purged = sum(_purge(image_id, now) for image_id in _expired(Upload.expires_at <= now))
    for image_id in _expired(Upload.created_at <= now - SHORTENED):
        free = storage().free_share()
        if free is None or free >= LOW_DISK_SHARE:
            break
        log.warning("disk nearly full, deleting uploads early", extra={"free_share": round(free, 3)})
        n_purged += _purge(image_id, now)
    return n_purged


def _expired(condition: Any) -> list[str]:
    """Return the images of uploads that neither a live job nor a template needs, oldest first."""
    live = select(Job.upload_id).where(Job.status.in_(LIVE))
    saved = select(TemplateImage.image_id)
    query = (
        select(Image.id)
        .join(Image.upload)
        .where(condition, Image.purged_at.is_(None), Image.upload_id.not_in(live), Image.id.not_in(saved))
        .order_by(Upload.created_at, Image.id)
    )
    return list(db.session.scalars(query))


def _purge(image_id: str, now: datetime) -> int:
    """Delete one image's bytes unless another row needs them; see ``uploads.service.add_upload``.

    A job may have begun, or a template been saved, since the image was chosen: both hold the same row, so
    this is seen here. Exemplars of a live job may lie in images of any upload.
    """
    with transaction() as session:
        sha256, upload_id = session.execute(
            select(Image.sha256, Image.upload_id).where(Image.id == image_id)
        ).one()
        same = session.scalars(select(Image).where(Image.sha256 == sha256).with_for_update()).all()
        shows_exemplars = cast(Job.config, Text).contains(image_id, autoescape=True)
        needs = or_(Job.upload_id == upload_id, shows_exemplars)
        is_live = select(Job.id).where(Job.status.in_(LIVE), needs).limit(1)
        is_saved = select(TemplateImage.image_id).where(TemplateImage.image_id == image_id)
        if session.scalar(is_live) is not None or session.scalar(is_saved) is not None:
            return 0
        needed = [other for other in same if other.id != image_id and other.purged_at is None]
        if not needed:
            storage().delete(image_key(sha256))
        session.get_one(Image, image_id).purged_at = now
    return 1


def _run(file_id: str, job_id: str | None) -> JobImage | None:
    query = select(JobImage).where(JobImage.image_id == file_id).order_by(JobImage.id.desc())
    if job_id is not None:
        query = query.where(JobImage.job_id == job_id)
    run = db.session.scalar(query.limit(1))
    if run is None and job_id is not None:
        raise TallyError("FILE_NOT_FOUND", f"job {display_name(job_id)} has no such file")
    return run


def _original(image: Image) -> StoredFile:
    if image.purged_at is not None:
        raise TallyError("FILE_NOT_FOUND", f"retention has deleted {image.filename}; its results are kept")
    key, media_type = image_key(image.sha256), MEDIA_TYPES[image.format]
    return StoredFile(key, storage().size(key), media_type, image.sha256, image.filename, is_final=True)


def _drawn(image: Image, run: JobImage | None, kind: str) -> StoredFile:
    if run is None or run.status != ImageStatus.COMPLETED:
        raise TallyError("RESULTS_NOT_READY", f"{image.filename} is not counted yet")
    if run.pictures_version < run.version:
        if image.purged_at is not None:
            raise TallyError(
                "FILE_NOT_FOUND", f"{image.filename} was deleted: its pictures cannot be redrawn"
            )
        raise TallyError("RESULTS_NOT_READY", f"the pictures of {image.filename} are being drawn anew")
    if not is_visualized(run):
        raise TallyError("FILE_NOT_FOUND", f"{image.filename} was counted with visualization off")
    key = picture_key(run.job_id, run.image_id, run.pictures_version, kind, PICTURE_EXTENSION)
    etag = f"{run.job_id}-{run.image_id}-{run.pictures_version}-{kind}"
    if image.purged_at is not None and not storage().exists(key):
        raise _never_again(image)
    return _picture(key, f"{kind} of {image.filename}", etag, is_final=False)


def _never_again(image: Image) -> TallyError:
    return TallyError("FILE_NOT_FOUND", f"{image.filename} was deleted: its pictures cannot be drawn anew")


def _picture(key: str, name: str, etag: str, *, is_final: bool) -> StoredFile:
    try:
        size = storage().size(key)
    except NotFoundError as error:
        raise TallyError("RESULTS_NOT_READY", f"there is no {name} yet") from error
    return StoredFile(key, size, PICTURE_TYPE, etag, f"{name}.{PICTURE_EXTENSION}", is_final)


def _embedded(job_id: str, wanted: Sequence[tuple[str, str]]) -> list[str | None]:
    """Return files of one run, each named by image and kind, as base64."""
    found = [_found(file_id, kind, job_id) for file_id, kind in wanted]
    total = sum(file.size for file in found if file)
    if total > MAX_EMBEDDED_BYTES:
        message = f"want pictures of together {MAX_EMBEDDED_BYTES} bytes, got {total}: ask for addresses"
        raise TallyError("INVALID_REQUEST", message)
    return [None if file is None else _base64_of(file.key) for file in found]


def _found(file_id: str, kind: str, job_id: str) -> StoredFile | None:
    try:
        return find_file(file_id, kind, job_id)
    except TallyError:
        return None


def _base64_of(key: str) -> str:
    with storage().open(key) as file:
        return base64.b64encode(file.read()).decode()
