"""Outlines that people draw, cut and join: pure numpy, (P, 2) float64 points (x, y) in image px."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.regions import points_in_polygon

Points = NDArray[np.float64]
DISC_CORNERS = 24
SAMPLES = 64
"""A side, where two outlines are compared."""
SAMPLED_RATIO = 0.5
"""Outlines of areas that differ more are not compared any closer: the ratio is the most that they share."""


def points_of(polygon: Sequence[float]) -> Points:
    """Return the (P, 2) points of a flat [x1, y1, x2, y2, ...]."""
    return np.asarray(polygon, dtype=np.float64).reshape(-1, 2)


def polygon_area(points: Points) -> float:
    """Return the enclosed px (shoelace); 0 for fewer than three points."""
    if len(points) < 3:
        return 0.0
    x, y = points.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def bounds_xyxy(points: Points) -> tuple[float, float, float, float]:
    """Return the tightest box (x_min, y_min, x_max, y_max) of at least one point."""
    (x_min, y_min), (x_max, y_max) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x_min, y_min, x_max, y_max


def outline_iou(a: Points, b: Points) -> float:
    """Return what two polygons share of what they cover together, in [0, 1]: of 64 x 64 places over both."""
    areas = polygon_area(a), polygon_area(b)
    if min(areas) < SAMPLED_RATIO * max(areas):
        return min(areas) / max(*areas, 1.0)  # at most that
    low, high = np.minimum(a.min(axis=0), b.min(axis=0)), np.maximum(a.max(axis=0), b.max(axis=0))
    steps = (np.arange(SAMPLES) + 0.5) / SAMPLES
    places = np.stack(np.meshgrid(*(low + (high - low) * steps[:, None]).T), axis=-1).reshape(-1, 2)
    in_a, in_b = points_in_polygon(places, a), points_in_polygon(places, b)
    return float((in_a & in_b).sum() / max(1, (in_a | in_b).sum()))


def rectangle(x_min: float, y_min: float, x_max: float, y_max: float) -> Points:
    """Return the four corners of a box."""
    return np.array([[x_min, y_min], [x_max, y_min], [x_max, y_max], [x_min, y_max]], dtype=np.float64)


def disc(centre_xy: Sequence[float], area: float) -> Points:
    """Return a regular polygon of ``area`` px around a point."""
    step = 2 * np.pi / DISC_CORNERS
    radius = np.sqrt(2 * area / (DISC_CORNERS * np.sin(step)))
    angles = np.arange(DISC_CORNERS) * step
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.asarray(np.asarray(centre_xy) + radius * around, dtype=np.float64)


def clip_to_image(points: Points, size_hw: tuple[int, int]) -> Points:
    """Return the part of a polygon that lies in the image; (0, 2) when nothing does."""
    height, width = size_hw
    for normal, limit in (((-1, 0), 0), ((1, 0), width), ((0, -1), 0), ((0, 1), height)):
        points = clip_half_plane(points, np.array(normal, dtype=np.float64), float(limit))
    return points


def clip_half_plane(points: Points, normal: Points, limit: float) -> Points:
    """Return the part of a polygon where ``normal · p <= limit``.

    Reference:
        Sutherland and Hodgman 1974; a concave polygon may keep edges of no area along the cut.
    """
    if not len(points):
        return points
    distance = points @ normal - limit
    following, next_distance = np.roll(points, -1, axis=0), np.roll(distance, -1)
    kept: list[Points] = []
    for here, there, d_here, d_there in zip(points, following, distance, next_distance, strict=True):
        if d_here <= 0:
            kept.append(here)
        if (d_here < 0 < d_there) or (d_there < 0 < d_here):
            kept.append(here + (there - here) * d_here / (d_here - d_there))
    return np.array(kept, dtype=np.float64).reshape(-1, 2)


def nearest_cells(points: Points, seeds: Points) -> list[Points]:
    """Return, for each seed, the part of a polygon that is nearer to it than to any other seed."""
    cells = []
    for i, seed in enumerate(seeds):
        cell = points
        for other in np.delete(seeds, i, axis=0):
            normal = other - seed
            cell = clip_half_plane(cell, normal, float(normal @ (seed + other) / 2))
        cells.append(cell)
    return cells


def convex_hull(points: Points) -> Points:
    """Return the corners of the smallest convex polygon around points, counter-clockwise in (x, y).

    Reference:
        Andrew 1979, monotone chain.
    """
    ordered = np.unique(points, axis=0).tolist()
    if len(ordered) < 3:
        return np.array(ordered, dtype=np.float64).reshape(-1, 2)
    lower, upper = _half_hull(ordered), _half_hull(ordered[::-1])
    return np.array(lower[:-1] + upper[:-1], dtype=np.float64)


def _half_hull(ordered: list[list[float]]) -> list[list[float]]:
    chain: list[list[float]] = []
    for x, y in ordered:
        while len(chain) > 1:
            (ax, ay), (bx, by) = chain[-2], chain[-1]
            if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                break
            chain.pop()
        chain.append([x, y])
    return chain
