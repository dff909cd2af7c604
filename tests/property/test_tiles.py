"""Counting tile by tile gives the counts of the whole image, whatever the seams cut."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.contract import CountSettings, Tiling
from pipeline.ops.rle import rle_to_mask
from pipeline.portions import OnPart, unheard
from pipeline.segment.base import Segmenter
from pipeline.segment.outline import CandidateBuilder
from pipeline.segment.tiles import TiledSegmenter, plan
from pipeline.types import CandidateBatch, Image
from tests.doubles.components import ComponentsSegmenter

SIZES = st.tuples(st.integers(64, 900), st.integers(64, 900))


def scene(size_hw: tuple[int, int], n: int, radii: tuple[int, int], seed: int) -> tuple[Image, int]:
    """Discs, rings and bars that never touch, and how many they are."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    y, x = np.mgrid[:height, :width]
    canvas, taken = np.zeros(size_hw, dtype=bool), np.zeros(size_hw, dtype=bool)
    drawn = 0
    for _ in range(n):
        cy, cx, r = rng.integers(0, height), rng.integers(0, width), int(rng.integers(*radii))
        distance = np.hypot(y - cy, x - cx)
        kind = rng.integers(3)
        shape = distance <= r
        if kind == 1:
            shape &= distance >= r * 0.6
        if kind == 2:
            shape = (abs(y - cy) <= max(1, r // 6)) & (abs(x - cx) <= 3 * r)
        if not (shape & taken).any():
            canvas |= shape
            drawn += int(ndimage.label(shape)[1])  # thin rings, and those that the edge cuts, are several
            grown = (
                (distance <= r + 3) if kind < 2 else (abs(y - cy) <= r // 6 + 4) & (abs(x - cx) <= 3 * r + 3)
            )
            taken |= grown
    return Image("scene", np.repeat((canvas * np.uint8(255))[..., None], 3, axis=2)), drawn


class Uneven(ComponentsSegmenter):
    """Draws outlines a pixel wider or narrower, as it happens, where the area changes little."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def segment(
        self, images: Sequence[Image], settings: CountSettings, on_part: OnPart = unheard
    ) -> list[CandidateBatch]:
        return [self.redrawn(batch) for batch in super().segment(images, settings, on_part)]

    def redrawn(self, batch: CandidateBatch) -> CandidateBatch:
        builder = CandidateBuilder(batch.size_hw)
        for i in range(len(batch)):
            mask = rle_to_mask(batch.rle(i), batch.size_hw).astype(np.uint8)
            others = [change(mask, np.ones((3, 3), np.uint8)) for change in (cv2.erode, cv2.dilate)]
            if all(0.8 <= other.sum() / mask.sum() <= 1.2 for other in others):
                mask = (mask, *others)[self.rng.integers(3)]
            builder.add(mask.astype(bool), (0, 0), 0.9, 0.9)
        return builder.finish()


def tiled(image: Image, side: int, overlap: float, engine: Segmenter | None = None) -> CandidateBatch:
    tiling = Tiling(enabled=True, slice_width=side, slice_height=side, overlap_ratio=overlap)
    segmenter = TiledSegmenter(engine or ComponentsSegmenter(), input_px=side)
    return segmenter.segment([image], CountSettings(tiling=tiling))[0]


def masks_of(batch: CandidateBatch) -> set[bytes]:
    return {batch.rle(i).tobytes() for i in range(len(batch))}


@settings(max_examples=40, deadline=None)
@given(
    SIZES,
    st.integers(0, 40),
    st.integers(0, 10**6),
    st.sampled_from([96, 128, 200]),
    st.sampled_from([0.1, 0.2, 0.4]),
)
def test_every_object_is_found_once_and_whole(
    size_hw: tuple[int, int], n: int, seed: int, side: int, overlap: float
) -> None:
    image, drawn = scene(size_hw, n, (2, 90), seed)
    whole = ComponentsSegmenter().segment([image], CountSettings())[0]
    assert len(whole) == drawn
    assert masks_of(tiled(image, side, overlap)) == masks_of(whole)


@pytest.mark.parametrize("radii", [(6, 30), (20, 90)])
@pytest.mark.parametrize("seed", range(20))
def test_outlines_that_differ_between_tiles_double_nothing(radii: tuple[int, int], seed: int) -> None:
    """Slivers at the edge of a tile, of objects that another tile draws narrower, were objects."""
    rng = np.random.default_rng(seed)
    image, drawn = scene((int(rng.integers(200, 700)), int(rng.integers(200, 700))), 25, radii, seed)
    for side, overlap in ((128, 0.1), (128, 0.4), (200, 0.2)):
        assert len(tiled(image, side, overlap, Uneven(seed))) == drawn, (side, overlap)


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(40, 400), st.floats(0, 0.5), st.one_of(st.none(), st.floats(1, 300)))
def test_tiles_cover_every_pixel_and_overlap_enough(
    size_hw: tuple[int, int], side: int, overlap: float, object_px: float | None
) -> None:
    tiling = Tiling(enabled=True, slice_width=side, slice_height=side, overlap_ratio=overlap)
    tiles = plan(size_hw, tiling, object_px, input_px=100)
    covered = np.zeros(size_hw, dtype=np.int32)
    for tile in tiles:
        x0, y0, x1, y1 = tile.box_xyxy
        covered[y0:y1, x0:x1] += 1
        assert (y1 - y0, x1 - x0) == (tiles[0].box_xyxy[3], tiles[0].box_xyxy[2])
    assert covered.min() >= 1
    columns = sorted({(t.box_xyxy[0], t.box_xyxy[2]) for t in tiles})
    smallest = min((a[1] - b[0] for a, b in pairwise(columns)), default=side)
    assert smallest >= int(overlap * (columns[0][1] - columns[0][0])) - 1


def test_an_object_larger_than_a_tile_is_one_object() -> None:
    y, x = np.mgrid[:700, :800]
    disc: NDArray[np.uint8] = ((np.hypot(y - 350, x - 400) < 300) * 255).astype(np.uint8)
    batch = tiled(Image("disc", np.repeat(disc[..., None], 3, axis=2)), 128, 0.2)
    assert len(batch) == 1
    assert np.array_equal(rle_to_mask(batch.rle(0), (700, 800)), disc > 0)


@pytest.mark.parametrize(("size_hw", "expected"), [((1000, 1536), 1), ((1000, 1537), 2), ((3000, 4000), 20)])
def test_images_are_tiled_when_half_again_as_large_as_the_input(
    size_hw: tuple[int, int], expected: int
) -> None:
    assert len(plan(size_hw, Tiling())) == expected


def test_small_objects_are_looked_at_again_in_tiles() -> None:
    canvas = np.zeros((1200, 1200, 3), dtype=np.uint8)
    for y in range(20, 1180, 60):
        for x in range(20, 1180, 60):
            canvas[y : y + 8, x : x + 8] = 255
    engine, told = ComponentsSegmenter(), list[float]()
    batch = TiledSegmenter(engine).segment([Image("dots", canvas)], CountSettings(), told.append)[0]
    assert len(batch) == 20 * 20
    assert engine.shown[0] == (1200, 1200)
    assert set(engine.shown[1:]) == {(512, 512)}
    assert len(engine.shown[1:]) == 9
    assert told == pytest.approx([0.5, 0.5 + 0.5 * 8 / 9, 1.0, 1.0])  # the whole, eight tiles, the last one


def test_small_images_with_large_objects_pass_through_in_one_batch() -> None:
    images = [scene((300, 400), 6, (30, 60), seed)[0] for seed in range(3)]
    engine = ComponentsSegmenter()
    got = TiledSegmenter(engine).segment(images, CountSettings())
    assert engine.shown == [(300, 400)] * 3
    assert [len(b) for b in got] == [
        len(ComponentsSegmenter().segment([im], CountSettings())[0]) for im in images
    ]


def test_tiling_can_be_forbidden() -> None:
    assert len(plan((8000, 8000), Tiling(enabled=False))) == 1
