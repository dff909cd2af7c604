"""Finds the scale at which a picture's objects fit mini: coarse scales whole, fine ones by samples first."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.segment.mini_maps import STRIDE_PX, Maps, maps_at_scale
from pipeline.segment.mini_peaks import MIN_QUALITY, Found, find_instances
from pipeline.segment.mini_pieces import join_pieces
from pipeline.segment.mini_scale import SURE, scale_score

STEP = 2**0.5
COARSEST_PX = 56
"""Long side of the smallest picture looked at: an object of half the picture is then 28 px wide."""
FINEST_SCALE = 2.0
"""An object 8 px wide is then 16 px wide."""
FINEST_SMALL, SMALL_INPUT_PX = 4.0, 8_000_000
"""A small picture's scales go on to this, as long as they have no more input px."""
CHEAP_PX = 400_000
"""Scales with at most this many input px are run on the whole picture."""
WINDOW_PX = 256
WINDOWS = 4
_SAMPLE_MIRROR_PX = 16
"""Enough for a comparison; without any a scale too fine wins at times."""
MARGIN = 0.1
"""By how much a finer scale must win on samples before the whole picture is run at it."""
DEAR_PX = 1_500_000
"""Of scales above this many input px fewer are looked at."""
_LARGE_PX, _SMALL_PX = 48.0, 8.0
"""Scales are looked at until they show what was found with this radius in input px; dear ones where it was
found smaller than the second, and the one that shows it so large that a third of it fits the network."""
_CLEAR, _SEVERAL = 0.55, 3
_MANY = 6
"""So many clear things are meant rather than the one that another scale shows: the dish, plate or tray."""

Window = tuple[int, int, int, int]
"""Left, top, right, bottom in image px."""


def pyramid(size_hw: tuple[int, int]) -> list[float]:
    """Return the scales from the coarsest to the finest, each √2 times the one before."""
    long_side, area = max(size_hw), size_hw[0] * size_hw[1]
    n = int(np.floor(np.log(FINEST_SCALE * long_side / COARSEST_PX) / np.log(STEP)))
    room = min(FINEST_SMALL, (SMALL_INPUT_PX / area) ** 0.5) / FINEST_SCALE
    finer = int(np.floor(np.log(room) / np.log(STEP) + 1e-9)) if room > 1 else 0
    return [FINEST_SCALE * STEP**k for k in range(-max(0, n), finer + 1)]


def _busiest_windows(
    image_hw3: NDArray[np.uint8], scale: float, away_from: NDArray[np.bool_] | None = None
) -> list[Window]:
    """Return windows to look at for small things: those with most detail of their size, apart.

    Detail where ``away_from``, (h, w) of any resolution, is set does not count.
    """
    side = int(WINDOW_PX / scale)
    height, width = image_hw3.shape[:2]
    grey = cv2.resize(
        image_hw3[..., 1], None, fx=min(1.0, scale), fy=min(1.0, scale), interpolation=cv2.INTER_AREA
    )
    grey = grey.astype(np.float32)
    detail = np.abs(cv2.GaussianBlur(grey, (0, 0), 3) - cv2.GaussianBlur(grey, (0, 0), 10))
    if away_from is not None:
        there = cv2.resize(away_from.astype(np.float32), detail.shape[::-1], interpolation=cv2.INTER_LINEAR)
        detail *= there == 0
    rows, columns = -(-height // side), -(-width // side)
    energy = cv2.resize(detail, (columns, rows), interpolation=cv2.INTER_AREA).ravel()
    order = np.argsort(-energy, kind="stable")
    picked = sorted({*order[: WINDOWS - 1].tolist(), int(order[len(order) // 4])})
    corners = [
        (min(k % columns * side, max(0, width - side)), min(k // columns * side, max(0, height - side)))
        for k in picked
    ]
    return [(x, y, min(width, x + side), min(height, y + side)) for x, y in corners]


def _window_of(found: Found, window: Window) -> Found:
    """Return what was found inside a window of the picture; instances keep their scores."""
    left, top, right, bottom = (round(v * found.maps.scale / STRIDE_PX) for v in window)
    labels = found.labels[top : bottom + 1, left : right + 1]
    area = np.bincount(labels.ravel(), minlength=len(found.area) + 1)[1:].astype(np.float32)
    quality = np.where(area > 0.5 * found.area, found.quality, 0).astype(np.float32)
    return Found(found.maps, labels, area, quality, found.stability)


def _join(founds: list[Found]) -> Found:
    """Return several windows' instances as one, for scoring only."""
    labels = np.zeros((sum(f.labels.size for f in founds), 1), np.int32)
    joined = (np.concatenate([getattr(f, name) for f in founds]) for name in ("area", "quality", "stability"))
    return Found(founds[0].maps, labels, *joined)


def _shows_clearly(found: Found, n: int) -> bool:
    """Return whether at least ``n`` sure things were found, half of them clearly."""
    sure = found.quality[found.quality >= SURE]
    return len(sure) >= n and bool(np.median(sure) >= _CLEAR)


def _is_worth_a_look(known: Found | None, scale: float, input_px: float) -> bool:
    """Return whether a finer scale could show more than the parts of things already found clearly."""
    if known is None or not _shows_clearly(known, _SEVERAL):
        return True
    radius = float(np.median(known.radius_px[known.quality >= SURE]))
    shown = radius * scale / known.maps.scale
    is_last = shown <= _LARGE_PX < shown * STEP
    return is_last or (radius < _SMALL_PX if input_px > DEAR_PX else shown <= _LARGE_PX)


class ScaleSearch:
    """The pyramid of one picture; scales are run when asked for, once."""

    def __init__(self, session: Any, image_hw3: NDArray[np.uint8]) -> None:
        """Keep the picture: (H, W, 3) uint8 RGB, contrast stretched."""
        self._session, self._image = session, image_hw3
        self.scales = pyramid((image_hw3.shape[0], image_hw3.shape[1]))
        self._done: dict[int, Found] = {}
        self._joined: dict[int, Found] = {}
        self._best: int | None = None

    def input_px(self, level: int) -> float:
        """Return how many px the whole picture has at a level of ``scales``."""
        return float(self._image.shape[0] * self._image.shape[1] * self.scales[level] ** 2)

    def at(self, level: int) -> Found:
        """Return the instances of the whole picture at a level of ``scales``."""
        if level not in self._joined:
            self._joined[level] = join_pieces(self.pieces_at(level))
        return self._joined[level]

    def pieces_at(self, level: int) -> Found:
        """Return what is seen of a level before pieces are joined: by these, levels are compared."""
        if level not in self._done:
            self._done[level] = find_instances(maps_at_scale(self._session, self._image, self.scales[level]))
        return self._done[level]

    def maps_at(self, level: int) -> Maps | None:
        """Return the maps of the whole picture at a level of ``scales``, None where nothing needed them."""
        return self._done[level].maps if level in self._done else None

    def _seen_in(self, window: Window, level: int) -> Found:
        """Return the instances of a window at a level of ``scales``."""
        left, top, right, bottom = window
        crop = self._image[top:bottom, left:right]
        return find_instances(maps_at_scale(self._session, crop, self.scales[level], _SAMPLE_MIRROR_PX))

    def _wins_on_samples(self, level: int, best: Found | None) -> bool:
        """Return whether a level explains its busiest windows better than the best one so far."""
        windows = _busiest_windows(self._image, self.scales[level])
        fine = _join([self._seen_in(w, level) for w in windows])
        if best is None:
            return scale_score(fine) > -np.inf
        coarse = _join([_window_of(best, w) for w in windows])
        return scale_score(fine) > scale_score(coarse) + MARGIN

    def samples(self, level: int, away_from: NDArray[np.bool_]) -> list[tuple[Found, NDArray[np.bool_]]]:
        """Return a level's instances in windows, or in all of a small picture, with ``away_from`` there.

        Args:
            level: of ``scales``.
            away_from: (h, w) of any resolution, over the picture.
        """
        if level in self._done or self.input_px(level) <= CHEAP_PX:
            return [(self.at(level), away_from)]
        height, width = self._image.shape[:2]
        down, across = away_from.shape[0] / height, away_from.shape[1] / width
        samples = []
        for window in _busiest_windows(self._image, self.scales[level], away_from):
            x0, y0, x1, y1 = window
            rows = slice(int(y0 * down), int(np.ceil(y1 * down)))
            columns = slice(int(x0 * across), int(np.ceil(x1 * across)))
            samples.append((self._seen_in(window, level), away_from[rows, columns]))
        return samples

    def n_beside(self, level: int) -> tuple[int, ...]:
        """Return how many things the levels next to one show, those at which the whole picture was run."""
        beside = [self.at(k) for k in (level - 1, level + 1) if k in self._done]
        return tuple(int((found.quality >= MIN_QUALITY).sum()) for found in beside)

    def best(self) -> int:
        """Return the level that explains the picture best."""
        if self._best is None:
            self._best = self._find_best()
        return self._best

    def _find_best(self) -> int:
        scores: dict[int, float] = {}
        for level, scale in enumerate(self.scales):
            input_px = self.input_px(level)
            best = max(scores, key=lambda k: scores[k], default=None)
            known = None if best is None or scores[best] == -np.inf else self.pieces_at(best)
            cheap = input_px <= CHEAP_PX or level == 0
            if cheap or (_is_worth_a_look(known, scale, input_px) and self._wins_on_samples(level, known)):
                scores[level] = scale_score(self.pieces_at(level))
        best = max(scores, key=lambda k: scores[k])
        if (self.pieces_at(best).quality >= SURE).sum() != 1:
            return best
        many = [level for level in scores if _shows_clearly(self.pieces_at(level), _MANY)]
        return max(many or [best], key=lambda k: scores[k])
