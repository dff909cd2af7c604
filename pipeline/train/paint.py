"""How drawn objects look: matter, light, shadow; one sprite at a time over the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.train.grounds import noise, photo_relief
from pipeline.train.prototypes import Prototype

Array = NDArray[np.floating[Any]]

LEAST_CONTRAST = 22.0
"""What a thing of a picture differs from the ground under it in one colour at least, of 255."""


@dataclass(frozen=True, slots=True)
class Material:
    """Surface and light shared by the objects of a scene.

    Attributes:
        ambient, diffuse, gloss: shares of flat, sloped and mirrored light.
        tightness: exponent of the highlight. light_xy: where the light comes from.
        speckle: strength of the surface pattern; speckle_cells: its bumps across an object.
        opacity, opacity_second: below 1 the ground shows through the part in the first or second colour.
        soft_px: width of the edge. rim: darkening towards the outline.
        texture: share of a photograph's light and dark on the surface.
        shadow: its strength; shadow_xy: its reach in radii; shadow_soft: its blur in radii;
            shadow_swept: it reaches from the object to there, as that of something tall.
    """

    ambient: float
    diffuse: float
    gloss: float
    tightness: float
    light_xy: tuple[float, float]
    speckle: float
    speckle_cells: float
    opacity: float
    opacity_second: float
    soft_px: float
    rim: float
    texture: float
    shadow: float
    shadow_xy: tuple[float, float]
    shadow_soft: float
    shadow_swept: bool


def draw_material(rng: np.random.Generator) -> Material:
    """Draw a material: matte, shiny, translucent, with no, soft or hard shadows."""
    turn, shadow_reach = rng.uniform(0, 2 * np.pi), rng.choice([0.0, 0.15, 0.3, 0.6, 1.0, 1.6])
    opacity = rng.uniform(0.35, 0.9) if rng.random() < 0.15 else 1.0
    light = (float(np.cos(turn)), float(np.sin(turn)))
    return Material(
        ambient=rng.uniform(0.5, 0.95),
        diffuse=rng.uniform(0.0, 0.7),
        gloss=rng.choice([0.0, 0.0, rng.uniform(0.1, 0.9)]),
        tightness=rng.uniform(4, 40),
        light_xy=light,
        speckle=rng.choice([0.0, 0.05, 0.15, 0.4]),
        speckle_cells=rng.uniform(2, 9),
        opacity=opacity,
        opacity_second=rng.uniform(0.2, 0.7) if rng.random() < 0.12 else opacity,
        soft_px=rng.choice([1.0, 1.0, 2.0]),
        rim=rng.choice([0.0, 0.2, 0.5]),
        texture=rng.uniform(0.2, 1.0) if rng.random() < 0.2 else 0.0,
        shadow=rng.choice([0.0, rng.uniform(0.2, 0.6), rng.uniform(0.5, 0.92)]),
        shadow_xy=(-light[0] * shadow_reach, -light[1] * shadow_reach),
        shadow_soft=rng.choice([0.03, 0.1, 0.3]),
        shadow_swept=rng.random() < 0.5,
    )


@dataclass(frozen=True, slots=True)
class Sprite:
    """One drawn geometry, without colour; arrays are (S, S).

    Attributes:
        filled: bool, what is counted (holes filled). alpha: coverage. tone: first to second colour.
        shade: factor on the colour. shine: light added, in [0, 1].
        skin: (S, S, 3) RGB in [0, 255], its own colours in place of all that.
    """

    filled: NDArray[np.bool_]
    alpha: Array
    tone: Array
    shade: Array
    shine: Array
    skin: Array | None = None


def draw_sprite(
    rng: np.random.Generator, kind: Prototype, radius: float, angle: float, matter: Material
) -> Sprite:
    """Return the object at an area-equivalent radius in px, turned by ``angle``."""
    scale = radius / kind.unit
    half = int(np.ceil(kind.reach * scale + 2 * matter.soft_px))
    axis = np.arange(-half, half + 1, dtype=np.float32) / np.float32(scale)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x, y = axis[None, :] * cos + axis[:, None] * sin, axis[:, None] * cos - axis[None, :] * sin
    stretch = np.float32(rng.uniform(0.9, 1.1))
    form = kind.field(x * stretch, y / stretch)
    tone = np.clip(form.tone, 0, 1)
    alpha = np.clip(0.5 - form.solid * scale / matter.soft_px, 0, 1)
    alpha = alpha * (matter.opacity + (matter.opacity_second - matter.opacity) * tone)
    relief = cv2.GaussianBlur(form.height.astype(np.float32), (0, 0), 0.7) * np.float32(radius * 0.5)
    gy, gx = np.gradient(relief)
    steep = np.sqrt(gx * gx + gy * gy + 1.0)
    facing = -(gx * matter.light_xy[0] + gy * matter.light_xy[1]) / steep
    mirrored = np.clip(0.6 * facing + 0.8 / steep, 0, 1) ** matter.tightness
    shade = matter.ambient + matter.diffuse * facing - matter.rim * np.clip(1 + form.solid / 0.35, 0, 1) ** 2
    if matter.speckle:
        shade = shade + matter.speckle * (noise(rng, len(axis), matter.speckle_cells) - 0.5) * 2
    if matter.texture:
        shade = shade * (1 + matter.texture * (photo_relief(rng, len(axis)) - 1))
    return Sprite(form.outer < 0, alpha, tone, np.clip(shade, 0.05, 1.6), matter.gloss * mirrored)


def _overlap(at: tuple[int, int], side: int, size: int) -> tuple[slice, slice, slice, slice] | None:
    """Return picture rows, picture columns, sprite rows and sprite columns where they meet."""
    left, top = at[0] - side // 2, at[1] - side // 2
    x0, x1, y0, y1 = max(0, left), min(size, left + side), max(0, top), min(size, top + side)
    if x0 >= x1 or y0 >= y1:
        return None
    return slice(y0, y1), slice(x0, x1), slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)


def cast_shadow(image: Array, sprite: Sprite, at: tuple[int, int], radius: float, matter: Material) -> None:
    """Darken ``image`` under and beside a sprite that is about to be drawn at ``at`` (x, y)."""
    blur = max(0.4, matter.shadow_soft * radius)
    reach = int(matter.shadow_xy[0] * radius), int(matter.shadow_xy[1] * radius)
    moved, far = at, max(abs(reach[0]), abs(reach[1]))
    pad = int(3 * blur) + 1 + far * matter.shadow_swept
    mask = np.asarray(np.pad(sprite.alpha, pad), np.float32)
    if matter.shadow_swept and far:
        way = np.zeros((2 * far + 1, 2 * far + 1), np.uint8)
        cv2.line(way, (far, far), (far - reach[0], far - reach[1]), 1)
        mask = np.asarray(cv2.dilate(mask, way), np.float32)
    else:
        moved = at[0] + reach[0], at[1] + reach[1]
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), blur), np.float32)
    meet = _overlap(moved, mask.shape[0], image.shape[0])
    if meet:
        image[meet[0], meet[1]] *= 1 - matter.shadow * mask[meet[2], meet[3], None]


def paste(image: Array, sprite: Sprite, at: tuple[int, int], colours: tuple[Array, Array]) -> None:
    """Draw a sprite in two colours ((3,) RGB in [0, 255]) at ``at`` (x, y) into ``image``."""
    meet = _overlap(at, sprite.alpha.shape[0], image.shape[0])
    if not meet:
        return
    rows, cols, r, c = meet
    tone, alpha = sprite.tone[r, c, None], sprite.alpha[r, c, None]
    if sprite.skin is not None:
        body = _told_apart(sprite.skin[r, c], image[rows, cols], alpha)
    else:
        body = (colours[0] + (colours[1] - colours[0]) * tone) * sprite.shade[r, c, None]
        body = body + 255 * sprite.shine[r, c, None]
    image[rows, cols] += (np.clip(body, 0, 255) - image[rows, cols]) * alpha


def _told_apart(body: Array, ground: Array, alpha: Array) -> Array:
    """Return the colours of a thing, lighter or darker where they are those of the ground."""
    inside = max(float(alpha.sum()), 1e-3)
    off = ((body - ground) * alpha).sum((0, 1)) / inside
    if np.abs(off).max() > LEAST_CONTRAST:
        return body
    level = float((ground * alpha).sum() / (3 * inside))
    return np.asarray(body + np.float32(2 * LEAST_CONTRAST if level < 128 else -2 * LEAST_CONTRAST))


def mark(labels: NDArray[np.int32], sprite: Sprite, at: tuple[int, int], value: int) -> tuple[int, int]:
    """Write ``value`` where the sprite's filled outline lies; return its px inside and in all."""
    total = int(sprite.filled.sum())
    meet = _overlap(at, sprite.filled.shape[0], labels.shape[0])
    if not meet:
        return 0, total
    rows, cols, r, c = meet
    inside = sprite.filled[r, c]
    labels[rows, cols][inside] = value
    return int(inside.sum()), total
