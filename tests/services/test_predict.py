"""Upload first, count later; exemplars count in every image of a job, whichever image they lie in."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.columns import utcnow
from app.files.service import purge_expired
from app.storage import storage
from app.storage.keys import exemplar_key
from pipeline.contract import ErrorCode, PipelineError
from pipeline.run import ImageOutcome
from pipeline.run import count_batch as real_count_batch
from tests.doubles import painted
from tests.doubles.painted import Disc, painted_png, row_of_discs
from tests.drawn import CENTRES, discs, encoded, ground
from tests.services.client import Client, data_of, error_of
from tests.services.conftest import MakeWorkplace

SMALL, LARGE = [Disc(20 + 25 * i, 20, 5) for i in range(4)], [Disc(30 + 50 * i, 80, 20) for i in range(2)]
PHOTOS = [painted_png([*SMALL[:n], *LARGE], shade=n) for n in (2, 3, 4)]
"""Two, three and four small discs, each with two large ones."""


def upload(client: Client, *images: bytes, query: str = "", key: str | None = None) -> TestResponse:
    files = [(io.BytesIO(image), f"photo-{i}.png") for i, image in enumerate(images)]
    headers = {"Idempotency-Key": key} if key else {}
    return client.http.post(f"/api/inference/upload{query}", data={"files": files}, headers=headers)


def uploaded(client: Client, *images: bytes) -> tuple[str, list[str]]:
    data = data_of(upload(client, *images))
    return data["upload_id"], [file["file_id"] for file in data["uploaded_files"]]


def predict(client: Client, upload_id: str, **body: Any) -> TestResponse:
    return client.post("/inference/predict", {"upload_id": upload_id} | body)


def predicted(client: Client, upload_id: str, **body: Any) -> dict[str, Any]:
    answer = predict(client, upload_id, **body)
    assert answer.status_code == 202, answer.get_data(as_text=True)
    client.work()
    job: dict[str, Any] = data_of(client.get(f"/jobs/{data_of(answer)['job_id']}"))
    return job


def counts(job: dict[str, Any]) -> list[int]:
    return [image["count"] for image in job["images"]]


def small_in(file_id: str) -> dict[str, Any]:
    return {"count_what": "exemplars", "exemplars": [{"file_id": file_id, "box": [15, 15, 11, 11]}]}


def test_uploaded_files_are_described_and_wait(client: Client) -> None:
    answer = upload(client, PHOTOS[0], PHOTOS[1])
    data = data_of(answer)
    assert (answer.status_code, data["rejected_files"]) == (201, [])
    first = data["uploaded_files"][0]
    assert first == {
        "file_id": first["file_id"],
        "filename": "photo-0.png",
        "size_bytes": len(PHOTOS[0]),
        "format": "png",
        "dimensions": {"width": 160, "height": 120},
    }
    assert client.get(f"/files/{first['file_id']}/original").data == PHOTOS[0]
    assert data_of(client.get("/jobs")) == []


def test_uploads_are_checked_as_jobs_are(client: Client) -> None:
    error = error_of(upload(client, PHOTOS[0], b"GIF89a"))
    assert (error["code"], error["details"][0]["field"]) == ("INVALID_FORMAT", "files[1]")
    assert (error_of(upload(client))["code"], error_of(upload(client))["field"]) == ("NO_FILES", "files")
    data = data_of(upload(client, PHOTOS[0], b"GIF89a", query="?partial=true"))
    assert (len(data["uploaded_files"]), data["rejected_files"][0]["field"]) == (1, "files[1]")


def test_a_repeated_upload_and_prediction_are_done_once(client: Client) -> None:
    first, again = (data_of(upload(client, PHOTOS[0], key="u")) for _ in range(2))
    assert first == again
    assert error_of(upload(client, PHOTOS[1], key="u"))["code"] == "IDEMPOTENCY_CONFLICT"
    body = {"upload_id": first["upload_id"]}
    one, two = (client.post("/inference/predict", body, headers={"Idempotency-Key": "p"}) for _ in range(2))
    assert data_of(one) == data_of(two)
    assert len(data_of(client.get("/jobs"))) == 1


def test_an_upload_is_counted_whole_or_in_part(client: Client) -> None:
    upload_id, ids = uploaded(client, *PHOTOS)
    job = predicted(client, upload_id)
    assert (counts(job), job["type"], job["upload_id"]) == ([4, 5, 6], "object", upload_id)
    part = predicted(client, upload_id, file_ids=[ids[2], ids[0]], type="coin")
    assert ([image["file_id"] for image in part["images"]], part["type"]) == ([ids[2], ids[0]], "coin")


@pytest.mark.parametrize("batch_max", [1, 8])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_exemplar_counts_in_all_images_whichever_it_lies_in(
    make_workplace: MakeWorkplace, batch_max: int, place: int
) -> None:
    client = Client(make_workplace(batch_max=batch_max))
    upload_id, ids = uploaded(client, *PHOTOS)
    assert counts(predicted(client, upload_id, config=small_in(ids[place]))) == [2, 3, 4]


def test_an_image_that_only_holds_the_exemplar_is_looked_at_once_a_job(make_workplace: MakeWorkplace) -> None:
    client = Client(make_workplace(batch_max=1))
    upload_id, ids = uploaded(client, *PHOTOS)
    job_id = data_of(predict(client, upload_id, file_ids=ids[:2], config=small_in(ids[2])))["job_id"]
    seen: list[str] = []
    steering: set[str] = set()

    def count_batch(requests: Sequence[Any], **options: Any) -> list[ImageOutcome]:
        seen.extend(request.image_id.partition("/")[2] for request in requests)
        helper = [request for request in requests if request.image_id.endswith(ids[2])]
        steering.update(str(e.file_id).partition("/")[2] for one in helper for e in one.settings.exemplars)
        return painted.count_batch(requests, **options)

    client.workplace.drain(count_batch)
    assert sorted(seen) == sorted(ids)
    assert steering == {ids[2]}, "the exemplar steers the engine in its own image"
    job = data_of(client.get(f"/jobs/{job_id}"))
    assert counts(job) == [2, 3]
    where = {"job_id": job_id, "file_id": ids[0], "version": 1}
    fixed = client.post("/correct", where | {"edits": [{"op": "remove", "object_id": "c0"}]})
    assert data_of(fixed)["count"] == 1, "it can be corrected, though the exemplar lies in none of its images"
    client.http.delete(f"/api/jobs/{job_id}")
    with client.workplace.app.app_context():
        assert list(storage().keys("candidates")) == []


@pytest.fixture
def half_done(make_workplace: MakeWorkplace) -> tuple[Client, str, list[str]]:
    """A live job whose first image is counted; an exemplar lies in its second, which waits for a retry."""
    client = Client(make_workplace(retry_delays_s=(600,), rate_limit_per_minute=100_000))
    upload_id, ids = uploaded(client, *PHOTOS[:2])
    exemplars = [{"file_id": file_id, "box": [15, 15, 11, 11]} for file_id in ids]
    job_id = data_of(predict(client, upload_id, config=small_in(ids[0]) | {"exemplars": exemplars}))["job_id"]

    def fail_second(
        requests: Sequence[Any], *, on_outcome: Any, wanted: Any, **options: Any
    ) -> list[ImageOutcome]:
        (second,) = (r.image_id for r in requests if r.image_id.endswith(ids[1]))
        others = {"on_outcome": on_outcome, "wanted": lambda key: key != second and wanted(key)}
        done = painted.count_batch(requests, **others, **options)
        on_outcome(ImageOutcome(second, error=PipelineError(ErrorCode.INFERENCE_ERROR, "not today")))
        return done

    client.workplace.drain(fail_second)
    job = data_of(client.get(f"/jobs/{job_id}"))
    assert [image["status"] for image in job["images"]] == ["completed", "queued"]
    return client, job_id, ids


def test_an_image_is_shown_at_once_though_an_exemplar_lies_in_one_that_waits(
    half_done: tuple[Client, str, list[str]],
) -> None:
    client, job_id, ids = half_done
    result = client.results(job_id, f"?file_id={ids[0]}&rejected=true")
    assert (result["count"], {r["reason"] for r in result["rejected"]}) == (2, {"unlike_exemplar"})
    edits = [{"op": "remove", "object_id": "c0"}]
    answer = client.post("/correct", {"job_id": job_id, "file_id": ids[0], "version": 1, "edits": edits})
    assert data_of(answer)["count"] == 1


def test_an_exemplar_in_an_image_that_is_not_counted_yet_is_no_mistake_of_the_config(
    half_done: tuple[Client, str, list[str]],
) -> None:
    client, job_id, ids = half_done
    with client.workplace.app.app_context():
        storage().delete(exemplar_key(job_id, ids[1]))
    shown = client.get(f"/jobs/{job_id}/results?file_id={ids[0]}&rejected=true")
    tried = client.post(f"/jobs/{job_id}/recount", {"config": {}, "file_id": ids[0], "dry_run": True})
    for answer in (shown, tried):
        assert (answer.status_code, error_of(answer)["code"]) == (404, "RESULTS_NOT_READY")
        assert ids[1] in error_of(answer)["message"]


def test_retention_spares_what_the_exemplars_of_a_live_job_lie_in(client: Client) -> None:
    (shown,) = uploaded(client, PHOTOS[0])[1]
    job_id = client.accepted(PHOTOS[1], config=small_in(shown))["job_id"]
    with client.workplace.app.app_context():
        assert purge_expired(utcnow() + timedelta(days=8)) == 0
    client.work()
    assert counts(data_of(client.get(f"/jobs/{job_id}"))) == [3]
    with client.workplace.app.app_context():
        assert purge_expired(utcnow() + timedelta(days=8)) == 2, "nobody needs them any more"


def test_a_file_purged_between_the_check_and_the_job_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.jobs import service

    (shown,) = uploaded(client, PHOTOS[0])[1]
    store = service.store_files

    def store_while_the_purge_runs(files: Any) -> None:
        store(files)
        assert purge_expired(utcnow() + timedelta(days=8)) == 1

    monkeypatch.setattr(service, "store_files", store_while_the_purge_runs)
    error = error_of(client.submit(PHOTOS[1], config=small_in(shown)))
    assert (error["code"], error["field"]) == ("INVALID_CONFIG", "config.exemplars[0].file_id")
    assert data_of(client.get("/jobs")) == []


@pytest.mark.parametrize("holder", [1, 2], ids=["of the job", "of another upload"])
def test_a_job_deleted_while_it_is_counted_leaves_no_files(client: Client, holder: int) -> None:
    upload_id, ids = uploaded(client, *PHOTOS)
    job_id = data_of(predict(client, upload_id, file_ids=ids[:2], config=small_in(ids[holder])))["job_id"]

    def deleted_meanwhile(requests: Sequence[Any], *, on_outcome: Any, **options: Any) -> list[ImageOutcome]:
        held = painted.count_batch(requests, on_outcome=lambda outcome: None, **options)
        data_of(client.post(f"/jobs/{job_id}/cancel"))
        data_of(client.http.delete(f"/api/jobs/{job_id}"))
        for outcome in held:
            on_outcome(outcome)
        return held

    client.workplace.drain(deleted_meanwhile)
    with client.workplace.app.app_context():
        assert [key for folder in ("candidates", "pictures") for key in storage().keys(folder)] == []


def drawn_photo(n_small: int) -> bytes:
    """Return a photo of so many small discs among large ones."""
    scene = discs(discs(ground(seed=n_small), CENTRES[:n_small], 7), CENTRES[n_small:], 24)
    return encoded(scene, format="JPEG", quality=92)


def test_on_drawn_photos_one_example_counts_in_all_of_them(make_workplace: MakeWorkplace) -> None:
    client = Client(make_workplace(batch_max=1))
    upload_id, ids = uploaded(client, *(drawn_photo(n) for n in (12, 14, 16)))
    x, y = CENTRES[0]
    small = {"file_id": ids[1], "box": [x - 7, y - 7, 15, 15]}
    config = {"engine": "mini", "count_what": "exemplars", "exemplars": [small]}
    job_id = data_of(predict(client, upload_id, config=config))["job_id"]
    client.workplace.drain(real_count_batch)
    assert counts(data_of(client.get(f"/jobs/{job_id}"))) == [12, 14, 16]


def test_count_again_with_exemplars_needs_no_second_upload(client: Client) -> None:
    first = client.counted(*PHOTOS, type="washer")
    assert counts(first) == [4, 5, 6]
    ids = [image["file_id"] for image in first["images"]]
    again = predicted(client, first["upload_id"], type=first["type"], config=small_in(ids[1]))
    assert (counts(again), again["type"]) == ([2, 3, 4], "washer")
    assert counts(data_of(client.get(f"/jobs/{first['job_id']}"))) == [4, 5, 6]


def test_among_several_images_an_exemplar_must_say_which_it_lies_in(client: Client) -> None:
    config = {"count_what": "exemplars", "exemplars": [{"box": [15, 15, 11, 11]}]}
    upload_id, ids = uploaded(client, *PHOTOS)
    job_id = predicted(client, upload_id)["job_id"]
    recount, sent = f"/jobs/{job_id}/recount", {"config": config, "dry_run": True}
    before, after = "POST /inference/upload gives ids", "GET /jobs/{id} lists the job's images with their ids"
    for answer, hint in (
        (client.submit(*PHOTOS, config=config), before),
        (client.submit(PHOTOS[0], b"GIF89a", config=config, query="?partial=true"), before),
        (predict(client, upload_id, config=config), before),
        (client.post(recount, sent), after),
    ):
        error = error_of(answer)
        assert (answer.status_code, error["code"]) == (400, "INVALID_CONFIG")
        assert error["field"] == "config.exemplars[0].file_id"
        assert f"want the id of the image that it lies in, got none: {hint}" in error["message"]
    assert len(data_of(client.get("/jobs"))) == 1, "nothing was begun"
    assert client.counted(PHOTOS[0], config=config)["count"] == 2, "one image needs no name"
    assert counts(predicted(client, upload_id, file_ids=ids[1:2], config=config)) == [3]
    assert data_of(client.post(recount, sent | {"file_id": ids[1]}))["count"] == 3


def test_what_is_not_there_is_named(client: Client) -> None:
    upload_id, ids = uploaded(client, PHOTOS[0])
    (stray,) = uploaded(client, PHOTOS[1])[1]
    assert error_of(predict(client, "upl_none"))["code"] == "UPLOAD_NOT_FOUND"
    more_than_a_default_job_has = [f"img_{i}" for i in range(101)]  # TALLY_MAX_FILES may allow it
    for wrong in ([stray], [ids[0], "img_none"], more_than_a_default_job_has):
        error = error_of(predict(client, upload_id, file_ids=wrong))
        assert (error["code"], error["field"]) == ("FILE_NOT_FOUND", "file_ids")
    error = error_of(predict(client, upload_id, config=small_in("img_none")))
    assert (error["code"], error["field"]) == ("INVALID_CONFIG", "config.exemplars[0].file_id")
    assert error_of(client.submit(PHOTOS[0], config=small_in("img_none")))["code"] == "INVALID_CONFIG"
    for body in ({"file_ids": []}, {"file_ids": [ids[0]] * 2}, {"type": ""}, {"file_ids": "x"}):
        assert error_of(predict(client, upload_id, **body))["code"] == "INVALID_REQUEST"
    assert error_of(predict(client, upload_id, config={"engine": "magic"}))["field"] == "config.engine"


def test_deleted_files_cannot_be_counted(client: Client) -> None:
    upload_id, ids = uploaded(client, PHOTOS[0])
    with client.workplace.app.app_context():
        purge_expired(utcnow() + timedelta(days=8))
    assert error_of(predict(client, upload_id))["code"] == "FILE_NOT_FOUND"
    other = uploaded(client, PHOTOS[1])[0]
    assert error_of(predict(client, other, config=small_in(ids[0])))["code"] == "INVALID_CONFIG"


def test_a_full_queue_takes_no_prediction(make_workplace: MakeWorkplace) -> None:
    client = Client(make_workplace(queue_max_images=1))
    upload_id, _ = uploaded(client, painted_png(row_of_discs(1)))
    assert predict(client, upload_id).status_code == 202
    assert error_of(predict(client, upload_id))["code"] == "QUEUE_FULL"
