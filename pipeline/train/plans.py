"""What kind of scene is drawn: objects, arrangement, ground and light that occur together in photos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.train import things
from pipeline.train.grounds import colour, draw_furniture, draw_ground, fractal
from pipeline.train.plan import Palette, Plan, draw_generic, draw_palette

Array = NDArray[np.floating[Any]]


def _glowing(rng: np.random.Generator, size: int) -> Plan:
    """Fluorescent nuclei: soft, dim and bright ones on black, often touching."""
    plan = draw_generic(rng, size)
    tint = rng.choice(
        [[255, 255, 255], [255, 255, 255], [80, 140, 255], [80, 255, 120], [255, 80, 80]]
    ).astype(np.float32)
    level = rng.uniform(0.12, 0.9)
    ground = np.broadcast_to(tint * np.float32(level * rng.uniform(0, 0.25)), (size, size, 3)) * (
        0.4 + fractal(rng, size)[..., None]
    )
    matter = replace(
        plan.material, diffuse=0.0, gloss=0.0, shadow=0.0, opacity=1.0, rim=float(rng.choice([0.0, 0.3, 0.5]))
    )
    matter = replace(
        matter, speckle=float(rng.choice([0.05, 0.15, 0.3])), soft_px=float(rng.uniform(1.5, 4.0))
    )
    pair = tint * np.float32(level)
    return replace(
        plan,
        ground=np.ascontiguousarray(ground, dtype=np.float32),
        makers=tuple(rng.choice(["disc", "blob", "blob", "grain"], 1)),
        spread=float(rng.choice([0.1, 0.2, 0.35])),
        palette=((pair, pair * 0.9),),
        colour_spread=0.0,
        layout=str(rng.choice(["scattered", "clumped", "heaped"])),
        gap=float(rng.uniform(0.8, 1.1)),
        holder="none",
        brightness_spread=float(rng.choice([0.15, 0.4, 0.6, 0.8])),
        material=matter,
    )


def _stained(rng: np.random.Generator, size: int) -> Plan:
    """Stained tissue: dark blue to purple bodies in pale pink stuff with fibres."""
    plan = draw_generic(rng, size)
    pale = np.array([rng.uniform(190, 245), rng.uniform(150, 220), rng.uniform(190, 240)], np.float32)
    rose = pale * np.array([0.9, 0.72, 0.88], np.float32)
    amount = np.clip(0.5 + (fractal(rng, size) - 0.5) * rng.uniform(2, 6), 0, 1)[..., None]
    dark = np.array([rng.uniform(50, 140), rng.uniform(20, 90), rng.uniform(90, 190)], np.float32)
    matter = replace(
        plan.material,
        diffuse=0.05,
        gloss=0.0,
        shadow=0.0,
        opacity=float(rng.uniform(0.7, 1.0)),
        soft_px=float(rng.uniform(1.0, 2.5)),
    )
    return replace(
        plan,
        ground=np.ascontiguousarray(pale + (rose - pale) * amount, dtype=np.float32),
        makers=tuple(rng.choice(["disc", "blob", "blob", "grain", "capsule"], 1)),
        spread=float(rng.choice([0.1, 0.25, 0.4])),
        palette=((dark, dark * 0.7),),
        colour_spread=15.0,
        layout=str(rng.choice(["scattered", "clumped", "heaped"])),
        holder="none",
        brightness_spread=0.2,
        material=replace(matter, speckle=float(rng.choice([0.1, 0.25, 0.4]))),
    )


def _dish(rng: np.random.Generator, size: int) -> Plan:
    """Colonies on agar: small round spots, a large rim through the picture, pen marks."""
    plan = draw_generic(rng, size)
    ground = np.ascontiguousarray(np.broadcast_to(colour(rng), (size, size, 3)), dtype=np.float32)
    agar, centre = colour(rng), rng.uniform(-0.2, 1.2, 2) * size
    radius = size * rng.uniform(0.45, 1.6)
    point = centre.astype(int).tolist()
    cv2.circle(ground, point, int(radius), agar.tolist(), -1, cv2.LINE_AA)
    for _ in range(int(rng.integers(2, 7))):
        tint = np.clip(agar * rng.uniform(0.5, 1.5), 0, 255).tolist()
        cv2.circle(
            ground, point, int(radius * rng.uniform(0.88, 1.02)), tint, int(rng.integers(1, 5)), cv2.LINE_AA
        )
    ground *= 0.9 + 0.2 * fractal(rng, size)[..., None]
    if rng.random() < 0.4:
        draw_furniture(rng, ground)
    matter = replace(
        plan.material,
        shadow=float(rng.choice([0.0, 0.3])),
        shadow_xy=(0.1, 0.1),
        soft_px=float(rng.uniform(1, 3)),
    )
    return replace(
        plan,
        ground=ground,
        makers=(str(rng.choice(["disc", "disc", "blob"])),),
        palette=draw_palette(rng, ground, 1),
        layout="scattered",
        gap=float(rng.uniform(0.95, 1.4)),
        holder="none",
        material=matter,
    )


def _stacked(rng: np.random.Generator, size: int) -> Plan:
    """Log and pipe piles, cans and bottles from above: round ends shoulder to shoulder."""
    plan = draw_generic(rng, size)
    ground = draw_ground(rng, size, busy=True) * np.float32(rng.uniform(0.25, 0.9))
    maker = str(rng.choice(["log_end", "log_end", "pipe_mouth", "pipe_mouth", "disc", "blob"]))
    brown = np.array([rng.uniform(150, 240), rng.uniform(110, 190), rng.uniform(60, 140)], np.float32)
    dark = np.full(3, rng.uniform(5, 60), np.float32)
    palette: Palette = {"log_end": ((brown, dark + 20),), "pipe_mouth": ((colour(rng), dark),)}.get(
        maker, draw_palette(rng, ground, 2)
    )
    return replace(
        plan,
        ground=ground,
        makers=(maker,),
        palette=palette,
        colour_spread=18.0,
        layout=str(rng.choice(["gridded", "clumped", "heaped"])),
        gap=float(rng.uniform(0.9, 1.02)),
        spread=float(rng.choice([0.0, 0.1, 0.25])),
        holder="none",
    )


def _packed(rng: np.random.Generator, size: int) -> Plan:
    """Trays, blisters, crates and lots: things in their places, in rows, each in its holder or alone."""
    plan = draw_generic(rng, size)
    maker = str(rng.choice(["disc", "disc", "plate", "pipe_mouth", "capsule", "blob", "coin"]))
    matter = replace(
        plan.material, diffuse=float(rng.uniform(0.1, 0.6)), gloss=float(rng.choice([0.0, 0.4, 0.8]))
    )
    return replace(
        plan,
        makers=(maker,),
        layout="gridded",
        gap=float(rng.uniform(1.0, 1.3)),
        spread=float(rng.choice([0.0, 0.06])),
        aligned=True,
        holder=str(rng.choice(["none", "ring", "dimple", "cell", "dimple"])),
        material=matter,
    )


def _hardware(rng: np.random.Generator, size: int) -> Plan:
    """Metal parts and coins of many sizes on a plain ground: shiny, with shadows."""
    plan = draw_generic(rng, size)
    metal = np.array(
        rng.choice([[190, 190, 195], [205, 180, 120], [150, 150, 155], [190, 120, 80], [120, 100, 60]]),
        np.float32,
    )
    pair = metal * np.float32(rng.uniform(0.7, 1.2))
    matter = replace(
        plan.material,
        ambient=float(rng.uniform(0.45, 0.8)),
        diffuse=float(rng.uniform(0.3, 0.8)),
        gloss=float(rng.uniform(0.2, 0.9)),
        opacity=1.0,
    )
    return replace(
        plan,
        makers=tuple(
            rng.choice(
                ["screw", "screw", "screw", "nut", "ring", "ring", "coin", "coin"],
                int(rng.choice([1, 1, 1, 3])),
            )
        ),
        palette=((pair, pair * np.float32(rng.uniform(0.4, 1.0))),),
        layout=str(rng.choice(["scattered", "scattered", "clumped", "clumped"])),
        gap=float(rng.uniform(0.72, 1.3)),
        spread=float(rng.choice([0.1, 0.3, 0.45])),
        aligned=False,
        holder="none",
        material=matter,
    )


def _heap(rng: np.random.Generator, size: int) -> Plan:
    """Heaps and baskets of things like fruit, potatoes, sweets and stones that cover each other."""
    plan = draw_generic(rng, size)
    layout = str(rng.choice(["heaped", "clumped", "piled", "piled"]))
    receding = rng.random() < 0.35
    matter = replace(
        plan.material,
        ambient=float(rng.uniform(0.4, 0.9)),
        diffuse=float(rng.uniform(0.3, 0.8)),
        rim=float(rng.uniform(0.1, 0.6)),
        opacity=1.0,
        shadow_soft=float(rng.choice([0.1, 0.3])),
        shadow_swept=False,
    )
    matter = replace(
        matter,
        shadow=float(rng.uniform(0.1, 0.45) if layout == "piled" else rng.uniform(0.3, 0.8)),
        shadow_xy=(float(rng.uniform(-0.2, 0.2)), float(rng.uniform(-0.2, 0.2))),
    )
    ground = draw_ground(rng, size, busy=rng.random() < 0.7)
    near = ground.reshape(-1, 3).mean(0)
    palette = draw_palette(rng, ground, int(rng.choice([1, 1, 2, 4])))
    if rng.random() < 0.3:
        palette = ((np.clip(near * np.float32(rng.uniform(1.1, 1.6)) + 15, 0, 255), near),)
    return replace(
        plan,
        ground=ground,
        makers=tuple(rng.choice(["disc", "blob", "blob", "capsule", "worm", "grain"], 1)),
        palette=palette,
        colour_spread=15.0,
        layout=layout,
        gap=float(rng.uniform(0.8, 1.0)),
        spread=float(rng.uniform(0.3, 0.45)) if receding else plan.spread,
        holder="none",
        material=matter,
        n_max=300 if layout == "piled" else plan.n_max,
        receding=receding,
    )


def _capsules(rng: np.random.Generator, size: int) -> Plan:
    """Capsules, one half clear or pale, spread on paper, cloth or a table, some upon others."""
    plan = draw_generic(rng, size)
    ground = draw_ground(rng, size)
    if rng.random() < 0.6:
        ground = 215 + 40 * (ground - ground.mean()) / np.float32(np.abs(ground - ground.mean()).max() + 1)
    matter = replace(
        plan.material,
        opacity=float(rng.uniform(0.85, 1.0)),
        opacity_second=float(rng.choice([1.0, rng.uniform(0.25, 0.8)])),
        gloss=float(rng.choice([0.3, 0.6, 0.9])),
        shadow=float(rng.uniform(0.0, 0.5)),
    )
    return replace(
        plan,
        ground=np.ascontiguousarray(np.clip(ground, 0, 255), dtype=np.float32),
        makers=("capsule",),
        palette=draw_palette(rng, ground, 1),
        layout=str(rng.choice(["scattered", "scattered", "clumped", "heaped"])),
        gap=float(rng.uniform(0.75, 1.2)),
        spread=float(rng.choice([0.0, 0.08])),
        aligned=False,
        holder="none",
        material=matter,
    )


def _parked(rng: np.random.Generator, size: int) -> Plan:
    """Cars from above in rows between painted lines, each in its own colour."""
    plan = draw_generic(rng, size)
    ground = np.float32(rng.uniform(40, 200)) * (0.85 + 0.3 * fractal(rng, size)[..., None]) * np.ones(3)
    ground = np.ascontiguousarray(ground, dtype=np.float32)
    if rng.random() < 0.6:
        draw_furniture(rng, ground)
    glass = np.full(3, rng.uniform(5, 70), np.float32)
    palette = tuple((colour(rng), glass) for _ in range(8))
    return replace(
        plan,
        ground=ground,
        makers=("car",),
        palette=palette,
        layout=str(rng.choice(["gridded", "gridded", "scattered"])),
        gap=float(rng.uniform(1.0, 1.3)),
        spread=float(rng.choice([0.0, 0.08])),
        aligned=rng.random() < 0.8,
        holder="none",
    )


def _composed(rng: np.random.Generator, size: int) -> Plan:
    """Things of parts that differ from each other as much as from the ground, with hard shadows."""
    plan = draw_generic(rng, size)
    maker = str(
        rng.choice(["compound", "compound", "compound", "screw", "worm", "capsule", "car", "cluster"])
    )
    pairs = tuple((colour(rng), colour(rng)) for _ in range(int(rng.choice([1, 1, 3, 6]))))
    matter = replace(
        plan.material,
        opacity=1.0,
        opacity_second=float(rng.choice([1.0, 1.0, rng.uniform(0.3, 0.8)])),
        shadow=float(rng.choice([0.0, rng.uniform(0.4, 0.92)])),
        shadow_soft=float(rng.choice([0.03, 0.1])),
    )
    return replace(
        plan,
        makers=(maker,),
        palette=pairs,
        colour_spread=float(rng.choice([0.0, 8.0])),
        layout=str(rng.choice(["scattered", "scattered", "clumped", "gridded"])),
        gap=float(rng.uniform(0.95, 1.4)),
        spread=float(rng.choice([0.0, 0.08, 0.2])),
        holder="none",
        material=matter,
    )


def _printed(rng: np.random.Generator, size: int) -> Plan:
    """Flat things with straight edges, often upright: tiles, labels, boxes, windows, shapes on paper."""
    plan = draw_generic(rng, size)
    ground = draw_ground(rng, size)
    if rng.random() < 0.3:
        draw_furniture(rng, ground)
    matter = replace(
        plan.material,
        ambient=float(rng.uniform(0.85, 1.0)),
        diffuse=float(rng.choice([0.0, 0.0, 0.3])),
        gloss=0.0,
        opacity=1.0,
        opacity_second=1.0,
        rim=0.0,
        shadow=float(rng.choice([0.0, 0.0, rng.uniform(0.2, 0.7)])),
    )
    return replace(
        plan,
        ground=ground,
        makers=tuple(
            rng.choice(
                ["tile", "tile", "tile", "ring", "ring", "plate", "disc"], int(rng.choice([1, 1, 1, 2]))
            )
        ),
        palette=draw_palette(rng, ground, int(rng.choice([1, 1, 2, 5]))),
        layout=str(rng.choice(["scattered", "scattered", "gridded"])),
        gap=float(rng.uniform(1.0, 1.5)),
        spread=float(rng.choice([0.0, 0.0, 0.15])),
        aligned=rng.random() < 0.8,
        holder="none",
        material=matter,
    )


def _pictured(rng: np.random.Generator, size: int) -> Plan:
    """Things that others rendered: food, animals, faces, plants, tools."""
    plan = draw_generic(rng, size)
    piled = rng.random() < 0.15
    return replace(
        plan,
        pictured=int(rng.choice([1, 1, 1, 2, 4])),
        spread=float(rng.choice([0.05, 0.15, 0.3])),
        layout="piled" if piled else plan.layout,
        holder="none" if piled else plan.holder,
        receding=piled and rng.random() < 0.35,
        aligned=rng.random() < 0.35,
        material=replace(plan.material, opacity=1.0),
    )


_PLANS: tuple[Callable[[np.random.Generator, int], Plan], ...] = (
    draw_generic,
    _glowing,
    _stained,
    _dish,
    _stacked,
    _packed,
    _hardware,
    _heap,
    _capsules,
    _parked,
    _composed,
    _printed,
)
_WEIGHTS = np.array((0.15, 0.17, 0.07, 0.05, 0.07, 0.1, 0.13, 0.15, 0.05, 0.03, 0.1, 0.22))
_EDGED_SHARE = 0.15
"""Share of scenes, of every plan, that are cut through rows."""


def draw_plan(rng: np.random.Generator, size: int) -> Plan:
    """Draw the plan of one scene."""
    pictured = things.folder() and rng.random() < things.SHARE
    draw = _pictured if pictured else _PLANS[int(rng.choice(len(_PLANS), p=_WEIGHTS / _WEIGHTS.sum()))]
    plan = draw(rng, size)
    return replace(plan, layout="edged") if rng.random() < _EDGED_SHARE else plan
