"""Errors: one payload shape, and one table from a domain error's code to its HTTP status."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, g, jsonify, request
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException

from app.columns import utcnow
from app.error_codes import ERROR_CODES
from app.storage import NotFoundError, StorageError

log = logging.getLogger(__name__)

HTTP_STATUS: dict[str, int] = {
    code: kind.status for code, kind in ERROR_CODES.items() if kind.status is not None
}
"""Every code of the HTTP API."""

_CODE_OF_STATUS = {
    400: "INVALID_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "FILE_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    416: "RANGE_NOT_SATISFIABLE",
    422: "INVALID_REQUEST",
    429: "RATE_LIMIT_EXCEEDED",
}
"""Werkzeug's and webargs' own exceptions; 422 becomes 400, as the contract knows no 422."""


class TallyError(Exception):
    """A failure the client is told about.

    Attributes:
        code: key of ``HTTP_STATUS``. field: dotted path of the bad input.
        details: one dict a problem, when there are several (file name, field, code, message).
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        field: str | None = None,
        details: list[dict[str, Any]] | None = None,
    ) -> None:
        """Keep what the payload will say; the message says what was wanted and what came."""
        super().__init__(message)
        self.code, self.message, self.field, self.details = code, message, field, details or []


def init_app(app: Flask) -> None:
    """Answer every exception with the one payload."""
    app.register_error_handler(TallyError, _tally_error)
    app.register_error_handler(HTTPException, _http_error)
    for unavailable in (OperationalError, InterfaceError, PoolTimeoutError):
        app.register_error_handler(unavailable, _database_unavailable)
    app.register_error_handler(SQLAlchemyError, _database_error)
    app.register_error_handler(StorageError, _storage_error)
    app.register_error_handler(NotFoundError, _file_missing)
    app.register_error_handler(Exception, _unexpected)


def _respond(
    code: str, status: int, message: str, *, field: str | None = None, details: Any = None
) -> Response:
    """Return the answer that tells an error, as ``blueprint.ErrorSchema`` describes it."""
    error = {
        "code": code,
        "message": message,
        "details": details or [],
        "timestamp": utcnow().isoformat().replace("+00:00", "Z"),
        "request_id": g.get("request_id", ""),
        "documentation_url": f"/docs/errors#{code}",
    }
    response = jsonify({"status": "error", "error": error | ({"field": field} if field else {})})
    response.status_code = status
    if (seconds := ERROR_CODES[code].retry_after_s) is not None:
        response.headers["Retry-After"] = str(seconds)
    return response


def _tally_error(error: TallyError) -> Response:
    status = HTTP_STATUS[error.code]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request failed", extra={"code": error.code}, exc_info=error)
    return _respond(error.code, status, error.message, field=error.field, details=error.details)


def _http_error(error: HTTPException) -> Response:
    """Translate Werkzeug's and flask-smorest's exceptions, keeping headers such as Allow on a 405."""
    status = error.code or 500
    code = _CODE_OF_STATUS.get(status, "INVALID_REQUEST" if status < 500 else "INTERNAL_ERROR")
    data = getattr(error, "data", None) or {}
    details = _field_details(data.get("messages") or {})
    message = data.get("message") or error.description or HTTPStatus(status).phrase
    if code == "RATE_LIMIT_EXCEEDED":  # the limiter's own words are the limit alone
        limit = current_app.extensions["tally_config"].rate_limit_per_minute
        message = f"more than {limit} requests in a minute: wait a moment and try again"
    if details:
        message = "; ".join(f"{d['field']}: {d['message']}" for d in details)
    response = _respond(
        code,
        400 if status == 422 else status,
        str(message),
        field=details[0]["field"] if details else None,
        details=details,
    )
    for name, value in error.get_headers():
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value
    return response


def _field_details(messages: Any, path: str = "") -> list[dict[str, str]]:
    """Flatten marshmallow's nested messages into one {field, message} a problem.

    The outermost level is webargs' location (``json``, ``query``), which is not part of the name.
    """
    if isinstance(messages, list):
        return [
            {"field": path.removeprefix(".").partition(".")[2] or path.strip("."), "message": str(m)}
            for m in messages
        ]
    if isinstance(messages, dict):
        return [d for key, value in messages.items() for d in _field_details(value, f"{path}.{key}")]
    return [{"field": path.strip("."), "message": str(messages)}]


def _database_unavailable(error: OperationalError | InterfaceError | PoolTimeoutError) -> Response:
    log.error("database unavailable", exc_info=error)
    return _respond(
        "DATABASE_UNAVAILABLE", 503, "The database does not answer; nothing was changed. Try again shortly."
    )


def _database_error(error: SQLAlchemyError) -> Response:
    log.error("database error", exc_info=error)
    return _respond("DATABASE_ERROR", 500, "The database refused this; nothing was changed.")


def _storage_error(error: StorageError) -> Response:
    log.error("storage error", exc_info=error)
    return _respond("STORAGE_ERROR", 500, "A file could not be stored or read; nothing was changed.")


def _file_missing(error: NotFoundError) -> Response:
    log.error("a stored file is missing", exc_info=error)
    return _respond("FILE_NOT_FOUND", 404, "The file's bytes are not stored any more.")


def _unexpected(error: Exception) -> Response:
    """Tell no internals: the traceback goes to the log and Sentry under the request id."""
    log.exception("unexpected error", extra={"path": request.url_rule.rule if request.url_rule else None})
    return _respond(
        "INTERNAL_ERROR", 500, f"Something went wrong on our side; request {g.get('request_id', '')}."
    )
