"""The jobs part of the API."""

from __future__ import annotations

from typing import Any

from flask import g, request

from app.blueprint import Blueprint
from app.files.service import overlays_base64
from app.jobs import schemas, service
from app.jobs.description import describe_job
from app.jobs.idempotency import Data
from app.jobs.status import status_of
from app.jobs.submission import key_of, read_submission
from app.uploads.service import closing

blp = Blueprint("jobs", __name__, description="Count objects in images.")

UPLOAD_ERRORS = (
    "UNSUPPORTED_MEDIA_TYPE",
    "INVALID_FORMAT",
    "FILE_TOO_LARGE",
    "TOO_MANY_FILES",
    "NO_FILES",
    "INVALID_DIMENSIONS",
    "CORRUPTED_FILE",
    "INVALID_CONFIG",
    "IDEMPOTENCY_CONFLICT",
    "QUEUE_FULL",
    "STORAGE_ERROR",
)
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key and request returns the first answer; another request with it is a 409.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
FORM = {"content": {"multipart/form-data": {"schema": schemas.JobFormSchema}}, "required": True}


@blp.route("/jobs", methods=["POST"])
@blp.answers(202, schemas.JobAcceptedSchema, errors=UPLOAD_ERRORS)
@blp.doc(operationId="createJob", requestBody=FORM, parameters=[IDEMPOTENCY_KEY])
@blp.arguments(schemas.PartialSchema, location="query")
def create_job(query: dict[str, Any]) -> Data:
    """Upload images and count something in them.

    All errors of a request are reported together, with the names of the files.
    """
    sent = read_submission(request)
    with closing(sent.files):
        return service.create_job(
            sent.files,
            sent.type_name,
            sent.config,
            sent.request_key,
            g.request_id,
            partial=query["partial"],
        )


@blp.route("/jobs", methods=["GET"])
@blp.answers(200, schemas.JobListItemSchema, many=True)
@blp.doc(operationId="listJobs")
@blp.arguments(schemas.JobListQuerySchema, location="query")
@blp.paginate()
def list_jobs(query: dict[str, Any], pagination_parameters: Any) -> list[Data]:
    """List jobs, newest first."""
    page = pagination_parameters
    jobs, page.item_count = service.list_jobs(service.JobFilter(**query), page.first_item, page.page_size)
    return jobs


@blp.route("/jobs/<string:job_id>", methods=["GET"])
@blp.answers(200, schemas.JobSchema, errors=("JOB_NOT_FOUND",))
@blp.doc(operationId="getJob")
@blp.arguments(schemas.JobQuerySchema, location="query")
def get_job(query: dict[str, Any], job_id: str) -> Data:
    """Show one job with its images."""
    job = service.get_job(job_id)
    described = describe_job(job)
    if query["overlay"] == "bytes":
        for image, overlay in zip(described["images"], overlays_base64(job), strict=True):
            image["overlay_base64"] = overlay
    return described


@blp.route("/jobs/<string:job_id>", methods=["DELETE"])
@blp.answers(200, schemas.DeletedSchema, errors=("JOB_NOT_FOUND", "INVALID_STATE", "STORAGE_ERROR"))
@blp.doc(operationId="deleteJob")
def delete_job(job_id: str) -> Data:
    """Delete a job that has ended, with its results."""
    return service.delete_job(job_id)


@blp.route("/jobs/<string:job_id>/status", methods=["GET"])
@blp.answers(200, schemas.StatusSchema, errors=("JOB_NOT_FOUND",))
@blp.doc(operationId="getJobStatus")
def get_status(job_id: str) -> Data:
    """Show how far a job is."""
    return status_of(job_id)


@blp.route("/jobs/<string:job_id>/cancel", methods=["POST"])
@blp.answers(200, schemas.JobSchema, errors=("JOB_NOT_FOUND", "INVALID_STATE"))
@blp.doc(operationId="cancelJob")
def cancel_job(job_id: str) -> Data:
    """Cancel a job that has not ended; images that are done keep their counts."""
    return service.cancel_job(job_id)


@blp.route("/jobs/<string:job_id>/retry", methods=["POST"])
@blp.answers(
    202,
    schemas.JobAcceptedSchema,
    errors=("JOB_NOT_FOUND", "FILE_NOT_FOUND", "INVALID_STATE", "IDEMPOTENCY_CONFLICT", "QUEUE_FULL"),
)
@blp.doc(operationId="retryJob", parameters=[IDEMPOTENCY_KEY])
def retry_job(job_id: str) -> Data:
    """Count the images of an ended job again that did not complete, as a new job."""
    return service.retry_job(job_id, key_of(request), g.request_id)
