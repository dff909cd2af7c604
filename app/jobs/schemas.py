"""Shapes of the jobs part of the API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import marshmallow as ma
from flask_smorest.fields import Upload
from marshmallow import fields, validate

from app.jobs.states import JobStatus
from pipeline.formats import ALL_FORMATS, FORMATS

FILE_ID, JOB_ID = "img_01jz4k8e7b2w3x4y5z6a7b8c9d", "job_01jz4k8e7b2w3x4y5z6a7b8c9d"
UPLOAD_ID = "upl_01jz4k8e7b2w3x4y5z6a7b8c9d"
TIME = "2026-01-31T12:00:00Z"
IN_CALENDAR = validate.Range(datetime(1000, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC))
"""What every database has a date for, in any zone."""
INTERVAL = "90 %, inclusive; always holds the count. A human's edits move it; a human's number is exact."
TOTAL_INTERVAL = "90 %, inclusive: the lows and the highs of the images counted here, added up"
Meta = dict[str, Any]
FILES: Meta = {"description": f"1 to 100 files: {ALL_FORMATS}; 64 to 8192 px a side, 50 MB each."}


def described(example: Any, text: str = "") -> Meta:
    """Return a field's metadata: an example, and a description where the name does not say it all."""
    return {"example": example} | ({"description": text} if text else {})


FORMAT = described("jpeg", "one of " + ", ".join(FORMATS))


class JobFormSchema(ma.Schema):
    """What POST /jobs takes, as multipart/form-data."""

    images = fields.List(Upload(), required=True, metadata=FILES)
    type = fields.String(
        validate=validate.Length(1, 100),
        metadata=described(
            "coin",
            "What to count: a type's name (GET /types) or any other words; needed unless a template says it.",
        ),
    )
    config = fields.String(
        metadata=described('{"confidence_threshold": 0.3}', "JSON object; every key has a default.")
    )


class PartialSchema(ma.Schema):
    """Query of POST /jobs."""

    partial = fields.Boolean(  # type: ignore[assignment] # a field, not Schema's own attribute
        load_default=False,
        metadata=described(False, "Accept the good files when others are bad; else nothing is stored."),
    )


class FileSchema(ma.Schema):
    """An uploaded file."""

    file_id = fields.String(required=True, metadata=described(FILE_ID))
    filename = fields.String(required=True, metadata=described("tray.jpg", "For display only."))
    width = fields.Integer(required=True, metadata=described(1024, "px, EXIF orientation applied"))
    height = fields.Integer(required=True, metadata=described(768, "px, EXIF orientation applied"))
    size_bytes = fields.Integer(required=True, metadata=described(183_204))
    format = fields.String(required=True, metadata=FORMAT)


class RejectedFileSchema(ma.Schema):
    """A file that was left out (only with ``partial``)."""

    field = fields.String(required=True, metadata=described("images[1]"))
    filename = fields.String(required=True, metadata=described("notes.gif"))
    code = fields.String(required=True, metadata=described("INVALID_FORMAT"))
    message = fields.String(
        required=True, metadata=described("want JPEG, PNG, TIFF or WebP, got other bytes")
    )


class JobAcceptedSchema(ma.Schema):
    """A job that is accepted: from here on it is never lost."""

    job_id = fields.String(required=True, metadata=described(JOB_ID))
    status_url = fields.String(required=True, metadata=described(f"/api/v1/jobs/{JOB_ID}/status"))
    events_url = fields.String(required=True, metadata=described(f"/api/v1/jobs/{JOB_ID}/events"))
    results_url = fields.String(required=True, metadata=described(f"/api/v1/jobs/{JOB_ID}/results"))
    estimated_completion = fields.DateTime(
        required=True,
        allow_none=True,
        metadata=described(TIME, "null until a job of this engine has been measured"),
    )
    images = fields.List(fields.Nested(FileSchema), required=True, metadata={"description": "In order."})
    rejected_files = fields.List(fields.Nested(RejectedFileSchema), required=True)


class FailureSchema(ma.Schema):
    """Why a job or an image failed; see /docs/errors."""

    code = fields.String(required=True, metadata=described("CORRUPTED_FILE"))
    message = fields.String(required=True, allow_none=True, metadata=described("tray.jpg does not decode"))


class PictureURLsSchema(ma.Schema):
    """Addresses of an image's pictures; null while, or because, there is none."""

    original = fields.String(required=True, metadata=described(f"/api/v1/files/{FILE_ID}/original"))
    annotated = fields.String(
        required=True, allow_none=True, metadata=described(f"/api/v1/files/{FILE_ID}/annotated")
    )
    heatmap = fields.String(
        required=True, allow_none=True, metadata=described(f"/api/v1/files/{FILE_ID}/heatmap")
    )
    rejected = fields.String(
        required=True, allow_none=True, metadata=described(f"/api/v1/files/{FILE_ID}/rejected")
    )
    thumbnail = fields.String(
        required=True, allow_none=True, metadata=described(f"/api/v1/files/{FILE_ID}/thumbnail")
    )


class StatsSchema(ma.Schema):
    """Sizes of the counted objects."""

    median_area_px = fields.Float(required=True, metadata=described(1352.0))
    p10_area_px = fields.Float(required=True, metadata=described(1102.0))
    p90_area_px = fields.Float(required=True, metadata=described(1689.0))
    coverage_percent = fields.Float(required=True, metadata=described(27.9))
    density_per_megapixel = fields.Float(required=True, metadata=described(206.2))


class JobImageSchema(FileSchema):
    """One image of a job."""

    status = fields.String(required=True, metadata=described("completed"))
    count = fields.Integer(
        required=True, allow_none=True, metadata=described(24, "null before it is counted")
    )
    count_interval = fields.List(
        fields.Integer(), required=True, allow_none=True, metadata=described([23, 25], INTERVAL)
    )
    count_source = fields.String(required=True, metadata=described("model", '"human" after a correction'))
    by_type = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        allow_none=True,
        metadata=described({"washer": 16, "nut": 8}, "outlined objects by name; a bare number moves none"),
    )
    stats = fields.Nested(StatsSchema, required=True, allow_none=True)
    version = fields.Integer(
        required=True, metadata=described(1, "named by corrections; raised by each change")
    )
    needs_review = fields.Boolean(required=True, metadata=described(False, "a human should look"))
    review_reason = fields.String(
        required=True, allow_none=True, metadata=described("wide interval: 19 to 31")
    )
    from_corrections = fields.Boolean(
        required=True,
        metadata=described(False, "what humans corrected in other images has a say in this count"),
    )
    error = fields.Nested(FailureSchema, required=True, allow_none=True)
    urls = fields.Nested(PictureURLsSchema, required=True)
    overlay_base64 = fields.String(
        allow_none=True, metadata=described("/9j/4AAQSk...", "annotated JPEG, only with overlay=bytes")
    )


class JobSummarySchema(ma.Schema):
    """A job as the list shows it."""

    job_id = fields.String(required=True, metadata=described(JOB_ID))
    upload_id = fields.String(required=True, metadata=described(UPLOAD_ID, "of its files"))
    type = fields.String(required=True, metadata=described("coin"))
    status = fields.String(
        required=True, validate=validate.OneOf([s.value for s in JobStatus]), metadata=described("completed")
    )
    config = fields.Dict(required=True, metadata=described({"confidence_threshold": 0.3}, "as it was sent"))
    created_at = fields.DateTime(required=True, metadata=described(TIME))
    started_at = fields.DateTime(required=True, allow_none=True, metadata=described(TIME))
    completed_at = fields.DateTime(required=True, allow_none=True, metadata=described(TIME))
    total_images = fields.Integer(required=True, metadata=described(1))
    processed_images = fields.Integer(required=True, metadata=described(1, "counted or failed"))
    count = fields.Integer(required=True, metadata=described(24, "objects so far, over all images"))
    count_interval = fields.List(
        fields.Integer(), required=True, allow_none=True, metadata=described([23, 25], TOTAL_INTERVAL)
    )
    needs_review = fields.Boolean(required=True, metadata=described(False))
    partial = fields.Boolean(  # type: ignore[assignment] # a field, not the attribute of Schema
        required=True, metadata=described(False, "completed, but an image failed")
    )
    retry_of = fields.String(required=True, allow_none=True, metadata=described(None))
    error = fields.Nested(FailureSchema, required=True, allow_none=True)


class JobListItemSchema(JobSummarySchema):
    """A job in a list."""

    thumbnail_url = fields.String(
        required=True, allow_none=True, metadata=described(f"/api/v1/files/{FILE_ID}/thumbnail")
    )


class JobSchema(JobSummarySchema):
    """A job with its images."""

    expires_at = fields.DateTime(
        required=True, metadata=described(TIME, "its files are deleted then, unless a template needs them")
    )
    images = fields.List(fields.Nested(JobImageSchema), required=True)


class JobQuerySchema(ma.Schema):
    """Query of GET /jobs/{id}."""

    overlay = fields.String(
        load_default="url",
        validate=validate.OneOf(["url", "bytes"]),
        metadata=described("url", "bytes embeds the annotated pictures as base64"),
    )


class JobListQuerySchema(ma.Schema):
    """Filters of GET /jobs."""

    status = fields.String(
        load_default=None,
        validate=validate.OneOf([s.value for s in JobStatus]),
        metadata=described("completed"),
    )
    type = fields.String(
        load_default=None,
        validate=validate.Length(1, 100),
        metadata=described("coin", "also what was asked in other words for the same type"),
    )
    created_after = fields.AwareDateTime(
        load_default=None, validate=IN_CALENDAR, metadata=described(TIME, "inclusive, with a zone")
    )
    created_before = fields.AwareDateTime(
        load_default=None, validate=IN_CALENDAR, metadata=described(TIME, "exclusive, with a zone")
    )
    needs_review = fields.Boolean(load_default=None, metadata=described(True))


class ProgressSchema(ma.Schema):
    """How far a job is."""

    total_images = fields.Integer(required=True, metadata=described(4))
    processed_images = fields.Integer(required=True, metadata=described(2))
    percentage = fields.Float(required=True, metadata=described(62.5))
    current_stage = fields.String(required=True, allow_none=True, metadata=described("segment"))
    estimated_completion = fields.DateTime(required=True, allow_none=True, metadata=described(TIME))


class StatusSummarySchema(ma.Schema):
    """What was found so far."""

    total_detections = fields.Integer(required=True, metadata=described(24))
    count_interval = fields.List(
        fields.Integer(), required=True, allow_none=True, metadata=described([23, 25], TOTAL_INTERVAL)
    )
    average_confidence = fields.Float(required=True, allow_none=True, metadata=described(0.91))
    processing_time_seconds = fields.Float(required=True, allow_none=True, metadata=described(1.42))


class StatusSchema(ma.Schema):
    """State of a job."""

    job_id = fields.String(required=True, metadata=described(JOB_ID))
    status = fields.String(required=True, metadata=described("processing"))
    partial = fields.Boolean(  # type: ignore[assignment] # a field, not the attribute of Schema
        required=True, metadata=described(False)
    )
    created_at = fields.DateTime(required=True, metadata=described(TIME))
    started_at = fields.DateTime(required=True, allow_none=True, metadata=described(TIME))
    completed_at = fields.DateTime(required=True, allow_none=True, metadata=described(TIME))
    progress = fields.Nested(ProgressSchema, required=True)
    summary = fields.Nested(StatusSummarySchema, required=True)
    results_url = fields.String(
        required=True, allow_none=True, metadata=described(f"/api/v1/jobs/{JOB_ID}/results")
    )
    visualization_url = fields.String(
        required=True, allow_none=True, metadata=described(f"/api/v1/jobs/{JOB_ID}/visualization")
    )
    error = fields.Nested(FailureSchema, required=True, allow_none=True)


class DeletedSchema(ma.Schema):
    """A job that is gone."""

    job_id = fields.String(required=True, metadata=described(JOB_ID))
    deleted = fields.Boolean(required=True, metadata=described(True))
