"""What cameras and files do to a scene: light, colour, blur, noise, compression."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.train.grounds import noise

Array = NDArray[np.floating[Any]]


def _uneven(rng: np.random.Generator, image: Array) -> Array:
    """Darken one side or the corners."""
    size = image.shape[0]
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    if rng.random() < 0.5:
        fall = 1 - rng.uniform(0.1, 0.6) * (axis[None, :] ** 2 + axis[:, None] ** 2) / 2
    else:
        turn = rng.uniform(0, 2 * np.pi)
        fall = 1 + rng.uniform(0.1, 0.45) * (axis[None, :] * np.cos(turn) + axis[:, None] * np.sin(turn))
    return image * fall[..., None].astype(np.float32)


def _tint(rng: np.random.Generator, image: Array) -> Array:
    """Shift the white balance, or drop the colour."""
    if rng.random() < 0.3:
        return np.repeat(image @ np.array([[0.3], [0.59], [0.11]], np.float32), 3, axis=2)
    return image * rng.uniform(0.75, 1.2, 3).astype(np.float32)


def _tone(rng: np.random.Generator, image: Array) -> Array:
    """Change gamma, then squeeze the range: dim, pale or low in contrast."""
    image = 255 * (np.clip(image, 0, 255) / 255) ** np.float32(rng.uniform(0.6, 1.6))
    if rng.random() < 0.35:
        low, high = rng.uniform(0, 120), rng.uniform(0.15, 1.0)
        image = low + image * np.float32(high * (255 - low) / 255)
    return image


def _blur(rng: np.random.Generator, image: Array) -> Array:
    """Blur evenly, or with a depth that changes over the picture."""
    sigma = rng.choice([0.5, 0.8, 1.2, 1.8])
    soft = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)
    if rng.random() < 0.7:
        return soft
    depth = np.clip(2 * noise(rng, image.shape[0], 2) - 0.5, 0, 1)[..., None]
    return np.asarray(image + (soft - image) * depth)


def _compress(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Encode and decode as JPEG."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 96))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8) if done else image


def _enlarged(rng: np.random.Generator, image: Array) -> NDArray[np.uint8]:
    """Take a smaller photograph and enlarge it with its noise and compression, as small things are seen."""
    size = image.shape[0]
    side = round(size / rng.uniform(1.3, 3.5))
    small: Array = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(cv2.resize(_taken(rng, small), (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)


def _taken(rng: np.random.Generator, image: Array) -> NDArray[np.uint8]:
    """Add noise, perhaps, and what compression does."""
    if rng.random() < 0.6:
        sigma = rng.choice([1, 3, 6, 12, 25], p=[0.24, 0.24, 0.24, 0.2, 0.08])
        image = image + rng.normal(0, sigma, image.shape).astype(np.float32)
    out = np.clip(image, 0, 255).astype(np.uint8)
    return _compress(rng, out) if rng.random() < 0.6 else out


def damage(rng: np.random.Generator, image: Array) -> NDArray[np.uint8]:
    """Return the (S, S, 3) uint8 photograph of a clean float32 scene."""
    for chance, step in ((0.5, _uneven), (0.5, _tint), (0.6, _tone), (0.45, _blur)):
        if rng.random() < chance:
            image = step(rng, image)
    return (_enlarged if rng.random() < 0.2 else _taken)(rng, image)
