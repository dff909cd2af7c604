"""Points in polygons, and in the regions that are counted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.contract import Region


def points_in_polygon(points_xy: NDArray[np.float64], polygon_xy: ArrayLike) -> NDArray[np.bool_]:
    """Return (N,) bool: the point lies inside by the even-odd rule.

    Args:
        points_xy: (N, 2) px.
        polygon_xy: (P, 2) px, P >= 3; closed by itself. Left and top edges count as inside.
    """
    corners = np.asarray(polygon_xy, dtype=np.float64)
    x, y = points_xy[:, 0], points_xy[:, 1]
    inside = np.zeros(len(points_xy), dtype=np.bool_)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        spans = (y0 > y) != (y1 > y)
        if y0 != y1:
            inside ^= spans & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def points_in_regions(points_xy: NDArray[np.float64], regions: Sequence[Region]) -> NDArray[np.bool_]:
    """Return (N,) bool: the point lies in an included region, where there is one, and in no excluded one.

    Args:
        points_xy: (N, 2) px.
        regions: none is the whole picture.
    """
    wanted = [region.polygon_xy for region in regions if region.include]
    inside = np.full(len(points_xy), not wanted)
    for polygon in wanted:
        inside |= points_in_polygon(points_xy, polygon)
    for region in regions:
        if not region.include:
            inside &= ~points_in_polygon(points_xy, region.polygon_xy)
    return inside
