"""Shapes of human corrections."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.jobs.schemas import FILE_ID, JOB_ID, TIME, described
from app.results.schemas import DetectionSchema
from app.types.schemas import WORD

COR_ID = "cor_01jz4k8e7b2w3x4y5z6a7b8c9d"
MAX_EDITS = 1000
NEEDED = {
    "add": (),
    "remove": ("object_id",),
    "relabel": ("object_id", "label"),
    "move": ("object_id", "box"),
    "split": ("object_id", "points"),
    "merge": ("object_ids",),
}
SHAPES = ("point", "box", "polygon")
ALLOWED = NEEDED | {"add": (*SHAPES, "label")}
MAX_PX = 1_000_000


def _pixel() -> fields.Float:
    return fields.Float(allow_nan=False, validate=validate.Range(-MAX_PX, MAX_PX))


def _point(**kwargs: Any) -> fields.List[float]:
    return fields.List(_pixel(), validate=validate.Length(2, 2), **kwargs)


def _id(example: str) -> fields.String:
    return fields.String(validate=validate.Length(1, 40), metadata=described(example))


class EditSchema(ma.Schema):
    """One edit; which keys it needs depends on ``op``. Coordinates are px of the image.

    add needs one of point, box, polygon, and takes label. A point that falls on a candidate which was not
    counted counts that candidate's real outline. move gives the new box; split one point a part.
    """

    op = fields.String(required=True, validate=validate.OneOf(sorted(NEEDED)), metadata=described("add"))
    object_id = _id("c7")
    object_ids = fields.List(_id("c7"), validate=validate.Length(2, 100), metadata=described(["c7", "c8"]))
    point = _point(metadata=described([120.5, 88.0], "x, y"))
    points = fields.List(_point(), validate=validate.Length(2, 100), metadata=described([[10, 20], [30, 20]]))
    box = fields.List(
        _pixel(),
        validate=validate.Length(4, 4),
        metadata=described([10, 20, 42, 41], "x, y, w, h"),
    )
    polygon = fields.List(
        _point(), validate=validate.Length(3, 2000), metadata=described([[10, 20], [52, 20], [31, 61]])
    )
    label = fields.String(
        validate=[validate.Length(1, 100), validate.Regexp(WORD)], metadata=described("coin")
    )

    @ma.validates_schema(skip_on_field_errors=True)
    def check_keys(self, edit: dict[str, Any], **_: Any) -> None:
        """Refuse keys that are missing for this op, and keys that it does not know."""
        op = edit["op"]
        wrong = {name: [f"needed by {op}"] for name in NEEDED[op] if name not in edit}
        wrong |= {name: [f"unknown to {op}"] for name in edit if name not in ("op", *ALLOWED[op])}
        if op == "add" and sum(name in edit for name in SHAPES) != 1:
            wrong["point"] = ["add needs exactly one of point, box, polygon"]
        if "box" in edit and min(edit["box"][2:]) <= 0:
            wrong["box"] = ["want a width and height above 0"]
        if wrong:
            raise ma.ValidationError(wrong)


class CorrectionRequestSchema(ma.Schema):
    """A human's fix of one image: a number, edits of objects, or both."""

    job_id = fields.String(required=True, metadata=described(JOB_ID))
    file_id = fields.String(required=True, metadata=described(FILE_ID))
    version = fields.Integer(
        required=True,
        strict=True,
        validate=validate.Range(min=0),
        metadata=described(1, "of the result that was corrected; a stale one is a 409"),
    )
    count = fields.Integer(
        strict=True, validate=validate.Range(0, 10_000_000), metadata=described(25, "the true number")
    )
    edits = fields.List(
        fields.Nested(EditSchema),
        validate=validate.Length(1, MAX_EDITS),
        metadata=described([{"op": "remove", "object_id": "c7"}], "done in order, all or none"),
    )

    @ma.validates_schema(skip_on_field_errors=True)
    def check_something(self, body: dict[str, Any], **_: Any) -> None:
        """Refuse a correction of nothing."""
        if "count" not in body and "edits" not in body:
            raise ma.ValidationError("a correction needs count, edits or both", "edits")


class CorrectedSchema(ma.Schema):
    """The result after a correction."""

    correction_id = fields.String(required=True, metadata=described(COR_ID))
    job_id = fields.String(required=True, metadata=described(JOB_ID))
    file_id = fields.String(required=True, metadata=described(FILE_ID))
    version = fields.Integer(required=True, metadata=described(2))
    count = fields.Integer(required=True, metadata=described(25))
    count_before = fields.Integer(required=True, metadata=described(24))
    count_interval = fields.List(fields.Integer(), required=True, metadata=described([24, 26]))
    count_source = fields.String(required=True, metadata=described("human"))
    detections = fields.List(fields.Nested(DetectionSchema), required=True)


class CorrectionSchema(ma.Schema):
    """One correction that was made."""

    correction_id = fields.String(required=True, metadata=described(COR_ID))
    job_id = fields.String(required=True, metadata=described(JOB_ID))
    file_id = fields.String(required=True, metadata=described(FILE_ID))
    kind = fields.String(required=True, metadata=described("edits", "count, edits or both"))
    edits = fields.List(
        fields.Dict(), required=True, metadata=described([{"op": "remove", "object_id": "c7"}])
    )
    human_count = fields.Integer(required=True, allow_none=True, metadata=described(None))
    count_before = fields.Integer(required=True, metadata=described(24))
    count_after = fields.Integer(required=True, metadata=described(25))
    version = fields.Integer(required=True, metadata=described(2, "of the result after it"))
    created_at = fields.DateTime(required=True, metadata=described(TIME))
    reverted_at = fields.DateTime(required=True, allow_none=True, metadata=described(None))


class CorrectionListQuerySchema(ma.Schema):
    """Filters of GET /corrections."""

    job_id = fields.String(load_default=None, metadata=described(JOB_ID))
    file_id = fields.String(load_default=None, metadata=described(FILE_ID))
