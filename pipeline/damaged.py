"""Refuse files that are damaged where their decoder does not look: Pillow and standard library only.

What libjpeg says of a JPEG is read by ``jpeg_warnings``, which needs OpenCV. docs/accuracy.md says what
damage is not noticed.
"""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from typing import IO

from PIL import Image as PillowImage

from pipeline.heic_damage import refuse_damaged_heic

SPARE_BYTES = 64
"""A WebP that decodes without so many bytes at its end has lost its place. Sound ones need their last 4."""

_RIFF_HEAD = 12


def refuse_damaged(opened: PillowImage.Image) -> None:
    """Raise SyntaxError for a PNG with a wrong checksum, a WebP with bytes that nothing needs, a broken HEIC.

    A copy that broke off may have its full length, zeros at its end, and decode: Pillow looks at a PNG's
    checksums only when told to, and WebP has none.

    Args:
        opened: not yet decoded; its file is left where it was.
    """
    file = getattr(opened, "fp", None)
    if file is None or opened.format not in ("PNG", "WEBP", "HEIF"):
        return
    before = file.tell()
    try:
        if opened.format == "WEBP":
            _refuse_spare_bytes(file)
        elif opened.format == "HEIF":
            file.seek(0)
            refuse_damaged_heic(file.read())
        else:
            with suppress(OSError):  # cut short; the decoder says whether pixels are missing
                PillowImage.open(file, formats=["PNG"]).verify()
    finally:
        file.seek(before)


def _refuse_spare_bytes(file: IO[bytes]) -> None:
    """Raise SyntaxError when the picture of a WebP decodes without its last bytes.

    A decoder that has met damage goes on with whatever the bits now mean. It ends early or late: late is
    an error of its own, early is this one.
    """
    file.seek(_RIFF_HEAD)
    while len(head := file.read(8)) == 8:
        kind, n_bytes = head[:4], struct.unpack("<I", head[4:])[0]
        if kind not in (b"VP8 ", b"VP8L"):
            file.seek(n_bytes + n_bytes % 2, io.SEEK_CUR)
            continue
        data = file.read(max(n_bytes - SPARE_BYTES, 0))
        padded = data + bytes(len(data) % 2)
        chunk = b"WEBP" + kind + struct.pack("<I", len(data)) + padded
        short = io.BytesIO(b"RIFF" + struct.pack("<I", len(chunk)) + chunk)
        if _decodes(short):
            raise SyntaxError(f"its picture ends {SPARE_BYTES} bytes before its data")
        return


def _decodes(file: IO[bytes]) -> bool:
    try:
        with PillowImage.open(file, formats=["WEBP"]) as opened:
            opened.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True
