"""How likely what mini found at each scale is an object, and which scale shows a picture's objects best.

An object is seen at its scale and at the next one, in the same place and of the same size; noise, pieces and
clumps are not. The weights are fitted to drawn pictures by tools/fit_scale.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.segment.mini_links import Links, find_links
from pipeline.segment.mini_peaks import Found

Array = NDArray[np.float64]

BEST_RADIUS_PX = 15.0
"""Radius at the network's input at which its quality is highest (it was taught 6 to 27)."""
SIZE_WEIGHT = 0.6
SURE = 0.4
"""Instances of a lower quality do not speak for a scale."""

CHANCE_WEIGHTS = (-2.458, 0.218, 1.234, 3.63, 1.492, -1.61)
"""Log odds of an object: constant, and one weight a column of ``Levels.signs``."""
SCORE_WEIGHTS = (0.406, -2.152, -0.697, 0.825, 0.863, -2.472, 5.207)
"""Worth of a scale: one weight a column of ``Levels.evidence``."""
UNSEEN = 0.4
"""Agreement taken for that of a finer neighbour that was too dear to run, as a share of the coarser's."""
LIKELY = 0.35
"""Instances of a lower chance do not speak for a scale."""
_INSIDE, _MUCH_LARGER, _NESTED = 0.7, 1.5, 0.5


def scale_score(found: Found) -> float:
    """Return how well a scale alone explains the picture: log(share explained) − 0.6·|log(radius / 15 px)|.

    Tells where to look closer, before the scales beside it are known. The share is of the picture's area,
    each instance weighted by the square of its quality; −inf where nothing is found.
    """
    sure = found.quality >= SURE
    if not sure.any():
        return -np.inf
    explained = float((found.area * found.quality**2)[sure].sum()) / found.labels.size
    radius = float(np.median(found.radius_px[sure]))
    return float(np.log(explained) - SIZE_WEIGHT * abs(np.log(radius / BEST_RADIUS_PX)))


class Levels:
    """The scales that were run on a picture, compared with each other.

    Args:
        founds: level of the pyramid → what was found there; of any two the higher level is the finer.
        weights: ``CHANCE_WEIGHTS``, or others while these are fitted.
    """

    def __init__(self, founds: Mapping[int, Found], weights: Sequence[float] = CHANCE_WEIGHTS) -> None:
        """Keep what was found; comparisons are made when asked for, once."""
        self.founds, self._weights = dict(founds), np.array(weights)
        self._links: dict[tuple[int, int], Links] = {}
        self._chances: dict[int, Array] = {}

    def links(self, coarse: int, fine: int) -> Links:
        """Return the pairs of instances of two levels that share cells."""
        if (coarse, fine) not in self._links:
            self._links[coarse, fine] = find_links(self.founds[coarse], self.founds[fine])
        return self._links[coarse, fine]

    def confirmed(self, level: int, steps: int = 1) -> Array:
        """Return (2, N) how well the scales so many steps coarser and finer agree on each instance.

        Agreement is the IoU with the best instance there times its quality; 0 where that scale was not run.
        """
        sides = np.zeros((2, len(self.founds[level].area)))
        if level - steps in self.founds:
            found = self.links(level - steps, level)
            quality = self.founds[level - steps].quality[found.coarse]
            np.maximum.at(sides[0], found.fine, found.iou * quality)
        if level + steps in self.founds:
            found = self.links(level, level + steps)
            np.maximum.at(sides[1], found.coarse, found.iou * self.founds[level + steps].quality[found.fine])
        return sides

    def within(self, level: int) -> Array:
        """Return (N,) the quality of the larger thing, two scales coarser, that each instance lies in."""
        best = np.zeros(len(self.founds[level].area))
        if level - 2 in self.founds:
            found = self.links(level - 2, level)
            inside = (found.of_fine > _INSIDE) & (found.larger > _MUCH_LARGER)
            outer = self.founds[level - 2].quality[found.coarse]
            np.maximum.at(best, found.fine[inside], outer[inside])
        return best

    def signs(self, level: int) -> Array:
        """Return (5, N) what speaks for and against each instance.

        Log odds of its quality; stability; agreement of the better neighbour, and of the better scale two
        steps away; quality of what it lies in.
        """
        found = self.founds[level]
        quality = np.clip(found.quality, 0.02, 0.98)
        beside, beyond = (self.confirmed(level, steps).max(axis=0) for steps in (1, 2))
        return np.stack(
            [np.log(quality / (1 - quality)), found.stability, beside, beyond, self.within(level)]
        )

    def chances(self, level: int) -> Array:
        """Return (N,) the chance of each instance to be an object, before its size is judged."""
        if level not in self._chances:
            odds = self._weights[0] + self._weights[1:] @ self.signs(level)
            self._chances[level] = 1 / (1 + np.exp(-odds))
        return self._chances[level]

    def evidence(self, level: int) -> Array | None:
        """Return (7,) what speaks for and against a level, None where nothing on it is likely.

        log of the share explained; log of how much larger, and of how much smaller, than best the objects
        are; mean chance; log of the expected number; share of what is explained that lies in larger things,
        and the agreement of the worse neighbour on it.
        """
        found, chances = self.founds[level], self.chances(level)
        likely = chances > LIKELY
        if not likely.any():
            return None
        chance = chances[likely]
        explained = found.area[likely] * chance
        size = float(np.average(np.log(found.radius_px[likely] / BEST_RADIUS_PX), weights=chance))
        share = explained / explained.sum()
        return np.array(
            [
                np.log(explained.sum() / found.labels.size),
                max(size, 0.0),
                max(-size, 0.0),
                chance.mean(),
                np.log(chance.sum()),
                share[self.within(level)[likely] > _NESTED].sum(),
                (share * self._agreed(level)[likely]).sum(),
            ]
        )

    def _agreed(self, level: int) -> Array:
        """Return (N,) the agreement of the worse neighbour, guessed where the finer one was not run."""
        coarser, finer = self.confirmed(level)
        agreed = np.minimum(coarser, finer) if level + 1 in self.founds else UNSEEN * coarser
        return np.asarray(agreed)

    def score(self, level: int) -> float:
        """Return how well a level shows the picture's objects, −inf where nothing on it is likely."""
        evidence = self.evidence(level)
        return -np.inf if evidence is None else float(np.dot(SCORE_WEIGHTS, evidence))
