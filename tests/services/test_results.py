"""Jobs, results, recounts and corrections over HTTP: what is shown, what is kept, what is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from app.storage import storage
from app.types.service import seed_defaults
from tests.doubles.painted import JPEG, Disc, painted_png, row_of_discs
from tests.services.client import Client, data_of, error_of

THREE = painted_png(row_of_discs(3))
MIXED = painted_png([*row_of_discs(3), Disc(20, 70, quality=0.3), Disc(60, 70, quality=0.6)])


@pytest.fixture
def job(client: Client) -> dict[str, Any]:
    """A counted job over one image: 4 of 5 candidates reach the threshold."""
    return client.counted(MIXED, config={"confidence_threshold": 0.5})


def correct(client: Client, job: dict[str, Any], version: int, **body: Any) -> Any:
    (image,) = job["images"]
    same = {"job_id": job["job_id"], "file_id": image["file_id"], "version": version}
    return client.post("/correct", same | body)


def numbers(answer: Any) -> tuple[int, int, str]:
    data = data_of(answer)
    return data["count"], data["version"], data["count_source"]


def test_a_counted_job_shows_its_count_images_and_pictures(client: Client) -> None:
    job = client.counted(THREE, MIXED, names=["a.png", "b.png"])
    assert (job["status"], job["count"], job["processed_images"], job["partial"]) == (
        "completed",
        8,
        2,
        False,
    )
    image = job["images"][0]
    assert (image["filename"], image["count"], image["count_source"], image["version"]) == (
        "a.png",
        3,
        "model",
        1,
    )
    low, high = image["count_interval"]
    assert low <= 3 <= high
    for name in ("annotated", "heatmap", "rejected", "thumbnail"):
        answer = client.http.get(image["urls"][name])
        assert (answer.status_code, answer.data, answer.mimetype) == (200, JPEG + name.encode(), "image/jpeg")
    assert client.http.get(image["urls"]["original"]).data == THREE


def test_overlays_can_be_embedded(client: Client) -> None:
    job_id = client.counted(THREE)["job_id"]
    (image,) = data_of(client.get(f"/jobs/{job_id}?overlay=bytes"))["images"]
    assert base64.b64decode(image["overlay_base64"]) == JPEG + b"annotated"
    (shown,) = data_of(client.get(f"/jobs/{job_id}/visualization?format=base64"))["images"]
    assert base64.b64decode(shown["thumbnail"]) == JPEG + b"thumbnail"
    assert shown["detection_count"] == 3


def test_the_list_filters_and_pages(client: Client) -> None:
    ids = [client.counted(THREE, type=t)["job_id"] for t in ("coin", "nut", "coin")]
    waiting = client.accepted(THREE)["job_id"]

    def listed(query: str) -> list[str]:
        return [job["job_id"] for job in data_of(client.get(f"/jobs?{query}"))]

    assert listed("") == [waiting, *reversed(ids)]
    assert listed("type=nut") == [ids[1]]
    assert listed("status=queued") == [waiting]
    assert listed("created_before=2000-01-01T00:00:00Z") == []
    assert len(listed("created_after=2000-01-01T00:00:00%2B02:00")) == 4
    assert listed("page=2&page_size=3") == [ids[0]]
    pages = json.loads(client.get("/jobs?page_size=3").headers["X-Pagination"])
    assert (pages["total"], pages["total_pages"]) == (4, 2)
    first = data_of(client.get("/jobs?type=nut"))[0]
    assert (first["count"], first["processed_images"]) == (3, 1)
    assert client.http.get(first["thumbnail_url"]).status_code == 200


def test_the_list_finds_jobs_that_need_review(client: Client) -> None:
    doubtful = client.counted(painted_png([]))["job_id"]
    sure = client.counted(painted_png(row_of_discs(3, quality=1.0)))["job_id"]
    assert [j["job_id"] for j in data_of(client.get("/jobs?needs_review=true"))] == [doubtful]
    assert [j["job_id"] for j in data_of(client.get("/jobs?needs_review=false"))] == [sure]


@pytest.mark.parametrize(
    "query", ["status=lost", "created_after=2026-01-01T00:00:00", "page=0", "page_size=101"]
)
def test_a_bad_filter_is_named(client: Client, query: str) -> None:
    answer = client.get(f"/jobs?{query}")
    assert (answer.status_code, error_of(answer)["code"]) == (400, "INVALID_REQUEST")
    assert error_of(answer)["field"] == query.partition("=")[0]


def test_results_tell_every_object_and_why_others_are_not_counted(
    client: Client, job: dict[str, Any]
) -> None:
    result = client.results(job["job_id"], "?rejected=true")
    assert (result["count"], result["model_count"], result["by_type"]) == (4, 4, {"coin": 4})
    assert [d["object_id"] for d in result["detections"]] == ["c0", "c1", "c2", "c4"]
    first = result["detections"][0]
    assert first["bbox"] == {"format": "xyxy", "x1": 12, "y1": 12, "x2": 29, "y2": 29}
    assert first["bbox_normalized"]["x_center"] == pytest.approx(20.5 / 160, abs=1e-5)
    assert [(r["object_id"], r["reason"]) for r in result["rejected"]] == [("c3", "low_score")]
    assert result["provenance"]["engine"] == "painted"
    assert result["provenance"]["patch_models"] == {"looks": "0" * 64}
    assert result["provenance"]["prompt_models"] == {"mini": "1" * 64}
    assert result["stats"]["median_area_px"] == first["area"]


def test_results_are_not_ready_before_the_end(client: Client) -> None:
    data = client.accepted(THREE)
    for path in ("results", "visualization"):
        answer = client.get(f"/jobs/{data['job_id']}/{path}")
        assert (answer.status_code, error_of(answer)["code"]) == (404, "RESULTS_NOT_READY")
        assert answer.headers["Retry-After"] == "2"
    file_id = data["images"][0]["file_id"]
    assert error_of(client.get(f"/files/{file_id}/annotated"))["code"] == "RESULTS_NOT_READY"
    assert error_of(client.get(f"/files/{file_id}/thumbnail"))["code"] == "RESULTS_NOT_READY"


def test_what_is_not_there_is_named(client: Client, job: dict[str, Any]) -> None:
    job_id, file_id = job["job_id"], job["images"][0]["file_id"]
    for path in ("", "/status", "/results", "/visualization", "/events"):
        assert error_of(client.get(f"/jobs/job_none{path}"))["code"] == "JOB_NOT_FOUND"
    for path in ("cancel", "retry"):
        assert error_of(client.post(f"/jobs/job_none/{path}"))["code"] == "JOB_NOT_FOUND"
    assert error_of(client.get(f"/jobs/{job_id}/results?file_id=img_none"))["code"] == "FILE_NOT_FOUND"
    assert error_of(client.get("/files/img_none/original"))["code"] == "FILE_NOT_FOUND"
    assert error_of(client.get(f"/files/{file_id}/annotated?job_id=job_none"))["code"] == "FILE_NOT_FOUND"
    assert error_of(client.post("/corrections/cor_none/revert"))["code"] == "CORRECTION_NOT_FOUND"
    assert error_of(client.http.patch("/api/types/typ_none", json={}))["code"] == "TYPE_NOT_FOUND"
    assert error_of(client.get("/nothing"))["code"] == "NOT_FOUND"
    assert error_of(client.http.put("/api/jobs"))["code"] == "METHOD_NOT_ALLOWED"


def test_a_missing_candidates_file_is_named_as_missing(client: Client, job: dict[str, Any]) -> None:
    with client.workplace.app.app_context():
        storage().delete_prefix("candidates")
    answer = client.post(f"/jobs/{job['job_id']}/recount", {"config": {}})
    assert error_of(answer)["code"] == "FILE_NOT_FOUND"


def test_a_preview_changes_nothing(client: Client, job: dict[str, Any]) -> None:
    body = {"config": {"confidence_threshold": 0.1}, "dry_run": True}
    preview = data_of(client.post(f"/jobs/{job['job_id']}/recount", body))
    assert (preview["count"], preview["images"][0]["version"]) == (5, 1)
    assert preview["images"][0]["rejected"] == {}
    covered = client.results(job["job_id"])["stats"]["coverage_percent"]
    assert preview["images"][0]["stats"]["coverage_percent"] > covered
    assert client.results(job["job_id"])["count"] == 4


def test_a_recount_writes_counts_objects_settings_and_version(client: Client, job: dict[str, Any]) -> None:
    answer = data_of(client.post(f"/jobs/{job['job_id']}/recount", {"config": {"confidence_threshold": 0.7}}))
    assert (answer["count"], answer["images"][0]["version"]) == (3, 2)
    assert answer["images"][0]["rejected"] == {"c3": "low_score", "c4": "low_score"}
    result = client.results(job["job_id"])
    assert (result["count"], len(result["detections"]), result["count_source"]) == (3, 3, "model")
    assert data_of(client.get(f"/jobs/{job['job_id']}"))["config"] == {"confidence_threshold": 0.7}
    assert data_of(client.get(f"/jobs/{job['job_id']}/status"))["summary"]["total_detections"] == 3


def test_a_recount_of_one_image_leaves_the_others(client: Client) -> None:
    job = client.counted(MIXED, THREE)
    body = {"config": {"confidence_threshold": 0.7}, "file_id": job["images"][0]["file_id"]}
    assert data_of(client.post(f"/jobs/{job['job_id']}/recount", body))["count"] == 3
    after = data_of(client.get(f"/jobs/{job['job_id']}"))
    assert [(i["count"], i["version"]) for i in after["images"]] == [(3, 2), (3, 1)]
    assert after["config"] == {}


def test_exemplars_in_another_image_of_the_job_recount_all(client: Client) -> None:
    job = client.counted(painted_png([Disc(40, 40, 8)]), painted_png([Disc(40, 40, 8), Disc(100, 60, 30)]))
    exemplar = {"file_id": job["images"][0]["file_id"], "point": [40, 40]}
    body = {"config": {"count_what": "exemplars", "exemplars": [exemplar]}}
    counts = [i["count"] for i in data_of(client.post(f"/jobs/{job['job_id']}/recount", body))["images"]]
    assert counts == [1, 1]


@pytest.mark.parametrize(
    "config",
    [
        {"engine": "sam"},
        {"mode": "exact"},
        {"sahi": {"slice_width": 512}},
        {"confidence_threshold": 2},
        {"exemplars": [{"file_id": "img_none", "point": [1, 1]}]},
        {"count_what": "text"},
    ],
)
def test_a_recount_refuses_what_it_cannot_do(
    client: Client, job: dict[str, Any], config: dict[str, Any]
) -> None:
    answer = client.post(f"/jobs/{job['job_id']}/recount", {"config": config})
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (400, "INVALID_CONFIG")
    assert error["field"].startswith(f"config.{next(iter(config))}")


def test_a_corrected_number_holds_and_is_certain(client: Client, job: dict[str, Any]) -> None:
    answer = correct(client, job, 1, count=7)
    assert numbers(answer) == (7, 2, "human")
    result = client.results(job["job_id"])
    assert (result["count"], result["count_interval"], result["model_count"]) == (7, [7, 7], 4)
    assert data_of(client.get(f"/jobs/{job['job_id']}"))["count"] == 7
    assert data_of(client.get(f"/jobs/{job['job_id']}/status"))["summary"]["total_detections"] == 7


def test_edits_add_and_remove_objects(client: Client, job: dict[str, Any]) -> None:
    answer = correct(
        client, job, 1, edits=[{"op": "remove", "object_id": "c0"}, {"op": "add", "point": [20, 70]}]
    )
    assert numbers(answer) == (4, 2, "human")
    result = client.results(job["job_id"], "?rejected=true")
    assert [d["object_id"] for d in result["detections"]] == ["c1", "c2", "c3", "c4"]
    assert [(r["object_id"], r["reason"]) for r in result["rejected"]] == [("c0", "human")]
    low, high = result["count_interval"]
    assert low <= 4 <= high


def test_a_stale_correction_is_refused_and_tells_the_current_version(
    client: Client, job: dict[str, Any]
) -> None:
    correct(client, job, 1, edits=[{"op": "remove", "object_id": "c0"}])
    answer = correct(client, job, 1, edits=[{"op": "remove", "object_id": "c1"}])
    assert (answer.status_code, error_of(answer)["code"]) == (409, "VERSION_CONFLICT")
    assert error_of(answer)["details"] == [{"version": 2}]
    assert client.results(job["job_id"])["count"] == 3


def test_all_edits_that_cannot_be_done_are_reported_and_none_is_done(
    client: Client, job: dict[str, Any]
) -> None:
    bad = [
        {"op": "remove", "object_id": "c0"},
        {"op": "remove", "object_id": "c0"},
        {"op": "add", "point": [999, 5]},
    ]
    error = error_of(correct(client, job, 1, edits=bad))
    assert error["code"] == "INVALID_REQUEST"
    assert [d["field"] for d in error["details"]] == ["edits[1].object_id", "edits[2].point"]
    assert client.results(job["job_id"])["version"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"count": -1},
        {"count": 1.5},
        {"edits": []},
        {"edits": [{"op": "explode"}]},
        {"edits": [{"op": "add"}]},
        {"edits": [{"op": "add", "point": [1, 2], "box": [1, 2, 3, 4]}]},
        {"edits": [{"op": "add", "box": [1, 2, 0, 4]}]},
        {"edits": [{"op": "remove", "object_id": "c0", "label": "x"}]},
        {"edits": [{"op": "merge", "object_ids": ["c0"]}]},
        {"edits": [{"op": "split", "object_id": "c0", "points": [[1, 2]]}]},
        {"edits": [{"op": "add", "point": [1, float("nan")]}]},
    ],
)
def test_a_malformed_correction_is_refused(client: Client, job: dict[str, Any], body: dict[str, Any]) -> None:
    answer = correct(client, job, 1, **body)
    assert (answer.status_code, error_of(answer)["code"]) == (400, "INVALID_REQUEST")


def test_a_recount_keeps_what_humans_did(client: Client, job: dict[str, Any]) -> None:
    edits = [{"op": "remove", "object_id": "c0"}, {"op": "add", "box": [120, 90, 16, 16], "label": "nut"}]
    correct(client, job, 1, edits=edits)
    answer = client.post(f"/jobs/{job['job_id']}/recount", {"config": {"confidence_threshold": 0.1}})
    assert data_of(answer)["count"] == 5
    result = client.results(job["job_id"])
    assert "c0" not in [d["object_id"] for d in result["detections"]]
    assert result["by_type"] == {"coin": 4, "nut": 1}
    assert (result["version"], result["count_source"]) == (3, "human")


def test_edits_after_a_bare_number_move_it(client: Client, job: dict[str, Any]) -> None:
    correct(client, job, 1, count=50)
    assert numbers(correct(client, job, 2, edits=[{"op": "remove", "object_id": "c0"}])) == (49, 3, "human")


def test_reverting_takes_back_one_correction_and_leaves_the_others(
    client: Client, job: dict[str, Any]
) -> None:
    first = data_of(correct(client, job, 1, edits=[{"op": "remove", "object_id": "c0"}]))["correction_id"]
    correct(client, job, 2, edits=[{"op": "remove", "object_id": "c1"}])
    assert numbers(client.post(f"/corrections/{first}/revert")) == (3, 4, "human")
    assert [d["object_id"] for d in client.results(job["job_id"])["detections"]] == ["c0", "c2", "c4"]
    again = client.post(f"/corrections/{first}/revert")
    assert (again.status_code, error_of(again)["code"]) == (409, "INVALID_STATE")
    listed = data_of(client.get(f"/corrections?job_id={job['job_id']}"))
    assert [(c["count_before"], c["count_after"], c["reverted_at"] is None) for c in listed] == [
        (3, 2, True),
        (4, 3, False),
    ]


def test_reverting_everything_is_the_models_count_again(client: Client, job: dict[str, Any]) -> None:
    before = client.results(job["job_id"])
    ids = [
        data_of(correct(client, job, 1, count=9))["correction_id"],
        data_of(correct(client, job, 2, edits=[{"op": "remove", "object_id": "c0"}]))["correction_id"],
    ]
    for correction_id in ids:
        client.post(f"/corrections/{correction_id}/revert")
    after = client.results(job["job_id"])
    changing = {"version", "timings_s"}
    assert {k: v for k, v in after.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }


def test_a_repeated_correction_is_done_once(client: Client, job: dict[str, Any]) -> None:
    body = {"job_id": job["job_id"], "file_id": job["images"][0]["file_id"], "version": 1, "count": 8}
    answers = [client.post("/correct", body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert data_of(answers[0]) == data_of(answers[1])
    conflict = client.post("/correct", body | {"count": 9}, headers={"Idempotency-Key": "k"})
    assert error_of(conflict)["code"] == "IDEMPOTENCY_CONFLICT"
    client.http.delete(f"/api/jobs/{job['job_id']}")
    again = client.post("/correct", body, headers={"Idempotency-Key": "k"})
    assert data_of(again) == data_of(answers[0]), "whatever became of the job"


def test_a_picture_of_an_older_count_is_never_served(client: Client, job: dict[str, Any]) -> None:
    url = job["images"][0]["urls"]["annotated"]
    correct(client, job, 1, edits=[{"op": "remove", "object_id": "c0"}])
    answer = client.http.get(url)
    assert (answer.status_code, error_of(answer)["code"]) == (404, "RESULTS_NOT_READY")


def test_a_live_job_can_be_cancelled_once(client: Client) -> None:
    job_id = client.accepted(THREE)["job_id"]
    assert error_of(client.http.delete(f"/api/jobs/{job_id}"))["code"] == "INVALID_STATE"
    assert error_of(client.post(f"/jobs/{job_id}/retry"))["code"] == "INVALID_STATE"
    job = data_of(client.post(f"/jobs/{job_id}/cancel"))
    assert (job["status"], job["images"][0]["status"]) == ("cancelled", "cancelled")
    assert error_of(client.post(f"/jobs/{job_id}/cancel"))["code"] == "INVALID_STATE"
    assert error_of(client.get(f"/jobs/{job_id}/results"))["code"] == "RESULTS_NOT_READY"


def test_a_retry_is_a_new_job_over_what_did_not_complete(client: Client, job: dict[str, Any]) -> None:
    assert error_of(client.post(f"/jobs/{job['job_id']}/retry"))["code"] == "INVALID_STATE"
    old = client.accepted(THREE, MIXED)["job_id"]
    client.post(f"/jobs/{old}/cancel")
    answer = client.post(f"/jobs/{old}/retry")
    assert answer.status_code == 202
    client.work()
    new = data_of(client.get(f"/jobs/{data_of(answer)['job_id']}"))
    assert (new["status"], new["count"], new["retry_of"]) == ("completed", 8, old)


def test_a_deleted_job_and_its_results_are_gone(client: Client, job: dict[str, Any]) -> None:
    assert data_of(client.http.delete(f"/api/jobs/{job['job_id']}"))["deleted"] is True
    assert error_of(client.get(f"/jobs/{job['job_id']}"))["code"] == "JOB_NOT_FOUND"
    with client.workplace.app.app_context():
        left = [key for folder in ("candidates", "pictures") for key in storage().keys(folder)]
    assert left == []


def test_types_are_seeded_once_listed_added_and_changed(client: Client) -> None:
    with client.workplace.app.app_context():
        n = seed_defaults()
        assert (n > 10, seed_defaults()) == (True, 0)
    listed = data_of(client.get("/types?page_size=1000"))
    assert len(listed) == n
    assert "coin" in [t["name"] for t in listed]
    answer = client.post("/types", {"name": "my washer", "min_area_px": 10})
    assert answer.status_code == 201
    assert error_of(client.post("/types", {"name": "my washer"}))["code"] == "TYPE_EXISTS"
    type_id = data_of(answer)["type_id"]
    changed = data_of(client.http.patch(f"/api/types/{type_id}", json={"colour": "#00ff00"}))
    assert (changed["name"], changed["colour"], changed["min_area_px"]) == ("my washer", "#00ff00", 10)
    wrong = client.http.patch(f"/api/types/{type_id}", json={"max_area_px": 5})
    assert error_of(wrong)["field"] == "min_area_px"
    assert (
        error_of(client.http.patch(f"/api/types/{type_id}", json={"name": "coin"}))["code"] == "TYPE_EXISTS"
    )


def test_a_types_size_limits_decide_a_recount(client: Client, job: dict[str, Any]) -> None:
    client.post("/types", {"name": "coin", "min_area_px": 10_000})
    answer = data_of(client.post(f"/jobs/{job['job_id']}/recount", {"config": {}, "dry_run": True}))
    assert (answer["count"], set(answer["images"][0]["rejected"].values())) == (0, {"too_small"})
