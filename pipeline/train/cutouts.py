"""Pictures of things as objects of a scene: stretched, turned, bent and recoloured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.train.paint import Material, Sprite

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Cutout:
    """One kind of object, made of a picture.

    Attributes:
        picture: (H, W, 4) float32, RGB in [0, 255] times alpha, and alpha in [0, 1].
        centre: (2,) x, y of its middle. shape: (2, 2) what stretches it.
        unit, reach: area-equivalent radius and farthest point, in px of the picture.
        bend: how far it is bent each time it is drawn, in radii.
    """

    picture: Array
    centre: Array
    shape: Array
    unit: float
    reach: float
    bend: float

    def draw(self, rng: np.random.Generator, radius: float, angle: float, matter: Material) -> Sprite:
        """Return the object at an area-equivalent radius in px, turned by ``angle``, perhaps mirrored."""
        scale = radius / self.unit
        half = int(np.ceil(self.reach * scale * (1 + 2 * self.bend) + 2))
        mirror = np.diag([-1.0 if rng.random() < 0.5 else 1.0, 1.0])
        back = np.linalg.inv(_turn(angle) @ mirror @ self.shape * scale)
        y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
        if self.bend:
            waves = rng.normal(0, self.bend * radius, (2, 3, 3)).astype(np.float32)
            dx, dy = (cv2.resize(w, x.shape, interpolation=cv2.INTER_CUBIC) for w in waves)
            x, y = x + dx, y + dy
        picture, level = _reduced(self.picture, 1 / float(np.linalg.norm(back, 2)))
        u, v = (
            ((row[0] * x + row[1] * y + middle + 0.5) * level - 0.5).astype(np.float32)
            for row, middle in zip(back, self.centre, strict=True)
        )
        out = cv2.remap(picture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        alpha: Array = np.clip(out[..., 3], 0, 1).astype(np.float32)
        light = np.clip(matter.ambient + 0.35, 0.6, 1.2) * np.exp(rng.normal(0, 0.06))
        skin = np.clip(out[..., :3] / np.maximum(alpha, 1e-3)[..., None] * np.float32(light), 0, 255)
        none = np.zeros_like(alpha)
        return Sprite(ndimage.binary_fill_holes(alpha > 0.5), alpha, none, none + 1, none, skin)


def make_cutout(rng: np.random.Generator, picture: NDArray[np.uint8]) -> Cutout:
    """Draw how a picture of a thing, (H, W, 4) uint8 RGBA, is stretched and recoloured."""
    long = rng.random() < 0.25
    stretch = float(np.exp(rng.uniform(0, 1.1) if long else rng.normal(0, 0.1)))
    stretch = 1 / stretch if rng.random() < 0.5 else stretch
    turn = _turn(0.0 if rng.random() < 0.6 else rng.uniform(0, np.pi))
    shape = turn.T @ np.diag([np.sqrt(stretch), 1 / np.sqrt(stretch)]) @ turn
    y, x = np.nonzero(picture[..., 3] > 127)
    centre = np.array([x.mean(), y.mean()])
    points = (np.stack([x, y], 1)[:: max(1, len(x) // 500)] - centre) @ shape.T
    colours = np.clip(picture[..., :3].astype(np.float32) @ _draw_mix(rng).T, 0, 255)
    if rng.random() < 0.05:
        colours = 255 - colours
    alpha = picture[..., 3:].astype(np.float32) / 255
    return Cutout(
        picture=np.concatenate([colours * alpha, alpha], axis=2),
        centre=centre,
        shape=shape,
        unit=float(np.sqrt(len(x) / np.pi)),
        reach=float(np.hypot(*points.T).max()),
        bend=float(rng.choice([0.0, 0.04, 0.1])),
    )


def _draw_mix(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a (3, 3) change of colours: none, swapped, one tint only, or warmer and colder."""
    kind, mix = rng.random(), np.eye(3)
    if kind < 0.25:
        mix = mix[rng.permutation(3)]
    elif kind < 0.4:
        mix = np.full((3, 3), 1 / 3) * rng.uniform(0.6, 1.3, 3)[:, None]
    elif kind < 0.55:
        mix = np.diag(rng.uniform(0.5, 1.4, 3))
    return mix.astype(np.float32)


def _turn(angle: float) -> Array:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def _reduced(picture: Array, scale: float) -> tuple[Array, float]:
    """Return the picture halved as often as a scale allows, so that it does not alias, and by how much."""
    level = 1.0
    while scale < 0.55 and min(picture.shape[:2]) > 8:
        picture = np.asarray(
            cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.float32
        )
        scale, level = scale * 2, level / 2
    return picture, level
