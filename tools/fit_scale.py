"""Fit the weights of pipeline/segment/mini_scale.py: draw pictures, look at all scales, compare to the truth.

python -m tools.fit_scale [--pictures 200] [--models A.onnx B.onnx ...]

Pictures are larger than training scenes and hold one kind of thing, 9 px wide to almost half the picture.
First a logistic regression says which instances are objects; then the weights of a scale are those under
which a soft choice among scales gives the best F1. Prints CHANCE_WEIGHTS and SCORE_WEIGHTS. The weights are
meant to hold for any checkpoint of the network, so fit on several.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pipeline.segment.mini import MIN_QUALITY, MODEL, open_session
from pipeline.segment.mini_input import stretch_contrast
from pipeline.segment.mini_links import find_links
from pipeline.segment.mini_maps import STRIDE_PX, Maps
from pipeline.segment.mini_merge import merge_levels
from pipeline.segment.mini_peaks import Found
from pipeline.segment.mini_scale import Levels
from pipeline.segment.mini_search import ScaleSearch
from pipeline.train.damage import damage
from pipeline.train.layouts import LAYOUTS
from pipeline.train.paint import cast_shadow, draw_sprite, mark, paste
from pipeline.train.plans import draw_plan
from pipeline.train.shapes import make_prototype

FIRST_SEED = 9_000_000_000
"""Training, calibration and its check draw seeds below this."""
SIDES_PX = (300, 800)
HIT_IOU = 0.5
VISIBLE = 0.35
_SPRITES, _MOST = 14, 600

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Looked:
    """One picture at all its scales, and its truth as instances at scale 1."""

    founds: dict[int, Found]
    truth: Found


def draw_picture(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return a picture (S, S, 3) of one kind of thing, and its labels (S, S), 1... one an object."""
    rng = np.random.default_rng(seed)
    side = int(np.exp(rng.uniform(*np.log(SIDES_PX))))
    radius = float(np.exp(rng.uniform(np.log(4.5), np.log(side / 4.5))))
    plan = draw_plan(rng, side)
    image, labels = np.ascontiguousarray(plan.ground), np.zeros((side, side), np.int32)
    kind = make_prototype(rng, plan.makers[0])
    fits = min(_MOST, 0.75 * side**2 / (np.pi * radius**2) + 3)
    n = int(np.exp(rng.uniform(np.log(3), np.log(max(4, fits)))))
    sizes = radius * np.exp(rng.normal(0, plan.spread, min(n, _SPRITES)).clip(-0.8, 0.8))
    sprites = [draw_sprite(rng, kind, r, rng.uniform(0, 2 * np.pi), plan.material) for r in sizes.tolist()]
    room = np.resize(sizes, n) * min(kind.reach / kind.unit, 1.15)
    for number, place in enumerate(LAYOUTS[plan.layout](rng, side, room, plan.gap).astype(int).tolist()):
        sprite, at = sprites[number % len(sprites)], (place[0], place[1])
        cast_shadow(image, sprite, at, float(sizes[number % len(sizes)]), plan.material)
        first, second = plan.palette[int(rng.integers(len(plan.palette)))]
        paste(image, sprite, at, (first, second))
        mark(labels, sprite, at, number + 1)
    seen = np.bincount(labels.ravel())
    hidden = seen < VISIBLE * np.pi * radius**2
    return damage(rng, image), np.where(hidden[labels], 0, labels).astype(np.int32)


def as_found(labels: NDArray[np.int32]) -> Found:
    """Return labels of a picture as instances in the frame of the network's maps at scale 1."""
    numbers, cells = np.unique(labels[::STRIDE_PX, ::STRIDE_PX], return_inverse=True)
    cells = cells.reshape(-(-labels.shape[0] // STRIDE_PX), -1) + int(numbers[0] != 0)
    area = np.bincount(cells.ravel())[1:].astype(np.float32)
    empty = np.zeros(cells.shape, np.float32)
    ones = np.ones(len(area), np.float32)
    return Found(Maps(1.0, empty, empty, empty), cells.astype(np.int32), area, ones, ones)


def look(session: Any, pictures: int) -> Iterator[Looked]:
    """Yield pictures with what a model finds in them at every scale that the search runs."""
    for seed in range(FIRST_SEED, FIRST_SEED + pictures):
        image, labels = draw_picture(seed)
        truth = as_found(labels)
        if len(truth.area) > 1:
            yield Looked(ScaleSearch(session, stretch_contrast(image)).levels().founds, truth)


def hits(found: Found, truth: Found) -> NDArray[np.bool_]:
    """Return (N,) whether each instance meets an object, each object being met once at most."""
    coarse_first = found.maps.scale <= truth.maps.scale
    links = find_links(found, truth) if coarse_first else find_links(truth, found)
    mine, theirs = (links.coarse, links.fine) if coarse_first else (links.fine, links.coarse)
    good = np.flatnonzero(links.iou >= HIT_IOU)
    good = good[np.argsort(-links.iou[good], kind="stable")]
    once = good[np.unique(theirs[good], return_index=True)[1]]
    return np.isin(np.arange(len(found.area)), mine[once])


def f1(found: Found, truth: Found) -> float:
    """Return the F1 of the instances that would be proposed."""
    proposed = found.quality >= MIN_QUALITY
    right = int((hits(found, truth) & proposed).sum())
    return 2 * right / max(1, int(proposed.sum()) + len(truth.area))


def fit_chances(looked: list[Looked]) -> Array:
    """Return the weights under which the signs of an instance tell whether it is an object."""
    columns, answers, weights = [], [], []
    for one in looked:
        levels = Levels(one.founds)
        for level, found in one.founds.items():
            if len(found.area):
                columns.append(levels.signs(level))
                answers.append(hits(found, one.truth))
                weights.append(np.full(len(found.area), len(found.area) ** -0.5))
    x, y, w = np.concatenate(columns, axis=1), np.concatenate(answers), np.concatenate(weights)

    def loss(b: Array) -> float:
        odds = np.where(y, 1, -1) * (b[0] + b[1:] @ x)
        return float((w * np.logaddexp(0, -odds)).sum() / w.sum() + 1e-4 * (b[1:] ** 2).sum())

    return np.asarray(minimize(loss, np.zeros(len(x) + 1)).x)


def fit_scores(looked: list[Looked], chance_weights: Array) -> Array:
    """Return the weights of a scale under which a soft choice among scales has the best mean F1."""
    choices: list[tuple[Array, Array]] = []
    for one in looked:
        levels = Levels(one.founds, chance_weights.tolist())
        seen = {level: e for level in one.founds if (e := levels.evidence(level)) is not None}
        if seen:
            worth = [f1(merge_levels(levels, level), one.truth) for level in seen]
            choices.append((np.stack(list(seen.values())), np.array(worth)))
    spread = np.concatenate([x for x, _ in choices]).std(axis=0) + 1e-9

    def loss(b: Array) -> float:
        lost = 0.0
        for x, worth in choices:
            score = x @ (b / spread)
            share = np.exp(score - score.max())
            lost += worth.max() - float((share / share.sum() * worth).sum())
        return lost / len(choices) + 3e-3 * float((b**2).sum())

    return np.asarray(minimize(loss, np.zeros(len(spread))).x / spread)


def main() -> None:
    """Fit on the pictures of one or several models and print the weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--models", nargs="+", default=[str(MODEL)])
    args = parser.parse_args()
    looked = [one for path in args.models for one in look(open_session(path), args.pictures)]
    weights = fit_chances(looked)
    print("CHANCE_WEIGHTS =", tuple(weights.round(3).tolist()))
    print("SCORE_WEIGHTS =", tuple(fit_scores(looked, weights).round(3).tolist()))


if __name__ == "__main__":
    main()
