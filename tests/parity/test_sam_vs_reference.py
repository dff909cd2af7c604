"""Our mask generation against segment-anything's own generator: same masks, same order, same numbers."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from segment_anything.modeling import Sam  # noqa: E402
from segment_anything.utils.amg import remove_small_regions  # noqa: E402

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
SEEDS = (0, 1, 2)
"""Of the weights; each SAM sees a picture of its own."""
BASE = {"points_per_side": 6, "stability_score_thresh": 0.4, "box_nms_thresh": 0.9}
MOST, SOME = 0.9, 0.3
"""Shares of the masks that pass the IoU limit: of a case that sets none of its own, and of other tests."""
LARGE = 0.015
"""Of the image's area."""
BELOW_ZERO = -20.0
"""Of the logits: with a mask threshold there, masks are large, rough and have holes."""

GRID: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {
    "square": ((128, 128), {}),
    "wide": ((90, 200), {}),
    "tall": ((200, 75), {}),
    "smaller_than_the_input": ((64, 90), {}),
    "larger_than_the_input": ((300, 420), {}),
    "masks_with_holes": ((128, 128), {"mask_threshold": BELOW_ZERO}),
    "no_limits": ((100, 128), {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}),
    "few_pass": ((100, 128), {"pred_iou_thresh": 0.7, "box_nms_thresh": 1.0}),
    "all_duplicates_kept": ((100, 128), {"box_nms_thresh": 1.0}),
    "strict_nms": ((100, 128), {"box_nms_thresh": 0.3}),
    "nothing_is_good_enough": ((100, 128), {"pred_iou_thresh": 1.0}),
    "nothing_is_stable_enough": ((100, 128), {"stability_score_thresh": 1.0, "stability_score_offset": 60.0}),
    "other_offset": ((100, 128), {"stability_score_offset": 3.0, "stability_score_thresh": 0.2}),
    "one_crop_layer": ((128, 160), {"crop_n_layers": 1}),
    "two_crop_layers": ((120, 150), {"crop_n_layers": 2, "crop_n_points_downscale_factor": 2}),
    "less_overlap": ((128, 100), {"crop_n_layers": 1, "crop_overlap_ratio": 0.1, "crop_nms_thresh": 0.3}),
    "small_regions_removed": ((128, 128), {"min_mask_region_area": 40, "mask_threshold": BELOW_ZERO}),
    "small_regions_of_crops": (
        (128, 160), {"min_mask_region_area": 25, "crop_n_layers": 1, "mask_threshold": BELOW_ZERO},
    ),
    "untouched_masks_win_over_mended_ones": (
        (128, 160), {"min_mask_region_area": 10, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0},
    ),
    "small_regions_of_nothing": ((128, 160), {"min_mask_region_area": 25, "pred_iou_thresh": 1.0}),
    "small_batches_of_points": ((100, 128), {"points_per_batch": 5}),
    "own_point_grids": (
        (100, 128),
        {"points_per_side": None, "point_grids": (np.random.default_rng(0).random((40, 2)),)},
    ),
}  # fmt: skip


@cache
def sam_of(seed: int, mask_threshold: float = 0.0) -> Sam:
    sam = small_sam(seed)
    sam.mask_threshold = mask_threshold
    return sam


@cache
def limit_for(seed: int, share: float) -> float:
    """Return the IoU limit that a share of the masks passes."""
    return iou_quantile(sam_of(seed), picture(128, 128), 6, share)


def asked(case: str, seed: int) -> tuple[Sam, np.ndarray, dict[str, Any]]:
    """Return the SAM of a case, the picture that it is shown, and the settings."""
    size_hw, change = GRID[case]
    settings = BASE | {"pred_iou_thresh": limit_for(seed, MOST)} | change
    return sam_of(seed, settings.pop("mask_threshold", 0.0)), picture(*size_hw, seed=3 + seed), settings


@cache
def theirs(case: str, seed: int) -> list[dict[str, Any]]:
    sam, image, settings = asked(case, seed)
    return reference(sam, image, **settings)


def ours(mode: str, sam: Sam, image: np.ndarray, settings: dict[str, Any]) -> Generated:
    net = PackageNet(sam, CPU) if mode == "reference" else FastNet(sam, CPU)
    chosen = SamSettings(mode=mode, **{"points_per_batch": 64, **settings})
    return Generator(net, chosen).generate([image], 4, 64)[0]


@pytest.mark.parametrize("mode", ["reference", "exact"])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("case", GRID)
def test_masks_scores_and_order_equal_the_reference(case: str, seed: int, mode: str) -> None:
    got = ours(mode, *asked(case, seed))
    wanted = [np.array(m["segmentation"]["counts"], dtype=np.uint32) for m in theirs(case, seed)]
    pairs = list(zip(got.rles, wanted, strict=True))
    unequal = [pair for pair in pairs if pair[0].tolist() != pair[1].tolist()]
    assert len(unequal) <= (mode == "exact")  # the last bits of a logit may lie across the threshold
    assert all(mask_iou(*pair, GRID[case][0]) >= 0.999 for pair in unequal)
    for i, want in enumerate(theirs(case, seed)):
        x0, y0, x1, y1 = got.boxes_xyxy[i].tolist()
        assert [x0, y0, x1 - x0, y1 - y0] == want["bbox"]
        assert got.predicted_iou[i] == pytest.approx(want["predicted_iou"], abs=1e-5)
        assert got.stability_score[i] == pytest.approx(want["stability_score"], abs=2e-3, nan_ok=True)
        assert got.points_xy[i].tolist() == want["point_coords"][0]
        x0, y0, x1, y1 = got.crop_boxes[i].tolist()
        assert [x0, y0, x1 - x0, y1 - y0] == want["crop_box"]


@pytest.mark.parametrize("case", GRID)
def test_each_case_has_masks_to_compare_large_ones_too(case: str) -> None:
    shares = [m["area"] / np.prod(GRID[case][0]) for seed in SEEDS for m in theirs(case, seed)]
    if "nothing" in case:
        assert shares == []
        return
    assert sum(share > 0 for share in shares) >= 10
    assert max(shares) > LARGE


def test_masks_of_all_sizes_and_of_crops_are_compared() -> None:
    masks = {case: [m for seed in SEEDS for m in theirs(case, seed)] for case in GRID}
    area = np.array([m["area"] for some in masks.values() for m in some])
    assert min((area <= 25).sum(), (area > 100).sum()) >= 100
    for case, ((height, width), change) in GRID.items():
        whole = sum(m["crop_box"] == [0, 0, width, height] for m in masks[case])
        if "crop_n_layers" in change:
            assert min(whole, len(masks[case]) - whole) >= 5, case


def test_there_are_holes_to_fill() -> None:
    size_hw, change = GRID["small_regions_removed"]
    least = change["min_mask_region_area"]
    rles = [m["segmentation"]["counts"] for seed in SEEDS for m in theirs("masks_with_holes", seed)]
    masks = [rle_to_mask(np.array(rle, dtype=np.uint32), size_hw) for rle in rles]
    assert sum(remove_small_regions(mask, least, "holes")[1] for mask in masks) >= 2


@pytest.mark.parametrize("mode", ["reference", "exact"])
def test_crops_without_any_mask_are_empty_where_the_reference_crashes(mode: str) -> None:
    settings = BASE | {"crop_n_layers": 1, "pred_iou_thresh": 1.0}
    with pytest.raises(IndexError):
        reference(sam_of(0), picture(128, 100), **settings)
    assert ours(mode, sam_of(0), picture(128, 100), settings).rles == []


@pytest.mark.parametrize(("margin", "differ"), [(PREFILTER_MARGIN, False), (-0.1, True)])
def test_fast_keeps_the_count_of_the_reference_by_the_margin_of_its_early_filter(
    margin: float, differ: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sam_masks, "PREFILTER_MARGIN", margin)
    large_masks_stay = BASE | {"pred_iou_thresh": 0.45, "stability_score_thresh": 0.85, "box_nms_thresh": 0.7}
    images = [picture(110, 140, seed) for seed in range(12)]
    counts = [len(ours("fast", sam_of(0), image, large_masks_stay).rles) for image in images]
    wanted = [len(reference(sam_of(0), image, **large_masks_stay)) for image in images]
    assert (counts != wanted) == differ
    assert sum(wanted) > 12


def test_images_of_a_batch_get_the_masks_they_get_alone() -> None:
    images = [picture(100, 128, 1), picture(128, 60, 2), picture(100, 128, 3)]
    settings = BASE | {"pred_iou_thresh": limit_for(0, SOME)}
    chosen = SamSettings(mode="exact", **settings)
    together = Generator(FastNet(sam_of(0), CPU), chosen).generate(images, 3, 64)
    for image, got in zip(images, together, strict=True):
        alone = ours("exact", sam_of(0), image, settings)
        assert len(got.rles) == len(alone.rles) > 0
        pairs = zip(got.rles, alone.rles, strict=True)
        assert min(mask_iou(a, b, image.shape[:2]) for a, b in pairs) >= 0.999


def mask_iou(one: np.ndarray, other: np.ndarray, size_hw: tuple[int, ...]) -> float:
    a, b = (rle_to_mask(rle, (size_hw[0], size_hw[1])) for rle in (one, other))
    return float((a & b).sum() / (a | b).sum())
