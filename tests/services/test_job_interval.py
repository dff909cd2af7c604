"""The interval of a job's total: lows and highs of its images added up, the same through every door."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.contract import CountRequest, ErrorCode, PipelineError
from pipeline.run import ImageOutcome
from tests.doubles import painted
from tests.services.client import Client, data_of
from tests.services.test_results import MIXED, THREE, correct


def told(client: Client, job_id: str) -> list[list[int] | None]:
    """Return the interval as the job, the list of jobs, the status and, with a count, the results tell it."""
    job = data_of(client.get(f"/jobs/{job_id}"))
    (listed,) = (one for one in data_of(client.get("/jobs")) if one["job_id"] == job_id)
    doors = [job, listed, data_of(client.get(f"/jobs/{job_id}/status"))["summary"]]
    if job["status"] == "completed":
        doors.append(data_of(client.get(f"/jobs/{job_id}/results")))
    return [one["count_interval"] for one in doors]


def of_images(client: Client, job_id: str) -> list[list[int]]:
    images = data_of(client.get(f"/jobs/{job_id}"))["images"]
    return [image["count_interval"] for image in images if image["count_interval"]]


def test_lows_and_highs_are_added_up(client: Client) -> None:
    job_id = client.counted(THREE, MIXED, MIXED, config={"confidence_threshold": 0.5})["job_id"]
    three, mixed, again = of_images(client, job_id)
    assert mixed == again
    assert mixed[0] < 4 < mixed[1], "what is in doubt in both adds up, counted or not"
    assert told(client, job_id) == [[three[0] + 2 * mixed[0], three[1] + 2 * mixed[1]]] * 4


def test_nothing_is_said_of_how_sure_no_count_is(client: Client) -> None:
    job_id = client.accepted(THREE, MIXED)["job_id"]
    assert told(client, job_id) == [None] * 3
    client.post(f"/jobs/{job_id}/cancel")
    assert told(client, job_id) == [None] * 3


def test_images_that_failed_have_no_part_in_it(client: Client) -> None:
    job_id = client.accepted(MIXED, THREE, MIXED)["job_id"]

    def fail_last(requests: Sequence[CountRequest], *, on_outcome: Any, **options: Any) -> list[ImageOutcome]:
        error = PipelineError(ErrorCode.CORRUPTED_FILE, "bad")
        on_outcome(ImageOutcome(requests[-1].image_id, error=error))
        return painted.count_batch(requests[:-1], on_outcome=on_outcome, **options)

    client.workplace.drain(fail_last)
    assert data_of(client.get(f"/jobs/{job_id}"))["partial"]
    mixed, three = of_images(client, job_id)
    assert told(client, job_id) == [[mixed[0] + three[0], mixed[1] + three[1]]] * 4


def test_what_people_change_changes_it_at_once_and_a_number_is_exact(client: Client) -> None:
    job = client.counted(MIXED, THREE)
    job_id, (mixed, three) = job["job_id"], of_images(client, job["job_id"])
    job["images"] = job["images"][:1]  # which is corrected
    before = told(client, job_id)
    stated = data_of(correct(client, job, 1, count=40))
    assert told(client, job_id) == [[40 + three[0], 40 + three[1]]] * 4
    client.post(f"/corrections/{stated['correction_id']}/revert")
    assert told(client, job_id) == before
    drawn = {"op": "add", "box": [100, 90, 12, 12]}
    correct(client, job, 3, edits=[drawn])
    assert told(client, job_id) == [[1 + mixed[0] + three[0], 1 + mixed[1] + three[1]]] * 4


def test_a_preview_of_a_recount_tells_it_as_the_recount_then_does(client: Client) -> None:
    job_id = client.counted(MIXED, THREE)["job_id"]
    before = told(client, job_id)
    body = {"config": {"min_area_px": 5000}}
    preview = data_of(client.post(f"/jobs/{job_id}/recount", body | {"dry_run": True}))
    assert told(client, job_id) == before
    assert preview["count_interval_before"] == before[0] != preview["count_interval"]
    client.post(f"/jobs/{job_id}/recount", body)
    assert told(client, job_id) == [preview["count_interval"]] * 4


def test_the_results_of_one_image_tell_its_own(client: Client) -> None:
    job = client.counted(MIXED, THREE)
    name = job["images"][0]["file_id"]
    of_one = data_of(client.get(f"/jobs/{job['job_id']}/results?file_id={name}"))
    assert of_one["count_interval"] == of_one["images"][0]["count_interval"] != job["count_interval"]


def test_nothing_to_learn_changes_no_interval(client: Client) -> None:
    """Where no image is left to recount there is nothing to add up."""
    job = client.counted(MIXED)
    correct(client, job, 1, edits=[{"op": "remove", "object_id": "c0"}])
    body = {"config": {}, "from_corrections": True, "dry_run": True}
    preview = data_of(client.post(f"/jobs/{job['job_id']}/recount", body))
    assert (preview["count_interval"], preview["count_interval_before"]) == (None, None)
