"""Read what POST /jobs sends: files, type, config, and the key that makes a repeat harmless."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, cast

from flask import Request

from app.blueprint import read_json
from app.errors import TallyError
from app.jobs.idempotency import RequestKey
from app.jobs.service import checked_settings, checked_type
from app.uploads.received import ReceivedFile

MAX_CONFIG_CHARS = 200_000


@dataclass(frozen=True, slots=True)
class Submission:
    """A submitted job, before its files are looked at."""

    files: list[tuple[str, ReceivedFile]]
    type_name: str
    config: dict[str, Any]
    request_key: RequestKey | None


def read_submission(asked: Request) -> Submission:
    """Return the parts of a request; the files are on disk already.

    Raises:
        TallyError: INVALID_REQUEST for type, config that is no JSON object, or key; INVALID_CONFIG.
    """
    files = [
        (sent.filename or "", cast("ReceivedFile", sent.stream))
        for sent in asked.files.getlist("images")
        if sent.filename or cast("ReceivedFile", sent.stream).size_bytes
    ]
    config = _config(asked.form.get("config", "{}"))
    checked_settings(config)
    type_name = checked_type(asked.form.get("type", ""))
    return Submission(files, type_name, config, _key(asked, type_name, config, files))


def key_of(asked: Request) -> RequestKey | None:
    """Return the ``Idempotency-Key`` of a request with a small body, None when it carries none."""
    key = asked.headers.get("Idempotency-Key")
    if key is None:
        return None
    return RequestKey(key, hashlib.sha256(f"{asked.path}\n".encode() + asked.get_data()).hexdigest())


def _key(
    asked: Request, type_name: str, config: dict[str, Any], files: list[tuple[str, ReceivedFile]]
) -> RequestKey | None:
    """Multipart bodies differ by their boundary alone, so the key covers what they mean."""
    key = asked.headers.get("Idempotency-Key")
    if key is None:
        return None
    meaning = [asked.full_path, type_name, config, [[name, file.sha256] for name, file in files]]
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
