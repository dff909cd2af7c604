"""The blueprint of every API folder: the envelope around what a view returns."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import flask_smorest
import marshmallow as ma
from flask import Request, Response, jsonify
from flask_smorest.utils import unpack_tuple_response
from webargs import missing
from webargs.flaskparser import FlaskParser

from app.error_codes import ERROR_CODES
from app.errors import TallyError

View = Callable[..., Any]

_WORDS = {200: "success", 201: "success", 202: "accepted"}
PAGE_SIZE = 20
MAX_PAGE = 1_000_000
PAGINATION_HEADER = {
    "description": "JSON object: total, total_pages, first_page, last_page, page, previous_page, next_page.",
    "schema": {"type": "string"},
    "example": '{"total": 41, "total_pages": 3, "first_page": 1, "last_page": 3, "page": 1, "next_page": 2}',
}


class Envelope(ma.Schema):
    """Answer of a successful request; each view has its own subclass with its ``data``."""


@cache
def _envelope(schema: type[ma.Schema], word: str, *, many: bool) -> type[ma.Schema]:
    """Return the schema of the whole answer, one class for all views that answer alike."""
    nested = ma.fields.Nested(schema)
    fields = {
        "status": ma.fields.String(required=True, metadata={"example": word, "enum": [word]}),
        "data": ma.fields.List(nested, required=True) if many else ma.fields.Nested(schema, required=True),
    }
    name = schema.__name__.removesuffix("Schema") + ("List" if many else "") + "Answer"
    return type(name, (Envelope,), fields)


class ErrorDetailSchema(ma.Schema):
    """One of several problems."""

    class Meta:
        """Details may say more, for example the current version."""

        unknown = ma.INCLUDE

    field = ma.fields.String(metadata={"example": "config.iou_threshold", "description": "The bad input."})
    filename = ma.fields.String(metadata={"example": "tray.gif", "description": "The bad file."})
    code = ma.fields.String(metadata={"example": "INVALID_FORMAT", "description": "Code of this problem."})
    message = ma.fields.String(metadata={"example": "want a number from 0 to 1, got 3"})


class ErrorBodySchema(ma.Schema):
    """What went wrong."""

    code = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(sorted(ERROR_CODES)),
        metadata={"example": "INVALID_CONFIG", "description": "Stable; see /docs/errors."},
    )
    message = ma.fields.String(required=True, metadata={"example": "want a number from 0 to 1, got 3"})
    details = ma.fields.List(
        ma.fields.Nested(ErrorDetailSchema), required=True, metadata={"description": "All problems."}
    )
    field = ma.fields.String(metadata={"example": "config.confidence_threshold"})
    timestamp = ma.fields.DateTime(required=True, metadata={"example": "2026-01-31T12:00:00Z"})
    request_id = ma.fields.String(required=True, metadata={"example": "req_01jz0000000000000000000000"})
    documentation_url = ma.fields.String(required=True, metadata={"example": "/docs/errors#INVALID_CONFIG"})


class ErrorSchema(ma.Schema):
    """Answer of every request that fails."""

    status = ma.fields.String(required=True, metadata={"example": "error", "enum": ["error"]})
    error = ma.fields.Nested(ErrorBodySchema, required=True)


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(text: str | bytes) -> Any:
    """Return the value of JSON text.

    Raises:
        ValueError: it is no JSON in UTF-8, is nested too deeply, has a number of thousands of digits, or half
            of a surrogate pair, which no database and no file takes.
    """
    text = text if isinstance(text, str) else text.decode()
    try:
        found = json.loads(text)
        if _SURROGATE.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return found


class Parser(FlaskParser):
    """Bad input is 400: the contract knows no 422. A JSON body must say that it is one."""

    DEFAULT_VALIDATION_STATUS = 400

    def load_json(self, req: Request, schema: ma.Schema) -> Any:
        """Return the JSON body; raise INVALID_REQUEST for a bad one, UNSUPPORTED_MEDIA_TYPE for another."""
        if req.content_length and not req.is_json:
            message = f"want Content-Type: application/json, got {req.mimetype or 'none'}"
            raise TallyError("UNSUPPORTED_MEDIA_TYPE", message, field="Content-Type")
        if not req.is_json or not (body := req.get_data()):
            return missing
        req.stream.read(1)  # raises 413 where a body that came in chunks was cut at the limit
        try:
            return read_json(body)
        except ValueError as error:
            raise TallyError("INVALID_REQUEST", f"want a JSON body, got {error}", field="json") from error


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc] # flask-smorest has no type information
    """flask-smorest's blueprint with our envelope, our errors and 400 for bad input."""

    ARGUMENTS_PARSER = Parser()
    PAGINATION_ARGUMENTS_PARSER = Parser()
    DEFAULT_PAGINATION_PARAMETERS = {"page": 1, "page_size": PAGE_SIZE, "max_page_size": 100}  # noqa: RUF012

    def answers(
        self,
        status: int,
        schema: type[ma.Schema],
        *,
        errors: tuple[str, ...] = (),
        many: bool = False,
    ) -> Callable[[View], View]:
        """Decorate a view that returns ``data``: wrap it, and document it with its errors.

        ``data`` is plain JSON values and goes out as it is: on ten thousand objects a schema would cost
        seconds. The contract tests compare what is sent with what is documented.

        Args:
            status: 200, 201 or 202 (then the envelope says "accepted").
            schema: of ``data``, or of its items with ``many``.
            errors: codes that this view may answer with, besides those that every one may.
            many: ``data`` is a list.
        """
        word = _WORDS[status]
        envelope = _envelope(schema, word, many=many)

        def decorate(view: View) -> View:
            def enveloped(*args: Any, **kwargs: Any) -> Response:
                answer, _, headers = unpack_tuple_response(view(*args, **kwargs))  # ``paginate`` adds one
                response = jsonify(status=word, data=answer)
                response.status_code = status
                response.headers.extend(headers or {})
                return response

            enveloped.__name__, enveloped.__doc__ = view.__name__, view.__doc__
            enveloped.__module__ = view.__module__
            enveloped._apidoc = getattr(view, "_apidoc", {})  # type: ignore[attr-defined]
            documented: View = self.response(status, envelope)(enveloped)
            return self.fails_with(*errors)(documented)

        return decorate

    def fails_with(self, *codes: str) -> Callable[[View], View]:
        """Document the error codes of a view: one response an HTTP status, with all its codes."""
        by_status: dict[int, list[str]] = {}
        for code in ("INVALID_REQUEST", "RATE_LIMIT_EXCEEDED", "DATABASE_UNAVAILABLE", *codes):
            by_status.setdefault(ERROR_CODES[code].status or 500, []).append(code)

        def decorate(view: View) -> View:
            for status, names in sorted(by_status.items()):
                view = self.alt_response(status, schema=ErrorSchema, description=", ".join(names))(view)
            return view

        return decorate

    def paginate(self, **sizes: int) -> Callable[[View], View]:
        """Decorate a list view as flask-smorest does; pages beyond ``MAX_PAGE`` are refused.

        The database's integers end somewhere, and no list is that long.
        """

        def decorate(view: View) -> View:
            @wraps(view)
            def bounded(*args: Any, **kwargs: Any) -> Any:
                if (page := kwargs["pagination_parameters"].page) > MAX_PAGE:
                    raise TallyError(
                        "INVALID_REQUEST", f"want a page up to {MAX_PAGE}, got {page}", field="page"
                    )
                return view(*args, **kwargs)

            paginated: View = flask_smorest.Blueprint.paginate(self, **sizes)(bounded)
            return paginated

        return decorate

    def _document_pagination_metadata(self, spec: Any, resp_doc: dict[str, Any]) -> None:
        """Describe the header as the text it is: JSON in a header has no schema of its own."""
        resp_doc.setdefault("headers", {})[self.PAGINATION_HEADER_NAME] = PAGINATION_HEADER

    @staticmethod
    def _prepare_response_doc(doc: Any, doc_info: Any, **kwargs: Any) -> Any:
        """Our own description of 400 replaces the one that ``arguments`` leaves behind."""
        doc.get("responses", {}).pop(Parser.DEFAULT_VALIDATION_STATUS, None)
        return flask_smorest.Blueprint._prepare_response_doc(doc, doc_info, **kwargs)
