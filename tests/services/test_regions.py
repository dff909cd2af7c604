"""A region is of one image or of all: where it is drawn, only what it holds is counted."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.contract import ErrorCode, PipelineError
from pipeline.run import ImageOutcome
from tests.doubles import painted
from tests.doubles.painted import painted_png, row_of_discs
from tests.services.client import Client, data_of, error_of

PHOTOS = painted_png(row_of_discs(4)), painted_png(row_of_discs(3))


@pytest.fixture
def job(client: Client) -> dict[str, Any]:
    return client.counted(*PHOTOS)


def left_of(x: int, **more: Any) -> dict[str, Any]:
    return {"polygon": [[0, 0], [x, 0], [x, 120], [0, 120]], **more}


def ids_of(job: dict[str, Any]) -> list[str]:
    return [image["file_id"] for image in job["images"]]


def recounted(client: Client, job: dict[str, Any], *regions: dict[str, Any], **body: Any) -> list[int]:
    answer = client.post(f"/jobs/{job['job_id']}/recount", {"config": {"roi": regions}} | body)
    return [image["count"] for image in data_of(answer)["images"]]


def test_a_region_of_one_photo_leaves_the_others_whole(client: Client, job: dict[str, Any]) -> None:
    first, second = ids_of(job)
    regions = left_of(30, file_id=first), left_of(30, file_id=second, include=False)
    assert recounted(client, job, *regions, dry_run=True) == [1, 2]
    assert recounted(client, job, *regions) == [1, 2]
    found = client.results(job["job_id"], f"?file_id={first}&rejected=true")
    assert [one["reason"] for one in found["rejected"]] == ["outside_roi"] * 3
    assert [one["file_id"] for one in found["provenance"]["settings"]["roi"]] == [first]


def test_a_new_count_of_the_same_files_keeps_the_regions_of_each(client: Client, job: dict[str, Any]) -> None:
    first, second = ids_of(job)
    config = {"roi": [left_of(30, file_id=first), left_of(55, file_id=None)]}
    body = {"upload_id": job["upload_id"], "type": "disc", "config": config}
    again = data_of(client.post("/inference/predict", body))["job_id"]
    client.work()
    images = data_of(client.get(f"/jobs/{again}/results"))["images"]
    assert [image["count"] for image in images] == [2, 2]
    own = [[one["file_id"] for one in image["provenance"]["settings"]["roi"]] for image in images]
    assert own == [[first, None], [None]]
    stray = error_of(client.post("/inference/predict", body | {"file_ids": [second]}))
    assert [one["field"] for one in stray["details"]] == ["config.roi[0].file_id"]


def test_a_region_given_to_one_photo_stays_when_all_are_counted_again(
    client: Client, job: dict[str, Any]
) -> None:
    first, second = ids_of(job)
    assert recounted(client, job, left_of(30, file_id=second)) == [4, 1]
    assert recounted(client, job, left_of(55, file_id=first), file_id=first) == [2]
    assert recounted(client, job, config={"confidence_threshold": 0.2}) == [2, 1]
    assert recounted(client, job, file_id=second) == [3]
    assert recounted(client, job, config={}) == [2, 3]


def test_a_retry_takes_along_the_regions_of_what_is_left(client: Client, job: dict[str, Any]) -> None:
    first, second = ids_of(job)
    regions = [left_of(30, file_id=first), left_of(55, file_id=second), left_of(30, include=False)]
    body = {"upload_id": job["upload_id"], "type": "disc", "config": {"roi": regions}}
    tried = data_of(client.post("/inference/predict", body))["job_id"]

    def half(requests: Any, *, on_outcome: Any, **options: Any) -> list[ImageOutcome]:
        broken = [one for one in requests if one.image_id.endswith(second)]
        failed = [
            ImageOutcome(one.image_id, error=PipelineError(ErrorCode.CORRUPTED_FILE, "it is"))
            for one in broken
        ]
        for outcome in failed:
            on_outcome(outcome)
        good = [one for one in requests if one not in broken]
        return failed + painted.count_batch(good, on_outcome=on_outcome, **options)

    client.workplace.drain(half)
    again = data_of(client.post(f"/jobs/{tried}/retry"))["job_id"]
    client.work()
    retried = data_of(client.get(f"/jobs/{again}"))
    assert [(one["file_id"], one["count"]) for one in retried["images"]] == [(second, 1)]
    assert retried["config"]["roi"] == regions[1:]


def test_a_region_of_a_photo_that_is_not_counted_is_refused(client: Client, job: dict[str, Any]) -> None:
    config = {"roi": [left_of(70), left_of(70, file_id="img_elsewhere")]}
    answers = [
        client.post(f"/jobs/{job['job_id']}/recount", {"config": config}),
        client.submit(PHOTOS[0], config=config),
        client.post("/templates", {"name": "left", "type": "disc", "config": config}),
    ]
    want = "want an image that is counted, got img_elsewhere"
    for answer in answers:
        assert error_of(answer)["code"] == "INVALID_CONFIG"
        assert error_of(answer)["details"] == [{"field": "config.roi[1].file_id", "message": want}]


def test_examples_and_regions_that_lie_nowhere_are_refused_together(
    client: Client, job: dict[str, Any]
) -> None:
    boxes = [{"box": [5, 5, 9, 9]}, {"box": [5, 5, 9, 9], "file_id": "img_elsewhere"}]
    config = {"exemplars": boxes, "roi": [left_of(70, file_id="img_elsewhere")]}
    predicted = {"upload_id": job["upload_id"], "type": "disc", "config": config}
    recounted = f"/jobs/{job['job_id']}/recount", {"config": config | {"pages": "all"}}
    at_submission = {f"config.{one}.file_id" for one in ("exemplars[0]", "exemplars[1]", "roi[0]")}
    in_recount = {"config.pages", "config.exemplars[0].file_id", "config.roi[0].file_id"}
    for answer, fields in (
        (client.submit(*PHOTOS, config=config), at_submission),
        (client.post("/inference/predict", predicted), at_submission),
        (client.post(*recounted), in_recount),
    ):
        assert {fault["field"] for fault in error_of(answer)["details"]} == fields
