"""Upload, watch, count, correct: the way of one photo through the browser."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Product, Visit
from tests.e2e.photos import N_COINS, coins, discs, large_coins


def upload(page: Page, url: str, *photos: Path, type_name: str = "coin") -> str:
    """Choose photos, say what to count, send them, and return the job's id."""
    page.goto(url)
    return send(page, *photos, type_name=type_name)


def send(page: Page, *photos: Path, type_name: str = "coin") -> str:
    """Do that on the first page, as it is."""
    page.locator("input[type=file][multiple]").first.set_input_files([str(photo) for photo in photos])
    page.get_by_label("What should be counted?").fill(type_name)
    page.get_by_role("button", name=re.compile("^Count [0-9]+ photo")).click()
    page.wait_for_url("**/jobs/job_*")
    return page.url.rsplit("/", 1)[1]


def count_of(page: Page) -> int:
    """Return the big number, once the photo is counted and ready to be corrected."""
    expect(page.get_by_test_id("stage")).to_have_attribute("aria-busy", "false", timeout=60_000)
    shown = page.get_by_test_id("count")
    expect(shown).to_have_text(re.compile(r"^\d+$"))
    return int(shown.inner_text())


def centre_of_object(url: str, job_id: str, number: int) -> tuple[float, float]:
    """Return the image pixel in the middle of a counted object's box."""
    results = json.load(urllib.request.urlopen(f"{url}/api/v1/jobs/{job_id}/results"))
    image = results["data"]["images"][0]
    box = next(d["bbox"] for d in image["detections"] if d["number"] == number)
    return (box["x1"] + box["x2"]) / 2, (box["y1"] + box["y2"]) / 2


def click_pixel(page: Page, x: float, y: float) -> None:
    """Click where an image pixel is drawn, once it lies still."""
    photo = page.get_by_test_id("photo")
    photo.element_handle().wait_for_element_state("stable")
    box = photo.bounding_box()
    natural = photo.evaluate("photo => photo.naturalWidth")
    assert box is not None
    scale = box["width"] / natural
    page.mouse.click(box["x"] + x * scale, box["y"] + y * scale)


def wait_until_saved(page: Page, count: int) -> None:
    expect(page.get_by_role("toolbar").get_by_role("status")).to_have_text(f"Saved: {count}.")


def test_coins_are_counted_shown_corrected_and_kept(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    job_id = upload(page, visit.url, coins(tmp_path))
    count = count_of(page)
    assert abs(count - N_COINS) <= 1
    outlines = page.locator("[data-testid=counted] .machine").evaluate_all(
        "paths => paths.map(p => p.outerHTML)"
    )
    assert "".join(outlines).count("Z") == count
    expect(page.get_by_test_id("numbers").locator("text")).to_have_count(count)

    target = centre_of_object(visit.url, job_id, number=1)
    page.keyboard.press("d")
    click_pixel(page, *target)
    expect(page.get_by_test_id("count")).to_have_text(str(count - 1))
    wait_until_saved(page, count - 1)
    page.reload()
    assert count_of(page) == count - 1
    expect(page.get_by_test_id("human")).to_contain_text(f"the machine counted {count}")
    expect(page.get_by_test_id("interval")).to_contain_text("as the machine sees the rest")

    page.get_by_role("button", name="Add", exact=True).click()
    click_pixel(page, *target)
    expect(page.get_by_test_id("count")).to_have_text(str(count))
    wait_until_saved(page, count)
    page.reload()
    assert count_of(page) == count


def test_corrections_are_undone_and_redone_from_the_keyboard(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    upload(page, visit.url, discs(tmp_path, 10), type_name="disc")
    count = count_of(page)
    page.keyboard.press(".")
    expect(page.get_by_role("heading", name="No. 1 disc")).to_be_visible()
    page.keyboard.press("Delete")
    wait_until_saved(page, count - 1)
    page.keyboard.press("Control+z")
    expect(page.get_by_test_id("count")).to_have_text(str(count))
    page.reload()
    assert count_of(page) == count
    page.keyboard.press(".")
    page.keyboard.press("Delete")
    wait_until_saved(page, count - 1)
    page.keyboard.press("Control+z")
    expect(page.get_by_test_id("count")).to_have_text(str(count))
    page.keyboard.press("Control+y")
    wait_until_saved(page, count - 1)


def test_an_object_is_added_without_a_mouse(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    upload(page, visit.url, discs(tmp_path, 4), type_name="disc")
    count = count_of(page)
    page.get_by_test_id("stage").focus()
    page.keyboard.press("a")
    for key in ("+", "+", "ArrowRight", "ArrowRight", "ArrowRight"):  # from the third disc to the gap
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    wait_until_saved(page, count + 1)


def test_other_settings_are_previewed_then_applied(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    job_id = upload(page, visit.url, discs(tmp_path, 9), type_name="disc")
    count = count_of(page)
    page.get_by_text("Count again with other settings").click()
    largest = page.get_by_label("Largest")
    largest.fill("1")
    expect(page.get_by_test_id("count")).to_have_text("0")
    expect(page.get_by_text(f"Preview; the saved count is {count}")).to_be_visible()
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_test_id("count")).to_have_text(str(count))
    expect(page.get_by_test_id("stage")).to_be_focused()
    largest.fill("1")
    page.get_by_role("button", name="Apply (0)").click()
    expect(page.get_by_text("Preview;")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Preview; the saved count is 0")).to_be_visible()
    page.get_by_role("button", name=f"Apply ({count})").click()
    expect(page.get_by_text("Preview;")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Apply (0)").click()
    expect(page.get_by_text("Preview;")).to_have_count(0)
    page.reload()
    assert count_of(page) == 0
    assert job_id in page.url


def test_what_is_not_counted_is_shown_with_its_reason(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    job_id = upload(page, visit.url, coins(tmp_path))
    count_of(page)
    target = centre_of_object(visit.url, job_id, number=2)
    page.keyboard.press("d")
    click_pixel(page, *target)
    page.keyboard.press("Escape")
    page.get_by_label("Not counted").check()
    expect(page.get_by_label("Why candidates were not counted")).to_contain_text("removed by hand")
    click_pixel(page, *target)
    expect(page.get_by_role("heading", name=re.compile("^Not counted"))).to_be_visible()


def test_what_is_shown_on_one_photo_is_shown_on_the_next(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    upload(page, visit.url, discs(tmp_path, 3), discs(tmp_path, 5))
    assert count_of(page) == 3
    heatmap, numbers = (page.get_by_role("checkbox", name=name) for name in ("Heat map", "Numbers"))
    heatmap.check()
    numbers.uncheck()
    page.keyboard.press("Escape")
    page.get_by_role("table").get_by_role("button").nth(1).click()
    expect(page.get_by_test_id("count")).to_have_text("5")
    expect(heatmap).to_be_checked()
    expect(numbers).not_to_be_checked()


def test_a_job_survives_reloads_while_it_runs(visit: Visit, product: Product, tmp_path: Path) -> None:
    page = visit.page
    photos = [discs(tmp_path, n) for n in (3, 5, 7)]
    with product.worker_asleep():
        upload(page, visit.url, *photos, type_name="disc")
        expect(page.get_by_test_id("progress")).to_contain_text("0 of 3 photos")
        page.reload()
        expect(page.get_by_test_id("progress")).to_contain_text("0 of 3 photos")
    assert count_of(page) == 3
    expect(page.get_by_test_id("job-count")).to_contain_text("15")
    expect(page.get_by_role("row", name=re.compile(r"discs-7\.png"))).to_contain_text("7")
    page.keyboard.press("Space")
    assert count_of(page) == 5


def test_photos_that_are_done_are_shown_while_others_wait(
    visit: Visit, product: Product, tmp_path: Path
) -> None:
    page = visit.page
    upload(page, visit.url, discs(tmp_path, 4), *[large_coins(tmp_path, turns) for turns in range(4)])
    progress = page.get_by_test_id("progress")
    expect(progress).to_contain_text(re.compile("[1-4] of 5 photos"), timeout=60_000)
    with product.worker_asleep():
        page.reload()
        expect(progress).to_contain_text(re.compile("[1-4] of 5 photos"))
        assert count_of(page) == 4
        expect(page.get_by_text("Count again with other settings")).to_have_count(0)
    expect(page.get_by_test_id("job-count")).to_be_visible(timeout=60_000)
    assert count_of(page) == 4
    expect(progress).to_have_count(0)


def test_a_waiting_job_can_be_cancelled(visit: Visit, product: Product, tmp_path: Path) -> None:
    page = visit.page
    with product.worker_asleep():
        upload(page, visit.url, discs(tmp_path, 6), type_name="disc")
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("Cancelled")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_pages_beyond_the_first_are_told_of_and_counted_when_asked(visit: Visit, tmp_path: Path) -> None:
    page, scan = visit.page, tmp_path / "scan.tif"
    with Image.open(coins(tmp_path)) as photo:
        photo.save(scan, save_all=True, append_images=[photo, photo])
    upload(page, visit.url, scan)
    assert count_of(page) == N_COINS
    expect(page.get_by_text("only the first of 3 pages was counted")).to_be_visible()
    page.goto(visit.url)
    page.get_by_text("More settings").click()
    page.get_by_label("Count all pages of a TIFF").check()
    send(page, scan)
    assert count_of(page) == 3 * N_COINS
    expect(page.get_by_text("only the first of 3 pages was counted")).to_have_count(0)


def test_a_heic_is_counted_and_shown_by_its_drawn_copy(visit: Visit, tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    page, photo = visit.page, tmp_path / "IMG_1.HEIC"
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(coins(tmp_path)) as flat:
        flat.convert("RGB").save(photo, format="HEIF", quality=90, exif=exif.tobytes())
    upload(page, visit.url, photo)
    assert count_of(page) == N_COINS
    shown = page.get_by_test_id("photo")
    expect(shown).to_have_attribute("src", re.compile("/annotated"))
    size = "photo => photo.decode().then(() => [photo.naturalWidth, photo.naturalHeight])"
    assert shown.evaluate(size) == [flat.height, flat.width]
