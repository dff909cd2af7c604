"""What the engine saw too faintly to make it a candidate is told, and never counted."""

from __future__ import annotations

import pytest

from tests.doubles.painted import Disc, painted_png, row_of_discs
from tests.services.client import Client

FAINT = [Disc(20 + 60 * i, 90, quality=0.04) for i in range(3)]


def test_results_tell_what_was_seen_too_faintly_in_the_regions_where_nothing_is_counted(
    client: Client,
) -> None:
    left = {"polygon": [[0, 0], [120, 0], [120, 120], [0, 120]], "include": True}
    job = client.counted(painted_png([*row_of_discs(3), *FAINT]), config={"roi": [left]})
    assert "faint" not in client.results(job["job_id"])
    result = client.results(job["job_id"], "?rejected=true")
    assert (result["count"], result["rejected"]) == (3, [])
    seen = {"y": 90.5, "radius": pytest.approx(8, abs=0.1), "confidence": pytest.approx(0.04)}
    assert result["faint"] == [seen | {"x": 20.5}, seen | {"x": 80.5}]
    named = {"job_id": job["job_id"], "file_id": result["file_id"], "version": 1}
    added = client.post("/correct", named | {"edits": [{"op": "add", "point": [82, 90]}]})
    assert added.status_code == 200
    assert [one["x"] for one in client.results(job["job_id"], "?rejected=true")["faint"]] == [20.5]
