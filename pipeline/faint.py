"""What an engine saw too faintly to propose, told to people. No candidates: nothing of it is ever counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pipeline.contract import Region
from pipeline.ops.regions import points_in_polygon, points_in_regions
from pipeline.types import CandidateBatch


@dataclass(frozen=True, slots=True)
class FaintThing:
    """One of them, as JSON has it.

    Attributes:
        x, y: its centre in image px.
        radius: px, of a disc of its area.
        confidence: the engine's score in [0, 1], too low to propose it.
    """

    x: float
    y: float
    radius: float
    confidence: float


def faint_things(
    batch: CandidateBatch, counted: Iterable[ArrayLike], regions: Sequence[Region]
) -> list[FaintThing]:
    """Return what was seen too faintly and lies in the regions, but in no counted object.

    Args:
        batch: with its ``faint``.
        counted: outlines of the counted objects, (P, 2) px each, whoever found them.
        regions: of the settings; none is the whole picture.
    """
    faint = batch.faint.astype(np.float64)
    faint = faint[points_in_regions(faint[:, :2], regions)]
    for polygon in counted:
        outline = np.asarray(polygon, dtype=np.float64)
        near = (faint[:, :2] >= outline.min(axis=0)) & (faint[:, :2] <= outline.max(axis=0))
        inside = near.all(axis=1)
        if inside.any():
            inside[inside] = points_in_polygon(faint[inside, :2], outline)
            faint = faint[~inside]
    return [
        FaintThing(round(x, 1), round(y, 1), round(float(np.sqrt(area / np.pi)), 1), round(quality, 6))
        for x, y, area, quality in faint.tolist()
    ]
