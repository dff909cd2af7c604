"""What libjpeg remarks on a JPEG while it decodes it: the one sign of damage in the middle that there is.

Pillow drops these remarks. OpenCV's libjpeg prints the first one to standard error, so this file descriptor
is turned to a file for the while; what others print there meanwhile is passed on.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import cv2

FEW_BYTES = 16
"""So many bytes too many between the parts of a picture are a camera's carelessness, not damage."""

_STDERR = 2
_STDERR_LOCK = threading.Lock()
_REMARK = re.compile(rb"(Corrupt JPEG data: |Premature end of JPEG file).*\n?")
_LOST_PLACE = re.compile(
    rb"(?:premature end of data segment|bad Huffman code|bad arithmetic code"
    rb"|found marker 0x\w\w instead of RST"
    rb"|(?P<n_bytes>\d+) extraneous bytes before marker 0x(?:d[0-7]|c4|da))"
)
"""Before a restart marker (d0 to d7) or another scan (c4, da). Before the end (d9) and in headers, sound
files of webcams and editors have spare bytes as well."""


def damage_of_jpeg(path: str | Path) -> str | None:
    """Return what libjpeg says of the damage in the middle of a JPEG; None for a sound one.

    Only the first remark is heard. A file that OpenCV does not read, or a process without standard error,
    gives None.
    """
    flags = cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        printed = _stderr_of(lambda: cv2.imread(str(path), flags))
    except (cv2.error, OSError, UnicodeError):
        return None
    found = _LOST_PLACE.search(printed)
    if not found or int(found["n_bytes"] or sys.maxsize) <= FEW_BYTES:
        return None
    return found[0].decode()


def _stderr_of(call: Callable[[], object]) -> bytes:
    """Return what is printed to file descriptor 2 during a call; what is no remark of libjpeg goes there."""
    with _STDERR_LOCK, tempfile.TemporaryFile() as file:
        kept = os.dup(_STDERR)
        os.dup2(file.fileno(), _STDERR)
        try:
            call()
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
            file.seek(0)
            printed = file.read()
            if others := _REMARK.sub(b"", printed):
                os.write(_STDERR, others)
    return printed
