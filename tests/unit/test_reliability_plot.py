"""The picture of how stated chances are kept: where its points lie; the one in docs/ is not stale."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.reliability_plot import LEFT_PX, SIDE_PX, TOP_PX, reliability_svg

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def row(engine, candidates, stated, measured):
    return {"engine": engine, "candidates": candidates, "mean_stated": stated, "were_objects": measured}


def test_each_row_of_the_engine_is_a_point_with_its_number_of_candidates():
    rows = [row("mini", 1_234, 0.25, 0.5), row("classical", 9, 0.5, 0.5), row("mini", 56, 1.0, 0.0)]
    root = ElementTree.fromstring(reliability_svg(rows, "mini"))
    at = [(float(c.get("cx")) - LEFT_PX, float(c.get("cy")) - TOP_PX) for c in root.iter(f"{SVG}circle")]
    assert at == [(0.25 * SIDE_PX, 0.5 * SIDE_PX), (SIDE_PX, SIDE_PX)]
    assert [t.text for t in root.iter(f"{SVG}text")][-2:] == ["1,234", "56"]


def test_an_engine_without_rows_is_refused():
    with pytest.raises(ValueError, match="want some of mini, got none"):
        reliability_svg([row("classical", 9, 0.5, 0.5)], "mini")


def test_the_picture_in_the_docs_is_made_from_the_results():
    results = json.loads((ROOT / "bench" / "results" / "calibration.json").read_text())
    assert (ROOT / "docs" / "reliability.svg").read_text() == reliability_svg(results["reliability"], "mini")
