"""Stage 1 of 7: decode one file into the pixels that are counted.

In: path of an image file (``formats``).  Out: Images.  Device: CPU.  Settings: CountSettings.pages.

All pages of a TIFF (``pages="all"``) are counted separately and shown as one tall picture: page below
page, left-aligned, white where a page is narrower (``page_offsets``, ``stack_pages``). So counts add
up, and every object keeps one place in one frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, ImageFile, ImageOps
from PIL import Image as PillowImage

from pipeline.contract import CountSettings, ErrorCode, PipelineError
from pipeline.damaged import refuse_damaged
from pipeline.header import counted_pages, open_image, refuse_bomb
from pipeline.jpeg_warnings import damage_of_jpeg
from pipeline.types import Image

STRETCH_PERCENTILES = (0.5, 99.5)
"""What becomes black and white when 16-bit and float pixels become 8-bit."""

_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_COLOUR_MODES = ("RGB", "RGBA", "LA")
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0


def preprocess(image_id: str, path: str | Path, settings: CountSettings) -> list[Image]:
    """Return the pages to count: one image, or one a page of a TIFF with ``pages="all"``.

    EXIF orientation is applied (HEIC is turned by its decoder alone), transparency lies on white, 16-bit and
    float pixels are stretched to 8 bits between percentiles, 10-bit colours of HEIC are cut to 8; grey,
    palette, CMYK and 1-bit become RGB. The file is not changed.

    Raises:
        PipelineError: FILE_NOT_FOUND; FILE_ERROR for another format or a raw file; CORRUPTED_FILE for a file
            that does not decode fully or is damaged, or whose pages have more than 8192² px together.
    """
    pages = []
    with open_image(path) as (opened, file_format):
        size_wh = (0, 0)
        for _page in counted_pages(opened):
            size_wh = (max(size_wh[0], opened.size[0]), size_wh[1] + opened.size[1])
            refuse_bomb(size_wh)  # before this page is decoded
            refuse_damaged(opened)
            if file_format == "jpeg" and (damage := damage_of_jpeg(path)):
                raise PipelineError(ErrorCode.CORRUPTED_FILE, f"want a whole JPEG, got one with {damage}")
            pages.append(Image(image_id, decode_page(opened, path)))
            if settings.pages == "first":
                break
    return pages


def decode_page(opened: PillowImage.Image, path: str | Path) -> NDArray[np.uint8]:
    """Return the current page of an opened Pillow image as (H, W, 3) uint8 RGB, upright.

    Args:
        opened: the image, its page not yet decoded.
        path: of the file it was opened from.
    """
    upright = ImageOps.exif_transpose(_deep_colours(opened, path) or opened)
    if upright.mode in _DEEP_MODES:
        grey = stretch_to_uint8(np.asarray(upright))
        if getattr(opened, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # Pillow turns 8 bits only
            grey = 255 - grey
        return np.repeat(grey[:, :, None], 3, axis=2)
    if upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info:
        rgba = upright.convert("RGBA")
        upright = PillowImage.new("RGBA", rgba.size, (255, 255, 255, 255))
        upright.alpha_composite(rgba)
    return np.array(upright.convert("RGB"), dtype=np.uint8)


def _deep_colours(opened: PillowImage.Image, path: str | Path) -> PillowImage.Image | None:
    """Return the current page as 8-bit colours if it has 16-bit ones, which Pillow would cut; else None."""
    if not isinstance(opened, ImageFile.ImageFile) or opened.mode not in _COLOUR_MODES:
        return None
    if ";16" not in str(opened.tile[:1]):
        return None
    page, exif = opened.tell(), opened.getexif()
    opened.load()  # raises where the file is cut short, which OpenCV does not
    _, (values, *_) = cv2.imreadmulti(str(path), page, 1, flags=cv2.IMREAD_UNCHANGED)
    # A fourth sample may also be infrared, or nothing that is said; Pillow knows.
    alpha = values[..., 3] if opened.mode in ("RGBA", "LA") and values.shape[2] > 3 else None
    eight = stretch_to_uint8(values[..., 2::-1], None if alpha is None else np.asarray(alpha > 0))
    if alpha is not None:
        eight = np.dstack([eight, (alpha / 257).astype(np.uint8)])
    picture = PillowImage.fromarray(eight)
    if opened.format == "PNG" and ExifTags.Base.Orientation in exif:  # OpenCV has turned TIFFs already
        picture.getexif()[ExifTags.Base.Orientation] = exif[ExifTags.Base.Orientation]
    return picture


def stretch_to_uint8(values: NDArray[np.generic], seen: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """Return the same shape in uint8: the 0.5th percentile becomes 0, the 99.5th 255; one flat value 0.

    Args:
        values: (H, W) or (H, W, C) of any number type; not-a-number counts as the darkest.
        seen: (H, W). What is fully transparent has any value, and does not decide.
    """
    wide = values.astype(np.float32)
    deciding = wide if seen is None else wide[seen]
    finite = deciding[np.isfinite(deciding)]
    if not finite.size:
        return np.zeros(values.shape, dtype=np.uint8)
    low, high = np.percentile(finite, STRETCH_PERCENTILES)
    if high <= low:
        low, high = float(finite.min()), float(finite.max())
    scaled = (np.nan_to_num(wide, nan=low) - low) / max(high - low, 1e-12)
    return np.asarray(np.clip(scaled, 0, 1) * 255 + 0.5, dtype=np.float32).astype(np.uint8)


def page_offsets(pages: Sequence[Image]) -> list[tuple[int, int]]:
    """Return where each page starts in the tall picture, (x, y) px."""
    heights = [page.size_hw[0] for page in pages]
    return [(0, sum(heights[:i])) for i in range(len(heights))]


def stack_pages(pages: Sequence[Image]) -> Image:
    """Return the pages as one tall picture; a single page is returned as it is."""
    if len(pages) == 1:
        return pages[0]
    width = max(page.size_hw[1] for page in pages)
    tall = np.full((sum(page.size_hw[0] for page in pages), width, 3), 255, dtype=np.uint8)
    for page, (_, y) in zip(pages, page_offsets(pages), strict=True):
        tall[y : y + page.size_hw[0], : page.size_hw[1]] = page.pixels_hw3
    return Image(pages[0].image_id, tall)
