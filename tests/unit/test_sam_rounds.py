"""Fast mode in two rounds of points, with an ideal SAM: what is found, what is asked, in which mode."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from pipeline.contract import CountSettings  # noqa: E402
from pipeline.segment.base import EngineInfo  # noqa: E402
from pipeline.segment.sam_generate import Generated, Generator  # noqa: E402
from pipeline.segment.sam_prompts import Points, Prompter, square_grid  # noqa: E402
from pipeline.segment.sam_segmenter import SamSegmenter  # noqa: E402
from pipeline.segment.sam_settings import SamSettings  # noqa: E402
from pipeline.types import Image  # noqa: E402
from tests.doubles.ideal_sam import IdealNet  # noqa: E402
from tests.doubles.small_memory import SmallMemory  # noqa: E402
from tests.doubles.small_sam import SIDE, picture, small_sam  # noqa: E402

pytestmark = pytest.mark.deep
CPU = torch.device("cpu")
INFO = EngineInfo("sam", "small", None, "", "", {"mini": "1" * 64})
SETTINGS = SamSettings(points_per_side=16)
CENTRES = [(x, y) for y in range(16, SIDE, 16) for x in range(16, SIDE, 16)]
"""49 discs, 16 of them on the points of the coarse grid of 4 x 4, whose cells are 32 px wide."""


def coloured_discs(centres: Sequence[tuple[int, int]] = tuple(CENTRES), radius: int = 6) -> NDArray[np.uint8]:
    """Return discs of different flat colours on a flat ground."""
    scene = np.full((SIDE, SIDE, 3), 20, dtype=np.uint8)
    for k, centre in enumerate(centres):
        cv2.circle(scene, centre, radius, (60 + 24 * (k % 8), 60 + 24 * (k // 8 % 8), 250), -1)
    return scene


def proposing(centres: Sequence[tuple[int, int]]) -> Prompter:
    """Return a prompter that sees these discs and no others."""
    points = (np.array(centres, dtype=np.float64).reshape(-1, 2) + 0.5) / SIDE
    return lambda pixels: points


def found(prompter: Prompter | None, net: IdealNet, settings: SamSettings = SETTINGS) -> Generated:
    return Generator(net, settings, prompter).generate([coloured_discs()], 1, 64)[0]


def areas(masks: Generated) -> list[int]:
    return sorted(int(rle[1::2].sum()) for rle in masks.rles)


def test_proposals_and_a_coarse_grid_find_what_the_full_grid_finds_with_fewer_points() -> None:
    full, few = IdealNet(), IdealNet()
    wanted = areas(found(None, full))
    assert len(wanted) == len(CENTRES) + 1
    assert areas(found(proposing(CENTRES), few)) == wanted[:-1]  # all but the ground: no point lies on it
    assert (len(full.asked_xy), len(few.asked_xy)) == (256, 49 + 16)


def test_what_mini_overlooks_is_found_in_the_second_round_and_nothing_twice() -> None:
    net = IdealNet()
    assert areas(found(proposing(CENTRES[:2]), net)) == areas(found(None, IdealNet()))
    seen = 17  # discs after the first round; each covers 4 points of the grid
    assert len(net.asked_xy) == 2 + 16 + 256 - 4 * seen


def test_without_proposals_every_point_of_the_grid_is_asked_once() -> None:
    net = IdealNet()
    assert len(found(proposing([]), net).rles) == len(CENTRES) + 1
    assert net.asked_xy.tolist() == (square_grid(16) * SIDE).tolist()


def test_masks_that_sam_does_not_trust_are_no_reason_for_a_second_round() -> None:
    net = IdealNet(judge=0.5)
    masks = found(proposing(CENTRES[:2]), net, SamSettings(points_per_side=16, pred_iou_thresh=0.6))
    assert (len(masks.rles), len(net.asked_xy)) == (0, 2 + 16)


def test_each_crop_is_asked_at_its_own_proposals() -> None:
    seen: list[tuple[int, ...]] = []

    def prompter(pixels: NDArray[np.uint8]) -> Points:
        seen.append(pixels.shape)
        return np.array([[0.5, 0.5]])

    net = IdealNet()
    settings = SamSettings(points_per_side=4, crop_n_layers=1, stability_score_thresh=0.5)
    found(prompter, net, settings)
    assert len(seen) == 5
    assert seen[0] == (SIDE, SIDE, 3)
    assert all(shape[0] < SIDE for shape in seen[1:])
    assert len(net.asked_xy) == 5 * (1 + 1)


def test_given_point_grids_are_asked_as_they_are() -> None:
    net = IdealNet()
    grid = np.array([[0.1, 0.1], [0.6, 0.6]])
    found(proposing(CENTRES), net, SamSettings(points_per_side=None, point_grids=(grid,)))
    assert np.allclose(net.asked_xy, grid * SIDE)


@pytest.mark.parametrize(("mode", "asks_prompter"), [("fast", True), ("exact", False), ("reference", False)])
def test_only_the_fast_mode_listens_to_proposals(mode: str, asks_prompter: bool) -> None:
    asked = []

    def prompter(pixels: NDArray[np.uint8]) -> Points:
        asked.append(pixels.shape)
        return np.array([[0.5, 0.5], [0.2, 0.7]])

    settings = SamSettings(
        mode=mode,  # type: ignore[arg-type]
        points_per_side=6,
        pred_iou_thresh=0.65,
        stability_score_thresh=0.4,
    )
    engine = SamSegmenter(small_sam(), INFO, CPU, settings, prompter)
    images = [Image(str(seed), picture(100, 128, seed)) for seed in range(2)]
    for _ in range(2):  # what is said of a call does not depend on the one before
        assert all(len(batch) > 0 for batch in engine.segment(images, CountSettings()))
        assert engine.info.prompt_models == (INFO.prompt_models if asks_prompter else {})
    assert asked == ([(100, 128, 3)] * 4 if asks_prompter else [])


def test_a_prompter_that_is_not_there_is_not_named() -> None:
    assert SamSegmenter(small_sam(), INFO, CPU, SamSettings(mode="fast")).info.prompt_models == {}


def test_a_card_is_asked_its_whole_grid_and_the_cpu_that_stands_in_for_it_at_proposals() -> None:
    asked = []

    def prompter(pixels: NDArray[np.uint8]) -> Points:
        asked.append(pixels.shape)
        return np.array([[0.5, 0.5], [0.2, 0.7]])

    settings = SamSettings(points_per_side=6)
    card = torch.device("meta")  # sizes without values: what is known of a card that is none
    roomy = SamSegmenter(small_sam(), INFO, card, settings, prompter)
    assert [generator._prompter for generator in roomy._generators.values()] == [None]
    assert roomy.info.prompt_models == {}
    with SmallMemory(0, "meta"):  # too full for SAM itself
        full = SamSegmenter(small_sam(), INFO, card, settings, prompter)
        assert full.info.prompt_models == {}
        full.segment([Image("one", picture(100, 128))], CountSettings())
    assert (full.info.device, asked) == ("cpu", [(100, 128, 3)])
    assert full.info.prompt_models == INFO.prompt_models
