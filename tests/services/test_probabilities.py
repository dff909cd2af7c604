"""Results state the chance of each object as its engine's calibration has it, beside the bare score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from skimage import data

from pipeline.calibration import calibration_of
from pipeline.run import count_batch
from tests.doubles.painted import Disc, painted_png, row_of_discs
from tests.drawn import encoded
from tests.services.client import Client, data_of
from tests.services.workplace import SQLITE

pytestmark = SQLITE  # these tests are about numbers


@pytest.fixture
def coins() -> bytes:
    """A photo of 24 coins."""
    return encoded(data.coins())


def column(found: list[dict[str, Any]], name: str) -> np.ndarray[Any, Any]:
    return np.array([one[name] for one in found], np.float32)


@pytest.mark.parametrize("engine", ["mini", "classical"])
def test_each_candidate_has_the_chance_that_its_score_is_worth(
    client: Client, coins: bytes, engine: str
) -> None:
    job_id = client.accepted(coins, config={"engine": engine, "min_area_px": 1400})["job_id"]
    client.workplace.drain(count_batch)
    result = client.results(job_id, "?rejected=true")
    for found in (result["detections"], result["rejected"]):
        assert len(found) > 3
        score, chance = column(found, "confidence"), column(found, "probability")
        np.testing.assert_allclose(chance, calibration_of(engine).chance(score), atol=1e-4)
        assert np.abs(chance - score).max() > 0.03


def test_what_a_human_stated_is_certain_and_the_rest_keeps_its_chance(client: Client, coins: bytes) -> None:
    job_id = client.accepted(coins, config={"engine": "mini"})["job_id"]
    client.workplace.drain(count_batch)
    before = client.results(job_id)
    edits = [{"op": "relabel", "object_id": before["detections"][0]["object_id"], "label": "token"}]
    named = {"job_id": job_id, "file_id": before["file_id"], "version": before["version"]}
    after = data_of(client.post("/correct", named | {"edits": edits}))["detections"]
    assert [one["probability"] for one in after] == [
        1.0,
        *(one["probability"] for one in before["detections"][1:]),
    ]
    assert after[1]["probability"] < 1


def test_an_engine_whose_scores_were_not_measured_states_no_chance(client: Client) -> None:
    job = client.counted(painted_png([*row_of_discs(2), Disc(20, 70, quality=0.1)]))
    result = client.results(job["job_id"], "?rejected=true")
    assert [one["probability"] for one in result["detections"] + result["rejected"]] == [None] * 3
    named = {"job_id": job["job_id"], "file_id": result["file_id"], "version": 1}
    body = named | {"edits": [{"op": "add", "point": [20, 70]}]}
    after = data_of(client.post("/correct", body))["detections"]
    assert {one["source"]: one["probability"] for one in after} == {"model": None, "human": 1.0}
