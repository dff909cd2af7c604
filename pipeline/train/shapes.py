"""Outlines of drawn objects: each maker draws its parameters once and returns a field over the plane.

A field maps coordinates in units of the object's nominal radius to a ``Form``. Lengths are signed
distances, negative inside, only roughly Euclidean: they are used for anti-aliased edges and relief.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Form:
    """One object over a grid of points.

    Attributes:
        outer: signed distance to the outline with holes filled; what is counted is ``outer < 0``.
        solid: signed distance to the matter; differs from ``outer`` where there are holes.
        height: relief in [0, 1]; its slope is what the light sees.
        tone: in [0, 1]; mixes the object's first and second colour.
    """

    outer: Array
    solid: Array
    height: Array
    tone: Array


Field = Callable[[Array, Array], Form]
Maker = Callable[[np.random.Generator], Field]


def _dome(outer: Array, flatness: float) -> Array:
    """Return a height that rises from the outline and levels off at ``flatness`` of the radius."""
    depth = np.clip(-outer / flatness, 0.0, 1.0)
    return np.asarray(np.sqrt(np.clip(1.0 - (1.0 - depth) ** 2, 0.0, 1.0)))


def _segment(x: Array, y: Array, half_length: float) -> Array:
    """Return the distance to a segment on the x axis."""
    return np.hypot(np.maximum(np.abs(x) - half_length, 0.0), y)


def _box(x: Array, y: Array, a: float, b: float, rounding: float = 0.0) -> Array:
    """Return the signed distance to a rounded rectangle of half sides ``a`` and ``b``."""
    qx, qy = np.abs(x) - a + rounding, np.abs(y) - b + rounding
    inside = np.minimum(np.maximum(qx, qy), 0.0)
    return np.asarray(np.hypot(np.maximum(qx, 0.0), np.maximum(qy, 0.0)) + inside - rounding)


def _polygon(x: Array, y: Array, sides: int) -> Array:
    """Return the signed distance to a regular polygon of apothem 1."""
    angles = 2 * np.pi * np.arange(sides) / sides
    sides_of = [x * np.float32(np.cos(t)) + y * np.float32(np.sin(t)) for t in angles]
    return np.asarray(np.max(sides_of, axis=0) - 1.0)


def disc(rng: np.random.Generator) -> Field:
    """Round or oval things: tablets, sweets, eggs, balls, buttons."""
    aspect = rng.uniform(0.62, 1.0) if rng.random() < 0.5 else 1.0
    power = 2.0 if rng.random() < 0.7 else rng.uniform(2.0, 5.0)
    egg = rng.uniform(-0.25, 0.25) if rng.random() < 0.3 else 0.0
    flatness = rng.choice([0.12, 0.3, 0.6, 1.0])
    mark = rng.choice(["none", "none", "score", "cross", "ring", "half"])

    def field(x: Array, y: Array) -> Form:
        wide = aspect * (1.0 + egg * x)
        outer = (np.abs(x) ** power + np.abs(y / wide) ** power) ** (1.0 / power) - 1.0
        height, tone = _dome(outer, flatness), np.zeros_like(x)
        if mark in ("score", "cross"):
            height = height - 0.35 * (np.abs(x) < 0.07)
        if mark == "cross":
            height = height - 0.35 * (np.abs(y) < 0.07)
        if mark == "ring":
            tone = (outer > -0.3).astype(np.float32)
        if mark == "half":
            tone = (x > 0).astype(np.float32)
        return Form(outer, outer, height, tone)

    return field


def blob(rng: np.random.Generator) -> Field:
    """Irregular round things: stones, potatoes, peppers, nuts, cells."""
    waves = np.arange(2, 7)
    amount = rng.choice([0.06, 0.12, 0.22, 0.3])
    sizes = amount * rng.normal(size=5) / waves**0.7
    phases = rng.uniform(0, 2 * np.pi, 5)
    aspect, flatness = rng.uniform(0.6, 1.0), rng.choice([0.4, 0.8, 1.0])

    def field(x: Array, y: Array) -> Form:
        angle, radius = np.arctan2(y / aspect, x), np.hypot(x, y / aspect)
        edge = 1.0 + sum(s * np.cos(k * angle + p) for s, k, p in zip(sizes, waves, phases, strict=True))
        outer = radius - np.maximum(edge, 0.35)
        return Form(outer, outer, _dome(outer, flatness), np.zeros_like(x))

    return field


def capsule(rng: np.random.Generator) -> Field:
    """Stadiums: capsules in one or two colours, beans, sweets, rods."""
    half, two_tone, seam = rng.uniform(0.4, 2.6), rng.random() < 0.6, rng.uniform(-0.3, 0.3)

    def field(x: Array, y: Array) -> Form:
        outer = _segment(x, y, half) - 1.0
        tone = (x > seam).astype(np.float32) if two_tone else np.zeros_like(x)
        return Form(outer, outer, _dome(outer, 1.0), tone)

    return field


def worm(rng: np.random.Generator) -> Field:
    """Bent rods: gummy worms, beans, cashews, noodles."""
    bend, spread, bands = rng.uniform(1.6, 4.0), rng.uniform(0.35, 1.1), rng.integers(0, 4)

    def field(x: Array, y: Array) -> Form:
        angle = np.clip(np.arctan2(x, y + bend), -spread, spread)
        outer = np.hypot(x - bend * np.sin(angle), y + bend - bend * np.cos(angle)) - 1.0
        tone = 0.5 + 0.5 * np.sin(angle * bend * bands) if bands else np.zeros_like(x)
        return Form(outer, outer, _dome(outer, 1.0), tone.astype(np.float32))

    return field


def grain(rng: np.random.Generator) -> Field:
    """Lens-shaped seeds: rice, wheat, sunflower, almonds."""
    aspect, sharp = rng.uniform(0.25, 0.55), rng.uniform(1.3, 2.0)
    stripes = rng.random() < 0.25

    def field(x: Array, y: Array) -> Form:
        outer = (np.abs(y) / aspect + np.abs(x) ** sharp - 1.0) * aspect
        tone = 0.5 + 0.5 * np.cos(9 * y / aspect) if stripes else np.zeros_like(x)
        return Form(outer, outer, _dome(outer, aspect), tone)

    return field


def ring(rng: np.random.Generator) -> Field:
    """Washers, plain or toothed, O-rings, doughnuts, links."""
    hole, teeth = rng.uniform(0.3, 0.82), rng.integers(8, 16)
    depth = rng.choice([0.0, 0.0, 0.12, 0.2])
    outside = rng.random() < 0.3
    aspect, flatness = rng.choice([1.0, 1.0, rng.uniform(0.5, 1.0)]), rng.choice([0.08, 0.2])

    def field(x: Array, y: Array) -> Form:
        radius, angle = np.hypot(x, y / aspect), np.arctan2(y, x)
        cog = depth * np.sign(np.cos(teeth * angle)) * (1.0 - hole)
        outer = radius - 1.0 - (cog if outside else 0.0)
        solid = np.maximum(outer, hole + (0.0 if outside else cog) - radius)
        return Form(outer, solid, _dome(solid, flatness), np.zeros_like(x))

    return field


def nut(rng: np.random.Generator) -> Field:
    """Polygons with or without a hole: hex nuts, tiles, dice, pasta."""
    sides = int(rng.choice([3, 4, 5, 6, 6, 6, 6, 8]))
    hole = rng.uniform(0.4, 0.68) if rng.random() < 0.7 else 0.0
    thread, dark = rng.random() < 0.5, rng.random() < 0.5

    def field(x: Array, y: Array) -> Form:
        radius = np.hypot(x, y)
        outer = np.maximum(_polygon(x, y, sides), radius - 1.13)
        solid = outer if dark else np.maximum(outer, hole - radius)
        height = np.minimum(_dome(outer, 0.15), _dome(hole - radius, 0.1)) if hole else _dome(outer, 0.15)
        if thread and hole:
            height = height * (0.7 + 0.3 * (radius > hole + 0.12))
        return Form(outer, solid, height, (radius < hole).astype(np.float32))

    return field


def screw(rng: np.random.Generator) -> Field:
    """Screws, bolts, nails and keys: a head, a shaft, perhaps a thread and a point."""
    length, thick = rng.uniform(1.2, 5.5), rng.uniform(0.3, 0.62)
    head, pitch = rng.choice(["round", "hex", "flat"]), rng.uniform(9.0, 18.0)
    threaded, pointed = rng.random() < 0.75, rng.random() < 0.3
    bare = rng.uniform(0.0, 0.6)

    def field(x: Array, y: Array) -> Form:
        along = x + length / 2
        taper = thick * np.clip((length + 0.1 - along) / 0.8, 0.2, 1.0) if pointed else thick
        shaft = np.maximum(np.abs(y) - taper, np.abs(along - length / 2) - length / 2)
        if head == "round":
            top = np.hypot(along, y) - 1.0
        elif head == "hex":
            top = np.maximum(_polygon(along, y, 6), np.hypot(along, y) - 1.13)
        else:
            top = _box(along, y, 0.32, 1.0, 0.1)
        outer = np.minimum(shaft, top)
        height = np.where(top < 0, 0.25 + _dome(top, 0.3), _dome(np.abs(y) - taper, 0.6))
        if threaded:
            height = height - 0.22 * (np.sin(pitch * along + 2 * y) > 0) * (along > bare * length) * (top > 0)
        return Form(outer, outer, height.astype(np.float32), (top < 0).astype(np.float32))

    return field


def plate(rng: np.random.Generator) -> Field:
    """Rounded rectangles: boxes, bricks, chips, cars from above with their windows."""
    aspect, rounding = rng.uniform(0.35, 1.0), rng.uniform(0.0, 0.3)
    windows = rng.random() < 0.4

    def field(x: Array, y: Array) -> Form:
        outer = _box(x, y, 1.0, aspect, rounding * aspect)
        glass = (np.abs(np.abs(x + 0.1) - 0.42) < 0.13) & (np.abs(y) < 0.8 * aspect)
        tone = glass.astype(np.float32) if windows else np.zeros_like(x)
        return Form(outer, outer, _dome(outer, 0.25), tone)

    return field


def tile(rng: np.random.Generator) -> Field:
    """Flat things with sharp corners: squares, rectangles, triangles, other polygons, perhaps framed."""
    sides, framed = int(rng.choice([3, 4, 4, 4, 4, 5, 6])), rng.random() < 0.2
    aspect, frame = 1.0 if rng.random() < 1 / 3 else rng.uniform(0.22, 1.0), rng.uniform(0.1, 0.4)

    def field(x: Array, y: Array) -> Form:
        outer = _box(x, y, 1.0, aspect) if sides == 4 else _polygon(x, y / np.float32(aspect), sides)
        tone = (outer > -frame * aspect).astype(np.float32) if framed else np.zeros_like(x)
        return Form(outer, outer, _dome(outer, 0.15), tone)

    return field


def car(rng: np.random.Generator) -> Field:
    """Cars from above: two windows across, two along, a roof between them, perhaps stripes."""
    aspect, rounding = rng.uniform(0.38, 0.52), rng.uniform(0.3, 0.9)
    front, rear, wide = rng.uniform(0.2, 0.45), rng.uniform(0.45, 0.75), rng.uniform(0.06, 0.14)
    stripes = rng.random() < 0.2

    def field(x: Array, y: Array) -> Form:
        outer = _box(x, y, 1.0, aspect, rounding * aspect)
        bent = x + 0.12 * (y / aspect) ** 2
        glass = np.minimum(np.abs(bent - front), np.abs(bent + rear)) < wide
        inner = np.abs(y) < 0.8 * aspect
        side = (np.abs(np.abs(y) - 0.78 * aspect) < 0.07) & (x < front) & (x > -rear)
        tone = (glass & inner) | side
        if stripes:
            tone = tone | (np.abs(np.abs(y) - 0.2 * aspect) < 0.04)
        roof = _dome(_box(x + (rear - front) / 2, y, (front + rear) / 2, 0.75 * aspect, 0.1), 0.2)
        return Form(outer, outer, 0.5 * _dome(outer, 0.25) + 0.5 * roof, tone.astype(np.float32))

    return field


def cluster(rng: np.random.Generator) -> Field:
    """Wholes of several lobes: gummy bears, flowers, popcorn, people from above, insects."""
    n = int(rng.integers(2, 7))
    angles = rng.uniform(0, 2 * np.pi, n) if rng.random() < 0.6 else 2 * np.pi * np.arange(n) / n
    reach, sizes = rng.uniform(0.3, 0.95, n), rng.uniform(0.3, 0.6, n)
    body, toned = rng.uniform(0.55, 0.9), rng.random() < 0.4

    def field(x: Array, y: Array) -> Form:
        outer = np.hypot(x, y * 1.2) - body
        for t, d, s in zip(angles, reach, sizes, strict=True):
            outer = np.minimum(outer, np.hypot(x - d * np.cos(t), y - d * np.sin(t)) - s)
        tone = (np.hypot(x, y) < 0.4 * body).astype(np.float32) if toned else np.zeros_like(x)
        return Form(outer.astype(np.float32), outer.astype(np.float32), _dome(outer, 0.6), tone)

    return field


def coin(rng: np.random.Generator) -> Field:
    """Coins: a rim, a head in relief, letters around it, perhaps two metals."""
    strokes = rng.normal(0, 0.32, (9, 2))
    reach = rng.uniform(0.12, 0.3, 9)
    letters, bimetal, rim = rng.integers(0, 28), rng.random() < 0.2, rng.uniform(0.04, 0.14)
    wobble = rng.choice([0.0, 0.0, 0.04])

    def field(x: Array, y: Array) -> Form:
        radius, angle = np.hypot(x, y), np.arctan2(y, x)
        outer = radius - 1.0 - wobble * np.cos(3 * angle) - wobble * np.sin(5 * angle)
        relief = np.max(
            [np.clip(1 - np.hypot(x - a, y - b) / s, 0, 1) for (a, b), s in zip(strokes, reach, strict=True)],
            axis=0,
        )
        height = 0.35 * relief * (radius < 0.7) + 0.35 * (outer > -rim) + 0.4 * _dome(outer, 0.08)
        if letters:
            height = height + 0.2 * ((radius > 0.72) & (radius < 0.86) & (np.cos(letters * angle) > 0.2))
        tone = (radius > 0.68).astype(np.float32) if bimetal else np.zeros_like(x)
        return Form(outer, outer, height.astype(np.float32), tone)

    return field


def log_end(rng: np.random.Generator) -> Field:
    """Cut log ends: growth rings, a crack, bark."""
    bark, rings = rng.uniform(0.04, 0.16), rng.uniform(12, 40)
    off, crack = rng.normal(0, 0.15, 2), rng.uniform(0, 2 * np.pi)
    sizes, phases = rng.normal(0, 0.05, 3), rng.uniform(0, 2 * np.pi, 3)

    def field(x: Array, y: Array) -> Form:
        angle = np.arctan2(y, x)
        edge = 1.0 + sum(
            s * np.cos((k + 2) * angle + p) for k, (s, p) in enumerate(zip(sizes, phases, strict=True))
        )
        outer = np.hypot(x, y) - edge
        wood = 0.12 * np.sin(rings * np.hypot(x - off[0], y - off[1]))
        split = np.abs(np.sin(angle - crack)) < 0.05
        tone = np.where(outer > -bark, 1.0, 0.15 + wood + 0.35 * split).astype(np.float32)
        return Form(outer, outer, np.zeros_like(x) + 0.5, tone)

    return field


def pipe_mouth(rng: np.random.Generator) -> Field:
    """Pipe mouths, cups, tins and bottle tops: a rim around a dark or shaded inside."""
    wall, shade = rng.uniform(0.05, 0.28), rng.uniform(0.5, 1.0)
    ribs = int(rng.choice([0, 0, 16, 24]))

    def field(x: Array, y: Array) -> Form:
        radius = np.hypot(x, y)
        outer = radius - 1.0
        inside = np.clip((1.0 - wall - radius) / 0.06, 0.0, 1.0)
        height = _dome(outer, wall) - inside * 0.5
        if ribs:
            height = height + 0.2 * (radius > 1.0 - wall) * np.cos(ribs * np.arctan2(y, x))
        return Form(
            outer, outer, height.astype(np.float32), (inside * shade * (0.7 + 0.3 * y)).astype(np.float32)
        )

    return field


def compound(rng: np.random.Generator) -> Field:
    """Wholes of unlike parts in a row: bolts, tools, toys, bottles, insects, plugs."""
    n = int(rng.integers(2, 5))
    kinds = rng.choice(["oval", "box", "rod"], n)
    long, wide = rng.uniform(0.25, 1.0, n), rng.uniform(0.2, 0.8, n)
    tones, high = rng.choice([0.0, 0.5, 1.0], n), rng.uniform(0.3, 1.0, n)
    ends = np.cumsum(2 * long * rng.uniform(0.75, 0.98))
    middles = ends - long - ends[-1] / 2
    aside = rng.normal(0, 0.12, n) * (rng.random() < 0.4)
    flatness = rng.choice([0.15, 0.4, 0.8])

    def field(x: Array, y: Array) -> Form:
        parts = []
        for kind, a, b, middle, off in zip(kinds, long, wide, middles, aside, strict=True):
            u, v = x - middle, y - off
            if kind == "oval":
                parts.append((np.hypot(u / a, v / b) - 1.0) * min(a, b))
            elif kind == "box":
                parts.append(_box(u, v, a, b, 0.2 * min(a, b)))
            else:
                parts.append(_segment(u, v, max(a - b, 0.0)) - min(a, b))
        stack = np.stack(parts)
        outer, top = stack.min(0), stack.argmin(0)
        height = _dome(outer, flatness) * high[top]
        return Form(outer, outer, height.astype(np.float32), tones[top].astype(np.float32))

    return field


MAKERS: dict[str, Maker] = {
    f.__name__: f
    for f in (
        disc,
        blob,
        capsule,
        worm,
        grain,
        ring,
        nut,
        screw,
        plate,
        tile,
        car,
        cluster,
        coin,
        log_end,
        pipe_mouth,
        compound,
    )
}
