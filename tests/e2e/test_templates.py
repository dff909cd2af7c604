"""Examples and settings saved under a name, and used for other photos."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Visit
from tests.e2e.photos import two_kinds
from tests.e2e.test_counting import centre_of_object, click_pixel, count_of, upload, wait_until_saved
from tests.e2e.test_exemplars import N_LARGE, N_SMALL, SMALL, config_of, counted
from tests.e2e.test_groups import row_of


def save_template(page: Page, name: str) -> None:
    """Save what is tried out in the job in view."""
    page.get_by_text("Save as a template").click()
    page.get_by_label("Name of the template").fill(name)
    page.get_by_role("button", name="Save", exact=True).click()


def show_small_discs(visit: Visit, folder: Path) -> str:
    """Count a photo of two kinds, show that the small ones are meant, and return the job's id."""
    page = visit.page
    job_id = upload(page, visit.url, two_kinds(folder), type_name="disc")
    assert count_of(page) == N_LARGE + N_SMALL
    page.keyboard.press("l")
    click_pixel(page, *centre_of_object(visit.url, job_id, SMALL))
    expect(page.get_by_test_id("count")).to_have_text(str(N_SMALL))
    return job_id


def test_what_a_template_will_keep_is_told_before_it_is_saved(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    show_small_discs(visit, tmp_path)
    page.get_by_text("Save as a template").click()
    expect(page.get_by_text("Keeps “disc”, 1 like this, and the settings below.")).to_be_visible()
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_text("but no example: none is shown yet.")).to_be_visible()


def test_a_template_counts_other_photos_from_the_first_page(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    show_small_discs(visit, tmp_path)
    save_template(page, "small red discs")
    expect(page.get_by_text("Saved as “small red discs”")).to_be_visible()
    save_template(page, "small red discs")
    expect(page.get_by_text("There is a template of this name.")).to_be_visible()
    visit.expected = ("409",)

    page.goto(visit.url)
    other = two_kinds(tmp_path, name="other.png")
    other.write_bytes(other.read_bytes() + b" ")
    page.locator("input[type=file][multiple]").first.set_input_files(str(other))
    page.get_by_label("Template", exact=True).select_option("small red discs")
    expect(page.get_by_label("What should be counted?")).to_have_attribute("placeholder", "disc")
    page.get_by_role("button", name="Count 1 photo").click()
    page.wait_for_url("**/jobs/job_*")
    assert count_of(page) == N_SMALL
    expect(page.get_by_role("heading", level=1)).to_have_text("Count: disc")
    expect(page.get_by_role("list", name="Examples")).to_contain_text("from two-kinds.png")


def test_a_template_is_tried_on_a_counted_job_and_deleted(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    show_small_discs(visit, tmp_path)
    save_template(page, "for one test")
    expect(page.get_by_text("Saved as “for one test”")).to_be_visible()

    job_id = upload(page, visit.url, two_kinds(tmp_path, name="third.png"), type_name="disc")
    assert count_of(page) == N_LARGE + N_SMALL
    page.get_by_label("Template", exact=True).select_option("for one test")
    expect(page.get_by_test_id("count")).to_have_text(str(N_SMALL))
    page.get_by_role("button", name=f"Apply ({N_SMALL})").click()
    expect(page.get_by_text("Preview;")).to_have_count(0)
    assert config_of(visit.url, job_id)["count_what"] == "exemplars"

    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_label("Count by example").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("option", name="for one test")).to_have_count(0)


def test_a_template_shows_its_settings_and_what_is_shown_is_sent(visit: Visit, tmp_path: Path) -> None:
    page, _ = counted(visit, tmp_path)
    page.get_by_text("Count again with other settings").click()
    page.get_by_label("Sensitivity").fill("30")
    page.get_by_label("Leave out what the edge cuts").check()
    save_template(page, "unsure")
    expect(page.get_by_text("Saved as “unsure”")).to_be_visible()

    page.goto(visit.url)
    page.locator("input[type=file][multiple]").first.set_input_files(str(two_kinds(tmp_path)))
    page.get_by_text("More settings").click()
    page.get_by_label("Template", exact=True).select_option("unsure")
    expect(page.get_by_label("Sensitivity")).to_have_value("30")
    expect(page.get_by_label("Leave out objects cut")).to_be_checked()
    page.get_by_label("Sensitivity").fill("75")
    page.get_by_role("button", name="Count 1 photo").click()
    page.wait_for_url("**/jobs/job_*")
    count_of(page)
    config = config_of(visit.url, page.url.rsplit("/", 1)[1])
    assert config["confidence_threshold"] == 0.25
    assert config["exclude_edge"] is True


def test_leaving_a_template_takes_back_nothing_else(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    job_id = show_small_discs(visit, tmp_path)
    save_template(page, "to be left")
    expect(page.get_by_text("Saved as “to be left”")).to_be_visible()
    page.get_by_role("button", name="Discard").click()
    page.get_by_test_id("stage").scroll_into_view_if_needed()
    page.keyboard.press("d")
    click_pixel(page, *centre_of_object(visit.url, job_id, number=1))
    corrected = N_LARGE + N_SMALL - 1
    wait_until_saved(page, corrected)

    name = row_of(page, N_SMALL).get_by_role("textbox")
    name.fill("red discs")
    name.press("Enter")
    template = page.get_by_label("Template", exact=True)
    template.select_option("to be left")
    expect(page.get_by_test_id("count")).to_have_text(str(N_SMALL))
    template.select_option("None")
    expect(page.get_by_test_id("count")).to_have_text(str(corrected))
    expect(name).to_have_value("red discs")

    undo = page.get_by_role("button", name="Undo", exact=True)
    undo.click()
    expect(page.get_by_test_id("count")).to_have_text(str(N_SMALL))
    expect(template).to_have_value(re.compile("."))
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_test_id("count")).to_have_text(str(corrected))
    undo.click()
    expect(page.get_by_test_id("count")).to_have_text(str(N_SMALL))
    page.get_by_role("button", name="Discard").click()
    page.reload()
    assert count_of(page) == corrected
