"""How the parts that know something about a candidate become one probability per label. Pure numpy.

docs/models.md gives the formulas and the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import ObjectType
from pipeline.imagenet import N_CLASSES, Taxonomy
from pipeline.types import Classification

PART_WEIGHTS = {"open_clip": 1.0, "imagenet": 0.5}
"""Exponents of the parts in the pool. ImageNet has no word for most countable things: it weighs half."""

PRIOR_WEIGHT = 0.5
"""Exponent of the odds of appearance consistency, where a classifier knows something too."""

FLOOR = 1e-3
"""No part can rule out a label alone."""

Floats = NDArray[np.float32]


def imagenet_scores(
    classification: Classification, labels: Sequence[ObjectType], taxonomy: Taxonomy
) -> Floats:
    """Return what the five best ImageNet classes say of each label; the first label is the request.

    A class speaks for the request when it is a kind of it, else for the label with the fewest classes
    that it is a kind of. What remains of the probability (classes of no label, and all but the best
    five) is each label's score that no class speaks for: of those ImageNet knows nothing.

    Returns:
        (N, K) float32 in [0, 1]. Not a distribution: compare within a row.
    """
    kinds = [taxonomy.class_ids(label) for label in labels]
    owner = np.full(N_CLASSES, -1)
    for column in sorted(range(1, len(labels)), key=lambda k: -len(kinds[k])):
        owner[list(kinds[column])] = column
    owner[list(kinds[0])] = 0
    mass = np.zeros((len(classification.class_ids), len(labels) + 1), np.float32)
    rows = np.arange(len(mass))[:, None]
    np.add.at(mass, (rows, owner[classification.class_ids]), classification.class_probs)
    spoken_for = mass[:, :-1]
    rest = np.clip(1.0 - spoken_for.sum(axis=1, keepdims=True), 0.0, 1.0)
    has_classes = np.array([bool(ids) for ids in kinds])
    return np.where(has_classes, spoken_for, rest).astype(np.float32)


def pool(parts: Mapping[str, Floats]) -> Floats:
    """Return the weighted geometric mean of the parts' scores, normalised: (N, K) float32.

    Args:
        parts: name of ``PART_WEIGHTS`` -> (N, K) scores; at least one.
    """
    logs = sum(PART_WEIGHTS[name] * np.log(scores + FLOOR) for name, scores in parts.items())
    odds = np.exp(logs - np.max(logs, axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)


def with_prior(pooled: Floats, prior: Floats) -> Floats:
    """Return the pool with the request's odds multiplied by those of appearance consistency.

    Args:
        pooled: (N, K) float32, rows sum to 1; column 0 is the request.
        prior: (N,) float32 in [0, 1): ``consistency.consistency``.

    Returns:
        (N, K) float32, rows sum to 1. The other labels keep their proportions.
    """
    request = np.clip(pooled[:, 0].astype(np.float64), 1e-6, 1 - 1e-6)
    known = np.clip(prior.astype(np.float64), 1e-6, 1 - 1e-6)
    odds = request / (1 - request) * (known / (1 - known)) ** PRIOR_WEIGHT
    updated = odds / (1 + odds)
    mixed = pooled.astype(np.float64) * ((1 - updated) / (1 - request))[:, None]
    mixed[:, 0] = updated
    return np.asarray(mixed / np.maximum(mixed.sum(axis=1, keepdims=True), 1e-12), np.float32)
