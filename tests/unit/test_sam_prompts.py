"""Where SAM is asked in fast mode: at proposals, on a coarse grid, and elsewhere only when called for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.sam_prompts import draw, reached
from pipeline.ops.rle import mask_to_rle
from pipeline.segment import mini
from pipeline.segment.sam_prompts import (
    MiniPrompter,
    coarse_of,
    covered,
    first_round,
    second_round,
    square_grid,
)
from pipeline.sessions import open_session
from tests.drawn import CENTRES, discs, grid, ground, rings

GRID = square_grid(32)
SIZE_HW = (256, 256)
NONE = np.zeros((0, 2))
needs_mini = pytest.mark.skipif(not mini.available()[0], reason="onnxruntime or the model is missing")


def boxes(*corners: tuple[int, int, int, int]) -> list[NDArray[np.uint32]]:
    """Return run lengths of boxes (x0, y0, x1, y1) in a 256 x 256 px image."""
    masks = np.zeros((len(corners), *SIZE_HW), dtype=np.bool_)
    for mask, (x0, y0, x1, y1) in zip(masks, corners, strict=True):
        mask[y0:y1, x0:x1] = True
    return [mask_to_rle(mask) for mask in masks]


@pytest.fixture(scope="module")
def prompter() -> MiniPrompter:
    return MiniPrompter(open_session(mini.MODEL))


SCENES = ((0, (5,)), (100, (5,)), (207, (7, 25)))
"""Seed and radii in px of scenes with many small objects: 564 below 22 px; a point lies in 0.92 of them."""


@needs_mini
class TestMiniProposes:
    def test_most_small_objects_of_scenes_in_which_a_grid_misses_nine_of_ten(
        self, prompter: MiniPrompter
    ) -> None:
        hits: dict[str, list[NDArray[np.bool_]]] = {"mini": [], "grid": []}
        for seed, radii_px in SCENES:
            drawn = draw(seed, radii_px)
            small = 2 * np.sqrt(np.bincount(drawn.labels.ravel())[drawn.numbers] / np.pi) < 22
            proposed = prompter(drawn.pixels)
            assert len(proposed) < len(GRID) / 3
            for name, points in (("mini", proposed), ("grid", GRID)):
                hits[name].append(reached(drawn, points)[small])
        share = {name: np.concatenate(found).mean() for name, found in hits.items()}
        assert share["mini"] > 0.85
        assert share["grid"] < 0.1

    def test_one_point_in_each_object_of_every_size_at_once(self, prompter: MiniPrompter) -> None:
        scene = discs(ground(), grid(10, 3, 40, start=40), 9)
        large = [(150, 270), (420, 270)]
        points = prompter(discs(scene, large, 80)) * [600, 400]
        for centres, radius in ((grid(10, 3, 40, start=40), 9), (large, 80)):
            inside = np.hypot(*(points[:, None] - centres).transpose(2, 0, 1)) < radius
            assert inside.any(0).all()
        assert len(points) < 64

    def test_points_lie_on_a_ring_or_in_its_hole_but_never_beside_it(self, prompter: MiniPrompter) -> None:
        points = prompter(rings(ground(), CENTRES, 20)) * [600, 400]
        nearest = np.hypot(*(points[:, None] - CENTRES).transpose(2, 0, 1)).min(1)
        assert (nearest < 26).all()
        assert len(points) >= len(CENTRES)

    def test_a_plain_ground_has_no_proposals(self, prompter: MiniPrompter) -> None:
        assert prompter(ground()).shape == (0, 2)

    def test_points_are_shares_of_the_image_whatever_its_size(self, prompter: MiniPrompter) -> None:
        scene = discs(ground(), CENTRES, 20)
        large = cv2.resize(scene, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
        for points in (prompter(scene), prompter(large)):
            gap = np.hypot(*(points[:, None] * [600, 400] - CENTRES).transpose(2, 0, 1))
            assert (gap < 20).any(0).all()
            assert (gap.min(1) < 24).all()


def test_the_first_round_asks_proposals_and_every_sixteenth_point() -> None:
    proposed = np.array([[0.3, 0.7], [0.1, 0.2]])
    asked = first_round(proposed, GRID)
    assert asked[:2].tolist() == proposed.tolist()
    assert asked[2:].tolist() == square_grid(8).tolist()


def test_without_proposals_the_whole_grid_is_asked() -> None:
    assert first_round(NONE, GRID).tolist() == GRID.tolist()
    assert second_round(NONE, GRID, boxes((0, 0, 30, 30)), SIZE_HW).shape == (0, 2)


def test_a_grid_of_a_few_points_has_a_coarse_grid_of_one() -> None:
    assert coarse_of(square_grid(3)).tolist() == [[0.5, 0.5]]


def test_the_grid_is_segment_anythings() -> None:
    amg = pytest.importorskip("segment_anything.utils.amg")
    for n in (1, 5, 32):
        assert np.allclose(square_grid(n), amg.build_point_grid(n))


class TestTheSecondRound:
    """Cells of the coarse grid are 32 px wide here; their centres are at 16, 48, 80 … px."""

    proposed = np.array([[0.5, 0.5]])
    known, ground = (118, 118, 138, 138), (0, 0, 256, 256)
    strangers = ((8, 8, 24, 24), (200, 200, 216, 216))

    def test_things_that_nobody_proposed_call_for_the_points_that_lie_in_no_mask(self) -> None:
        left = second_round(self.proposed, GRID, boxes(self.known, *self.strangers), SIZE_HW)
        holds = covered(GRID, boxes(self.known, *self.strangers), SIZE_HW).any(0)
        assert left.tolist() == GRID[~holds].tolist()
        assert 0 < holds.sum() < 40

    def test_one_stranger_is_no_reason(self) -> None:
        assert len(second_round(self.proposed, GRID, boxes(self.known, self.strangers[0]), SIZE_HW)) == 0

    def test_large_masks_without_a_proposal_are_found_by_the_coarse_grid_anyway(self) -> None:
        large = boxes(self.known, (0, 0, 60, 60), (190, 190, 250, 250))
        assert len(second_round(self.proposed, GRID, large, SIZE_HW)) == 0

    def test_parts_of_what_was_proposed_are_no_strangers(self) -> None:
        whole, parts = (100, 100, 190, 190), ((104, 104, 122, 122), (170, 170, 186, 186))
        assert len(second_round(self.proposed, GRID, boxes(whole, *parts), SIZE_HW)) == 0

    def test_a_ground_with_proposals_on_it_hides_no_strangers(self) -> None:
        strangers = boxes(self.known, *self.strangers)
        with_ground = second_round(self.proposed, GRID, [*boxes(self.ground), *strangers], SIZE_HW)
        assert with_ground.tolist() == second_round(self.proposed, GRID, strangers, SIZE_HW).tolist()
        assert len(with_ground) > 900

    def test_no_masks_at_all_call_for_nothing(self) -> None:
        assert len(second_round(self.proposed, GRID, [], SIZE_HW)) == 0


@pytest.mark.parametrize("seed", range(4))
def test_coverage_read_from_run_lengths_equals_that_of_the_masks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = rng.random((5, 13, 17)) > np.array([0.0, 0.3, 0.6, 0.9, 1.0])[:, None, None]
    points = np.concatenate([rng.random((40, 2)), [[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]]])
    rows, columns = (
        np.minimum(points[:, 1] * 13, 12).astype(int),
        np.minimum(points[:, 0] * 17, 16).astype(int),
    )
    holds = covered(points, [mask_to_rle(mask) for mask in masks], (13, 17))
    assert holds.tolist() == masks[:, rows, columns].tolist()
