"""Documentation that is made from the code: the OpenAPI document and the page of errors."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from openapi_ui_bundles import redoc, swagger_ui

from app.error_codes import ERROR_CODES
from app.errors import TallyError
from app.extensions import api
from pipeline.contract import RETRIED, ErrorCode

OWN = Path(__file__).resolve().parent / "assets"
_FOLDERS = {
    "swagger-ui.css": swagger_ui.static_path,
    "swagger-ui-bundle.js": swagger_ui.static_path,
    "redoc.standalone.js": redoc.static_path,
    "logo-mini.svg": redoc.static_path,
    "start-swagger.js": OWN,
    "errors.css": OWN,
}
_FOREIGN_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
_JOB_CODES = frozenset(ErrorCode)


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the running application's routes."""
    document: dict[str, Any] = api.spec.to_dict()
    return document


def where(code: str) -> str:
    """Return where a code appears: its HTTP status, in jobs, and whether an image is tried again."""
    kind = ERROR_CODES[code]
    places = [f"HTTP {kind.status}" + " with `Retry-After`" * bool(kind.retry_after_s)] if kind.status else []
    if code in _JOB_CODES:
        places.append("job, after retries in the message of `MAX_RETRIES`" if code in RETRIED else "job")
    return f"{'; '.join(places)}."


@cache
def asset(name: str) -> bytes:
    """Return one file of the documentation pages; nothing of them comes from another host.

    Raises:
        TallyError: NOT_FOUND.
    """
    folder = _FOLDERS.get(name)
    if folder is None:
        raise TallyError("NOT_FOUND", "there is no such asset")
    return (folder / name).read_bytes().replace(_FOREIGN_LOGO, b"/docs/assets/logo-mini.svg")
