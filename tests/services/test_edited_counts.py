"""What a corrected count says of itself is the same at once and whenever it is worked out again."""

from __future__ import annotations

import pytest

from tests.doubles.painted import Disc, painted_png
from tests.services.client import Client, data_of
from tests.services.conftest import MakeWorkplace

UNLIKE = (3, 7, 11, 15)
"""Of twenty discs, those that look otherwise: it is open whether they are meant."""


@pytest.fixture
def client(make_workplace: MakeWorkplace) -> Client:
    return Client(make_workplace(rate_limit_per_minute=100_000))


def test_the_first_edit_already_says_what_is_meant(client: Client) -> None:
    discs = [
        Disc(15 + 25 * (i % 6), 15 + 25 * (i // 6), quality=0.99, kind=int(i in UNLIKE)) for i in range(20)
    ]
    job = client.counted(painted_png(discs))
    (image,) = job["images"]
    assert image["count_interval"][0] == 20 - len(UNLIKE)
    named = {"job_id": job["job_id"], "file_id": image["file_id"], "version": image["version"]}
    removed = data_of(client.post("/correct", named | {"edits": [{"op": "remove", "object_id": "c3"}]}))
    again = data_of(client.post(f"/jobs/{job['job_id']}/recount", {"config": {}, "dry_run": True}))
    assert removed["count"] == again["count"] == 19
    assert removed["count_interval"] == again["images"][0]["count_interval"]
    assert removed["count_interval"][0] > 20 - len(UNLIKE)
