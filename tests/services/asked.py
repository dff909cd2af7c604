"""What people ask of Tally, drawn: photos, settings, edits, examples and groups of what they were told."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hypothesis import strategies as st

from tests.doubles.painted import Disc, painted_png

Data = dict[str, Any]

WIDTH, HEIGHT = 160, 120
BROKEN = 8
"""Bit of the shade of a photo that fails while the worker is broken; see ``tests.doubles.crowded``."""

discs = st.builds(
    Disc,
    st.integers(8, WIDTH - 8),
    st.integers(8, HEIGHT - 8),
    st.sampled_from([3.0, 6.0, 9.0, 9.0, 11.0]),
    st.sampled_from([0.02, 0.1, 0.24, 0.5, 0.9, 0.99]),
    st.sampled_from([0, 0, 1]),
)
photos = st.builds(painted_png, st.lists(discs, max_size=10), shade=st.integers(0, 15))

shares = st.sampled_from([0.0, 0.05, 0.2, 0.3, 0.5, 0.8, 1.0])
x, y = (st.integers(0, side).map(float) for side in (WIDTH, HEIGHT))
points = st.tuples(x, y).map(list)
sides = st.sampled_from([2.0, 12.0, 20.0, 60.0])
boxes = st.tuples(x, y, sides, sides).map(list)
outlines = st.lists(points, min_size=3, max_size=5)
configs = st.fixed_dictionaries(
    {},
    optional={
        "confidence_threshold": shares,
        "iou_threshold": shares,
        "max_overlap": shares,
        "min_area_px": st.sampled_from([None, 0, 30, 120]),
        "max_area_px": st.sampled_from([None, 150, 300, 5000]),
        "exclude_edge": st.booleans(),
        "granularity": st.sampled_from(["auto", "whole", "part"]),
        "count_what": st.sampled_from(["type", "everything"]),
        "roi": st.lists(st.fixed_dictionaries({"polygon": outlines, "include": st.booleans()}), max_size=2),
    },
)
words = st.sampled_from(["washer", "pebble"])


def edits(image: Data) -> st.SearchStrategy[Data]:
    """Draw an edit of one image: of what it counts, where something is rejected, or anywhere."""
    seen = [one["bbox"] for one in (*image["detections"], *image["rejected"])]
    point = points | st.sampled_from(seen).map(_middle) if seen else points
    box = boxes | st.sampled_from(seen).map(_xywh) if seen else boxes
    name = st.sampled_from([found["object_id"] for found in image["detections"]] or ["c0"])
    return st.one_of(
        _edit("add", point=point),
        _edit("add", point=point, label=words),
        _edit("add", box=box),
        _edit("add", polygon=outlines),
        _edit("remove", object_id=name),
        _edit("relabel", object_id=name, label=words),
        _edit("move", object_id=name, box=box),
        _edit("split", object_id=name, points=st.lists(point, min_size=2, max_size=3)),
        _edit("merge", object_ids=st.lists(name, min_size=2, max_size=3)),
    )


def exemplars(images: Collection[Data]) -> st.SearchStrategy[list[Data]]:
    """Draw examples for and against, most of them of what was found in these images."""
    seen = [(image["file_id"], one) for image in images for one in (*image["detections"], *image["rejected"])]
    some = [{"file_id": file_id, "point": _middle(found["bbox"])} for file_id, found in seen]
    files = [image["file_id"] for image in images]
    where = [st.sampled_from(some)] if some else []
    where += [st.fixed_dictionaries({"file_id": st.sampled_from(files), "box": boxes})] if files else []
    sided = st.tuples(st.one_of(where), st.sampled_from([True, True, False]))
    return st.lists(sided.map(lambda drawn: drawn[0] | {"positive": drawn[1]}), max_size=3)


def groups(images: Collection[Data], type_name: str) -> st.SearchStrategy[list[Data]]:
    """Draw choices of groups of these images; some get the name of what is asked for, or words for it."""
    there = [{"file_id": image["file_id"], "id": one["id"]} for image in images for one in image["groups"]]
    said = {
        "name": words | st.sampled_from([type_name, _synonym(type_name)]),
        "counted": st.booleans(),
        "split": st.sampled_from([False, False, True]),
    }
    if not there:
        return st.just([])
    choice = st.tuples(st.sampled_from(there), st.fixed_dictionaries({}, optional=said))
    chosen = st.lists(choice, min_size=1, max_size=3, unique_by=lambda drawn: str(drawn[0]))
    return chosen.map(lambda drawn: [group | change for group, change in drawn])


def type_changes(type_name: str) -> st.SearchStrategy[Data]:
    """Draw a change of a type: limits, another word for it."""
    return st.fixed_dictionaries(
        {"synonyms": st.sampled_from([[], [_synonym(type_name)]])},
        optional={
            "min_area_px": st.sampled_from([None, 10, 50, 150]),
            "max_area_px": st.sampled_from([None, 250, 400]),
        },
    )


def _synonym(type_name: str) -> str:
    return f"token {type_name}"


def _edit(op: str, **keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries({"op": st.just(op)} | keys)


def _middle(bbox: Data) -> list[float]:
    return [(bbox["x1"] + bbox["x2"]) / 2, (bbox["y1"] + bbox["y2"]) / 2]


def _xywh(bbox: Data) -> list[float]:
    return [bbox["x1"], bbox["y1"], bbox["x2"] - bbox["x1"], bbox["y2"] - bbox["y1"]]
