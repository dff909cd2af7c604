"""GET /files/{file_id}/{kind}: binary, with ETag and ranges."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import marshmallow as ma
from flask import Response, request
from marshmallow import fields
from werkzeug.datastructures import Range

from app.blueprint import Blueprint
from app.files.service import MEDIA_TYPES, FileReader, find_file
from app.jobs.schemas import JOB_ID, described

blp = Blueprint("files", __name__, description="The images and what was drawn on them.")

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_KIND = "<any(original, annotated, heatmap, rejected, thumbnail):kind>"
_CONTENT = {"content": {name: _BYTES for name in MEDIA_TYPES.values()}}
RESPONSES = {
    "200": {"description": "The file.", **_CONTENT},
    "206": {"description": "The part that Range asks for.", **_CONTENT},
    "304": {"description": "The file that If-None-Match names."},
}


class FileQuerySchema(ma.Schema):
    """Query of GET /files."""

    job_id = fields.String(load_default=None, metadata=described(JOB_ID, "the run; the newest without"))
    v = fields.Integer(load_default=None, metadata=described(2, "ignored; makes an address new"))


@blp.route(f"/files/<string:file_id>/{_KIND}", methods=["GET"])
@blp.fails_with("FILE_NOT_FOUND", "RESULTS_NOT_READY", "RANGE_NOT_SATISFIABLE", "STORAGE_ERROR")
@blp.doc(operationId="getFile", responses=RESPONSES)
@blp.arguments(FileQuerySchema, location="query")
def get_file(query: dict[str, Any], file_id: str, kind: str) -> Response:
    """Download an image, a picture of its count, or its thumbnail.

    A picture that does not show the current count is not served: 404 `RESULTS_NOT_READY` with `Retry-After`.
    """
    found = find_file(file_id, kind, query["job_id"])
    response = Response(FileReader(found.key), mimetype=found.media_type, direct_passthrough=True)
    response.content_length = found.size
    response.set_etag(found.etag)
    response.headers["Cache-Control"] = (
        f"private, {'max-age=86400, immutable' if found.is_final else 'no-cache'}"
    )
    response.headers.set("Content-Disposition", "inline", **_names(found.filename))
    response.accept_ranges = "bytes"
    is_part = _asks_for_a_part(request.range, found.size)
    response.make_conditional(request, accept_ranges=is_part, complete_length=found.size)
    return response


def _names(filename: str) -> dict[str, str]:
    """Return a file's name as a header holds it: one that is not ASCII twice, see RFC 6266, appendix D."""
    if filename.isascii():
        return {"filename": filename}
    plain = "".join(c if c.isascii() else "_" for c in filename)
    return {"filename": plain, "filename*": f"UTF-8''{quote(filename, safe='')}"}


def _asks_for_a_part(asked: Range | None, size: int) -> bool:
    """Return whether Range names one range of bytes; whatever else it says is ignored (RFC 9110, 14.2)."""
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return False
    return asked.ranges[0][0] + size >= 0  # the last bytes of a file, and more than it has, are all of it
