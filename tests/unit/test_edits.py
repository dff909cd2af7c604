"""Human edits do what was meant, are refused when they make no sense, and survive a recount."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count as numbers
from typing import Any

import numpy as np
import pytest

from app.results.edits import EditError, Editor, apply_edits
from app.results.objects import CountedObject, objects_of
from app.results.polygons import points_of, polygon_area
from pipeline.contract import CountSettings
from pipeline.count import count
from pipeline.explain import drawn_objects
from pipeline.types import Candidates
from tests.candidates import candidates_of, disc
from tests.doubles.painted import with_outlines

SIZE_HW = (100, 200)


def candidates(*discs: tuple[float, float, float], quality: Sequence[float] = ()) -> Candidates:
    """Return one candidate a (x, y, radius); ``quality`` is 0.9 where not given."""
    found = candidates_of([disc(SIZE_HW, *d) for d in discs], SIZE_HW, prob=1.0)
    iou = np.array([*quality, *([0.9] * (len(discs) - len(quality)))], np.float32)
    return replace(found, batch=with_outlines(replace(found.batch, predicted_iou=iou)))


def counted(found: Candidates, threshold: float = 0.5) -> list[CountedObject]:
    return objects_of(found, count(found, CountSettings(confidence_threshold=threshold)))


def edit(
    found: Candidates, objects: list[CountedObject], *edits: dict[str, Any]
) -> tuple[list[Any], list[Any]]:
    """Complete and apply edits as a correction does; return the objects and the stored edits."""
    editor, new_ids = Editor(objects, found), numbers(1)
    stored = []
    for one in edits:
        stored.append(editor.complete(one, lambda: f"hx_{next(new_ids)}"))
        editor.apply(stored[-1])
    return editor.objects(), stored


def ids(objects: list[CountedObject]) -> list[str]:
    return [one.object_id for one in objects]


THREE = candidates((20, 20, 8), (60, 20, 8), (100, 20, 8))


def test_objects_are_numbered_row_by_row_from_the_left() -> None:
    found = candidates((60, 60, 8), (60, 20, 8), (20, 62, 8), (20, 22, 8))
    assert [(one.object_id, one.number) for one in counted(found)] == [
        ("c3", 1),
        ("c1", 2),
        ("c2", 3),
        ("c0", 4),
    ]


def test_an_object_has_the_number_that_is_drawn_on_it() -> None:
    rng = np.random.default_rng(5)
    found = candidates(*[(x, y, 4.0) for x, y in rng.uniform((8, 8), (190, 90), (30, 2)).tolist()])
    decided = count(found, CountSettings(iou_threshold=1.0, max_overlap=1.0, min_area_px=0))
    drawn, _ = drawn_objects(found, decided)
    outlines = {one.number: found.batch.polygon(int(one.object_id[1:])) for one in objects_of(found, decided)}
    assert {one.number for one in drawn} == outlines.keys()
    assert all(np.array_equal(one.polygon_xy, outlines[one.number]) for one in drawn)


def test_a_removed_object_is_gone_and_the_others_are_numbered_anew() -> None:
    objects, _ = edit(THREE, counted(THREE), {"op": "remove", "object_id": "c1"})
    assert [(one.object_id, one.number) for one in objects] == [("c0", 1), ("c2", 2)]


def test_a_click_on_a_rejected_candidate_counts_its_real_outline() -> None:
    found = candidates((20, 20, 8), (60, 20, 8), quality=[0.9, 0.2])
    objects, stored = edit(found, counted(found), {"op": "add", "point": [62, 18]})
    assert ids(objects) == ["c0", "c1"]
    assert objects[1].area == int(found.batch.area[1])
    assert (objects[1].source, objects[1].confidence) == ("human", 1.0)
    assert stored == [{"op": "add", "point": [62, 18], "object_id": "c1"}]


def test_a_click_elsewhere_adds_a_disc_of_the_typical_area() -> None:
    objects, _ = edit(THREE, counted(THREE), {"op": "add", "point": [150, 70], "label": "nut"})
    assert (objects[-1].object_id, objects[-1].label) == ("hx_1", "nut")
    assert objects[-1].area == pytest.approx(int(THREE.batch.area[0]), rel=0.02)


def test_a_disc_at_the_border_stays_in_the_image() -> None:
    objects, _ = edit(THREE, counted(THREE), {"op": "add", "point": [199, 99]})
    x1, y1, x2, y2 = objects[-1].bbox_xyxy
    assert 0 <= x1 < x2 <= 200
    assert 0 <= y1 < y2 <= 100


def test_a_click_on_a_counted_object_is_refused_not_counted_twice() -> None:
    with pytest.raises(EditError, match="counted already as c1"):
        edit(THREE, counted(THREE), {"op": "add", "point": [60, 20]})


def test_a_box_around_a_counted_object_is_refused_not_counted_twice() -> None:
    with pytest.raises(EditError, match="counted already as c1") as refused:
        edit(THREE, counted(THREE), {"op": "add", "box": [51, 11, 18, 18]})
    assert refused.value.field == "box"
    objects, _ = edit(THREE, counted(THREE), {"op": "add", "box": [44, 12, 17, 17]})
    assert len(objects) == 4


def test_a_polygon_around_a_counted_object_is_refused_not_counted_twice() -> None:
    around = [[52, 15], [60, 11], [68, 15], [68, 25], [60, 29], [52, 25]]
    with pytest.raises(EditError, match="counted already as c1") as refused:
        edit(THREE, counted(THREE), {"op": "add", "polygon": around})
    assert refused.value.field == "polygon"


def test_thin_things_side_by_side_are_added_each_by_its_polygon() -> None:
    thin = [[10, 10], [14, 10], [90, 86], [90, 90], [86, 90], [10, 14]]
    beside = [[x + 8, y] for x, y in thin]
    objects, stored = edit(
        THREE,
        [],
        {"op": "add", "polygon": thin},
        {"op": "add", "polygon": beside},
        {"op": "add", "point": [60, 20]},
    )
    assert len(objects) == 3
    assert apply_edits([], THREE, stored) == objects


def test_a_click_inside_two_objects_counted_as_one_adds_the_second() -> None:
    found = candidates((20, 20, 8), (60, 20, 8), (130, 50, 20))
    objects, _ = edit(found, counted(found), {"op": "add", "point": [140, 50]})
    assert len(objects) == 4


def test_a_click_ignores_candidates_of_unlikely_size_and_outlines_of_what_is_counted() -> None:
    found = candidates((60, 50, 8), (61, 50, 8), (60, 50, 45), quality=[0.9, 0.4, 0.4])
    with pytest.raises(EditError):
        edit(found, counted(found), {"op": "add", "point": [60, 50]})
    objects, _ = edit(found, counted(found), {"op": "add", "point": [90, 50]})
    assert ids(objects) == ["c0", "hx_1"], "the large one is no coin"


def test_boxes_and_polygons_are_cut_at_the_border() -> None:
    objects, _ = edit(
        THREE,
        [],
        {"op": "add", "box": [-10, -10, 30, 20]},
        {"op": "add", "polygon": [[190, 50], [230, 50], [230, 60], [190, 60]]},
    )
    assert [(one.bbox_xyxy, one.area) for one in objects] == [
        ((0, 0, 20, 10), 200),
        ((190, 50, 200, 60), 100),
    ]


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"op": "add", "point": [200, 50]}, "point"),
        ({"op": "add", "box": [300, 10, 5, 5]}, "box"),
        ({"op": "add", "polygon": [[1, 1], [2, 2], [3, 3]]}, "polygon"),
        ({"op": "remove", "object_id": "c9"}, "object_id"),
        ({"op": "remove", "object_id": "nonsense"}, "object_id"),
        ({"op": "move", "object_id": "c0", "box": [400, 10, 5, 5]}, "box"),
        ({"op": "split", "object_id": "c0", "points": [[20, 20], [190, 90]]}, "points"),
        ({"op": "split", "object_id": "c0", "points": [[20, 20], [20, 20]]}, "points"),
        ({"op": "merge", "object_ids": ["c0", "c0"]}, "object_ids"),
        ({"op": "merge", "object_ids": ["c0", "c7"]}, "object_ids"),
    ],
)
def test_an_edit_that_makes_no_sense_is_refused(bad: dict[str, Any], field: str) -> None:
    with pytest.raises(EditError) as caught:
        edit(THREE, counted(THREE), bad)
    assert caught.value.field == field


def test_a_relabelled_object_keeps_its_outline() -> None:
    before = counted(THREE)
    after, _ = edit(THREE, before, {"op": "relabel", "object_id": "c1", "label": "nut"})
    assert (after[1].label, after[1].source, after[1].polygon) == ("nut", "human", before[1].polygon)


def test_a_moved_object_fills_its_new_box() -> None:
    objects, _ = edit(THREE, counted(THREE), {"op": "move", "object_id": "c0", "box": [100, 50, 20, 40]})
    assert objects[-1].object_id == "c0"
    assert objects[-1].bbox_xyxy == pytest.approx((100, 50, 120, 90), abs=0.05)


def test_a_split_object_becomes_parts_of_the_same_area_together() -> None:
    before = counted(THREE)
    objects, _ = edit(THREE, before, {"op": "split", "object_id": "c1", "points": [[55, 20], [65, 20]]})
    assert ids(objects) == ["c0", "hx_1", "hx_2", "c2"]
    whole = polygon_area(points_of(before[1].polygon))
    assert sum(one.area for one in objects[1:3]) == pytest.approx(whole, abs=2)
    assert objects[1].bbox_xyxy[2] == pytest.approx(60.5, abs=0.6)


def test_merged_objects_are_one_that_spans_them() -> None:
    objects, _ = edit(THREE, counted(THREE), {"op": "merge", "object_ids": ["c0", "c1"]})
    assert ids(objects) == ["hx_1", "c2"]
    assert objects[0].bbox_xyxy == pytest.approx((12, 12, 69, 29), abs=1)
    assert objects[0].area <= int(THREE.batch.area[0] + THREE.batch.area[1])


def test_edits_of_one_correction_see_each_other() -> None:
    objects, _ = edit(
        THREE,
        counted(THREE),
        {"op": "add", "box": [140, 60, 20, 20]},
        {"op": "relabel", "object_id": "hx_1", "label": "nut"},
        {"op": "remove", "object_id": "c0"},
        {"op": "add", "point": [20, 20]},
    )
    assert ids(objects) == ["c0", "c1", "c2", "hx_1"]
    assert objects[-1].label == "nut"


def test_stored_edits_give_the_same_count_when_they_are_replayed() -> None:
    before = counted(THREE)
    objects, stored = edit(
        THREE,
        before,
        {"op": "split", "object_id": "c1", "points": [[55, 20], [65, 20]]},
        {"op": "merge", "object_ids": ["c0", "hx_1"]},
        {"op": "move", "object_id": "c2", "box": [150, 50, 20, 20]},
        {"op": "add", "point": [30, 80]},
        {"op": "remove", "object_id": "hx_2"},
    )
    assert apply_edits(before, THREE, stored) == objects


def test_after_a_recount_the_added_stay_and_the_removed_stay_removed() -> None:
    found = candidates((20, 20, 8), (60, 20, 8), (100, 20, 8), (140, 20, 8), quality=[0.9, 0.3, 0.9, 0.6])
    _, stored = edit(
        found, counted(found, 0.5), {"op": "add", "point": [60, 20]}, {"op": "remove", "object_id": "c2"}
    )
    assert ids(apply_edits(counted(found, 0.1), found, stored)) == ["c0", "c1", "c3"]
    assert ids(apply_edits(counted(found, 0.8), found, stored)) == ["c0", "c1"]


def test_after_a_recount_another_outline_of_an_added_object_is_not_counted_beside_it() -> None:
    found = candidates((20, 20, 8), (60, 20, 9), (61, 20, 8), quality=[0.9, 0.3, 0.3])
    _, stored = edit(found, counted(found, 0.5), {"op": "add", "point": [60, 20]})
    added = stored[0]["object_id"]
    other = {"c1": "c2", "c2": "c1"}[added]
    recounted = [one for one in counted(found, 0.1) if one.object_id != added]
    if other not in ids(recounted):
        recounted += [replace(recounted[0], object_id=other)]
    assert ids(apply_edits(recounted, found, stored)).count(added) == 0
    assert len(apply_edits(recounted, found, stored)) == 2


@pytest.mark.parametrize(
    "drawn",
    [{"box": [51, 11, 18, 18]}, {"polygon": [[52, 15], [60, 11], [68, 15], [68, 25], [60, 29], [52, 25]]}],
)
def test_after_a_recount_what_was_drawn_around_is_not_counted_beside_it(drawn: dict[str, Any]) -> None:
    found = candidates((20, 20, 8), (60, 20, 8), quality=[0.9, 0.3])
    _, stored = edit(found, counted(found, 0.5), {"op": "add", "label": "nut", **drawn})
    assert ids(counted(found, 0.1)) == ["c0", "c1"]
    again = apply_edits(counted(found, 0.1), found, stored)
    assert [(one.object_id, one.label) for one in again] == [("c0", "coin"), ("hx_1", "nut")]


def test_after_a_recount_what_was_clicked_on_is_not_counted_beside_its_disc() -> None:
    found = candidates((20, 20, 11), (60, 20, 11), (100, 80, 3), quality=[0.9, 0.9, 0.3])
    objects, stored = edit(found, counted(found, 0.5), {"op": "add", "point": [100, 80]})
    assert ids(objects) == ["c0", "c1", "hx_1"], "it is too small to be what a click means"
    assert "c2" in ids(counted(found, 0.1))
    assert ids(apply_edits(counted(found, 0.1), found, stored)) == ["c0", "c1", "hx_1"]


def test_what_was_added_where_an_object_was_moved_away_is_not_counted_beside_that_one() -> None:
    moved, clicked = (
        {"op": "move", "object_id": "c0", "box": [50, 60, 17, 17]},
        {"op": "add", "point": [20, 20]},
    )
    objects, stored = edit(THREE, counted(THREE), moved, clicked)
    assert ids(objects) == ["hx_1", "c1", "c2", "c0"]
    assert ids(apply_edits(counted(THREE), THREE, stored[1:])) == ["hx_1", "c1", "c2"], "the move is reverted"


def test_after_a_recount_another_outline_of_a_removed_object_is_removed() -> None:
    found = candidates((20, 20, 8), (60, 20, 9), (61, 20, 8), quality=[0.9, 0.9, 0.8])
    assert ids(counted(found)) == ["c0", "c1"]
    _, stored = edit(found, counted(found), {"op": "remove", "object_id": "c1"})
    twin = replace(counted(found)[1], object_id="c2")
    assert ids(apply_edits([counted(found)[0], twin], found, stored)) == ["c0"]


def test_an_edit_of_an_object_that_is_gone_is_skipped() -> None:
    _, stored = edit(THREE, counted(THREE), {"op": "relabel", "object_id": "c1", "label": "nut"})
    rest = [one for one in counted(THREE) if one.object_id != "c1"]
    assert ids(apply_edits(rest, THREE, stored)) == ["c0", "c2"]


def test_nothing_counted_and_no_candidates_can_be_edited_too() -> None:
    nothing = candidates()
    objects, stored = edit(nothing, [], {"op": "add", "point": [50, 50]})
    assert len(objects) == 1
    assert objects[0].area == pytest.approx(0.0025 * 100 * 200, rel=0.1)
    assert apply_edits([], nothing, stored) == objects
