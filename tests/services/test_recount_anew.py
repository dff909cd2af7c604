"""A recount with another type or other rules: what a new job counts, by no engine and no network."""

from __future__ import annotations

from threading import Thread
from typing import Any

import pytest

from app.results import anew, recounting, service
from app.storage import StorageError, storage
from pipeline import labels, run
from tests.doubles.painted import Disc, painted_png, row_of_discs
from tests.drawn import CENTRES, discs, encoded, ground
from tests.services.client import Client, data_of, error_of

SIZES = painted_png([*row_of_discs(3), Disc(20, 70, radius=3), Disc(60, 70, radius=3)])
DRAWN = encoded(discs(discs(ground(), CENTRES[:4], 24), CENTRES[4:5], 8))
RULES = "reject(C, small) :- area(C, A), median_area(M), 2 * A < M."
NAMES = 'relabel(C, "small one") :- area(C, A), median_area(M), 2 * A < M.'


def with_rules(rules: str, **more: Any) -> dict[str, Any]:
    return {"config": {"symbolic_reasoning": {"enabled": True, "rules": rules}}} | more


def recounted(client: Client, job: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = data_of(client.post(f"/jobs/{job['job_id']}/recount", body))
    return found


def told(client: Client, job: dict[str, Any]) -> list[Any]:
    """Return what a job says of its count, and why it did not count the rest."""
    results = data_of(client.get(f"/jobs/{job['job_id']}/results?rejected=true"))
    keys = ("count", "count_interval", "by_type", "detections", "rejected")
    return [results["type"], *({key: image[key] for key in keys} for image in results["images"])]


def stored(client: Client, job: dict[str, Any]) -> set[str]:
    with client.workplace.app.app_context():
        return set(storage().keys(f"candidates/{job['job_id']}"))


@pytest.fixture
def washers(client: Client) -> Client:
    """A type whose limits tell it from coins."""
    data_of(client.post("/types", {"name": "washer", "synonyms": ["shim"], "min_area_px": 100}))
    return client


def test_a_recount_as_another_type_is_the_count_of_a_new_job(washers: Client) -> None:
    job, new = washers.counted(SIZES, SIZES), washers.counted(SIZES, SIZES, type="washer")
    assert (job["count"], new["count"]) == (10, 6)
    preview = recounted(washers, job, {"type": "washer", "dry_run": True})
    assert (preview["count"], told(washers, job)[0]) == (6, "coin")
    assert recounted(washers, job, {"type": "washer"})["count"] == 6
    assert told(washers, job) == told(washers, new)
    assert data_of(washers.get("/jobs?type=shim"))[1]["job_id"] == job["job_id"]
    assert len(stored(washers, job)) == 2
    assert recounted(washers, job, {"config": {"confidence_threshold": 0.2}})["count"] == 6
    assert recounted(washers, job, {"type": "coins"})["count"] == 10


def test_what_a_person_added_is_what_is_asked_for_also_when_that_changes(client: Client) -> None:
    job = client.counted(SIZES)
    edits = [{"op": "add", "box": [120, 90, 16, 16]}, {"op": "add", "box": [90, 90, 16, 16], "label": "bolt"}]
    body = {"job_id": job["job_id"], "file_id": job["images"][0]["file_id"], "version": 1, "edits": edits}
    data_of(client.post("/correct", body))
    assert client.results(job["job_id"])["by_type"] == {"coin": 6, "bolt": 1}
    recounted(client, job, {"type": "nut"})
    assert client.results(job["job_id"])["by_type"] == {"nut": 6, "bolt": 1}


@pytest.mark.parametrize("where", ["file_id", "from_corrections"])
def test_another_type_is_for_all_images(client: Client, where: str) -> None:
    job = client.counted(SIZES)
    value = job["images"][0]["file_id"] if where == "file_id" else True
    error = error_of(client.post(f"/jobs/{job['job_id']}/recount", {"type": "nut", where: value}))
    assert (error["code"], error["field"]) == ("INVALID_REQUEST", "type")
    assert "want it without file_id" in error["message"]


@pytest.mark.parametrize("type_name", ["", "a\x00b", "x" * 101])
def test_a_type_that_no_job_can_ask_for_is_refused(client: Client, type_name: str) -> None:
    job = client.counted(SIZES)
    answer = client.post(f"/jobs/{job['job_id']}/recount", {"type": type_name})
    assert (answer.status_code, error_of(answer)["field"]) == (400, "type")


def test_what_open_clip_named_is_not_counted_as_another_type(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = client.counted(SIZES)
    monkeypatch.setattr(labels, "REQUEST", "another part")
    monkeypatch.setattr(labels, "OPEN_CLIP", "request")
    answer = client.post(f"/jobs/{job['job_id']}/recount", {"type": "nut"})
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["field"]) == (400, "INVALID_CONFIG", "type")
    assert "new job" in error["message"]
    assert recounted(client, job, {"type": "coin"})["count"] == 5


@pytest.mark.parametrize("body", [with_rules(RULES), with_rules(NAMES, type="nut"), {"type": "nut"}])
def test_a_recount_of_drawn_things_is_the_count_of_a_new_job(client: Client, body: dict[str, Any]) -> None:
    pytest.importorskip("clingo", reason="rules need the worker extra")

    def counted(type_name: str, config: dict[str, Any]) -> dict[str, Any]:
        job = client.accepted(DRAWN, type=type_name, config={"engine": "classical"} | config)
        client.workplace.drain(run.count_batch)
        return job

    job = counted("coin", {"symbolic_reasoning": {"rules": "typical_size"}})
    new = counted(
        body.get("type", "coin"), body.get("config", {"symbolic_reasoning": {"rules": "typical_size"}})
    )
    assert told(client, job) != told(client, new)
    recounted(client, job, body)
    assert told(client, job) == told(client, new)


@pytest.mark.parametrize(("first", "n"), [({}, 5), (with_rules(RULES), 3)])
def test_rules_that_fit_no_photo_or_not_this_one_are_refused(
    client: Client, first: dict[str, Any], n: int
) -> None:
    pytest.importorskip("clingo", reason="rules need the worker extra")
    job = client.counted(SIZES)
    recounted(client, job, first)
    for rules, message in {
        "no_such_set": "want rules text or one of",
        "reject(C, x).": "unsafe",
        "{ best(C) : candidate(C) } = 1. reject(C, x) :- best(C).": "photo-0.png: ",
    }.items():
        answer = client.post(f"/jobs/{job['job_id']}/recount", with_rules(rules))
        error = error_of(answer)
        assert (answer.status_code, error["code"]) == (400, "INVALID_CONFIG")
        assert error["details"][0]["field"] == "config.symbolic_reasoning.rules"
        assert message in error["details"][0]["message"]
    assert told(client, job)[1]["count"] == n


def test_rules_for_too_many_photos_are_refused_and_change_none(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("clingo", reason="rules need the worker extra")
    job = client.counted(SIZES, painted_png(row_of_discs(3)))
    monkeypatch.setattr(anew, "RULES_S", 0.0)
    error = error_of(client.post(f"/jobs/{job['job_id']}/recount", with_rules(RULES)))
    assert (error["code"], "a new job" in error["message"]) == ("INVALID_CONFIG", True)
    assert data_of(client.get(f"/jobs/{job['job_id']}"))["count"] == 8


def test_without_a_solver_here_other_rules_need_a_new_job(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = client.counted(SIZES)
    monkeypatch.setattr(anew, "has_solver", lambda: False)
    for rules, message in ((RULES, "a new job runs others"), ("no_such_set", "want rules text or one of")):
        error = error_of(client.post(f"/jobs/{job['job_id']}/recount", with_rules(rules)))
        assert message in error["message"]


def test_a_count_that_somebody_changed_meanwhile_keeps_its_candidates(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = client.counted(SIZES)
    before, as_it_was, keep = stored(client, job), told(client, job), recounting.keep_exemplars

    def changed_meanwhile(*args: Any) -> None:
        monkeypatch.setattr(recounting, "keep_exemplars", keep)
        other = Thread(target=recounted, args=(Client(client.workplace), job, {}))  # in a session of its own
        other.start()
        other.join()
        keep(*args)

    monkeypatch.setattr(recounting, "keep_exemplars", changed_meanwhile)
    assert client.post(f"/jobs/{job['job_id']}/recount", {"type": "nut"}).status_code == 409
    assert (stored(client, job), told(client, job)) == (before, as_it_was)


def test_results_that_are_recounted_while_they_are_read_are_read_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, read = client.counted(SIZES, SIZES), service.corrections_of_images

    def recounted_meanwhile(*args: Any) -> Any:
        monkeypatch.setattr(service, "corrections_of_images", read)
        other = Thread(target=recounted, args=(Client(client.workplace), job, {"type": "nut"}))
        other.start()
        other.join()
        return read(*args)

    monkeypatch.setattr(service, "corrections_of_images", recounted_meanwhile)
    assert told(client, job)[0] == "nut"


def test_a_disk_that_fills_up_changes_no_count_and_keeps_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = client.counted(SIZES, SIZES)
    before, as_it_was = stored(client, job), told(client, job)
    files, n_written = client.workplace.app.extensions["tally_storage"], 0
    put = files.put

    def put_one(*args: Any) -> None:
        nonlocal n_written
        n_written += 1
        if n_written > 1:
            raise StorageError("no space left on device")
        put(*args)

    monkeypatch.setattr(files, "put", put_one)
    assert client.post(f"/jobs/{job['job_id']}/recount", {"type": "nut"}).status_code == 500
    assert (n_written, stored(client, job), told(client, job)) == (2, before, as_it_was)
