"""The pages around the count: refused files, the list of jobs, themes, phones, errors."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import DESKTOP, PHONE, Product, Visit, visiting
from tests.e2e.photos import coins, discs, empty, too_small
from tests.e2e.test_counting import click_pixel, count_of, upload, wait_until_saved


def test_bad_files_are_named_before_anything_is_sent(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    (tmp_path / "notes.jpg").write_text("these are not pixels")
    page.goto(visit.url)
    chosen = [str(too_small(tmp_path)), str(tmp_path / "notes.jpg")]
    page.locator("input[type=file][multiple]").first.set_input_files(chosen)
    expect(page.get_by_role("listitem").filter(has_text="tiny.png")).to_contain_text(
        "30 × 30 px is too small"
    )
    expect(page.get_by_role("listitem").filter(has_text="notes.jpg")).to_contain_text("Not a picture")
    expect(page.get_by_role("button", name="Count", exact=True)).to_be_disabled()


def test_a_file_that_only_the_server_can_refuse_is_marked_and_left_out(visit: Visit, tmp_path: Path) -> None:
    visit.expected = ("400",)
    page = visit.page
    broken = coins(tmp_path)
    broken.write_bytes(broken.read_bytes()[:20_000])
    page.goto(visit.url)
    photos = [str(broken), str(discs(tmp_path, 3)), str(discs(tmp_path, 5))]
    page.locator("input[type=file][multiple]").first.set_input_files(photos)
    page.get_by_role("button", name="Draw examples").click()
    click_pixel(page, 50, 50)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Count 3 photos").click()
    tile = page.get_by_role("listitem").filter(has_text="coins.png").first
    expect(tile).to_contain_text("Refused: the image does not decode to its end.")
    alert = page.get_by_role("alert")
    expect(alert).not_to_contain_text("coins.png")
    expect(alert).to_contain_text(re.compile("CORRUPTED_FILE · request req_"))
    page.get_by_role("button", name="Count 2 photos").click()
    page.wait_for_url("**/jobs/job_*")
    assert count_of(page) == 3


@pytest.mark.parametrize("has_example", [False, True])
def test_photos_sent_again_after_a_lost_answer_make_one_job(
    visit: Visit, tmp_path: Path, has_example: bool
) -> None:
    visit.expected = ("ERR_FAILED",)
    page = visit.page
    lost: list[str] = []
    wire = page.context.new_cdp_session(page)

    def lose(answer: dict[str, str]) -> None:
        body = wire.send("Fetch.getResponseBody", {"requestId": answer["requestId"]})
        lost.append(json.loads(base64.b64decode(body["body"]))["data"]["job_id"])
        wire.send("Fetch.failRequest", {"requestId": answer["requestId"], "errorReason": "Failed"})
        wire.send("Fetch.disable")

    wire.on("Fetch.requestPaused", lose)
    made = [{"urlPattern": f"*{path}", "requestStage": "Response"} for path in ("/predict", "/api/v1/jobs")]
    wire.send("Fetch.enable", {"patterns": made})
    page.goto(visit.url)
    page.locator("input[type=file][multiple]").first.set_input_files(str(discs(tmp_path, 3)))
    if has_example:
        page.get_by_role("button", name="Draw examples").click()
        click_pixel(page, 50, 50)
        page.keyboard.press("Escape")
    page.get_by_role("button", name="Count 1 photo").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_role("button", name="Count 1 photo").click()
    page.wait_for_url(f"**/jobs/{lost[0]}")
    assert count_of(page) == 3


def test_what_was_chosen_is_kept_while_other_pages_are_looked_at(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    page.goto(visit.url)
    page.locator("input[type=file][multiple]").first.set_input_files(str(discs(tmp_path, 3)))
    page.get_by_label("What should be counted?").fill("disc")
    page.get_by_role("button", name="Draw examples").click()
    click_pixel(page, 50, 50)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
    page.go_back()
    expect(page.get_by_label("What should be counted?")).to_have_value("disc")
    expect(page.get_by_text("1 like this")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="discs-3.png").first).to_be_visible()
    page.get_by_role("button", name="Count 1 photo").click()
    page.wait_for_url("**/jobs/job_*")
    page.go_back()
    expect(page.get_by_label("What should be counted?")).to_have_value("")
    expect(page.get_by_role("listitem")).to_have_count(0)


def test_a_mode_is_offered_where_the_engine_has_several(visit: Visit) -> None:
    page = visit.page
    page.goto(visit.url)
    page.get_by_text("More settings").click()
    expect(page.get_by_label("Mode")).to_have_count(0)
    page.get_by_label("Engine").select_option("sam")
    expect(page.get_by_label("Mode")).to_have_accessible_description(re.compile("exact asks everywhere"))
    page.get_by_label("Mode").select_option("exact")
    page.get_by_label("Engine").select_option("mini")
    expect(page.get_by_label("Mode")).to_have_count(0)


def test_pasted_and_dropped_photos_are_taken(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    page.goto(visit.url)
    for event, target in (("drop", "[aria-label=Photos]"), ("paste", "body")):
        handle = page.evaluate_handle(
            """async ([name, bytes, kind]) => {
              const transfer = new DataTransfer();
              transfer.items.add(new File([new Uint8Array(bytes)], name, { type: 'image/png' }));
              return kind === 'paste' ? { clipboardData: transfer } : { dataTransfer: transfer };
            }""",
            [f"{event}.png", list(discs(tmp_path, 2).read_bytes()), event],
        )
        if event == "drop":
            page.dispatch_event(target, event, handle)
        else:
            page.evaluate(
                "given => dispatchEvent(new ClipboardEvent('paste', given))",
                handle,
            )
        expect(page.get_by_role("listitem").filter(has_text=f"{event}.png")).to_be_visible()
    expect(page.get_by_role("button", name="Count 2 photos")).to_be_enabled()


def test_the_list_shows_jobs_and_filters_them(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    upload(page, visit.url, discs(tmp_path, 8), type_name="filtered disc")
    count_of(page)
    page.get_by_role("link", name="Jobs", exact=True).click()
    row = page.get_by_role("link", name=re.compile("filtered disc"))
    expect(row).to_contain_text("8")
    expect(row.locator("img")).to_be_visible()
    page.get_by_label("State").select_option("failed")
    expect(page.get_by_text("No job fits these filters.")).to_be_visible()
    page.go_back()
    page.goto(f"{visit.url}/jobs?type=filtered+disc")
    expect(page.get_by_role("listitem")).to_have_count(1)
    page.get_by_role("link", name=re.compile("filtered disc")).click()
    assert count_of(page) == 8


def test_the_list_follows_jobs_that_run(visit: Visit, product: Product, tmp_path: Path) -> None:
    page = visit.page
    with product.worker_asleep():
        upload(page, visit.url, discs(tmp_path, 2), type_name="slow disc")
        page.get_by_role("link", name="Jobs", exact=True).click()
        row = page.get_by_role("link", name=re.compile("slow disc"))
        expect(row).to_contain_text(re.compile("Waiting|Counting"))
    expect(row).to_contain_text("Done", timeout=60_000)


def test_a_job_that_does_not_exist_says_so(visit: Visit) -> None:
    visit.expected = ("404",)
    visit.page.goto(f"{visit.url}/jobs/job_00000000000000000000000000")
    said = visit.page.get_by_role("alert")
    expect(said).to_contain_text("There is no such job")
    expect(visit.page.get_by_role("button", name="Try again")).to_have_count(0)
    said.get_by_role("link", name="all jobs").click()
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Jobs")


def test_an_unknown_address_gets_a_page_for_people(visit: Visit) -> None:
    visit.expected = ("404",)
    answer = visit.page.goto(f"{visit.url}/no/such/page")
    assert answer is not None
    assert answer.status == 404
    expect(visit.page.get_by_role("heading")).to_have_text("There is no such page")


def test_the_page_runs_under_a_policy_without_inline_code(visit: Visit) -> None:
    answer = visit.page.goto(visit.url)
    assert answer is not None
    assert "unsafe" not in (answer.header_value("Content-Security-Policy") or "unsafe")
    assert visit.page.locator("script:not([src])").count() == 0


def test_assets_are_cached_for_ever_and_the_shell_is_not(visit: Visit) -> None:
    page = visit.page
    with page.expect_response("**/assets/*.js") as script:
        shell = page.goto(visit.url)
    assert "immutable" in (script.value.header_value("Cache-Control") or "")
    assert shell is not None
    assert shell.header_value("Cache-Control") == "no-cache"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_system_theme_is_followed_and_can_be_overruled(
    browser: Browser, product: Product, scheme: str
) -> None:
    with visiting(browser, product, color_scheme=scheme) as visit:
        page = visit.page
        page.goto(visit.url)
        brightness = "() => Number(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0])"
        assert (page.evaluate(brightness) < 128) == (scheme == "dark")
        toggle = page.get_by_role("button", name=re.compile("^Colour theme"))
        toggle.click()  # light
        assert page.evaluate(brightness) > 128
        toggle.click()  # dark
        page.reload()
        page.wait_for_function(f"({brightness})() < 128")


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_no_page_is_wider_than_the_screen(
    browser: Browser, product: Product, viewport: dict[str, int], tmp_path: Path
) -> None:
    with visiting(browser, product, viewport=viewport) as visit:
        page = visit.page
        name = "a-very-long-file-name-without-any-space-in-it-" * 3 + ".png"
        photos = [
            discs(tmp_path, 3),
            discs(tmp_path, 5, name=name),
            *[discs(tmp_path, n) for n in range(6, 11)],
        ]
        upload(page, visit.url, *photos, type_name="disc" * 20)
        count_of(page)
        page.keyboard.press(".")
        page.keyboard.press("Delete")
        page.get_by_label("Not counted").check()
        wait_until_saved(page, 2)
        page.get_by_text("Count again with other settings").click()
        job = page.url
        for url in (job, f"{visit.url}/jobs", visit.url):
            if page.url != url:
                page.goto(url)
                expect(page.get_by_role("heading", level=1)).to_be_visible()
                page.wait_for_load_state("networkidle")
            assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], url


def test_the_table_of_all_photos_fits_a_phone(browser: Browser, product: Product, tmp_path: Path) -> None:
    with visiting(browser, product, viewport=PHONE) as visit:
        page = visit.page
        upload(page, visit.url, discs(tmp_path, 3), empty(tmp_path), type_name="disc")
        count_of(page)
        table = page.get_by_role("table")
        expect(table.get_by_role("row", name="empty.png")).to_contain_text("nothing")
        cut = "cells => cells.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.innerText)"
        assert table.locator("th, td").evaluate_all(cut) == []
        shown = "one => [one.scrollWidth, one.clientWidth]"
        wide, room = table.locator("xpath=..").evaluate(shown)
        assert wide <= room


def test_two_fingers_zoom_the_photo_on_a_phone(browser: Browser, product: Product, tmp_path: Path) -> None:
    with visiting(browser, product, viewport=PHONE, has_touch=True) as visit:
        page = visit.page
        upload(page, visit.url, discs(tmp_path, 5), type_name="disc")
        count_of(page)
        photo = page.get_by_test_id("photo")
        before = photo.bounding_box()
        box = page.get_by_test_id("stage").bounding_box()
        assert before
        assert box
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        touch = page.context.new_cdp_session(page)
        for kind, spread in (("touchStart", 30), ("touchMove", 60), ("touchMove", 120), ("touchEnd", None)):
            points = [{"x": x + s * (spread or 0), "y": y, "id": s + 1} for s in (-1, 1)] if spread else []
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        page.wait_for_timeout(50)
        after = photo.bounding_box()
        assert after
        assert after["width"] > 2 * before["width"]
