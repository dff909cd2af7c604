"""Draws one training scene: a photograph-like picture and the instance each pixel belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.train.cutouts import Cutout, make_cutout
from pipeline.train.damage import damage
from pipeline.train.grounds import colour, draw_furniture, draw_ground
from pipeline.train.layouts import LAYOUTS
from pipeline.train.mixtures import with_other_kinds
from pipeline.train.paint import Material, Sprite, cast_shadow, draw_material, draw_sprite, mark, paste
from pipeline.train.plan import Plan
from pipeline.train.plans import draw_plan
from pipeline.train.prototypes import Prototype, make_prototype
from pipeline.train.shapes import MAKERS
from pipeline.train.things import draw_things

Array = NDArray[np.floating[Any]]

SCENE_PX = 256
"""Side of a scene, unless another is asked for."""
COUNTED_RADII = (6.0, 27.0)
"""Area-equivalent radii in px that are positives; just outside is ignored, far outside is background."""
IGNORED_RADII = (4.6, 35.0)
IGNORE = -1
_VARIANTS = 14
_SOME_EMPTY = 0.2
"""Share of the scenes with holders in which some hold nothing."""

Kind = Prototype | Cutout


@dataclass(frozen=True, slots=True)
class Scene:
    """One drawn photograph.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        labels: (S, S) int32. 0 ground, 1... one number an object, IGNORE where neither is taught.
        kinds: (N + 1, 2) int32, for each number its shape and its colours; row 0 stands for the ground.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int32]
    kinds: NDArray[np.int32]


def _draw_counted(rng: np.random.Generator) -> float:
    """Return a radius in px of the sizes that are counted."""
    return float(np.exp(rng.uniform(np.log(6.4), np.log(25.0))))


def _draw_radius(rng: np.random.Generator, size: int) -> float:
    """Return the scene's object radius in px: mostly counted sizes, else much larger or smaller, or 0."""
    regime = rng.random()
    if regime < 0.70:
        return _draw_counted(rng)
    if regime < 0.84:
        return float(np.exp(rng.uniform(np.log(38.0), np.log(0.55 * size))))
    return float(np.exp(rng.uniform(np.log(1.3), np.log(4.2)))) if regime < 0.92 else 0.0


def _draw_number(rng: np.random.Generator, radius: float, plan: Plan, size: int) -> int:
    """Return how many objects to draw, log-uniform, bounded by what fits the picture."""
    fits = (2.0 if plan.layout == "piled" else 0.75) * size**2 / (np.pi * radius**2) + 3
    n_max = plan.n_max * (size / SCENE_PX) ** 2
    most = min(fits, n_max if radius > IGNORED_RADII[0] else 2.5 * n_max)
    if rng.random() < (0.7 if plan.layout == "piled" else 0.35):
        return int(most)
    return int(np.exp(rng.uniform(0, np.log(most + 1))))


def _label_of(number: int, radius: float) -> int:
    """Return the label an object of this radius gets: its number, IGNORE or ground."""
    if COUNTED_RADII[0] <= radius <= COUNTED_RADII[1]:
        return number
    return IGNORE if IGNORED_RADII[0] <= radius <= IGNORED_RADII[1] else 0


def _draw_holder(image: Array, at: tuple[int, int], reach: float, plan: Plan, tint: Array) -> None:
    """Draw the ring, dimple or cell an object lies in."""
    radius, thick = int(reach * 1.35) + 1, max(1, int(reach * 0.15))
    if plan.holder == "ring":
        cv2.circle(image, at, radius, tint.tolist(), thick, cv2.LINE_AA)
    elif plan.holder == "dimple":
        cv2.circle(image, at, radius, tint.tolist(), -1, cv2.LINE_AA)
        cv2.circle(
            image,
            (at[0] + thick, at[1] + thick),
            radius,
            (tint * 0.7).tolist(),
            max(1, thick // 2),
            cv2.LINE_AA,
        )
    else:
        low, high = (at[0] - radius, at[1] - radius), (at[0] + radius, at[1] + radius)
        cv2.rectangle(image, low, high, tint.tolist(), -1 if reach % 2 < 1 else thick, cv2.LINE_AA)


def _litter(rng: np.random.Generator, image: Array) -> None:
    """Draw things of the wrong size that nobody counts: a few very large, or many tiny."""
    large = rng.random() < 0.5
    kind, matter = make_prototype(rng, str(rng.choice(list(MAKERS)))), draw_material(rng)
    pair = colour(rng), colour(rng)
    for _ in range(int(rng.integers(1, 3)) if large else int(rng.integers(4, 30))):
        radius = rng.uniform(50, 130) if large else rng.uniform(1.0, 3.8)
        at = rng.uniform(0, len(image), 2).astype(int)
        sprite = draw_sprite(rng, kind, radius, rng.uniform(0, 2 * np.pi), matter)
        spot = int(at[0]), int(at[1])
        cast_shadow(image, sprite, spot, radius, matter)
        paste(image, sprite, spot, pair)


def _jitter(rng: np.random.Generator, plan: Plan, pair: int) -> tuple[Array, Array]:
    """Return one object's two colours, near a pair of the palette."""
    first, second = plan.palette[pair]
    shift = rng.normal(0, plan.colour_spread, 3) if plan.colour_spread else 0.0
    gain = np.exp(rng.normal(0, plan.brightness_spread)) if plan.brightness_spread else 1.0
    return tuple(np.clip((c + shift) * gain, 0, 255).astype(np.float32) for c in (first, second))


def _draw_kinds(rng: np.random.Generator, plan: Plan) -> list[Kind]:
    """Return the scene's kinds of objects, drawn or from pictures."""
    if plan.pictured:
        return [make_cutout(rng, picture) for picture in draw_things(rng, plan.pictured)]
    return [make_prototype(rng, name) for name in plan.makers]


def _sprite(rng: np.random.Generator, kind: Kind, radius: float, angle: float, matter: Material) -> Sprite:
    if isinstance(kind, Cutout):
        return kind.draw(rng, radius, angle, matter)
    return draw_sprite(rng, kind, radius, angle, matter)


def _draw_variants(
    rng: np.random.Generator, plan: Plan, kinds: list[Kind], radii: NDArray[np.float64]
) -> list[tuple[Sprite, float, int]]:
    """Return a sprite, its radius and the number of its kind for up to ``_VARIANTS`` different objects."""
    upright = rng.random() < 0.6
    base = rng.integers(4) * np.pi / 2 if upright else rng.uniform(0, 2 * np.pi)
    wobble = rng.choice([0.0, 0.06])
    out = []
    for i in range(min(len(radii), _VARIANTS)):
        kind = i % len(kinds)
        angle = base + rng.normal(0, wobble) if plan.aligned else rng.uniform(0, 2 * np.pi)
        radius = float(radii[i]) * (plan.sizes[kind] if plan.sizes else 1.0)
        sprite = _sprite(rng, kinds[kind], radius, angle, plan.material)
        out.append((sprite, radius, kind))
    return out


def _keep_visible(labels: NDArray[np.int32], full: dict[int, tuple[int, int]]) -> NDArray[np.int32]:
    """Return labels where objects hardly in the picture or mostly covered are IGNORE."""
    seen = np.bincount(np.clip(labels, 0, None).ravel(), minlength=max(full, default=0) + 1)
    table = np.arange(len(seen), dtype=np.int32)
    for number, (inside, total) in full.items():
        if seen[number] < 0.35 * inside or inside < 0.3 * total:
            table[number] = IGNORE
    return np.where(labels > 0, table[np.clip(labels, 0, None)], labels).astype(np.int32)


def _place(
    rng: np.random.Generator, plan: Plan, image: Array, labels: NDArray[np.int32], radius: float
) -> NDArray[np.int32]:
    """Draw the scene's objects over ``image`` and their numbers into ``labels``; return ``Scene.kinds``."""
    kinds = _draw_kinds(rng, plan)
    n = _draw_number(rng, radius, plan, len(image))
    radii = np.clip(radius * np.exp(rng.normal(0, plan.spread, n)), 0.45 * radius, 2.2 * radius)
    variants = _draw_variants(rng, plan, kinds, radii)
    chosen = [variants[i % len(variants)] for i in range(n)]
    slender = np.array([kinds[k].reach / kinds[k].unit for _, _, k in chosen])
    apart = (
        slender
        if plan.layout in ("scattered", "gridded") and rng.random() < 0.7
        else np.minimum(slender, 1.15)
    )
    room = np.array([r for _, r, _ in chosen]) * apart
    places = LAYOUTS[plan.layout](rng, len(image), room, plan.gap).astype(int)[:n]
    if plan.receding:
        size = np.array([r for _, r, _ in chosen[: len(places)]])
        nearer = np.argsort(size * np.exp(rng.normal(0, 0.15, len(size))), kind="stable")
        places, chosen, room = places[np.argsort(places[:, 1])], [chosen[i] for i in nearer], room[nearer]
    tint = np.clip(image.mean((0, 1)) * rng.uniform(0.5, 1.6) + rng.normal(0, 15, 3), 0, 255)
    if plan.holder != "none":
        for (x, y), reach in zip(places.tolist(), room, strict=False):
            _draw_holder(image, (x, y), float(np.clip(reach, 3, 200)), plan, tint)
        if rng.random() < _SOME_EMPTY:
            held = np.flatnonzero(rng.random(len(places)) > rng.uniform(0.1, 0.6))
            places, chosen = places[held], [chosen[i] for i in held]
    full: dict[int, tuple[int, int]] = {}
    looks = [(0, 0)]
    for number, ((x, y), (sprite, r, kind)) in enumerate(zip(places.tolist(), chosen, strict=False), start=1):
        if plan.material.shadow:
            cast_shadow(image, sprite, (x, y), r, plan.material)
        pair = kind % len(plan.palette) if plan.own_colours else int(rng.integers(len(plan.palette)))
        paste(image, sprite, (x, y), _jitter(rng, plan, pair))
        looks.append((kind, pair))
        value = _label_of(number, r)
        inside = mark(labels, sprite, (x, y), value)
        if value > 0:
            full[number] = inside
    labels[:] = _keep_visible(labels, full)
    return np.array(looks, np.int32)


def draw_nothing(rng: np.random.Generator, size: int) -> Scene:
    """Return a scene with furniture on a busy ground and nothing that counts; ``size`` is its side in px."""
    image = draw_ground(rng, size, busy=True, noisy=20.0)
    draw_furniture(rng, image)
    draw_furniture(rng, image)
    return Scene(damage(rng, image), np.zeros((size, size), np.int32), np.zeros((1, 2), np.int32))


def draw_scene(seed: int, size: int = SCENE_PX, *, several: bool = False) -> Scene:
    """Return the scene of a seed; the same seed gives the same pixels.

    Args:
        seed: of all choices.
        size: side in px.
        several: things of counted sizes and of several kinds, as exemplars tell apart.
    """
    rng = np.random.default_rng(seed)
    radius = _draw_counted(rng) if several else _draw_radius(rng, size)
    if radius == 0.0:
        return draw_nothing(rng, size)
    plan = draw_plan(rng, size)
    if several:
        plan = with_other_kinds(rng, plan)
    image = np.ascontiguousarray(plan.ground)
    if rng.random() < 0.2:
        _litter(rng, image)
    labels = np.zeros((size, size), np.int32)
    kinds = _place(rng, plan, image, labels, radius)
    return Scene(damage(rng, image), labels, kinds)
