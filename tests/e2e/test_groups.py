"""Things that look alike are named, kept or left out as a whole."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.conftest import PHONE, Product, Visit, visiting
from tests.e2e.photos import discs, two_among, two_kinds
from tests.e2e.test_counting import centre_of_object, click_pixel, count_of, upload
from tests.e2e.test_exemplars import LARGE, N_LARGE, N_SMALL, counted


def images_of(url: str, job_id: str) -> list[dict[str, Any]]:
    """Return the results of all photos of a job."""
    answer = json.load(urllib.request.urlopen(f"{url}/api/v1/jobs/{job_id}/results"))
    return list(answer["data"]["images"])


def row_of(page: Page, count: int) -> Locator:
    """Return the row of the group with this many members."""
    name = page.get_by_label(f", {count} objects")
    return page.get_by_role("region", name="Groups").get_by_role("listitem").filter(has=name)


def test_a_group_is_named_and_another_left_out(visit: Visit, tmp_path: Path) -> None:
    page, job_id = counted(visit, tmp_path)
    large, small = row_of(page, N_LARGE), row_of(page, N_SMALL)
    small.get_by_role("checkbox").uncheck()
    expect(page.get_by_test_id("count")).to_have_text(str(N_LARGE))
    name = large.get_by_role("textbox")
    name.fill("brown discs")
    name.press("Enter")
    expect(page.get_by_label("Groups").get_by_text("brown discs: 10")).to_be_visible()
    page.get_by_role("button", name=f"Apply ({N_LARGE})").click()
    expect(page.get_by_text("Preview;")).to_have_count(0)
    (image,) = images_of(visit.url, job_id)
    assert image["by_type"] == {"brown discs": N_LARGE}

    page.reload()
    assert count_of(page) == N_LARGE
    expect(row_of(page, N_LARGE).get_by_role("textbox")).to_have_value("brown discs")
    expect(row_of(page, N_SMALL).get_by_role("checkbox")).not_to_be_checked()
    row_of(page, N_SMALL).get_by_role("checkbox").check()
    expect(page.get_by_test_id("count")).to_have_text(str(N_LARGE + N_SMALL))


def test_a_group_tells_the_number_on_the_screen_to_who_cannot_see_it(visit: Visit, tmp_path: Path) -> None:
    page, job_id = counted(visit, tmp_path)
    page.keyboard.press("d")
    click_pixel(page, *centre_of_object(visit.url, job_id, LARGE))
    expect(row_of(page, N_LARGE - 1).locator(".number")).to_have_text(str(N_LARGE - 1))
    expect(row_of(page, N_LARGE)).to_have_count(0)


def test_groups_that_a_person_named_are_not_called_what_was_asked_for(visit: Visit, tmp_path: Path) -> None:
    page, _ = counted(visit, tmp_path, "washer")
    card = page.locator("section", has=page.get_by_test_id("count"))
    expect(card.get_by_text("washers", exact=True)).to_be_visible()
    name = row_of(page, N_SMALL).get_by_role("textbox")
    name.fill("nut")
    name.press("Enter")
    expect(card.get_by_text("objects", exact=True)).to_be_visible()
    row_of(page, N_LARGE).get_by_role("checkbox").uncheck()
    expect(card.get_by_text("nuts", exact=True)).to_be_visible()


def test_the_group_that_is_named_as_asked_is_what_is_counted_until_another_is_ticked(
    visit: Visit, tmp_path: Path
) -> None:
    page, job_id = counted(visit, tmp_path, "washer")
    name = row_of(page, N_SMALL).get_by_role("textbox")
    name.fill("Washers")
    name.press("Enter")
    expect(page.get_by_test_id("count")).to_have_text(str(N_SMALL))
    other = row_of(page, N_LARGE)
    expect(other.get_by_role("checkbox")).not_to_be_checked()
    other.get_by_role("checkbox").check()
    expect(page.get_by_test_id("count")).to_have_text(str(N_LARGE + N_SMALL))
    other.get_by_role("textbox").fill("nut")
    other.get_by_role("textbox").press("Enter")
    expect(page.get_by_label("Groups").get_by_text(f"nut: {N_LARGE}")).to_be_visible()
    other.get_by_role("checkbox").uncheck()
    page.get_by_role("button", name=f"Apply ({N_SMALL})").click()
    expect(page.get_by_text("Preview;")).to_have_count(0)
    (image,) = images_of(visit.url, job_id)
    assert image["by_type"] == {"Washers": N_SMALL}


def test_a_group_is_pointed_out_by_pointer_and_focus(visit: Visit, tmp_path: Path) -> None:
    page, _ = counted(visit, tmp_path)
    shown = page.get_by_test_id("pointed-out")
    outlines = page.get_by_test_id("counted").locator(".machine")
    colours = "paths => new Set(paths.map(path => getComputedStyle(path).stroke)).size"
    assert outlines.evaluate_all(colours) == 1
    page.get_by_role("checkbox", name="Groups", exact=True).check()
    assert outlines.evaluate_all(colours) == 2
    row_of(page, N_SMALL).hover()
    assert (shown.get_attribute("d") or "").count("M") == N_SMALL
    page.mouse.move(0, 0)
    expect(shown).to_have_count(0)
    row_of(page, N_LARGE).get_by_role("textbox").focus()
    expect(shown).to_have_count(1)
    assert (shown.get_attribute("d") or "").count("M") == N_LARGE


def test_what_is_alike_in_other_photos_follows_when_asked(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    photos = [two_kinds(tmp_path), two_kinds(tmp_path, name="other.png")]
    photos[1].write_bytes(photos[1].read_bytes() + b" ")
    job_id = upload(page, visit.url, *photos, type_name="disc")
    count_of(page)
    expect(page.get_by_test_id("job-count")).to_contain_text("30")
    row_of(page, N_SMALL).get_by_role("checkbox").uncheck()
    page.get_by_label("Also in the other photos").check()
    expect(page.get_by_test_id("count")).to_have_text(str(N_LARGE))
    page.get_by_role("button", name="Apply to all 2 photos").click()
    expect(page.get_by_test_id("job-count")).to_contain_text("20")
    assert [image["count"] for image in images_of(visit.url, job_id)] == [N_LARGE, N_LARGE]


def test_a_group_of_two_kinds_is_split_and_joined_again(visit: Visit, tmp_path: Path) -> None:
    page, job_id = counted(visit, tmp_path)
    groups = page.get_by_role("region", name="Groups").get_by_role("listitem")
    expect(groups).to_have_count(2)
    row_of(page, N_LARGE).get_by_role("button", name="Split").click()
    expect(groups).to_have_count(3)
    half = groups.filter(has=page.get_by_label("Name of group 1.2"))
    n_gone = int(half.locator(".number").inner_text())
    half.get_by_role("checkbox").uncheck()
    expect(page.get_by_test_id("count")).to_have_text(str(N_LARGE + N_SMALL - n_gone))
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("Preview;")).to_have_count(0)
    (image,) = images_of(visit.url, job_id)
    assert [group["part_of"] for group in image["groups"]].count(0) == 2
    page.reload()
    half.get_by_role("button", name="Join").click()
    expect(groups).to_have_count(2)
    expect(page.get_by_test_id("count")).to_have_text(str(N_LARGE + N_SMALL))


def test_half_of_a_group_is_counted_alone_with_one_click_and_named(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    job_id = upload(page, visit.url, two_among(tmp_path), type_name="disc")
    assert count_of(page) == 15
    rows = page.get_by_role("region", name="Groups").get_by_role("listitem")
    assert rows.locator(".number").all_inner_texts() == ["15", "13", "2"]
    row_of(page, 2).hover()
    assert (page.get_by_test_id("pointed-out").get_attribute("d") or "").count("M") == 2
    row_of(page, 2).get_by_role("button", name="Only").dblclick()
    expect(page.get_by_test_id("count")).to_have_text("2")
    expect(rows).to_have_count(2)
    expect(row_of(page, 13).get_by_role("checkbox")).not_to_be_checked()
    page.get_by_role("button", name="Undo").click()
    expect(rows).to_have_count(3)
    expect(page.get_by_test_id("count")).to_have_text("15")

    name = row_of(page, 2).get_by_role("textbox")
    name.fill("red")
    name.press("Enter")
    expect(page.get_by_label("Groups").get_by_text("group 1.1: 13, red: 2")).to_be_visible()
    expect(name).to_be_focused()
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("Preview;")).to_have_count(0)
    (image,) = images_of(visit.url, job_id)
    assert image["by_type"] == {"disc": 13, "red": 2}


def test_split_and_join_keep_the_focus_in_the_groups_and_colours_can_be_put_away(
    visit: Visit, tmp_path: Path
) -> None:
    page = visit.page
    upload(page, visit.url, discs(tmp_path, 9), type_name="disc")
    count_of(page)
    section = page.get_by_role("region", name="Groups")
    for button, n_after in (("Split", 2), ("Join", 1)):
        section.get_by_role("button", name=button).first.press("Enter")
        expect(section.get_by_role("listitem")).to_have_count(n_after)
        expect(section).to_be_focused()
    page.get_by_role("checkbox", name="Groups", exact=True).uncheck()


def test_what_was_said_of_a_group_holds_for_its_halves_and_a_second_click_on_join_hits_nothing(
    visit: Visit, tmp_path: Path
) -> None:
    page = visit.page
    upload(page, visit.url, discs(tmp_path, 9), type_name="disc")
    count_of(page)
    rows = page.get_by_role("region", name="Groups").get_by_role("listitem")
    rows.get_by_role("button", name="Split").dblclick()
    expect(rows).to_have_count(2)
    rows.get_by_role("button", name="Join").first.dblclick()
    expect(rows).to_have_count(1)
    expect(rows.get_by_role("checkbox")).to_be_checked()
    rows.get_by_role("checkbox").uncheck()
    expect(page.get_by_test_id("count")).to_have_text("0")
    rows.get_by_role("button", name="Split").click()
    expect(rows).to_have_count(2)
    for row in rows.all():
        expect(row.get_by_role("checkbox")).not_to_be_checked()
    expect(page.get_by_test_id("count")).to_have_text("0")


def test_the_rows_of_halves_fit_a_narrow_phone(browser: Browser, product: Product, tmp_path: Path) -> None:
    with visiting(browser, product, viewport={"width": 360, "height": 780}) as visit:
        page = visit.page
        upload(page, visit.url, discs(tmp_path, 9), type_name="disc")
        count_of(page)
        section = page.get_by_role("region", name="Groups")
        section.get_by_role("button", name="Split").click()
        expect(section.get_by_role("button", name="Join")).to_have_count(2)
        assert section.evaluate("card => card.scrollWidth <= card.clientWidth")
        row, list_box = section.get_by_role("listitem").first.bounding_box(), section.bounding_box()
        assert row is not None
        assert list_box is not None
        assert row["x"] + row["width"] <= list_box["x"] + list_box["width"] - 20


def test_a_name_has_room_below_its_group_and_a_box_to_tick_its_size_on_a_phone(
    browser: Browser, product: Product, tmp_path: Path
) -> None:
    with visiting(browser, product, viewport=PHONE) as visit:
        page = visit.page
        upload(page, visit.url, two_among(tmp_path), discs(tmp_path, 4), type_name="disc")
        count_of(page)
        names = page.get_by_role("region", name="Groups").get_by_role("textbox")
        expect(names).to_have_count(3)
        assert names.nth(1).evaluate("field => field.clientWidth") >= 130
        box = page.get_by_label("Also in the other photos").bounding_box()
        assert box
        assert abs(box["width"] - box["height"]) < 0.5
