"""Decisions on candidates → the counted objects with their numbers. Pure: numpy and stdlib."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.contract import SizeStats
from pipeline.count import SCORE_DIGITS, object_id, size_stats_of
from pipeline.ops.reading_order import reading_order
from pipeline.types import Candidates, Instances

MODEL, HUMAN = "model", "human"


@dataclass(frozen=True, slots=True)
class CountedObject:
    """One object of the count.

    Convention:
        half-open box in image px, (x_min, y_min, x_max, y_max).

    Attributes:
        object_id: ``c<index>`` for a stored candidate, ``h<...>`` for one that a human drew.
        number: number on the overlay, from 1 in reading order; 0 before ``numbered``.
        label: word shown for it. confidence: in [0, 1]; 1.0 for what a human stated.
        area: mask px. group_id: visual group, -1 for none.
        polygon: outline [x1, y1, x2, y2, ...] in image px.
        source: "model" or "human".
    """

    object_id: str
    number: int
    label: str
    confidence: float
    bbox_xyxy: tuple[float, float, float, float]
    area: int
    group_id: int
    polygon: tuple[float, ...]
    source: str = MODEL


def objects_of(candidates: Candidates, instances: Instances) -> list[CountedObject]:
    """Return the counted candidates, numbered in reading order.

    Args:
        candidates: N candidates of one image.
        instances: the N decisions on them.
    """
    counted, batch = instances.counted, candidates.batch
    columns = zip(
        counted.tolist(),
        np.round(instances.scores[counted].astype(np.float64), SCORE_DIGITS).tolist(),
        instances.group_ids[counted].tolist(),
        batch.bbox_xyxy[counted].tolist(),
        batch.area[counted].tolist(),
        strict=True,
    )
    flat, offsets = batch.polygon_xy.ravel().tolist(), (2 * batch.polygon_offsets).tolist()
    return numbered(
        [
            CountedObject(
                object_id=object_id(i),
                number=0,
                label=instances.labels[i],
                confidence=score,
                bbox_xyxy=tuple(box),
                area=area,
                group_id=group_id,
                polygon=tuple(flat[offsets[i] : offsets[i + 1]]),
            )
            for i, score, group_id, box, area in columns
        ]
    )


def human_candidate(candidates: Candidates, index: int, label: str) -> CountedObject:
    """Return candidate ``index`` as an object that a human counts; it has no number yet."""
    x_min, y_min, x_max, y_max = candidates.batch.bbox_xyxy[index].tolist()
    return CountedObject(
        object_id=object_id(index),
        number=0,
        label=label,
        confidence=1.0,
        bbox_xyxy=(x_min, y_min, x_max, y_max),
        area=int(candidates.batch.area[index]),
        group_id=-1,
        polygon=tuple(candidates.batch.polygon(index).ravel().tolist()),
        source=HUMAN,
    )


def facts_of(candidates: Candidates) -> dict[str, Any]:
    """Return what a job image's ``result`` says beside the count.

    ``size_wh`` is of what was counted, in px: all pages of a TIFF may be one picture. ``type`` is the name
    that objects of the requested type carry, "" for none: a job may be asked for a synonym of it.
    """
    height, width = candidates.batch.size_hw
    return {"size_wh": [width, height], "type": candidates.type_probs.requested}


def by_type(objects: Sequence[CountedObject]) -> dict[str, int]:
    """Return how many of the objects have each name, the commonest first."""
    return dict(Counter(found.label for found in objects).most_common())


def size_stats(objects: Sequence[CountedObject], n_px: int) -> SizeStats:
    """Return the sizes of the objects in an image of ``n_px`` px."""
    return size_stats_of(np.array([found.area for found in objects], dtype=np.int64), n_px)


def numbered(objects: Sequence[CountedObject]) -> list[CountedObject]:
    """Return the objects in reading order (``pipeline.ops.reading_order``), numbered from 1."""
    boxes = np.array([found.bbox_xyxy for found in objects], dtype=np.float32).reshape(-1, 4)
    in_order = (objects[i] for i in reading_order(boxes).tolist())
    return [replace(found, number=number) for number, found in enumerate(in_order, start=1)]
