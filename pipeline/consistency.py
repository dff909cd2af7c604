"""How far each candidate looks like the things an image shows most of: a probability without any model.

In a photo of things to be counted, the things are many and alike, in size and in appearance; debris,
furniture and pieces are not. The reference is the candidate with most alike area around it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.kinds import unit_rows
from pipeline.types import CandidateBatch, Classification

SIZE_KERNEL = 0.35
"""Width of the neighbourhood in log area: things of one kind differ by about this much."""

APPEARANCE_KERNEL = {"handcrafted": 0.06, "looks": 0.2, "resnet50": 0.2}
"""Width of the neighbourhood in cosine distance, by source of the embeddings. The first two are measured on
photos of one kind of thing; the third is a guess until weights were at hand to measure it."""

HIGHEST = 0.95
"""Probability of a candidate right in the middle: without a model nothing is surer than this."""

_MASS_POWER = 0.75  # of the area: 200 specks do not outweigh 20 coins
_MAX_ANCHORS = 256  # bounds the N x N similarities
_PRIOR_WEIGHT = 2.0  # neighbours that the assumption "all candidates are meant" is worth

Floats = NDArray[np.float32]


def consistency(batch: CandidateBatch, classification: Classification) -> NDArray[np.float32]:
    """Return the probability that each candidate is one of the things the image is a photo of.

    Falls with the distance from the dominant kind in log area and in appearance, each measured in
    robust spreads of that kind; rises towards ``HIGHEST`` where there are too few candidates to tell.

    Args:
        batch: N candidates.
        classification: their embeddings, in the same order.

    Returns:
        (N,) float32 in [0, ``HIGHEST``].

    Complexity: N * min(N, 256) similarities.
    """
    if len(batch) == 0:
        return np.zeros(0, np.float32)
    log_area = np.log(np.maximum(batch.area, 1)).astype(np.float32)
    unit = unit_rows(classification.embeddings)
    quality = batch.predicted_iou * batch.stability_score
    weight = np.asarray(batch.area**_MASS_POWER * quality, np.float32)
    kernel = APPEARANCE_KERNEL[classification.source]
    kinship = _dominant_kinship(log_area, unit, weight, kernel)
    support = max(1.0, float(kinship.sum()))  # it is its own kin, but for rounding
    far = _far_in_size(log_area, kinship) + _far_in_looks(unit, kinship, kernel)
    alike = 1.0 / np.sqrt(1.0 + far)
    evidence = (support - 1.0) / (support - 1.0 + _PRIOR_WEIGHT)
    return np.asarray(HIGHEST * (1.0 - evidence * (1.0 - alike)), np.float32)


def _dominant_kinship(log_area: Floats, unit: Floats, weight: Floats, kernel: float) -> Floats:
    """Return (N,) in [0, 1]: nearness to the candidate with most alike mass around it (1 for itself)."""
    n = len(log_area)
    by_area = np.argsort(-log_area, kind="stable")
    anchors = by_area[np.linspace(0, n - 1, min(n, _MAX_ANCHORS)).astype(np.int64)]
    size = (log_area[:, None] - log_area[anchors]) / np.float32(SIZE_KERNEL)
    looks = np.maximum(1.0 - unit @ unit[anchors].T, 0.0) / np.float32(kernel)  # (N, A)
    kinship = np.exp(-0.5 * size**2 - looks)
    mass = weight @ kinship - weight[anchors]  # its own mass makes nothing dominant
    return np.asarray(kinship[:, int(np.argmax(mass))], np.float32)


def weighted_median(values: NDArray[np.floating[Any]], weights: NDArray[np.floating[Any]]) -> float:
    """Return the value that half of the weight lies up to, of (N,) values, at least one."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def _far_in_size(log_area: Floats, kinship: Floats) -> Floats:
    """0 at the middle of the dominant kind, 1 at 3.5 of its robust spreads, steep beyond."""
    off = np.abs(log_area - weighted_median(log_area, kinship))
    spread = max(SIZE_KERNEL, 1.4826 * weighted_median(off, kinship))
    return np.asarray((off / (3.5 * spread)) ** 4, np.float32)


def _far_in_looks(unit: Floats, kinship: Floats, kernel: float) -> Floats:
    """0 at the mean look of the dominant kind, 1 at four of its median distances, steep beyond."""
    centre = kinship @ unit
    off = np.maximum(0.0, 1.0 - unit @ (centre / max(float(np.linalg.norm(centre)), 1e-9)))
    spread = max(kernel, weighted_median(off, kinship))
    return np.asarray((off / (4.0 * spread)) ** 4, np.float32)
