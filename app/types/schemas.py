"""Shapes of object types."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.jobs.schemas import described

WORD = r"[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?\Z"
"""Printable, and neither end is a space."""


def _name(**kwargs: Any) -> fields.String:
    checks = [validate.Length(1, 100), validate.Regexp(WORD)]
    return fields.String(validate=checks, metadata=described("coin"), **kwargs)


def _words(example: list[str], text: str, max_chars: int) -> fields.List[str]:
    return fields.List(
        fields.String(validate=validate.Length(1, max_chars)),
        validate=validate.Length(0, 100),
        metadata=described(example, text),
    )


class TypeChangeSchema(ma.Schema):
    """What can be changed of a type."""

    name = _name()
    synonyms = _words(["coins", "cent"], "other words for it", 100)
    prompts = _words(["a metal coin"], "what the zero-shot classifier is asked", 200)
    colour = fields.String(validate=validate.Regexp(r"#[0-9a-fA-F]{6}\Z"), metadata=described("#c32222"))
    min_area_px = fields.Integer(
        strict=True,
        allow_none=True,
        validate=validate.Range(0, 10**9),
        metadata=described(200, "smaller is not counted"),
    )
    max_area_px = fields.Integer(
        strict=True,
        allow_none=True,
        validate=validate.Range(1, 10**9),
        metadata=described(None, "larger is not counted"),
    )


class TypeRequestSchema(TypeChangeSchema):
    """A new type."""

    name = _name(required=True)


class TypeSchema(ma.Schema):
    """A thing that can be counted by name."""

    type_id = fields.String(required=True, metadata=described("typ_01jz4k8e7b2w3x4y5z6a7b8c9d"))
    name = fields.String(required=True, metadata=described("coin"))
    synonyms = fields.List(fields.String(), required=True, metadata=described(["coins", "cent"]))
    prompts = fields.List(fields.String(), required=True, metadata=described(["a metal coin"]))
    colour = fields.String(required=True, metadata=described("#c32222"))
    min_area_px = fields.Integer(required=True, allow_none=True, metadata=described(200))
    max_area_px = fields.Integer(required=True, allow_none=True, metadata=described(None))
