"""Jobs share the engine's calls, slow stages keep their leases, and every stage is measured."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from app.config import Config
from app.jobs.states import JobStatus
from app.monitoring.metrics import MODEL_TIME
from pipeline import label_map
from pipeline.contract import ENGINES, SAM_MODELS, STAGES
from pipeline.run import MAX_BATCH_IMAGES, count_batch
from tests.doubles.segmenters import PoisonedSegmenter
from tests.drawn import CENTRES, discs, encoded, ground
from tests.services.conftest import MakeWorkplace
from tests.services.test_reconcile import run_round
from tests.services.workplace import Workplace


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite alone: these tests are about what reaches the engine."""
    return f"sqlite:///{tmp_path / 'tally.sqlite3'}"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> PoisonedSegmenter:
    """Count with an engine that says it is on a GPU and keeps what it was given."""
    engine = PoisonedSegmenter("no image has this name")
    monkeypatch.setattr("pipeline.run.load", lambda name, model, mode: (engine, "a double"))
    return engine


def photo(n_discs: int) -> bytes:
    return encoded(discs(ground(), CENTRES[:n_discs], 20))


def jobs_in(call: list[str]) -> set[str]:
    return {key.partition("/")[0] for key in call}


def test_images_of_several_jobs_share_one_call_of_the_engine(
    workplace: Workplace, engine: PoisonedSegmenter
) -> None:
    urgent = {"priority": 5, "webhook_url": "https://example.org/done"}
    jobs = [
        workplace.submit(photo(3), config=config)
        for config in ({}, urgent, {"mask_background": True}, {"sahi": {"enabled": True}})
    ]
    workplace.drain(count_batch)
    assert [workplace.counts(job_id) for job_id in jobs] == [[3]] * 4
    assert sorted((len(call), jobs_in(call)) for call in engine.batches) == [
        (1, {jobs[3]}),
        (3, set(jobs[:3])),
    ]


def test_a_full_claim_is_two_calls_so_that_one_is_decoded_during_the_other() -> None:
    assert Config().batch_max >= 2 * MAX_BATCH_IMAGES


def test_a_job_of_many_images_leaves_room_for_others(
    make_workplace: MakeWorkplace, engine: PoisonedSegmenter
) -> None:
    workplace = make_workplace(batch_max=4)
    large = workplace.submit(*[photo(n) for n in range(1, 8)])
    small = workplace.submit(photo(9))
    workplace.drain(count_batch)
    assert jobs_in(engine.batches[0]) == {large, small}
    assert [len(call) for call in engine.batches] == [4, 4]
    assert (workplace.counts(large), workplace.counts(small)) == ([1, 2, 3, 4, 5, 6, 7], [9])


def test_an_image_that_fails_in_a_shared_call_fails_its_own_job_only(
    make_workplace: MakeWorkplace, engine: PoisonedSegmenter
) -> None:
    workplace = make_workplace(max_attempts=1)
    good, bad = workplace.submit(photo(3)), workplace.submit(photo(4))
    engine.poison = f"{bad}/{workplace.images(bad)[0].image_id}"
    workplace.drain(count_batch)
    assert jobs_in(engine.batches[0]) == {good, bad}
    assert workplace.counts(good) == [3]
    assert workplace.job(good).status == JobStatus.COMPLETED
    assert workplace.job(bad).status == JobStatus.FAILED


def test_a_stage_slower_than_the_lease_loses_nothing(
    make_workplace: MakeWorkplace, engine: PoisonedSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first use of CLIP on a CPU embeds texts for minutes without a word."""
    workplace = make_workplace(lease_s=1)
    expired: list[int] = []

    def slowly(*args: Any, **kwargs: Any) -> Any:
        for _ in range(5):
            time.sleep(0.5)
            expired.append(run_round(workplace).expired)
        return label_map.map_labels(*args, **kwargs)

    monkeypatch.setattr("pipeline.run.map_labels", slowly)
    job_id = workplace.submit(photo(3))
    workplace.drain(count_batch)
    assert expired == [0] * 5
    (image,) = workplace.images(job_id)
    assert (image.count, image.attempts, image.version) == (3, 1, 1)


def stage_times() -> dict[tuple[str, str], tuple[float, float]]:
    """Return (count, sum) by (model, stage)."""
    found: dict[tuple[str, str], list[float]] = {}
    for sample in MODEL_TIME.collect()[0].samples:
        if sample.name.endswith(("_count", "_sum")):
            key = sample.labels["model"], sample.labels["stage"]
            found.setdefault(key, [0.0, 0.0])[sample.name.endswith("_sum")] = sample.value
    return {key: (count, seconds) for key, (count, seconds) in found.items()}


def test_every_stage_of_an_image_is_measured_under_bounded_labels(
    workplace: Workplace, engine: PoisonedSegmenter
) -> None:
    before = stage_times()
    job_id = workplace.submit(photo(3), photo(5))
    workplace.drain(count_batch)
    results = [image.result for image in workplace.images(job_id)]
    after = stage_times()
    for stage in STAGES:
        count, seconds = before.get(("classical", stage), (0.0, 0.0))
        taken = sum(result["timings_s"][stage] for result in results if result)
        assert after["classical", stage][0] == count + 2
        assert after["classical", stage][1] - seconds == pytest.approx(taken, abs=1e-4)
    new = {model for model, _ in after.keys() - before.keys()}
    assert new <= {*ENGINES, *SAM_MODELS}
    assert {stage for _, stage in after} <= set(STAGES)
