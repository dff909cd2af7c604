"""A worker that comes back after its lease ran out changes nothing of what another has written."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import update

from app.columns import utcnow
from app.database import transaction
from app.jobs.models import JobImage
from app.storage import storage
from app.worker import persist
from app.worker.claims import claim
from app.worker.reconcile import reconcile
from app.worker.requests import prepared
from tests.doubles import painted
from tests.services.client import Client, data_of
from tests.services.conftest import MakeWorkplace
from tests.services.test_results import MIXED, correct


def test_a_late_result_leaves_the_candidates_and_pictures_of_the_one_that_holds(
    make_workplace: MakeWorkplace,
) -> None:
    """Two machines may run two engines: candidate 0 of one is not candidate 0 of the other."""
    client = Client(make_workplace(rate_limit_per_minute=100_000))
    job_id = client.accepted(MIXED)["job_id"]
    with client.workplace.app.app_context():
        with transaction() as session:
            (late,) = claim(session, "auto:", 8, "late", 60)
        outcomes: list[Any] = []
        with prepared([late]) as batch:
            painted.count_batch(
                list(batch.requests.values()),
                object_types=[],
                on_progress=lambda *_: None,
                wanted=lambda _: True,
                known={},
                on_outcome=outcomes.append,
            )
        with transaction() as session:
            session.execute(update(JobImage).values(lease_until=utcnow() - timedelta(seconds=1)))
        assert reconcile().expired == 1
    client.work()
    with client.workplace.app.app_context():
        before = {key: _read(key) for folder in ("candidates", "pictures") for key in storage().keys(folder)}
        outcome = replace(outcomes[0], pictures={"annotated": b"late"})
        assert not persist.save(late, "late", outcome)
        after = {key: _read(key) for folder in ("candidates", "pictures") for key in storage().keys(folder)}
    assert after == before
    job = data_of(client.get(f"/jobs/{job_id}"))
    answer = correct(client, job, job["images"][0]["version"], edits=[{"op": "remove", "object_id": "c4"}])
    assert data_of(answer)["count"] == 4


def _read(key: str) -> bytes:
    with storage().open(key) as file:
        return file.read()
