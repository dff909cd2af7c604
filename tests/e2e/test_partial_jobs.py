"""A job of which only some photos were counted says so, wherever its number is shown."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.conftest import Product, Visit
from tests.e2e.photos import discs, large_coins
from tests.e2e.test_counting import upload


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
