"""Count by example: boxes and points drawn on a photo decide what is counted, in all photos."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import PHONE, Product, Visit, visiting
from tests.e2e.photos import discs, two_kinds
from tests.e2e.test_counting import centre_of_object, click_pixel, count_of, upload

N_LARGE, N_SMALL = 10, 5
LARGE, SMALL = 1, 6
"""Numbers of a large and of a small disc, in reading order."""


def counted(visit: Visit, folder: Path, type_name: str = "disc") -> tuple[Page, str]:
    """Upload the photo of two kinds, and return the page and the job's id once all in it is counted."""
    job_id = upload(visit.page, visit.url, two_kinds(folder), type_name=type_name)
    assert count_of(visit.page) == N_LARGE + N_SMALL
    return visit.page, job_id


def drag(page: Page, corners: tuple[float, float, float, float]) -> None:
    """Drag between two image pixels of the photo in view."""
    photo = page.get_by_test_id("photo")
    photo.scroll_into_view_if_needed()
    box = photo.bounding_box()
    assert box is not None
    scale = box["width"] / photo.evaluate("photo => photo.naturalWidth")
    x1, y1, x2, y2 = corners
    page.mouse.move(box["x"] + x1 * scale, box["y"] + y1 * scale)
    page.mouse.down()
    page.mouse.move(box["x"] + (x1 + x2) / 2 * scale, box["y"] + (y1 + y2) / 2 * scale)
    page.mouse.move(box["x"] + x2 * scale, box["y"] + y2 * scale)
    page.mouse.up()


def around(url: str, job_id: str, number: int, radius: int = 28) -> tuple[float, float, float, float]:
    """Return a box around the middle of a counted object of the first photo."""
    x, y = centre_of_object(url, job_id, number)
    return x - radius, y - radius, x + radius, y + radius


def config_of(url: str, job_id: str) -> dict[str, object]:
    """Return the settings that a job's count was made with."""
    return dict(json.load(urllib.request.urlopen(f"{url}/api/v1/jobs/{job_id}"))["data"]["config"])


def test_a_drawn_box_counts_what_is_like_it_in_all_photos(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    photos = [two_kinds(tmp_path), two_kinds(tmp_path, name="other.png")]
    photos[1].write_bytes(photos[1].read_bytes() + b" ")  # another file of the same look
    job_id = upload(page, visit.url, *photos, type_name="disc")
    assert count_of(page) == N_LARGE + N_SMALL
    expect(page.get_by_test_id("job-count")).to_be_visible()
    page.keyboard.press("l")
    drag(page, around(visit.url, job_id, SMALL))
    expect(page.get_by_test_id("count")).to_have_text(str(N_SMALL))
    examples = page.get_by_role("list", name="Examples").get_by_role("listitem")
    expect(examples).to_contain_text("in this photo")

    page.get_by_role("button", name="What changes in the others?").click()
    expect(page.get_by_role("row", name=re.compile("All 30 10 −20"))).to_be_visible()
    page.keyboard.press("Space")
    expect(page.get_by_test_id("count")).to_have_text(str(N_SMALL))
    expect(examples).to_contain_text("from two-kinds.png")

    page.get_by_role("button", name="Apply to all 2 photos").click()
    expect(page.get_by_text("Preview;")).to_have_count(0)
    expect(page.get_by_test_id("job-count")).to_contain_text("10")
    page.reload()
    assert count_of(page) == N_SMALL
    expect(examples).to_have_count(1)


def test_counting_anew_with_examples_opens_a_new_job(visit: Visit, tmp_path: Path) -> None:
    page, job_id = counted(visit, tmp_path)
    page.keyboard.press("l")
    drag(page, around(visit.url, job_id, SMALL))
    expect(page.get_by_test_id("count")).to_have_text(str(N_SMALL))
    page.get_by_role("button", name="Count again with these").click()
    page.wait_for_url(lambda url: "/jobs/job_" in url and job_id not in url)
    assert count_of(page) == N_SMALL
    expect(page.get_by_role("heading", level=1)).to_have_text("Count: disc")
    assert "exemplars" not in config_of(visit.url, job_id)


def test_examples_are_drawn_before_the_photos_are_sent(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    page.goto(visit.url)
    draw = page.get_by_role("button", name="Draw examples")
    expect(draw).to_be_disabled()
    photos = [two_kinds(tmp_path), discs(tmp_path, 4)]
    page.locator("input[type=file][multiple]").first.set_input_files([str(photo) for photo in photos])
    draw.click()
    dialog = page.get_by_role("dialog", name="Draw examples")
    drag(page, (50 - 22, 130 - 22, 50 + 22, 130 + 22))
    dialog.get_by_role("button", name="Not like this").click()
    click_pixel(page, 50, 50)
    expect(dialog.get_by_role("button", name=re.compile("^Remove example"))).to_have_count(2)
    dialog.get_by_role("button", name="discs-4.png").click()
    expect(dialog.get_by_role("button", name=re.compile("^Remove example"))).to_have_count(0)
    dialog.get_by_role("button", name="Done").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Change examples")).to_be_focused()
    examples = page.get_by_role("list", name="Examples").get_by_role("listitem")
    expect(examples).to_have_count(2)
    expect(examples.first).to_contain_text("from two-kinds.png")
    page.get_by_role("button", name="Count 2 photos").click()
    page.wait_for_url("**/jobs/job_*")
    assert count_of(page) == N_SMALL
    expect(page.get_by_test_id("job-count")).to_contain_text(str(N_SMALL))
    page.keyboard.press("Space")
    assert count_of(page) == 0


def test_examples_go_with_their_photo(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    page.goto(visit.url)
    page.locator("input[type=file][multiple]").first.set_input_files(str(two_kinds(tmp_path)))
    draw = page.get_by_role("button", name="Draw examples")
    draw.click()
    click_pixel(page, 50, 130)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Remove 1: Like this").press("Enter")
    expect(draw).to_be_focused()
    draw.click()
    click_pixel(page, 50, 130)
    page.keyboard.press("Escape")
    expect(page.get_by_text("1 like this")).to_be_visible()
    page.get_by_role("button", name="Leave out two-kinds.png").click()
    expect(page.get_by_role("list", name="Examples")).to_have_count(0)


def test_clicks_say_what_is_meant_and_what_is_not(visit: Visit, tmp_path: Path) -> None:
    page, job_id = counted(visit, tmp_path)
    page.get_by_role("button", name="Not like this").click()
    click_pixel(page, *centre_of_object(visit.url, job_id, SMALL))
    expect(page.get_by_text("What looks like these is left out")).to_be_visible()
    expect(page.get_by_test_id("count")).to_have_text(str(N_LARGE))
    page.get_by_role("button", name="Like this", exact=True).click()
    click_pixel(page, *centre_of_object(visit.url, job_id, LARGE))
    expect(page.get_by_test_id("count")).to_have_text(str(N_LARGE))
    page.keyboard.press("Control+z")
    expect(page.get_by_role("button", name="Remove example 1 (not like this)")).to_be_visible()
    expect(page.get_by_role("button", name="Remove example 2 (like this)")).to_have_count(0)
    click_pixel(page, *centre_of_object(visit.url, job_id, LARGE))
    page.get_by_role("button", name="Remove example 1 (not like this)").click()
    page.get_by_role("button", name="Remove example 1 (like this)").click()
    expect(page.get_by_test_id("count")).to_have_text(str(N_LARGE + N_SMALL))
    expect(page.get_by_text("Preview;")).to_have_count(0)
    click_pixel(page, *centre_of_object(visit.url, job_id, LARGE))
    page.get_by_role("button", name="Apply (10)").click()
    expect(page.get_by_text("Preview;")).to_have_count(0)
    assert config_of(visit.url, job_id)["count_what"] == "exemplars"


def test_an_example_that_was_not_applied_is_there_again_after_a_reload(visit: Visit, tmp_path: Path) -> None:
    page, job_id = counted(visit, tmp_path)
    page.keyboard.press("l")
    drag(page, around(visit.url, job_id, SMALL))
    expect(page.get_by_test_id("count")).to_have_text(str(N_SMALL))
    page.reload()
    expect(page.get_by_text(f"Preview; the saved count is {N_LARGE + N_SMALL}.")).to_be_visible()
    expect(page.get_by_test_id("count")).to_have_text(str(N_SMALL))
    page.get_by_role("button", name="Discard").click()
    page.reload()
    expect(page.get_by_test_id("count")).to_have_text(str(N_LARGE + N_SMALL))


def test_an_example_where_nothing_was_found_says_so(visit: Visit, tmp_path: Path) -> None:
    page, _ = counted(visit, tmp_path)
    page.keyboard.press("l")
    drag(page, (78, 78, 102, 102))
    expect(page.get_by_text("Nothing of this size was seen here")).to_be_visible()
    page.keyboard.press("Control+z")
    click_pixel(page, 90, 90)
    expect(page.get_by_text("Nothing was seen at this point: draw a box")).to_be_visible()


def test_examples_are_shown_without_a_mouse(visit: Visit, tmp_path: Path) -> None:
    page, _ = counted(visit, tmp_path)
    page.keyboard.press(".")
    page.get_by_role("button", name="More like it").press("Enter")
    expect(page.get_by_test_id("count")).to_have_text(str(N_LARGE))
    page.get_by_role("button", name=re.compile("^Remove 1: Like this")).press("Enter")
    expect(page.get_by_test_id("count")).to_have_text(str(N_LARGE + N_SMALL))
    expect(page.get_by_test_id("stage")).to_be_focused()
    page.keyboard.press("l")
    stage = page.get_by_test_id("stage")
    stage.focus()
    for key in (
        "+",
        "+",
        "+",
        "+",
        "ArrowRight",
        "Shift+Enter",
        "ArrowLeft",
        "ArrowLeft",
        "ArrowUp",
        "ArrowUp",
    ):
        page.keyboard.press(key)
    page.keyboard.press("Shift+Enter")
    expect(page.get_by_role("list", name="Examples").get_by_role("listitem")).to_have_count(1)


def test_a_finger_draws_on_a_phone_and_two_still_zoom(
    browser: Browser, product: Product, tmp_path: Path
) -> None:
    with visiting(browser, product, viewport=PHONE, has_touch=True) as visit:
        page, job_id = counted(visit, tmp_path)
        page.get_by_role("button", name="Like this", exact=True).tap()
        photo = page.get_by_test_id("photo")
        photo.scroll_into_view_if_needed()
        box = photo.bounding_box()
        assert box is not None
        scale = box["width"] / photo.evaluate("photo => photo.naturalWidth")
        x1, y1, x2, y2 = around(visit.url, job_id, SMALL)
        touch = page.context.new_cdp_session(page)
        steps = [("touchStart", x1, y1), ("touchMove", x1 + 20, y1 + 20), ("touchMove", x2, y2)]
        for kind, x, y in steps:
            point = {"x": box["x"] + x * scale, "y": box["y"] + y * scale}
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        expect(page.get_by_test_id("count")).to_have_text(str(N_SMALL))
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        photo.evaluate("photo => photo.scrollIntoView()")
        before = box = photo.bounding_box()
        assert box is not None
        middle = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        for kind, spread in (("touchStart", 30), ("touchMove", 60), ("touchMove", 120)):
            fingers = [{"x": middle["x"] + s * spread, "y": middle["y"], "id": s + 1} for s in (-1, 1)]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.wait_for_timeout(50)
        after = photo.bounding_box()
        assert before is not None
        assert after is not None
        assert after["width"] > 1.5 * before["width"]
        expect(page.get_by_role("list", name="Examples").get_by_role("listitem")).to_have_count(1)


def test_small_boxes_that_a_finger_draws_stay(browser: Browser, product: Product, tmp_path: Path) -> None:
    """The browser takes the end of such a drag for a tap, on the button that takes the box away."""
    with visiting(browser, product, viewport=PHONE, has_touch=True, is_mobile=True) as visit:
        page, job_id = counted(visit, tmp_path)
        page.get_by_role("button", name="Like this", exact=True).tap()
        photo = page.get_by_test_id("photo")
        photo.scroll_into_view_if_needed()
        touch = page.context.new_cdp_session(page)
        for n_drawn, number in enumerate((SMALL, SMALL + 1, SMALL + 2), start=1):
            box = photo.bounding_box()
            assert box is not None
            scale = box["width"] / photo.evaluate("photo => photo.naturalWidth")
            x, y = (at * scale for at in centre_of_object(visit.url, job_id, number))
            for kind, way in (("touchStart", -5), ("touchMove", 2), ("touchMove", 5)):
                point = {"x": box["x"] + x + way, "y": box["y"] + y + way}
                touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
            touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
            page.wait_for_timeout(400)
            expect(page.get_by_role("list", name="Examples").get_by_role("listitem")).to_have_count(n_drawn)
        page.get_by_role("button", name="Remove example 3").tap()
        expect(page.get_by_role("list", name="Examples").get_by_role("listitem")).to_have_count(2)
