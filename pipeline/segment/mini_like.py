"""A second network, told what exemplars look like: its maps show only what is like them.

Model: ``mini_like.onnx`` (docs/mini.md). It looks at the exemplars first, at the scale in question; what
they look like, and how large they are, then goes in beside the picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.segment.mini_maps import Maps, as_input, maps_at_scale, resized

Array = NDArray[np.floating[Any]]

MARGIN_PX = 80
"""Input px around an exemplar that are looked at with it."""
_MOST_PX = 512
"""Of a larger exemplar the middle is looked at."""
_LOOKS = ("look4", "look8", "look16")
_STRIDE_PX = 4
USUAL_CELLS = 28.0
"""Cells of stride 4 that an exemplar of usual size covers."""
_FILLED = 0.9
"""Share of its box, in each direction, that the ellipse spans whose looks are an exemplar's."""
_FINE = 4


class LikeMaps:
    """Gives the maps of what is like some exemplars of one picture.

    Args:
        session: onnxruntime session of the model.
        image_hw3: (H, W, 3) uint8 RGB, contrast stretched.
        boxes_xyxy: (E, 4) float32 image px, E at least 1.
    """

    def __init__(self, session: Any, image_hw3: NDArray[np.uint8], boxes_xyxy: NDArray[np.float32]) -> None:
        """Look at nothing yet."""
        self._session, self._image, self._boxes = session, image_hw3, boxes_xyxy
        self._width = session.get_inputs()[1].shape[1]
        self._like: dict[float, NDArray[np.float32]] = {}

    def at(self, scale: float, image_hw3: NDArray[np.uint8]) -> Maps:
        """Return the maps of a picture at a scale: of the one with the exemplars, or of a part of it."""
        if scale not in self._like:
            self._like[scale] = np.stack([self._look_at(box, scale) for box in self._boxes])
        return maps_at_scale(_Told(self._session, self._like[scale]), image_hw3, scale)

    def _look_at(self, box: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
        """Return what an exemplar looks like at a scale, and the logarithm of its size."""
        middle, half = (box[:2] + box[2:]) / 2, np.minimum(box[2:] - box[:2], _MOST_PX / scale) / 2
        crop, moved = surroundings(self._image, np.concatenate([middle - half, middle + half]), scale)
        batch = as_input(resized(crop, scale))
        feeds = {"image": batch, "like": np.zeros((1, self._width), np.float32)}
        looks = self._session.run(_LOOKS, feeds)
        mask = exemplar_mask(moved * scale, batch.shape[2:])
        parts = [_mean_under(look[0], mask) for look in looks]
        size = 0.5 * np.log(max(float(mask.sum()), 1.0) / USUAL_CELLS)
        return np.concatenate([*parts, [size]]).astype(np.float32)


class _Told:
    """An onnxruntime session with what it is told of the exemplars."""

    def __init__(self, session: Any, like: NDArray[np.float32]) -> None:
        self._session, self._like = session, like

    def run(self, _: Iterable[str] | None, feeds: dict[str, Any]) -> Any:
        """Return the maps, as the session of ``mini.onnx`` does."""
        return self._session.run(["like_maps"], feeds | {"like": self._like})


def surroundings(
    image_hw3: NDArray[np.uint8], box_xyxy: NDArray[np.float32], scale: float
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return what lies in and around a box (4,) in image px, and the box as seen from there."""
    margin = MARGIN_PX / scale
    left, top = (int(max(0, v - margin)) for v in box_xyxy[:2])
    crop = image_hw3[top : int(box_xyxy[3] + margin), left : int(box_xyxy[2] + margin)]
    return crop, box_xyxy - np.array([left, top, left, top], np.float32)


def exemplar_mask(box_xyxy: Array, size_hw: tuple[int, ...]) -> NDArray[np.float32]:
    """Return (H / 4, W / 4) float32 in [0, 1], how much of each cell the ellipse in a box covers.

    Args:
        box_xyxy: (4,) left, top, right, bottom in input px.
        size_hw: of the input, multiples of 32.
    """
    left, top, right, bottom = (float(v) * _FINE / _STRIDE_PX for v in box_xyxy)
    cells = size_hw[0] // _STRIDE_PX, size_hw[1] // _STRIDE_PX
    mask = np.zeros((cells[0] * _FINE, cells[1] * _FINE), np.uint8)
    axes = max(_FINE, _FILLED * (right - left)), max(_FINE, _FILLED * (bottom - top))
    cv2.ellipse(mask, (((left + right - 1) / 2, (top + bottom - 1) / 2), axes, 0.0), 1, -1)
    return np.asarray(mask.reshape(cells[0], _FINE, cells[1], _FINE).mean((1, 3)), np.float32)


def _mean_under(look_chw: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (C,) of unit length, the mean of a map under a mask of the same or a finer grid."""
    rows, columns = look_chw.shape[1:]
    weight = mask.reshape(rows, mask.shape[0] // rows, columns, mask.shape[1] // columns).mean((1, 3))
    mean = (look_chw * weight).sum((1, 2)) / max(float(weight.sum()), 1e-6)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)
