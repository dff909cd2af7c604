"""Are plain tiles side by side counted, and is nothing counted where nothing is? Drawings.

Squares and oblongs in rows, in one colour or several, on light and dark ground, by the joint between them;
and grounds of cloth, straw, noise and furniture. python -m bench.plain [--quick] [--json PATH]
"""

from __future__ import annotations

from itertools import product
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.countbench import is_right
from bench.report import arguments, report
from pipeline.contract import CountSettings
from pipeline.segment import mini
from pipeline.train.scenes import draw_nothing
from pipeline.types import CandidateBatch, Image

SIZE_HW = (700, 1000)
JOINTS = (0.05, 0.12, 0.2, 0.35, 0.5)
GRIDS = ((2, 1), (3, 2), (6, 4), (9, 6))
GROUND_SEED = 910_000
"""Training draws seeds below this."""

Pixels = NDArray[np.uint8]


def tiles(grid: tuple[int, int], joint: float, *, square: bool, one_colour: bool, dark: bool) -> Pixels:
    """Return a drawing of tiles in rows; the joint is a share of the pitch."""
    rng = np.random.default_rng(0)
    image = np.full((*SIZE_HW, 3), (50, 60, 55) if dark else (225, 220, 205), np.float64)
    pitch = np.array(SIZE_HW[::-1]) / grid
    side = pitch * (1 - joint)
    side = np.full(2, side.min()) if square else side
    tones = (110, 250) if dark else (20, 150)
    colours = rng.integers(*tones, (1 if one_colour else grid[0] * grid[1], 3))
    for k, cell in enumerate(product(range(grid[0]), range(grid[1]))):
        low = np.rint((np.array(cell) + 0.5) * pitch - side / 2).astype(int)
        high = np.rint((np.array(cell) + 0.5) * pitch + side / 2).astype(int)
        image[low[1] : high[1], low[0] : high[0]] = colours[k % len(colours)]
    return np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


def emptiness(seed: int) -> Pixels:
    """Return a drawing of nothing that counts, as in training."""
    image = draw_nothing(np.random.default_rng(GROUND_SEED + seed), 512).image
    return np.asarray(cv2.resize(image, (800, 800), interpolation=cv2.INTER_CUBIC), np.uint8)


def seen(engine: mini.MiniSegmenter, pixels: Pixels) -> CandidateBatch:
    """Return what is found in a picture."""
    return engine.segment([Image("drawn", pixels)], CountSettings())[0]


def main() -> None:
    """Print and write the table."""
    args = arguments(__doc__).parse_args()
    engine = mini.load()
    rows: list[dict[str, Any]] = []
    for joint in JOINTS[1:3] if args.quick else JOINTS:
        n_right = n = n_network = 0
        for grid, square, one_colour, dark in product(
            GRIDS[:3] if args.quick else GRIDS, *[(True, False)] * 3
        ):
            picture = tiles(grid, joint, square=square, one_colour=one_colour, dark=dark)
            found, true = seen(engine, picture), grid[0] * grid[1]
            is_seen = is_right(len(found), true) and (len(found) == true or true > 2)
            n, n_right, n_network = n + 1, n_right + is_seen, n_network + (is_seen and bool(found.scales))
        rows.append(
            {"pictures": f"joint {joint}", "n": n, "right": n_right, "right_by_the_network": n_network}
        )
    empty = [seen(engine, emptiness(seed)) for seed in range(20 if args.quick else 400)]
    unseen = [found for found in empty if not (len(found) and found.scales)]
    wrong = sum(len(found) > 0 for found in unseen)
    rows.append(
        {"pictures": "nothing in it, the network sees none", "n": len(unseen), "right": len(unseen) - wrong}
    )
    report("plain tiles, and nothing: drawings that are counted right", rows, args.json)


if __name__ == "__main__":
    main()
