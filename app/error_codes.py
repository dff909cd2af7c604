"""Every error code there is, with its HTTP status, its meaning and what to do: the one table.

``errors.py`` answers with it, ``/docs/errors`` shows it, ``docs/errors.md`` is written from it.
"""

from __future__ import annotations

from typing import NamedTuple

from pipeline.formats import ALL_FORMATS


class ErrorKind(NamedTuple):
    """What a code means.

    Attributes:
        status: HTTP status; None for codes that only appear as the failure of a job or an image.
        meaning: what happened. remedy: what the client can do.
        retry_after_s: value of the ``Retry-After`` header, None for none.
    """

    status: int | None
    meaning: str
    remedy: str
    retry_after_s: int | None = None


_OURS = "Try again later; if it stays, tell the operator the request id."

ERROR_CODES: dict[str, ErrorKind] = {
    "INVALID_FORMAT": ErrorKind(
        400,
        f"A file is, judged by its bytes, not {ALL_FORMATS}, or is a kind of TIFF that is not read.",
        "Convert the file; the details name it. Phones export HEIC as JPEG.",
    ),
    "FILE_TOO_LARGE": ErrorKind(
        400,
        "A file is larger than allowed (TALLY_MAX_FILE_BYTES, 50 MB by default). With status 413 the whole "
        "request body is (TALLY_MAX_BODY_BYTES).",
        "Send smaller files, or fewer at once.",
    ),
    "TOO_MANY_FILES": ErrorKind(
        400, "More files than one job may have (TALLY_MAX_FILES, 100 by default).", "Send several jobs."
    ),
    "NO_FILES": ErrorKind(400, "The request carries no file.", "Send at least one file."),
    "INVALID_DIMENSIONS": ErrorKind(
        400,
        "An image is smaller than 64 x 64 or larger than 8192 x 8192 px. Checked before decoding.",
        "Resize the image.",
    ),
    "CORRUPTED_FILE": ErrorKind(
        400,
        "A file says that it is an image but does not decode to its end, or is damaged in its middle.",
        "Send the original again.",
    ),
    "INVALID_CONFIG": ErrorKind(
        400, "The config has unknown keys or values out of range.", "The details list every bad field."
    ),
    "INVALID_REQUEST": ErrorKind(
        400,
        "A parameter or the body is missing or malformed.",
        "The details list every bad field; /docs shows the shape.",
    ),
    "UNAUTHORIZED": ErrorKind(401, "The request needs credentials.", "Send a valid key."),
    "FORBIDDEN": ErrorKind(403, "These credentials do not allow this.", "Ask the owner."),
    "NOT_FOUND": ErrorKind(404, "There is nothing at this address.", "See /docs for what there is."),
    "UPLOAD_NOT_FOUND": ErrorKind(404, "There is no such upload.", "Check the id; uploads expire."),
    "JOB_NOT_FOUND": ErrorKind(404, "There is no such job.", "Check the id."),
    "FILE_NOT_FOUND": ErrorKind(
        404, "There is no such file, or retention has deleted its bytes.", "Check the id; upload it again."
    ),
    "TYPE_NOT_FOUND": ErrorKind(404, "There is no such object type.", "GET /api/v1/types lists them."),
    "TEMPLATE_NOT_FOUND": ErrorKind(404, "There is no such template.", "GET /api/v1/templates lists them."),
    "CORRECTION_NOT_FOUND": ErrorKind(404, "There is no such correction.", "Check the id."),
    "RESULTS_NOT_READY": ErrorKind(
        404,
        "The job has not ended, this image has no result, or a picture is being drawn anew after a change.",
        "Follow the job's events, or ask again after Retry-After seconds.",
        2,
    ),
    "METHOD_NOT_ALLOWED": ErrorKind(405, "This address knows other methods.", "See the Allow header."),
    "INVALID_STATE": ErrorKind(
        409, "The job's state does not allow this, for example to cancel a finished one.", "Read the job."
    ),
    "VERSION_CONFLICT": ErrorKind(
        409,
        "Somebody changed this result since it was read; nothing was changed now.",
        "Read the results again and repeat the edit with the current version (in the details).",
    ),
    "IDEMPOTENCY_CONFLICT": ErrorKind(
        409, "This Idempotency-Key was used with another request.", "Use a fresh key for each new request."
    ),
    "TYPE_EXISTS": ErrorKind(
        409, "The name or a synonym means another object type already.", "Change that one with PATCH."
    ),
    "TEMPLATE_EXISTS": ErrorKind(409, "There is a template of this name.", "Change that one with PATCH."),
    "UNSUPPORTED_MEDIA_TYPE": ErrorKind(
        415, "The body has another media type than this address takes.", "See /docs for the one it takes."
    ),
    "RANGE_NOT_SATISFIABLE": ErrorKind(
        416, "The Range header asks for bytes that the file does not have.", "See the Content-Range header."
    ),
    "RATE_LIMIT_EXCEEDED": ErrorKind(
        429,
        "More requests in a minute than TALLY_RATE_LIMIT_PER_MINUTE allows a client.",
        "Wait Retry-After seconds; the RateLimit headers say how many are left.",
    ),
    "STORAGE_ERROR": ErrorKind(
        500, "A file could not be stored or read, for example because the disk is full.", _OURS
    ),
    "DATABASE_ERROR": ErrorKind(500, "The database refused a statement; nothing was changed.", _OURS),
    "INTERNAL_ERROR": ErrorKind(500, "A fault of ours. The log and Sentry know the request id.", _OURS),
    "QUEUE_FULL": ErrorKind(
        503,
        "So many images wait (TALLY_QUEUE_MAX_IMAGES) that a new job would wait too long.",
        "Try again after Retry-After seconds.",
        30,
    ),
    "DATABASE_UNAVAILABLE": ErrorKind(
        503,
        "The database does not answer; nothing was changed.",
        "Try again after Retry-After seconds; with an Idempotency-Key that is always safe.",
        5,
    ),
    "MODEL_LOAD_ERROR": ErrorKind(
        None, "The engine's model is missing or damaged.", "Run `tally doctor` on the worker."
    ),
    "FILE_ERROR": ErrorKind(None, "The worker cannot read the image.", "Upload it again."),
    "INFERENCE_ERROR": ErrorKind(None, "The model failed on this image.", "Retry, or use another engine."),
    "QUEUE_TIMEOUT": ErrorKind(
        None, "No worker took the job within TALLY_QUEUE_TIMEOUT_S.", "Start workers, then retry the job."
    ),
    "MAX_RETRIES": ErrorKind(None, "Every attempt failed.", "The message says how the last one did; retry."),
    "OUT_OF_MEMORY": ErrorKind(
        None, "The image does not fit into memory, not even alone.", "Use a smaller image or another engine."
    ),
}
