"""SAM on a CPU, tile by tile: how far it is is told all along, and whoever is told may stop it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

torch = pytest.importorskip("torch")

from pipeline.contract import CountRequest, CountSettings, Tiling  # noqa: E402
from pipeline.run import count_batch  # noqa: E402
from pipeline.segment.base import EngineInfo  # noqa: E402
from pipeline.segment.sam_memory import Budget  # noqa: E402
from pipeline.segment.sam_segmenter import SamSegmenter  # noqa: E402
from pipeline.segment.sam_settings import SamSettings  # noqa: E402
from pipeline.segment.tiles import TiledSegmenter, plan  # noqa: E402
from pipeline.types import Image  # noqa: E402
from tests.doubles.small_memory import SmallMemory  # noqa: E402
from tests.doubles.small_sam import SIDE, picture, small_sam  # noqa: E402

pytestmark = pytest.mark.deep
CPU = torch.device("cpu")
SIZE_HW = (200, 300)
TILED = CountSettings(tiling=Tiling(enabled=True, slice_height=SIDE, slice_width=SIDE))
N_TILES = len(plan(SIZE_HW, TILED.tiling, None, SIDE))
N_PORTIONS = 4
"""Portions of points a tile: 36 points, 9 at once."""


def small_engine(mode: str = "fast", points_per_batch: int = 9, points_per_side: int = 6) -> SamSegmenter:
    settings = SamSettings(
        mode=mode,  # type: ignore[arg-type]
        points_per_side=points_per_side,
        points_per_batch=points_per_batch,
        pred_iou_thresh=0.6,
        stability_score_thresh=0.4,
    )
    return SamSegmenter(small_sam(), EngineInfo("sam", "small", None, "", ""), CPU, settings)


@pytest.mark.parametrize("mode", ["fast", "exact", "reference"])
def test_every_tile_tells_its_encoding_its_portions_and_its_end(mode: str) -> None:
    told: list[float] = []
    image = Image("large", picture(*SIZE_HW))
    TiledSegmenter(small_engine(mode), SIDE).segment([image], TILED, told.append)
    assert N_TILES == 6
    assert min(np.diff([0.0, *told])) > -1e-9
    assert told[0] > 0.0
    assert told[-1] == 1.0
    for tile in range(N_TILES):
        within = [share for share in told if tile / N_TILES < share < (tile + 1) / N_TILES - 1e-9]
        assert len({round(share, 9) for share in within}) >= 1 + N_PORTIONS


def test_what_begins_again_for_want_of_memory_tells_no_less_than_before() -> None:
    engine, told = small_engine("reference", 576, 24), []
    engine.budget = Budget(2, 576, CPU)  # as of a card
    images = [Image(str(seed), picture(100, 128, seed)) for seed in range(2)]
    with SmallMemory(20 * 10**6):
        engine.segment(images, CountSettings(), told.append)
    assert engine.budget.points < 576
    assert min(np.diff(told)) >= 0.0
    assert told[-1] == 1.0


def test_an_image_that_nobody_wants_any_more_is_left_within_a_tile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TiledSegmenter(small_engine(), SIDE)
    monkeypatch.setattr("pipeline.run.load", lambda name, model, mode: (engine, "a double"))
    PillowImage.fromarray(picture(*SIZE_HW)).save(tmp_path / "large.png")
    told: list[tuple[str, float]] = []
    (outcome,) = count_batch(
        [CountRequest("large", str(tmp_path / "large.png"), "disc", TILED)],
        on_progress=lambda image_id, stage, share: told.append((stage, share)),
        wanted=lambda image_id: len(told) < 12,
    )
    assert (outcome.skipped, outcome.error, outcome.result) == (True, None, None)
    assert [stage for stage, _ in told] == ["preprocess", *["segment"] * 11]
    assert 0.05 < told[-1][1] < 0.35
