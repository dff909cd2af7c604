"""What is kept between runs only to spare work, in a folder that may be emptied at any time.

Text embeddings, and what weights files were found to be: apart from the weights, which may be read-only.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

log = logging.getLogger(__name__)


def cache_dir() -> Path:
    """Return the folder, ``TALLY_CACHE_DIR`` (default ``./var/cache``), which need not exist."""
    return Path(os.environ.get("TALLY_CACHE_DIR") or "var/cache")


def keep(file: Path, body: bytes) -> None:
    """Write a file in one step, with its folders; where that fails the log says so, once a folder."""
    part = file.with_name(f"{file.name}.{uuid4().hex}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(body)
        os.replace(part, file)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        _tell_once(file.parent, error.strerror or str(error))


@cache
def _tell_once(folder: Path, reason: str) -> None:
    log.warning("cache: want a folder that can be written, got %s: %s; its work is redone", folder, reason)
