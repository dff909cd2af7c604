"""What the API tells of results: counted objects → plain JSON values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.jobs.counts import current_count, current_interval
from app.jobs.description import count_source, counted_size_wh
from app.jobs.models import JobImage
from app.results.objects import HUMAN, CountedObject, by_type
from app.results.polygons import points_of
from app.results.recount import Recounted
from pipeline.calibration import stated_chances
from pipeline.count import SCORE_DIGITS
from pipeline.faint import faint_things
from pipeline.settings import settings_from_json

Data = dict[str, Any]


def describe_result(image: JobImage, objects: Sequence[CountedObject], class_ids: dict[str, int]) -> Data:
    """Return the result of one counted image.

    Args:
        image: its row.
        objects: counted now, in the order of their numbers.
        class_ids: label -> id within the answer; labels that are new get the next one.
    """
    result = image.result or {}
    size_wh = counted_size_wh(image)
    return {
        "file_id": image.image_id,
        "filename": image.image.filename,
        "width": size_wh[0],
        "height": size_wh[1],
        "version": image.version,
        "count": current_count(image),
        "model_count": result.get("count"),
        "count_interval": current_interval(image),
        "count_source": count_source(image),
        "by_type": by_type(objects),
        "groups": describe_groups(result, objects),
        "stats": result.get("stats"),
        "needs_review": image.needs_review,
        "review_reason": image.review_reason,
        "labelled_by": result.get("labelled_by"),
        "timings_s": result.get("timings_s", {}),
        "provenance": result.get("provenance", {}),
        "engine_details": result.get("engine_details", {}),
        "density_estimate": result.get("density_estimate") if count_source(image) == "model" else None,
        "detections": describe_objects(image, objects, class_ids),
    }


def describe_objects(
    image: JobImage, objects: Sequence[CountedObject], class_ids: dict[str, int]
) -> list[Data]:
    """Return the counted objects of one image, as ``describe_result`` takes them."""
    engine, size_wh = (image.result or {})["provenance"]["engine"], counted_size_wh(image)
    chances = _probabilities(engine, np.array([found.confidence for found in objects], np.float32))
    return [
        _object(found, 1.0 if found.source == HUMAN else chance, size_wh, class_ids)
        for found, chance in zip(objects, chances, strict=True)
    ]


def _object(
    found: CountedObject, probability: float | None, size_wh: tuple[int, int], class_ids: dict[str, int]
) -> Data:
    """Return one counted object; boxes in px, and normalised by the image's size as YOLO has them."""
    x1, y1, x2, y2 = found.bbox_xyxy
    width, height = size_wh
    return {
        "object_id": found.object_id,
        "number": found.number,
        "class_id": class_ids.setdefault(found.label, len(class_ids)),
        "class_name": found.label,
        "confidence": found.confidence,
        "probability": probability,
        "bbox": _bbox(found.bbox_xyxy),
        "bbox_normalized": {
            "format": "yolo",
            "x_center": round((x1 + x2) / 2 / width, 6),
            "y_center": round((y1 + y2) / 2 / height, 6),
            "width": round((x2 - x1) / width, 6),
            "height": round((y2 - y1) / height, 6),
        },
        "segmentation": [round(value, 2) for value in found.polygon],
        "area": found.area,
        "group": None if found.group_id < 0 else found.group_id,
        "source": found.source,
    }


def describe_rejected(found: Recounted) -> list[Data]:
    """Return every candidate that is not counted, with the reason."""
    batch, scores, group_of = found.candidates.batch, found.instances.scores, found.group_of
    chances = _probabilities(found.result.provenance.engine, scores)
    return [
        {
            "object_id": identifier,
            "reason": why,
            "group": group_of.get(identifier),
            "confidence": round(float(scores[i]), SCORE_DIGITS),
            "probability": chances[i],
            "bbox": _bbox(tuple(batch.bbox_xyxy[i].tolist())),
            "segmentation": np.round(batch.polygon(i).astype(np.float64), 2).ravel().tolist(),
        }
        for identifier, why in found.rejected.items()
        for i in [int(identifier[1:])]
    ]


def describe_faint(found: Recounted) -> list[Data]:
    """Return what was seen too faintly to be a candidate, where nothing is counted now."""
    outlines = (points_of(one.polygon) for one in found.objects)
    settings = settings_from_json(found.result.provenance.settings)
    return [asdict(thing) for thing in faint_things(found.candidates.batch, outlines, settings.roi)]


def _probabilities(engine: str, scores: NDArray[np.float32]) -> list[float | None]:
    """Return ``stated_chances`` as JSON has them."""
    chances = stated_chances(engine, scores)
    return [None] * len(scores) if chances is None else chances.round(4).tolist()


def _bbox(bbox_xyxy: tuple[float, ...]) -> Data:
    return {"format": "xyxy"} | dict(zip(("x1", "y1", "x2", "y2"), bbox_xyxy, strict=True))


def describe_groups(result: Data, objects: Sequence[CountedObject]) -> list[Data]:
    """Return the visual groups, largest first, as they are after the edits; those left out last."""
    counts = Counter(found.group_id for found in objects)
    described = [
        {
            "id": group["id"],
            "name": group["name"],
            "count": counts[group["id"]],
            "left_out": group.get("left_out", 0),
            "counted": counts[group["id"]] > 0,
            "part_of": group.get("part_of"),
            "halves": _halves(group) if counts[group["id"]] == group["count"] else None,
        }
        for group in result.get("groups", ())
        if counts[group["id"]] or group.get("left_out")
    ]
    return sorted(described, key=lambda group: (-group["count"], -group["left_out"], group["id"]))


def _halves(group: Data) -> list[Data] | None:
    """Return what splitting a group would give; None for results of before, which do not hold all of it."""
    halves = group.get("halves")
    return halves if halves and isinstance(halves[0], dict) and "larger" in halves[0] else None
