"""Large and much smaller things in one picture: how many of each does mini find, how many twice?

Drawn as training scenes are, 1024 px a side, from other seeds: at most 250 things, half of them small.
"One" is what the scale chosen for the picture shows alone. python -m bench.two_sizes [--quick] [--json PATH]
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import numpy as np

from bench.report import arguments, report
from bench.sam_prompts import Drawn, draw
from pipeline.contract import CountSettings
from pipeline.ops.rle import rle_to_mask
from pipeline.segment.mini import candidates_of, load
from pipeline.segment.mini_input import stretch_contrast
from pipeline.segment.mini_search import ScaleSearch
from pipeline.types import CandidateBatch, Image

RADII_PX = ((50, 7), (70, 9), (100, 12))
FIRST_SEED = 7_000
FOUND_IOU = 0.5


def met(drawn: Drawn, batch: CandidateBatch) -> list[int]:
    """Return the number of the object each candidate shows, 0 where it shows none well enough."""
    area = np.bincount(drawn.labels.ravel())
    numbers = []
    for i in range(len(batch)):
        mask = rle_to_mask(batch.rle(i), batch.size_hw)
        inside = np.bincount(drawn.labels[mask], minlength=len(area))
        iou = inside / (area + mask.sum() - inside)
        iou[0] = 0
        numbers.append(int(iou.argmax()) if iou.max() >= FOUND_IOU else 0)
    return numbers


def row(radii: tuple[int, int], seeds: range) -> dict[str, Any]:
    """Return what is found of drawings with things of two sizes, by one scale and in all."""
    engine, settings = load(), CountSettings()
    sums: Counter[str] = Counter()
    seconds = []
    for seed in seeds:
        drawn = draw(seed, radii)
        area = np.bincount(drawn.labels.ravel(), minlength=int(drawn.numbers.max(initial=0)) + 1)
        large = {int(n) for n in drawn.numbers if area[n] > radii[0] * radii[1] * np.pi}
        small = {int(n) for n in drawn.numbers} - large
        search = ScaleSearch(engine._session, stretch_contrast(drawn.pixels))
        alone = set(met(drawn, candidates_of(search.at(search.best()), drawn.labels.shape)))
        started = time.perf_counter()
        numbers = met(drawn, engine.segment([Image("drawn", drawn.pixels)], settings)[0])
        seconds.append(time.perf_counter() - started)
        found, shown = set(numbers), [n for n in numbers if n]
        sums.update(
            large=len(large),
            small=len(small),
            large_one=len(large & alone),
            small_one=len(small & alone),
            large_found=len(large & found),
            small_found=len(small & found),
            twice=len(shown) - len(set(shown)),
            others=len(numbers) - len(shown),
        )
    return {
        "radii_px": " and ".join(map(str, radii)),
        "pictures": len(seeds),
        **sums,
        "median_s": float(np.median(seconds)),
    }


def main() -> None:
    """Draw, count and print."""
    args = arguments(__doc__).parse_args()
    seeds = range(FIRST_SEED, FIRST_SEED + (2 if args.quick else 12))
    report("things of two sizes", [row(radii, seeds) for radii in RADII_PX], args.json)


if __name__ == "__main__":
    main()
