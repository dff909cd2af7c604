"""Corrections that cannot be saved as they were made: no other is lost, and the page says what is wrong."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.e2e.conftest import Visit
from tests.e2e.photos import discs
from tests.e2e.test_counting import count_of, upload, wait_until_saved


def correct_elsewhere(url: str, job_id: str, **body: Any) -> None:
    """Correct the job's first photo as somebody else does."""
    with urllib.request.urlopen(f"{url}/api/v1/jobs/{job_id}") as answer:
        image = json.load(answer)["data"]["images"][0]
    sent = {"job_id": job_id, "file_id": image["file_id"], "version": image["version"]} | body
    asked = urllib.request.Request(
        f"{url}/api/v1/correct", json.dumps(sent).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(asked).close()


def remove_next(page: Page) -> None:
    page.keyboard.press(".")
    page.keyboard.press("Delete")


def counts(page: Page) -> list[str]:
    return page.get_by_role("list", name="Photos of this job").locator(".count").all_inner_texts()


def test_an_edit_counts_in_its_own_photo_also_when_it_is_saved_later(visit: Visit, tmp_path: Path) -> None:
    page, waiting = visit.page, list[Route]()
    job_id = upload(page, visit.url, discs(tmp_path, 6), discs(tmp_path, 9))
    expect(page.get_by_test_id("job-count")).to_contain_text("15 in all")
    assert count_of(page) == 6
    page.route("**/correct", lambda route: waiting.append(route))
    page.route(f"**/jobs/{job_id}", lambda route: waiting.append(route))  # to load the job anew would mend it
    with page.expect_request("**/correct"):
        remove_next(page)
        page.keyboard.press("Space")
    expect(page.get_by_test_id("count")).to_have_text("9")
    with page.expect_response("**/correct"):
        waiting[0].continue_()
    expect(page.get_by_test_id("job-count")).to_contain_text("14 in all")
    assert counts(page) == ["5", "9"]


def test_edits_that_cannot_be_saved_after_leaving_a_photo_are_not_forgotten(
    visit: Visit, tmp_path: Path
) -> None:
    page, visit.expected = visit.page, ("ERR_FAILED",)
    upload(page, visit.url, discs(tmp_path, 6), discs(tmp_path, 9))
    expect(page.get_by_test_id("job-count")).to_contain_text("15 in all")
    assert count_of(page) == 6
    page.route("**/correct", lambda route: route.abort())
    remove_next(page)
    page.keyboard.press("Space")
    lost = page.get_by_role("alert")
    expect(lost).to_contain_text("The server cannot be reached")
    expect(page.get_by_text("discs-6.png: not saved")).to_be_visible()
    page.unroute("**/correct")
    lost.get_by_role("button", name="Try again").click()
    expect(lost).to_have_count(0)
    expect(page.get_by_test_id("job-count")).to_contain_text("14 in all")


def test_an_edit_that_is_refused_is_named_and_the_others_are_saved(visit: Visit, tmp_path: Path) -> None:
    page, visit.expected = visit.page, ("409", "400")
    job_id = upload(page, visit.url, discs(tmp_path, 6))
    assert count_of(page) == 6
    correct_elsewhere(visit.url, job_id, edits=[{"op": "remove", "object_id": "c0"}])
    for _ in range(6):
        remove_next(page)
    expect(page.get_by_role("alert")).to_contain_text(
        "Not saved: removing c0 (want the id of a counted object"
    )
    wait_until_saved(page, 0)


def test_a_preview_is_not_applied_over_what_somebody_changed_since(visit: Visit, tmp_path: Path) -> None:
    page, visit.expected = visit.page, ("409",)
    job_id = upload(page, visit.url, discs(tmp_path, 6))
    assert count_of(page) == 6
    page.get_by_text("Count again with other settings").click()
    page.get_by_label("Leave out what the edge cuts").check()
    apply = page.get_by_role("button", name="Apply (6)")
    expect(apply).to_be_enabled()
    correct_elsewhere(visit.url, job_id, count=40)
    apply.click()
    expect(page.get_by_role("alert")).to_contain_text("Somebody changed these counts meanwhile")
    page.get_by_role("button", name="Apply (40)").click()
    expect(page.get_by_text("Preview;")).to_have_count(0)
    expect(page.get_by_test_id("count")).to_have_text("40")
