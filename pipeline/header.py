"""What an image file says of itself, read without decoding its pixels: Pillow, for HEIC pillow-heif too.

The web process validates uploads with this; the worker's ``preprocess`` decodes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image as PillowImage
from PIL import TiffImagePlugin, UnidentifiedImageError

from pipeline.contract import ErrorCode, PipelineError
from pipeline.formats import (
    FORMATS,
    HEIC_HELP,
    MAGIC_BYTES,
    Format,
    magic_format,
    taken_formats,
    wanted,
)

MAX_DECODED_PX = 8192 * 8192
"""Larger images are never decoded, whatever asks for it."""

MAX_PAGES = 1000
"""Pages of a TIFF; looking at so many takes some 0.1 s."""

_SUBFILE_TYPE, _SUB_IFDS, _COPY = 254, 330, 1
"""TIFF tags for what a page is and where pages below it lie; the bit of a smaller copy."""

_BITS_PER_SAMPLE, _COMPRESSION, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 259, 262, 339
_PLANAR, _SEPARATE = 284, 2
_PARTS = ((273, 324), (279, 325))
"""TIFF tags for where strips or tiles lie, and for their bytes."""
_NUMBERS = {1: "unsigned", 2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}

PillowImage.MAX_IMAGE_PIXELS = (
    None  # else the header of a bomb could not be read; refuse_bomb guards decoding
)


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Facts of a file's header.

    Attributes:
        format: by magic bytes, confirmed by the decoder.
        width, height: px of the first page that is counted, before EXIF orientation. HEIC is turned by
            itself: as it is shown.
        pages: 1, or the number of pages of a multi-page TIFF that are pictures of their own.
    """

    format: Format
    width: int
    height: int
    pages: int


def probe(path: str | Path) -> ImageHeader:
    """Return what the header says; no pixel is decoded, so a decompression bomb does no harm.

    Raises:
        PipelineError: FILE_NOT_FOUND; FILE_ERROR when the format is by magic bytes none that is taken, or
            a TIFF of a kind that is not read; CORRUPTED_FILE when the decoder of that format cannot
            read the header.
    """
    with open_image(path) as (opened, file_format):
        sizes = [opened.size for _ in counted_pages(opened)]
        return ImageHeader(file_format, *sizes[0], len(sizes))


def counted_pages(opened: PillowImage.Image) -> Iterator[int]:
    """Go to each page that is a picture of its own, and yield its number: at least one.

    Only a TIFF has several: of a burst in a HEIC its primary picture is meant, where Pillow opens it.
    Smaller copies of other pages (TIFF tag NewSubfileType) are no pages: a pyramid is one picture.
    Pillow's own count walks chains of millions of pages, one a few bytes long.

    Raises:
        PipelineError: CORRUPTED_FILE for more than ``MAX_PAGES``; FILE_ERROR for a camera's raw file, of
            which Pillow reads a small preview only, and for 16-bit colours one plane after the other.
    """
    is_raw, n_counted = False, 0
    for page in range(MAX_PAGES + 1) if opened.format == "TIFF" else (opened.tell(),):
        try:
            opened.seek(page)
        except EOFError:
            break
        if page == MAX_PAGES:
            raise PipelineError(ErrorCode.CORRUPTED_FILE, f"want at most {MAX_PAGES} pages, got more")
        tags = getattr(opened, "tag_v2", {})
        if tags.get(_SUBFILE_TYPE, 0) & _COPY:
            is_raw = is_raw or _SUB_IFDS in tags
        else:
            n_counted += 1
            _refuse_deep_planes(tags)
            yield page
    if is_raw and not n_counted:
        message = "want a developed picture, got a preview only: is it a camera's raw file?"
        raise PipelineError(ErrorCode.FILE_ERROR, message)
    if not n_counted:
        opened.seek(0)
        yield 0


def _refuse_deep_planes(tags: Any) -> None:
    """Raise FILE_ERROR for a page of 16-bit colours that lie one plane after the other: Pillow cuts them."""
    bits = tags.get(_BITS_PER_SAMPLE, (8,))
    if tags.get(_PLANAR) == _SEPARATE and len(bits) > 1 and max(bits) > 8:
        raise PipelineError(ErrorCode.FILE_ERROR, "want 16-bit colours pixel by pixel, got plane by plane")


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
            if file_format is None or file_format not in taken_formats():
                got = f"{FORMATS[file_format].name}: {HEIC_HELP}" if file_format else "other bytes"
                raise PipelineError(ErrorCode.FILE_ERROR, f"want {wanted()}, got {got}")
            if file_format == "heic":
                _register_heic()
            file.seek(0)
            with PillowImage.open(file, formats=FORMATS[file_format].decoders) as opened:
                yield opened, file_format
    except (PipelineError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise PipelineError(ErrorCode.FILE_NOT_FOUND, f"no file {path.name}") from error
    except (IsADirectoryError, PermissionError) as error:
        raise PipelineError(ErrorCode.FILE_ERROR, f"cannot read {path.name}: {error.strerror}") from error
    except UnidentifiedImageError as error:  # its text names the path
        if kind := _kind_of_tiff(path):
            message = f"want a TIFF of 8-bit, 16-bit or grey 32-bit samples, 1 to 4 a pixel; got {kind}"
            raise PipelineError(ErrorCode.FILE_ERROR, message) from error
        raise PipelineError(ErrorCode.CORRUPTED_FILE, f"{path.name} does not decode") from error
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error and more
        raise PipelineError(ErrorCode.CORRUPTED_FILE, f"{path.name} does not decode: {error}") from error


def _register_heic() -> None:
    """Let Pillow open HEIC; importing the package takes 50 ms, so that only the first such file does."""
    import pillow_heif

    pillow_heif.register_heif_opener()


def _kind_of_tiff(path: Path) -> str | None:
    """Return what a TIFF says of the pixels of its first page; None for other files and damaged ones."""
    try:
        tags = _tags_of_tiff(path)
        parts = [tags.get(name) or tags[other] for name, other in _PARTS]
        n_bytes = path.stat().st_size
        is_whole = all(start + length <= n_bytes for start, length in zip(*parts, strict=True))
    except Exception:  # whatever damaged tags lead to
        return None
    if not is_whole:
        return None
    bits = " + ".join(map(str, tags.get(_BITS_PER_SAMPLE, (1,))))
    number = _NUMBERS.get(tags.get(_SAMPLE_FORMAT, (1,))[0], "unknown")
    compression, colours = tags.get(_COMPRESSION, 1), tags.get(_PHOTOMETRIC)
    return f"{bits} bits ({number}), compression {compression}, photometric interpretation {colours}"


def _tags_of_tiff(path: Path) -> Any:
    with path.open("rb") as file:
        if magic_format(head := file.read(16)) != "tiff":
            raise ValueError("no TIFF")
        tags = TiffImagePlugin.ImageFileDirectory_v2(head if 43 in head[2:4] else head[:8])
        file.seek(tags.next)
        tags.load(file)
        dict(tags)  # all values are read now
    return tags
