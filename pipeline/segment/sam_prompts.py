"""Where SAM is asked in ``fast`` mode on a CPU: at what ``mini`` proposes and on a coarse grid.

The coarse grid is also a sample of the picture: where it finds small things that nobody proposed, the full
grid is asked as well, but for points that lie in a mask already. Without proposals, all of it is asked.
In: an image's pixels.  Out: points, (x, y) in [0, 1] of the image.  Device: CPU.  No torch here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from pipeline.ops.rle import rle_holds
from pipeline.segment.mini_input import stretch_contrast
from pipeline.segment.mini_maps import STRIDE_PX

if TYPE_CHECKING:
    from pipeline.segment.mini_peaks import Found

Points = NDArray[np.float64]
"""(P, 2) float64 (x, y); in [0, 1] of the image unless px are named."""

Prompter = Callable[[NDArray[np.uint8]], Points]
"""Proposes points in an (H, W, 3) uint8 RGB image: one inside each thing that it sees."""

SEEN_PX = 1024
"""Long side at which SAM sees an image; finer detail proposes nothing."""

FINEST_PX = SEEN_PX * 2**0.5
"""Long side up to which ``mini`` looks: of what is 10 px wide for SAM, it sees little at SAM's own scale."""

MIN_QUALITY = 0.25
"""Proposals of a lower quality are noise. Lower than what ``mini`` counts with: SAM judges again."""

COARSER = 4
"""The coarse grid has the full grid's points a side divided by this: 8 x 8 instead of 32 x 32."""

GROUND_SHARE = 0.25
"""Masks of a larger share of the image are grounds; that proposals lie in them says nothing."""

OVERLOOKED_POINTS = 2
"""As many points of the coarse grid in things that nobody proposed call for the full grid."""


class MiniPrompter:
    """Proposes the instances that ``mini`` finds, at every scale that SAM can see.

    No scale is chosen: objects of several sizes are proposed together.

    Args:
        session: onnxruntime session of mini's model (``pipeline.sessions.open_session``).
    """

    def __init__(self, session: Any) -> None:
        """Keep the session."""
        self._session = session

    def __call__(self, pixels_hw3: NDArray[np.uint8]) -> Points:
        """Return one point inside each instance; of what is seen at several scales, the coarsest one's."""
        from pipeline.segment.mini_search import ScaleSearch  # what asks no proposals needs none of it

        small = stretch_contrast(_shrink(pixels_hw3))
        search = ScaleSearch(self._session, small)
        points = np.zeros((0, 2))
        for level, scale in enumerate(search.scales):
            if scale * max(small.shape) < FINEST_PX * 2**0.25:  # the nearest one, √2 apart
                points = _with_new(points, *_centres(search.at(level)))
        return np.clip(points / [small.shape[1], small.shape[0]], 0.0, 1.0)


def _shrink(pixels_hw3: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image at most ``SEEN_PX`` long."""
    scale = SEEN_PX / max(pixels_hw3.shape)
    if scale >= 1:
        return pixels_hw3
    small = cv2.resize(pixels_hw3, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)


def _centres(found: Found) -> tuple[Points, NDArray[np.float64]]:
    """Return (N, 2) px and (N,) px: the most central point inside each instance, and its radius."""
    numbers = np.flatnonzero(found.quality >= MIN_QUALITY) + 1
    cells = ndimage.maximum_position(found.maps.cone, found.labels, numbers) if len(numbers) else []
    rows_columns = np.array(cells, dtype=np.float64).reshape(-1, 2)
    points = (rows_columns[:, ::-1] * STRIDE_PX + 0.5) / found.maps.scale
    return points, found.radius_px[numbers - 1].astype(np.float64) / found.maps.scale


def _with_new(points: Points, more: Points, radii: NDArray[np.float64]) -> Points:
    """Return the points and those of ``more`` that are further from all of them than half their radius."""
    if len(points) and len(more):
        more = more[cKDTree(points).query(more)[0] > radii / 2]
    return np.concatenate([points, more])


def square_grid(points_per_side: int) -> Points:
    """Return the centres of n x n equal cells."""
    at = (np.arange(points_per_side) + 0.5) / points_per_side
    return np.stack([np.tile(at, points_per_side), np.repeat(at, points_per_side)], axis=1)


def first_round(proposed: Points, grid: Points) -> Points:
    """Return what is asked first: the proposals and a coarse grid, or the full grid for want of proposals.

    Args:
        proposed: (N, 2).
        grid: (P, 2) the full grid, square.
    """
    return np.concatenate([proposed, coarse_of(grid)]) if len(proposed) else grid


def coarse_of(grid: Points) -> Points:
    """Return the coarse grid that stands for a full one."""
    return square_grid(max(1, round(len(grid) ** 0.5 / COARSER)))


def second_round(
    proposed: Points, grid: Points, rles: Sequence[NDArray[np.uint32]], size_hw: tuple[int, int]
) -> Points:
    """Return what is left to ask of the full grid: nothing, unless the proposals overlooked things.

    A point of the coarse grid is overlooked when it lies in a mask smaller than a cell of that grid, but in
    none that holds a proposal. Grounds are left aside: things may lie on them.

    Args:
        proposed: as of ``first_round``.
        grid: as of ``first_round``.
        rles: run lengths of the masks kept after the first round.
        size_hw: px, of those masks.
    """
    coarse, pixels = coarse_of(grid), size_hw[0] * size_hw[1]
    area = np.array([int(rle[1::2].sum(dtype=np.int64)) for rle in rles])
    is_part = area <= GROUND_SHARE * pixels
    has_proposal = covered(proposed, rles, size_hw).any(1) & is_part
    holds = covered(coarse, rles, size_hw)  # (masks, points)
    small, known = holds[area < pixels / len(coarse)].any(0), holds[has_proposal].any(0)
    if not len(proposed) or (small & ~known).sum() < OVERLOOKED_POINTS:
        return grid[:0]
    return grid[~covered(grid, rles, size_hw)[is_part].any(0)]


def covered(
    points: Points, rles: Sequence[NDArray[np.uint32]], size_hw: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return (masks, points) bool: whether each mask holds each point; no mask is unpacked."""
    height, width = size_hw
    x, y = (np.minimum((points[:, i] * n).astype(np.int64), n - 1) for i, n in enumerate((width, height)))
    at = x * height + y
    return np.array([rle_holds(rle, at) for rle in rles], dtype=np.bool_).reshape(len(rles), len(points))
