"""The choices of one drawn scene: objects, arrangement, ground and light, all of them at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.train.grounds import colour, draw_furniture, draw_ground
from pipeline.train.paint import Material, draw_material
from pipeline.train.shapes import MAKERS

Array = NDArray[np.floating[Any]]
Palette = tuple[tuple[Array, Array], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The choices of one scene before anything is placed.

    Attributes:
        ground: (S, S, 3) float32 picture so far. makers: names of shapes, one prototype each.
        palette: pairs of first and second colour (3,) RGB. colour_spread: jitter in [0, 255].
        layout: name of a layout; gap: its spacing. spread: log size spread. aligned: one direction.
        holder: what lies under each object: "none", "ring", "dimple" or "cell".
        brightness_spread: per-object log brightness spread. n_max: most objects.
        own_colours: each kind has its own of the colour pairs, instead of each object any of them.
        sizes: factor on the radius of each kind, the same for all kinds when empty.
        receding: nearer things are larger, lie lower in the picture and cover those behind.
        pictured: how many kinds are pictures of things; then ``makers`` says nothing.
    """

    ground: Array
    makers: tuple[str, ...]
    palette: Palette
    colour_spread: float
    layout: str
    gap: float
    spread: float
    aligned: bool
    holder: str
    brightness_spread: float
    material: Material
    n_max: int = 110
    own_colours: bool = False
    sizes: tuple[float, ...] = ()
    receding: bool = False
    pictured: int = 0


def draw_palette(rng: np.random.Generator, ground: Array, n: int) -> Palette:
    """Return ``n`` colour pairs that can be told from the ground, a quarter of them only just."""
    base = ground.reshape(-1, 3).mean(0)
    pairs = []
    for _ in range(n):
        first = colour(rng)
        if rng.random() < 0.25:
            first = np.clip(base + rng.normal(0, 35, 3), 0, 255).astype(np.float32)
        if np.abs(first - base).max() < 28:
            first = np.clip(first + (45 if base.mean() < 128 else -45), 0, 255).astype(np.float32)
        second = colour(rng) if rng.random() < 0.5 else first * np.float32(rng.uniform(0.3, 0.9))
        pairs.append((first, second))
    return tuple(pairs)


def draw_generic(rng: np.random.Generator, size: int) -> Plan:
    """Draw a plan in which anything goes with anything."""
    ground = draw_ground(rng, size)
    draw_furniture(rng, ground)
    kinds = int(rng.choice([1, 1, 1, 2, 3]))
    layout = str(rng.choice(["scattered", "scattered", "clumped", "gridded", "heaped"]))
    return Plan(
        ground=ground,
        makers=tuple(rng.choice(list(MAKERS), kinds)),
        palette=draw_palette(rng, ground, int(rng.choice([1, 1, 2, 4]))),
        colour_spread=rng.choice([0.0, 8.0, 25.0]),
        layout=layout,
        gap=rng.uniform(1.0, 1.5) if layout == "scattered" else rng.uniform(0.95, 1.15),
        spread=rng.choice([0.0, 0.08, 0.2, 0.35]),
        aligned=rng.random() < 0.25,
        holder=str(rng.choice(["none", "none", "none", "none", "ring", "dimple", "cell"])),
        brightness_spread=rng.choice([0.0, 0.1, 0.25]),
        material=draw_material(rng),
    )
