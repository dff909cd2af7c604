"""All the ways to cut mini's maps at one scale into objects: a tree of regions from pieces to clumps.

The leaves are the basins of every peak of the cone, however low. Neighbours merge in the order of the saddle
between them, so that the tree holds pieces, objects and clumps; ``choose`` picks the objects among them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import expand_labels, watershed

from pipeline.segment.mini_maps import STRIDE_PX, Maps
from pipeline.segment.mini_peaks import peak_field

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

LOWEST_PEAK = 0.12
"""Peaks of the cone below this make no region."""
GROUND = 0.35
"""Cells whose foreground is below this belong to no region."""
_GAP_CELLS = 2
"""Regions this far apart may still be pieces of one object."""
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
_LEAF = -1


@dataclass(frozen=True, slots=True)
class RegionTree:
    """M regions of one scale: the L leaves first, each other one the union of two before it.

    Attributes:
        maps: what they were found in.
        basins: (h, w) int32. 0 is ground, k + 1 is leaf k.
        children: (M, 2) int64, -1 for leaves.
        area: (M,) image px. foreground: (M,) mean in [0, 1]. peak: (M,) highest cone in [0, 1].
        slenderness: (M,) log of the ratio of the axes.
        solidity: (M,) area over that of the ellipse of equal second moments: 1 for ellipses, less for what
            is hollow, bent or several things.
        saddle: (M,) in [0, 1] how low the cone falls between the parts, as a share of the lower peak of both;
            the lowest of all within a region, 1 for leaves.
        box_xyxy: (M, 4) image px, half-open.
    """

    maps: Maps
    basins: NDArray[np.int32]
    children: Integers
    area: Array
    foreground: Array
    peak: Array
    slenderness: Array
    solidity: Array
    saddle: Array
    box_xyxy: Array

    def __len__(self) -> int:
        """Return M."""
        return len(self.area)

    def mask_of(self, region: int) -> NDArray[np.bool_]:
        """Return (h, w) the cells of a region within its box."""
        x0, y0, x1, y1 = np.rint(self.box_xyxy[region] * self.maps.scale / STRIDE_PX).astype(int)
        leaves, open_ = [], [region]
        while open_:
            a, b = self.children[(last := open_.pop())].tolist()
            if a == _LEAF:
                leaves.append(last + 1)
            else:
                open_ += [a, b]
        return np.isin(self.basins[y0:y1, x0:x1], leaves)


def build_tree(maps: Maps) -> RegionTree:
    """Return the regions of one scale.

    Complexity: cells x log(cells) for the basins; touching pairs x log(pairs) for the tree.
    """
    field = peak_field(maps)
    basins = _basins(field, maps.foreground)
    sums, highest = _measure_leaves(basins, field, maps.foreground)
    pairs, saddle = touching(basins, field)
    lower = highest[pairs, 0].min(axis=1)
    share = saddle / np.maximum(lower, 1e-6)
    order = np.argsort(-share, kind="stable")
    children, by = _merge(pairs[order], len(sums))
    lowest = np.concatenate([np.ones(len(sums)), share[order][by]])
    sums = np.concatenate([sums, np.zeros((len(children) - len(sums), sums.shape[1]))])
    highest = np.concatenate([highest, np.zeros((len(children) - len(highest), highest.shape[1]))])
    for region, (a, b) in enumerate(children.tolist()):
        if a != _LEAF:
            sums[region] = sums[a] + sums[b]
            highest[region] = np.maximum(highest[a], highest[b])
            lowest[region] = lowest[[region, a, b]].min()
    return _described(maps, basins, children, sums, highest, lowest)


def choose(tree: RegionTree, worth: Array) -> Integers:
    """Return the regions, none of them part of another, that explain most area as well as possible.

    Args:
        tree: M regions.
        worth: (M,) in [0, 1]. How much each looks like one object; weighs its area.
    """
    own = worth * tree.area
    best, whole = own.copy(), np.ones(len(tree), dtype=np.bool_)
    for region, (a, b) in enumerate(tree.children.tolist()):
        if a != _LEAF and best[a] + best[b] > own[region]:
            best[region], whole[region] = best[a] + best[b], False
    covered, chosen = np.zeros(len(tree), dtype=np.bool_), []
    for region in range(len(tree) - 1, -1, -1):  # parents come after their children
        if whole[region] and not covered[region]:
            chosen.append(region)
        if covered[region] or whole[region]:
            covered[tree.children[region][tree.children[region] != _LEAF]] = True
    return np.array(chosen[::-1], dtype=np.int64)


def label_map(tree: RegionTree, regions: Integers) -> NDArray[np.int32]:
    """Return (h, w) int32: 0 ground, k + 1 the cells of ``regions[k]``."""
    label = np.zeros(len(tree), dtype=np.int32)
    label[regions] = np.arange(1, len(regions) + 1)
    for region in range(len(tree) - 1, -1, -1):
        a, b = tree.children[region]
        if a != _LEAF and label[region]:
            label[a] = label[b] = label[region]
    leaves = np.count_nonzero(tree.children[:, 0] == _LEAF)
    table = np.concatenate([np.zeros(1, np.int32), label[:leaves]])
    return np.asarray(table[tree.basins], dtype=np.int32)


def _basins(field: NDArray[np.float32], foreground: NDArray[np.float32]) -> NDArray[np.int32]:
    top = (field >= cv2.dilate(field, np.ones((5, 5), np.uint8))) & (field >= LOWEST_PEAK)
    _, seeds = cv2.connectedComponents(top.astype(np.uint8), connectivity=8)
    found = watershed(-field, seeds, mask=(foreground > GROUND) | top)  # type: ignore[no-untyped-call]
    return np.asarray(found, dtype=np.int32)


def _measure_leaves(
    basins: NDArray[np.int32], field: NDArray[np.float32], foreground: NDArray[np.float32]
) -> tuple[Array, Array]:
    """Return what adds up of each leaf, (L, 7), and what is the highest of it, (L, 5): peak and box.

    The columns: cells, sums of x, y, xx, yy, xy and foreground; peak, -left, -top, right, bottom.
    """
    n = int(basins.max(initial=0))
    ys, xs = np.nonzero(basins)
    leaf = basins[ys, xs] - 1
    x, y = xs.astype(np.float64), ys.astype(np.float64)
    columns = (np.ones_like(x), x, y, x * x, y * y, x * y, foreground[ys, xs].astype(np.float64))
    sums = np.stack([np.bincount(leaf, column, n).astype(np.float64) for column in columns], axis=1)
    highest = np.full((n, 5), -np.inf)
    np.maximum.at(highest, leaf, np.stack([field[ys, xs], -x, -y, x + 1, y + 1], axis=1))
    return sums, highest


def touching(basins: NDArray[np.int32], field: NDArray[np.float32]) -> tuple[Integers, Array]:
    """Return the (P, 2) pairs of basins that touch or nearly do, from 0, and the (P,) saddle between them."""
    grown = np.asarray(expand_labels(basins, _GAP_CELLS), dtype=np.int64)  # type: ignore[no-untyped-call]
    n, width = int(basins.max(initial=0)), basins.shape[1]
    keys, heights = [], []
    for down, right in _NEIGHBOURS:
        here = (slice(None, -down or None), slice(max(0, -right), width - max(0, right)))
        there = (slice(down, None), slice(max(0, right), width + min(0, right)))
        a, b = grown[here], grown[there]
        border = (a != b) & (a > 0) & (b > 0)
        keys.append(np.minimum(a, b)[border] * (n + 1) + np.maximum(a, b)[border])
        heights.append(np.minimum(field[here], field[there])[border])
    pairs, which = np.unique(np.concatenate(keys), return_inverse=True)
    saddle = np.zeros(len(pairs))
    np.maximum.at(saddle, which, np.concatenate(heights))
    return np.stack([pairs // (n + 1), pairs % (n + 1)], axis=1) - 1, saddle


def _merge(pairs: Integers, n_leaves: int) -> tuple[Integers, list[int]]:
    """Return (M, 2) the two parts of each region, and the pair that merged them, of those that have parts.

    Pairs of leaves are merged in their order (Kruskal).
    """
    region, children = list(range(n_leaves)), [(_LEAF, _LEAF)] * n_leaves
    parent = list(range(n_leaves))

    def top(leaf: int) -> int:
        while parent[leaf] != leaf:
            parent[leaf] = parent[parent[leaf]]
            leaf = parent[leaf]
        return leaf

    by: list[int] = []
    for k, (a, b) in enumerate(pairs.tolist()):
        first, second = top(a), top(b)
        if first != second:
            parent[second] = first
            children.append((region[first], region[second]))
            region[first] = len(children) - 1
            by.append(k)
    return np.array(children, dtype=np.int64).reshape(-1, 2), by


def _described(
    maps: Maps, basins: NDArray[np.int32], children: Integers, sums: Array, highest: Array, lowest: Array
) -> RegionTree:
    """Return the tree with sizes in image px."""
    cells = np.maximum(sums[:, 0], 1)
    mean_x, mean_y = sums[:, 1] / cells, sums[:, 2] / cells
    xx, yy = sums[:, 3] / cells - mean_x**2 + 0.1, sums[:, 4] / cells - mean_y**2 + 0.1
    xy = sums[:, 5] / cells - mean_x * mean_y
    det = np.maximum(xx * yy - xy**2, 1e-3)
    middle = (xx + yy) / 2
    off = np.sqrt(np.maximum(middle**2 - det, 0))
    cell_px = STRIDE_PX / maps.scale
    return RegionTree(
        maps=maps,
        basins=basins,
        children=children,
        area=cells * cell_px**2,
        foreground=sums[:, 6] / cells,
        peak=highest[:, 0],
        slenderness=np.log((middle + off) / np.maximum(middle - off, 0.05)) / 2,
        solidity=cells / (4 * np.pi * np.sqrt(det)),
        saddle=lowest,
        box_xyxy=highest[:, 1:] * np.array([-1, -1, 1, 1]) * cell_px,
    )
