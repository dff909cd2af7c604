"""``tally count --exemplar`` and ``--not-exemplar``: boxes and points, in the image that is named."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from PIL import Image as PillowImage

from app.commands.count import count
from tests.drawn import CENTRES, DISCS, HALF, SQUARES, discs, ground, tray


@pytest.fixture
def folder(tmp_path):
    """Fourteen discs of 8 px and large ones, six of 8 px, and a tray of 12 discs and 12 squares."""
    mixed = discs(discs(ground(), CENTRES[:14], 8), CENTRES[14:], 20)
    (tmp_path / "more").mkdir()
    PillowImage.fromarray(mixed).save(tmp_path / "mixed.png")
    PillowImage.fromarray(discs(ground(), CENTRES[:6], 8)).save(tmp_path / "small.png")
    PillowImage.fromarray(tray()).save(tmp_path / "tray.png")
    PillowImage.fromarray(tray()).save(tmp_path / "more" / "tray.png")
    return tmp_path


def run(*args, engine="classical"):
    return CliRunner().invoke(count, [*map(str, args), "--engine", engine, "--format", "json"])


def counts(*args, engine="classical"):
    return [row["count"] for row in json.loads(run(*args, engine=engine).stdout)]


def box(centre, half):
    return f"{centre[0] - half},{centre[1] - half},{2 * half + 1},{2 * half + 1}"


def point(centre):
    return f"{centre[0]},{centre[1]}"


@pytest.mark.parametrize("shown", [box(CENTRES[0], 8), point(CENTRES[0])], ids=["box", "point"])
def test_an_exemplar_in_the_first_image_counts_in_all(folder, shown):
    assert counts(folder / "mixed.png", folder / "small.png", "--exemplar", shown) == [14, 6]


@pytest.mark.parametrize("name", ["mixed.png", "{}/mixed.png"], ids=["name", "path"])
def test_an_exemplar_lies_in_the_image_that_it_names(folder, name):
    """The one named comes last, behind more images than are counted at once."""
    others = [folder / f"{number}.png" for number in range(10)]
    for other in others:
        PillowImage.open(folder / "small.png").save(other)
    shown = f"{name.format(folder)}:{box(CENTRES[-1], 20)}"
    assert counts(*others, folder / "mixed.png", "--exemplar", shown) == [0] * 10 + [len(CENTRES) - 14]


@pytest.mark.parametrize(
    "args",
    [
        ["--exemplar", box(DISCS[0], HALF), "--not-exemplar", box(SQUARES[0], HALF)],
        ["--exemplar", point(DISCS[0]), "--not-exemplar", point(SQUARES[0])],
        ["--not-exemplar", point(SQUARES[0])],
    ],
    ids=["boxes", "points", "negative alone"],
)
def test_mini_counts_what_is_like_one_and_unlike_the_other(folder, args):
    assert counts(folder / "tray.png", *args, engine="mini") == [12]


NO_PLACE, NOT_FINITE = "want a box x,y,w,h or a point x,y in px", "want finite numbers of px"
NO_SIZE = "want a width and height of at least 1 px"
WRONG = [
    *[(value, NO_PLACE) for value in ("1,2,3", "1", "", "a,2", ":1,2", "1,2,3,4,5")],
    *[(value, NOT_FINITE) for value in ("nan,2,5,5", "1,2,inf,5", "1,inf")],
    *[(value, NO_SIZE) for value in ("1,2,0,5", "1,2,5,-3", "tray.png:1,2,0,5")],
    ("gone.png:1,2", "want the name of one file that is counted, got 'gone.png', which fits none of 2"),
    ("ray.png:1,2", "which fits none of 2"),
    ("tray.png:1,2", "got 'tray.png', which fits 2: {0}/tray.png, {0}/more/tray.png"),
]


@pytest.mark.parametrize(("value", "message"), WRONG)
@pytest.mark.parametrize("option", ["--exemplar", "--not-exemplar"])
def test_a_bad_exemplar_is_a_wrong_command_that_says_what_was_wanted(folder, option, value, message):
    done = run(folder / "tray.png", folder / "more" / "tray.png", option, value)
    assert (done.exit_code, done.stdout) == (2, "")
    assert option in done.stderr
    assert message.format(folder) in done.stderr


def test_of_several_names_that_fit_the_whole_path_is_meant(folder):
    files = [folder / "tray.png", folder / "more" / "tray.png"]
    for name in (files[0], "more/tray.png"):
        shown = [
            "--exemplar",
            f"{name}:{box(DISCS[0], HALF)}",
            "--not-exemplar",
            f"{name}:{point(SQUARES[0])}",
        ]
        rows = json.loads(run(*files, *shown).stdout)
        where = {one["file_id"] for one in rows[0]["settings"]["exemplars"]}
        assert where == {str(files[0 if name == files[0] else 1])}
        assert [row["count"] for row in rows] == [12, 12]
