"""Appearance of a patch as a unit vector, made by hand: colour, texture and shape; no weights needed.

What ``classify`` falls back on where ResNet-50 is not installed. Every part is invariant to rotation
(up to resampling) and to scale, and non-negative, so that the cosine of two patches lies in [0, 1].
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.ops.kinds import unit_rows
from pipeline.types import PatchBatch

_SIDE = 32
_CHUNK = 512
_COLOUR_BINS = (8, 12, 12)  # L, a, b
_GRADIENT_BINS = 8
_RINGS = 4
WEIGHTS = {"lightness": 0.2, "chroma": 0.65, "rings": 0.1, "gradient": 0.1, "shape": 0.1}
"""What the cosine of each part counts, beside 1 for that of a network's looks (docs/accuracy.md)."""

Floats = NDArray[np.float32]


def handcrafted_embeddings(patches: PatchBatch) -> NDArray[np.float16]:
    """Return one unit vector a patch, from the pixels inside its mask only.

    Parts, each of unit length before its weight: square roots of soft histograms of L, and of a and b;
    mean Lab of four rings from the outline inwards; histogram of gradient magnitude; log Hu moments and
    fill of the mask.

    Returns:
        (N, D) float16, D = ``EMBEDDING_SIZE``. A patch with an empty mask is described as if filled.
    """
    chunks = [
        _embed(patches.patches[at : at + _CHUNK], patches.masks[at : at + _CHUNK])
        for at in range(0, len(patches.patches), _CHUNK)
    ]
    return np.concatenate(chunks) if chunks else np.zeros((0, EMBEDDING_SIZE), np.float16)


def _embed(patches: NDArray[np.uint8], masks: NDArray[np.bool_]) -> NDArray[np.float16]:
    lab, inside = _shrink(patches, masks)
    lightness, *chroma = _lab_histograms(lab, inside)
    parts = {
        "lightness": lightness,
        "chroma": np.concatenate(chroma, axis=1),
        "rings": _ring_means(lab, inside),
        "gradient": _gradient_histogram(lab[..., 0], inside),
        "shape": _shape(masks),
    }
    vector = np.concatenate([WEIGHTS[name] ** 0.5 * unit_rows(part) for name, part in parts.items()], axis=1)
    return unit_rows(vector).astype(np.float16)


def _shrink(patches: NDArray[np.uint8], masks: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return Lab in [0, 1], (n, s, s, 3), and mask coverage in [0, 1], (n, s, s), at a small side."""
    size = (_SIDE, _SIDE)
    small = np.stack([cv2.resize(patch, size, interpolation=cv2.INTER_AREA) for patch in patches])
    lab = cv2.cvtColor(small.reshape(-1, _SIDE, 3), cv2.COLOR_RGB2LAB).reshape(small.shape)
    cover = np.stack([cv2.resize(m.astype(np.float32), size, interpolation=cv2.INTER_AREA) for m in masks])
    cover[cover.sum(axis=(1, 2)) == 0] = 1.0
    return lab.astype(np.float32) / 255.0, cover


def _soft_histogram(values: Floats, weights: Floats, n_bins: int) -> Floats:
    """Histogram (n, n_bins) of values in [0, 1], (n, P), each shared by the two nearest bins."""
    place = np.clip(values, 0.0, 1.0) * (n_bins - 1)
    low = np.minimum(place.astype(np.int64), n_bins - 2)
    share = place - low
    row = np.arange(len(values))[:, None] * n_bins
    total = len(values) * n_bins
    counts = np.bincount((row + low).ravel(), (weights * (1 - share)).ravel(), total)
    counts += np.bincount((row + low + 1).ravel(), (weights * share).ravel(), total)
    histogram = counts.reshape(len(values), n_bins)
    return np.asarray(histogram / np.maximum(histogram.sum(axis=1, keepdims=True), 1e-9), np.float32)


def _lab_histograms(lab: Floats, inside: Floats) -> list[Floats]:
    """Return the square roots of the histograms of L, a and b, (n, bins) each."""
    flat, weights = lab.reshape(len(lab), -1, 3), inside.reshape(len(lab), -1)
    spread = np.array([[1.0, 0.0], [2.0, -0.5], [2.0, -0.5]])  # a and b seldom leave the middle half
    return [
        np.sqrt(_soft_histogram(flat[..., c] * spread[c, 0] + spread[c, 1], weights, n_bins))
        for c, n_bins in enumerate(_COLOUR_BINS)
    ]


def _ring_means(lab: Floats, inside: Floats) -> Floats:
    """Mean Lab (n, rings * 3) by normalised distance from the outline: a nut differs from a washer."""
    binary = np.ascontiguousarray(inside >= 0.5, dtype=np.uint8)
    depth = np.stack([cv2.distanceTransform(mask, cv2.DIST_L2, 3) for mask in binary])
    depth /= np.maximum(depth.max(axis=(1, 2), keepdims=True), 1e-6)
    ring = np.minimum((depth * _RINGS).astype(np.int64), _RINGS - 1)
    member = (ring[..., None] == np.arange(_RINGS)) * inside[..., None]
    sums = np.einsum("nyxr,nyxc->nrc", member, lab)
    means = sums / np.maximum(member.sum(axis=(1, 2))[..., None], 1e-6)
    return np.asarray(means.reshape(len(lab), -1), np.float32)


def _gradient_histogram(lightness: Floats, inside: Floats) -> Floats:
    dy, dx = np.gradient(lightness, axis=(1, 2))
    magnitude = np.sqrt(np.hypot(dx, dy)).reshape(len(lightness), -1)
    weights = inside.reshape(len(lightness), -1)
    return np.sqrt(_soft_histogram(magnitude.astype(np.float32), weights, _GRADIENT_BINS))


def _shape(masks: NDArray[np.bool_]) -> Floats:
    """First four log Hu moments scaled to about [0, 1], elongation and fill of the box: (n, 6)."""
    rows = []
    for mask in masks:
        moments = cv2.moments(mask.astype(np.uint8), binaryImage=True)
        hu = np.clip(-np.log10(np.abs(cv2.HuMoments(moments).ravel()[:4]) + 1e-8), 0.0, 8.0) / 8.0
        spread = moments["nu20"] + moments["nu02"]
        skew = np.hypot(moments["nu20"] - moments["nu02"], 2 * moments["nu11"])
        elongation = skew / spread if spread else 0.0
        rows.append([*hu, elongation, mask.mean()])
    return np.array(rows, np.float32)


EMBEDDING_SIZE = sum(_COLOUR_BINS) + 3 * _RINGS + _GRADIENT_BINS + 6
