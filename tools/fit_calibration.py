"""Fit pipeline/data/calibration.json: draw scenes, count them, compare candidate by candidate with the truth.

python -m tools.fit_calibration [--scenes 300] [--photos FOLDER] [--keep-misses]

With FOLDER (manifest.json and images/ of photos with true counts) two numbers an engine are fitted to
photos, which are harder to be sure of than drawings: the shared error and a factor on the misses. They
are fitted once more for mini told what to count by one, two and three boxes. Nothing else comes from
photos, and bench/calibration.py checks them on photos that were left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from skimage import io

from pipeline.calibration import EVIDENCE, SHOWN, TABLE, Calibration, doubtful, evidence
from pipeline.classify import classify, patch_side_px
from pipeline.contract import CountSettings, Exemplar
from pipeline.count import count
from pipeline.in_question import in_question
from pipeline.label_map import map_labels
from pipeline.ops.rle import rle_to_crop
from pipeline.patches import extract_patches
from pipeline.segment.base import Segmenter
from pipeline.segment.registry import load
from pipeline.summary import INTERVAL_LEVEL, count_interval
from pipeline.train.scenes import draw_scene
from pipeline.types import Candidates, Image, Instances

ENGINES = ("mini", "classical")
STEERED = "mini"
"""The engine that looks for what exemplars show."""
MAX_BOXES = 3
FIRST_SEED = 7_000_000_000
"""Training draws seeds below this, tests small ones; the check of the fit starts at ``CHECK_SEED``."""
CHECK_SEED = 8_000_000_000
HIT_IOU = 0.4
SPREADS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.3, 1.6, 2.0, 2.5)
FACTORS = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.5)
NEARLY = 0.97
"""Share of what the widest intervals hold that is enough where nine in ten photos cannot be had."""
MIN_KNOT = 40
"""Candidates that a knot of the reliability curve stands for, at least."""

Choices = dict[tuple[float, float], tuple[NDArray[np.float64], NDArray[np.bool_]]]
"""Shared error and factor of the misses -> (N,) surprise, and whether the interval holds, of N pictures."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One counted picture whose true count is known; for drawn ones also which candidates are objects."""

    candidates: Candidates
    instances: Instances
    settings: CountSettings
    true: int
    hits: NDArray[np.bool_] | None = None

    @property
    def judged(self) -> NDArray[np.int64]:
        """Candidates that are counted or kept out by their score alone."""
        return np.concatenate([self.instances.counted, doubtful(self.instances)])


def clean_scene(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return a picture of plain things well apart, and its labels: what Tally must be sure of."""
    rng = np.random.default_rng(seed)
    radius, side = rng.uniform(8, 40), 512
    step = radius * rng.uniform(2.3, 3.5)
    tone = rng.uniform(0, 255, 3)
    other = np.where(tone < 128, tone + rng.uniform(60, 120), tone - rng.uniform(60, 120))
    image = np.full((side, side, 3), tone, np.float32)
    labels = np.zeros((side, side), np.int32)
    kind, spots = int(rng.integers(3)), np.arange(step, side - step, step)
    for number, (x, y) in enumerate(product(spots, spots), start=1):
        if rng.random() < 0.25:
            continue
        at = (int(x + rng.normal(0, 0.06) * radius), int(y + rng.normal(0, 0.06) * radius))
        size, angle = radius * rng.uniform(0.85, 1.1), float(rng.uniform(0, 180))
        axes = (int(size), int(size * (1, 0.45, 1)[kind]))
        width = max(2, int(size * 0.4)) if kind == 2 else -1
        cv2.ellipse(labels, at, axes, angle, 0, 360, number, -1)
        cv2.ellipse(
            image, at, axes, angle, 0, 360, (other * rng.uniform(0.9, 1.1)).tolist(), width, cv2.LINE_AA
        )
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.5)) + rng.normal(
        0, rng.uniform(1, 6), image.shape
    )
    return np.clip(image, 0, 255).astype(np.uint8), labels


def drawn_scenes(first_seed: int, n: int) -> Iterable[tuple[NDArray[np.uint8], NDArray[np.int32]]]:
    """Yield n pictures with their labels: two in three hard ones as in training, the others clean."""
    seed = first_seed
    while n:
        seed += 1
        if seed % 3 == 0:
            image, labels = clean_scene(seed)
        else:
            scene = draw_scene(seed)
            image, labels = scene.image, scene.labels
        if len(np.unique(labels[labels > 0])) and (labels < 0).mean() < 0.02:
            n -= 1
            yield image, labels


def candidates_of(segmenter: Segmenter, pixels: NDArray[np.uint8], settings: CountSettings) -> Candidates:
    """Return what the pipeline stores of one picture, (H, W, 3) RGB."""
    image = Image("", pixels)
    (batch,) = segmenter.segment([image], settings)
    patches = extract_patches(image, batch, settings, side_px=patch_side_px(batch.bbox_xyxy))
    (seen,) = classify([patches])
    return Candidates(batch, seen, map_labels(patches, seen, batch, "object", ()))


def shown(settings: CountSettings, boxes: Sequence[Sequence[float]]) -> CountSettings:
    """Return the settings with boxes, x, y, width, height in px, as examples, as a user would give them."""
    exemplars = tuple(Exemplar((float(x), float(y), float(w), float(h))) for x, y, w, h in boxes)
    return replace(settings, exemplars=exemplars, count_what="exemplars") if boxes else settings


def find(
    segmenter: Segmenter, image: NDArray[np.uint8], boxes: Sequence[Sequence[float]] = ()
) -> tuple[Candidates, Instances, CountSettings]:
    """Return the candidates that the pipeline finds in one picture, its decisions and their settings.

    Args:
        segmenter: finds the candidates.
        image: (H, W, 3) RGB.
        boxes: x, y, width, height of exemplars; without any the request says what to count.
    """
    settings = shown(CountSettings(), boxes)
    candidates = candidates_of(segmenter, image, settings)
    return candidates, count(candidates, settings), settings


def observe_drawn(segmenter: Segmenter, image: NDArray[np.uint8], labels: NDArray[np.int32]) -> Observed:
    """Count a drawn picture; each object is hit by the best candidate that covers it, once."""
    candidates, instances, settings = find(segmenter, image)
    found = Observed(candidates, instances, settings, len(np.unique(labels[labels > 0])))
    areas, taken, hits = np.bincount(labels[labels > 0].ravel()), set(), []
    order = found.judged[np.argsort(-instances.scores[found.judged], kind="stable")]
    for i in order.tolist():
        mask, (x, y) = rle_to_crop(candidates.batch.rle(i), candidates.batch.size_hw)
        under = labels[y : y + mask.shape[0], x : x + mask.shape[1]][mask]
        shared = np.bincount(under[under > 0], minlength=len(areas))
        iou = shared / np.maximum(areas + mask.sum() - shared, 1)
        best = int(np.argmax(iou))
        if iou[best] >= HIT_IOU and best not in taken:
            taken.add(best)
            hits.append(i)
    return replace(found, hits=np.isin(found.judged, hits))


def observe_drawings(engine: str, first_seed: int, n: int) -> list[Observed]:
    """Return what an engine makes of n drawn pictures."""
    segmenter, _ = load(engine, None)
    return [observe_drawn(segmenter, *scene) for scene in drawn_scenes(first_seed, n)]


def observe_photos(engine: str, folder: Path, boxes: int = 0) -> list[tuple[dict[str, Any], Observed]]:
    """Return what an engine makes of the photos of one kind of thing in a folder, so many boxes shown."""
    segmenter, _ = load(engine, None)
    photos = json.loads((folder / "manifest.json").read_text())
    found = []
    for photo in photos:
        given = photo["exemplars"][:boxes]
        if photo["scene"] in ("uniform", "clutter") and len(given) == boxes:
            pixels = np.ascontiguousarray(io.imread(folder / "images" / photo["file"]))
            pixels = np.repeat(pixels[..., None], 3, 2) if pixels.ndim == 2 else pixels[..., :3].copy()
            found.append((photo, Observed(*find(segmenter, pixels, given), photo["count"])))
    return found


def rising(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the nearest never-falling sequence in weighted least squares (pool adjacent violators)."""
    pools: list[list[float]] = []
    for value, weight in zip(values, weights, strict=True):
        pools.append([value, weight, 1])
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            v, w, n = pools.pop()
            u, x, m = pools.pop()
            pools.append([(u * x + v * w) / (x + w), x + w, m + n])
    return np.concatenate([np.full(int(n), v) for v, _, n in pools])


def fit_chances(observed: Sequence[Observed]) -> Calibration:
    """Return the isotonic curve from score to the share of candidates that are objects."""
    scores = np.concatenate([o.instances.scores[o.judged] for o in observed]).astype(np.float64)
    hits = np.concatenate([o.hits for o in observed if o.hits is not None]).astype(np.float64)
    order = np.argsort(scores, kind="stable")
    bins = np.array_split(order, min(24, max(2, len(order) // MIN_KNOT)))
    sizes = np.array([len(b) for b in bins], np.float64)
    # Half a hit and half a miss more in each: nothing is certain after 40 candidates.
    shares = rising(np.array([(hits[b].sum() + 0.5) / (len(b) + 1) for b in bins]), sizes)
    middles = np.array([scores[b].mean() for b in bins])
    return Calibration(tuple(middles.round(4).tolist()), tuple(shares.round(4).tolist()))


def fit_misses(observed: Sequence[Observed], known: Calibration) -> Calibration:
    """Return the calibration with a Poisson regression of the misses on the evidence, and their spread.

    Each picture weighs the same, by misses for each counted object.
    """
    some = [o for o in observed if len(o.instances.counted)]
    seen = np.array([evidence(o.candidates, o.instances, known) for o in some])
    n = np.array([len(o.instances.counted) for o in some], np.float64)
    missed = np.array([o.true - int(np.sum(o.hits)) for o in some], np.float64)

    def loss(weights: NDArray[np.float64]) -> float:
        mean = n * np.exp(seen @ weights)
        return float(((mean - missed * np.log(mean)) / n).mean() + 1e-3 * (weights[1:] ** 2).sum())

    bounds = [(-7.0, 0.0)] + [(0.0, 8.0)] * (len(EVIDENCE) - 1)
    weights = minimize(loss, np.array([-4.0, 1, 1, 1, 1]), bounds=bounds).x
    mean = n * np.exp(seen @ weights)
    extra = float(((missed - mean) ** 2 - mean).sum() / (mean**2).sum())
    shape = 1 / float(np.clip(extra, 0.2, 5))
    return replace(known, misses=tuple(weights.round(3).tolist()), shape=round(shape, 3))


def with_misses_of(known: Calibration, engine: str) -> Calibration:
    """Return the calibration with the misses that the table has for an engine, before they were adjusted."""
    row = json.loads(TABLE.read_text())[engine]
    known = replace(known, misses=tuple(row["misses"]), shape=row["shape"])
    return adjusted(known, known.spread, 1 / row["fitted_on"]["factor"])


def adjusted(known: Calibration, spread: float, factor: float) -> Calibration:
    """Return the calibration with a shared error and its misses multiplied."""
    first, *others = known.misses
    return replace(known, spread=spread, misses=(round(first + float(np.log(factor)), 3), *others))


def surprise(observed: Sequence[Observed], known: Calibration) -> NDArray[np.float64]:
    """Return -log of the probability given to each true count; never more than that of one in 1,000."""
    masses = [known.distribution(o.candidates, o.instances) for o in observed]
    given = [m[o.true] if o.true < len(m) else 0.0 for m, o in zip(masses, observed, strict=True)]
    return -np.log(np.maximum(given, 1e-3))


def interval_of(o: Observed, known: Calibration) -> tuple[int, int]:
    """Return the interval that a picture's count would be given."""
    question = in_question(o.candidates, o.instances, o.settings)
    return count_interval(o.candidates, o.instances, known, question)


def holds(observed: Sequence[Observed], known: Calibration) -> NDArray[np.bool_]:
    """Return whether each picture's interval holds its true count."""
    intervals = [interval_of(o, known) for o in observed]
    held = [low <= o.true <= high for o, (low, high) in zip(observed, intervals, strict=True)]
    return np.array(held, np.bool_)


def choices(observed: Sequence[Observed], known: Calibration) -> Choices:
    """Return what each choice of shared error and factor of the misses makes of each picture."""
    tried = ((pair, adjusted(known, *pair)) for pair in product(SPREADS, FACTORS))
    return {pair: (surprise(observed, one), holds(observed, one)) for pair, one in tried}


def best_choice(tried: Choices, which: NDArray[np.bool_] | slice = slice(None)) -> tuple[float, float]:
    """Return the least surprising choice for some pictures of those whose intervals hold what they promise.

    One picture less is as good, or a single one would widen all intervals. Where none does, it is one of
    those that hold nearly as many as the widest: the last few are held only by what is too wide for all.
    """
    held = {pair: int(inside[which].sum()) for pair, (_, inside) in tried.items()}
    n = len(next(iter(tried.values()))[1][which])
    least = min(INTERVAL_LEVEL * n, NEARLY * max(held.values())) - 1
    good = [pair for pair in tried if held[pair] >= least]
    return min(good, key=lambda pair: float(tried[pair][0][which].mean()))


def entry(known: Calibration, observed: Sequence[Observed], sources: dict[str, Any]) -> dict[str, Any]:
    """Return the row of the table with the shared error and the factor that fit best."""
    best = best_choice(choices(observed, known))
    return asdict(adjusted(known, *best)) | {"fitted_on": sources | {"factor": best[1]}}


def main() -> None:
    """Fit each engine and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--photos", type=Path)
    parser.add_argument(
        "--keep-misses", action="store_true", help="keep what evidence says of misses, fit all else"
    )
    args = parser.parse_args()
    table = {}
    for engine in ENGINES:
        drawings = observe_drawings(engine, FIRST_SEED, args.scenes)
        known = fit_chances(drawings)
        known = with_misses_of(known, engine) if args.keep_misses else fit_misses(drawings, known)
        if not args.photos:
            table[engine] = entry(known, drawings, {"scenes": args.scenes, "photos": 0})
            continue
        numbers_of_boxes = {engine: (0,)}
        if engine == STEERED:
            numbers_of_boxes[engine + SHOWN] = range(1, MAX_BOXES + 1)
        for name, numbers in numbers_of_boxes.items():
            photos = [o for n in numbers for _, o in observe_photos(engine, args.photos, n)]
            table[name] = entry(known, photos, {"scenes": args.scenes, "photos": len(photos)})
    print(json.dumps(table, indent=1))
    TABLE.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
