"""Turns mini's maps into instances: peaks of the cone are seeds, watershed gives each its ground."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from skimage.segmentation import watershed

from pipeline.segment.mini_maps import STRIDE_PX, Maps

Array = NDArray[np.float32]

MIN_PEAK = 0.35
"""Peaks of the cone below this are no seeds."""
SADDLE = 0.80
"""Two peaks are one object when the way between them stays above this share of the lower one."""
_REACH = 14.0
_STEPS = 9
MIN_CELLS = 12
MIN_QUALITY = 0.42
"""Instances below this are left out: about there half of those in drawn scenes are objects (docs/mini.md)."""
_STABLE = (0.35, 0.65)


@dataclass(frozen=True, slots=True)
class Found:
    """The instances at one scale, in the maps' frame.

    Attributes:
        maps: what they were found in.
        labels: (h, w) int32; 0 ground, k in 1…N.
        area: (N,) cells. quality, stability: (N,) in [0, 1].
    """

    maps: Maps
    labels: NDArray[np.int32]
    area: Array
    quality: Array
    stability: Array

    @property
    def radius_px(self) -> Array:
        """Area-equivalent radii in input px."""
        return np.asarray(np.sqrt(self.area / np.pi) * STRIDE_PX, np.float32)


def _peaks(field: Array) -> NDArray[np.int64]:
    """Return (P, 2) rows and columns of the local maxima of a field, plateaus once."""
    top = (field >= cv2.dilate(field, np.ones((5, 5), np.uint8))) & (field >= MIN_PEAK)
    _, _, _, centres = cv2.connectedComponentsWithStats(top.astype(np.uint8), connectivity=8)
    return np.rint(centres[1:, ::-1]).astype(np.int64)


def _merge_peaks(peaks: NDArray[np.int64], field: Array) -> NDArray[np.int64]:
    """Return (P,) the group of each peak: those with no valley between them belong together."""
    pairs = (
        cKDTree(peaks).query_pairs(_REACH, output_type="ndarray") if len(peaks) > 1 else np.zeros((0, 2), int)
    )
    a, b = peaks[pairs[:, 0]], peaks[pairs[:, 1]]
    shares = np.linspace(0, 1, _STEPS)[:, None, None]
    way = np.rint(a + (b - a) * shares).astype(np.int64)
    lowest = field[way[..., 0], way[..., 1]].min(axis=0)
    lower = np.minimum(field[a[:, 0], a[:, 1]], field[b[:, 0], b[:, 1]])
    same = pairs[lowest >= SADDLE * lower]
    graph = coo_array((np.ones(len(same)), (same[:, 0], same[:, 1])), shape=(len(peaks), len(peaks)))
    groups: NDArray[np.int64] = connected_components(graph, directed=False)[1]
    return groups


def _ideal_cone(labels: NDArray[np.int32], n: int) -> Array:
    """Return the cone that each region would have if it were one object (see train/targets.py)."""
    ys, xs = np.nonzero(labels)
    k = labels[ys, xs]
    area = np.maximum(np.bincount(k, minlength=n + 1), 1)
    mx, my = (np.bincount(k, v, n + 1) / area for v in (xs, ys))
    dx, dy = xs - mx[k], ys - my[k]
    sxx, syy, sxy = (
        np.bincount(k, v, n + 1) / area + e for v, e in ((dx * dx, 0.1), (dy * dy, 0.1), (dx * dy, 0.0))
    )
    det = np.maximum(sxx * syy - sxy * sxy, 1e-3)
    m2 = (syy[k] * dx * dx - 2 * sxy[k] * dx * dy + sxx[k] * dy * dy) / det[k]
    out = np.zeros(labels.shape, np.float32)
    out[ys, xs] = np.clip(1 - np.sqrt(np.maximum(m2, 0)) / 2, 0.05, 1)
    return out


def peak_field(maps: Maps) -> Array:
    """Return (h, w) in [0, 1]: the cone where there is foreground and little contact, its peaks rounded."""
    cone = maps.cone * maps.foreground * (1 - 0.5 * maps.contact)
    return np.asarray(cv2.GaussianBlur(cone, (0, 0), 0.8), np.float32)


def highest_in(labels: NDArray[np.int32], n: int, field: Array) -> Array:
    """Return (n + 1,) the highest of a field in regions 1…n, 0 for the ground and where there is no cell."""
    highest, inside = np.zeros(n + 1, np.float32), labels > 0
    np.maximum.at(highest, labels[inside], field[inside])
    return highest


def judge(labels: NDArray[np.int32], n: int, maps: Maps, field: Array) -> tuple[Array, Array, Array]:
    """Return area, quality and stability of regions 1…n.

    Quality is the mean foreground probability x how sharp the peak is x how well the cone agrees
    with that of one single object of the region's shape.
    """
    flat, inside = labels.ravel(), labels.ravel() > 0
    k = flat[inside]
    area = np.maximum(np.bincount(k, minlength=n + 1)[1:], 1).astype(np.float32)
    sure = np.bincount(k, maps.foreground.ravel()[inside], n + 1)[1:] / area
    off = np.abs(maps.cone - _ideal_cone(labels, n)).ravel()[inside]
    agree = 1 - np.bincount(k, off, n + 1)[1:] / area
    peak = highest_in(labels, n, field)
    fore = maps.foreground.ravel()[inside]
    low, high = (np.bincount(k, fore > t, n + 1)[1:] for t in _STABLE)
    quality = sure * np.clip(peak[1:] / 0.8, 0, 1) * np.clip(agree, 0, 1)
    return area, quality.astype(np.float32), (high / np.maximum(low, 1)).astype(np.float32)


def find_instances(maps: Maps) -> Found:
    """Return the instances of one scale, those cells that are too few left out."""
    field = peak_field(maps)
    peaks = _peaks(field)
    if not len(peaks):
        none = np.zeros(0, np.float32)
        return Found(maps, np.zeros(field.shape, np.int32), none, none, none)
    seeds = np.zeros(field.shape, np.int32)
    seeds[peaks[:, 0], peaks[:, 1]] = _merge_peaks(peaks, field) + 1
    basins = watershed(-field, seeds, mask=maps.foreground > _STABLE[0])  # type: ignore[no-untyped-call]
    labels: NDArray[np.int32] = basins.astype(np.int32)
    cells = np.bincount(np.where(maps.foreground > 0.5, labels, 0).ravel(), minlength=int(labels.max()) + 1)
    cells[0] = 0
    keep = np.flatnonzero(cells >= MIN_CELLS)
    table = np.zeros(len(cells), np.int32)
    table[keep] = np.arange(1, len(keep) + 1)
    labels = table[labels]
    _, quality, stability = judge(labels, len(keep), maps, field)
    return Found(maps, labels, cells[keep].astype(np.float32), quality, stability)
