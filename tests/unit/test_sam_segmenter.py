"""The ``sam`` engine as the pipeline sees it: candidates, provenance, memory of images, weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pipeline.contract import CountSettings, ErrorCode, PipelineError  # noqa: E402
from pipeline.segment import sam as door  # noqa: E402
from pipeline.segment.base import EngineInfo  # noqa: E402
from pipeline.segment.sam_fast import FastNet  # noqa: E402
from pipeline.segment.sam_generate import Generator  # noqa: E402
from pipeline.segment.sam_segmenter import SamSegmenter  # noqa: E402
from pipeline.segment.sam_settings import COUNTING, SamSettings  # noqa: E402
from pipeline.types import Image  # noqa: E402
from tests.doubles.small_sam import picture, small_sam  # noqa: E402

pytestmark = pytest.mark.deep
CPU = torch.device("cpu")
SETTINGS = SamSettings(points_per_side=6, pred_iou_thresh=0.65, stability_score_thresh=0.4)
INFO = EngineInfo("sam", "small", "0" * 64, "", "")


class CountingNet(FastNet):
    """Counts the images it encodes."""

    encoded = 0

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        self.encoded += len(pixels)
        return super().encode(pixels)


def test_candidates_come_best_first_with_scores_in_range() -> None:
    images = [Image(str(i), picture(100 + 20 * i, 128, i)) for i in range(3)]
    segmenter = SamSegmenter(small_sam(), INFO, CPU, SETTINGS, max_images=2)
    batches = segmenter.segment(images, CountSettings())
    assert [batch.size_hw for batch in batches] == [(100, 128), (120, 128), (140, 128)]
    for batch in batches:
        assert len(batch) > 0
        assert (np.diff(batch.predicted_iou) <= 0).all()
        assert batch.stability_score.min() >= 0.4
    assert segmenter.info == EngineInfo("sam", "small", "0" * 64, "float32", "cpu")


def test_no_images_and_images_of_nothing_are_results() -> None:
    strict = SamSettings(points_per_side=4, pred_iou_thresh=1.0)
    segmenter = SamSegmenter(small_sam(), INFO, CPU, strict)
    assert segmenter.segment([], CountSettings()) == []
    assert len(segmenter.segment([Image("grey", picture(64, 64))], CountSettings())[0]) == 0


def test_an_image_seen_lately_is_not_encoded_again() -> None:
    net = CountingNet(small_sam(), CPU)
    generator = Generator(net, SETTINGS, cache_images=2)
    one, two, three = (picture(100, 128, seed) for seed in range(3))
    first = generator.generate([one, two, one], 3, 64)
    assert net.encoded == 2
    again = generator.generate([one], 1, 64)[0]
    assert net.encoded == 2
    assert [r.tolist() for r in again.rles] == [r.tolist() for r in first[0].rles]
    generator.generate([three], 1, 64)
    generator.generate([two], 1, 64)
    assert net.encoded == 4  # two had been forgotten: only the latest images are kept


def test_a_prepared_image_is_not_resized_again_and_has_equal_masks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = [Image(str(seed), picture(300, 400, seed)) for seed in range(2)]
    wanted = SamSegmenter(small_sam(), INFO, CPU, SETTINGS).segment(images, CountSettings())
    engine = SamSegmenter(small_sam(), INFO, CPU, SETTINGS)
    (generator,) = engine._generators.values()
    resized: list[tuple[int, ...]] = []
    resize = generator._resize.apply_image

    def telling(pixels: np.ndarray) -> np.ndarray:
        resized.append(pixels.shape)
        return resize(pixels)

    monkeypatch.setattr(generator._resize, "apply_image", telling)
    engine.prepare(images[0], CountSettings())
    assert len(resized) == 1
    found = engine.segment(images, CountSettings())
    assert len(resized) == 2  # the second was not prepared
    for one, other in zip(found, wanted, strict=True):
        assert np.array_equal(one.rle_counts, other.rle_counts)
    assert len(generator._resized) == 1
    images.clear()
    assert not generator._resized  # what was made ahead goes with the pixels


def test_crops_of_all_images_are_encoded_together() -> None:
    settings = SamSettings(
        points_per_side=4, pred_iou_thresh=0.65, stability_score_thresh=0.4, crop_n_layers=1
    )
    net = CountingNet(small_sam(), CPU)
    Generator(net, settings).generate([picture(128, 160, 1), picture(160, 128, 2)], 4, 64)
    assert net.encoded == 2 * 5


def test_missing_weights_are_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TALLY_WEIGHTS_DIR", str(tmp_path))
    usable, why = door.available()
    assert not usable
    assert "sam_vit_b_01ec64.pth" in why
    with pytest.raises(PipelineError, match=r"sam_vit_b_01ec64\.pth") as caught:
        door.load("vit_b")
    assert caught.value.code == ErrorCode.MODEL_LOAD_ERROR


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(PipelineError, match="want one of vit_b, vit_l, vit_h, got vit_x"):
        door.load("vit_x")


def test_counting_uses_the_published_grid() -> None:
    assert (COUNTING.points_per_side, COUNTING.pred_iou_thresh, COUNTING.crop_n_layers) == (32, 0.88, 0)
