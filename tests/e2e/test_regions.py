"""Counting in a part of the photo: a region is drawn, shaped, left out, kept for one photo or for all."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.photos import two_kinds
from tests.e2e.test_counting import centre_of_object, count_of, upload
from tests.e2e.test_exemplars import N_LARGE, N_SMALL, config_of, drag

N = N_LARGE + N_SMALL


def test_a_region_is_counted_alone_in_one_photo_or_in_all(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    photos = [two_kinds(tmp_path), two_kinds(tmp_path, name="other.png")]
    photos[1].write_bytes(photos[1].read_bytes() + b" ")  # another file of the same look
    job_id = upload(page, visit.url, *photos, type_name="disc")
    count = page.get_by_test_id("count")
    assert count_of(page) == N
    expect(page.get_by_test_id("job-count")).to_be_visible()
    x, y = centre_of_object(visit.url, job_id, number=1)
    page.get_by_role("button", name="Region", exact=True).click()
    drag(page, (x - 40, y - 40, x + 10, y + 10))
    expect(count).to_have_text("1")
    page.get_by_label("What region 1 is for").select_option("Leave out inside")
    expect(count).to_have_text(str(N - 1))
    page.get_by_label("Shape of region 1").select_option("Round")
    page.get_by_label("What region 1 is for").select_option("Count only inside")
    expect(count).to_have_text("1")

    page.get_by_role("button", name="What changes in the others?").click()
    changes = page.get_by_role("region", name="Preview").get_by_role("row")
    expect(changes.filter(has_text="All")).to_contain_text(str(1 + N))
    page.get_by_label("At the same place in all photos").check()
    page.get_by_role("button", name="What changes in the others?").click()
    expect(changes.filter(has_text="All")).to_contain_text(str(1 + 1))
    page.get_by_role("button", name="Undo", exact=True).click()
    page.get_by_role("button", name="Apply to this photo").click()
    expect(page.get_by_test_id("job-count")).to_contain_text(f"{1 + N} in all photos")
    roi = config_of(visit.url, job_id)["roi"]
    assert isinstance(roi, list)
    assert [one["file_id"] is not None for one in roi] == [True]

    page.reload()
    expect(count).to_have_text("1")
    expect(page.get_by_test_id("regions").locator("polygon.within")).to_have_count(1)
    page.get_by_role("button", name="Remove region 1").press("Enter")
    expect(count).to_have_text(str(N))
    expect(page.get_by_test_id("stage")).to_be_focused()


def test_the_keyboard_draws_a_region(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    upload(page, visit.url, two_kinds(tmp_path), type_name="disc")
    assert count_of(page) == N
    stage = page.get_by_test_id("stage")
    expect(page.get_by_role("button", name="Region", exact=True)).to_be_visible()
    page.keyboard.press("b")
    expect(page.get_by_text("such as a dish without its rim")).to_be_visible()
    stage.focus()
    page.keyboard.press("+")
    page.keyboard.press("Shift+Enter")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_test_id("regions").locator("polygon.within")).to_have_count(1)
    page.keyboard.press("Control+z")
    expect(page.get_by_test_id("regions").locator("polygon.within")).to_have_count(0)
    expect(page.get_by_test_id("count")).to_have_text(str(N))
