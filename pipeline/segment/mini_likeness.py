"""What exemplars are like at one scale, and the instances of a picture that are like them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.measure import perimeter_crofton

from pipeline.ops.boxes import box_iou
from pipeline.ops.exemplars import MIN_MATCH_IOU
from pipeline.segment.mini_maps import STRIDE_PX, Maps
from pipeline.segment.mini_peaks import Found, highest_in
from pipeline.segment.mini_tree import RegionTree, build_tree, choose, label_map

Array = NDArray[np.float64]
Box = NDArray[np.float32]
"""(4,) left, top, right, bottom in image px."""
Boxes = NDArray[np.float32]
"""(E, 4) the same of each exemplar."""
Extent = tuple[float, float]
"""Logs of length and breadth in image px."""

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

SLENDER = 1.0
"""Slenderness of an exemplar from which things like it may be bent."""
LENGTH_SLACK, LENGTH_WIDTH = 0.2, 0.3
BREADTH_SLACK, BREADTH_WIDTH = 0.15, 0.2
"""As above, of what is slender, for the logs of length and breadth along its outline, however it is bent."""
SADDLE_SLACK = 0.2
"""How much lower than between the parts of slender exemplars the cone may fall in what is bent."""

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
    """The region of an exemplar.

    Attributes:
        iou: how its box meets the drawn one. clear: see ``_clearness``.
        area: px. slenderness, solidity, saddle: see ``RegionTree``. extent: see ``extent_of``.
    """

    iou: float
    clear: float
    area: float
    slenderness: float
    solidity: float
    saddle: float
    extent: Extent


@dataclass(frozen=True, slots=True)
class Likeness:
    """What the exemplars are like.

    Attributes:
        log_area: lowest and highest, of areas in image px.
        slenderness: lowest and highest; see ``RegionTree``.
        solidity: lowest. weakest: lowest clearness, in [0, 1].
        extents: of the slender ones, see ``extent_of``. saddle: lowest of these, see ``RegionTree``.
    """

    log_area: tuple[float, float]
    slenderness: tuple[float, float]
    solidity: float
    weakest: float
    extents: tuple[Extent, ...] = ()
    saddle: float = 1.0

    def of(self, tree: RegionTree) -> Array:
        """Return (M,) in [0, 1] how much each region is like the exemplars, by size and shape."""
        return np.maximum(self._of_shape(tree), self._bent(tree))

    def _of_shape(self, tree: RegionTree) -> Array:
        off = (
            _outside(np.log(tree.area), self.log_area, SIZE_SLACK) / SIZE_WIDTH,
            _outside(tree.slenderness, self.slenderness, SLENDER_SLACK) / SLENDER_WIDTH,
            np.maximum(0, self.solidity - SOLID_SLACK - tree.solidity) / SOLID_WIDTH,
        )
        return np.asarray(np.exp(-0.5 * sum(v**2 for v in off)))

    def _bent(self, tree: RegionTree) -> Array:
        """Return (M,) in [0, 1] how much each region is like a slender exemplar, however either is bent."""
        like = np.zeros(len(tree))
        if self.extents:
            length, breadth = (np.array([min(v), max(v)]) for v in zip(*self.extents, strict=True))
            far = _outside(np.log(tree.area), length + breadth, LENGTH_SLACK + BREADTH_SLACK)
            whole = tree.saddle >= self.saddle - SADDLE_SLACK
            for region in np.flatnonzero((far == 0) & whole).tolist():
                own = np.array(extent_of(tree, region))
                off = (
                    _outside(own[:1], length, LENGTH_SLACK) / LENGTH_WIDTH,
                    _outside(own[1:], breadth, BREADTH_SLACK) / BREADTH_WIDTH,
                )
                like[region] = np.exp(-0.5 * sum(v**2 for v in off))[0]
        return like


def region_met(tree: RegionTree, box: Box) -> Region | None:
    """Return the region that meets a box best, None when none does."""
    if not len(tree):
        return None
    iou = box_iou(tree.box_xyxy.astype(np.float32), box[None])[:, 0]
    best = int(np.argmax(iou))
    if iou[best] < MIN_MATCH_IOU:
        return None
    clear = float(_clearness(tree)[best])
    shape = float(tree.slenderness[best]), float(tree.solidity[best]), float(tree.saddle[best])
    return Region(float(iou[best]), clear, float(tree.area[best]), *shape, extent_of(tree, best))


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
    slender = [r for r in found if r.slenderness >= SLENDER]
    sizes = [r.area if r else usual_area(box) for r, box in zip(regions, boxes, strict=True)]
    return float(score), Likeness(
        log_area=(float(np.log(min(sizes))), float(np.log(max(sizes)))),
        slenderness=(min(r.slenderness for r in found), max(r.slenderness for r in found)),
        solidity=min(r.solidity for r in found),
        weakest=min(r.clear for r in found),
        extents=tuple(r.extent for r in slender),
        saddle=min((r.saddle for r in slender), default=1.0),
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


def extent_of(tree: RegionTree, region: int) -> Extent:
    """Return how long and broad a region is along its outline: half of that, and the area over that half.

    Of a band they are its length and breadth, however it is bent.
    """
    outline = perimeter_crofton(np.pad(tree.mask_of(region), 1), 4)  # type: ignore[no-untyped-call]
    length = np.log(outline * STRIDE_PX / tree.maps.scale / 2)
    return float(length), float(np.log(tree.area[region]) - length)


def usual_area(box: Box) -> float:
    """Return the area in px that an object in a box usually has."""
    return float(FILL * (box[2] - box[0]) * (box[3] - box[1]))


def _clearness(tree: RegionTree) -> Array:
    """Return (M,) in [0, 1] how sure the network is that there is something, whatever its size."""
    return np.asarray(tree.foreground * np.sqrt(np.clip(tree.peak / PEAK_OF_OBJECTS, 0, 1)))


def _outside(values: Array, low_high: Sequence[float] | Array, slack: float) -> Array:
    low, high = low_high
    return np.maximum(0, np.maximum(low - values, values - high) - slack)
