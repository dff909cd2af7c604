"""What is said beside a count: who chose what is in it, whose number it is, and what is not marked."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.photos import coins, discs, empty
from tests.e2e.test_counting import centre_of_object, click_pixel, count_of, upload, wait_until_saved
from tests.e2e.test_exemplars import N_LARGE, N_SMALL, SMALL, counted


def test_words_that_nothing_can_check_are_said_to_be_so_until_something_is_shown(
    visit: Visit, tmp_path: Path
) -> None:
    page, job_id = counted(visit, tmp_path, "unicorn feathers")
    note = page.get_by_test_id("naming")
    expect(note).to_contain_text("nothing here can tell which are “unicorn feathers”")
    page.keyboard.press("l")
    click_pixel(page, *centre_of_object(visit.url, job_id, SMALL))
    expect(page.get_by_test_id("count")).to_have_text(str(N_SMALL))
    expect(note).to_have_count(0)
    page.get_by_role("button", name=f"Apply ({N_SMALL})").click()
    expect(page.get_by_text("Preview;")).to_have_count(0)
    expect(note).to_have_count(0)


def test_every_object_is_what_was_asked_for_where_nothing_was_typed(visit: Visit, tmp_path: Path) -> None:
    page, _ = counted(visit, tmp_path, "")
    expect(page.get_by_test_id("naming")).to_have_count(0)


def test_a_number_that_a_person_gave_is_told_from_what_is_marked(visit: Visit, tmp_path: Path) -> None:
    (page, _), marked = counted(visit, tmp_path), N_LARGE + N_SMALL
    page.get_by_text("I know the number").click()
    page.get_by_label("The right number").fill(str(marked + 7))
    page.get_by_role("button", name="Save", exact=True).first.click()
    expect(page.get_by_test_id("count")).to_have_text(str(marked + 7))
    expect(page.get_by_test_id("unmarked")).to_have_text("7 not marked in the picture")
    expect(page.get_by_test_id("interval")).to_have_count(0)

    page.get_by_text("Count again with other settings").click()
    page.get_by_label("Largest").fill("1")
    expect(page.get_by_text("A person gave this number")).to_be_visible()
    expect(page.get_by_test_id("count")).to_have_text(str(marked + 7))
    expect(page.get_by_test_id("unmarked")).to_have_text(f"{marked + 7} not marked in the picture")
    expect(page.get_by_test_id("interval")).to_have_count(0)


def test_nothing_is_exact_where_somebody_is_asked_to_look(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    upload(page, visit.url, empty(tmp_path), discs(tmp_path, 4), type_name="disc")
    assert count_of(page) == 0
    expect(page.get_by_text("Please check:")).to_be_visible()
    expect(page.get_by_test_id("interval")).to_have_count(0)
    expect(page.get_by_role("row", name="empty.png")).not_to_contain_text("exactly")


def test_a_total_and_the_list_of_jobs_say_that_a_count_asks_for_a_look(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    job_id = upload(page, visit.url, empty(tmp_path), discs(tmp_path, 4), type_name="disc")
    expect(page.get_by_test_id("job-count")).to_contain_text("in all photos 1 photo needs review")
    expect(page.get_by_role("row", name="In all photos")).to_contain_text("1 photo needs review")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    table = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert [line.split(",")[:2] for line in table[1:]] == [["empty.png", "0"], ["discs-4.png", "4"]]
    page.goto(f"{visit.url}/jobs")
    row = page.locator(f"a[href='/jobs/{job_id}']")
    expect(row).to_contain_text("needs review")
    row.click()
    page.get_by_text("I know the number").click()
    page.get_by_label("The right number").fill("0")
    page.get_by_role("button", name="Save", exact=True).first.click()
    expect(page.get_by_test_id("job-count")).not_to_contain_text("needs review")


def test_a_total_and_the_list_of_jobs_say_how_sure_a_count_is(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    job_id = upload(page, visit.url, coins(tmp_path), discs(tmp_path, 4))
    total, foot = page.get_by_test_id("job-interval"), page.get_by_role("row", name="In all photos")
    expect(total).to_be_visible(timeout=60_000)
    first, second = intervals(visit.url, job_id)
    assert first[0] < first[1], "the photo has to leave a doubt"
    sure = f"{first[0] + second[0]}–{first[1] + second[1]}"
    expect(total).to_have_text(f"{sure} with 90 % certainty")
    expect(foot).to_contain_text(sure)
    page.goto(f"{visit.url}/jobs")
    row = page.locator(f"a[href='/jobs/{job_id}']")
    expect(row).to_contain_text(f"{sure} with 90 % certainty")
    row.click()

    page.get_by_text("Count again with other settings").click()
    page.get_by_label("Largest").fill("45")
    page.get_by_role("button", name="What changes in the others?").click()
    expect(page.get_by_text(re.compile("^Then [0-9]+–[0-9]+ with 90 % certainty$"))).to_be_visible()
    page.get_by_role("button", name="Discard").click()

    for photo, words in (
        ("coins.png", "certainty$"),
        ("discs-4.png", "certainty, as the machine sees the rest$"),
    ):
        expect(total).to_have_text(re.compile(words))
        page.get_by_role("button", name=photo, exact=True).first.click()
        page.get_by_text("I know the number").click()
        page.get_by_label("The right number").fill("9")
        page.get_by_role("button", name="Save", exact=True).first.click()
        expect(page.get_by_test_id("count")).to_have_text("9")
    expect(page.get_by_test_id("job-count")).to_contain_text("18")
    expect(total).to_have_count(0)
    expect(foot).to_contain_text("exactly 18")


def intervals(url: str, job_id: str) -> list[list[int]]:
    """Return those of a job's photos, once all are counted."""
    with urllib.request.urlopen(f"{url}/api/v1/jobs/{job_id}") as answer:
        return [image["count_interval"] for image in json.load(answer)["data"]["images"]]


def test_facts_are_of_what_is_counted_after_a_correction(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    job_id = upload(page, visit.url, discs(tmp_path, 4), type_name="disc")
    assert count_of(page) == 4
    covered = page.get_by_text(re.compile("% of the photo$")).first
    before = covered.inner_text()
    page.keyboard.press("d")
    click_pixel(page, *centre_of_object(visit.url, job_id, number=1))
    wait_until_saved(page, 3)
    expect(covered).not_to_have_text(before)
