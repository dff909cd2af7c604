"""``tally count --rules``: a bundled set by name, or a file; wrong rules are a wrong command."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from PIL import Image as PillowImage

from app.commands.count import count
from tests.drawn import CENTRES, discs, ground

pytest.importorskip("clingo", reason="rules need the worker extra")
FIELD = "INVALID_CONFIG: config.symbolic_reasoning.rules: "


@pytest.fixture
def photo(tmp_path):
    """Four discs of one size, and a fifth of a tenth of their area."""
    PillowImage.fromarray(discs(discs(ground(), CENTRES[:4], 24), CENTRES[4:5], 8)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def run(photo, *args):
    return CliRunner().invoke(count, [str(photo), "--engine", "classical", *map(str, args)])


def test_a_bundled_set_is_taken_by_name(photo):
    (row,) = json.loads(run(photo, "--rules", "typical_size", "--format", "json").stdout)
    assert (row["count"], row["rejected"]) == (4, {"rule": 1})
    assert row["settings"]["symbolic_reasoning"] == {"enabled": True, "rules": "typical_size"}


def test_a_file_holds_a_program(photo, tmp_path):
    file = tmp_path / "small.lp"
    file.write_text("% größer\nreject(C, large) :- area(C, A), A > 900.\n", encoding="utf-8-sig")
    (row,) = json.loads(run(photo, "--rules", file, "--format", "json").stdout)
    assert (row["count"], row["rejected"]) == (1, {"rule": 4})
    assert row["settings"]["symbolic_reasoning"]["rules"].startswith("% größer\nreject")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("reject(C, x).", FIELD + "line 1:1-14: error: unsafe"),
        ("reject(C, x) :- aera(C, 4).", FIELD + "line 1:17-27: atom does not occur"),
        ("no_such_set\n", FIELD + "want rules text or one of counting_frame"),
        ("%" * 20_001, FIELD + "want at most 20000 characters, got 20001"),
        ("%" * 90_000, FIELD + "want at most 20000 characters"),
        (" \n", FIELD + "want rules text or a saved name, got none"),
        (b"\xff\xfe", "want a text file in UTF-8"),
    ],
)
def test_a_wrong_program_is_a_wrong_command(photo, tmp_path, text, told):
    file = tmp_path / "rules.lp"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = run(photo, "--rules", file)
    assert (done.exit_code, done.stdout) == (2, "")
    assert told in done.stderr


def test_a_name_that_is_neither_set_nor_file_is_a_wrong_command(photo, tmp_path):
    for name in ("no_such_set", tmp_path):
        done = run(photo, "--rules", name)
        assert (done.exit_code, done.stdout) == (2, "")
        wanted = f"want one of counting_frame, parts_name_wholes, typical_size, or a file, got {str(name)!r}"
        assert wanted in done.stderr
