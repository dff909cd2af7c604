"""What people change is told alike at once and later, and two changes at once both stay."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.results import recounting
from tests.doubles.painted import Disc, painted_png, row_of_discs
from tests.services.client import Client, data_of
from tests.services.test_results import correct

UNLIKE = (3, 7, 11, 15)
"""Of twenty discs, those that look otherwise: it is open whether they are meant."""

ADD, ADD_C0 = ({"op": "add", "point": point} for point in ([20, 70], [20, 20]))


def remove(object_id: str) -> dict[str, Any]:
    return {"op": "remove", "object_id": object_id}


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


def test_groups_chosen_in_two_photos_at_once_both_stay_with_the_job(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    discs = [*row_of_discs(6), Disc(30, 95, kind=1), Disc(60, 95, kind=1)]
    job = client.counted(painted_png(discs), painted_png(discs, shade=1))
    one, other = (image["file_id"] for image in job["images"])
    (odd,) = (group["id"] for group in client.results(job["job_id"])["groups"] if group["count"] == 2)

    def leave_out(file_id: str) -> None:
        config = {"groups": [{"id": odd, "file_id": file_id, "counted": False}]}
        data_of(client.post(f"/jobs/{job['job_id']}/recount", {"file_id": file_id, "config": config}))

    def meanwhile(*_: Any) -> None:
        monkeypatch.undo()
        with ThreadPoolExecutor(1) as somebody:  # with a session of its own
            somebody.submit(leave_out, other).result()

    monkeypatch.setattr(recounting, "keep_exemplars", meanwhile)
    leave_out(one)
    kept = data_of(client.get(f"/jobs/{job['job_id']}"))["config"]["groups"]
    assert {choice["file_id"] for choice in kept} == {one, other}


@pytest.mark.parametrize(
    ("number", "edits", "reverted", "then"),
    [
        (10, [ADD, remove("c3")], 0, 10),  # nothing is left to remove
        (10, [remove("c0"), ADD_C0], 0, 10),  # it is counted: nothing is left to add
        (10, [ADD, remove("c3"), remove("c1")], 0, 9),
        (10, [remove("c0"), remove("c1")], 0, 9),
        (1, [remove("c0"), remove("c1")], 0, 0),
    ],
)
def test_a_number_after_a_revert_is_as_if_what_was_reverted_had_never_been(
    client: Client, number: int, edits: list[dict[str, Any]], reverted: int, then: int
) -> None:
    job = client.counted(painted_png([*row_of_discs(3), Disc(20, 70, quality=0.1)]))
    correct(client, job, 1, count=number)
    made = [data_of(correct(client, job, 2 + i, edits=[edit])) for i, edit in enumerate(edits)]
    left = data_of(client.post(f"/corrections/{made[reverted]['correction_id']}/revert"))
    assert (left["count"], client.results(job["job_id"])["count"]) == (then, then)
    again = data_of(client.post(f"/jobs/{job['job_id']}/recount", {"config": {"min_area_px": 5000}}))
    assert again["count"] == then, "other settings leave a person's number as it is"
    listed = data_of(client.get(f"/corrections?job_id={job['job_id']}"))
    assert all(min(one["count_before"], one["count_after"]) >= 0 for one in listed)


def listed_types(client: Client, job: dict[str, Any]) -> Any:
    return data_of(client.get(f"/jobs/{job['job_id']}"))["images"][0]["by_type"]


def test_the_job_lists_what_is_counted_by_name_as_the_results_do(client: Client) -> None:
    job = client.counted(painted_png(row_of_discs(4)))
    assert listed_types(client, job) == {"coin": 4}
    nut = {"op": "relabel", "object_id": "c1", "label": "nut"}
    made = data_of(correct(client, job, 1, edits=[{"op": "remove", "object_id": "c0"}, nut]))
    assert listed_types(client, job) == client.results(job["job_id"])["by_type"] == {"coin": 2, "nut": 1}
    correct(client, job, 2, count=9)
    assert listed_types(client, job) == {"coin": 2, "nut": 1}, "a bare number names nothing"
    client.post(f"/corrections/{made['correction_id']}/revert")
    assert listed_types(client, job) == {"coin": 4}


def test_what_is_not_counted_yet_has_no_names(client: Client) -> None:
    job = client.accepted(painted_png(row_of_discs(3)))
    assert listed_types(client, job) is None
