"""What an image file says of itself, read without decoding its pixels: Pillow and standard library only.

The web process validates uploads with this; the worker's ``preprocess`` decodes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from pipeline.contract import ErrorCode, PipelineError

Format = Literal["jpeg", "png", "tiff", "webp"]

MAGIC_BYTES = 12
MAX_DECODED_PX = 8192 * 8192
"""Larger images are never decoded, whatever asks for it."""

MAX_PAGES = 1000
"""Pages of a TIFF; looking at so many takes some 0.1 s."""

PillowImage.MAX_IMAGE_PIXELS = (
    None  # else the header of a bomb could not be read; refuse_bomb guards decoding
)

_DECODERS: dict[Format, tuple[str, ...]] = {
    "jpeg": ("JPEG", "MPO"),
    "png": ("PNG",),
    "tiff": ("TIFF",),
    "webp": ("WEBP",),
}


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Facts of a file's header.

    Attributes:
        format: by magic bytes, confirmed by the decoder.
        width, height: px of the first page, before EXIF orientation.
        pages: 1, or the number of pages of a multi-page TIFF.
    """

    format: Format
    width: int
    height: int
    pages: int


def magic_format(first_bytes: bytes) -> Format | None:
    """Return the format that the first ``MAGIC_BYTES`` bytes belong to, None for any other."""
    if first_bytes.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if first_bytes.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if first_bytes[:4] in (b"II*\0", b"MM\0*"):
        return "tiff"
    if first_bytes[:4] == b"RIFF" and first_bytes[8:12] == b"WEBP":
        return "webp"
    return None


def probe(path: str | Path) -> ImageHeader:
    """Return what the header says; no pixel is decoded, so a decompression bomb does no harm.

    Raises:
        PipelineError: FILE_NOT_FOUND; FILE_ERROR when the format is not JPEG, PNG, TIFF or WebP by magic
            bytes; CORRUPTED_FILE when the decoder of that format cannot read the header.
    """
    with open_image(path) as (opened, file_format):
        width, height = opened.size
        pages = _n_pages(opened) if file_format == "tiff" else 1
        return ImageHeader(file_format, width, height, pages)


def _n_pages(opened: PillowImage.Image) -> int:
    """Count the pages of a TIFF. Pillow's own count walks chains of millions, one a few bytes long."""
    for page in range(1, MAX_PAGES + 1):
        try:
            opened.seek(page)
        except EOFError:
            return page
    raise PipelineError(ErrorCode.CORRUPTED_FILE, f"want at most {MAX_PAGES} pages, got more")


def check_decodes(path: str | Path) -> None:
    """Decode the whole first page, and raise unless that works.

    Raises:
        PipelineError: as ``probe``; CORRUPTED_FILE also for a truncated file and for more than
            ``MAX_DECODED_PX`` pixels, which are not decoded.
    """
    with open_image(path) as (opened, _):
        refuse_bomb(opened.size)
        opened.load()


def refuse_bomb(size_wh: tuple[int, int]) -> None:
    """Raise CORRUPTED_FILE for an image of more than ``MAX_DECODED_PX`` pixels."""
    if size_wh[0] * size_wh[1] > MAX_DECODED_PX:
        message = f"want at most {MAX_DECODED_PX} px, got {size_wh[0]} x {size_wh[1]}"
        raise PipelineError(ErrorCode.CORRUPTED_FILE, message)


@contextmanager
def open_image(path: str | Path) -> Iterator[tuple[PillowImage.Image, Format]]:
    """Open a file with the one decoder that its magic bytes name; failures inside become named ones.

    Args:
        path: local file, opened for reading only.

    Yields:
        The opened Pillow image, not yet decoded, and its format.

    Raises:
        PipelineError: as ``probe``; CORRUPTED_FILE also for whatever the decoder raises in the block.
    """
    path = Path(path)
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on damaged metadata and on large images
            file_format = magic_format(file.read(MAGIC_BYTES))
            if file_format is None:
                raise PipelineError(
                    ErrorCode.FILE_ERROR, "want JPEG, PNG, TIFF or WebP, got other magic bytes"
                )
            file.seek(0)
            with PillowImage.open(file, formats=_DECODERS[file_format]) as opened:
                yield opened, file_format
    except (PipelineError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise PipelineError(ErrorCode.FILE_NOT_FOUND, f"no file {path.name}") from error
    except (IsADirectoryError, PermissionError) as error:
        raise PipelineError(ErrorCode.FILE_ERROR, f"cannot read {path.name}: {error.strerror}") from error
    except UnidentifiedImageError as error:  # its text names the path
        raise PipelineError(ErrorCode.CORRUPTED_FILE, f"{path.name} does not decode") from error
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error and more
        raise PipelineError(ErrorCode.CORRUPTED_FILE, f"{path.name} does not decode: {error}") from error
