"""Fit pipeline/data/density.json: draw heaps and crowds, count them, compare what was seen with the truth.

python -m tools.fit_density [--scenes 400] [--workers 2]

No photo is used: bench/density.py checks the fit on other drawings, and on photos with true counts.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing as mp
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pipeline.density import EVIDENCE, TABLE, Crowd, DensityModel, seen_in
from pipeline.segment.registry import load
from tools.drawn_crowds import draw_crowd
from tools.fit_calibration import find

ENGINE = "mini"
FIRST_SEED = 9_000_000_000
CHECK_SEED = 10_000_000_000
TAIL = 0.05
WIDENED = 1.15
"""What drawings do not show: the interval's ends lie this much further out than the errors on drawings."""
SOFT = 0.3
"""Errors in logs above which they weigh linearly: single pictures are far off."""
FOLDS = 10

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Drawn:
    """One drawn picture, counted: ``crowd`` is None where there was too little to judge by."""

    seed: int
    true: int
    counted: int
    hidden: float
    radius_px: float
    crowd: Crowd | None


def observe(seed: int) -> Drawn:
    """Draw and count one picture."""
    cv2.setNumThreads(1)
    scene = draw_crowd(seed)
    segmenter, _ = load(ENGINE, None)
    candidates, instances, settings = find(segmenter, scene.image)
    crowd = seen_in(candidates, instances, settings)
    return Drawn(seed, scene.true, len(instances.counted), scene.hidden, scene.radius_px, crowd)


def observe_all(first_seed: int, n: int, workers: int) -> list[Drawn]:
    """Return n drawn pictures, counted by several processes."""
    with mp.get_context("spawn").Pool(workers) as pool:
        return list(pool.imap(observe, range(first_seed, first_seed + n)))


def robust(x: Floats, y: Floats) -> Floats:
    """Return the weights of a linear regression that forgives single large errors."""

    def loss(weights: Floats) -> float:
        errors = (y - x @ weights) / SOFT
        return float((np.sqrt(1 + errors**2) - 1).sum() + 0.025 * (weights[1:] ** 2).sum())

    return np.asarray(minimize(loss, np.zeros(x.shape[1])).x)


def error_sizes(x: Floats, errors: Floats) -> Floats:
    """Return the weights of the log of the mean absolute error (Laplace likelihood)."""

    def loss(weights: Floats) -> float:
        size = x @ weights
        return float((size + np.abs(errors) * np.exp(-size)).sum() + 0.5 * (weights[1:] ** 2).sum())

    return np.asarray(minimize(loss, np.array([-1.0] + [0.0] * (x.shape[1] - 1))).x)


def fit(observed: Sequence[Drawn]) -> DensityModel:
    """Return the model; the interval's ends come from errors on pictures left out of the regression."""
    some = [(o, o.crowd) for o in observed if o.crowd and o.crowd.is_heap(o.counted)]
    x = np.array([crowd.evidence for _, crowd in some])
    y = np.log([max(1, o.true) / crowd.n_seen for o, crowd in some])
    fold, left_out = np.arange(len(y)) % FOLDS, np.zeros(len(y))
    for k in range(FOLDS):
        left_out[fold == k] = (y - x @ robust(x[fold != k], y[fold != k]))[fold == k]
    spread = error_sizes(x, left_out)
    low, high = WIDENED * np.quantile(left_out / np.exp(x @ spread), (TAIL, 1 - TAIL))
    weights = robust(x, y)
    ends = round(float(low), 3), round(float(high), 3)
    return DensityModel(tuple(weights.round(3).tolist()), tuple(spread.round(3).tolist()), *ends)


def main() -> None:
    """Fit and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    observed = observe_all(FIRST_SEED, args.scenes, args.workers)
    model = fit(observed)
    entry = {name: getattr(model, name) for name in ("weights", "spread", "below", "above")}
    table = {ENGINE: entry | {"evidence": EVIDENCE, "fitted_on": {"scenes": args.scenes}}}
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    print(table)


if __name__ == "__main__":
    main()
