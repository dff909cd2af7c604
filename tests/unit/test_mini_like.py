"""The network that is told of exemplars, with the bundled model, on drawn pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.segment import mini
from pipeline.segment.mini_like import USUAL_CELLS, LikeMaps, exemplar_mask
from pipeline.segment.mini_maps import MIRROR_PX
from pipeline.sessions import open_session
from tests.drawn import DISCS, HALF, SQUARES, tray


def boxes_around(centres):
    return np.array([(x - HALF, y - HALF, x + HALF, y + HALF) for x, y in centres], np.float32)


@pytest.fixture(scope="module")
def like():
    return open_session(mini.LIKE_MODEL)


def mean_at(maps, centres):
    cells = [(int(y * maps.scale / 2), int(x * maps.scale / 2)) for x, y in centres]
    return np.mean([maps.foreground[y - 2 : y + 3, x - 2 : x + 3].mean() for y, x in cells])


@pytest.mark.parametrize(("shown", "others"), [(DISCS, SQUARES), (SQUARES, DISCS)])
def test_the_maps_show_what_is_like_the_exemplars(like, shown, others):
    pixels = tray()
    maps = LikeMaps(like, pixels, boxes_around(shown[:3])).at(0.7, pixels)
    assert maps.foreground.shape == (140, 200)
    assert mean_at(maps, shown) > 3 * mean_at(maps, others)


def test_a_part_of_the_picture_shows_the_same_as_the_whole(like):
    pixels = tray()
    maps = LikeMaps(like, pixels, boxes_around(DISCS[:2]))
    whole, part = maps.at(0.5, pixels), maps.at(0.5, pixels[:256, :320])
    np.testing.assert_allclose(whole.foreground[8:40, 8:56], part.foreground[8:40, 8:56], atol=0.1)


class Recorded:
    """A session that keeps the sizes of the pictures it is shown."""

    def __init__(self, session):
        self.session, self.sizes = session, []

    def get_inputs(self):
        return self.session.get_inputs()

    def run(self, names, feeds):
        self.sizes.append(feeds["image"].shape[2:])
        return self.session.run(names, feeds)


def test_of_a_very_large_exemplar_the_middle_is_looked_at(like):
    seen = Recorded(like)
    pixels = cv2.resize(tray(), (1900, 1400))
    LikeMaps(seen, pixels, np.array([[10, 10, 1890, 1390]], np.float32)).at(1.0, pixels[:64, :64])
    assert seen.sizes == [(512 + 160, 512 + 160), (64 + 2 * MIRROR_PX, 64 + 2 * MIRROR_PX)]


def test_the_mask_of_a_box_is_the_ellipse_in_it():
    mask = exemplar_mask(np.array([16.0, 32.0, 80.0, 64.0]), (96, 128))
    assert mask.shape == (24, 32)
    assert mask.sum() == pytest.approx(np.pi / 4 * 0.9**2 * 16 * 8, rel=0.08)
    rows, columns = np.indices(mask.shape)
    assert (mask * rows).sum() / mask.sum() == pytest.approx(11.5, abs=0.2)
    assert (mask * columns).sum() / mask.sum() == pytest.approx(11.5, abs=0.2)


def test_the_mask_of_a_tiny_box_at_the_edge_is_not_empty():
    assert exemplar_mask(np.array([0.0, 0.0, 3.0, 3.0]), (32, 32)).sum() > 0.3


def test_it_is_told_how_large_the_exemplars_are(like):
    pixels, boxes = tray(), boxes_around(DISCS[:1])
    maps = LikeMaps(like, pixels, boxes)
    sizes = [float(maps._look_at(boxes[0], scale)[-1]) for scale in (0.5, 1.0)]
    cells = np.pi / 4 * 0.9**2 * (2 * HALF / 4) ** 2
    assert sizes[1] == pytest.approx(0.5 * np.log(cells / USUAL_CELLS), abs=0.06)
    assert sizes[1] - sizes[0] == pytest.approx(np.log(2), abs=0.06)
