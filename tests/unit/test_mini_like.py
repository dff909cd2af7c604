"""The network that is told of exemplars, with the bundled model, on drawn pictures."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.contract import CountSettings, Exemplar
from pipeline.count import count
from pipeline.segment import mini
from pipeline.segment.mini_like import LikeMaps, exemplar_mask
from pipeline.types import Image
from tests.candidates import candidates_of
from tests.drawn import discs, grid, ground

CENTRES = grid(6, 4, 90, start=60)
DISCS, SQUARES = CENTRES[::2], CENTRES[1::2]
HALF = 22


def tray():
    """Return a picture of 12 dark discs and 12 blue squares in turn."""
    drawn = discs(ground(400, 570), DISCS, HALF)
    for x, y in SQUARES:
        cv2.rectangle(drawn, (x - HALF, y - HALF), (x + HALF, y + HALF), (40, 60, 150), -1)
    return drawn


def boxes_around(centres):
    return np.array([(x - HALF, y - HALF, x + HALF, y + HALF) for x, y in centres], np.float32)


@pytest.fixture(scope="module")
def like():
    return mini.open_session(mini.LIKE_MODEL)


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


@pytest.mark.parametrize("shown", [DISCS, SQUARES])
def test_of_two_kinds_the_one_shown_is_counted(shown):
    boxes = tuple(Exemplar((x - HALF, y - HALF, 2.0 * HALF, 2.0 * HALF)) for x, y in shown[:3])
    settings = CountSettings(exemplars=boxes, count_what="exemplars")
    (batch,) = mini.load(None).segment([Image("tray", tray())], settings)
    assert len(batch) == len(CENTRES)
    n, found = len(batch), candidates_of([], batch.size_hw)
    probs = np.ones((n, 1), np.float32)
    seen = replace(
        found.classification,
        class_ids=np.zeros((n, 0), np.int16),
        class_probs=np.zeros((n, 0), np.float32),
        embeddings=np.ones((n, 4), np.float16),
    )
    alike = replace(
        found, batch=batch, classification=seen, type_probs=replace(found.type_probs, probs=probs)
    )
    decided = count(alike, settings)
    assert decided.rejections.count("unlike_exemplar") == len(CENTRES) - len(shown)
    centres = batch.bbox_xyxy[decided.counted].reshape(-1, 2, 2).mean(1)
    assert all(min(np.hypot(x - a, y - b) for a, b in shown) < 4 for x, y in centres)
    assert len(decided.counted) == len(shown)


@pytest.mark.parametrize(("boxes", "elsewhere", "judged"), [(1, 0, False), (2, 0, True), (2, 1, False)])
def test_likeness_is_worked_out_where_the_count_asks_for_it(boxes, elsewhere, judged):
    here = [Exemplar((x - HALF, y - HALF, 2.0 * HALF, 2.0 * HALF)) for x, y in DISCS[:boxes]]
    there = [Exemplar((1, 1, 2.0 * HALF, 2.0 * HALF), file_id="another") for _ in range(elsewhere)]
    (batch,) = mini.load(None).segment([Image("tray", tray())], CountSettings(exemplars=(*here, *there)))
    assert len(batch)
    assert (batch.likeness is not None) == judged


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
    assert seen.sizes == [(512 + 160, 512 + 160), (64, 64)]


def test_the_mask_of_a_box_is_the_ellipse_in_it():
    mask = exemplar_mask(np.array([16.0, 32.0, 80.0, 64.0]), (96, 128))
    assert mask.shape == (24, 32)
    assert mask.sum() == pytest.approx(np.pi / 4 * 0.9**2 * 16 * 8, rel=0.08)
    rows, columns = np.indices(mask.shape)
    assert (mask * rows).sum() / mask.sum() == pytest.approx(11.5, abs=0.2)
    assert (mask * columns).sum() / mask.sum() == pytest.approx(11.5, abs=0.2)


def test_the_mask_of_a_tiny_box_at_the_edge_is_not_empty():
    assert exemplar_mask(np.array([0.0, 0.0, 3.0, 3.0]), (32, 32)).sum() > 0.3
