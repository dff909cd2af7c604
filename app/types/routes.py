"""The finite set of things that can be counted by name."""

from __future__ import annotations

from typing import Any

from flask import request

from app.blueprint import Blueprint
from app.jobs.idempotency import Data
from app.jobs.routes import IDEMPOTENCY_KEY
from app.jobs.submission import key_of
from app.types import schemas, service

blp = Blueprint("types", __name__, description="The finite set of things that can be counted by name.")


@blp.route("/types", methods=["GET"])
@blp.answers(200, schemas.TypeSchema, many=True)
@blp.doc(operationId="listTypes")
@blp.paginate(page_size=100, max_page_size=1000)
def list_types(pagination_parameters: Any) -> list[Data]:
    """List object types by name."""
    page = pagination_parameters
    types, page.item_count = service.list_types(page.first_item, page.page_size)
    return types


@blp.route("/types", methods=["POST"])
@blp.answers(
    201, schemas.TypeSchema, errors=("UNSUPPORTED_MEDIA_TYPE", "TYPE_EXISTS", "IDEMPOTENCY_CONFLICT")
)
@blp.doc(operationId="createType", parameters=[IDEMPOTENCY_KEY])
@blp.arguments(schemas.TypeRequestSchema)
def create_type(body: dict[str, Any]) -> Data:
    """Add an object type."""
    return service.create_type(body, key_of(request))


@blp.route("/types/<string:type_id>", methods=["PATCH"])
@blp.answers(200, schemas.TypeSchema, errors=("UNSUPPORTED_MEDIA_TYPE", "TYPE_NOT_FOUND", "TYPE_EXISTS"))
@blp.doc(operationId="changeType")
@blp.arguments(schemas.TypeChangeSchema)
def change_type(body: dict[str, Any], type_id: str) -> Data:
    """Change an object type; results that are there keep what they say."""
    return service.change_type(type_id, body)
