"""Tiles: time and peak memory of whole and tiled segmentation as images grow to 8192 x 8192.

Each row runs in a process of its own, so that its peak resident memory is its own. The engine is the small
SAM of the tests (the real one adds its weights and its 4 MiB a prompt, whatever the image's size) or the
connected components of the tests, which also give the truth for the count.

    python bench/tiles.py --json bench/results/tiles.json
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.report import arguments, report  # noqa: E402
from pipeline.contract import CountSettings, Tiling  # noqa: E402
from pipeline.segment.base import EngineInfo, Segmenter  # noqa: E402
from pipeline.segment.tiles import TiledSegmenter, plan  # noqa: E402
from pipeline.types import Image  # noqa: E402

SPACING = 97
"""Discs stand this far apart, so 8192 x 8192 holds 7,056 of them, on and between the seams."""


def main() -> None:
    """Measure every row in its own process, print a table, write JSON."""
    parser = arguments(__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 2048, 4096, 8192])
    parser.add_argument("--one", nargs=3, metavar=("ENGINE", "SIDE", "TILED"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(_one(args.one[0], int(args.one[1]), args.one[2] == "tiled")))
        return
    sides = [s for s in args.sides if s <= 2048] if args.quick else args.sides
    rows = []
    for engine in ("components", "sam_small"):
        for side in sides:
            for how in ("whole", "tiled") if engine == "components" or side <= 2048 else ("tiled",):
                command = [sys.executable, __file__, "--one", engine, str(side), how]
                answer = subprocess.run(command, capture_output=True, text=True, check=True)
                rows.append(json.loads(answer.stdout.splitlines()[-1]))
                print(rows[-1], flush=True)
    report("tiles", rows, args.json)


def _one(engine: str, side: int, tiled: bool) -> dict[str, Any]:
    """Return one row: what was found, how long it took, and what it cost above the image itself."""
    image = _discs(side)
    segmenter = _engine(engine)
    base_mb = _peak_mb()
    tiling = Tiling(enabled=tiled)
    start = time.perf_counter()
    batch = TiledSegmenter(segmenter).segment([image], CountSettings(tiling=tiling))[0]
    seconds = time.perf_counter() - start
    truth = len(range(SPACING // 2, side, SPACING)) ** 2
    return {
        "engine": engine,
        "side_px": side,
        "tiles": len(plan(image.size_hw, tiling)),
        "seconds": round(seconds, 2),
        "found": len(batch),
        "truth": truth if engine == "components" else None,
        "image_mb": round(image.pixels_hw3.nbytes / 2**20),
        "peak_above_image_and_engine_mb": round(_peak_mb() - base_mb),
        "peak_mb": round(_peak_mb()),
    }


def _discs(side: int) -> Image:
    """Return a square picture with a grid of discs, drawn row of discs by row of discs."""
    pixels = np.zeros((side, side, 3), dtype=np.uint8)
    y, x = np.mgrid[-30:31, -30:31]
    for i, cy in enumerate(range(SPACING // 2, side, SPACING)):
        for j, cx in enumerate(range(SPACING // 2, side, SPACING)):
            disc = np.hypot(y, x) <= 10 + (i * 7 + j * 3) % 20
            y0, x0 = max(0, cy - 30), max(0, cx - 30)
            part = disc[y0 - cy + 30 :, x0 - cx + 30 :][: side - y0, : side - x0]
            window = pixels[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]]
            window[part] = 200
    return Image("discs", pixels)


def _engine(name: str) -> Segmenter:
    if name == "components":
        from tests.doubles.components import ComponentsSegmenter

        return ComponentsSegmenter()
    import torch

    from pipeline.segment.sam_segmenter import SamSegmenter
    from pipeline.segment.sam_settings import SamSettings
    from tests.doubles.small_sam import small_sam

    torch.set_num_threads(2)
    settings = SamSettings(points_per_side=4, pred_iou_thresh=0.65, stability_score_thresh=0.4)
    return SamSegmenter(small_sam(), EngineInfo("sam", "small", None, "", ""), torch.device("cpu"), settings)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
