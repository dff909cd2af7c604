"""Drawn scenes with exemplars: what is like them is foreground, all else is background."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.segment.mini_like import exemplar_mask
from pipeline.train.data import as_sample
from pipeline.train.scenes import IGNORE, SCENE_PX, Scene, draw_scene

MAX_EXEMPLARS = 3
"""Fewer are told again in turn."""
_SEVERAL = 0.6
"""Share of the scenes that show things of several kinds."""
_TRIES = 40
_LEAST = 3
"""Scenes with fewer objects say little of likeness."""
_CARELESS = 0.04
"""How far off the sides of a box are drawn, as a share of it."""


def draw_like_sample(seed: int, size: int = SCENE_PX) -> tuple[NDArray[np.uint8], ...]:
    """Return the sample of a seed: a scene ``size`` px a side, what is like its exemplars, where these are.

    Returns:
        image (3, S, S), targets (4, S / 2, S / 2) as ``make_targets`` gives them times 255, and the masks
        of the exemplars (MAX_EXEMPLARS, S / 4, S / 4) times 255; all uint8.

    Raises:
        RuntimeError: no scene of that seed shows enough objects.
    """
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    for attempt in range(_TRIES):
        several = bool(rng.random() < _SEVERAL)
        scene = draw_scene(seed * _TRIES + attempt, size, several=several)
        whole = _whole(scene)
        if len(whole) >= _LEAST:
            break
    else:
        raise RuntimeError(f"want {_LEAST} objects, got fewer in {_TRIES} scenes of seed {seed}")
    chosen, labels = _choose(rng, scene, whole)
    sample = as_sample(scene.image, labels, stretch=rng.random() < 0.8)
    masks = np.stack([_mask_of(rng, scene.labels, int(k)) for k in np.resize(chosen, MAX_EXEMPLARS)])
    return *sample, masks


def _whole(scene: Scene) -> NDArray[np.intp]:
    """Return the numbers of the objects that are counted and not cut by the edge."""
    numbers = np.unique(scene.labels)
    edges = np.concatenate([scene.labels[[0, -1]].ravel(), scene.labels[:, [0, -1]].ravel()])
    return np.asarray(np.setdiff1d(numbers[numbers > 0], edges), np.intp)


def _choose(
    rng: np.random.Generator, scene: Scene, whole: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Return the numbers of one to three exemplars of one shape, and the labels of what is like them.

    Exemplars of several colours mean all colours. Three of one colour mean that colour; fewer leave open what
    things of other colours are, and these are not taught.
    """
    shape = scene.kinds[rng.choice(whole), 0]
    pool = whole[scene.kinds[whole, 0] == shape]
    if rng.random() < 0.5:
        pool = pool[scene.kinds[pool, 1] == scene.kinds[rng.choice(pool), 1]]
    chosen = rng.permutation(pool)[: int(rng.choice([1, 2, 3, 3, 3]))]
    pairs = np.unique(scene.kinds[chosen, 1])
    table = np.arange(len(scene.kinds), dtype=np.int32)
    table[scene.kinds[:, 0] != shape] = 0
    if len(pairs) == 1:
        table[(table > 0) & (scene.kinds[:, 1] != pairs[0])] = 0 if len(chosen) == MAX_EXEMPLARS else IGNORE
    labels = np.where(scene.labels > 0, table[np.maximum(scene.labels, 0)], scene.labels)
    return chosen, labels.astype(np.int32)


def _mask_of(rng: np.random.Generator, labels: NDArray[np.int32], number: int) -> NDArray[np.uint8]:
    """Return the mask of a box drawn around an object by a somewhat careless hand."""
    x, y, width, height = cv2.boundingRect((labels == number).astype(np.uint8))
    off = rng.normal(0, _CARELESS, 4) * [width, height, width, height]
    return np.rint(255 * exemplar_mask(np.array([x, y, x + width, y + height]) + off, labels.shape)).astype(
        np.uint8
    )
