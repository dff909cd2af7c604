"""A job of which only some photos were counted says so, wherever its number is shown."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.conftest import Product, Visit
from tests.e2e.photos import discs, large_coins
from tests.e2e.test_counting import count_of, upload


def test_a_cancelled_job_says_of_how_many_photos_its_number_is(
    visit: Visit, product: Product, tmp_path: Path
) -> None:
    page = visit.page
    photos = [discs(tmp_path, 4), *[large_coins(tmp_path, turns) for turns in range(4)]]
    upload(page, visit.url, *photos, type_name="cancelled disc")
    expect(page.get_by_test_id("progress")).to_contain_text(re.compile("[1-4] of 5 photos"), timeout=60_000)
    with product.worker_asleep():
        page.reload()
        page.get_by_role("button", name="Cancel").click()
        total = page.get_by_test_id("job-count")
        expect(total).to_have_text(re.compile(r"^\d+ in [1-4] of 5 photos$"))
        counted = total.inner_text().split(" in ")[1]
        expect(page.get_by_role("row", name=re.compile(f"^In {counted}"))).to_be_visible()
        page.get_by_role("link", name="Jobs", exact=True).click()
        row = page.get_by_role("link", name=re.compile("cancelled disc"))
        expect(row).to_contain_text(counted)


def test_what_a_lost_connection_left_out_comes_when_it_is_back(visit: Visit, tmp_path: Path) -> None:
    page, visit.expected = visit.page, ("Failed to load resource",)
    page.route("**/thumbnail*", lambda route: route.abort())
    upload(page, visit.url, discs(tmp_path, 5), discs(tmp_path, 7), type_name="disc")
    assert count_of(page) == 5
    expect(page.get_by_test_id("job-count")).to_contain_text("12")
    pictures = page.get_by_role("list", name="Photos of this job").locator("img")
    assert pictures.evaluate_all("all => all.map(one => one.naturalWidth)") == [0, 0]
    page.context.set_offline(True)
    page.get_by_role("button", name="discs-7.png", exact=True).click()
    expect(page.get_by_text("The server cannot be reached")).to_be_visible()
    page.unroute("**/thumbnail*")
    page.context.set_offline(False)
    assert count_of(page) == 7
    expect(page.get_by_text("The server cannot be reached")).to_have_count(0)
    page.wait_for_function("[...document.querySelectorAll('main ul img')].every(one => one.naturalWidth)")
