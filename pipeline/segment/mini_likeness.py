"""What exemplars are like at one scale, and the instances of a picture that are like them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.boxes import box_iou
from pipeline.ops.exemplars import MIN_MATCH_IOU
from pipeline.segment.mini_maps import Maps
from pipeline.segment.mini_peaks import Found, highest_in
from pipeline.segment.mini_tree import RegionTree, build_tree, choose, label_map

Array = NDArray[np.float64]
Box = NDArray[np.float32]
"""(4,) left, top, right, bottom in image px."""
Boxes = NDArray[np.float32]
"""(E, 4) the same of each exemplar."""

BEST_RADIUS_PX = 15.0
"""Of levels that meet the boxes equally well, the one nearest to this: larger costs time, smaller detail."""
RADIUS_WEIGHT = 0.3
FILL = 0.7
"""Usual share of its box that an object fills."""
MISSED = 0.05
"""What an exemplar that is not found is worth; a found one is worth its IoU times its clearness."""

SIZE_SLACK, SIZE_WIDTH = 0.25, 0.4
SLENDER_SLACK, SLENDER_WIDTH = 0.15, 0.5
SOLID_SLACK, SOLID_WIDTH = 0.04, 0.15
"""How far outside of the exemplars' range a region is as good as inside, and how fast it gets worse there."""

PEAK_OF_OBJECTS = 0.8
"""The cone of a single object of a size that fits rises to about this."""
WEAKEST = 0.6
"""Quality that the weakest exemplar is given at least, and with it all things as weak as it."""
UNLIKE = 0.5
"""Share of its quality that is left to a region of another size or shape: that is no lack of clearness."""
MIN_QUALITY = 0.3
"""What is proposed beside exemplars; they vouch for things that are fainter than without them."""
LEAST_QUALITY = 0.15
"""Regions below this are not even faint traces of objects."""
_STABLE = (0.35, 0.65)


@dataclass(frozen=True, slots=True)
class Region:
    """The region of an exemplar: how its box meets the drawn one, how clear it is, and its size and shape."""

    iou: float
    clear: float
    area: float
    slenderness: float
    solidity: float


@dataclass(frozen=True, slots=True)
class Likeness:
    """What the exemplars are like.

    Attributes:
        log_area: lowest and highest, of areas in image px.
        slenderness: lowest and highest; see ``RegionTree``.
        solidity: lowest. weakest: lowest clearness, in [0, 1].
    """

    log_area: tuple[float, float]
    slenderness: tuple[float, float]
    solidity: float
    weakest: float

    def of(self, tree: RegionTree) -> Array:
        """Return (M,) in [0, 1] how much each region is like the exemplars, by size and shape."""
        off = (
            _outside(np.log(tree.area), self.log_area, SIZE_SLACK) / SIZE_WIDTH,
            _outside(tree.slenderness, self.slenderness, SLENDER_SLACK) / SLENDER_WIDTH,
            np.maximum(0, self.solidity - SOLID_SLACK - tree.solidity) / SOLID_WIDTH,
        )
        return np.asarray(np.exp(-0.5 * sum(v**2 for v in off)))


def region_met(tree: RegionTree, box: Box) -> Region | None:
    """Return the region that meets a box best, None when none does."""
    if not len(tree):
        return None
    iou = box_iou(tree.box_xyxy.astype(np.float32), box[None])[:, 0]
    best = int(np.argmax(iou))
    if iou[best] < MIN_MATCH_IOU:
        return None
    clear = float(_clearness(tree)[best])
    shape = float(tree.slenderness[best]), float(tree.solidity[best])
    return Region(float(iou[best]), clear, float(tree.area[best]), *shape)


def likeness_of(
    boxes: Boxes, regions: Sequence[Region | None], scale: float
) -> tuple[float, Likeness | None]:
    """Return how well regions meet the exemplars' boxes at a scale, and what these are like.

    Of an exemplar that no region meets, only the size is known.
    """
    found = [r for r in regions if r is not None]
    if not found:
        return -np.inf, None
    radius = float(np.median([np.sqrt(r.area / np.pi) for r in found])) * scale
    met = [max(r.iou * r.clear, MISSED) if r else MISSED for r in regions]
    score = np.log(met).mean() - RADIUS_WEIGHT * abs(np.log(radius / BEST_RADIUS_PX))
    sizes = [r.area if r else usual_area(box) for r, box in zip(regions, boxes, strict=True)]
    return float(score), Likeness(
        log_area=(float(np.log(min(sizes))), float(np.log(max(sizes)))),
        slenderness=(min(r.slenderness for r in found), max(r.slenderness for r in found)),
        solidity=min(r.solidity for r in found),
        weakest=min(r.clear for r in found),
    )


def like_exemplars(maps: Maps, likeness: Likeness) -> Found:
    """Return the instances at one scale, cut to be like the exemplars as far as the maps allow.

    What nothing like them can be made of is an instance too: which ones are alike, the count decides.
    """
    tree = build_tree(maps)
    fit = likeness.of(tree)
    chosen = choose(tree, fit * tree.foreground)
    gain = max(1.0, WEAKEST / max(likeness.weakest, LEAST_QUALITY))
    quality = np.minimum(_clearness(tree) * gain, 1) * np.maximum(fit**0.25, UNLIKE)
    chosen = chosen[quality[chosen] >= LEAST_QUALITY]
    labels = label_map(tree, chosen)
    highest = highest_in(labels, len(chosen), maps.foreground)
    share = maps.foreground / np.maximum(highest, LEAST_QUALITY)[labels]  # what is faint is not unstable
    low, high, area = (
        np.bincount(labels[share > cut], minlength=len(chosen) + 1)[1:] for cut in (*_STABLE, -1.0)
    )
    stability = high / np.maximum(low, 1)
    return Found(maps, labels, *(np.asarray(v, np.float32) for v in (area, quality[chosen], stability)))


def usual_area(box: Box) -> float:
    """Return the area in px that an object in a box usually has."""
    return float(FILL * (box[2] - box[0]) * (box[3] - box[1]))


def _clearness(tree: RegionTree) -> Array:
    """Return (M,) in [0, 1] how sure the network is that there is something, whatever its size."""
    return np.asarray(tree.foreground * np.sqrt(np.clip(tree.peak / PEAK_OF_OBJECTS, 0, 1)))


def _outside(values: Array, low_high: tuple[float, float], slack: float) -> Array:
    low, high = low_high
    return np.maximum(0, np.maximum(low - values, values - high) - slack)
