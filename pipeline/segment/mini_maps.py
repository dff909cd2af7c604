"""Runs mini's network over a picture at one scale, in tiles where the picture is large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

STRIDE_PX = 2
_MULTIPLE_PX = 32
TILE_PX = 768
HALO_PX = 64
MIRROR_PX = 32
"""So far the picture is mirrored beyond its edge: what the edge cuts is then seen as whole."""


@dataclass(frozen=True, slots=True)
class Maps:
    """What the network says of a picture at one scale; arrays are (h, w) float32 in [0, 1].

    Convention:
        cell (row, column) is about the input pixel (2 row, 2 column); image px times ``scale`` is
        input px.

    Attributes:
        scale: input px an image px.
        foreground: probability of an object of a size the network counts.
        cone: 1 at an object's centre, 0 at its outline.
        contact: probability that two objects touch here.
    """

    scale: float
    foreground: Array
    cone: Array
    contact: Array


def resized(image_hw3: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Return the picture at a scale."""
    height, width = (max(8, round(n * scale)) for n in image_hw3.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image_hw3, (width, height), interpolation=how), dtype=np.uint8)


def as_input(image_hw3: NDArray[np.uint8]) -> Array:
    """Return (1, 3, H', W') float32 in [0, 1], mirrored at the bottom and right up to a multiple of 32."""
    below, right = (-n % _MULTIPLE_PX for n in image_hw3.shape[:2])
    padded = cv2.copyMakeBorder(image_hw3, 0, below, 0, right, cv2.BORDER_REFLECT_101)
    return np.ascontiguousarray(padded.transpose(2, 0, 1)[None], dtype=np.float32) / np.float32(255)


def _run(session: Any, image_hw3: NDArray[np.uint8]) -> Array:
    """Return (3, ceil(H / 2), ceil(W / 2)) maps of one picture that fits the memory."""
    height, width = image_hw3.shape[:2]
    maps: Array = session.run(None, {"image": as_input(image_hw3)})[0][0]
    return maps[:, : -(-height // STRIDE_PX), : -(-width // STRIDE_PX)]


def _starts(length: int) -> list[tuple[int, int]]:
    """Return (start, end) of overlapping tiles that cover ``length`` px; starts are even."""
    if length <= TILE_PX + 2 * HALO_PX:
        return [(0, length)]
    n = -(-length // TILE_PX)
    step = -(-length // n)
    step += step % STRIDE_PX
    return [(k * step, min(length, (k + 1) * step)) for k in range(n)]


def maps_at_scale(
    session: Any, image_hw3: NDArray[np.uint8], scale: float, mirror_px: int = MIRROR_PX
) -> Maps:
    """Return the maps of a whole picture at a scale; mirrored edges and tiles' halos are cut off.

    Args:
        session: onnxruntime session of the model.
        image_hw3: (H, W, 3) uint8 RGB, contrast stretched.
        scale: input px an image px.
        mirror_px: even; so far the picture is mirrored beyond its edge.
    """
    picture = resized(image_hw3, scale)
    height, width = picture.shape[:2]
    beyond = mirror_px, mirror_px, mirror_px, mirror_px
    picture = np.asarray(cv2.copyMakeBorder(picture, *beyond, cv2.BORDER_REFLECT_101), np.uint8)
    out = np.zeros((3, -(-height // STRIDE_PX), -(-width // STRIDE_PX)), np.float32)
    for top, bottom in _starts(height):
        for left, right in _starts(width):
            y, x = top + mirror_px, left + mirror_px
            y0, x0 = max(0, y - HALO_PX), max(0, x - HALO_PX)
            maps = _run(session, picture[y0 : bottom + mirror_px + HALO_PX, x0 : right + mirror_px + HALO_PX])
            rows, columns = (bottom - top + 1) // STRIDE_PX, (right - left + 1) // STRIDE_PX
            r, c, u, v = (n // STRIDE_PX for n in (top, left, y - y0, x - x0))
            out[:, r : r + rows, c : c + columns] = maps[:, u : u + rows, v : v + columns]
    return Maps(scale, out[0], out[1], out[2])
