"""Are heaps and crowds estimated well, and is that offered only there? Drawings, and photos with true counts.

Drawings have other seeds than those of the fit (tools/fit_density.py). The folder holds manifest.json and
images/. python -m bench.density [FOLDER] [--quick] [--workers 2] [--json PATH]
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from bench.report import arguments, report
from pipeline.contract import CountRequest, CountSettings
from pipeline.density import LEAST_CHANGE, DensityModel, density_model, estimate_density, seen_in
from pipeline.run import count_batch
from tools.fit_density import CHECK_SEED, ENGINE, Drawn, observe_all

HIDDEN = ((0.0, 0.15), (0.15, 0.35), (0.35, 0.55), (0.55, 1.0))


def is_offered(drawn: Drawn, model: DensityModel) -> bool:
    """Return whether the pipeline would state an estimate."""
    if drawn.crowd is None or not drawn.crowd.is_heap(drawn.counted):
        return False
    return abs(model.interval(drawn.crowd, drawn.counted)[0] - drawn.counted) > max(
        1.0, LEAST_CHANGE * drawn.counted
    )


def factor(errors: Sequence[float]) -> float | None:
    """Return the median of how many times too many or too few."""
    return float(np.exp(np.median(np.abs(errors)))) if len(errors) else None


def drawn_row(name: str, some: Sequence[Drawn], model: DensityModel) -> dict[str, Any]:
    """Return how far count and estimate are off, over the pictures for which an estimate is offered."""
    offered = [
        (d, model.interval(d.crowd, d.counted)) for d in some if d.crowd is not None and is_offered(d, model)
    ]
    holds = [low <= d.true <= high for d, (_, low, high) in offered]
    others = [d for d in some if not is_offered(d, model)]
    return {
        "pictures": name,
        "n": len(some),
        "offered": len(offered),
        "count_off_by": factor([float(np.log((d.counted + 0.5) / (d.true + 0.5))) for d, _ in offered]),
        "estimate_off_by": factor(
            [float(np.log((best + 0.5) / (d.true + 0.5))) for d, (best, _, _) in offered]
        ),
        "holds": float(np.mean(holds)) if holds else None,
        "high_over_low": float(np.median([high / low for _, (_, low, high) in offered])) if offered else None,
        "count_off_by_where_not_offered": factor(
            [float(np.log((d.counted + 0.5) / (d.true + 0.5))) for d in others]
        ),
    }


def photo_row(folder: Path, photo: dict[str, Any]) -> dict[str, Any]:
    """Return count and estimate of one photo, and what the estimate cost."""
    request = CountRequest(photo["file"], str(folder / "images" / photo["file"]), photo["object"])
    outcome = count_batch([request])[0]
    if outcome.result is None or outcome.candidates is None or outcome.instances is None:
        raise RuntimeError(f"{photo['file']}: want a count, got {outcome.error}")
    started = perf_counter()
    estimate_density(outcome.candidates, outcome.instances, CountSettings(), ENGINE)
    seconds = perf_counter() - started
    about, crowd = (
        outcome.result.density_estimate,
        seen_in(outcome.candidates, outcome.instances, CountSettings()),
    )
    return {
        "file": photo["file"],
        "true": photo["count"],
        "count": outcome.result.count,
        "faint": None if crowd is None else crowd.doubt,
        "estimate": about and about.count,
        "low": about and about.low,
        "high": about and about.high,
        "estimate_ms": 1000 * seconds,
        "count_s": sum(outcome.result.timings_s.values()),
    }


def main() -> None:
    """Print and write the tables."""
    parser = arguments(__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    model = density_model(ENGINE)
    if model is None:
        raise RuntimeError(f"want a fit for {ENGINE}, got none")
    drawn = observe_all(CHECK_SEED, 12 if args.quick else 150, args.workers)
    rows = [drawn_row("all", drawn, model)]
    for low, high in HIDDEN:
        some = [d for d in drawn if low <= d.hidden < high]
        rows.append(drawn_row(f"{low:.0%} to {high:.0%} hidden", some, model))
    photos = []
    if args.folder:
        manifest = json.loads((args.folder / "manifest.json").read_text())
        photos = [photo_row(args.folder, photo) for photo in manifest[:: 5 if args.quick else 1]]
        report("photos", photos, None)
    name = "drawn heaps and crowds: by what factor the count and the estimate are off"
    report(name, rows, args.json, photos=photos)


if __name__ == "__main__":
    main()
