"""One candidate for each object of a tiled image: whole ones stay, cut ones give way or are joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.ops.boxes import overlapping_pairs
from pipeline.ops.rle import rle_to_crop
from pipeline.segment.outline import CandidateBuilder
from pipeline.types import CandidateBatch

SAME = 0.5
"""Share from which two masks, compared where both tiles look, are one object."""

EDGE_PX = 2
"""A mask that comes this close to an inner edge of its tile counts as cut."""

SLIVER_PX = 4
"""A cut mask no thicker than this is compared with others grown by so much: two tiles may draw the outline of
one object a pixel or two apart, which leaves such slivers beside it."""


Crop = tuple[NDArray[np.bool_], tuple[int, int]]
Box = tuple[int, int, int, int]


class _Pieces:
    """The candidates of all tiles under one numbering; masks are decoded from their tile when asked for."""

    def __init__(self, batches: Sequence[CandidateBatch], tiles_xyxy: NDArray[np.int64]) -> None:
        self._batches, self._tiles = batches, tiles_xyxy
        lengths = [len(batch) for batch in batches]
        self._tile_of = np.repeat(np.arange(len(batches)), lengths)
        self._first = np.cumsum([0, *lengths])
        self.tiles = tiles_xyxy[self._tile_of].reshape(-1, 4)
        shifts = np.tile(self.tiles[:, :2], 2)
        self.boxes = self._joined("bbox_xyxy", (0, 4)) + shifts.astype(np.float32)
        self.area, self.predicted_iou = self._joined("area", (0,)), self._joined("predicted_iou", (0,))
        self.stability_score = self._joined("stability_score", (0,))

    def _joined(self, name: str, empty: tuple[int, ...]) -> NDArray[Any]:
        return np.concatenate([np.zeros(empty, dtype=np.float32), *(getattr(b, name) for b in self._batches)])

    def __len__(self) -> int:
        return len(self._tile_of)

    def crop(self, i: int) -> Crop:
        """Return the mask inside its box, and where the box starts, image frame."""
        tile = self._tile_of[i]
        batch = self._batches[tile]
        mask, (x, y) = rle_to_crop(batch.rle(i - int(self._first[tile])), batch.size_hw)
        return mask, (x + int(self._tiles[tile, 0]), y + int(self._tiles[tile, 1]))

    def pairs(self) -> NDArray[np.int64]:
        """Return (P, 2) candidates of different tiles whose boxes overlap or touch."""
        pairs = overlapping_pairs(self.boxes + np.array([-1, -1, 1, 1], np.float32))
        apart = self._tile_of[pairs[:, 0]] != self._tile_of[pairs[:, 1]]
        return np.asarray(pairs[apart], dtype=np.int64)


def join_at_seams(
    batches: Sequence[CandidateBatch], tiles_xyxy: NDArray[np.int64], size_hw: tuple[int, int]
) -> CandidateBatch:
    """Return the candidates of an image's tiles without doubles, best first, image frame.

    Two masks of different tiles are compared inside the rectangle that both tiles see:

    * cut and whole: the cut one goes when the whole one covers ``SAME`` of it.
    * whole and whole: the one nearer to its tile's edge goes when their IoU reaches ``SAME``.
    * cut and cut: joined when they share ``SAME`` of the smaller (IoS).

    Args:
        batches: T, one a tile, in the tile's frame.
        tiles_xyxy: (T, 4) int64 half-open px, image frame.
        size_hw: height and width of the image in px.
    """
    pieces = _Pieces(batches, tiles_xyxy)
    room = _room(pieces.boxes, pieces.tiles, size_hw)
    pairs = pieces.pairs()
    is_cut = room < EDGE_PX
    shared, inside = _shares(pieces, pairs, is_cut)
    gone = _given_way(pairs, shared, inside, is_cut, room, pieces.predicted_iou)
    both_cut = is_cut[pairs].all(axis=1) & ~gone[pairs].any(axis=1)
    linked = pairs[both_cut & (shared >= SAME * np.maximum(inside.min(axis=1), 1))]
    return _rebuilt(pieces, gone, _groups(len(pieces), linked), size_hw)


def _room(
    boxes: NDArray[np.float32], tiles: NDArray[np.int64], size_hw: tuple[int, int]
) -> NDArray[np.float64]:
    """Return (N,) px between each box and the nearest inner edge of its tile; inf where there is none."""
    height, width = size_hw
    gaps = np.concatenate([boxes[:, :2] - tiles[:, :2], tiles[:, 2:] - boxes[:, 2:]], axis=1).astype(
        np.float64
    )
    outer = np.concatenate([tiles[:, :2] == 0, tiles[:, 2:] == [width, height]], axis=1)
    return np.asarray(np.where(outer, np.inf, gaps).min(axis=1, initial=np.inf))


def _shares(
    pieces: _Pieces, pairs: NDArray[np.int64], is_cut: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (P,) px that each pair shares where both tiles look, and (P, 2) px that each of the two has.

    With a sliver, they are what of it lies under the other one grown by ``SLIVER_PX``, and what it has.
    """
    crops = {int(i): pieces.crop(int(i)) for i in np.unique(pairs)}
    shared, inside = np.zeros(len(pairs), dtype=np.int64), np.zeros((len(pairs), 2), dtype=np.int64)
    for row, (i, j) in enumerate(pairs.tolist()):
        a, b = pieces.tiles[i].tolist(), pieces.tiles[j].tolist()
        seen = _meet((a[0], a[1], a[2], a[3]), (b[0], b[1], b[2], b[3]))
        inside[row] = [np.count_nonzero(_within(crops[k], seen)) for k in (i, j)]
        slivers = [k for k in (i, j) if is_cut[k] and min(crops[k][0].shape) <= SLIVER_PX]
        less, more = (j, i) if slivers[:1] == [j] else (i, j)
        other = crops[more]
        if slivers:
            other, inside[row] = _grown(other), np.count_nonzero(_within(crops[less], seen))
        both = _meet(_meet(_box(crops[less]), _box(other)), seen)
        shared[row] = np.count_nonzero(_within(crops[less], both) & _within(other, both))
    return shared, inside


def _grown(crop: Crop) -> Crop:
    """Return the crop with its mask grown by ``SLIVER_PX``."""
    mask, (x, y) = crop
    square = np.ones((2 * SLIVER_PX + 1,) * 2, np.uint8)
    wide = cv2.dilate(np.pad(mask, SLIVER_PX).view(np.uint8), square)
    return wide.view(np.bool_), (x - SLIVER_PX, y - SLIVER_PX)


def _box(crop: Crop) -> Box:
    """Return the crop's xyxy box, image frame."""
    (h, w), (x, y) = crop[0].shape, crop[1]
    return x, y, x + w, y + h


def _meet(a: Box, b: Box) -> Box:
    """Return the intersection of two boxes."""
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def _within(crop: Crop, box: Box) -> NDArray[np.bool_]:
    """Return the part of a crop that lies in a box, image frame; empty where they do not meet."""
    x0, y0, x1, y1 = _meet(_box(crop), box)
    x, y = crop[1]
    return crop[0][max(y0 - y, 0) : max(y1 - y, 0), max(x0 - x, 0) : max(x1 - x, 0)]


def _given_way(
    pairs: NDArray[np.int64],
    shared: NDArray[np.int64],
    inside: NDArray[np.int64],
    is_cut: NDArray[np.bool_],
    room: NDArray[np.float64],
    quality: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Return (N,) bool: candidates that another tile shows better."""
    gone = np.zeros(len(is_cut), dtype=np.bool_)
    for (i, j), both, (in_i, in_j) in zip(pairs.tolist(), shared.tolist(), inside.tolist(), strict=True):
        if is_cut[i] != is_cut[j]:
            cut, size = (i, in_i) if is_cut[i] else (j, in_j)
            gone[cut] |= both >= SAME * max(size, 1)
        elif not is_cut[i] and both >= SAME * max(in_i + in_j - both, 1):
            gone[j if (room[i], quality[i]) >= (room[j], quality[j]) else i] = True
    return gone


def _groups(n: int, linked: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (N,) int64: the lowest index of the pieces each candidate is linked with."""
    root = np.arange(n, dtype=np.int64)
    for i, j in linked.tolist():
        a, b = root[i], root[j]
        if a != b:
            root[root == max(a, b)] = min(a, b)
    return root


def _rebuilt(
    pieces: _Pieces, gone: NDArray[np.bool_], group: NDArray[np.int64], size_hw: tuple[int, int]
) -> CandidateBatch:
    """Return the batch with the pieces of each group joined; scores are means weighted by area."""
    builder = CandidateBuilder(size_hw)
    order = np.argsort(group, kind="stable")
    order = order[~gone[order]]
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if len(order) else ():
        mask, offset_xy = _union([pieces.crop(int(i)) for i in members])
        weights = pieces.area[members] / pieces.area[members].sum()
        iou = float((pieces.predicted_iou[members] * weights).sum())
        builder.add(mask, offset_xy, iou, float((pieces.stability_score[members] * weights).sum()))
    return builder.finish()


def _union(crops: Sequence[Crop]) -> Crop:
    """Return the union of masks, inside its box."""
    if len(crops) == 1:
        return crops[0]
    boxes = np.array([_box(crop) for crop in crops])
    (x0, y0), (x1, y1) = boxes[:, :2].min(axis=0).tolist(), boxes[:, 2:].max(axis=0).tolist()
    canvas = np.zeros((y1 - y0, x1 - x0), dtype=np.bool_)
    for (mask, _), (a, b, c, d) in zip(crops, boxes.tolist(), strict=True):
        canvas[b - y0 : d - y0, a - x0 : c - x0] |= mask
    return canvas, (x0, y0)
