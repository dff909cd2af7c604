"""Human corrections of counts."""

from __future__ import annotations

from typing import Any

from flask import request

from app.blueprint import Blueprint
from app.corrections import schemas, service
from app.jobs.idempotency import Data
from app.jobs.routes import IDEMPOTENCY_KEY
from app.jobs.submission import key_of

blp = Blueprint("corrections", __name__, description="Fix a count by hand; the fix is kept.")

ERRORS = (
    "JOB_NOT_FOUND",
    "FILE_NOT_FOUND",
    "RESULTS_NOT_READY",
    "UNSUPPORTED_MEDIA_TYPE",
    "VERSION_CONFLICT",
    "IDEMPOTENCY_CONFLICT",
    "STORAGE_ERROR",
)


@blp.route("/correct", methods=["POST"])
@blp.answers(200, schemas.CorrectedSchema, errors=ERRORS)
@blp.doc(operationId="correctCount", parameters=[IDEMPOTENCY_KEY])
@blp.arguments(schemas.CorrectionRequestSchema)
def correct(body: dict[str, Any]) -> Data:
    """Correct the count of one image: a number, edits of objects, or both.

    Edits are done in order, all or none. A later recount replays them: what a human added stays, what a human
    removed stays removed. `version` is the one of the result that was looked at; when somebody changed it
    since, nothing is done and the answer is 409 `VERSION_CONFLICT` with the current one.
    """
    return service.correct(body, key_of(request))


@blp.route("/corrections", methods=["GET"])
@blp.answers(200, schemas.CorrectionSchema, many=True)
@blp.doc(operationId="listCorrections")
@blp.arguments(schemas.CorrectionListQuerySchema, location="query")
@blp.paginate()
def list_corrections(query: dict[str, Any], pagination_parameters: Any) -> list[Data]:
    """List corrections, newest first."""
    page = pagination_parameters
    found, page.item_count = service.list_corrections(
        query["job_id"], query["file_id"], page.first_item, page.page_size
    )
    return found


@blp.route("/corrections/<string:correction_id>/revert", methods=["POST"])
@blp.answers(
    200,
    schemas.CorrectedSchema,
    errors=("CORRECTION_NOT_FOUND", "INVALID_STATE", "VERSION_CONFLICT", "STORAGE_ERROR"),
)
@blp.doc(operationId="revertCorrection")
def revert_correction(correction_id: str) -> Data:
    """Take one correction back; the others stand."""
    return service.revert(correction_id)
