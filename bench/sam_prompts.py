"""Does ``mini`` put SAM's points where things are? Fast mode's points against the full grid, without weights.

Drawn scenes have a known truth: an object is reached when a point lies in what is visible of it. The second
round is asked as if SAM answered each point on an object with exactly that object; so the objects reached
are its count, in which ``fast`` may differ from the full grid, and should be nearer to the truth. Scenes are
of the kind that ``mini`` was trained on (other seeds, 16 times the area), so photos count as well: with
``--photos`` the share of countbench's exemplar boxes that hold a point. Times: bench/sam_masks.py.

python -m bench.sam_prompts [--photos FOLDER] [--quick] [--json PATH]
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from bench.report import arguments, report
from pipeline.ops.rle import mask_to_rle
from pipeline.segment import mini
from pipeline.segment.sam_prompts import (
    MiniPrompter,
    Points,
    coarse_of,
    first_round,
    second_round,
    square_grid,
)
from pipeline.sessions import open_session
from pipeline.train.damage import damage
from pipeline.train.layouts import LAYOUTS
from pipeline.train.paint import cast_shadow, draw_sprite, mark, paste
from pipeline.train.plans import draw_plan
from pipeline.train.prototypes import make_prototype

SIDE_PX = 1024
RADII_PX = (5, 8, 12, 20, 35, 60, 110)
MIXED_RADII_PX = [(7, 25), (10, 50), (20, 90)]
SIZES_PX = (0, 14, 22, 34, 56, 90, 10_000)
"""Limits of the classes of diameters; the full grid's points are 32 px apart."""
MAX_OBJECTS = 250
VISIBLE = 0.35
"""Share of an object that must show, or it does not count."""
INNER = 0.5
"""Of an exemplar's box: a point in its middle half of both sides lies on the object, but for rings."""
GRID = square_grid(32)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture and its truth: ``labels`` (H, W) int32, 0 ground; ``numbers``: the objects that count."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int32]
    numbers: NDArray[np.int64]


def draw(seed: int, radii_px: tuple[int, ...]) -> Drawn:
    """Return a scene with objects of one or several sizes; what is mostly hidden does not count."""
    rng = np.random.default_rng(seed)
    plan = draw_plan(rng, SIDE_PX)
    image, labels = np.ascontiguousarray(plan.ground), np.zeros((SIDE_PX, SIDE_PX), np.int32)
    area, first = [0], 1
    for radius in radii_px:
        n = int(min(MAX_OBJECTS, 0.35 * SIDE_PX**2 / (np.pi * radius**2) + 3)) // len(radii_px)
        radii = radius * np.exp(rng.normal(0, min(plan.spread, 0.2), n))
        places = LAYOUTS[plan.layout](rng, SIDE_PX, radii * 1.15, max(1.0, plan.gap)).astype(int)
        kind = make_prototype(rng, plan.makers[0])
        for (x, y), r in zip(places.tolist(), radii, strict=False):
            sprite = draw_sprite(rng, kind, float(r), rng.uniform(0, 2 * np.pi), plan.material)
            cast_shadow(image, sprite, (x, y), float(r), plan.material)
            paste(image, sprite, (x, y), plan.palette[int(rng.integers(len(plan.palette)))])
            area.append(mark(labels, sprite, (x, y), first)[1])
            first += 1
    seen = np.bincount(labels.ravel(), minlength=first)
    whole = seen > VISIBLE * np.maximum(area, 12)
    return Drawn(damage(rng, image), labels, np.flatnonzero(whole[1:]) + 1)


def answers(drawn: Drawn, points: Points) -> list[NDArray[np.uint32]]:
    """Return the masks that an ideal SAM makes of points: each object that holds one, no ground."""
    return [mask_to_rle(drawn.labels == number) for number in drawn.numbers[reached(drawn, points)]]


def reached(drawn: Drawn, points: Points) -> NDArray[np.bool_]:
    """Return for each object whether a point lies in what is visible of it."""
    x, y = np.minimum((points * SIDE_PX).astype(int), SIDE_PX - 1).T
    return np.isin(drawn.numbers, drawn.labels[y, x])


def schemes(prompter: MiniPrompter, drawn: Drawn) -> dict[str, Points]:
    """Return the points that each way of asking asks."""
    proposed = prompter(drawn.pixels)
    first = first_round(proposed, GRID)
    second = second_round(proposed, GRID, answers(drawn, first), drawn.labels.shape)
    return {
        "full grid 32": GRID,
        "grid 8": coarse_of(GRID),
        "mini": proposed,
        "mini + grid 8": first,
        "fast (two rounds)": np.concatenate([first, second]),
    }


def measure(prompter: MiniPrompter, seeds: Iterable[int]) -> list[dict[str, Any]]:
    """Return one row a scheme: share of objects reached by size, and points asked."""
    hits: dict[str, list[NDArray[np.bool_]]] = {}
    counts: dict[str, list[int]] = {}
    true: list[int] = []
    points: dict[str, list[int]] = {}
    diameters = []
    radii = [(r,) for r in RADII_PX] + MIXED_RADII_PX
    for seed in seeds:
        for k, chosen in enumerate(radii):
            drawn = draw(100 * seed + k, chosen)
            area = np.bincount(drawn.labels.ravel(), minlength=int(drawn.labels.max()) + 1)[drawn.numbers]
            diameters.append(2 * np.sqrt(area / np.pi))
            true.append(len(drawn.numbers))
            for name, asked in schemes(prompter, drawn).items():
                hits.setdefault(name, []).append(found := reached(drawn, asked))
                counts.setdefault(name, []).append(int(found.sum()))
                points.setdefault(name, []).append(len(asked))
    sizes = np.digitize(np.concatenate(diameters), SIZES_PX[1:-1])
    rows, grid = [], np.array(counts["full grid 32"])
    for name, found in hits.items():
        row: dict[str, Any] = {"points are": name, "points": statistics.fmean(points[name])}
        row["most points"] = max(points[name])
        for k, (low, high) in enumerate(pairwise(SIZES_PX)):
            label = f"{low}-{high} px" if high < SIZES_PX[-1] else f"> {low} px"
            row[label] = float(np.concatenate(found)[sizes == k].mean())
        row |= {"all": float(np.concatenate(found).mean()), "objects": len(sizes), "pictures": len(true)}
        n, truth = np.array(counts[name]), np.array(true)
        row["counts unlike the full grid's"] = float((n != grid).mean())
        row["counts within 10 %"] = float((np.abs(n - truth) <= np.maximum(1, 0.1 * truth)).mean())
        rows.append(row)
    return rows


def measure_photos(prompter: MiniPrompter, folder: Path) -> list[dict[str, Any]]:
    """Return one row a scheme: share of the exemplar boxes that hold a point in their inner half."""
    photos = json.loads((folder / "manifest.json").read_text())
    hits: dict[str, list[bool]] = {}
    points: dict[str, list[int]] = {}
    for photo in photos:
        pixels = np.asarray(PILImage.open(folder / "images" / photo["file"]).convert("RGB"))
        proposed = prompter(pixels)
        ways = {"full grid 32": GRID, "grid 8": coarse_of(GRID), "mini": proposed}
        for name, asked in (ways | {"mini + grid 8": first_round(proposed, GRID)}).items():
            xy = asked * [pixels.shape[1], pixels.shape[0]]
            points.setdefault(name, []).append(len(asked))
            for x, y, w, h in photo["exemplars"]:
                off = np.abs((xy - [x + w / 2, y + h / 2]) / [w, h])
                hits.setdefault(name, []).append(bool((off <= INNER / 2).all(1).any()))
    return [
        {"points are": name, "points": statistics.fmean(points[name]), "most points": max(points[name])}
        | {"boxes reached": statistics.fmean(found), "boxes": len(found), "photos": len(photos)}
        for name, found in hits.items()
    ]


def main() -> None:
    """Print the tables; write JSON."""
    parser = arguments(__doc__)
    parser.add_argument("--photos", type=Path, help="countbench: manifest.json and images/")
    args = parser.parse_args()
    prompter = MiniPrompter(open_session(mini.MODEL))
    started = time.process_time()
    rows = measure(prompter, range(1 if args.quick else 4))
    print(f"{time.process_time() - started:.0f} CPU s")
    more = {"photos": measure_photos(prompter, args.photos)} if args.photos else {}
    for photos in more.values():
        report("exemplar boxes of photos that hold a point", photos, None)
    report("objects of drawn scenes that hold a point", rows, args.json, **more)


if __name__ == "__main__":
    main()
