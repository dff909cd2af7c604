"""Upload first, count later: files without a job, and jobs over files that are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import TallyError
from app.extensions import db
from app.jobs.asked import asked_for
from app.jobs.idempotency import Data, RequestKey, first_answer, once
from app.jobs.service import held_images, refuse_when_full, start_job
from app.jobs.status import rfc3339
from app.uploads.models import Image, Upload
from app.uploads.received import ReceivedFile
from app.uploads.service import add_upload, check_files, display_name, store_files

DEFAULT_TYPE = "object"


def upload(
    received: Sequence[tuple[str, ReceivedFile]], request_key: RequestKey | None, *, partial: bool
) -> Data:
    """Check and store files.

    Args:
        received: (name as sent, file) in the order of the request.
        request_key: of an ``Idempotency-Key`` header.
        partial: go on with the good files when others are bad.

    Raises:
        TallyError: the codes of ``uploads.service.check_files``, IDEMPOTENCY_CONFLICT. StorageError.
    """
    if request_key and (known := first_answer(request_key)):
        return known
    files = check_files(received, partial=partial, field="files")
    store_files(files.good)

    def work(session: Session) -> Data:
        return _describe(add_upload(session, files.good)) | {"rejected_files": files.bad}

    return once(request_key, 201, work)[0]


def predict(body: Data, request_key: RequestKey | None, request_id: str) -> Data:
    """Start a job over files of one upload.

    Args:
        body: ``PredictRequestSchema``.
        request_key: of an ``Idempotency-Key`` header.
        request_id: for logs of the worker.

    Raises:
        TallyError: UPLOAD_NOT_FOUND; FILE_NOT_FOUND for a file of another upload or a deleted one;
            INVALID_CONFIG, INVALID_REQUEST, QUEUE_FULL, IDEMPOTENCY_CONFLICT.
    """
    if request_key and (known := first_answer(request_key)):
        return known
    ids = _file_ids(body["upload_id"], body["file_ids"])
    asked = asked_for(body["type"], body["config"], len(ids), ids, otherwise=DEFAULT_TYPE)
    refuse_when_full(len(ids))
    return start_job(asked, request_key, request_id, lambda session: held_images(session, ids))


def _file_ids(upload_id: str, wanted: Sequence[str] | None) -> list[str]:
    """Return the files to count, in the order asked for, else in that of the upload."""
    if db.session.get(Upload, upload_id) is None:
        raise TallyError(
            "UPLOAD_NOT_FOUND", f"there is no upload {display_name(upload_id)}", field="upload_id"
        )
    own = select(Image.id).where(Image.upload_id == upload_id).order_by(Image.position)
    there = list(db.session.scalars(own))
    strays = [file_id for file_id in wanted or () if file_id not in there]
    if strays:
        listed = ", ".join(map(display_name, strays))
        raise TallyError("FILE_NOT_FOUND", f"this upload has no file {listed}", field="file_ids")
    return list(wanted or there)


def _describe(stored: Upload) -> dict[str, Any]:
    return {
        "upload_id": stored.id,
        "expires_at": rfc3339(stored.expires_at),
        "uploaded_files": [
            {
                "file_id": image.id,
                "filename": image.filename,
                "size_bytes": image.size_bytes,
                "format": image.format,
                "dimensions": {"width": image.width, "height": image.height},
            }
            for image in stored.images
        ],
    }
