"""Saved exemplars and settings."""

from __future__ import annotations

from typing import Any

from flask import request

from app.blueprint import Blueprint
from app.jobs.idempotency import Data
from app.jobs.routes import IDEMPOTENCY_KEY
from app.jobs.submission import key_of
from app.templates import schemas, service

blp = Blueprint("templates", __name__, description="Saved exemplars and settings.")

BODY_ERRORS = ("UNSUPPORTED_MEDIA_TYPE", "INVALID_CONFIG", "TEMPLATE_EXISTS")


@blp.route("/templates", methods=["GET"])
@blp.answers(200, schemas.TemplateSchema, many=True)
@blp.doc(operationId="listTemplates")
@blp.paginate(page_size=100, max_page_size=1000)
def list_templates(pagination_parameters: Any) -> list[Data]:
    """List templates by name."""
    page = pagination_parameters
    templates, page.item_count = service.list_templates(page.first_item, page.page_size)
    return templates


@blp.route("/templates", methods=["POST"])
@blp.answers(201, schemas.TemplateSchema, errors=(*BODY_ERRORS, "IDEMPOTENCY_CONFLICT"))
@blp.doc(operationId="createTemplate", parameters=[IDEMPOTENCY_KEY])
@blp.arguments(schemas.TemplateRequestSchema)
def create_template(body: dict[str, Any]) -> Data:
    """Save exemplars and settings under a name.

    Later jobs name it in `config.template`. The images that its exemplars lie in are kept.
    """
    return service.create_template(body, key_of(request))


@blp.route("/templates/<string:template_id>", methods=["GET"])
@blp.answers(200, schemas.TemplateSchema, errors=("TEMPLATE_NOT_FOUND",))
@blp.doc(operationId="getTemplate")
def get_template(template_id: str) -> Data:
    """Show one template."""
    return service.show_template(template_id)


@blp.route("/templates/<string:template_id>", methods=["PATCH"])
@blp.answers(200, schemas.TemplateSchema, errors=(*BODY_ERRORS, "TEMPLATE_NOT_FOUND"))
@blp.doc(operationId="changeTemplate")
@blp.arguments(schemas.TemplateChangeSchema)
def change_template(body: dict[str, Any], template_id: str) -> Data:
    """Change what is given of a template; jobs that used it keep what they were counted with."""
    return service.change_template(template_id, body)


@blp.route("/templates/<string:template_id>", methods=["DELETE"])
@blp.answers(200, schemas.DeletedTemplateSchema, errors=("TEMPLATE_NOT_FOUND",))
@blp.doc(operationId="deleteTemplate")
def delete_template(template_id: str) -> Data:
    """Delete a template; its images are kept no longer than others."""
    return service.delete_template(template_id)
