"""Foreground → label map: holes of rings filled, touching objects cut where they neck."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import watershed

NECK = 0.9
"""Two parts stay one object when the neck between them is at least this share of the narrower part."""

NECK_SLACK_PX = 0.6
"""Pixels make necks of small objects uncertain by this much."""

HOLE_SOLIDITY = 0.8
"""Holes of rings are convex; gaps between touching discs are not."""

MIN_HOLE_PX = 12
MAX_HOLE_RATIO = 4.0
SPANNING = 0.8
CONVEX = 0.96
"""Components at least this solid are one object and are not looked at for necks."""


def fill_holes(foreground: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the foreground with specks and the holes of rings filled, gaps between objects left open.

    Args:
        foreground: (H, W) uint8, 0 or 1. Not changed.
    """
    filled = foreground.copy()
    contours, tree = cv2.findContours(foreground, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parents = tree[0][:, 3] if len(contours) else []
    for contour, parent in zip(contours, parents, strict=True):
        if parent < 0:
            continue
        area = cv2.contourArea(contour)
        outer = contours[parent]
        if area <= MIN_HOLE_PX or (
            _is_hole_of_ring(contour, area, cv2.contourArea(outer)) and not _spans(outer, foreground.shape)
        ):
            cv2.drawContours(filled, [contour], -1, 1, cv2.FILLED)
    return filled


def _is_hole_of_ring(hole: cv2.typing.MatLike, area: float, outer_area: float) -> bool:
    hull = cv2.contourArea(cv2.convexHull(hole))
    return area >= HOLE_SOLIDITY * hull and area <= MAX_HOLE_RATIO * (outer_area - area)


def _spans(contour: cv2.typing.MatLike, size_hw: tuple[int, ...]) -> bool:
    """Whether a component reaches across the image: a frame or rim around the scene, no object in it."""
    _, _, width, height = cv2.boundingRect(contour)
    return width > SPANNING * size_hw[1] or height > SPANNING * size_hw[0]


def split_touching(foreground: NDArray[np.uint8], min_area_px: int) -> NDArray[np.int32]:
    """Return a label map: components, those with necks cut by a watershed of the distance to the edge.

    Args:
        foreground: (H, W) uint8, 0 or 1.
        min_area_px: smaller components are dropped.

    Returns:
        (H, W) int32; labels 1…N without gaps.
    """
    n, labels, stats, _ = cv2.connectedComponentsWithStats(foreground, connectivity=4)
    table = np.zeros(n, dtype=np.int32)
    kept = [i for i in range(1, n) if stats[i, cv2.CC_STAT_AREA] >= min_area_px]
    table[kept] = np.arange(1, len(kept) + 1)
    result: NDArray[np.int32] = table[labels]
    following = len(kept) + 1
    for i in kept:
        x, y, w, h, area = stats[i]
        window = np.s_[y : y + h, x : x + w]
        mask = labels[window] == i
        if area >= 4 * min_area_px and area < CONVEX * _hull_area(mask):
            parts = _cut(mask)
            for part in range(2, int(parts.max()) + 1):
                result[window][parts == part] = following
                following += 1
    return result


def _hull_area(mask: NDArray[np.bool_]) -> float:
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = cv2.convexHull(np.concatenate(contours))
    return float(cv2.contourArea(points) + cv2.arcLength(points, True) / 2 + 1)  # through pixel edges


def _cut(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return (h, w) int32 parts 1…K of one component: basins of the depth, joined over wide necks."""
    padded = np.pad(mask, 1).view(np.uint8)
    smooth = cv2.GaussianBlur(cv2.distanceTransform(padded, cv2.DIST_L2, 5), (0, 0), 1.0)[1:-1, 1:-1]
    depth: NDArray[np.float32] = np.where(mask, smooth, 0).astype(np.float32)
    peaks = (depth >= cv2.dilate(depth, np.ones((5, 5), np.uint8)) - 1e-6) & mask
    n, markers = cv2.connectedComponents(peaks.astype(np.uint8), connectivity=8)
    if n <= 2:
        return mask.astype(np.int32)
    basins: NDArray[np.int32] = watershed(-depth, markers, mask=mask)  # type: ignore[no-untyped-call]
    height = np.zeros(n, dtype=np.float32)
    np.maximum.at(height, basins.ravel(), depth.ravel())
    return _join(basins, depth, height)


def _join(
    basins: NDArray[np.int32], depth: NDArray[np.float32], height: NDArray[np.float32]
) -> NDArray[np.int32]:
    """Unite neighbouring basins, widest neck first, while the neck is wide beside the lower peak."""
    root = np.arange(len(height))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = int(root[i])
        return i

    for (a, b), neck in _necks(basins, depth):
        i, j = find(a), find(b)
        if i != j and neck >= NECK * min(height[i], height[j]) - NECK_SLACK_PX:
            low, high = sorted((i, j), key=lambda k: height[k])
            root[low] = high
    roots = np.array([find(i) for i in range(len(root))])
    names = {int(r): k + 1 for k, r in enumerate(np.unique(roots[1:]))}
    table = np.array([0, *(names[int(r)] for r in roots[1:])], dtype=np.int32)
    return np.asarray(table[basins], dtype=np.int32)


def _necks(basins: NDArray[np.int32], depth: NDArray[np.float32]) -> list[tuple[tuple[int, int], float]]:
    """Return ((i, j), neck) of all neighbouring basins: the greatest depth on their common edge."""
    necks: dict[tuple[int, int], float] = {}
    for one, two in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        a, b = basins[one], basins[two]
        edge = (a != b) & (a > 0) & (b > 0)
        low = np.minimum(depth[one], depth[two])[edge]
        pairs = np.sort(np.stack([a[edge], b[edge]], axis=1), axis=1)
        for i, j, value in zip(pairs[:, 0].tolist(), pairs[:, 1].tolist(), low.tolist(), strict=True):
            necks[i, j] = max(necks.get((i, j), 0.0), value)
    return sorted(necks.items(), key=lambda item: (-item[1], item[0]))
