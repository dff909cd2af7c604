"""The API's documentation: Swagger UI, ReDoc, the OpenAPI document, the page of errors."""

from __future__ import annotations

import mimetypes

from flask import Blueprint, Response, jsonify, render_template, request

from app.docs import service
from app.error_codes import ERROR_CODES

blp = Blueprint("docs", __name__, template_folder="pages")


@blp.get("/docs")
def swagger() -> str:
    """Try the API out in the browser."""
    return render_template("swagger.html")


@blp.get("/redoc")
def redoc() -> str:
    """Read the API's reference."""
    return render_template("redoc.html")


@blp.get("/docs/errors")
def errors() -> str:
    """Explain every error code."""
    return render_template("errors.html", codes=ERROR_CODES, where=service.where)


@blp.get("/openapi.json")
def openapi() -> Response:
    """Return the OpenAPI 3.1 document."""
    return jsonify(service.openapi_document())


@blp.get("/docs/assets/<name>")
def asset(name: str) -> Response:
    """Return a file that the pages load."""
    media_type = mimetypes.guess_type(name)[0]
    response = Response(service.asset(name), mimetype=media_type)
    response.headers["Cache-Control"] = "public, max-age=86400"
    response.add_etag()
    response.make_conditional(request)
    return response
