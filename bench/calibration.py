"""Is a stated probability kept? Reliability of candidates and coverage of the 90 % interval.

On drawn scenes that the fit has not seen, and, with a folder of photos with true counts, on each photo with
the two numbers that are fitted to photos fitted anew on all others (leave one out). For mini also with one,
two and three boxes shown. --plot draws the reliability of mini, or of the first engine named.
python -m bench.calibration [FOLDER] [--engine mini] [--quick] [--json PATH] [--plot PATH]
python -m bench.calibration --known bench/results/calibration.json --plot docs/reliability.svg
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np

from bench.reliability_plot import reliability_svg
from bench.report import arguments, report
from pipeline.calibration import SHOWN, TABLE, Calibration, calibration_of
from tools.fit_calibration import (
    CHECK_SEED,
    ENGINES,
    MAX_BOXES,
    STEERED,
    Observed,
    adjusted,
    best_choice,
    choices,
    interval_of,
    observe_drawings,
    observe_photos,
)

BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 1.0)


def reliability(engine: str, observed: Sequence[Observed], known: Calibration) -> list[dict[str, Any]]:
    """Return a row a range of stated probability: how many candidates of it were objects."""
    said = np.concatenate([known.chance(o.instances.scores[o.judged]) for o in observed])
    true = np.concatenate([o.hits for o in observed if o.hits is not None])
    rows = []
    for low, high in pairwise(BINS):
        inside = (said >= low) & ((said < high) | (high == 1.0))
        if inside.any():
            row = {"engine": engine, "stated": f"{low}-{high}", "candidates": int(inside.sum())}
            rows.append(
                row | {"mean_stated": float(said[inside].mean()), "were_objects": float(true[inside].mean())}
            )
    return rows


def coverage(name: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return how often the interval holds the truth, and how wide it is where the count is right."""
    right = [r["high"] - r["low"] for r in rows if r["counted"] == r["true"]]
    widths = [(r["high"] - r["low"]) / max(1, r["counted"]) for r in rows]
    return {
        "set": name,
        "pictures": len(rows),
        "holds": float(np.mean([r["low"] <= r["true"] <= r["high"] for r in rows])),
        "too_low": float(np.mean([r["high"] < r["true"] for r in rows])),
        "too_high": float(np.mean([r["low"] > r["true"] for r in rows])),
        "median_relative_width": float(np.median(widths)),
        "median_width_where_right": float(np.median(right)) if right else None,
    }


def checked(o: Observed, known: Calibration) -> dict[str, Any]:
    """Return what is stated of one picture beside the truth."""
    low, high = interval_of(o, known)
    return {"true": o.true, "counted": len(o.instances.counted), "low": low, "high": high}


def left_out(engine: str, folder: Path, *, is_shown: bool) -> list[dict[str, Any]]:
    """Return a row a photo and number of boxes: its interval by numbers that come from all other photos."""
    numbers_of_boxes = range(1, MAX_BOXES + 1) if is_shown else (0,)
    found = [(n, *pair) for n in numbers_of_boxes for pair in observe_photos(engine, folder, n)]
    table = json.loads(TABLE.read_text())
    entry = table.get(engine + SHOWN * is_shown, table[engine])
    known = calibration_of(engine, is_shown=is_shown)
    plain = adjusted(known, 0.0, 1 / entry["fitted_on"]["factor"])
    tried = choices([o for _, _, o in found], plain)
    files = np.array([photo["file"] for _, photo, _ in found])
    rows = []
    for boxes, photo, o in found:
        best = best_choice(tried, files != photo["file"])
        named = {"engine": engine, "boxes": boxes, "file": photo["file"], "scene": photo["scene"]}
        rows.append(named | checked(o, adjusted(plain, *best)))
    return rows


def main() -> None:
    """Print, write and draw the tables."""
    parser = arguments(__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--engine", choices=ENGINES, action="append")
    parser.add_argument("--plot", type=Path, metavar="PATH", help="draw the reliability as SVG")
    parser.add_argument("--known", type=Path, metavar="JSON", help="draw these results, measure nothing")
    args = parser.parse_args()
    plotted = args.engine[0] if args.engine else STEERED
    if args.known and args.plot:
        args.plot.write_text(reliability_svg(json.loads(args.known.read_text())["reliability"], plotted))
        return
    summary, curves, photos = [], [], []
    for engine in args.engine or ENGINES:
        known = calibration_of(engine)
        drawn = observe_drawings(engine, CHECK_SEED, 12 if args.quick else 120)
        curves += reliability(engine, drawn, known)
        summary.append(coverage(f"{engine}, drawn", [checked(o, known) for o in drawn]))
        if args.folder:
            rows = left_out(engine, args.folder, is_shown=False)
            if engine == STEERED:
                rows += left_out(engine, args.folder, is_shown=True)
            photos += rows
            for boxes, scene in product(sorted({r["boxes"] for r in rows}), ("uniform", "clutter")):
                some = [r for r in rows if (r["boxes"], r["scene"]) == (boxes, scene)]
                summary.append(coverage(f"{engine}, {boxes} boxes, {scene} photos left out", some))
    report("reliability of candidates, drawn scenes", curves, None)
    report("photos, each left out of the fit", photos, None)
    report("coverage of the 90 % interval", summary, args.json, reliability=curves, photos=photos)
    if args.plot:
        args.plot.write_text(reliability_svg(curves, plotted))


if __name__ == "__main__":
    main()
