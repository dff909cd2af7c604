"""Which instances of two scales of one picture cover each other, and by how much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.segment.mini_maps import STRIDE_PX, Maps
from pipeline.segment.mini_peaks import Found

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Links:
    """The P pairs of instances of a coarse and a fine scale that share cells.

    Attributes:
        coarse, fine: (P,) int64, 0 is the first instance.
        iou: (P,) in [0, 1]. of_fine, of_smaller: (P,) share of the fine or of the smaller one that is shared.
        larger: (P,) area of the coarse one over that of the fine one.
    """

    coarse: NDArray[np.int64]
    fine: NDArray[np.int64]
    iou: Array
    of_fine: Array
    of_smaller: Array
    larger: Array


def cells_at(maps: Maps, other: Maps) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for the rows and for the columns of ``maps``, the nearest ones of ``other``."""
    found = []
    for n, n_other in zip(maps.cone.shape, other.cone.shape, strict=True):
        # Cell j is about input px 2 j, whose centre in the image is (2 j + 0.5) / scale - 0.5.
        image_px = (np.arange(n) * STRIDE_PX + 0.5) / maps.scale
        nearest = np.rint((image_px * other.scale - 0.5) / STRIDE_PX).astype(np.int64)
        found.append(np.clip(nearest, 0, n_other - 1))
    return found[0], found[1]


def find_links(coarse: Found, fine: Found) -> Links:
    """Return the pairs of instances that share cells, counted on the finer grid.

    Args:
        coarse: at the smaller scale.
        fine: at the larger scale.
    """
    rows, columns = cells_at(fine.maps, coarse.maps)
    under = coarse.labels[rows[:, None], columns]
    both = (under > 0) & (fine.labels > 0)
    n_coarse, n_fine = len(coarse.area) + 1, len(fine.area) + 1
    key, shared = np.unique(under[both].astype(np.int64) * n_fine + fine.labels[both], return_counts=True)
    i, j = key // n_fine, key % n_fine
    grown = (fine.maps.scale / coarse.maps.scale) ** 2
    area_i = np.bincount(coarse.labels.ravel(), minlength=n_coarse)[i] * grown
    area_j = np.bincount(fine.labels.ravel(), minlength=n_fine)[j].astype(np.float64)
    return Links(
        coarse=i - 1,
        fine=j - 1,
        iou=shared / (area_i + area_j - shared),
        of_fine=shared / area_j,
        of_smaller=shared / np.minimum(area_i, area_j),
        larger=area_i / area_j,
    )
