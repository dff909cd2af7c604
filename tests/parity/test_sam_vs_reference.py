"""Our mask generation against segment-anything's own generator: same masks, same order, same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pipeline.ops.rle import rle_to_mask  # noqa: E402
from pipeline.segment import sam_masks  # noqa: E402
from pipeline.segment.sam_fast import FastNet  # noqa: E402
from pipeline.segment.sam_generate import Generated, Generator  # noqa: E402
from pipeline.segment.sam_masks import PREFILTER_MARGIN  # noqa: E402
from pipeline.segment.sam_package import PackageNet  # noqa: E402
from pipeline.segment.sam_settings import SamSettings  # noqa: E402
from tests.doubles.small_sam import iou_quantile, picture, reference, small_sam  # noqa: E402

pytestmark = pytest.mark.deep
CPU = torch.device("cpu")
SAM = small_sam(0)
IOU_30 = iou_quantile(SAM, picture(128, 128), 6, 0.3)
BASE = {"points_per_side": 6, "pred_iou_thresh": IOU_30, "stability_score_thresh": 0.4}

GRID: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {
    "square": ((128, 128), {}),
    "wide": ((90, 200), {}),
    "tall": ((200, 75), {}),
    "smaller_than_the_input": ((64, 90), {"stability_score_thresh": 0.2}),
    "larger_than_the_input": ((300, 420), {}),
    "no_limits": ((100, 128), {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}),
    "all_duplicates_kept": ((100, 128), {"box_nms_thresh": 1.0}),
    "strict_nms": ((100, 128), {"box_nms_thresh": 0.3, "stability_score_thresh": 0.2}),
    "nothing_is_good_enough": ((100, 128), {"pred_iou_thresh": 1.0}),
    "nothing_is_stable_enough": ((100, 128), {"stability_score_thresh": 1.0}),
    "other_offset": ((100, 128), {"stability_score_offset": 3.0, "stability_score_thresh": 0.2}),
    "one_crop_layer": ((128, 160), {"crop_n_layers": 1}),
    "two_crop_layers": ((120, 150), {"crop_n_layers": 2, "crop_n_points_downscale_factor": 2}),
    "less_overlap": ((128, 100), {"crop_n_layers": 1, "crop_overlap_ratio": 0.1, "crop_nms_thresh": 0.3}),
    "small_regions_removed": ((128, 160), {"min_mask_region_area": 40, "stability_score_thresh": 0.3}),
    "small_regions_of_crops": ((128, 160), {"min_mask_region_area": 25, "crop_n_layers": 1}),
    "untouched_masks_win_over_mended_ones": (
        (128, 160), {"min_mask_region_area": 10, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0},
    ),
    "small_regions_of_nothing": ((128, 160), {"min_mask_region_area": 25, "pred_iou_thresh": 1.0}),
    "small_batches_of_points": ((100, 128), {"points_per_batch": 5}),
    "own_point_grids": (
        (100, 128),
        {"points_per_side": None, "point_grids": (np.array([[0.1, 0.2], [0.5, 0.5], [0.99, 0.7]]),)},
    ),
}  # fmt: skip
SOME_MASKS = [name for name in GRID if "nothing" not in name and name != "own_point_grids"]


def ours(mode: str, image: np.ndarray, settings: dict[str, Any]) -> Generated:
    net = PackageNet(SAM, CPU) if mode == "reference" else FastNet(SAM, CPU)
    chosen = SamSettings(mode=mode, **{"points_per_batch": 64, **settings})
    return Generator(net, chosen).generate([image], 4, 64)[0]


@pytest.mark.parametrize("mode", ["reference", "exact"])
@pytest.mark.parametrize("case", GRID)
def test_masks_scores_and_order_equal_the_reference(case: str, mode: str) -> None:
    size_hw, change = GRID[case]
    image, settings = picture(*size_hw, seed=3), BASE | change
    theirs = reference(SAM, image, **settings)
    got = ours(mode, image, settings)

    assert len(got.rles) == len(theirs)
    assert len(theirs) > 1 or case not in SOME_MASKS
    for i, want in enumerate(theirs):
        if mode == "reference":
            assert got.rles[i].tolist() == want["segmentation"]["counts"]
        else:
            assert mask_iou(got.rles[i], want, size_hw) >= 0.999
        x0, y0, x1, y1 = got.boxes_xyxy[i].tolist()
        assert [x0, y0, x1 - x0, y1 - y0] == want["bbox"]
        assert got.predicted_iou[i] == pytest.approx(want["predicted_iou"], abs=1e-5)
        assert got.stability_score[i] == pytest.approx(want["stability_score"], abs=2e-3, nan_ok=True)
        assert got.points_xy[i].tolist() == want["point_coords"][0]
        x0, y0, x1, y1 = got.crop_boxes[i].tolist()
        assert [x0, y0, x1 - x0, y1 - y0] == want["crop_box"]


@pytest.mark.parametrize("mode", ["reference", "exact"])
def test_crops_without_any_mask_are_empty_where_the_reference_crashes(mode: str) -> None:
    settings = BASE | {"crop_n_layers": 1, "pred_iou_thresh": 1.0}
    with pytest.raises(IndexError):
        reference(SAM, picture(128, 100), **settings)
    assert ours(mode, picture(128, 100), settings).rles == []


@pytest.mark.parametrize(("margin", "differ"), [(PREFILTER_MARGIN, False), (-0.1, True)])
def test_fast_keeps_the_count_of_the_reference_by_the_margin_of_its_early_filter(
    margin: float, differ: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sam_masks, "PREFILTER_MARGIN", margin)
    large_masks_stay = BASE | {"pred_iou_thresh": 0.45, "stability_score_thresh": 0.85}
    images = [picture(110, 140, seed) for seed in range(12)]
    counts = [len(ours("fast", image, large_masks_stay).rles) for image in images]
    wanted = [len(reference(SAM, image, **large_masks_stay)) for image in images]
    assert (counts != wanted) == differ
    assert sum(wanted) > 12


def test_images_of_a_batch_get_the_masks_they_get_alone() -> None:
    images = [picture(100, 128, 1), picture(128, 60, 2), picture(100, 128, 3)]
    generator = Generator(FastNet(SAM, CPU), SamSettings(mode="exact", **BASE))
    together = generator.generate(images, 3, 64)
    for image, got in zip(images, together, strict=True):
        alone = Generator(FastNet(SAM, CPU), SamSettings(mode="exact", **BASE)).generate([image], 1, 64)[0]
        assert len(got.rles) == len(alone.rles) > 0
        overlaps = [
            mask_iou(a, {"segmentation": {"counts": b}}, image.shape[:2])
            for a, b in zip(got.rles, alone.rles, strict=True)
        ]
        assert min(overlaps) >= 0.999


def mask_iou(rle: np.ndarray, want: dict[str, Any], size_hw: tuple[int, int]) -> float:
    a = rle_to_mask(rle, size_hw)
    b = rle_to_mask(np.array(want["segmentation"]["counts"], dtype=np.uint32), size_hw)
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 1.0
