"""What a person corrects in one photo is offered to the others, and each count explains itself."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from tests.e2e.conftest import Visit
from tests.e2e.photos import coins, discs, small_only, two_kinds
from tests.e2e.test_counting import centre_of_object, click_pixel, count_of, upload, wait_until_saved
from tests.e2e.test_exemplars import N_LARGE, N_SMALL, SMALL, config_of

OFFER = re.compile("^Use your corrections on the other")


def take_out_small_discs(visit: Visit, folder: Path, *more: Path) -> str:
    """Count two photos of two kinds, remove the small discs of the first, and return the job's id.

    ``more`` are counted, too: photos of as many small discs alone.
    """
    page = visit.page
    photos = [two_kinds(folder), two_kinds(folder, name="other.png")]
    photos[1].write_bytes(photos[1].read_bytes() + b" ")
    job_id = upload(page, visit.url, *photos, *more, type_name="disc")
    count_of(page)
    expect(page.get_by_test_id("job-count")).to_contain_text(str(30 + N_SMALL * len(more)))
    expect(page.get_by_role("button", name=OFFER)).to_have_count(0)
    places = [centre_of_object(visit.url, job_id, SMALL + k) for k in range(N_SMALL)]
    page.keyboard.press("d")
    for place in places:
        click_pixel(page, *place)
    wait_until_saved(page, N_LARGE)
    page.keyboard.press("Escape")
    return job_id


def offer_card(page: Page) -> str:
    return page.get_by_role("region", name="Use your corrections").inner_text()


def test_corrections_of_one_photo_are_offered_to_the_others(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    job_id = take_out_small_discs(visit, tmp_path)
    page.get_by_role("button", name=OFFER).click()
    expect(page.get_by_role("row", name="other.png 15 10 −5")).to_be_visible()
    assert f"and {N_SMALL} you took out" in " ".join(offer_card(page).split())
    expect(page.get_by_test_id("job-count")).to_contain_text("25")

    page.get_by_role("button", name="Apply to 1 photo").click()
    expect(page.get_by_test_id("job-count")).to_contain_text("20")
    expect(page.get_by_role("region", name="Use your corrections")).to_have_count(0)
    exemplars = config_of(visit.url, job_id)["exemplars"]
    assert isinstance(exemplars, list)
    assert all(one["corrected"] for one in exemplars)
    expect(page.get_by_text("15 examples from your corrections")).to_be_visible()


def test_a_photo_that_corrections_may_ruin_is_left_out_until_it_is_chosen(
    visit: Visit, tmp_path: Path
) -> None:
    page = visit.page
    job_id = take_out_small_discs(visit, tmp_path, small_only(tmp_path))
    page.get_by_role("button", name=OFFER).click()
    card = page.get_by_role("region", name="Use your corrections")
    good, doubtful = (card.get_by_role("checkbox", name=name) for name in ("other.png", "small.png"))
    expect(good).to_be_checked()
    expect(doubtful).not_to_be_checked()
    expect(doubtful).to_have_accessible_description("May be wrong: nothing would be left.")
    page.get_by_role("button", name="Apply to 1 photo").click()
    total = N_LARGE + N_LARGE + N_SMALL
    expect(page.get_by_test_id("job-count")).to_contain_text(str(total))
    assert "exemplars" not in config_of(visit.url, job_id)

    page.reload()
    expect(page.get_by_text("Corrected by a person")).to_be_visible()
    expect(page.get_by_role("button", name=OFFER)).to_have_count(0)


def test_an_offer_turned_down_changes_nothing_and_stays_away(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    take_out_small_discs(visit, tmp_path)
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_role("button", name=OFFER)).to_have_count(0)
    page.keyboard.press("Space")
    assert count_of(page) == N_LARGE + N_SMALL
    page.keyboard.press("Space")
    assert count_of(page) == N_LARGE
    expect(page.get_by_role("button", name=OFFER)).to_have_count(0)


def test_a_count_tells_its_scale_and_its_settings_and_can_be_kept(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    upload(page, visit.url, coins(tmp_path))
    count_of(page)
    expect(page.get_by_text("of the photo's size")).to_be_visible()
    page.get_by_text("Settings used").click()
    expect(page.get_by_text("the named type")).to_be_visible()
    with page.expect_download() as picture:
        page.get_by_role("link", name="Annotated photo").click()
    assert picture.value.path().stat().st_size > 0


def test_what_was_not_counted_is_offered_where_there_is_something(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    upload(page, visit.url, discs(tmp_path, 4), type_name="disc")
    assert count_of(page) == 4
    layer = page.get_by_role("checkbox", name="not counted")
    expect(page.get_by_role("link", name="Annotated photo")).to_be_visible()
    expect(layer).to_have_count(0)
    expect(page.get_by_role("link", name="Not counted")).to_have_count(0)
    page.keyboard.press(".")
    page.keyboard.press("Delete")
    wait_until_saved(page, 3)
    expect(page.get_by_test_id("not-counted")).to_have_text("1 not counted")
    expect(layer).to_have_accessible_name("1 not counted")
    expect(page.get_by_role("link", name="Not counted")).to_be_visible()


def test_facts_are_of_the_count_in_view(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    upload(page, visit.url, discs(tmp_path, 4), type_name="disc")
    assert count_of(page) == 4
    covered = page.get_by_text(re.compile(r"^\d+\.\d % of the photo$"))
    saved = covered.inner_text()
    page.get_by_text("Settings used").click()
    page.get_by_text("Count again with other settings").click()
    page.get_by_label("Largest").fill("1")
    expect(covered).to_have_text("0.0 % of the photo")
    expect(page.get_by_text("0 to 1 px²")).to_be_visible()
    page.get_by_role("button", name="Discard").click()
    expect(covered).to_have_text(saved)


def test_an_estimate_stands_beside_the_count_and_never_in_it(visit: Visit, tmp_path: Path) -> None:
    page = visit.page

    def with_estimate(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        body["data"]["images"][0]["density_estimate"] = {
            **{"count": 1412, "low": 1130, "high": 1520, "method": "heap"},
            "reason": "3 of 4 objects touch: some may hide others",
        }
        route.fulfill(response=answer, json=body)

    page.route("**/results?*", with_estimate)
    upload(page, visit.url, discs(tmp_path, 4), type_name="disc")
    assert count_of(page) == 4
    note = page.get_by_test_id("density")
    expect(note).to_contain_text("Estimate: about 1,412 (1,130 to 1,520)")
    expect(note).to_contain_text(
        "3 of 4 objects touch: some may hide others. It is worked out from the picture"
    )
    page.keyboard.press(".")
    page.keyboard.press("Delete")
    wait_until_saved(page, 3)
    expect(note).to_have_count(0)
