"""Redis and the database tell the same facts about a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event

from app.errors import TallyError
from app.events.service import publish_progress, wake
from app.extensions import db, redis_client
from app.jobs import status
from app.jobs.states import EventType
from app.jobs.status import SNAPSHOT_S, read_status, seconds_per_image, snapshot_key, status_of
from app.results.service import change_image
from app.worker.claims import ClaimedImage
from tests.doubles import pipeline
from tests.doubles.pipeline import script
from tests.servers import RedisServer
from tests.services.conftest import MakeWorkplace
from tests.services.workplace import ENGINE_KEY, Workplace

CLOCKED = (("progress", "estimated_completion"), ("summary", "processing_time_seconds"))
"""Depend on the moment they are asked for."""


def without_clock(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        key: {k: v for k, v in value.items() if (key, k) not in CLOCKED} if isinstance(value, dict) else value
        for key, value in facts.items()
    }


def test_snapshot_and_database_agree_at_every_step(workplace: Workplace) -> None:
    job_id = workplace.submit(script(count=3), script(error="CORRUPTED_FILE"), script(count=5))
    compared: list[str] = []
    n_done: list[int] = []

    def processed() -> int:
        with workplace.app.app_context():
            return int(status_of(job_id)["progress"]["processed_images"])

    def compare(*_: object) -> None:
        with workplace.app.app_context():
            assert redis_client().exists(snapshot_key(job_id))
            from_redis = status_of(job_id)
            from_rows = read_status(db.session(), job_id)
            assert without_clock(from_redis) == without_clock(from_rows)
            compared.append(from_redis["status"])

    def count_batch(requests: Any, *, on_outcome: Any, **kwargs: Any) -> Any:
        compare()

        def told(outcome: Any) -> None:
            on_outcome(outcome)
            n_done.append(len(n_done) + 1)
            workplace.wait(lambda: processed() == n_done[-1], "the snapshot")
            compare()

        return pipeline.count_batch(requests, on_outcome=told, **kwargs)

    compare()
    workplace.drain(count_batch)
    compare()
    assert compared == ["queued", "processing", "processing", "processing", "completed", "completed"]


def test_a_completed_job_says_what_was_found(workplace: Workplace) -> None:
    job_id = workplace.submit(script(count=3), script(count=5), script(error="CORRUPTED_FILE"))
    workplace.drain()
    with workplace.app.app_context():
        facts = status_of(job_id)
    assert facts["progress"] == {
        "total_images": 3,
        "processed_images": 3,
        "percentage": 100.0,
        "current_stage": None,
        "estimated_completion": None,
    }
    assert (facts["summary"]["total_detections"], facts["partial"], facts["error"]) == (8, True, None)
    assert facts["summary"]["average_confidence"] == pytest.approx(0.72, abs=0.001)
    assert facts["results_url"] == f"/api/v1/jobs/{job_id}/results"
    assert facts["completed_at"].endswith("Z")


def test_without_redis_the_database_answers_with_a_warning(
    make_workplace: MakeWorkplace, redis_server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace = make_workplace(redis_server.url)
    job_id = workplace.submit(script(count=3))
    with workplace.app.app_context():
        before = status_of(job_id)
        redis_server.stop(kill=True)
        after = status_of(job_id)
    assert without_clock(after) == without_clock(before)
    assert "redis unavailable, status comes from the database" in capsys.readouterr().err


def test_an_old_snapshot_does_not_outlive_an_outage(workplace: Workplace) -> None:
    job_id = workplace.submit(script(count=3))
    with workplace.app.app_context():
        wake(job_id)
        assert 0 < redis_client().ttl(snapshot_key(job_id)) <= SNAPSHOT_S


@pytest.mark.parametrize(
    "renew", [wake, lambda job_id: publish_progress(job_id, {})], ids=["wake", "progress"]
)
def test_who_read_before_a_change_does_not_undo_its_snapshot(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, renew: Callable[[str], None]
) -> None:
    job_id = workplace.submit(script(count=3))
    workplace.drain()
    last_read = status._current_stage

    def then_a_correction_comes(*of: Any) -> str | None:
        monkeypatch.setattr(status, "_current_stage", last_read)
        with workplace.app.app_context():  # as another process does
            image = db.session.merge(workplace.images(job_id)[0])
            change_image(db.session(), image.id, image.version, {"human_count": 10})
            db.session.commit()
            wake(job_id)
        return last_read(*of)

    monkeypatch.setattr(status, "_current_stage", then_a_correction_comes)
    with workplace.app.app_context():
        renew(job_id)
        assert status_of(job_id)["summary"]["total_detections"] == 10
        assert 0 < redis_client().ttl(snapshot_key(job_id)) <= SNAPSHOT_S


def test_a_missing_snapshot_is_written_again(workplace: Workplace) -> None:
    job_id = workplace.submit(script(count=3))
    with workplace.app.app_context():
        redis_client().flushall()
        assert status_of(job_id)["status"] == "queued"
        assert redis_client().exists(snapshot_key(job_id))


def test_an_unknown_job_has_no_status(workplace: Workplace) -> None:
    with workplace.app.app_context(), pytest.raises(TallyError, match="there is no job"):
        status_of("job_unknown")


def test_progress_within_an_image_moves_percentage_stage_and_estimate(make_workplace: MakeWorkplace) -> None:
    workplace = make_workplace(lease_s=1)
    job_id = workplace.submit(script(count=3), script(count=1))
    seen: list[dict[str, Any]] = []

    def count_batch(requests: Any, *, on_progress: Any, **kwargs: Any) -> Any:
        on_progress(ClaimedImage.key_of(job_id, workplace.images(job_id)[0].image_id), "classify", 0.5)

        def look() -> bool:
            with workplace.app.app_context():
                seen.append(status_of(job_id)["progress"])
            return seen[-1]["percentage"] > 0

        workplace.wait(look, "progress")
        return pipeline.count_batch(requests, on_progress=on_progress, **kwargs)

    workplace.drain(count_batch)
    assert (seen[-1]["percentage"], seen[-1]["current_stage"]) == (25.0, "classify")
    assert seen[-1]["estimated_completion"] is not None


def test_a_waiting_job_is_estimated_from_those_before_it(workplace: Workplace) -> None:
    with workplace.app.app_context():
        assert seconds_per_image(db.session(), ENGINE_KEY) is None
    workplace.submit(script(count=1))
    workplace.drain()
    job_id = workplace.submit(script(count=1), script(count=1))
    with workplace.app.app_context():
        per_image = seconds_per_image(db.session(), ENGINE_KEY)
        assert per_image is not None
        assert 0 < per_image < 60
        assert status_of(job_id)["progress"]["estimated_completion"] is not None


def test_a_human_count_wins(workplace: Workplace) -> None:
    job_id = workplace.submit(script(count=3), script(count=4))
    workplace.drain()
    with workplace.app.app_context():
        image = db.session.merge(workplace.images(job_id)[0])
        image.human_count = 10
        db.session.commit()
        wake(job_id)
        assert status_of(job_id)["summary"]["total_detections"] == 14


def test_events_carry_the_same_facts_as_the_status(workplace: Workplace) -> None:
    job_id = workplace.submit(script(count=3), script(count=4))
    workplace.drain()
    last = workplace.events(job_id)[-1]
    with workplace.app.app_context():
        facts = status_of(job_id)
    assert last.type == EventType.JOB_COMPLETED
    assert last.data["count"] == facts["summary"]["total_detections"]
    for key in ("total_images", "processed_images", "percentage"):
        assert last.data[key] == facts["progress"][key]


def test_the_speed_of_an_engine_is_read_without_sorting_all_its_images(workplace: Workplace) -> None:
    """It is read for every accepted job, while that holds the write lock."""
    plans: list[str] = []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        rows = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        plans.append(str(rows.fetchall()))

    if not workplace.config.is_sqlite:
        pytest.skip("SQLite says how it reads")
    with workplace.app.app_context():
        event.listen(db.engine, "before_cursor_execute", explain)
        assert seconds_per_image(db.session(), ENGINE_KEY) is None
        event.remove(db.engine, "before_cursor_execute", explain)
    assert "ix_job_images_claim" in plans[-1]
    assert "TEMP B-TREE" not in plans[-1]
