"""Sets mini by the things a person pointed at: the scale, what is one object, and how faint it may be.

Each level of the pyramid is tried around the exemplars only. The one whose regions meet their boxes best is
run on the whole picture, and of its tree of regions those are chosen that are as large and of such a shape
as the exemplars: pieces are joined and clumps are cut until they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.contract import Exemplar
from pipeline.ops.boxes import box_iou
from pipeline.ops.exemplars import MIN_MATCH_IOU, match_box
from pipeline.segment.exemplar_contrast import contrast_picture
from pipeline.segment.mini_like import MARGIN_PX, LikeMaps, surroundings
from pipeline.segment.mini_likeness import (
    BEST_RADIUS_PX,
    FILL,
    MIN_QUALITY,
    Box,
    Boxes,
    Likeness,
    like_exemplars,
    likeness_of,
    region_met,
)
from pipeline.segment.mini_maps import STRIDE_PX, Maps, maps_at_scale
from pipeline.segment.mini_peaks import MIN_QUALITY as PLAIN_QUALITY
from pipeline.segment.mini_peaks import Found
from pipeline.segment.mini_smaller import beside, things_of
from pipeline.segment.mini_tree import RegionTree, build_tree

RADII_PX = (5.5, 30.0)
"""Radii at the network's input between which a level is tried; what it was taught, and a little more."""
SAFE_RADII_PX = (10.0, 19.0)
"""The same where only the size is known: two levels that are surely right."""
DEAR_PX, COST_WEIGHT = 2_000_000, 0.25
"""Input px from which a level takes long; a finer one must meet the boxes better by so much."""
WELL_MET, OTHER_MARGIN = -0.25, 0.15
"""Below this score other ways to see the exemplars are tried; they must be better by this much."""
LEAST_MET = -1.8
"""Other ways that meet the boxes worse say nothing: so well are boxes of mere ground met."""
EXPLAINED = 0.5
"""Share of what is seen without exemplars that things of a size known from other pictures cover at least."""
TWICE = 0.5
"""What is covered more than this by what has the size of the exemplars is the same thing."""
MOST_COVERED, BESIDE_SIZE = 0.2, 3.0
"""What is covered more than this by what exemplars steer to is a part or another outline of it; what lies
beside it is proposed where it is as large as the exemplars within this factor."""
USUAL_SOLIDITY = 0.85
SEEN_IOU, OF_SIZE = 0.6, 2.0
"""What is seen anyway is taken where it meets each of several exemplars by so much, and shows no fewer things
as large as these, within this factor, than what they steer to."""


@dataclass(frozen=True, slots=True)
class Steered:
    """Instances at one scale, and the quality from which they are proposed."""

    found: Found
    min_quality: float


class Pyramid(Protocol):
    """What is needed of a picture's pyramid of scales."""

    scales: list[float]

    def at(self, level: int) -> Found:
        """Return the instances of the whole picture at a level."""

    def pieces_at(self, level: int) -> Found:
        """Return them before the pieces of one thing are joined."""

    def maps_at(self, level: int) -> Maps | None:
        """Return the maps of the whole picture at a level, None where nothing needed them."""

    def best(self) -> int:
        """Return the level that explains the picture best."""


class Views:
    """A picture as seen with its exemplars: as it is, by what their colours set apart, by what is like them.

    Args:
        session: onnxruntime session of ``mini.onnx``. like: of ``mini_like.onnx``.
        image_hw3: (H, W, 3) uint8 RGB, contrast stretched.
        pyramid: of that picture.
        boxes: of the exemplars, at least one.
    """

    def __init__(
        self, session: Any, like: Any, image_hw3: NDArray[np.uint8], pyramid: Pyramid, boxes: Boxes
    ) -> None:
        """Look at nothing yet."""
        self.image, self.boxes, self._session, self._pyramid = image_hw3, boxes, session, pyramid
        self._like = LikeMaps(like, image_hw3, boxes)

    def plain(self) -> View:
        """Return the picture as it is."""
        return View(self.image, self._maps, self._pyramid.maps_at)

    def apart(self) -> View:
        """Return the picture of what the exemplars' colours set apart."""
        return View(contrast_picture(self.image, self.boxes), self._maps)

    def alike(self) -> View:
        """Return the picture as the network sees it that was told of the exemplars."""
        return View(self.image, self._like.at)

    def _maps(self, scale: float, image_hw3: NDArray[np.uint8]) -> Maps:
        return maps_at_scale(self._session, image_hw3, scale)


@dataclass(frozen=True, slots=True)
class View:
    """A picture, what gives its maps, or those of a part of it, at a scale, and its maps at known levels."""

    image: NDArray[np.uint8]
    maps: Callable[[float, NDArray[np.uint8]], Maps]
    known: Callable[[int], Maps | None] = lambda _: None


def steer(
    session: Any,
    like: Any,
    image_hw3: NDArray[np.uint8],
    pyramid: Pyramid,
    inside: Sequence[Exemplar],
    elsewhere: Sequence[Exemplar] = (),
) -> tuple[Steered, ...]:
    """Return the instances that may be like exemplars of what is meant, none where these say nothing.

    Of exemplars in other pictures only the size is known, and these may be taken from another distance: where
    things of that size are the lesser part of what there is to see, all of it is returned as well.

    Args:
        session: onnxruntime session of ``mini.onnx``.
        like: of ``mini_like.onnx``.
        image_hw3: (H, W, 3) uint8 RGB, contrast stretched.
        pyramid: of that picture.
        inside: exemplars that lie in it; points mean the instance under them at the best scale.
        elsewhere: exemplars in other pictures: without any inside, the sizes of their boxes are used.
    """
    boxes = _on_picture(_boxes(pyramid, inside), image_hw3)
    if len(boxes):
        boxes = _tightened(boxes, pyramid.at(pyramid.best()))
        seen = _seen_anyway(boxes, pyramid)
        if seen is not None and len(boxes) == 1:  # one says too little of its kind for more
            return (seen,)
        steered = _steer_by_boxes(Views(session, like, image_hw3, pyramid, boxes), pyramid.scales)
        if steered is None:
            return (seen,) if seen is not None else ()
        pieces = pyramid.pieces_at(pyramid.best())  # what examples show is not joined either
        if seen is not None and _of_size(steered.found, boxes).sum() <= _of_size(pieces, boxes).sum():
            return (seen,)
        rest = _seen_beside(pyramid, steered, boxes)
        return (steered, rest) if rest.found.quality.any() else (steered,)
    sizes = [e.bbox_xywh[2:] for e in elsewhere if e.bbox_xywh]
    founds = _steer_by_size(session, image_hw3, pyramid, np.maximum(sizes, np.float32(1))) if sizes else ()
    return tuple(Steered(found, MIN_QUALITY) for found in founds)


def _seen_anyway(boxes: Boxes, pyramid: Pyramid) -> Steered | None:
    """Return what is seen without exemplars where it meets their boxes, a lone one roughly."""
    found = pyramid.at(pyramid.best())
    least = MIN_MATCH_IOU if len(boxes) == 1 else SEEN_IOU
    met = box_iou(_boxes_of(found)[found.quality >= PLAIN_QUALITY], boxes).max(axis=0, initial=0)
    return Steered(found, PLAIN_QUALITY) if met.min() >= least else None


def _tightened(boxes: Boxes, found: Found) -> Boxes:
    """Return boxes, in place of one drawn so loosely that it meets nothing that of the only thing in it."""
    clear, out = _boxes_of(found)[found.quality >= PLAIN_QUALITY], boxes.copy()
    for k, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        i = match_box(clear, (x0, y0, x1 - x0, y1 - y0))
        if i is not None and box_iou(clear[[i]], boxes[[k]])[0, 0] < MIN_MATCH_IOU:
            out[k] = clear[i]
    return out


def _of_size(found: Found, boxes: Boxes, factor: float = OF_SIZE) -> NDArray[np.bool_]:
    """Return (N,) which clear instances are as large as what fills such boxes, within a factor."""
    area = found.area * (STRIDE_PX / found.maps.scale) ** 2
    size = FILL * (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    fits = (area >= size.min() / factor) & (area <= size.max() * factor)
    return np.asarray(fits & (found.quality >= PLAIN_QUALITY), np.bool_)


def _seen_beside(pyramid: Pyramid, steered: Steered, boxes: Boxes) -> Steered:
    """Return what is seen without exemplars, is as large as these, and lies where they steer to nothing.

    The level that shows the exemplars best may show less of the rest than the one that explains the picture.
    """
    plain = pyramid.at(pyramid.best())
    quality = beside(plain, things_of(steered.found, steered.min_quality), MOST_COVERED)
    return Steered(replace(plain, quality=quality * _of_size(plain, boxes, BESIDE_SIZE)), PLAIN_QUALITY)


def _steer_by_boxes(views: Views, scales: Sequence[float]) -> Steered | None:
    """Look at the picture itself, and where that shows the exemplars badly in the other ways."""
    view = views.plain()
    best = _best_scale(view, scales, views.boxes)
    if best is None or best[0] < WELL_MET:
        least = LEAST_MET if best is None else max(LEAST_MET, best[0] + OTHER_MARGIN)
        for other in (views.apart(), views.alike()):
            seen = _best_scale(other, scales, views.boxes)
            if seen is not None and seen[0] > least:
                view, best, least = other, seen, seen[0]
    if best is None:
        return None
    _, level, likeness = best
    maps = view.known(level) or view.maps(scales[level], view.image)
    return Steered(like_exemplars(maps, likeness), MIN_QUALITY)


def _best_scale(view: View, scales: Sequence[float], boxes: Boxes) -> tuple[float, int, Likeness] | None:
    """Return the best score, the level that has it and what the exemplars are like there."""
    best: tuple[float, int, Likeness] | None = None
    for level in _levels(scales, boxes[:, 2:] - boxes[:, :2], RADII_PX):
        around = [_regions_around(view, level, scales[level], box) for box in boxes]
        score, likeness = likeness_of(boxes, [region_met(tree, box) for tree, box in around], scales[level])
        input_px = view.image.shape[0] * view.image.shape[1] * scales[level] ** 2
        score -= COST_WEIGHT * max(0.0, float(np.log(input_px / DEAR_PX)))
        if likeness is not None and (best is None or score > best[0]):
            best = score, level, likeness
    return best


def _steer_by_size(
    session: Any, image_hw3: NDArray[np.uint8], pyramid: Pyramid, sides: NDArray[np.float32]
) -> tuple[Found, ...]:
    """Return what is as large as (E, 2) boxes, and all there is to see when that is much more."""
    area = np.log(FILL * sides.astype(np.float64).prod(axis=1))
    slender = float(np.log(sides.max(axis=1) / sides.min(axis=1)).max())
    likeness = Likeness((float(area.min()), float(area.max())), (0.0, slender), USUAL_SOLIDITY, 1.0)
    founds = [
        like_exemplars(maps_at_scale(session, image_hw3, pyramid.scales[level]), likeness)
        for level in _levels(pyramid.scales, sides, SAFE_RADII_PX)
    ]
    best = max(founds, key=_explained)
    plain = pyramid.at(pyramid.best())
    if _explained(best) >= EXPLAINED * _explained(plain):
        return (best,)
    # What both show would be two kinds of things: the same, seen finely and coarsely.
    return replace(plain, quality=beside(plain, things_of(best, MIN_QUALITY), TWICE)), best


def _explained(found: Found) -> float:
    """Return the share of the picture that clear instances cover."""
    clear = found.quality >= MIN_QUALITY
    return float((found.area * found.quality)[clear].sum()) / found.labels.size


def _boxes(pyramid: Pyramid, exemplars: Sequence[Exemplar]) -> Boxes:
    """Return the boxes of exemplars; for points, those of what lies under them at the best scale."""
    boxes: list[tuple[float, ...]] = [
        (x, y, x + w, y + h) for x, y, w, h in (e.bbox_xywh for e in exemplars if e.bbox_xywh)
    ]
    points = [e.point_xy for e in exemplars if e.bbox_xywh is None and e.point_xy is not None]
    if points:
        boxes += _boxes_under(pyramid.at(pyramid.best()), points)
    return np.array(boxes, dtype=np.float32).reshape(-1, 4)


def _on_picture(boxes: Boxes, image_hw3: NDArray[np.uint8]) -> Boxes:
    """Return the boxes cut to the picture, without those of which nothing is left."""
    height, width = image_hw3.shape[:2]
    cut = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
    return cut[(cut[:, 2:] - cut[:, :2] >= 1).all(axis=1)]


def _boxes_under(found: Found, points_xy: Sequence[tuple[float, float]]) -> list[tuple[float, ...]]:
    """Return the boxes, in image px, of the instances under points; nothing for points on the ground."""
    cell_px = STRIDE_PX / found.maps.scale
    height, width = found.labels.shape
    cells = [(int(y / cell_px), int(x / cell_px)) for x, y in points_xy]
    labels = [int(found.labels[y, x]) for y, x in cells if 0 <= y < height and 0 <= x < width]
    boxes = _boxes_of(found)
    return [tuple(boxes[label - 1].tolist()) for label in labels if label]


def _boxes_of(found: Found) -> Boxes:
    """Return (N, 4) the boxes of instances in image px, empty ones for those without a cell."""
    windows = ndimage.find_objects(found.labels, max_label=len(found.area))
    nothing = (slice(0, 0), slice(0, 0))
    ends = [(x.start, y.start, x.stop, y.stop) for y, x in (window or nothing for window in windows)]
    return np.array(ends, np.float32).reshape(-1, 4) * np.float32(STRIDE_PX / found.maps.scale)


def _levels(scales: Sequence[float], sides: NDArray[np.float32], radii_px: tuple[float, float]) -> list[int]:
    """Return the levels at which things as large as (E, 2) boxes have such radii; the nearest if none has."""
    radius = float(np.median(np.sqrt(FILL / np.pi * sides.prod(axis=1))))
    levels = [k for k, scale in enumerate(scales) if radii_px[0] <= radius * scale <= radii_px[1]]
    return levels or [int(np.argmin(np.abs(np.log(radius * np.array(scales) / BEST_RADIUS_PX))))]


def _regions_around(view: View, level: int, scale: float, box: Box) -> tuple[RegionTree, Box]:
    """Return the regions around a box at a level of a scale, and the box as seen from them."""
    if (whole := view.known(level)) is not None:
        part, moved = _part_around(whole, box)
        return build_tree(part), moved
    crop, moved = surroundings(view.image, box, scale)
    return build_tree(view.maps(scale, crop)), moved


def _part_around(whole: Maps, box: Box) -> tuple[Maps, Box]:
    """Return as much of the maps around a box as ``surroundings`` has, and the box as seen from there."""
    cells = box * whole.scale / STRIDE_PX
    margin = MARGIN_PX // STRIDE_PX
    left, top = (int(max(0, v - margin)) for v in cells[:2])
    part = np.s_[top : int(cells[3] + margin), left : int(cells[2] + margin)]
    maps = Maps(whole.scale, whole.foreground[part], whole.cone[part], whole.contact[part])
    return maps, box - np.array([left, top, left, top], np.float32) * np.float32(STRIDE_PX / whole.scale)
