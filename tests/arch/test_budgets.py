"""Files and functions stay small enough to be read at once."""

from __future__ import annotations

import ast
import statistics

import pytest

from tests.arch.sources import name_of, python_files, tracked_files, tree

MAX_FILE_LINES = 400
MAX_FUNCTION_P90 = 40
MAX_FUNCTION_MEDIAN = 15
MAX_CONFTEST_LINES = 150


def function_lengths(*folders: str) -> list[int]:
    return [
        node.end_lineno - node.lineno + 1
        for path in python_files(*folders)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    ]


def test_no_source_file_is_longer_than_400_lines() -> None:
    code = [p for p in tracked_files() if p.suffix in {".py", ".ts", ".svelte", ".css"}]
    lengths = {name_of(p): len(p.read_text(encoding="utf-8").splitlines()) for p in code}
    generated = {name for name in lengths if name.endswith("lib/api/schema.ts")}
    assert {name: n for name, n in lengths.items() if n > MAX_FILE_LINES and name not in generated} == {}


@pytest.mark.parametrize("folder", ["app", "pipeline"])
def test_functions_are_short(folder: str) -> None:
    lengths = function_lengths(folder)
    assert statistics.median(lengths) <= MAX_FUNCTION_MEDIAN
    assert statistics.quantiles(lengths, n=10)[-1] <= MAX_FUNCTION_P90


def test_conftest_files_stay_readable() -> None:
    long = [
        name_of(p)
        for p in python_files("tests")
        if p.name == "conftest.py" and len(p.read_text().splitlines()) > MAX_CONFTEST_LINES
    ]
    assert long == []


def test_no_file_has_a_name_that_says_nothing() -> None:
    vague = {"utils.py", "helpers.py", "common.py", "core.py", "misc.py"}
    assert [name_of(p) for p in tracked_files() if p.name in vague] == []
