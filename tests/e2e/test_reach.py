"""What a thumb and a keyboard reach: the page under the photo, the next photo, the number tried out."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, CDPSession, Locator, expect

from tests.e2e.conftest import PHONE, Product, Visit, visiting
from tests.e2e.photos import discs, two_kinds
from tests.e2e.test_counting import count_of, upload
from tests.e2e.test_exemplars import N_LARGE, N_SMALL
from tests.e2e.test_groups import row_of


def drag_fingers(touch: CDPSession, *paths: list[tuple[float, float]]) -> None:
    """Put fingers down, lead each along its points, and lift them."""
    for step, places in enumerate(zip(*paths, strict=True)):
        points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(places)]
        kind = "touchMove" if step else "touchStart"
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def middle_of(stage: Locator) -> tuple[float, float]:
    box = stage.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_thumb_on_the_whole_photo_moves_the_page(
    browser: Browser, product: Product, tmp_path: Path
) -> None:
    with visiting(browser, product, viewport=PHONE, has_touch=True) as visit:
        page = visit.page
        upload(page, visit.url, discs(tmp_path, 5), type_name="disc")
        count_of(page)
        stage, photo = page.get_by_test_id("stage"), page.get_by_test_id("photo")
        stage.scroll_into_view_if_needed()
        touch = page.context.new_cdp_session(page)
        x, y = middle_of(stage)
        before = page.evaluate("scrollY")
        drag_fingers(touch, [(x, y - 20 * step) for step in range(8)])
        page.wait_for_function(f"scrollY > {before} + 50")

        x, y = middle_of(stage)
        width = photo.bounding_box()["width"]  # type: ignore[index]
        away = [20 + 12 * step for step in range(8)]
        drag_fingers(touch, [(x, y - d) for d in away], [(x, y + d / 2) for d in away])
        in_view = "document.querySelector('[data-testid=photo]').getBoundingClientRect().width"
        page.wait_for_function(f"{in_view} > {2 * width}")
        before = page.evaluate("scrollY")
        drag_fingers(touch, [(x, y - 10 * step) for step in range(8)])
        page.wait_for_timeout(50)
        assert page.evaluate("scrollY") == before


def test_a_job_that_needs_review_is_readable_in_the_list_on_a_phone(
    browser: Browser, product: Product, tmp_path: Path
) -> None:
    with visiting(browser, product, viewport=PHONE) as visit:
        page = visit.page
        upload(page, visit.url, two_kinds(tmp_path), type_name="disc or not")
        count_of(page)
        page.goto(f"{visit.url}/jobs?type=disc+or+not")
        row = page.get_by_role("link", name="disc or not")
        expect(row).to_contain_text("needs review")
        assert row.bounding_box()["height"] < 150  # type: ignore[index]


def test_the_keyboard_stays_where_it_works(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    upload(page, visit.url, two_kinds(tmp_path), discs(tmp_path, 4), type_name="disc")
    expect(page.get_by_test_id("job-count")).to_contain_text("19", timeout=60_000)
    stage = page.get_by_test_id("stage")
    stage.focus()
    page.keyboard.press("Space")
    expect(stage).to_have_attribute("aria-label", re.compile("4 objects"))
    expect(stage).to_be_focused()
    page.keyboard.press("Space")
    count_of(page)
    row_of(page, N_SMALL).get_by_role("checkbox").uncheck()
    ask = page.get_by_role("button", name="What changes in the others?")
    ask.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Preview")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Apply to this photo")).to_be_focused()
    page.keyboard.press("Enter")
    expect(stage).to_be_focused()


def test_who_clicked_beside_everything_is_not_taken_back(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    upload(page, visit.url, two_kinds(tmp_path), type_name="disc")
    count_of(page)
    preview, box = page.get_by_role("region", name="Preview"), row_of(page, N_SMALL).get_by_role("checkbox")
    for is_left in (False, True):
        box.uncheck()
        preview.get_by_role("button", name="Discard").focus()
        if is_left:
            page.evaluate("scrollTo(0, 0)")
            page.mouse.click(640, 20)  # the empty middle of the header
        page.keyboard.press("Control+z")
        expect(preview).to_have_count(0)
        page.wait_for_timeout(50)
        focused = page.evaluate("document.activeElement.dataset.testid ?? document.activeElement.tagName")
        assert focused == ("BODY" if is_left else "stage")


def test_what_was_not_counted_is_told_to_the_keyboard(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    upload(page, visit.url, two_kinds(tmp_path), type_name="disc")
    count_of(page)
    row_of(page, N_SMALL).get_by_role("checkbox").uncheck()
    expect(page.get_by_test_id("count")).to_have_text(str(N_LARGE))
    page.keyboard.press("Escape")
    page.get_by_test_id("stage").focus()
    page.keyboard.press("r")
    page.keyboard.press(",")
    expect(page.get_by_role("heading", name="Not counted: ")).to_be_visible()


def test_the_number_tried_out_is_in_view_where_it_is_changed(
    browser: Browser, product: Product, tmp_path: Path
) -> None:
    with visiting(browser, product, viewport={"width": 1280, "height": 720}) as visit:
        page = visit.page
        upload(page, visit.url, two_kinds(tmp_path), type_name="disc")
        count_of(page)
        row_of(page, N_SMALL).get_by_role("checkbox").uncheck()
        brief = page.get_by_role("region", name="Preview").get_by_text("preview; saved: 15")
        expect(page.get_by_role("region", name="Preview")).to_contain_text(f"{N_LARGE} preview")
        page.get_by_text("Count again with other settings").click()
        page.get_by_role("slider").last.scroll_into_view_if_needed()
        page.mouse.wheel(0, 300)
        page.wait_for_timeout(100)
        expect(brief).to_be_in_viewport()
