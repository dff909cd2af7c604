"""Painted images whose things are found more than once: doubles, wholes of two neighbours, a second type."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.rle import rle_to_mask
from pipeline.types import Candidates, TypeProbs
from tests.candidates import candidates_of
from tests.doubles import painted

DOUBLED, JOINED, TYPED = 1, 2, 4
"""Bits of an image's shade: each thing has a double; neighbours have a whole; each third is a pebble."""


def read_crowded(path: str, type_name: str) -> Candidates:
    """Return the candidates of a painted file, and those that its shade adds."""
    found = painted.read_painted(path, type_name)
    batch, size_hw, shade = found.batch, found.batch.size_hw, painted.shade_of(path)
    things = [rle_to_mask(batch.rle(i), size_hw) for i in range(len(batch))]
    doubles = list(range(len(things))) if shade & DOUBLED else []
    wholes = list(range(0, len(things) - 1, 2)) if shade & JOINED else []
    masks = [*things, *(_grown(things[i]) for i in doubles), *(things[i] | things[i + 1] for i in wholes)]
    of = np.array([*range(len(things)), *doubles, *wholes], np.int64)
    made = candidates_of(masks, size_hw, (type_name,), prob=1.0)
    less = np.repeat((1.0, 0.9, 0.95), (len(things), len(doubles), len(wholes)))
    quality = (batch.predicted_iou[of] * less).astype(np.float32)
    seen = replace(made.classification, embeddings=found.classification.embeddings[of])
    crowd = painted.with_outlines(replace(made.batch, predicted_iou=quality, faint=batch.faint))
    return replace(made, batch=crowd, classification=seen, type_probs=_types(type_name, of, shade))


def _types(type_name: str, of: NDArray[np.int64], shade: int) -> TypeProbs:
    """Every third thing is a pebble where the shade says so; all are of the requested type else."""
    if not shade & TYPED:
        return TypeProbs((type_name,), np.ones((len(of), 1), np.float32), "request")
    is_pebble = of % 3 == 2
    probs = np.stack([np.where(is_pebble, 0.05, 0.9), np.where(is_pebble, 0.9, 0.05)], axis=1)
    return TypeProbs((type_name, "pebble"), probs.astype(np.float32), "imagenet")


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask with one pixel more to the right and below."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:, 1:] |= mask[:, :-1]
    return grown


count_batch = partial(painted.count_batch, read=read_crowded)
"""The same contract as ``pipeline.run.count_batch``."""
