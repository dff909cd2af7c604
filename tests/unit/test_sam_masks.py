"""Run lengths, stability, the low-resolution filter, and the settings that steer them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from segment_anything.utils.amg import calculate_stability_score, mask_to_rle_pytorch  # noqa: E402

from pipeline.contract import SettingsError  # noqa: E402
from pipeline.ops.rle import rle_to_mask  # noqa: E402
from pipeline.segment.sam_masks import Crop, masks_to_rles, measure, prefilter, stability  # noqa: E402
from pipeline.segment.sam_settings import SamSettings  # noqa: E402
from tests.doubles.small_memory import SmallMemory  # noqa: E402

pytestmark = pytest.mark.deep
CROP = Crop((0, 0, 96, 64), 0, (64, 96), (85, 128))


def disc(radius: float, slope: float, side: int = 32) -> torch.Tensor:
    """Logits that fall by ``slope`` a pixel across the edge of a disc, in the valid part of the input."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return (radius - torch.hypot(y - 10.0, x - 15.0)) * slope


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_equal_the_packages(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    masks = (
        torch.rand(6, 13 + seed, 17, generator=rng)
        > torch.tensor([0, 0.1, 0.5, 0.9, 1.0, 0.5])[:, None, None]
    )
    want = [rle["counts"] for rle in mask_to_rle_pytorch(masks)]
    assert [rle.tolist() for rle in masks_to_rles(masks)] == want


def test_no_masks_have_no_run_lengths() -> None:
    assert masks_to_rles(torch.zeros(0, 5, 7, dtype=torch.bool)) == []


def test_stability_equals_the_packages_and_is_nan_for_empty_masks() -> None:
    logits = torch.randn(5, 40, 50, generator=torch.Generator().manual_seed(0)) * 3
    logits[4] = -50.0
    got = stability(logits, 0.0, 1.0)
    assert torch.equal(got[:4], calculate_stability_score(logits, 0.0, 1.0)[:4])
    assert got[4].isnan()


@pytest.mark.parametrize(
    ("radius", "slope", "stays"),
    [(9.0, 10.0, True), (9.0, 0.5, False), (4.0, 0.5, True)],
    ids=["a sharp edge is stable", "a soft edge is not", "a small mask is left to the exact measure"],
)
def test_only_clearly_unstable_large_masks_are_dropped_early(
    radius: float, slope: float, stays: bool
) -> None:
    settings = SamSettings(stability_score_thresh=0.9)
    assert prefilter(disc(radius, slope)[None], CROP, 128, 0.0, settings).tolist() == [stays]


def test_what_lies_in_the_padding_does_not_count_for_stability() -> None:
    logits = disc(9.0, 10.0)
    logits[22:] = 0.5  # below the 85 of 128 rows that show the image: wholly unstable
    assert prefilter(logits[None], CROP, 128, 0.0, SamSettings(stability_score_thresh=0.9)).tolist() == [True]


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_masks_are_measured_in_image_pixels_in_order(mode: str) -> None:
    logits = torch.stack([disc(9.0, 10.0), disc(9.0, 0.5), disc(3.0, 20.0)])
    settings = SamSettings(mode=mode, stability_score_thresh=0.8)  # type: ignore[arg-type]
    table = measure(logits, torch.tensor([0.9, 0.95, 0.99]), CROP, 128, 0.0, settings)
    assert table.source.tolist() == [0, 2]
    assert table.predicted_iou.tolist() == pytest.approx([0.9, 0.99])
    areas = [int(rle[1::2].sum()) for rle in table.rles]
    assert areas == pytest.approx([np.pi * 27**2, np.pi * 9**2], rel=0.1)
    assert (table.boxes_xyxy[1, 2:] - table.boxes_xyxy[1, :2]).tolist() == pytest.approx([17, 17], abs=1)


@pytest.mark.parametrize(
    ("size_hw", "layer"), [((64, 96), 0), ((37, 50), 0), ((20, 300), 0), ((320, 500), 0), ((320, 500), 1)]
)
@pytest.mark.parametrize("threshold", [0.0, 0.7])
def test_mask_by_mask_they_are_those_of_the_package(
    size_hw: tuple[int, int], threshold: float, layer: int
) -> None:
    """On a CPU masks are enlarged by OpenCV; ``reference`` has torch do it, as segment-anything does."""
    rng = torch.Generator().manual_seed(3)
    coarse = torch.randn(40, 1, 6, 6, generator=rng) * torch.linspace(2, 60, 40)[:, None, None, None]
    logits = torch.nn.functional.interpolate(coarse, (32, 32), mode="bicubic")[:, 0]
    logits[20:, :3] = logits[20:, 17:] = -50.0  # these reach neither upper nor lower edge
    logits[30:, :, :3] = logits[30:, :, 28:] = -50.0  # these no edge
    logits[37] = -50.0  # empty
    h, w = size_hw
    crop = Crop((11, 5, 11 + w, 5 + h), layer, (h + 30, w + 40), (85, 128))
    tables = [
        measure(
            logits, torch.ones(40), crop, 128, threshold, SamSettings(mode=mode, stability_score_thresh=at)
        )
        for mode in ("reference", "exact")
        for at in (0.0, 0.8)
    ]
    assert 0 < len(tables[1].rles) < 40
    for want, got in zip(tables[:2], tables[2:], strict=True):
        assert torch.equal(got.source, want.source)
        assert torch.equal(got.boxes_xyxy, want.boxes_xyxy)
        torch.testing.assert_close(
            got.stability_score, want.stability_score, rtol=0, atol=1e-3, equal_nan=True
        )
        for ours, theirs in zip(got.rles, want.rles, strict=True):
            a, b = (rle_to_mask(rle, crop.image_hw) for rle in (ours, theirs))
            assert (a ^ b).sum() <= 1


def test_fewer_masks_at_once_are_the_same_masks_in_less_memory() -> None:
    logits = torch.stack([disc(radius, 20.0) for radius in np.linspace(6, 12, 16)])
    found, largest = [], []
    for at_once in (16, 4):
        with SmallMemory(2**40) as memory:
            table = measure(logits, torch.ones(16), CROP, 128, 0.0, SamSettings(mode="reference"), at_once)
        found.append([rle.tolist() for rle in table.rles])
        largest.append(memory.largest_bytes)
    assert found[0] == found[1]
    assert len(found[0]) == 16
    assert largest[0] == 4 * largest[1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"points_per_side": None},
        {"points_per_side": 0},
        {"points_per_side": 8, "point_grids": (np.zeros((1, 2)),)},
        {"points_per_batch": 0},
        {"pred_iou_thresh": 1.5},
        {"crop_n_layers": -1},
        {"crop_overlap_ratio": 1.0},
        {"min_mask_region_area": -1},
        {"mode": "quick"},
    ],
)
def test_settings_out_of_range_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        SamSettings(**wrong)
    assert next(iter(wrong)) in {detail["field"] for detail in caught.value.details}
