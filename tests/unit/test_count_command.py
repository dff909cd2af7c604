"""``tally count``: rows on standard output, everything else elsewhere, exit codes for scripts."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as PillowImage

from app.commands.count import COLUMNS, count
from pipeline import looks
from pipeline.classify import classifier_choice
from pipeline.contract import STAGES
from pipeline.run import count_batch
from tests.doubles.components import ComponentsSegmenter
from tests.drawn import CENTRES, discs, ground


@pytest.fixture
def folder(tmp_path):
    """Pictures of 3 and 5 discs, the second in a subfolder, and a file that is no picture."""
    (tmp_path / "more").mkdir()
    PillowImage.fromarray(discs(ground(), CENTRES[:3], 20)).save(tmp_path / "a.png")
    PillowImage.fromarray(discs(ground(), CENTRES[:5], 20)).save(tmp_path / "more" / "B.PNG")
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def run(*args):
    return CliRunner().invoke(count, [*map(str, args), "--engine", "classical"])


def test_json_is_one_object_an_image_in_the_order_given(folder):
    done = run(folder / "more" / "B.PNG", folder / "a.png", "--format", "json", "--type", "disc")
    rows = json.loads(done.stdout)
    assert done.exit_code == 0
    assert [tuple(row) for row in rows] == [COLUMNS, COLUMNS]
    assert [row["count"] for row in rows] == [5, 3]
    first = rows[0]
    assert first["file"] == str(folder / "more" / "B.PNG")
    assert first["by_type"] == {"disc": 5}
    assert first["count_interval"][0] <= 5 <= first["count_interval"][1]
    assert first["groups"] == [{"id": 0, "name": "group 1", "count": 5}]
    assert (first["engine"], first["error"]) == ("classical", None)
    assert {type(row["needs_review"]) for row in rows} == {bool}
    assert first["seconds"] > 0


def test_json_says_how_it_was_counted_and_what_was_not(folder):
    picture = folder / "mixed.png"
    PillowImage.fromarray(discs(discs(ground(), CENTRES[:14], 8), CENTRES[14:], 20)).save(picture)
    (x, y), (far_x, far_y) = CENTRES[0], CENTRES[-1]
    asked = (picture, "--exemplar", f"{x - 8},{y - 8},17,17")
    (row,) = json.loads(run(*asked, "--format", "json", "--rejected").stdout)
    assert row["rejected"] == {"unlike_exemplar": 14}
    unlike = row["rejected_candidates"]
    assert [one["reason"] for one in unlike] == ["unlike_exemplar"] * 14
    assert len({one["object_id"] for one in unlike}) == 14
    assert any(
        [one["bbox"][side] for side in ("x1", "y1", "x2", "y2")]
        == pytest.approx([far_x - 20, far_y - 20, far_x + 21, far_y + 21], abs=3)
        for one in unlike
    )
    assert run(*asked).stdout.splitlines()[1].endswith("  14 unlike_exemplar")
    assert row["settings"]["engine"] == "classical"
    digest = hashlib.sha256(looks.MODEL.read_bytes()).hexdigest()
    assert row["patch_models"] == {"looks": digest} or classifier_choice()[0] != "looks"
    details = row["engine_details"]
    assert (details["scales"], details["typical_radius_px"]) == ([], pytest.approx(8, abs=1.5))


def test_json_names_what_showed_the_engine_where_to_look(folder, monkeypatch):
    engine = ComponentsSegmenter()
    engine.info = replace(engine.info, prompt_models={"mini": "1" * 64})
    monkeypatch.setattr("pipeline.run.load", lambda name, model, mode: (engine, "a double"))
    (row,) = json.loads(run(folder / "a.png", "--format", "json").stdout)
    assert (row["engine"], row["prompt_models"]) == ("components", {"mini": "1" * 64})


def test_a_row_says_which_parts_took_part_as_the_api_names_them(folder, monkeypatch):
    made_by = {"model": "vit_b", "weights_sha256": "ab" * 32, "dtype": "float16", "device": "cuda:0"}

    def by_another_engine(requests, **known):
        for outcome in count_batch(requests, **known):
            provenance = replace(outcome.result.provenance, **made_by)
            named = replace(outcome.result, provenance=provenance, labelled_by="imagenet+open_clip")
            yield replace(outcome, result=named)

    monkeypatch.setattr("pipeline.run.count_batch", by_another_engine)
    (row,) = json.loads(run(folder / "a.png", "--format", "json").stdout)
    assert {name: row[name] for name in made_by} == made_by
    assert row["labelled_by"] == "imagenet+open_clip"
    assert set(row["timings_s"]) <= set(STAGES)
    assert sum(row["timings_s"].values()) == pytest.approx(row["seconds"], abs=0.001)
    (told,) = csv.DictReader(io.StringIO(run(folder / "a.png", "--format", "csv").stdout))
    assert (told["device"], set(json.loads(told["timings_s"]))) == ("cuda:0", set(row["timings_s"]))


def test_what_was_seen_too_faintly_stands_beside_the_rejections(folder, monkeypatch):
    def with_faint(requests, **known):
        for outcome in count_batch(requests, **known):
            x, y = CENTRES[0]
            faint = np.array([(x, y, 50, 0.4), (300, 390, 100 * np.pi, 0.25)], np.float32)
            batch = replace(outcome.candidates.batch, faint=faint)
            yield replace(outcome, candidates=replace(outcome.candidates, batch=batch))

    monkeypatch.setattr("pipeline.run.count_batch", with_faint)
    (row,) = json.loads(run(folder / "a.png", "--format", "json", "--rejected").stdout)
    assert (row["count"], row["rejected"], row["faint"]) == (3, {}, 1), "one lies in a counted object"
    assert row["faint_things"] == [{"x": 300, "y": 390, "radius": 10, "confidence": 0.25}]
    assert run(folder / "a.png").stdout.splitlines()[1].endswith("  1 faint")


def test_the_scale_that_the_engine_chose_is_shown(folder):
    mini = [str(folder / "a.png"), "--engine", "mini"]
    (row,) = json.loads(CliRunner().invoke(count, [*mini, "--format", "json"]).stdout)
    scales = row["engine_details"]["scales"]
    assert all(8 <= 20 * scale <= 27 for scale in scales), "a disc of 20 px fits the network"
    assert f"{scales[0]:.2f}" in CliRunner().invoke(count, mini).stdout.splitlines()[1]


def test_the_table_says_why_a_count_asks_for_a_look(folder):
    PillowImage.fromarray(ground()).save(folder / "nothing.png")
    table = run(folder / "nothing.png", folder / "a.png").stdout.splitlines()
    assert table[4:] == [f"{folder / 'nothing.png'}: please check, nothing was found"]


def test_the_table_ends_with_a_total_and_how_sure_it_is(folder, monkeypatch):
    def in_doubt(requests, **known):
        for outcome in count_batch(requests, **known):
            n = outcome.result.count if outcome.result else 0
            yield replace(
                outcome, result=outcome.result and replace(outcome.result, count_interval=(n - 1, n + 2))
            )

    monkeypatch.setattr("pipeline.run.count_batch", in_doubt)
    pictures = folder / "a.png", folder / "more" / "B.PNG"
    totals = [
        run(*some).stdout.splitlines()[len(some) + 1 :]
        for some in (
            pictures,
            (*pictures, folder / "notes.txt"),
            pictures[:1],
            (folder / "notes.txt", folder / "gone.png"),
        )
    ]
    assert [[line.split("  ")[0] for line in lines] for lines in totals] == [
        ["in all images"],
        ["in 2 of 3 images"],
        [],
        [],
    ]
    assert [totals[i][0].split()[-2:] for i in (0, 1)] == [["8", "6-12"]] * 2


def test_the_bundled_types_are_known_by_their_synonyms(folder):
    (row,) = json.loads(run(folder / "a.png", "--type", "Euro coins", "--format", "json").stdout)
    assert row["by_type"] == {"coin": 3}


@pytest.fixture
def no_heic(monkeypatch):
    """As where pillow-heif is not installed."""
    monkeypatch.setattr("pipeline.formats.find_spec", lambda name: None)


@pytest.mark.usefixtures("no_heic")
def test_a_heic_picture_is_refused_with_what_to_do(folder):
    (folder / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(12))
    (row,) = json.loads(run(folder / "IMG_1.HEIC", "--format", "json").stdout)
    assert row["error"].startswith(
        "FILE_ERROR: want JPEG, PNG, TIFF or WebP, got HEIC: export it as JPEG, or"
    )
    assert "pip install pillow-heif" in row["error"]


def test_a_heic_picture_of_a_folder_is_counted_where_it_is_read(folder):
    pytest.importorskip("pillow_heif").register_heif_opener()
    PillowImage.fromarray(discs(ground(), CENTRES[:6], 20)).save(folder / "IMG_1.HEIC", format="HEIF")
    done = run(folder, "--format", "json")
    assert [row["count"] for row in json.loads(done.stdout)] == [6, 3, 5]
    assert "not counted" not in done.stderr


def test_folders_and_globs_find_pictures_only_and_each_once(folder):
    rows = json.loads(run(folder, str(folder / "*.png"), "--format", "json").stdout)
    assert [row["file"] for row in rows] == [str(folder / "a.png"), str(folder / "more" / "B.PNG")]


def test_a_bad_image_is_a_row_and_exit_code_1(folder):
    done = run(folder / "notes.txt", folder / "a.png", folder / "gone.png", "--format", "json")
    rows = json.loads(done.stdout)
    assert done.exit_code == 1
    assert [row["count"] for row in rows] == [None, 3, None]
    assert rows[0]["error"].startswith("FILE_ERROR: want JPEG, PNG, TIFF")
    assert rows[2]["error"] == "FILE_NOT_FOUND: no file gone.png"


def test_examples_in_an_image_that_fails_count_nothing_and_say_so(folder):
    done = run(folder / "notes.txt", folder / "a.png", "--exemplar", "1,2,30,30", "--format", "json")
    rows = json.loads(done.stdout)
    assert [row["count"] for row in rows] == [None, None]
    wanted = f"INVALID_CONFIG: the examples lie in {folder / 'notes.txt'}, which was not counted"
    assert (done.exit_code, rows[1]["error"]) == (1, wanted)
    shown = ("--exemplar", "a.png:1,2,30,30", "--exemplar", "notes.txt:1,2")
    (first, second) = json.loads(
        run(folder / "a.png", folder / "notes.txt", *shown, "--format", "json").stdout
    )
    assert first["error"] == wanted
    assert second["error"].startswith("FILE_ERROR")


@pytest.mark.parametrize(
    "args",
    [[], ["nothing*.png"], ["a.png", "--engine", "yolo"], ["a.png", "--format", "xml"],
     ["a.png", "--rejected"], ["a.png", "--engine", "mini", "--model", "vit_b"], ["a.png", "--type", " "]],
)  # fmt: skip
def test_a_wrong_command_is_exit_code_2_and_says_nothing_on_stdout(args):
    done = CliRunner().invoke(count, args)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "Error: " in done.stderr


def test_an_empty_folder_is_a_wrong_command(tmp_path):
    assert run(tmp_path).exit_code == 2


@pytest.mark.parametrize("path", ["empty", "gone*.png"])
def test_a_path_without_images_is_not_missed_beside_others(folder, path):
    (folder / "empty").mkdir()
    done = run(folder / "a.png", folder / path)
    assert (done.exit_code, done.stdout) == (2, "")
    assert path in done.stderr
    assert "a.png" not in done.stderr.replace(path, "")


@pytest.mark.usefixtures("no_heic")
def test_pictures_of_a_folder_that_cannot_be_read_are_named(folder):
    for name in ("IMG_1.HEIC", "old.bmp"):
        (folder / name).write_bytes(b"a picture")
    (folder / "a.png").rename(folder / "a.jfif")
    done = run(folder, "--format", "json")
    assert [row["count"] for row in json.loads(done.stdout)] == [3, 5]
    assert "2 not counted, want JPEG, PNG, TIFF or WebP: IMG_1.HEIC, old.bmp\n" in done.stderr
    assert "HEIC: export it as JPEG, or install the extra heif" in done.stderr
    assert "notes.txt" not in done.stderr


def test_pages_that_are_not_counted_are_told(folder):
    pages = [PillowImage.open(folder / name) for name in ("a.png", "more/B.PNG")]
    path = folder / "pages.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    first, every = (
        json.loads(run(path, "--format", "json", "--pages", which).stdout)[0] for which in ("first", "all")
    )
    assert [row["count"] for row in (first, every)] == [3, 8]
    assert first["review_reason"] == "only the first of 2 pages was counted"
    assert every["review_reason"] != first["review_reason"]


def test_csv_has_the_same_columns(folder):
    done = run(folder / "a.png", folder / "notes.txt", "--format", "csv")
    good, bad = csv.DictReader(io.StringIO(done.stdout))
    assert tuple(good) == (*COLUMNS, "count:object")
    assert (good["count:object"], bad["count:object"]) == ("3", "")
    assert (good["count"], json.loads(good["by_type"]), good["error"]) == ("3", {"object": 3}, "")
    assert (bad["count"], bad["error"][:10]) == ("", "FILE_ERROR")


def test_csv_has_a_column_for_each_kind_of_all_images(folder, monkeypatch):
    def of_two_kinds(requests, **known):
        for outcome in count_batch(requests, **known):
            kinds = {"nut": 3} if outcome.result.count == 3 else {"nut": 4, "washer": 1}
            yield replace(outcome, result=replace(outcome.result, by_type=kinds))

    monkeypatch.setattr("pipeline.run.count_batch", of_two_kinds)
    rows = csv.DictReader(io.StringIO(run(folder / "a.png", folder / "more", "--format", "csv").stdout))
    assert [(row["count"], row["count:nut"], row["count:washer"]) for row in rows] == [
        ("3", "3", "0"),
        ("5", "4", "1"),
    ]


def test_table_shows_count_and_error(folder):
    lines = run(folder / "a.png", folder / "notes.txt").stdout.splitlines()
    assert " ".join(lines[0].split()) == "file count 90 % interval review engine scale seconds not counted"
    assert lines[1].split()[1] == "3"
    assert lines[1][-1].isdigit(), "nothing was left out"
    assert "FILE_ERROR" in lines[2]


def test_a_picture_that_is_there_twice_asks_for_a_look(folder):
    copy = folder / "more" / "copy.png"
    copy.write_bytes((folder / "a.png").read_bytes())
    done = run(folder / "a.png", copy)
    assert done.stdout.endswith(
        f"{copy}: please check, the same picture as {folder / 'a.png'}; both are counted\n"
    )
    assert [row["needs_review"] for row in json.loads(run(folder, "--format", "json").stdout)] == [0, 0, 1]


def test_overlays_of_equal_names_do_not_overwrite_each_other(folder):
    copy = folder / "more" / "a.png"
    copy.write_bytes((folder / "a.png").read_bytes())
    out = folder / "out" / "deep"
    assert run(folder / "a.png", copy, "--out", out).exit_code == 0
    kinds = ("annotated", "heatmap", "rejected", "thumbnail")
    assert sorted(p.name for p in out.iterdir()) == [f"00{i}_a_{k}.jpg" for i in (1, 2) for k in kinds]


def test_nothing_but_json_goes_to_standard_output_and_torch_stays_out(folder):
    script = (
        "import sys\n"
        "from app.commands.count import count\n"
        "count(sys.argv[1:], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    argv = [sys.executable, "-c", script, str(folder), "--engine", "classical", "--format", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [row["count"] for row in json.loads(done.stdout)] == [3, 5]
