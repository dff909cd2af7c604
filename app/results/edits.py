"""Human edits of a count: checked and completed once, then replayed on any later recount.

``complete`` turns what a person sent into a self-contained edit (ids of new objects, outlines), which is
stored; ``apply`` plays a stored edit. The same objects, candidates and edits always give the same count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np

from app.results.objects import HUMAN, CountedObject, human_candidate, numbered
from app.results.polygons import (
    Points,
    bounds_xyxy,
    clip_to_image,
    convex_hull,
    disc,
    nearest_cells,
    outline_iou,
    points_of,
    polygon_area,
    rectangle,
)
from pipeline.count import object_id
from pipeline.object_types import ANYTHING
from pipeline.ops.boxes import box_iou
from pipeline.ops.overlap import mask_intersections
from pipeline.ops.regions import points_in_polygon
from pipeline.ops.rle import rle_holds
from pipeline.types import Candidates

Edit = Mapping[str, Any]

SAME_OBJECT_IOU = 0.5
"""Two candidates that overlap more are two outlines of one object."""

SAME_SHAPE_IOU = 0.7
"""A box or polygon that a human draws, and that meets a counted object so well, is drawn around that one."""

LIKELY_AREA_FACTOR = 4.0
"""A click means a candidate whose area is within this factor of a typical counted object."""

SINGLE_AREA_FACTOR = 1.5
"""A counted object up to this many times the typical area is one object: a click on it adds nothing."""

DEFAULT_AREA_SHARE = 0.0025
"""Area of a clicked object where nothing is counted yet, as a share of the image."""


class EditError(ValueError):
    """An edit cannot be done; ``field`` is the part of it that is wrong."""

    def __init__(self, field: str, message: str) -> None:
        """Keep the field beside the message."""
        super().__init__(message)
        self.field = field


def _counted(field: str, found: CountedObject) -> EditError:
    return EditError(
        field, f"this is counted already as {found.object_id}; split that one if it is several objects"
    )


def apply_edits(
    objects: Sequence[CountedObject], candidates: Candidates, edits: Sequence[Edit]
) -> list[CountedObject]:
    """Replay completed edits on a fresh count, and number the result.

    An edit of an object that is no longer counted means the candidate that took its place; where there
    is none, the edit has nothing left to do and is skipped.
    """
    editor = Editor(objects, candidates, replaying=True)
    for edit in edits:
        with suppress(EditError):
            editor.apply(edit)
    return editor.objects()


class Editor:
    """The counted objects of one image while edits are applied to them."""

    def __init__(
        self, objects: Sequence[CountedObject], candidates: Candidates, *, replaying: bool = False
    ) -> None:
        """Start from ``objects``; ``replaying`` looks for the successor of an object that is gone."""
        self._objects = {found.object_id: found for found in objects}
        self._candidates = candidates
        self._replaying = replaying

    def objects(self) -> list[CountedObject]:
        """Return the objects as they stand, numbered in reading order."""
        return numbered(list(self._objects.values()))

    def complete(self, edit: Edit, new_id: Callable[[], str]) -> dict[str, Any]:
        """Return the edit with everything in it that decides its outcome.

        Added objects that nobody named get no name here: they are what is asked for, also when that changes.

        Args:
            edit: what a person sent, already of the right shape (``EditSchema``).
            new_id: gives the id of a drawn object, another one at each call.

        Raises:
            EditError: the edit makes no sense on the objects as they stand.
        """
        completed = dict(edit)
        if edit["op"] == "add":
            completed |= self._new_object(edit, new_id)
        elif edit["op"] == "move":
            completed["polygon"] = _flat(self._moved(edit))
        elif edit["op"] == "split":
            completed["parts"] = [
                {"object_id": new_id(), "polygon": _flat(part)} for part in self._parts(edit)
            ]
        elif edit["op"] == "merge":
            completed["object_id"] = new_id()
        return completed

    def apply(self, edit: Edit) -> None:
        """Do one completed edit.

        Raises:
            EditError: an object that it names is not counted.
        """
        {
            "add": self._add,
            "remove": self._remove,
            "relabel": self._relabel,
            "move": self._move,
            "split": self._split,
            "merge": self._merge,
        }[edit["op"]](edit)

    def _new_object(self, edit: Edit, new_id: Callable[[], str]) -> dict[str, Any]:
        """Decide which candidate an addition means, or outline it."""
        height, width = self._candidates.batch.size_hw
        if (point := edit.get("point")) is None:
            return {"object_id": new_id(), "polygon": _flat(self._outline(edit))}
        if not (0 <= point[0] < width and 0 <= point[1] < height):
            raise EditError("point", f"want a point in the image of {width} x {height} px, got {point}")
        if same := self._single_at(point, self._typical_area()):
            raise _counted("point", same[0])
        index = self._rejected_candidate(point)
        if index is not None:
            return {"object_id": object_id(index)}
        outline = clip_to_image(disc(point, self._typical_area()), (height, width))
        return {"object_id": new_id(), "polygon": _flat(outline)}

    def _outline(self, edit: Edit) -> Points:
        """Return the part of the drawn box or polygon that lies in the image."""
        field = "box" if edit.get("box") is not None else "polygon"
        drawn = _box_corners(edit["box"]) if field == "box" else np.array(edit["polygon"], dtype=np.float64)
        outline = self._inside(drawn, field)
        if same := self._drawn_around(outline, field):
            raise _counted(field, same[0])
        return outline

    def _inside(self, drawn: Points, field: str) -> Points:
        outline = clip_to_image(drawn, self._candidates.batch.size_hw)
        if polygon_area(outline) < 1:
            raise EditError(field, "want an area of at least 1 px in the image, got less")
        return outline

    def _single_at(self, point: Sequence[float], typical_area: float) -> list[CountedObject]:
        """Return the counted objects under a click that are one object each."""
        limit = SINGLE_AREA_FACTOR * typical_area
        return [one for one in self._objects.values() if one.area <= limit and self._holds(one, point)]

    def _drawn_around(self, outline: Points, shape: str) -> list[CountedObject]:
        """Return the counted objects that a box or polygon is drawn around, the best met one first."""
        counted = list(self._objects.values())
        boxes = np.array([found.bbox_xyxy for found in counted], np.float32).reshape(-1, 4)
        ious = box_iou(np.array([bounds_xyxy(outline)], np.float32), boxes)[0]
        if shape == "polygon":  # boxes meet where outlines do not: of thin things side by side
            near = np.flatnonzero(ious)
            ious[:] = 0
            ious[near] = [outline_iou(outline, points_of(counted[i].polygon)) for i in near]
        return [counted[i] for i in np.argsort(-ious, kind="stable") if ious[i] > SAME_SHAPE_IOU]

    def _holds(self, found: CountedObject, point: Sequence[float]) -> bool:
        x_min, y_min, x_max, y_max = found.bbox_xyxy
        if not (x_min <= point[0] < x_max and y_min <= point[1] < y_max):
            return False
        index = self._index(found.object_id)
        if index is not None and not self._is_redrawn(found):
            return self._mask_holds(index, point)
        return bool(points_in_polygon(np.array([point], np.float64), points_of(found.polygon))[0])

    def _is_redrawn(self, found: CountedObject) -> bool:
        """Whether a human moved a candidate's outline away from its mask."""
        index = self._index(found.object_id)
        return index is None or tuple(self._candidates.batch.polygon(index).ravel().tolist()) != found.polygon

    def _mask_holds(self, index: int, point: Sequence[float]) -> bool:
        pixel = int(point[0]) * self._candidates.batch.size_hw[0] + int(point[1])
        return bool(rle_holds(self._candidates.batch.rle(index), np.array([pixel]))[0])

    def _rejected_candidate(self, point: Sequence[float]) -> int | None:
        """Return the candidate a click means: of a likely size, the one nearest the typical one."""
        box, area = self._candidates.batch.bbox_xyxy, self._candidates.batch.area
        near = (box[:, :2] <= point).all(axis=1) & (box[:, 2:] > point).all(axis=1)
        off = np.abs(np.log(np.maximum(area, 1) / max(self._typical_area(), 1.0)))
        fits = [
            int(i)
            for i in np.flatnonzero(near & (off <= np.log(LIKELY_AREA_FACTOR)))
            if object_id(int(i)) not in self._objects
            and self._mask_holds(int(i), point)
            and self._twin(int(i)) is None
        ]
        return min(fits, key=lambda i: (float(off[i]), i), default=None)

    def _typical_area(self) -> float:
        height, width = self._candidates.batch.size_hw
        areas = [found.area for found in self._objects.values()]
        return float(median(areas)) if areas else DEFAULT_AREA_SHARE * height * width

    def _twin(self, index: int) -> str | None:
        """Return the counted candidate that outlines the same object as candidate ``index``."""
        batch = self._candidates.batch
        counted = [i for i in map(self._index, self._objects) if i is not None and i != index]
        if not counted:
            return None
        pairs = np.array([[index, i] for i in counted], dtype=np.int64)
        shared = mask_intersections(batch.size_hw, batch.rle_counts, batch.rle_offsets, pairs)
        iou = shared / np.maximum(batch.area[index] + batch.area[counted] - shared, 1)
        best = int(np.argmax(iou))
        return object_id(counted[best]) if iou[best] > SAME_OBJECT_IOU else None

    def _index(self, identifier: str) -> int | None:
        """Return the candidate behind an id, None for a drawn object."""
        number = identifier.removeprefix("c")
        known = identifier.startswith("c") and number.isdecimal() and int(number) < len(self._candidates)
        return int(number) if known else None

    def _find(self, identifier: str, field: str = "object_id") -> CountedObject:
        if identifier in self._objects:
            return self._objects[identifier]
        index = self._index(identifier) if self._replaying else None
        twin = None if index is None else self._twin(index)
        if twin is None:
            raise EditError(field, f"want the id of a counted object, got {identifier!r}")
        return self._objects[twin]

    def _add(self, edit: Edit) -> None:
        identifier = edit["object_id"]
        label = edit.get("label") or self._candidates.type_probs.requested or ANYTHING
        if "polygon" in edit and (index := self._index(identifier)) is None:
            outline = np.array(edit["polygon"], dtype=np.float64)
            if "point" in edit:  # its outline has the area that was typical then
                same = self._single_at(edit["point"], polygon_area(outline))
            else:
                same = self._drawn_around(outline, "box" if "box" in edit else "polygon")
            for found in same:
                del self._objects[found.object_id]  # not counted then, or the addition was refused
            self._put(_drawn(identifier, label, outline))
            return
        index = self._index(identifier)
        if index is None:
            raise EditError("object_id", f"want a stored candidate, got {identifier!r}")
        if identifier in self._objects or self._twin(index) is None:
            self._put(human_candidate(self._candidates, index, label))

    def _remove(self, edit: Edit) -> None:
        del self._objects[self._find(edit["object_id"]).object_id]

    def _relabel(self, edit: Edit) -> None:
        self._put(replace(self._find(edit["object_id"]), label=edit["label"], confidence=1.0, source=HUMAN))

    def _move(self, edit: Edit) -> None:
        found = self._find(edit["object_id"])
        self._put(_drawn(found.object_id, found.label, np.array(edit["polygon"], dtype=np.float64)))

    def _moved(self, edit: Edit) -> Points:
        """Return the object's outline, stretched from its box to the new one."""
        found = self._find(edit["object_id"])
        x_min, y_min, x_max, y_max = found.bbox_xyxy
        x, y, width, height = edit["box"]
        scale = np.array([width / max(x_max - x_min, 1.0), height / max(y_max - y_min, 1.0)])
        return self._inside((points_of(found.polygon) - (x_min, y_min)) * scale + (x, y), "box")

    def _split(self, edit: Edit) -> None:
        found = self._find(edit["object_id"])
        del self._objects[found.object_id]
        for part in edit["parts"]:
            self._put(_drawn(part["object_id"], found.label, np.array(part["polygon"], dtype=np.float64)))

    def _parts(self, edit: Edit) -> list[Points]:
        found = self._find(edit["object_id"])
        seeds = np.array(edit["points"], dtype=np.float64)
        if len(np.unique(seeds, axis=0)) < len(seeds):
            raise EditError("points", "want different points, got the same one twice")
        parts = nearest_cells(points_of(found.polygon), seeds)
        if any(polygon_area(part) < 1 for part in parts):
            raise EditError("points", "want one point in each part of the object, got a part of no area")
        return parts

    def _merge(self, edit: Edit) -> None:
        found = [self._find(identifier, "object_ids") for identifier in edit["object_ids"]]
        if len({one.object_id for one in found}) < 2:
            raise EditError("object_ids", "want at least two objects, got fewer")
        for one in found:
            self._objects.pop(one.object_id, None)
        hull = convex_hull(np.concatenate([points_of(one.polygon) for one in found]))
        whole = _drawn(edit["object_id"], found[0].label, hull)
        self._put(replace(whole, area=min(whole.area, sum(one.area for one in found))))

    def _put(self, found: CountedObject) -> None:
        self._objects[found.object_id] = found


def _drawn(identifier: str, label: str, outline: Points) -> CountedObject:
    return CountedObject(
        object_id=identifier,
        number=0,
        label=label,
        confidence=1.0,
        bbox_xyxy=bounds_xyxy(outline),
        area=max(1, round(polygon_area(outline))),
        group_id=-1,
        polygon=tuple(outline.ravel().tolist()),
        source=HUMAN,
    )


def _box_corners(box_xywh: Sequence[float]) -> Points:
    x, y, width, height = box_xywh
    return rectangle(x, y, x + width, y + height)


def _flat(outline: Points) -> list[list[float]]:
    """Return the points as plain numbers, to a hundredth of a px."""
    return [[round(x, 2) + 0.0, round(y, 2) + 0.0] for x, y in outline.tolist()]  # + 0.0: no minus zero
