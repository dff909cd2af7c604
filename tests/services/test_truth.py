"""A count stays what it was until somebody changes it, and is the same through every door."""

from __future__ import annotations

import pytest

from tests.services.client import Client, data_of
from tests.services.conftest import MakeWorkplace
from tests.services.test_results import MIXED, correct


@pytest.fixture
def client(make_workplace: MakeWorkplace) -> Client:
    return Client(make_workplace(rate_limit_per_minute=100_000))


def test_a_type_that_changes_later_changes_no_count_by_way_of_a_correction(client: Client) -> None:
    coin = data_of(client.post("/types", {"name": "coin"}))["type_id"]
    job = client.counted(MIXED, config={"confidence_threshold": 0.5})
    assert client.http.patch(f"/api/types/{coin}", json={"min_area_px": 10_000}).status_code == 200
    assert client.results(job["job_id"], "?rejected=true")["rejected"][0]["reason"] == "low_score"
    edits = [{"op": "remove", "object_id": "c0"}]
    answer = data_of(correct(client, job, 1, edits=edits))
    assert (answer["count_before"], answer["count"]) == (4, 3)
    reverted = data_of(client.post(f"/corrections/{answer['correction_id']}/revert"))
    assert reverted["count"] == 4
