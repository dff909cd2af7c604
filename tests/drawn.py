"""Scenes with a known number of objects, drawn by code."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

Scene = NDArray[np.uint8]

GROUND, OBJECT = (205, 200, 190), (90, 60, 50)
RED, LIGHT, DARK = (200, 60, 40), (230, 230, 230), (30, 30, 30)


def encoded(picture: Scene | PillowImage.Image, **options: Any) -> bytes:
    """Return the file of a picture: a PNG, or what ``options`` ask of Pillow."""
    if not isinstance(picture, PillowImage.Image):
        picture = PillowImage.fromarray(picture)
    file = io.BytesIO()
    picture.save(file, **{"format": "PNG"} | options)
    return file.getvalue()


def ground(
    height: int = 400, width: int = 600, colour: tuple[int, int, int] = GROUND, seed: int = 0
) -> Scene:
    """Return a plain ground with a little sensor noise."""
    noise = np.random.default_rng(seed).normal(0, 2, (height, width, 3))
    return np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)


def grid(n_columns: int, n_rows: int, step: int, start: int = 50) -> list[tuple[int, int]]:
    """Return the (x, y) centres of a grid."""
    return [(start + step * c, start + step * r) for r in range(n_rows) for c in range(n_columns)]


def discs(
    scene: Scene, centres: list[tuple[int, int]], radius: int, colour: tuple[int, ...] = OBJECT
) -> Scene:
    """Return the scene with filled circles."""
    drawn = scene.copy()
    for centre in centres:
        cv2.circle(drawn, centre, radius, colour, -1, cv2.LINE_AA)
    return drawn


def rods(scene: Scene, centres: list[tuple[int, int]], size: tuple[int, int] = (50, 12)) -> Scene:
    """Return the scene with rectangles, each turned by another angle."""
    drawn = scene.copy()
    for i, centre in enumerate(centres):
        corners = cv2.boxPoints((centre, size, 37.0 * i)).astype(np.int32)
        cv2.fillPoly(drawn, [corners], OBJECT, cv2.LINE_AA)
    return drawn


def rings(scene: Scene, centres: list[tuple[int, int]], radius: int) -> Scene:
    """Return the scene with thick circles, open in the middle."""
    drawn = scene.copy()
    for centre in centres:
        cv2.circle(drawn, centre, radius, OBJECT, radius // 2, cv2.LINE_AA)
    return drawn


def shaded(scene: Scene, darkest: float = 0.45) -> Scene:
    """Return the scene lit from one corner."""
    y, x = np.mgrid[0 : scene.shape[0], 0 : scene.shape[1]]
    light = 1 - (1 - darkest) * (x / scene.shape[1] + y / scene.shape[0]) / 2
    return (scene * light[:, :, None]).astype(np.uint8)


def with_shadows(scene: Scene, centres: list[tuple[int, int]], radius: int) -> Scene:
    """Return the scene with a soft shadow beside each place, to be drawn before the objects."""
    shadow = np.ones(scene.shape[:2], np.float32)
    for x, y in centres:
        cv2.circle(shadow, (x + radius // 4, y + radius // 4), radius, 0.8, -1)
    return (scene * cv2.GaussianBlur(shadow, (0, 0), 4)[:, :, None]).astype(np.uint8)


HALF = 22
DISCS, SQUARES = grid(6, 4, 90, start=60)[::2], grid(6, 4, 90, start=60)[1::2]


def tray() -> Scene:
    """Return 12 dark ``DISCS`` and 12 blue ``SQUARES`` in turn, each 2 ``HALF`` px wide."""
    drawn = discs(ground(400, 570), DISCS, HALF)
    for x, y in SQUARES:
        cv2.rectangle(drawn, (x - HALF, y - HALF), (x + HALF, y + HALF), (40, 60, 150), -1)
    return drawn


CENTRES = grid(7, 4, 80)
PAIRS = [(x + dx, y) for x, y in grid(4, 3, 130, start=60) for dx in (0, 38)]

SCENES: dict[str, tuple[Callable[[], Scene], int]] = {
    "dark discs": (lambda: discs(ground(), CENTRES, 20), 28),
    "bright discs on dark": (lambda: discs(ground(colour=(40, 45, 50)), CENTRES, 20, (200, 190, 120)), 28),
    "touching pairs of discs": (lambda: discs(ground(), PAIRS, 20), 24),
    "rods": (lambda: rods(ground(), CENTRES), 28),
    "rings": (lambda: rings(ground(), CENTRES, 20), 28),
    "discs in uneven light": (lambda: shaded(discs(ground(), CENTRES, 20)), 28),
    "discs with shadows": (lambda: discs(with_shadows(ground(), CENTRES, 20), CENTRES, 20, RED), 28),
    "small discs": (lambda: discs(ground(), grid(25, 16, 22, start=20), 6), 400),
    "discs close together": (lambda: discs(ground(), grid(32, 21, 18, start=20), 6), 672),
    "one large disc": (lambda: discs(ground(), [(300, 200)], 100), 1),
    "bright and dark discs": (
        lambda: discs(
            discs(ground(colour=(128, 128, 128)), CENTRES[::2], 20, LIGHT), CENTRES[1::2], 20, DARK
        ),
        28,
    ),
    "plain ground": (ground, 0),
    "gradient": (lambda: shaded(ground()), 0),
}
"""Name → (function that draws it, true number)."""
