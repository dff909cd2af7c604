"""What the benchmark on photos says of the counts: which ask, which are worst, what boxes it gives."""

from __future__ import annotations

import pytest

from bench.countbench import WORST, asking, loosened, worst
from pipeline.contract import CountSettings
from tools.fit_calibration import shown


def row(counted, true, reason=None):
    name = f"{counted} of {true}"
    return {"file": name, "true": true, "mini": counted, "asks": reason is not None, "reason": reason}


def test_wrong_and_right_counts_that_ask_are_told_apart():
    rows = [row(50, 100), row(0, 9, "nothing"), row(91, 100), row(3, 2, "few"), row(2, 2)]
    wrong, right = asking(rows, "mini")
    assert wrong == {"counts": "wrong", "photos": 2, "ask": 1}
    assert right == {"counts": "right", "photos": 3, "ask": 1}


def test_the_worst_are_off_by_the_largest_factor_either_way():
    rows = [row(99, 100), row(9, 3, "several"), row(100, 500), row(0, 20, "nothing"), row(7, 7)]
    got = worst(rows, "mini")
    assert [r["file"] for r in got] == ["0 of 20", "100 of 500", "9 of 3", "99 of 100"]
    assert got[2] == {"file": "9 of 3", "true": 3, "mini": 9, "reason": "several"}
    assert len(worst(rows * 3, "mini")) == WORST


@pytest.mark.parametrize(("asked", "given"), [(0, 0), (1, 1), (3, 2)])
def test_a_photo_is_shown_its_first_boxes(asked, given):
    boxes = [[1, 2, 30, 40], [5, 6, 70, 80]]
    settings = shown(CountSettings(engine="mini"), boxes[:asked])
    assert [e.bbox_xywh for e in settings.exemplars] == [tuple(box) for box in boxes[:given]]
    assert settings.count_what == ("exemplars" if given else "type")
    assert settings.engine == "mini"


def test_loose_boxes_lie_about_the_same_middle_within_the_picture():
    assert loosened([10, 20, 4, 6], 1.0) == [10, 20, 4, 6]
    assert loosened([10, 20, 4, 6], 2.0) == [8, 17, 8, 12]
    assert loosened([1, 20, 4, 6], 2.0) == [0, 17, 7, 12]
