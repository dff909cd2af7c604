"""Public ids: who knows some of them knows no other."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from ulid import ULID

from app.ids import new_id


def test_an_id_is_a_prefix_and_a_ulid_of_now() -> None:
    before = time.time()
    made = new_id("job")
    assert re.fullmatch(r"job_[0-9a-hjkmnp-tv-z]{26}", made)
    assert before - 0.001 <= ULID.from_str(made[4:].upper()).timestamp <= time.time()


def test_ids_of_one_millisecond_do_not_follow_from_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    made = [int(ULID.from_str(new_id("img")[4:].upper())) for _ in range(100)]
    assert min(abs(b - a) for a, b in itertools.pairwise(made)) > 1
    assert len({number >> 80 for number in made}) == 1
