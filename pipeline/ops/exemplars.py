"""Candidates that look like the things a person pointed at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import Exemplar
from pipeline.ops.boxes import box_area, box_intersection, box_iou
from pipeline.ops.kinds import GAP_FLOOR, PARTS, Features, KindTree, distances, unit_rows
from pipeline.ops.rle import rle_holds
from pipeline.types import CandidateBatch, Candidates, Readings

MIN_MATCH_IOU = 0.3
"""A drawn box means the candidate whose box it meets best, when they meet at least this much."""
LOOSE_IOU, WHOLLY = 0.1, 0.9
"""One that is looser, up to this, means the only candidate that it holds with so much of its box."""

SIZE_FACTOR = 5.0
"""Areas this many times outside of the exemplars' range do not fit, however alike the rest is."""

CLOSER = (1.0, 0.9, 0.8)
"""Where kinds part for one, two, and three exemplars and more: one says little of how its kind varies."""

NARROW, WIDE = 0.8, (1.7, 1.4, 1.4)
"""Factors on that when exemplars are read more closely, and less so: of one, two, and three and more."""

ALL_ALIKE, NEARLY_ALL = 1.15, 0.95
"""A factor on that, and a share: where so much of what fits in size would be one kind if kinds parted that
much farther off, there is nothing to tell it from."""

LEAD = GAP_FLOOR / 2
"""So much nearer to what is not meant, where that is just like what is, lies what goes with it."""

AS_NEAR = 1.5
"""Up to this many times as far from what is meant as from what is not, a thing may go with either. Where both
are of one kind it goes with what is meant: one thing that is not meant says little of others like it."""

SURE = 0.5
"""Where they part when an exemplar says what is not meant, and all there is would go with it."""

SAME_LIGHT = 0.6
"""Where something is that near to exemplars in other images, light and camera are the same: kinds part there
as for many exemplars, though as widely read as before."""

LIKE_ELSEWHERE = 0.35
"""Mean cosine by a network's looks alone, from which a kind may be what exemplars in other images show."""

SAME_CAMERA = 0.6
"""The same, from which only things of about their size may be it."""

OTHER_COLOUR = 0.3
"""So much less alike by colour than by a network's looks, things are of another colour: light moves both."""


def find_exemplar(batch: CandidateBatch, exemplar: Exemplar) -> int | None:
    """Return the candidate that an exemplar's box or point means, None when there is none."""
    if exemplar.bbox_xywh is not None:
        return match_box(batch.bbox_xyxy, exemplar.bbox_xywh)
    if exemplar.point_xy is None:
        return None
    box, point = batch.bbox_xyxy, np.array(exemplar.point_xy)
    near = np.flatnonzero((box[:, :2] <= point).all(axis=1) & (point < box[:, 2:]).all(axis=1))
    rles = [batch.rle(i) for i in near.tolist()]
    hit = match_point(batch.size_hw, rles, batch.area[near], exemplar.point_xy)
    return None if hit is None else int(near[hit])


def framed(exemplars: Iterable[Exemplar], known: Mapping[str, Candidates]) -> tuple[Exemplar, ...]:
    """Return exemplars; points in other images as boxes of what they mean there, where that is known.

    Args:
        exemplars: of an image that is to be segmented: of what lies elsewhere, an engine uses the size.
        known: candidates of other images by their id.
    """
    return tuple(_framed(e, known.get(e.file_id or "")) for e in exemplars)


def _framed(exemplar: Exemplar, there: Candidates | None) -> Exemplar:
    if there is None or exemplar.point_xy is None:
        return exemplar
    index = find_exemplar(there.batch, exemplar)
    if index is None:
        return exemplar
    x1, y1, x2, y2 = there.batch.bbox_xyxy[index].tolist()
    return replace(exemplar, bbox_xywh=(x1, y1, x2 - x1, y2 - y1), point_xy=None)


def match_box(bbox_xyxy: NDArray[np.float32], box_xywh: tuple[float, float, float, float]) -> int | None:
    """Return the index of the candidate that a drawn box means, None when none meets it.

    Args:
        bbox_xyxy: (N, 4) float32 half-open px.
        box_xywh: x, y, width, height in px, same image.
    """
    x, y, width, height = box_xywh
    drawn = np.array([[x, y, x + width, y + height]], dtype=np.float32)
    iou = box_iou(bbox_xyxy, drawn)[:, 0]
    if len(iou) and iou.max() >= MIN_MATCH_IOU:
        return int(np.argmax(iou))
    inside = box_intersection(bbox_xyxy, drawn)[:, 0] >= WHOLLY * box_area(bbox_xyxy)
    held = np.flatnonzero(inside & (box_area(bbox_xyxy) > 0))
    return int(held[0]) if len(held) == 1 and iou[held[0]] >= LOOSE_IOU else None


def match_point(
    size_hw: tuple[int, int],
    rles: list[NDArray[np.uint32]],
    area: NDArray[np.int64],
    point_xy: tuple[float, float],
) -> int | None:
    """Return the index of the smallest candidate whose mask holds the point, None when none does."""
    x, y = int(np.floor(point_xy[0])), int(np.floor(point_xy[1]))
    if not (0 <= x < size_hw[1] and 0 <= y < size_hw[0]):
        return None
    at = np.array([x * size_hw[0] + y])
    hits = [i for i, rle in enumerate(rles) if rle_holds(rle, at)[0]]
    return min(hits, key=lambda i: int(area[i]), default=None)


def what_is_meant(
    tree: KindTree, features: Features, wanted: NDArray[np.int64], unwanted: NDArray[np.int64], n_here: int
) -> Readings:
    """Return which of N things exemplars mean.

    The kind that the wanted ones are of (``KindTree.kind_of``), of a size within ``SIZE_FACTOR`` of theirs,
    and not more like an unwanted one, or much more like it where that is of their kind; nearly all that fits
    in size where it is alike and none is unwanted.
    Where none is wanted, all but the kind of each unwanted one.

    Args:
        tree: of N things.
        features: of the same.
        wanted: things that positive exemplars point at.
        unwanted: things that negative ones point at.
        n_here: the first so many things are of the image that is counted.
    """
    if not len(wanted):
        left = np.ones(len(tree.row), np.bool_)
        for thing in unwanted:
            alone, none = np.array([thing]), np.zeros(0, np.int64)
            kind = tree.kind_of(alone, none)
            left &= ~(tree.kind_of(alone, none, SURE) if kind[:n_here].all() else kind)
        return Readings(left, left, left)
    known = min(len(wanted), len(CLOSER)) - 1
    closer, widest = CLOSER[known], WIDE[known] * CLOSER[known]
    if wanted.min() >= n_here > 0:
        apart = distances(features[np.arange(n_here)], features[wanted])
        closer = CLOSER[-1] if apart.min() <= SAME_LIGHT else closer
    fits, stops = _not_as_unwanted(features, wanted, unwanted, closer)
    limits = NARROW * closer, closer, widest
    narrow, meant, wide = (
        tree.kind_of(wanted, stop, limit) & fit for stop, limit, fit in zip(stops, limits, fits, strict=True)
    )
    if not len(unwanted):
        every = tree.kind_of(wanted, unwanted, ALL_ALIKE * closer) & fits[1]
        if every[:n_here].sum() >= NEARLY_ALL * fits[1][:n_here].sum():
            meant = every
    return Readings(meant, narrow, wide)


def meant_elsewhere(
    tree: KindTree,
    features: Features,
    wanted: NDArray[np.int64],
    unwanted: NDArray[np.int64],
    found: Readings,
    source: str,
) -> Readings:
    """Return which of N things exemplars mean that all lie in other images.

    What is found; where that is nothing, the kind here of what is nearest to each exemplar: light, ground and
    camera move all there is, and sizes too. Nothing where it is plainly of another colour, or where that kind
    is unlike them to a network, or so like them that the size counts. Closely read such a kind is not meant.

    Args:
        tree: of the N things.
        features: of these, and of the exemplars after them.
        wanted: positive exemplars, N or more.
        unwanted: negative ones; things, or exemplars too.
        found: ``what_is_meant`` of the N things and the exemplars as one.
        source: of the embeddings. Of those whose parts are not known, what is found is returned.
    """
    if source not in PARTS:
        return found
    n = len(tree.row)
    here, shown = features[np.arange(n)], features[wanted]
    if found.meant.any():
        looks, colour = _likeness(here, shown, found.meant, source)
        is_it = colour >= looks - OTHER_COLOUR
        return found if is_it else Readings(*(np.zeros(n, np.bool_),) * 3)
    apart, fits = distances(here, shown), np.ones(n, np.bool_)
    if len(unwanted):
        fits = apart.min(axis=1) < distances(here, features[unwanted]).min(axis=1)
    nearest = np.unique(np.argmin(np.where(fits[:, None], apart, np.inf), axis=0))
    kind = what_is_meant(tree, here, nearest, unwanted[unwanted < n], n)
    meant = kind.meant & fits
    if not meant.any():
        return found
    looks, colour = _likeness(here, shown, meant, source)
    has_size = looks < SAME_CAMERA or _fits_in_size(features, wanted)[:n][meant].any()
    if looks < LIKE_ELSEWHERE or colour < looks - OTHER_COLOUR or not has_size:
        return found
    return Readings(meant, np.zeros(n, np.bool_), kind.wide & fits)


def _likeness(here: Features, shown: Features, meant: NDArray[np.bool_], source: str) -> tuple[float, float]:
    """Return the mean cosines of what is meant, and there is, with what is shown: by looks, by colour."""
    of_both = [(here.rows[meant, part], shown.rows[:, part]) for part in PARTS[source]]
    looks, colour = (float((unit_rows(some) @ unit_rows(others).T).mean()) for some, others in of_both)
    return looks, colour


def _not_as_unwanted(
    features: Features, wanted: NDArray[np.int64], unwanted: NDArray[np.int64], limit: float
) -> tuple[NDArray[np.bool_], tuple[NDArray[np.int64], ...]]:
    """Return what fits in size and goes with no unwanted thing, and what stops a kind, by three readings.

    Args:
        features: of N things.
        wanted: things that positive exemplars point at, at least one.
        unwanted: things that negative ones point at.
        limit: distance up to which an unwanted thing is of the kind of a wanted one.

    Returns:
        (3, N) bool, closely, usually and widely read, and the unwanted things that kinds end before.
    """
    fits = np.tile(_fits_in_size(features, wanted), (3, 1))
    near, far = (distances(features, features[side]) for side in (wanted, unwanted))
    nearest = near.min(axis=1, keepdims=True)
    apart = nearest[unwanted, 0]
    is_alike = apart <= limit
    # One that is just like what is meant says nothing of its kind: what is about as like both stays.
    lead = np.where(apart > GAP_FLOOR, 0, LEAD)
    for k, factor in enumerate((1 / AS_NEAR, 1.0, AS_NEAR)):
        fits[k] &= (nearest <= far * np.where(is_alike, AS_NEAR, 1.0) * factor + lead).all(axis=1)
    fits[:, unwanted] = False
    fits[:, wanted] = True
    others = unwanted[~is_alike]
    return fits, (unwanted[apart > GAP_FLOOR], others, others)


def _fits_in_size(features: Features, wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (N,) bool: the area is not far outside of the wanted ones' range."""
    size = features.log_area
    low, high = size[wanted].min(), size[wanted].max()
    off = np.maximum(np.maximum(low - size, size - high), 0)
    return np.asarray(off <= np.log(SIZE_FACTOR), np.bool_)
