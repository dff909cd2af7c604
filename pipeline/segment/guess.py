"""One way to tell objects from background, and how believable it is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]

MIN_AREA_PX = 20
MAX_AREA_SHARE = 0.4

ALIKE_FACTOR = 2.2
"""Areas within this factor of the most usual one are alike."""

SHAPE_POWER = 3.0
CONTRAST_SCALE = 15.0
EXPLAINED_POWER = 0.25
OPENNESS_POWER = 1.0
"""How a guess is scored: see ``_score``."""


@dataclass(frozen=True, slots=True)
class Guess:
    """One way to tell objects from background, and the N objects that come of it.

    Attributes:
        name: of the foreground map it comes from.
        contrast_map: (H, W) float32, Lab units. threshold: where it was cut.
        labels: (H, W) int32, 1…N.
        area, contrast, solidity: (N,) float64: px, Lab units, share of the convex hull.
        score: how much the guess is believed, compared with others of the same image.
    """

    name: str
    contrast_map: Floats
    threshold: float
    labels: NDArray[np.int32]
    area: NDArray[np.float64]
    contrast: NDArray[np.float64]
    solidity: NDArray[np.float64]
    score: float


def measure(
    lab: Floats, name: str, contrast_map: Floats, threshold: float, labels: NDArray[np.int32], floor: float
) -> Guess | None:
    """Measure the objects, drop those that are too small, too large or too faint, and score the rest.

    Args:
        lab: (H, W, 3) float32 Lab.
        name: of the foreground map.
        contrast_map: (H, W) float32, Lab units.
        threshold: where it was cut, Lab units.
        labels: (H, W) int32, the objects.
        floor: least contrast of an object with the ring around it, Lab units.

    Returns:
        The guess, None when no object is left.
    """
    area = np.bincount(labels.ravel())[1:].astype(np.float64)
    fits = (area >= MIN_AREA_PX) & (area <= MAX_AREA_SHARE * labels.size)
    if not fits.any():
        return None
    labels, area = keep_labels(labels, fits), area[fits]
    contrast = ring_contrast(lab, labels, len(area))
    stands_out = contrast >= floor
    if not stands_out.any():
        return None
    labels, area, contrast = keep_labels(labels, stands_out), area[stands_out], contrast[stands_out]
    solidity = _solidity(labels, area)
    score = _score(area, contrast, solidity, labels.size) * _openness(labels) ** OPENNESS_POWER
    return Guess(name, contrast_map, threshold, labels, area, contrast, solidity, score)


def keep_labels(labels: NDArray[np.int32], kept: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the label map with only the kept ones of labels 1…N, renumbered without gaps.

    Args:
        labels: (H, W) int32.
        kept: (N,) bool.
    """
    table = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)]).astype(np.int32)
    return table[labels]


def ring_contrast(lab: Floats, labels: NDArray[np.int32], n: int) -> NDArray[np.float64]:
    """Return (N,): Lab distance between the mean of each object and of the background ring around it."""
    objects = (labels > 0).astype(np.uint8)
    small = np.ones((3, 3), np.uint8)
    ring = cv2.dilate(labels.astype(np.float32), np.ones((9, 9), np.uint8)).astype(np.int32)
    ring[cv2.dilate(objects, small) > 0] = 0  # the blurred edge belongs to neither
    core = np.where(cv2.erode(objects, small) > 0, labels, 0)
    inside, around = _means(lab, core, n), _means(lab, ring, n)
    if np.isnan(around).any():  # hemmed in by other objects: compare with the ground as a whole
        ground = lab[objects == 0]
        elsewhere = ground.mean(axis=0) if len(ground) else lab.mean(axis=(0, 1))
        around = np.where(np.isnan(around), elsewhere, around)
    if np.isnan(inside).any():  # too thin to have a core
        inside = np.where(np.isnan(inside), _means(lab, labels, n), inside)
    return np.asarray(np.linalg.norm(inside - around, axis=1))


def _means(lab: Floats, labels: NDArray[np.int32], n: int) -> NDArray[np.float64]:
    """Return (N, 3) mean Lab of labels 1…N; NaN for a label without pixels."""
    at = np.flatnonzero(labels)
    label, colours = labels.ravel()[at], lab.reshape(-1, 3)[at]
    counts = np.bincount(label, minlength=n + 1)[1:].astype(np.float64)
    sums = [np.bincount(label, weights=colours[:, c], minlength=n + 1)[1:] for c in range(3)]
    counts[counts == 0] = np.nan
    return np.asarray(np.stack(sums, axis=1) / counts[:, None])


def _solidity(labels: NDArray[np.int32], area: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N,) share of the convex hull that each object fills, in (0, 1]."""
    result = np.ones(len(area))
    for k, window in enumerate(ndimage.find_objects(labels)):
        mask = np.ascontiguousarray(labels[window] == k + 1).view(np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        hull = cv2.convexHull(np.concatenate(contours))
        through_edges = cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1
        result[k] = min(1.0, area[k] / through_edges)
    return result


def _score(
    area: NDArray[np.float64], contrast: NDArray[np.float64], solidity: NDArray[np.float64], n_px: int
) -> float:
    """Return how believable a set of objects is: alike, solid, standing out, and explaining much."""
    log_area, weight = np.log(area), np.sqrt(area)
    near = np.abs(log_area[:, None] - log_area[None, :]) < np.log(ALIKE_FACTOR)
    alike = near[int(np.argmax(near @ weight))]
    share = weight[alike].sum() / weight.sum()
    n = int(alike.sum())
    shape = np.average(solidity[alike], weights=weight[alike]) ** SHAPE_POWER
    stands_out = 1 - np.exp(-np.average(contrast[alike], weights=weight[alike]) / CONTRAST_SCALE)
    explained = (area[alike].sum() / n_px) ** EXPLAINED_POWER
    return float(share * shape * stands_out * explained * n / (n + 1))


def _openness(labels: NDArray[np.int32]) -> float:
    """Return the share of all outlines that faces background, not another object or the image border.

    Ground cut into pieces between objects has little of it.
    """
    padded = np.pad(labels, 1, constant_values=-1)
    facing_ground = facing_other = 0
    for one, two in ((padded[:, :-1], padded[:, 1:]), (padded[:-1], padded[1:])):
        low, high = np.minimum(one, two), np.maximum(one, two)
        outline = (high > 0) & (low != high)
        facing_ground += int(np.count_nonzero(outline & (low == 0)))
        facing_other += int(np.count_nonzero(outline & (low < 0)))
        facing_other += 2 * int(np.count_nonzero(outline & (low > 0)))  # the outline of both
    return facing_ground / max(1, facing_ground + facing_other)
