"""Shapes of results."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.jobs.schemas import (
    FILE_ID,
    INTERVAL,
    JOB_ID,
    TOTAL_INTERVAL,
    PictureURLsSchema,
    StatsSchema,
    described,
)


class ResultsQuerySchema(ma.Schema):
    """Query of GET /jobs/{id}/results."""

    format = fields.String(
        load_default="json", validate=validate.OneOf(["json"]), metadata=described("json", "only json so far")
    )
    file_id = fields.String(load_default=None, metadata=described(FILE_ID, "this image alone"))
    rejected = fields.Boolean(
        load_default=False,
        metadata=described(True, "with every candidate that is not counted, and why, and what was too faint"),
    )


class BoxSchema(ma.Schema):
    """Half-open box in px of the image, EXIF orientation applied."""

    format = fields.String(required=True, metadata=described("xyxy"))
    x1 = fields.Float(required=True, metadata=described(10.0))
    y1 = fields.Float(required=True, metadata=described(20.0))
    x2 = fields.Float(required=True, metadata=described(52.0))
    y2 = fields.Float(required=True, metadata=described(61.0))


class NormalizedBoxSchema(ma.Schema):
    """The same box as shares of the image's width and height."""

    format = fields.String(required=True, metadata=described("yolo"))
    x_center = fields.Float(required=True, metadata=described(0.0807))
    y_center = fields.Float(required=True, metadata=described(0.1336))
    width = fields.Float(required=True, metadata=described(0.1094))
    height = fields.Float(required=True, metadata=described(0.1353))


CHANCE = (
    "chance that it is an object, from what scores of its engine are worth; null where that was not measured"
)
OUTLINE = described([10.0, 40.5, 31.0, 20.0, 52.0, 40.5], "outline [x1, y1, x2, y2, ...] in px")


class DetectionSchema(ma.Schema):
    """One counted object."""

    object_id = fields.String(required=True, metadata=described("c0", "stable; corrections name it"))
    number = fields.Integer(required=True, metadata=described(1, "as drawn on the overlay"))
    class_id = fields.Integer(required=True, metadata=described(0, "within this answer"))
    class_name = fields.String(required=True, metadata=described("coin"))
    confidence = fields.Float(required=True, metadata=described(0.71, "score; 1 for what a human stated"))
    probability = fields.Float(
        required=True, allow_none=True, metadata=described(0.95, f"{CHANCE}; 1 for what a human stated")
    )
    bbox = fields.Nested(BoxSchema, required=True)
    bbox_normalized = fields.Nested(NormalizedBoxSchema, required=True)
    segmentation = fields.List(fields.Float(), required=True, metadata=OUTLINE)
    area = fields.Integer(required=True, metadata=described(1352, "px"))
    group = fields.Integer(required=True, allow_none=True, metadata=described(0, "visual group"))
    source = fields.String(required=True, metadata=described("model", "model or human"))


class RejectedSchema(ma.Schema):
    """One candidate that is not counted."""

    object_id = fields.String(required=True, metadata=described("c7"))
    reason = fields.String(required=True, metadata=described("duplicate_of:c3"))
    group = fields.Integer(
        required=True, allow_none=True, metadata=described(None, "of members of a group that was left out")
    )
    confidence = fields.Float(required=True, metadata=described(0.41, "score"))
    probability = fields.Float(
        required=True, allow_none=True, metadata=described(0.43, f"as if it were counted: {CHANCE}")
    )
    bbox = fields.Nested(BoxSchema, required=True)
    segmentation = fields.List(fields.Float(), required=True, metadata=OUTLINE)


class FaintSchema(ma.Schema):
    """One thing that the engine saw too faintly to make it a candidate; it has no outline and no id."""

    x = fields.Float(required=True, metadata=described(402.5, "centre in px"))
    y = fields.Float(required=True, metadata=described(96.0))
    radius = fields.Float(required=True, metadata=described(11.3, "px, of a disc of its area"))
    confidence = fields.Float(required=True, metadata=described(0.31, "score"))


class HalfSchema(ma.Schema):
    """One of the two groups that splitting a group would give."""

    id = fields.Integer(required=True, metadata=described(12, "of ``config.groups``, beside the split"))
    name = fields.String(required=True, metadata=described("group 1.1"))
    objects = fields.List(
        fields.String(),
        required=True,
        metadata=described(["c0", "c4"], "ids of its members, counted or left out by the choice of groups"),
    )
    larger = fields.Boolean(required=True, metadata=described(True, "the name of the whole goes with it"))


class GroupSchema(ma.Schema):
    """Objects that look alike; a recount can name, leave out or split them (``config.groups``)."""

    id = fields.Integer(required=True, metadata=described(0, "stable within an image and run"))
    name = fields.String(required=True, metadata=described("group 1"))
    count = fields.Integer(required=True, metadata=described(24))
    left_out = fields.Integer(
        required=True, metadata=described(0, "members that only the choice of groups keeps out")
    )
    counted = fields.Boolean(required=True, metadata=described(True, "false: left out as a whole"))
    part_of = fields.Integer(
        required=True,
        allow_none=True,
        metadata=described(
            None, "of a half: the group that was split; the id of the other half differs in the last bit"
        ),
    )
    halves = fields.List(
        fields.Nested(HalfSchema),
        required=True,
        allow_none=True,
        metadata=described([], "what splitting it would give; null where all are alike, or edited since"),
    )


class DensitySchema(ma.Schema):
    """About how many things there are where they cannot be told apart: an estimate, no count."""

    count = fields.Integer(required=True, metadata=described(412))
    low = fields.Integer(required=True, metadata=described(330, "of the 90 % interval, inclusive"))
    high = fields.Integer(required=True, metadata=described(520))
    method = fields.String(required=True, metadata=described("heap"))
    reason = fields.String(
        required=True,
        metadata=described("61 of 140 things cannot be told apart from those around them"),
    )


ESTIMATE = described(
    None, "for heaps and crowds; null where the count can be trusted as it is, or a human corrected it"
)


class ImageResultSchema(ma.Schema):
    """Result of one image."""

    file_id = fields.String(required=True, metadata=described(FILE_ID))
    filename = fields.String(required=True, metadata=described("tray.jpg"))
    width = fields.Integer(required=True, metadata=described(384))
    height = fields.Integer(required=True, metadata=described(303))
    version = fields.Integer(required=True, metadata=described(1))
    count = fields.Integer(required=True, metadata=described(24, "what holds now"))
    model_count = fields.Integer(required=True, metadata=described(24, "before human corrections"))
    count_interval = fields.List(fields.Integer(), required=True, metadata=described([23, 25], INTERVAL))
    count_source = fields.String(required=True, metadata=described("model"))
    by_type = fields.Dict(
        keys=fields.String(), values=fields.Integer(), required=True, metadata=described({"coin": 24})
    )
    groups = fields.List(fields.Nested(GroupSchema), required=True, metadata=described([]))
    stats = fields.Nested(StatsSchema, required=True)
    needs_review = fields.Boolean(required=True, metadata=described(False))
    review_reason = fields.String(required=True, allow_none=True, metadata=described(None))
    labelled_by = fields.String(required=True, metadata=described("request"))
    timings_s = fields.Dict(
        keys=fields.String(), values=fields.Float(), required=True, metadata=described({"segment": 0.31})
    )
    provenance = fields.Dict(
        required=True,
        metadata=described(
            {"engine": "classical", "patch_models": {"looks": "0164…"}, "prompt_models": {}},
            "code, weights and settings of this count; patch_models: sha256 by name of the networks that "
            "described or named what was found, prompt_models: of those that proposed where the engine looks",
        ),
    )
    engine_details = fields.Dict(
        required=True,
        metadata=described(
            {"scales": [0.354], "typical_radius_px": 41.2},
            "what the engine chose: its input px an image px, and the typical object's radius in image px",
        ),
    )
    density_estimate = fields.Nested(DensitySchema, required=True, allow_none=True, metadata=ESTIMATE)
    detections = fields.List(fields.Nested(DetectionSchema), required=True)
    rejected = fields.List(fields.Nested(RejectedSchema), metadata=described([], "only with rejected=true"))
    faint = fields.List(
        fields.Nested(FaintSchema),
        metadata=described([], "only with rejected=true: where nothing is counted, in the regions asked for"),
    )


class ResultsSchema(ma.Schema):
    """Results of a job."""

    job_id = fields.String(required=True, metadata=described(JOB_ID))
    type = fields.String(required=True, metadata=described("coin"))
    count = fields.Integer(required=True, metadata=described(24, "over all images of this answer"))
    count_interval = fields.List(
        fields.Integer(), required=True, metadata=described([23, 25], TOTAL_INTERVAL)
    )
    images = fields.List(fields.Nested(ImageResultSchema), required=True)


class VisualizationQuerySchema(ma.Schema):
    """Query of GET /jobs/{id}/visualization."""

    file_id = fields.String(load_default=None, metadata=described(FILE_ID, "this image alone"))
    format = fields.String(
        load_default="url",
        validate=validate.OneOf(["url", "base64"]),
        metadata=described("url", "base64 embeds the pictures instead of their addresses"),
    )


class VisualizedImageSchema(PictureURLsSchema):
    """Pictures of one image: addresses, or base64 of the files."""

    file_id = fields.String(required=True, metadata=described(FILE_ID))
    filename = fields.String(required=True, metadata=described("tray.jpg"))
    detection_count = fields.Integer(required=True, metadata=described(24))
    version = fields.Integer(required=True, metadata=described(1))


class VisualizationSchema(ma.Schema):
    """Pictures of a job."""

    job_id = fields.String(required=True, metadata=described(JOB_ID))
    images = fields.List(fields.Nested(VisualizedImageSchema), required=True)


class RecountRequestSchema(ma.Schema):
    """Other settings for the stored candidates."""

    config = fields.Dict(
        keys=fields.String(),
        load_default=dict,
        metadata=described(
            {"groups": [{"file_id": FILE_ID, "id": 0, "name": "washers", "counted": True}]},
            "keys that change; the others stay as the job, or with file_id that image, is counted with. "
            "A template's settings and exemplars come with its name. Where a group has the name of what is "
            "asked for, groups of which nothing else is said are left out.",
        ),
    )
    type = fields.String(
        load_default=None,
        allow_none=True,
        metadata=described(
            "coin", "what is counted from now on, in all images: a type, a synonym of one, or other words"
        ),
    )
    dry_run = fields.Boolean(load_default=False, metadata=described(True, "change nothing, only preview"))
    file_id = fields.String(
        load_default=None, allow_none=True, metadata=described(FILE_ID, "this image alone")
    )
    from_job_config = fields.Boolean(
        load_default=False,
        metadata=described(
            False, "with file_id: the other settings are the job's, as a recount of all images has them"
        ),
    )
    from_corrections = fields.Boolean(
        load_default=False,
        metadata=described(
            False,
            "score the images that no human touched by what was corrected in the others, where they are not "
            "counted so already",
        ),
    )
    file_ids = fields.List(
        fields.String(),
        load_default=None,
        allow_none=True,
        metadata=described(
            [FILE_ID],
            "with from_corrections: these images alone, and the job's own config stays; all when absent",
        ),
    )
    versions = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(strict=True),
        load_default=dict,
        metadata=described(
            {FILE_ID: 1}, "file_id: version of the result that was looked at; a stale one is a 409"
        ),
    )

    @ma.validates_schema(skip_on_field_errors=True)
    def check_file_ids(self, body: dict[str, Any], **_: Any) -> None:
        """Refuse a choice of images for what is not learned from corrections."""
        if body["file_ids"] is not None and not (body["from_corrections"] and body["file_id"] is None):
            raise ma.ValidationError("want it with from_corrections, and without file_id", "file_ids")

    @ma.validates_schema(skip_on_field_errors=True)
    def check_type(self, body: dict[str, Any], **_: Any) -> None:
        """Refuse another type for some images: a job counts one."""
        if body["type"] is not None and (body["from_corrections"] or body["file_id"] is not None):
            raise ma.ValidationError("want it without file_id and from_corrections: a job counts one", "type")


class RecountedImageSchema(ma.Schema):
    """One image after a recount."""

    file_id = fields.String(required=True, metadata=described(FILE_ID))
    count = fields.Integer(required=True, metadata=described(22))
    count_interval = fields.List(fields.Integer(), required=True, metadata=described([22, 24]))
    count_before = fields.Integer(required=True, metadata=described(24))
    count_interval_before = fields.List(fields.Integer(), required=True, metadata=described([23, 25]))
    density_estimate = fields.Nested(DensitySchema, required=True, allow_none=True, metadata=ESTIMATE)
    needs_review = fields.Boolean(required=True, metadata=described(False))
    review_reason = fields.String(required=True, allow_none=True, metadata=described(None))
    version = fields.Integer(required=True, metadata=described(2))
    counted = fields.List(
        fields.String(), required=True, metadata=described(["c0", "c1"], "object ids, in order")
    )
    rejected = fields.Dict(
        keys=fields.String(), values=fields.String(), required=True, metadata=described({"c7": "low_score"})
    )
    groups = fields.List(fields.Nested(GroupSchema), required=True, metadata=described([]))
    group_of = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata=described({"c0": 0}, "visual group, by id of the objects that are in one"),
    )
    stats = fields.Nested(StatsSchema, required=True)
    doubt = fields.String(
        allow_none=True,
        metadata=described(
            None, "only with from_corrections: why this count may be wrong, as where nothing would be left"
        ),
    )


class ExemplarNumbersSchema(ma.Schema):
    """How many exemplars human corrections gave."""

    positive = fields.Integer(required=True, metadata=described(12, "added, or left standing"))
    negative = fields.Integer(required=True, metadata=described(3, "removed"))


class RecountSchema(ma.Schema):
    """Outcome of a recount."""

    job_id = fields.String(required=True, metadata=described(JOB_ID))
    dry_run = fields.Boolean(required=True, metadata=described(True))
    count = fields.Integer(required=True, metadata=described(22, "over the listed images"))
    count_interval = fields.List(
        fields.Integer(), required=True, allow_none=True, metadata=described([22, 24], TOTAL_INTERVAL)
    )
    count_before = fields.Integer(required=True, metadata=described(24, "over the listed images"))
    count_interval_before = fields.List(
        fields.Integer(), required=True, allow_none=True, metadata=described([23, 25], TOTAL_INTERVAL)
    )
    exemplars = fields.Nested(ExemplarNumbersSchema, metadata={"description": "Only with from_corrections."})
    unseen_additions = fields.Integer(
        metadata=described(
            2, "only with from_corrections: objects added where the engine sees none; they teach nothing"
        )
    )
    images = fields.List(fields.Nested(RecountedImageSchema), required=True)
