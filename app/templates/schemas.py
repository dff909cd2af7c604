"""Shapes of templates."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.jobs.schemas import FILE_ID, TIME, FileSchema, described
from app.types.schemas import WORD

TPL_ID = "tpl_01jz4k8e7b2w3x4y5z6a7b8c9d"
EXEMPLARS = [{"file_id": FILE_ID, "box": [120.0, 80.0, 42.0, 41.0], "positive": True}]


def _name(example: str, **kwargs: Any) -> fields.String:
    checks = [validate.Length(1, 100), validate.Regexp(WORD)]
    return fields.String(validate=checks, metadata=described(example), **kwargs)


def _config(**kwargs: Any) -> fields.Dict:
    text = "part of a config, without exemplars, groups and template"
    return fields.Dict(
        keys=fields.String(), metadata=described({"confidence_threshold": 0.3}, text), **kwargs
    )


def _exemplars(**kwargs: Any) -> fields.List[Any]:
    text = "boxes or points in px, each with the file_id of its image, which is kept from retention"
    return fields.List(
        fields.Dict(keys=fields.String()),
        validate=validate.Length(0, 100),
        metadata=described(EXEMPLARS, text),
        **kwargs,
    )


class TemplateChangeSchema(ma.Schema):
    """What can be changed of a template."""

    name = _name("M4 screws")
    type = _name("screw")
    config = _config()
    exemplars = _exemplars()


class TemplateRequestSchema(ma.Schema):
    """A new template."""

    name = _name("M4 screws", required=True)
    type = _name("screw", required=True)
    config = _config(load_default=dict)
    exemplars = _exemplars(load_default=list)


class TemplateSchema(ma.Schema):
    """Saved exemplars and settings; ``config.template`` names it."""

    template_id = fields.String(required=True, metadata=described(TPL_ID))
    name = fields.String(required=True, metadata=described("M4 screws"))
    type = fields.String(required=True, metadata=described("screw"))
    config = fields.Dict(required=True, metadata=described({"confidence_threshold": 0.3}))
    exemplars = fields.List(fields.Dict(), required=True, metadata=described(EXEMPLARS))
    images = fields.List(
        fields.Nested(FileSchema), required=True, metadata={"description": "That exemplars lie in."}
    )
    created_at = fields.DateTime(required=True, metadata=described(TIME))


class DeletedTemplateSchema(ma.Schema):
    """A template that is gone."""

    template_id = fields.String(required=True, metadata=described(TPL_ID))
    deleted = fields.Boolean(required=True, metadata=described(True))
