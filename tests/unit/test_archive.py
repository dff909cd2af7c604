"""Stored candidates come back unchanged, or not at all."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest

from pipeline.archive import read_candidates, write_candidates
from pipeline.contract import ErrorCode, PipelineError
from pipeline.types import Candidates, RuleEffects
from tests.candidates import candidates_of, disc

SIZE = (60, 90)


def assert_same(a: object, b: object) -> None:
    for field in dataclasses.fields(a):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            assert np.array_equal(left, right)
        else:
            assert left == right


@pytest.mark.parametrize("n", [0, 1, 7])
def test_candidates_survive_the_round_trip(n):
    found = candidates_of([disc(SIZE, 10 + 10 * i, 30, 8) for i in range(n)], SIZE, ("coin", "bouton à œil"))
    back = read_candidates(write_candidates(found))
    for part in ("batch", "classification", "type_probs"):
        assert_same(getattr(found, part), getattr(back, part))


def test_where_an_engine_looked_survives_the_round_trip():
    found = candidates_of([disc(SIZE, 20, 30, 8)], SIZE)
    seen = {
        "scales": (0.25, 2**-0.5),
        "n_beside": (4, 7),
        "pages_left": 2,
        "page_sizes_hw": ((40, 90), (20, 80)),
    }
    batch = dataclasses.replace(found.batch, **seen)
    read = read_candidates(write_candidates(dataclasses.replace(found, batch=batch))).batch
    assert {name: getattr(read, name) for name in seen} == seen


def test_looks_survive_the_round_trip_and_say_whose_they_are():
    found = candidates_of([disc(SIZE, 20, 30, 8), disc(SIZE, 60, 30, 8)], SIZE)
    rows = np.random.default_rng(0).normal(0, 3, (2, 320)).astype(np.float16)
    seen = dataclasses.replace(found.classification, embeddings=rows, source="looks")
    assert_same(
        seen,
        read_candidates(write_candidates(dataclasses.replace(found, classification=seen))).classification,
    )


def test_effects_of_rules_survive_the_round_trip():
    found = candidates_of([disc(SIZE, 20, 30, 8), disc(SIZE, 60, 30, 8)], SIZE)
    effects = RuleEffects(np.float32([0.5, -1]), ("", "too far"), ("œuf", ""), "ab12")
    back = read_candidates(write_candidates(dataclasses.replace(found, rule_effects=effects)))
    assert_same(effects, back.rule_effects)
    assert read_candidates(write_candidates(found)).rule_effects is None


def refused(data: bytes) -> str:
    with pytest.raises(PipelineError) as caught:
        read_candidates(data)
    assert caught.value.code == ErrorCode.CORRUPTED_FILE
    return str(caught.value)


def stored() -> bytes:
    return write_candidates(candidates_of([disc(SIZE, 30, 30, 9)], SIZE))


def test_damaged_bytes_are_refused():
    data = stored()
    for cut in (0, 10, len(data) // 2, len(data) - 5):
        refused(data[:cut])
    middle = len(data) // 3
    refused(data[:middle] + bytes(40) + data[middle + 40 :])


def altered(**arrays: object) -> bytes:
    with np.load(io.BytesIO(stored())) as old:
        content = {name: old[name] for name in old.files} | arrays
    file = io.BytesIO()
    np.savez(file, **content)
    return file.getvalue()


def test_what_earlier_versions_wrote_beside_is_passed_over():
    older = altered(likeness=np.float32([0.9]), likeness_to=np.array("21,21,18,18"))
    assert_same(read_candidates(older).batch, read_candidates(stored()).batch)


def test_another_format_version_is_refused_by_number():
    assert "want format version 1, got 2" in refused(altered(format_version=np.array(2)))


def test_arrays_that_do_not_fit_together_are_refused():
    refused(altered(area=np.zeros(3, np.int64)))
    assert "run lengths" in refused(altered(size_hw=np.array([60, 91])))


def test_pickled_objects_are_never_loaded():
    refused(altered(source=np.array({"a": 1}, dtype=object)))


def test_an_archive_is_small():
    found = candidates_of([disc((1000, 1000), 500, 500, 300)] * 50, (1000, 1000))
    assert isinstance(found, Candidates)
    assert len(write_candidates(found)) < 50_000
