"""Read what POSTs of files send: the files, type, config, and the key that makes a repeat harmless."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, cast

from flask import Request

from app.blueprint import read_json
from app.errors import TallyError
from app.jobs.idempotency import RequestKey
from app.uploads.received import ReceivedFile

MAX_CONFIG_CHARS = 200_000
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
"""What is read as a form; the second one cannot carry files, and is told that it has none."""

Files = list[tuple[str, ReceivedFile]]


@dataclass(frozen=True, slots=True)
class Submission:
    """A submitted job, before its parts are looked at."""

    files: Files
    type_name: str | None
    config: dict[str, Any]
    request_key: RequestKey | None


def read_submission(asked: Request) -> Submission:
    """Return the parts of a request; the files are on disk already.

    Raises:
        TallyError: INVALID_CONFIG for config that is no JSON object, INVALID_REQUEST for the key, and as
            ``read_files``.
    """
    files = read_files(asked, "images")
    config, type_name = _config(asked.form.get("config", "{}")), asked.form.get("type")
    return Submission(files, type_name, config, key_of_files(asked, files, type_name or "", config))


def read_files(asked: Request, field: str) -> Files:
    """Return the files of one field: (name as sent, file) in the order of the request.

    Raises:
        TallyError: UNSUPPORTED_MEDIA_TYPE for what is no form, INVALID_REQUEST for what cannot be read.
    """
    if asked.content_length and asked.mimetype not in FORMS:
        message = f"want Content-Type: {FORMS[0]}, got {asked.mimetype or 'none'}"
        raise TallyError("UNSUPPORTED_MEDIA_TYPE", message, field="Content-Type")
    return [
        (sent.filename or "", cast("ReceivedFile", sent.stream))
        for sent in asked.files.getlist(field)
        if sent.filename or cast("ReceivedFile", sent.stream).size_bytes
    ]


def key_of(asked: Request) -> RequestKey | None:
    """Return the ``Idempotency-Key`` of a request with a small body, None when it carries none."""
    key = asked.headers.get("Idempotency-Key")
    if key is None:
        return None
    return RequestKey(key, hashlib.sha256(f"{asked.path}\n".encode() + asked.get_data()).hexdigest())


def key_of_files(asked: Request, files: Files, *meant: Any) -> RequestKey | None:
    """Return the ``Idempotency-Key`` of a multipart request, None when it carries none.

    Multipart bodies differ by their boundary alone, so the key covers the files and what else is ``meant``.
    """
    key = asked.headers.get("Idempotency-Key")
    if key is None:
        return None
    meaning = [asked.full_path, *meant, [[name, file.sha256] for name, file in files]]
    return RequestKey(key, hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest())


def _config(text: str) -> dict[str, Any]:
    try:
        if len(text) > MAX_CONFIG_CHARS:
            raise ValueError(f"more than {MAX_CONFIG_CHARS} characters")
        found = read_json(text or "{}")
    except ValueError as error:
        raise TallyError(
            "INVALID_CONFIG", f"config: want a JSON object, got {error}", field="config"
        ) from error
    if not isinstance(found, dict):
        got = type(found).__name__
        raise TallyError("INVALID_CONFIG", f"config: want a JSON object, got {got}", field="config")
    return found
