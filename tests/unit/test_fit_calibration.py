"""Which shared error and factor of the misses the fit of the intervals takes."""

from __future__ import annotations

import numpy as np
import pytest

from tools import fit_calibration
from tools.fit_calibration import best_choice

N = 20


def choices(**held_and_surprise):
    """Return choices of N pictures, by name: how many intervals hold, and the surprise of each picture."""
    return {
        name: (np.full(N, float(surprise)), np.arange(N) < held)
        for name, (held, surprise) in held_and_surprise.items()
    }


@pytest.mark.parametrize(
    ("tried", "best"),
    [
        (choices(narrow=(16, 1), fair=(18, 2), wide=(20, 3)), "fair"),
        (choices(narrow=(16, 1), one_less=(17, 2), wide=(20, 3)), "one_less"),
        (choices(narrow=(16, 3), fair=(18, 2), wide=(20, 1)), "wide"),
        (choices(narrow=(3, 1), poor=(10, 2), poorest=(9, 3)), "poor"),
    ],
    ids=["nine in ten", "one less", "the least surprising", "none holds"],
)
def test_the_least_surprising_of_those_that_hold_is_taken(tried, best):
    assert best_choice(tried) == best


def test_the_last_that_can_be_held_are_not_paid_for_by_all(monkeypatch):
    tried = choices(fair=(14, 1), widest=(16, 2))
    assert best_choice(tried) == "widest"
    monkeypatch.setattr(fit_calibration, "NEARLY", 0.9)
    assert best_choice(tried) == "fair"


def test_only_the_pictures_asked_for_count():
    tried = choices(narrow=(16, 1), wide=(20, 3))
    assert best_choice(tried, np.arange(N) < 16) == "narrow"
    assert best_choice(tried, np.arange(N) >= 16) == "wide"
