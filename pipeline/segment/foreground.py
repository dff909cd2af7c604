"""Where an image differs from its background: several maps, each a guess at what sets the objects off."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

BIN = 8
"""Side of the Lab histogram's cells when the dominant colour is looked for."""

LOCAL_SHARE = 0.12
"""Width of the neighbourhood of the local-contrast maps, as a share of the longer side."""

BLUR_SIGMA_PX = 1.2


def to_lab(pixels_hw3: NDArray[np.uint8]) -> Floats:
    """Return (H, W, 3) float32 Lab (L in [0, 100]) of slightly smoothed pixels."""
    smooth = cv2.GaussianBlur(pixels_hw3, (0, 0), BLUR_SIGMA_PX)
    return np.asarray(cv2.cvtColor(smooth.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), dtype=np.float32)


def noise_sigma(lab: Floats) -> float:
    """Return the standard deviation of the noise left in smoothed Lab, all three channels together.

    From the smaller differences between pixels two apart, which after this blur have the deviation of
    the noise itself; the larger ones are edges, which may be nearly everywhere.
    """
    apart = np.concatenate(
        [np.abs(lab[2:] - lab[:-2]).reshape(-1, 3), np.abs(lab[:, 2:] - lab[:, :-2]).reshape(-1, 3)]
    )
    sigmas = np.quantile(apart, 0.2, axis=0) / 0.2533  # a fifth of a bell curve lies within
    return float(np.linalg.norm(sigmas))


def foreground_maps(lab: Floats) -> dict[str, Floats]:
    """Return (H, W) float32 maps by name, in Lab units, 0 where nothing stands out.

    Backgrounds are smooth surfaces (second order, so gradients and vignettes are background) fitted to
    the dominant colour of the whole image and to that of its border.
    """
    maps: dict[str, Floats] = {}
    fits: list[Floats] = []
    for name, region in (("image", lab.reshape(-1, 3)), ("border", _border(lab))):
        background = fit_background(lab, _dominant(region))
        if any(float(np.abs(background - other).mean()) < 2 for other in fits):
            continue
        fits.append(background)
        off = lab - background
        maps[f"colour from {name}"] = np.sqrt((off**2).sum(axis=2))
        maps[f"brighter than {name}"] = np.maximum(off[..., 0], 0)
        maps[f"darker than {name}"] = np.maximum(-off[..., 0], 0)
        maps[f"chroma from {name}"] = np.hypot(off[..., 1], off[..., 2])
    sigma = LOCAL_SHARE * max(lab.shape[:2]) / 2
    local = lab[..., 0] - _wide_blur(lab[..., 0], sigma)
    maps["locally bright"], maps["locally dark"] = np.maximum(local, 0), np.maximum(-local, 0)
    return maps


def fit_background(lab: Floats, colour: Floats) -> Floats:
    """Return (H, W, 3): the smooth surface through the pixels near ``colour``, grown outwards.

    Args:
        lab: (H, W, 3).
        colour: (3,) where to start.
    """
    height, width = lab.shape[:2]
    step = max(1, int(np.sqrt(height * width / 20_000)))
    y, x = np.mgrid[0:height:step, 0:width:step]
    sample = lab[::step, ::step].reshape(-1, 3)
    terms = _terms(x.ravel() / width - 0.5, y.ravel() / height - 0.5)
    off = np.linalg.norm(sample - colour, axis=1)
    limit = 12.0
    coefficients = np.zeros((terms.shape[1], 3), dtype=np.float32)
    for n_terms in (1, 3, 3, 6, 6, 6):  # flat, then tilted, then curved
        near = off < limit
        if near.sum() < 50:
            break
        solved, *_ = np.linalg.lstsq(terms[near, :n_terms], sample[near], rcond=None)
        coefficients = np.zeros_like(coefficients)
        coefficients[:n_terms] = solved
        off = np.linalg.norm(sample - terms @ coefficients, axis=1)
        limit = float(np.clip(3.5 * np.median(off[off < limit]), 5, 12)) if (off < limit).any() else limit
    if not coefficients.any():
        coefficients[0] = colour
    rows, columns = np.mgrid[0:height, 0:width]
    full = _terms((columns / width - 0.5).ravel(), (rows / height - 0.5).ravel())
    return np.asarray(full @ coefficients, dtype=np.float32).reshape(height, width, 3)


def _terms(x: NDArray[np.float64], y: NDArray[np.float64]) -> Floats:
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1).astype(np.float32)


def _dominant(colours: Floats) -> Floats:
    """Return the most frequent colour of (P, 3) Lab: the mean of the fullest neighbourhood."""
    cells = np.floor((colours + np.array([0, 128, 128], np.float32)) / BIN).astype(np.int64)
    n = 256 // BIN + 1
    counts = np.bincount(np.ravel_multi_index(cells.T, (n, n, n)), minlength=n**3).reshape(n, n, n)
    smooth = counts.astype(np.float32)
    for axis in range(3):
        smooth = smooth + 0.5 * (np.roll(smooth, 1, axis) + np.roll(smooth, -1, axis))
    best = np.array(np.unravel_index(int(np.argmax(smooth)), smooth.shape))
    near = (np.abs(cells - best) <= 1).all(axis=1)
    return np.asarray(colours[near].mean(axis=0), dtype=np.float32)


def _border(lab: Floats) -> Floats:
    """Return the colours of a frame of 3 % of the image."""
    margin = max(2, int(0.03 * min(lab.shape[:2])))
    inner = np.ones(lab.shape[:2], dtype=np.bool_)
    inner[margin:-margin, margin:-margin] = False
    return lab[inner]


def _wide_blur(channel: Floats, sigma: float) -> Floats:
    """Blur at a quarter of the size: the same for wide kernels, and fast."""
    height, width = channel.shape
    small = cv2.resize(channel, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), max(sigma / 4, 0.5), borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.resize(blurred, (width, height)), dtype=np.float32)
