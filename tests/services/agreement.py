"""Everything that Tally tells of a job at one moment, and that it says the same everywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import select

from app.extensions import db
from app.jobs.models import JobImage
from app.results.models import Instance
from app.results.recount import stored_candidates
from tests.services.client import Client, data_of, error_of

Data = dict[str, Any]

OF_A_VERSION = ("version", "timings_s", "urls")
"""What differs between two equal results."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the database has of one image."""

    columns: Data
    instances: list[tuple[str, int]]
    n_candidates: int


def told(client: Client, job_id: str) -> Data:
    """Return a job's counted images by id, as the results and the job tell of them."""
    answer = client.get(f"/jobs/{job_id}/results?rejected=true")
    if answer.status_code == 404:
        assert error_of(answer)["code"] == "RESULTS_NOT_READY"
        return {}
    of_job = {image["file_id"]: image for image in data_of(client.get(f"/jobs/{job_id}"))["images"]}
    images = data_of(answer)["images"]
    found = [one for image in images for one in image["detections"]]
    classes = {(one["class_name"], one.pop("class_id")) for one in found}  # ids hold within an answer
    assert len(classes) == len({name for name, _ in classes}) == len({i for _, i in classes})
    return {one["file_id"]: one | {"job": of_job[one["file_id"]]} for one in images}


def agreed(client: Client, job_id: str) -> Data:
    """Return what is ``told`` of a job, once all that is told of it anywhere agrees."""
    images, job = told(client, job_id), data_of(client.get(f"/jobs/{job_id}"))
    status = data_of(client.get(f"/jobs/{job_id}/status"))
    listed = data_of(client.get("/jobs?page_size=100"))
    (listed,) = (one for one in listed if one["job_id"] == job_id)
    done = [image for image in job["images"] if image["status"] in ("completed", "failed")]
    counted = [image for image in job["images"] if image["status"] == "completed"]
    assert list(images) == [image["file_id"] for image in counted]
    assert {one["status"] for one in (job, status, listed)} == {job["status"]}
    n_images = len(job["images"])
    assert job["total_images"] == listed["total_images"] == status["progress"]["total_images"] == n_images
    assert job["processed_images"] == listed["processed_images"] == len(done)
    assert status["progress"]["processed_images"] == len(done)
    n = sum(image["count"] for image in counted)
    assert (job["count"], listed["count"], status["summary"]["total_detections"]) == (n, n, n)
    sure = added_up(counted)
    assert [one["count_interval"] for one in (job, listed, status["summary"])] == [sure] * 3
    assert sure is None or sure[0] <= n <= sure[1]
    in_doubt = any(image["needs_review"] for image in job["images"])
    assert (job["needs_review"], listed["needs_review"]) == (in_doubt, in_doubt)
    assert all(image["count"] is None for image in job["images"] if image not in counted)
    if counted:
        _check_counted(client, job_id, images, n, sure)
    scores = [found["confidence"] for image in images.values() for found in image["detections"]]
    said = status["summary"]["average_confidence"]
    assert (said is None) == (not scores)
    assert said is None or abs(said - np.mean(scores)) < 2e-4
    return images


def added_up(images: Sequence[Data], key: str = "count_interval") -> list[int] | None:
    """Return what the interval of a total has to be; None of no image."""
    return [sum(image[key][end] for image in images) for end in (0, 1)] if images else None


def _check_counted(client: Client, job_id: str, images: Data, n: int, sure: list[int] | None) -> None:
    results = data_of(client.get(f"/jobs/{job_id}/results"))
    assert (results["count"], results["count_interval"]) == (n, sure)
    shown = data_of(client.get(f"/jobs/{job_id}/visualization"))["images"]
    assert [(one["file_id"], one["detection_count"]) for one in shown] == [
        (name, image["count"]) for name, image in images.items()
    ]
    corrections = data_of(client.get(f"/corrections?job_id={job_id}&page_size=100"))
    corrected = {one["file_id"] for one in corrections if one["reverted_at"] is None}
    rows = _rows(client, job_id)
    for name, image in images.items():
        _check_image(image["job"], image, rows[name])
        assert image["count_source"] == ("human" if name in corrected else "model")


def _check_image(image: Data, result: Data, row: Row) -> None:
    objects, count = result["detections"], result["count"]
    n, names = len(objects), [found["object_id"] for found in objects]
    same = ("count", "count_interval", "count_source", "stats", "version", "needs_review", "review_reason")
    assert {key: image[key] for key in same} == {key: result[key] for key in same}
    assert row.columns["count"] == n
    assert count == (n if row.columns["human_count"] is None else row.columns["human_count"])
    assert row.instances == [(name, i) for i, name in enumerate(names, start=1)]
    assert [found["number"] for found in objects] == list(range(1, n + 1))
    assert len(set(names)) == n
    low, high = result["count_interval"]
    assert 0 <= low <= count <= high
    assert row.columns["count_low"] <= n <= row.columns["count_high"]
    assert result["by_type"] == Counter(found["class_name"] for found in objects)
    assert result["needs_review"] == (result["review_reason"] is not None)
    assert not (result["needs_review"] and result["count_source"] == "human")
    _check_rejected(result, names, row.n_candidates)
    _check_groups(result)
    _check_stats(result)
    if result["count_source"] == "model":
        assert result["model_count"] == n
    else:
        assert result["density_estimate"] is None


def _check_rejected(result: Data, names: list[str], n_candidates: int) -> None:
    rejected = [one["object_id"] for one in result["rejected"]]
    assert not set(rejected) & set(names), "counted and rejected at once"
    known = sorted([*rejected, *(name for name in names if name.startswith("c"))])
    assert known == sorted(f"c{i}" for i in range(n_candidates))
    assert all(one["reason"] for one in result["rejected"])


def _check_groups(result: Data) -> None:
    groups = {group["id"]: group for group in result["groups"]}
    assert len(groups) == len(result["groups"])
    shown = [found for found in result["detections"] if found["group"] is not None]
    left_out = [one for one in result["rejected"] if one["group"] is not None and one["reason"] != "human"]
    members, kept_out = (Counter(one["group"] for one in some) for some in (shown, left_out))
    assert set(members) | set(kept_out) == set(groups)
    for i, group in groups.items():
        assert (group["count"], group["left_out"]) == (members[i], kept_out[i]), group
        assert group["counted"] == (group["count"] > 0)
        in_halves = sorted(name for half in group["halves"] or () for name in half["objects"])
        names = sorted(one["object_id"] for one in shown + left_out if one["group"] == i)
        assert group["halves"] is None or in_halves == names, group


def _check_stats(result: Data) -> None:
    stats, n_px = result["stats"], result["width"] * result["height"]
    areas = [found["area"] for found in result["detections"]]
    assert stats["density_per_megapixel"] == round(len(areas) * 1e6 / n_px, 3)
    assert stats["coverage_percent"] == round(min(100.0, 100.0 * sum(areas) / n_px), 3)
    assert stats["median_area_px"] == (np.median(areas) if areas else 0)


def _rows(client: Client, job_id: str) -> dict[str, Row]:
    with client.workplace.app.app_context():
        images = db.session.scalars(select(JobImage).where(JobImage.job_id == job_id)).all()
        return {image.image_id: _row(image) for image in images if image.status == "completed"}


def _row(image: JobImage) -> Row:
    query = select(Instance).where(Instance.job_image_id == image.id).order_by(Instance.number)
    instances = [(one.object_id, one.number) for one in db.session.scalars(query)]
    columns = {name: getattr(image, name) for name in ("count", "human_count", "count_low", "count_high")}
    return Row(columns, instances, len(stored_candidates(image)))


def unversioned(image: Data) -> Data:
    """Return what is told of an image, but for what each change of it gives anew."""
    return _without(image, *OF_A_VERSION) | {"job": _without(image["job"], *OF_A_VERSION)}


def check_answer(client: Client, job_id: str, answer: Data) -> None:
    """Compare the answer to a correction, or to its revert, with what is told right after."""
    image = client.results(job_id, f"?file_id={answer['file_id']}")
    same = ("version", "count", "count_interval", "count_source", "detections")
    assert {key: answer[key] for key in same} == {key: image[key] for key in same}


def check_recount(answer: Data, images: Data) -> None:
    """Compare the answer to a recount with what is told right after."""
    assert answer["count"] == sum(image["count"] for image in answer["images"])
    for key in ("count_interval", "count_interval_before"):
        assert answer[key] == added_up(answer["images"], key)
    same = (
        "count",
        "count_interval",
        "density_estimate",
        "needs_review",
        "review_reason",
        "version",
        "stats",
    )
    for one in answer["images"]:
        image = images[one["file_id"]]
        assert {key: one[key] for key in same} == {key: image[key] for key in same}
        assert one["groups"] == image["groups"]
        assert one["counted"] == [found["object_id"] for found in image["detections"]]
        assert one["rejected"] == {found["object_id"]: found["reason"] for found in image["rejected"]}
        everything = [*image["detections"], *image["rejected"]]
        grouped = {found["object_id"]: found["group"] for found in everything if found["group"] is not None}
        assert one["group_of"] == grouped


def _without(told: Data, *names: str) -> Data:
    return {key: value for key, value in told.items() if key not in names}
