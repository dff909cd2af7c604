"""What is left open of a count: how many more or fewer things another reading of the request gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import CountSettings, Rejection
from pipeline.ops.boxes import box_area, overlapping_pairs
from pipeline.ops.nms import KEPT, suppress
from pipeline.types import Candidates, Instances

SEVERAL_KINDS = 1 / 3
"""More than this share of all outside of the largest group: several kinds, not one with exceptions."""

OFF = 0.1
"""Where more than this share of all is meant otherwise than it was taken, the count is wrong."""
SAME_SIZE = 2.0
"""Things left out as unlike, up to this factor in area as large as those counted, are perhaps meant."""


@dataclass(frozen=True, slots=True)
class InQuestion:
    """How many objects may be meant otherwise than they were taken; 0 where these are few.

    Attributes:
        little_like: counted, and little like the examples, or what was chosen in another image.
        left_out: unlike, and as large as those counted; all that is unlike where nothing is counted.
        unlike: counted where nothing but the request names them, and unlike most.
    """

    little_like: int = 0
    left_out: int = 0
    unlike: int = 0


def in_question(candidates: Candidates, instances: Instances, settings: CountSettings) -> InQuestion:
    """Return what is open of N candidates: how many more or fewer another reading gives.

    Nothing where a person chose groups; where they did so in another image, what is little like what they
    chose there. Where examples lie in other images alone and nothing is like them, all that is left out is
    open: in another light the same things look otherwise. Where nothing is closely like them, all that is
    counted is, be it one thing.
    """
    counted, readings, unsure = instances.counted, instances.readings, instances.unsure
    n = len(counted)
    if unsure:
        little = len(unsure.intersection(counted.tolist()))
        why_open = Rejection.OTHER_TYPE
        is_open = np.array([i in unsure for i in range(len(candidates))], np.bool_)
    elif instances.is_chosen or (readings is None and not n):
        return InQuestion()
    elif readings is None:
        return InQuestion(
            unlike=_n_unlike(instances) if is_only_named(candidates, instances, settings) else 0
        )
    else:
        little = int((~readings.narrow[counted]).sum())
        why_open = Rejection.UNLIKE_EXEMPLAR
        is_anywhere = not (n or instances.shown or len(settings.shown) < len(settings.exemplars))
        is_open = readings.wide | is_anywhere
    is_open &= np.array([why.startswith(why_open) for why in instances.rejections], np.bool_)
    if n:
        area = np.log(np.maximum(candidates.batch.area, 1))
        is_open &= np.abs(area - np.median(area[counted])) <= np.log(SAME_SIZE)
    left_out = np.flatnonzero(is_open)
    few = max(1, OFF * n) if n else 0
    n_left_out = _apart(candidates, counted, left_out) if len(left_out) > few else 0
    return InQuestion(little * (little > few or little == n), n_left_out * (n_left_out > few))


def is_only_named(candidates: Candidates, instances: Instances, settings: CountSettings) -> bool:
    """Return whether nothing but the request names the objects."""
    told_apart = candidates.type_probs.labelled_by != "request" or settings.shown or instances.is_chosen
    return settings.count_what in ("type", "everything") and not told_apart


def _n_unlike(instances: Instances) -> int:
    """Return how many counted objects are not of the largest group, where these are some and not many."""
    sizes = np.unique(instances.group_ids[instances.counted], return_counts=True)[1]
    n, others = int(sizes.sum()), int(sizes.sum() - sizes.max())
    return others if max(1, OFF * n) < others <= SEVERAL_KINDS * n else 0


def _apart(candidates: Candidates, counted: NDArray[np.int64], others: NDArray[np.int64]) -> int:
    """Return how many of the others lie apart from the counted and from each other: no doubles or parts."""
    order = np.concatenate([counted, others])
    box = candidates.batch.bbox_xyxy[order]
    pairs = overlapping_pairs(box)
    low = np.maximum(box[pairs[:, 0], :2], box[pairs[:, 1], :2])
    high = np.minimum(box[pairs[:, 0], 2:], box[pairs[:, 1], 2:])
    least = np.minimum(*(box_area(box[side]) for side in pairs.T))
    pairs = pairs[(high - low).prod(axis=1) > least / 2]
    by = suppress(np.arange(len(order)), pairs, np.ones(len(order), np.bool_))
    return int((by[len(counted) :] == KEPT).sum())
