"""Large images and small objects, tile by tile (after SAHI): plan, segment each tile, join what seams cut.

Tiles overlap, so most objects lie whole in at least one of them. A mask that ends at an inner edge of
its tile is "cut"; it gives way to the whole one, or is joined with its other pieces (``seams.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.contract import CountSettings, Tiling
from pipeline.portions import OnPart, span, unheard
from pipeline.segment.base import EngineInfo, Prepares, Segmenter, joined
from pipeline.segment.seams import join_at_seams
from pipeline.types import CandidateBatch, Image

LARGER_THAN_INPUT = 1.5
"""Images are tiled when their long side exceeds the engine's input by this factor."""

SMALL_OBJECT_PX, WANTED_OBJECT_PX = 16, 24
"""At the engine's input: objects below the first are tiled so that they become about the second."""

HALO_OBJECTS = 1.25
"""Overlap is at least this many object sizes, so that every object is whole in some tile."""

MIN_CANDIDATES = 5
"""Fewer candidates say too little about the size of the objects."""

FIRST_LOOK = 0.5
"""Share of an image's work told after a look at the whole of it: small objects call for tiles as well."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One rectangle of an image. ``box_xyxy``: half-open px, image frame."""

    box_xyxy: tuple[int, int, int, int]


def plan(
    size_hw: tuple[int, int], tiling: Tiling, object_px: float | None = None, input_px: int = 1024
) -> list[Tile]:
    """Return the tiles of an image, row by row: all of one size, together covering it; one: no tiling.

    Args:
        size_hw: image height and width in px.
        tiling: ``enabled`` None tiles where the image is much larger than the input or objects are small.
        object_px: typical side of an object in image px, where it is known.
        input_px: long side the engine reduces its input to.
    """
    long_side = max(size_hw)
    is_small = object_px is not None and object_px * input_px / long_side < SMALL_OBJECT_PX
    wanted = is_small or long_side > LARGER_THAN_INPUT * input_px
    if tiling.enabled is False or (tiling.enabled is None and not wanted):
        return [Tile((0, 0, size_hw[1], size_hw[0]))]
    sides = [tiling.slice_height, tiling.slice_width]
    if is_small and object_px is not None:
        magnified = max(input_px // 2, round(input_px * object_px / WANTED_OBJECT_PX))
        sides = [min(side, magnified) for side in sides]
    halo = HALO_OBJECTS * (object_px or 0.0)
    rows, columns = (
        _starts(length, side, min(side / 2, max(tiling.overlap_ratio * side, halo)))
        for length, side in zip(size_hw, sides, strict=True)
    )
    height, width = (min(length, side) for length, side in zip(size_hw, sides, strict=True))
    return [Tile((x, y, x + width, y + height)) for y in rows for x in columns]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    """Return where tiles start on one axis: evenly spread, overlapping by at least ``overlap``."""
    if length <= side:
        return [0]
    n = math.ceil((length - overlap) / (side - overlap))
    return [int(start) for start in np.floor(np.linspace(0, length - side, n))]


class TiledSegmenter:
    """Any engine, applied tile by tile where that helps. Small images pass through in one batch.

    Args:
        inner: the engine.
        input_px: long side the engine reduces its input to.
        tiles_at_once: tiles handed to the engine at once; bounds memory.

    Attributes:
        info: the engine's, of all its parts of the latest call.
    """

    def __init__(self, inner: Segmenter, input_px: int = 1024, tiles_at_once: int = 8) -> None:
        """Wrap the engine."""
        self.inner, self.input_px, self.tiles_at_once = inner, input_px, tiles_at_once
        self.info: EngineInfo = inner.info

    def prepare(self, image: Image, settings: CountSettings) -> None:
        """Have the engine prepare an image that it will see as a whole; tiles are hardly resized."""
        if isinstance(self.inner, Prepares) and len(self._plan(image, settings)) == 1:
            self.inner.prepare(image, settings)

    def segment(
        self, images: Sequence[Image], settings: CountSettings, on_part: OnPart = unheard
    ) -> list[CandidateBatch]:
        """Return the candidates of each image, best first.

        With ``tiling.enabled`` None, an image whose candidates turn out small is done again in tiles.
        ``on_part`` is told what the engine tells of each tile, and each image that is done.

        Raises:
            PipelineError: what the engine raises.
        """
        plans = [self._plan(im, settings) for im in images]
        whole = [im for im, tiles in zip(images, plans, strict=True) if len(tiles) == 1]
        done = FIRST_LOOK * len(whole)
        looked = span(on_part, 0.0, done / max(1, len(images)))
        used: list[EngineInfo] = []
        answers = iter(self._ask(whole, settings, looked, used) if whole else [])
        found: list[CandidateBatch] = []
        for image, tiles in zip(images, plans, strict=True):
            batch = next(answers) if len(tiles) == 1 else None
            if batch is not None:
                tiles = self._plan(image, settings, _object_px(batch))
            begins, done = done, done + (1.0 if batch is None else 1.0 - FIRST_LOOK)
            own = span(on_part, begins / len(images), done / len(images))
            if batch is None or len(tiles) > 1:
                batch = self._by_tiles(image, tiles, settings, own, used)
            found.append(batch)
            own(1.0)
        self.info = joined(used) if used else self.info
        return found

    def _plan(self, image: Image, settings: CountSettings, object_px: float | None = None) -> list[Tile]:
        return plan(image.size_hw, settings.tiling, object_px, self.input_px)

    def _ask(
        self, images: Sequence[Image], settings: CountSettings, on_part: OnPart, used: list[EngineInfo]
    ) -> list[CandidateBatch]:
        """Return the engine's candidates, and note in ``used`` what it ran on: memory may run out."""
        found = self.inner.segment(images, settings, on_part)
        used.append(self.inner.info)
        return found

    def _by_tiles(
        self,
        image: Image,
        tiles: list[Tile],
        settings: CountSettings,
        on_part: OnPart,
        used: list[EngineInfo],
    ) -> CandidateBatch:
        """Return the joined candidates of one image's tiles."""
        batches: list[CandidateBatch] = []
        for start in range(0, len(tiles), self.tiles_at_once):
            parts = [_cut(image, tile) for tile in tiles[start : start + self.tiles_at_once]]
            own = span(on_part, start / len(tiles), (start + len(parts)) / len(tiles))
            batches += self._ask(parts, settings, own, used)
        boxes = np.array([tile.box_xyxy for tile in tiles], dtype=np.int64)
        return join_at_seams(batches, boxes, image.size_hw)


def _object_px(batch: CandidateBatch) -> float | None:
    """Return the side of a typical candidate, None where there are too few to say."""
    return float(np.sqrt(np.median(batch.area))) if len(batch) >= MIN_CANDIDATES else None


def _cut(image: Image, tile: Tile) -> Image:
    """Return a view of the tile's pixels."""
    x0, y0, x1, y1 = tile.box_xyxy
    return Image(f"{image.image_id}@{x0},{y0}", image.pixels_hw3[y0:y1, x0:x1])
