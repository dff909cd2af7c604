"""Shapes of uploads and of jobs over them."""

from __future__ import annotations

import marshmallow as ma
from flask_smorest.fields import Upload
from marshmallow import fields, validate

from app.jobs.schemas import FILE_ID, FILES, FORMAT, TIME, UPLOAD_ID, RejectedFileSchema, described
from app.types.schemas import WORD


class UploadFormSchema(ma.Schema):
    """What POST /inference/upload takes, as multipart/form-data."""

    files = fields.List(Upload(), required=True, metadata=FILES)


class DimensionsSchema(ma.Schema):
    """Size of an image in px, EXIF orientation applied."""

    width = fields.Integer(required=True, metadata=described(1024))
    height = fields.Integer(required=True, metadata=described(768))


class UploadedFileSchema(ma.Schema):
    """A file that was accepted."""

    file_id = fields.String(required=True, metadata=described(FILE_ID))
    filename = fields.String(required=True, metadata=described("tray.jpg", "For display only."))
    size_bytes = fields.Integer(required=True, metadata=described(183_204))
    format = fields.String(required=True, metadata=FORMAT)
    dimensions = fields.Nested(DimensionsSchema, required=True)


class UploadSchema(ma.Schema):
    """Files that wait to be counted."""

    upload_id = fields.String(required=True, metadata=described(UPLOAD_ID))
    expires_at = fields.DateTime(required=True, metadata=described(TIME, "the files are deleted then"))
    uploaded_files = fields.List(
        fields.Nested(UploadedFileSchema), required=True, metadata={"description": "In order."}
    )
    rejected_files = fields.List(fields.Nested(RejectedFileSchema), required=True)


def _are_different(ids: list[str]) -> None:
    if len(set(ids)) < len(ids):
        raise ma.ValidationError("want each file once")


class PredictRequestSchema(ma.Schema):
    """Count in files that were uploaded before."""

    upload_id = fields.String(required=True, metadata=described(UPLOAD_ID))
    file_ids = fields.List(
        fields.String(),
        load_default=None,
        allow_none=True,
        validate=[validate.Length(1, 10_000), _are_different],
        metadata=described([FILE_ID], "files of the upload; absent: all of them"),
    )
    type = fields.String(
        load_default=None,
        allow_none=True,
        validate=[validate.Length(1, 100), validate.Regexp(WORD)],
        metadata=described("coin", 'What to count; absent: the template\'s type, else "object".'),
    )
    config = fields.Dict(
        keys=fields.String(),
        load_default=dict,
        metadata=described(
            {"exemplars": [{"file_id": FILE_ID, "box": [120, 80, 42, 41]}], "count_what": "exemplars"},
            "as of POST /jobs; exemplars count in all images of the job",
        ),
    )
