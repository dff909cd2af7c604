"""Draws heaps and crowds with known truth: many things of one kind, apart, touching, or over each other.

Used by tools/fit_density.py and bench/density.py, which draw with other seeds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.train.damage import damage
from pipeline.train.grounds import fractal
from pipeline.train.paint import cast_shadow, draw_sprite, mark, paste
from pipeline.train.plan import Plan
from pipeline.train.plans import draw_plan
from pipeline.train.prototypes import make_prototype

SIDES_PX = (384, 512, 640, 768)
MIN_VISIBLE = 0.25
"""A thing of which less is to be seen is not in the truth: nobody could count it."""
MAX_THINGS = 12_000
_VARIANTS = 24
_HEAPED = ("disc", "blob", "blob", "capsule", "worm", "grain", "coin", "nut", "plate", "log_end", "screw")


@dataclass(frozen=True, slots=True)
class Crowd:
    """One drawn crowd.

    Attributes:
        image: (S, S, 3) uint8 RGB. true: number of things that show.
        hidden: share of the things' area that others cover or the border cuts.
        radius_px: median area-equivalent radius.
    """

    image: NDArray[np.uint8]
    true: int
    hidden: float
    radius_px: float


def draw_crowd(seed: int, radii_px: tuple[float, float] = (5.0, 45.0)) -> Crowd:
    """Return the crowd of a seed, its typical radius log-uniform in ``radii_px``."""
    rng = np.random.default_rng(seed)
    side = int(rng.choice(SIDES_PX))
    radius = float(np.exp(rng.uniform(*np.log(radii_px))))
    plan = draw_plan(rng, side)
    if rng.random() < 0.7:
        plan = replace(plan, makers=(str(rng.choice(_HEAPED)),), holder="none")
    spread = min(plan.spread, 0.25)
    apart, touching, heaped = rng.uniform(1.2, 2.5), rng.uniform(0.9, 1.2), rng.uniform(0.45, 0.95)
    closeness = rng.choice([apart, touching, heaped], p=[0.2, 0.2, 0.6])
    radius = max(radius, side / (1.87 * closeness * np.sqrt(MAX_THINGS)))
    places = _places(rng, side, radius, closeness)
    image = np.ascontiguousarray(plan.ground)
    return _drawn(rng, plan, image, places, radius * np.exp(rng.normal(0, spread, _VARIANTS)))


def _places(rng: np.random.Generator, side: int, radius: float, closeness: float) -> NDArray[np.int64]:
    """Return (N, 2) centres (x, y) in random order: jittered nodes of a hexagonal grid in a region."""
    pitch = 2 * radius * closeness
    n = int(side / pitch) + 3
    row, column = np.mgrid[-1 : n * 1.16, -1:n].astype(np.float64)
    points = np.stack([(column + 0.5 * (row % 2)).ravel(), 0.87 * row.ravel()], 1) * pitch
    points += rng.normal(0, pitch * rng.uniform(0.05, 0.4), points.shape)
    points = points[((points > -radius) & (points < side + radius)).all(1)]
    kind = rng.random()
    if kind < 0.3:
        middle, reach = side * rng.uniform(0.35, 0.65, 2), side * rng.uniform(0.15, 0.5)
        points = points[np.hypot(*(points - middle).T) < reach]
    elif kind < 0.6:
        height = fractal(rng, side)
        at = np.clip(points, 0, side - 1).astype(int)
        points = points[height[at[:, 1], at[:, 0]] > np.quantile(height, rng.uniform(0.2, 0.8))]
    points = points[rng.random(len(points)) < rng.choice([1.0, 0.9, 0.7])]
    return rng.permutation(points)[:MAX_THINGS].astype(np.int64)


def _drawn(
    rng: np.random.Generator,
    plan: Plan,
    image: NDArray[np.floating[Any]],
    places: NDArray[np.int64],
    radii: NDArray[np.float64],
) -> Crowd:
    """Draw the things one over the other and count those that show."""
    kinds = [make_prototype(rng, name) for name in plan.makers]
    base = rng.uniform(0, 2 * np.pi)
    turned = rng.normal(0, 0.06, len(radii)) if plan.aligned else rng.uniform(0, 2 * np.pi, len(radii))
    turns = base + turned
    sprites = [
        draw_sprite(rng, kinds[i % len(kinds)], float(radii[i]), float(turns[i]), plan.material)
        for i in range(len(radii))
    ]
    labels = np.zeros(image.shape[:2], np.int32)
    totals = np.zeros(len(places) + 1)
    for number, (x, y) in enumerate(places.tolist(), start=1):
        which = int(rng.integers(len(sprites)))
        if plan.material.shadow:
            cast_shadow(image, sprites[which], (x, y), float(radii[which]), plan.material)
        paste(image, sprites[which], (x, y), _colours(rng, plan))
        totals[number] = mark(labels, sprites[which], (x, y), number)[1]
    seen = np.bincount(labels.ravel(), minlength=len(totals))[1:]
    shows = seen > MIN_VISIBLE * totals[1:]
    hidden = 1 - float(seen.sum()) / max(1.0, float(totals.sum()))
    return Crowd(damage(rng, image), int(shows.sum()), hidden, float(np.median(radii)))


def _colours(rng: np.random.Generator, plan: Plan) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return one thing's two colours."""
    first, second = plan.palette[int(rng.integers(len(plan.palette)))]
    shift = rng.normal(0, plan.colour_spread, 3)
    gain = np.exp(rng.normal(0, plan.brightness_spread))
    one, two = (np.clip((c + shift) * gain, 0, 255).astype(np.float32) for c in (first, second))
    return one, two
