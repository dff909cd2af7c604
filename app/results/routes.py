"""Results, pictures and recounts of a job."""

from __future__ import annotations

from typing import Any

from app.blueprint import Blueprint
from app.files.service import embed_pictures
from app.jobs.idempotency import Data
from app.results import schemas, service
from app.results.recounting import recount

blp = Blueprint("results", __name__, description="What was counted, and why.")

MISSING = ("JOB_NOT_FOUND", "FILE_NOT_FOUND", "RESULTS_NOT_READY")


@blp.route("/jobs/<string:job_id>/results", methods=["GET"])
@blp.answers(200, schemas.ResultsSchema, errors=(*MISSING, "STORAGE_ERROR"))
@blp.doc(operationId="getResults")
@blp.arguments(schemas.ResultsQuerySchema, location="query")
def get_results(query: dict[str, Any], job_id: str) -> Data:
    """Show every counted object.

    404 `RESULTS_NOT_READY` before the job's end; with `file_id` an image answers as soon as it is counted.
    """
    return service.job_results(job_id, query["file_id"], with_rejected=query["rejected"])


@blp.route("/jobs/<string:job_id>/visualization", methods=["GET"])
@blp.answers(200, schemas.VisualizationSchema, errors=(*MISSING, "STORAGE_ERROR"))
@blp.doc(operationId="getVisualization")
@blp.arguments(schemas.VisualizationQuerySchema, location="query")
def get_visualization(query: dict[str, Any], job_id: str) -> Data:
    """Show the pictures of every counted image."""
    found = service.visualization(job_id, query["file_id"])
    return embed_pictures(found) if query["format"] == "base64" else found


@blp.route("/jobs/<string:job_id>/recount", methods=["POST"])
@blp.answers(
    200,
    schemas.RecountSchema,
    errors=(
        *MISSING,
        "UNSUPPORTED_MEDIA_TYPE",
        "INVALID_CONFIG",
        "INVALID_STATE",
        "VERSION_CONFLICT",
        "STORAGE_ERROR",
    ),
)
@blp.doc(operationId="recountJob")
@blp.arguments(schemas.RecountRequestSchema)
def recount_job(body: dict[str, Any], job_id: str) -> Data:
    """Decide again with other settings, at once and without any model.

    Human edits are kept. `dry_run` changes nothing. Settings that decide before anything is counted
    (engine, model, mode, sahi, pages, mask_background) need a new job. `type` counts something else in all
    images, with the count of a new job; where open_clip named the candidates it is refused, for it would have
    to look again. Other rules are solved here, for as many images as some seconds allow.
    With `file_id` only that image is decided again, starting from its own settings (from the job's with
    `from_job_config`), and of the config the job keeps what was chosen among its groups and its own regions.
    A recount of all images takes the job's settings for each, beside what an image learned from corrections,
    which it keeps unless `config.exemplars` is sent.
    `config.groups` names visual groups, keeps them, leaves them out or splits them in two; it is the whole
    list each time. With `from_corrections` the images that no human touched are scored by what was added,
    left standing and removed in the others; `doubt` says where that may be wrong. With `file_ids` only these
    images learn, and the job's own settings stay. With `versions`, as a preview tells them, nothing is done
    when somebody changed one of these results since: 409 `VERSION_CONFLICT`.
    """
    return recount(job_id, body)
