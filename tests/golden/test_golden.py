"""Counts and masks of known pictures do not change unseen. A missing golden fails."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.golden.scenes import EXPECTED, MANIFEST, MASKS, PICTURES, answer, counted, foreground, manifest

MIN_IOU = 0.98
"""Library versions may move an outline by a pixel; they may not move an object."""


def expected(name):
    assert EXPECTED.exists(), "no golden results: run `make golden`, look at them, commit them"
    return json.loads(EXPECTED.read_text())[name]


@pytest.mark.parametrize("name", PICTURES)
def test_counts_and_masks_are_as_recorded(name, tmp_path):
    outcome = counted(name, tmp_path)
    got, want = answer(outcome), expected(name)
    got_area, want_area = got.pop("total_area_px"), want.pop("total_area_px")
    assert got == want
    assert got_area == pytest.approx(want_area, rel=0.02)
    mask = foreground(outcome)
    with np.load(MASKS) as masks:
        recorded = np.unpackbits(masks[name])[: mask.size].reshape(mask.shape).astype(bool)
    union = (mask | recorded).sum()
    assert union == 0 or (mask & recorded).sum() >= MIN_IOU * union


@pytest.mark.parametrize("name", PICTURES)
def test_what_is_recorded_is_the_truth(name):
    true = PICTURES[name][1]
    assert abs(expected(name)["count"] - true) <= (1 if name == "skimage coins" else 0)


def test_what_mini_counts_is_recorded_of_the_weights_that_are_here():
    assert json.loads(MANIFEST.read_text())["weights_sha256"] == manifest()["weights_sha256"]


def test_nothing_is_recorded_that_is_not_tested():
    assert set(json.loads(EXPECTED.read_text())) == set(PICTURES)
    with np.load(MASKS) as masks:
        assert set(masks.files) == set(PICTURES)


def test_the_manifest_says_what_the_results_were_made_with():
    assert set(json.loads(MANIFEST.read_text())) == set(manifest())
