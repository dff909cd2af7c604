"""Intervals come from what scores have proved to be worth, and from what engines miss."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.calibration import (
    CLEAR_DOUBT,
    EVIDENCE,
    SHOWN,
    SURE_DOUBT,
    TABLE,
    Calibration,
    calibration_of,
    doubtful,
    evidence,
    stated_chances,
)
from pipeline.contract import CountSettings, Provenance
from pipeline.count import count, summarise
from pipeline.ops.interval import central_interval, count_distribution
from tests.candidates import candidates_of, disc

SIZE = (400, 600)
APART = [disc(SIZE, 50 + 80 * x, 50 + 80 * y, 20) for y in range(4) for x in range(6)]
TOUCHING = [disc(SIZE, 50 + 30 * x, 50 + 80 * y, 20) for y in range(4) for x in range(6)]
NO_SETTINGS = CountSettings()


def drawn(masks, quality=0.92, prob=0.95):
    found = candidates_of(masks, SIZE, prob=prob)
    scores = np.broadcast_to(np.float32(quality), len(masks)).copy()
    return replace(found, batch=replace(found.batch, predicted_iou=scores))


def summary_of(found, engine="mini"):
    provenance = Provenance(engine, "test", None, None, "-", "cpu", "-", {})
    return summarise(found, count(found, NO_SETTINGS), NO_SETTINGS, {}, provenance)


def slow_distribution(probs):
    mass = np.ones(1)
    for p in probs:
        mass = np.convolve(mass, [1 - p, p])
    return mass


@pytest.mark.parametrize("n", [0, 1, 2, 7, 300])
def test_the_distribution_equals_one_trial_after_the_other(n):
    probs = np.random.default_rng(n).random(n)
    np.testing.assert_allclose(count_distribution(probs), slow_distribution(probs), atol=2e-5)


def test_a_shared_error_widens_but_hardly_moves_the_count():
    probs = np.full(50, 0.9)
    alone, together = count_distribution(probs), count_distribution(probs, spread=1.0)
    (low, high), (lower, higher) = central_interval(alone), central_interval(together)
    assert lower < low <= high <= higher
    assert together.sum() == pytest.approx(1)


def test_misses_add_their_mean_and_reach_above_the_candidates():
    mass = count_distribution(np.ones(20), missed=5.0, shape=2.0)
    numbers = np.arange(len(mass))
    mean = float(numbers @ mass)
    assert mass[:20].sum() == pytest.approx(0, abs=1e-9)
    assert mean == pytest.approx(25, abs=0.01)
    assert float((numbers - mean) ** 2 @ mass) == pytest.approx(5 + 5**2 / 2, rel=0.01)


def test_scores_are_read_off_the_curve_and_level_beyond_it():
    known = Calibration(scores=(0.2, 0.6), chances=(0.1, 0.9))
    assert known.chance(np.float32([0.0, 0.4, 1.0])).tolist() == pytest.approx([0.1, 0.5, 0.9])


def test_an_engine_that_was_never_fitted_is_taken_at_its_word():
    assert calibration_of("sam").chance(np.float32([0.05, 0.5, 0.95])).tolist() == pytest.approx(
        [0, 0.5, 0.95]
    )
    assert calibration_of("sam").missed(np.ones(len(EVIDENCE)), 20) == 0


@pytest.mark.parametrize(
    ("entry", "known"),
    [
        ("mini", calibration_of("mini")),
        ("mini, shown", calibration_of("mini", is_shown=True)),
        ("classical", calibration_of("classical", is_shown=True)),
    ],
)
def test_the_table_is_sound(entry, known):
    assert list(known.scores) == sorted(known.scores)
    assert list(known.chances) == sorted(known.chances)
    assert 0 < known.chances[0] < known.chances[-1] < 1
    assert len(known.misses) == len(EVIDENCE)
    assert min(known.misses[1:]) >= 0
    assert json.loads(TABLE.read_text())[entry]["fitted_on"]["scenes"] >= 100
    assert json.loads(TABLE.read_text())[entry]["spread"] == known.spread


def test_evidence_sees_doubt_weak_candidates_touching_and_uneven_sizes():
    known = calibration_of("mini")

    def seen(found):
        return dict(zip(EVIDENCE, evidence(found, count(found, NO_SETTINGS), known), strict=True))

    plain = seen(drawn(APART))
    assert plain["touching"] == plain["weak"] == plain["uneven"] == 0
    assert seen(drawn(TOUCHING))["touching"] == 1
    weak = drawn(APART, [0.1] * 6 + [0.92] * 18)
    assert doubtful(count(weak, NO_SETTINGS)).tolist() == list(range(6))
    assert seen(weak)["weak"] == 0.25
    assert seen(drawn(APART, 0.5))["doubt"] > plain["doubt"]
    assert seen(drawn([*APART[:12], *(disc(SIZE, 50 + 80 * x, 300, 10) for x in range(6))]))["uneven"] == 1


def test_a_clean_count_is_stated_tightly():
    low, high = summary_of(drawn(APART)).count_interval
    assert 22 <= low <= 24 <= high <= 27


def test_touching_objects_may_be_more_than_were_counted():
    apart, touching = (summary_of(drawn(masks)).count_interval for masks in (APART, TOUCHING))
    assert touching[1] >= apart[1]
    assert touching[1] > 24


def test_nothing_found_is_none():
    assert summary_of(drawn([])).count_interval == (0, 0)


@pytest.mark.parametrize("engine", ["mini", "classical"])
def test_stated_chances_are_those_of_the_table_and_rise_with_the_score(engine):
    entry = json.loads(TABLE.read_text())[engine]
    chances = stated_chances(engine, np.float32(entry["scores"]))
    np.testing.assert_allclose(chances, entry["chances"], atol=1e-5)
    many = stated_chances(engine, np.linspace(0, 1, 1000, dtype=np.float32))
    assert (np.diff(many) >= 0).all()
    assert (many[0], many[-1]) == (entry["chances"][0], entry["chances"][-1])


def test_an_engine_that_was_never_fitted_states_no_chance():
    assert stated_chances("sam", np.float32([0.5])) is None


def test_examples_do_not_change_what_a_score_is_worth():
    table = json.loads(TABLE.read_text())
    for engine in (name for name in table if name.endswith(SHOWN)):
        plain = table[engine.removesuffix(SHOWN)]
        assert [table[engine][key] for key in ("scores", "chances")] == [plain["scores"], plain["chances"]]


def test_candidates_err_together_the_less_the_surer_they_are():
    known = Calibration(scores=(0.0, 1.0), chances=(0.0, 1.0), spread=2.0)
    for doubt, spread in ((CLEAR_DOUBT / 2, 1.0), (CLEAR_DOUBT, 2.0), (2 * CLEAR_DOUBT, 2.0)):
        found = drawn(APART, 1 - doubt, prob=1.0)
        mass = known.distribution(found, count(found, NO_SETTINGS))
        np.testing.assert_allclose(mass, count_distribution(np.full(24, 1 - doubt), spread), atol=1e-4)


def test_less_is_missed_where_every_candidate_is_sure():
    known = replace(calibration_of("mini"), misses=(-2.0, 0.0, 0.0, 0.0, 0.0))
    doubts = (0.0, SURE_DOUBT / 2, SURE_DOUBT, 0.2)
    missed = [known.missed(np.array([1.0, doubt, 0.0, 0.0, 0.0]), 100) for doubt in doubts]
    assert missed == pytest.approx([0.0, 50 * np.exp(-2), 100 * np.exp(-2), 100 * np.exp(-2)])
