"""Stage 1 of 7: decode one file into the pixels that are counted.

In: path of a JPEG, PNG, TIFF or WebP.  Out: Images.  Device: CPU.  Settings: CountSettings.pages.

All pages of a TIFF (``pages="all"``) are counted separately and shown as one tall picture: page below
page, left-aligned, white where a page is narrower (``page_offsets``, ``stack_pages``). So counts add
up, and every object keeps one place in one frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageOps

from pipeline.contract import CountSettings
from pipeline.header import open_image, refuse_bomb
from pipeline.types import Image

STRETCH_PERCENTILES = (0.5, 99.5)
"""What becomes black and white when 16-bit and float pixels become 8-bit."""

_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def preprocess(image_id: str, path: str | Path, settings: CountSettings) -> list[Image]:
    """Return the pages to count: one image, or one a page of a TIFF with ``pages="all"``.

    EXIF orientation is applied, transparency lies on white, 16-bit and float pixels are stretched to
    8 bits between percentiles; grey, palette, CMYK and 1-bit become RGB. The file is not changed.

    Raises:
        PipelineError: FILE_NOT_FOUND; FILE_ERROR for another format; CORRUPTED_FILE for a file that does
            not decode fully, or whose pages have more than 8192² px together.
    """
    pages = []
    with open_image(path) as (opened, file_format):
        wants_all = settings.pages == "all" and file_format == "tiff"
        n_pages = getattr(opened, "n_frames", 1) if wants_all else 1
        size_wh = (0, 0)
        for page in range(n_pages):
            if n_pages > 1:
                opened.seek(page)
            size_wh = (max(size_wh[0], opened.size[0]), size_wh[1] + opened.size[1])
            refuse_bomb(size_wh)  # before this page is decoded
            pages.append(Image(image_id, decode_page(opened)))
    return pages


def decode_page(opened: PillowImage.Image) -> NDArray[np.uint8]:
    """Return the current page of an opened Pillow image as (H, W, 3) uint8 RGB, upright."""
    upright = ImageOps.exif_transpose(opened)
    if upright.mode in _DEEP_MODES:
        grey = stretch_to_uint8(np.asarray(upright))
        return np.repeat(grey[:, :, None], 3, axis=2)
    if upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info:
        rgba = upright.convert("RGBA")
        upright = PillowImage.new("RGBA", rgba.size, (255, 255, 255, 255))
        upright.alpha_composite(rgba)
    return np.array(upright.convert("RGB"), dtype=np.uint8)


def stretch_to_uint8(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return (H, W) uint8: the 0.5th percentile becomes 0, the 99.5th 255; one flat value becomes 0.

    Args:
        values: (H, W) of any number type; not-a-number counts as the darkest.
    """
    wide = values.astype(np.float32)
    finite = wide[np.isfinite(wide)]
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
