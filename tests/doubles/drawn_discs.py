"""Pictures with a known number of round things, for engines that need no training scenes."""

from __future__ import annotations

import cv2
import numpy as np

DISC_PX = 9
PITCH_PX = 32


def drawn_discs(n: int, seed: int = 0, size_hw: tuple[int, int] = (352, 352)) -> np.ndarray:
    """Return a noisy (H, W, 3) picture with ``n`` discs of 9 px radius, at least 8 px apart."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    image = np.full((height, width, 3), rng.integers(170, 225, 3), np.float32)
    rows, columns = height // PITCH_PX, width // PITCH_PX
    spots = rng.permutation(rows * columns)[:n]
    for spot in spots:
        y, x = (np.array(divmod(int(spot), columns)) + 0.5) * PITCH_PX + rng.uniform(-2.5, 2.5, 2)
        cv2.circle(image, (int(x), int(y)), DISC_PX, rng.integers(20, 110, 3).tolist(), -1, cv2.LINE_AA)
    return np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
