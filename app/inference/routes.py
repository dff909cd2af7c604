"""Upload first, count later."""

from __future__ import annotations

from typing import Any

from flask import g, request

from app.blueprint import Blueprint
from app.inference import schemas, service
from app.jobs.idempotency import Data
from app.jobs.routes import IDEMPOTENCY_KEY, UPLOAD_ERRORS
from app.jobs.schemas import JobAcceptedSchema, PartialSchema
from app.jobs.submission import key_of, key_of_files, read_files
from app.uploads.service import closing

blp = Blueprint("inference", __name__, description="Upload first, count later.")

FORM = {"content": {"multipart/form-data": {"schema": schemas.UploadFormSchema}}, "required": True}


@blp.route("/inference/upload", methods=["POST"])
@blp.answers(
    201,
    schemas.UploadSchema,
    errors=tuple(c for c in UPLOAD_ERRORS if c not in ("INVALID_CONFIG", "QUEUE_FULL")),
)
@blp.doc(operationId="uploadFiles", requestBody=FORM, parameters=[IDEMPOTENCY_KEY])
@blp.arguments(PartialSchema, location="query")
def upload(query: dict[str, Any]) -> Data:
    """Store images that are counted later, for example once exemplars are drawn in them.

    Files are checked as POST /jobs checks them. They are deleted at `expires_at`.
    """
    files = read_files(request, "files")
    with closing(files):
        return service.upload(files, key_of_files(request, files), partial=query["partial"])


@blp.route("/inference/predict", methods=["POST"])
@blp.answers(
    202,
    JobAcceptedSchema,
    errors=(
        "UNSUPPORTED_MEDIA_TYPE",
        "INVALID_CONFIG",
        "UPLOAD_NOT_FOUND",
        "FILE_NOT_FOUND",
        "IDEMPOTENCY_CONFLICT",
        "QUEUE_FULL",
    ),
)
@blp.doc(operationId="predict", parameters=[IDEMPOTENCY_KEY])
@blp.arguments(schemas.PredictRequestSchema)
def predict(body: dict[str, Any]) -> Data:
    """Count something in files that were uploaded before, also in those of an earlier job.

    The engine runs; exemplars count in every image of the job, whichever image they lie in.
    """
    return service.predict(body, key_of(request), g.request_id)
