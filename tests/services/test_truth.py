"""A count stays what it was until somebody changes it, and is the same through every door."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from PIL import Image as PillowImage
from skimage import data
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from app.columns import utcnow
from app.extensions import db
from app.files.service import purge_expired
from app.storage import storage
from pipeline.contract import CountRequest, ErrorCode, PipelineError
from pipeline.run import ImageOutcome
from pipeline.run import count_batch as real_count_batch
from tests.doubles import painted
from tests.drawn import encoded
from tests.services.client import Client, data_of, error_of
from tests.services.test_results import MIXED, THREE, correct


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


def test_results_of_one_moment_never_mix_a_count_with_later_objects(client: Client) -> None:
    """Somebody recounts between the two queries of a reader."""
    job_id = client.counted(MIXED)["job_id"]
    body = {"config": {"confidence_threshold": 0.7}}
    with between(client, "FROM job_images", lambda: client.post(f"/jobs/{job_id}/recount", body)):
        result = client.results(job_id)
    assert (len(result["detections"]), result["version"]) == (result["count"], 1)
    assert client.results(job_id)["count"] == 3


def test_a_retried_image_can_be_corrected_though_its_exemplar_lies_in_another(client: Client) -> None:
    """The image with the exemplar was counted by the first job only."""
    first = client.accepted(THREE, MIXED)
    shown, failed = (image["file_id"] for image in first["images"])

    def fail_one(requests: Sequence[CountRequest], *, on_outcome: Any, **options: Any) -> list[ImageOutcome]:
        bad = [r for r in requests if r.image_id.endswith(failed)]
        for request in bad:
            on_outcome(ImageOutcome(request.image_id, error=PipelineError(ErrorCode.CORRUPTED_FILE, "bad")))
        good = [r for r in requests if r not in bad]
        return painted.count_batch(good, on_outcome=on_outcome, **options)

    client.workplace.drain(fail_one)
    exemplar = {"file_id": shown, "point": [20, 20]}
    looks = {"config": {"count_what": "exemplars", "exemplars": [exemplar]}}
    assert client.post(f"/jobs/{first['job_id']}/recount", looks).status_code == 200
    retried = data_of(client.post(f"/jobs/{first['job_id']}/retry"))["job_id"]
    client.work()
    job = data_of(client.get(f"/jobs/{retried}"))
    assert (job["status"], job["count"]) == ("completed", 5)
    answer = data_of(correct(client, job, 1, edits=[{"op": "remove", "object_id": "c0"}]))
    assert answer["count"] == 4


def test_a_corrected_counts_interval_holds_it_and_is_the_same_through_every_door(client: Client) -> None:
    job = client.counted(MIXED)
    low, high = client.results(job["job_id"])["count_interval"]
    drawn = [{"op": "add", "box": [5 + 30 * i, 90, 12, 12]} for i in range(3)]
    answer = data_of(correct(client, job, 1, edits=drawn))
    moved = answer["count_interval"]
    assert (answer["count"], moved) == (8, [low + 3, high + 3])
    shown = client.results(job["job_id"]), data_of(client.get(f"/jobs/{job['job_id']}"))["images"][0]
    preview = data_of(client.post(f"/jobs/{job['job_id']}/recount", {"config": {}, "dry_run": True}))
    assert [one["count_interval"] for one in (*shown, *preview["images"])] == [moved] * 3
    assert preview["images"][0]["count_interval_before"] == moved
    stated = data_of(correct(client, job, 2, count=30))
    assert stated["count_interval"] == [30, 30]
    edit = {"op": "remove", "object_id": "c0"}
    assert data_of(correct(client, job, 3, edits=[edit]))["count_interval"] == [29, 29]


def test_a_preview_asks_to_be_checked_as_the_count_then_does(client: Client) -> None:
    job = client.counted(MIXED)
    asks = [client.results(job["job_id"])["review_reason"]]
    url, config = f"/jobs/{job['job_id']}/recount", {"min_area_px": 10**6}
    for dry_run in (True, False):
        (image,) = data_of(client.post(url, {"config": config, "dry_run": dry_run}))["images"]
        asks.append(image["review_reason"])
        assert image["needs_review"] == (image["review_reason"] is not None)
    asks.append(client.results(job["job_id"])["review_reason"])
    assert asks[1:] == [asks[1]] * 3
    assert asks[0] != asks[1]
    data_of(correct(client, job, 2, count=30))
    (image,) = data_of(client.post(url, {"config": {}, "dry_run": True}))["images"]
    assert (image["needs_review"], image["review_reason"]) == (False, None)


def test_a_recount_of_what_somebody_changed_since_is_refused(client: Client) -> None:
    job = client.counted(THREE, MIXED)
    first, second = (image["file_id"] for image in job["images"])
    client.post("/correct", {"job_id": job["job_id"], "file_id": second, "version": 1, "count": 9})
    body = {"config": {"confidence_threshold": 0.1}, "versions": {first: 1, second: 1}}
    answer = client.post(f"/jobs/{job['job_id']}/recount", body)
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (409, "VERSION_CONFLICT")
    assert error["details"] == [{"version": 2}]
    assert error["message"].startswith("photo-1.png: want the current version 2, got 1")
    assert [image["version"] for image in data_of(client.get(f"/jobs/{job['job_id']}"))["images"]] == [1, 2]
    body["versions"] = {first: 1, second: 2}
    assert data_of(client.post(f"/jobs/{job['job_id']}/recount", body))["count"] == 3 + 9


def test_a_picture_sent_twice_in_a_job_asks_for_a_look_until_a_human_has_looked(client: Client) -> None:
    job = client.counted(THREE, MIXED, THREE, names=["a.png", "b.png", "copy.png"])
    reasons = [image["review_reason"] for image in job["images"]]
    twice = "the same picture as a.png; both are counted"
    assert [reason == twice for reason in reasons] == [False, False, True]
    (listed,) = data_of(client.get("/jobs?needs_review=true"))
    assert listed["job_id"] == job["job_id"]
    again = data_of(client.post(f"/jobs/{job['job_id']}/recount", {"config": {}}))["images"]
    assert [image["review_reason"] == twice for image in again] == [False, False, True]
    last = job["images"][2]
    data_of(correct(client, job | {"images": [last]}, 2, count=0))
    assert client.results(job["job_id"], f"?file_id={last['file_id']}")["needs_review"] is False


def test_the_list_shows_the_first_image(client: Client) -> None:
    job = client.counted(THREE, MIXED)
    (listed,) = data_of(client.get("/jobs"))
    assert listed["thumbnail_url"] == job["images"][0]["urls"]["thumbnail"]


def test_the_class_of_an_object_is_the_same_through_every_door(client: Client) -> None:
    job = client.counted(THREE)
    edits = [{"op": "relabel", "object_id": "c0", "label": "nut"}]
    corrected = data_of(correct(client, job, 1, edits=edits))["detections"]
    assert corrected == client.results(job["job_id"])["detections"]
    assert [d["class_id"] for d in corrected] == [1, 0, 0]


def coins(n_pages: int) -> bytes:
    first, *others = [PillowImage.fromarray(data.coins())] * n_pages
    return encoded(first, format="TIFF", save_all=True, append_images=others)


def counted_really(client: Client, photo: bytes, **options: Any) -> dict[str, Any]:
    job_id = client.accepted(photo, **options)["job_id"]
    client.workplace.drain(real_count_batch)
    return data_of(client.get(f"/jobs/{job_id}"))


def test_all_pages_of_a_tiff_are_one_picture_through_every_door(client: Client) -> None:
    config = {"engine": "classical", "pages": "all"}
    job = counted_really(client, coins(2), config=config)
    (image,), result = job["images"], client.results(job["job_id"])
    assert (image["width"], image["height"]) == (result["width"], result["height"]) == (384, 606)
    assert image["stats"] == result["stats"]
    lowest = max(result["detections"], key=lambda one: one["bbox"]["y2"])
    box, part = lowest["bbox"], lowest["bbox_normalized"]
    assert box["y2"] > 303
    assert part["y_center"] == pytest.approx((box["y1"] + box["y2"]) / 2 / 606, abs=1e-5)
    corrected = data_of(correct(client, job, 1, edits=[{"op": "remove", "object_id": lowest["object_id"]}]))
    after = client.results(job["job_id"])
    assert corrected["detections"] == after["detections"]
    assert after["stats"] == data_of(client.get(f"/jobs/{job['job_id']}"))["images"][0]["stats"]
    assert 0 < after["stats"]["coverage_percent"] < result["stats"]["coverage_percent"]


def test_pages_that_were_not_counted_are_told_until_a_human_has_looked(client: Client) -> None:
    job = counted_really(client, coins(3), config={"engine": "classical"})
    job_id, reason = job["job_id"], "only the first of 3 pages was counted"
    assert job["images"][0]["review_reason"] == reason
    client.post(f"/jobs/{job_id}/recount", {"config": {"confidence_threshold": 0.9}})
    result = client.results(job_id)
    assert (result["needs_review"], result["review_reason"]) == (True, reason)
    edits = [{"op": "remove", "object_id": result["detections"][0]["object_id"]}]
    correct(client, job, result["version"], edits=edits)
    assert not client.results(job_id)["needs_review"]


def test_what_is_added_carries_the_name_that_a_synonym_stands_for(client: Client) -> None:
    client.post("/types", {"name": "coin"})
    job = counted_really(client, coins(1), type="coins", config={"engine": "classical"})
    edits = [{"op": "add", "box": [5, 5, 40, 40]}]
    corrected = data_of(correct(client, job, 1, edits=edits))["detections"]
    result = client.results(job["job_id"])
    assert corrected == result["detections"]
    assert result["by_type"] == {"coin": result["count"]}
    assert {one["class_id"] for one in corrected} == {0}, "no class is kept for a name nothing carries"


def test_a_cancelled_job_is_counted_in_the_metrics(client: Client) -> None:
    name = 'inference_jobs_total{status="cancelled"}'
    before = metric(client, name)
    client.post(f"/jobs/{client.accepted(THREE)['job_id']}/cancel")
    assert metric(client, name) == before + 1


def metric(client: Client, name: str) -> float:
    lines = client.http.get("/metrics").get_data(as_text=True).splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def test_a_deleted_job_leaves_no_status_and_no_picture(client: Client) -> None:
    kept, gone = client.counted(THREE), client.counted(THREE, MIXED)
    assert client.get(f"/jobs/{gone['job_id']}/status").status_code == 200
    assert client.http.delete(f"/api/jobs/{gone['job_id']}").status_code == 200
    assert error_of(client.get(f"/jobs/{gone['job_id']}/status"))["code"] == "JOB_NOT_FOUND"
    assert client.http.get(kept["images"][0]["urls"]["thumbnail"]).status_code == 200
    with client.workplace.app.app_context():
        assert len(list(storage().keys("thumbnails"))) == 1


def test_the_thumbnail_of_all_pages_is_not_that_of_the_first(client: Client) -> None:
    def count_batch(requests: Sequence[CountRequest], *, on_outcome: Any, **options: Any) -> Any:
        def drawn(outcome: ImageOutcome) -> None:
            pages = next(r.settings.pages for r in requests if r.image_id == outcome.image_id)
            on_outcome(replace(outcome, pictures=outcome.pictures | {"thumbnail": pages.encode()}))

        return painted.count_batch(requests, on_outcome=drawn, **options)

    ids = [client.accepted(THREE, config={"pages": pages})["job_id"] for pages in ("first", "all")]
    client.workplace.drain(count_batch)
    shown = [data_of(client.get(f"/jobs/{job_id}"))["images"][0]["urls"]["thumbnail"] for job_id in ids]
    assert [client.http.get(url).data for url in shown] == [b"first", b"all"]
    for job_id in ids:
        client.http.delete(f"/api/jobs/{job_id}")
    with client.workplace.app.app_context():
        assert list(storage().keys("thumbnails")) == []


def test_keys_that_differ_by_case_are_different_keys(client: Client) -> None:
    first, second = (client.accepted(THREE, key=key)["job_id"] for key in ("Key", "kEY"))
    assert first != second
    assert client.get(f"/jobs/{first.upper()}").status_code == 404


def test_a_change_of_a_job_that_was_just_deleted_says_so(client: Client) -> None:
    job = client.counted(THREE)
    with between(client, "FROM job_images", lambda: client.http.delete(f"/api/jobs/{job['job_id']}")):
        answer = correct(client, job, 1, count=5)
    assert (answer.status_code, error_of(answer)["code"]) == (404, "JOB_NOT_FOUND")


def test_a_retry_during_a_purge_keeps_its_images(client: Client) -> None:
    job_id = client.accepted(THREE)["job_id"]
    client.post(f"/jobs/{job_id}/cancel")
    retried: list[Any] = []
    with (
        between(client, "ORDER BY uploads.created_at", lambda: retried.append(retry(client, job_id))),
        client.workplace.app.app_context(),
    ):
        purge_expired(utcnow() + timedelta(days=8))
    client.work()
    assert data_of(client.get(f"/jobs/{retried[0]}"))["count"] == 3


def test_a_stream_that_cannot_begin_is_not_counted_as_open(client: Client) -> None:
    job_id = client.accepted(THREE)["job_id"]
    client.workplace.wait(lambda: metric(client, "sse_connections") == 0, "earlier streams to be forgotten")

    def away() -> None:
        raise OperationalError("SELECT", None, Exception("gone away"))

    with between(client, "jobs.id IN", away, thread=False):
        assert client.get(f"/jobs/{job_id}/events").status_code == 503
    assert metric(client, "sse_connections") == 0


def retry(client: Client, job_id: str) -> str:
    found: str = data_of(client.post(f"/jobs/{job_id}/retry"))["job_id"]
    return found


@contextmanager
def between(client: Client, words: str, step: Callable[[], object], *, thread: bool = True) -> Iterator[None]:
    """Take a step, as somebody else does, right after the first statement with these words."""
    done: list[None] = []

    def meanwhile(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if words not in statement or done:
            return
        done.append(None)
        if not thread:
            step()
        other = threading.Thread(target=step)
        other.start()
        other.join()

    with client.workplace.app.app_context():
        engine = db.engine
    event.listen(engine, "after_cursor_execute", meanwhile)
    yield
    event.remove(engine, "after_cursor_execute", meanwhile)
    assert done, "nothing happened meanwhile"


def test_the_sizes_of_what_is_counted_now_are_part_of_the_job(client: Client) -> None:
    job = client.counted(MIXED, config={"confidence_threshold": 0.5})
    (image,) = job["images"]
    assert image["stats"] == client.results(job["job_id"])["stats"]
    assert image["stats"]["median_area_px"] == 197
    correct(client, job, 1, edits=[{"op": "add", "box": [100, 60, 40, 40]}])
    (after,) = data_of(client.get(f"/jobs/{job['job_id']}"))["images"]
    assert after["stats"] == client.results(job["job_id"])["stats"]
    assert after["stats"]["coverage_percent"] > image["stats"]["coverage_percent"] + 5
    waiting = client.accepted(THREE)["job_id"]
    assert data_of(client.get(f"/jobs/{waiting}"))["images"][0]["stats"] is None


def test_a_webhook_is_refused_and_not_forgotten(client: Client) -> None:
    job = client.counted(THREE)
    hook = {"webhook_url": "https://example.org/"}
    for answer in (
        client.submit(THREE, config=hook),
        client.post(f"/jobs/{job['job_id']}/recount", {"config": hook}),
    ):
        error = error_of(answer)
        assert (answer.status_code, error["code"], error["field"]) == (
            400,
            "INVALID_CONFIG",
            "config.webhook_url",
        )
        assert "not supported yet" in error["message"]
