"""When memory runs out: torch's allocator refuses for real what is larger than a limit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

torch = pytest.importorskip("torch")

from pipeline.contract import CountRequest, CountSettings, ErrorCode, PipelineError, Tiling  # noqa: E402
from pipeline.run import count_batch  # noqa: E402
from pipeline.segment.base import EngineInfo  # noqa: E402
from pipeline.segment.sam_memory import Budget, points_that_fit  # noqa: E402
from pipeline.segment.sam_segmenter import SamSegmenter  # noqa: E402
from pipeline.segment.sam_settings import SamSettings  # noqa: E402
from pipeline.segment.tiles import TiledSegmenter  # noqa: E402
from pipeline.types import Image  # noqa: E402
from tests.doubles.small_memory import SmallMemory  # noqa: E402
from tests.doubles.small_sam import SIDE, picture, small_sam  # noqa: E402

pytestmark = pytest.mark.deep
CPU = torch.device("cpu")

SETTINGS = SamSettings(
    mode="reference",
    points_per_side=24,
    points_per_batch=576,
    pred_iou_thresh=0.6,
    stability_score_thresh=0.4,
)


def segment_within(limit_bytes: int) -> tuple[list[int], Budget]:
    """Return the counts of two images, and the budget that was left, where torch gets no larger result."""
    engine = SamSegmenter(small_sam(), EngineInfo("sam", "small", None, "", ""), CPU, SETTINGS)
    engine.budget = Budget(8, 576, CPU)  # as of a card
    images = [Image(str(seed), picture(100, 128, seed)) for seed in range(2)]
    with SmallMemory(limit_bytes):
        batches = engine.segment(images, CountSettings())
    return [len(batch) for batch in batches], engine.budget


class TestARealAllocatorRefuses:
    def test_fewer_images_then_fewer_points_give_the_same_counts(self) -> None:
        (counts, plenty), (starved_counts, starved) = segment_within(2**40), segment_within(20 * 10**6)
        assert (plenty.images, plenty.points) == (8, 576)
        assert starved.images == 1
        assert 4 <= starved.points < 576
        assert starved_counts == counts
        assert sum(counts) > 0

    def test_too_little_for_one_image_is_a_clear_error(self) -> None:
        with pytest.raises(PipelineError, match="even for 1 image and 4 points on cpu") as caught:
            segment_within(10**6)
        assert caught.value.code == ErrorCode.OUT_OF_MEMORY

    @pytest.mark.parametrize("mode", ["reference", "exact", "fast"])
    def test_a_card_that_has_no_memory_at_all_leaves_the_work_to_the_cpu(
        self, mode: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        engine = SamSegmenter(
            small_sam(),
            EngineInfo("sam", "small", None, "", ""),
            CPU,
            SamSettings(mode=mode, points_per_side=6, pred_iou_thresh=0.6, stability_score_thresh=0.4),  # type: ignore[arg-type]
        )
        images = [Image(str(seed), picture(100, 128, seed)) for seed in range(2)]
        counts = [len(batch) for batch in engine.segment(images, CountSettings())]
        engine.budget = Budget(2, 16, torch.device("meta"))  # sizes without values: what a full card knows
        with SmallMemory(10**4, "meta"), caplog.at_level("WARNING"):
            starved_counts = [len(batch) for batch in engine.segment(images, CountSettings())]
        assert starved_counts == counts
        assert sum(counts) > 0
        tried = [record.step for record in caplog.records]  # type: ignore[attr-defined]
        on_card = [
            "1 image and 16 points on meta",
            "1 image and 8 points on meta",
            "1 image and 4 points on meta",
        ]
        assert tried == [*on_card, "1 image and 64 points on cpu", "1 image and 64 points on cpu"]
        assert engine.budget == Budget(1, 4, torch.device("meta"))

    @pytest.mark.parametrize("mode", ["reference", "exact", "fast"])
    def test_a_card_too_full_for_the_model_is_tried_again_with_each_image(
        self, mode: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings = SamSettings(mode=mode, points_per_side=6, pred_iou_thresh=0.6, stability_score_thresh=0.4)  # type: ignore[arg-type]
        info, card = EngineInfo("sam", "small", None, "", ""), torch.device("meta")
        image = Image("one", picture(100, 128))
        wanted = SamSegmenter(small_sam(), info, CPU, settings).segment([image], CountSettings())
        with SmallMemory(0, "meta"), caplog.at_level("WARNING"):
            engine = SamSegmenter(small_sam(), info, card, settings)
            engine.warm_up()
            assert engine.info.device == "meta"
            found = engine.segment([image], CountSettings())
        assert "no memory on meta for SAM itself" in caplog.text
        assert (engine.info.device, engine.budget) == ("cpu", Budget(1, 4, card))
        assert [len(batch) for batch in found] == [len(batch) for batch in wanted]
        assert "meta" not in engine._generators  # the next image tries again

    def test_results_say_that_the_cpu_counted_what_the_card_could_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = SamSettings(points_per_side=6, pred_iou_thresh=0.6, stability_score_thresh=0.4)
        info = EngineInfo("sam", "small", "0" * 64, "", "", {"mini": "1" * 64})
        inner = SamSegmenter(small_sam(), info, CPU, settings, lambda pixels: np.array([[0.5, 0.5]]))
        engine = TiledSegmenter(inner, SIDE)
        inner.budget = Budget(2, 16, torch.device("meta"))
        of_a_card = replace(inner.info, dtype="bfloat16", device="cuda", prompt_models={})
        inner.info = engine.info = of_a_card
        monkeypatch.setattr("pipeline.run.load", lambda name, model, mode: (engine, "a double"))
        requests, tiles = [], CountSettings(tiling=Tiling(slice_height=SIDE, slice_width=SIDE))
        for name, size_hw in (("small", (100, 128)), ("tiled", (150, 260))):
            PillowImage.fromarray(picture(*size_hw)).save(tmp_path / f"{name}.png")
            requests.append(CountRequest(name, str(tmp_path / f"{name}.png"), "disc", tiles))
        with SmallMemory(10**4, "meta"):
            outcomes = count_batch(requests)
        told = [outcome.result.provenance for outcome in outcomes if outcome.result]
        assert [(one.dtype, one.device) for one in told] == [("float32", "cpu")] * 2
        assert (told[0].model, told[0].weights_sha256) == ("small", "0" * 64)
        assert [one.prompt_models for one in told] == [{"mini": "1" * 64}] * 2


def test_the_ladder_halves_images_then_points_then_leaves_the_card() -> None:
    budget: Budget | None = Budget(8, 16, torch.device("cuda"))
    steps = []
    while budget is not None:
        steps.append((budget.images, budget.points, budget.device.type))
        budget = budget.smaller()
    card = [(8, 16), (4, 16), (2, 16), (1, 16), (1, 8), (1, 4)]
    assert steps[:6] == [(*step, "cuda") for step in card]
    assert steps[6:] == [(1, points, "cpu") for points in (64, 32, 16, 8, 4)]


def test_a_cpu_decodes_64_points_at_once() -> None:
    assert points_that_fit(CPU) == 64
