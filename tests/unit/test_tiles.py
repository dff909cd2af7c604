"""What an engine that is asked tile by tile says it ran on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from pipeline.contract import CountSettings, Tiling
from pipeline.portions import OnPart, unheard
from pipeline.segment.base import EngineInfo
from pipeline.segment.tiles import TiledSegmenter
from pipeline.types import CandidateBatch, Image
from tests.doubles.components import ComponentsSegmenter

CARD = EngineInfo("sam", "vit_b", "0" * 64, "bfloat16", "cuda")
CPU = replace(CARD, dtype="float32", device="cpu", prompt_models={"mini": "1" * 64})
BOTH = replace(CPU, dtype="bfloat16, float32", device="cuda, cpu")


class Wandering(ComponentsSegmenter):
    """Says of each call that it ran where it is told to."""

    def __init__(self, *infos: EngineInfo) -> None:
        super().__init__()
        self.info, self._next = infos[0], iter(infos)

    def segment(
        self, images: Sequence[Image], settings: CountSettings, on_part: OnPart = unheard
    ) -> list[CandidateBatch]:
        self.info = next(self._next)
        return super().segment(images, settings, on_part)


def image(side: int) -> Image:
    return Image(str(side), np.zeros((side, side, 3), np.uint8))


IN_TILES = CountSettings(tiling=Tiling(slice_width=64, slice_height=64, overlap_ratio=0.0))


@pytest.mark.parametrize(
    ("parts", "said"),
    [([CARD, CARD], CARD), ([CPU, CPU], CPU), ([CARD, CPU], BOTH), ([CPU, CARD], None), ([BOTH, CPU], BOTH)],
)
def test_all_that_took_part_in_a_call_is_named_once(parts: list[EngineInfo], said: EngineInfo | None) -> None:
    engine = TiledSegmenter(Wandering(*parts), 64, tiles_at_once=2)
    engine.segment([image(128)], IN_TILES)  # four tiles
    assert engine.info == (said or replace(CPU, dtype="float32, bfloat16", device="cpu, cuda"))


def test_a_call_says_nothing_of_the_one_before() -> None:
    engine = TiledSegmenter(Wandering(CARD, CPU, CARD), 64)
    said = []
    for _ in range(3):
        engine.segment([image(60)], CountSettings())
        said.append(engine.info)
    assert said == [CARD, CPU, CARD]
    assert engine.segment([], CountSettings()) == []
    assert engine.info == CARD


def test_only_images_that_are_seen_whole_are_prepared() -> None:
    prepared = []

    class Preparing(ComponentsSegmenter):
        def prepare(self, image: Image, settings: CountSettings) -> None:
            prepared.append(image.image_id)

    engine = TiledSegmenter(Preparing(), 64)
    for side in (60, 96, 97, 128):
        engine.prepare(image(side), IN_TILES)
    engine.prepare(image(200), CountSettings(tiling=Tiling(enabled=False)))
    assert prepared == ["60", "96", "200"]
    TiledSegmenter(ComponentsSegmenter(), 64).prepare(image(60), CountSettings())  # it prepares nothing


def test_images_whole_and_in_tiles_make_one_call() -> None:
    engine = TiledSegmenter(Wandering(CARD, CPU), 64)
    engine.segment([image(60), image(128)], IN_TILES)
    assert engine.info == BOTH
