"""Every error code has one entry in one table, a section on its page, and a test that provokes it."""

from __future__ import annotations

import re

import pytest

from app.error_codes import ERROR_CODES
from pipeline.contract import ErrorCode
from tests.arch.sources import ROOT, tracked_files
from tools.write_errors_page import PAGE, render

LATER = {"UNAUTHORIZED", "FORBIDDEN"}  # reserved; not raised yet


def test_the_page_is_the_one_that_the_table_gives() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "make openapi"


def test_every_code_of_the_pipeline_is_in_the_table() -> None:
    assert set(ErrorCode) <= set(ERROR_CODES)


def test_a_code_without_a_status_is_the_failure_of_a_job() -> None:
    assert {code for code, kind in ERROR_CODES.items() if kind.status is None} <= set(ErrorCode)


@pytest.mark.parametrize("code", sorted(ERROR_CODES))
def test_every_code_says_what_happened_and_what_to_do(code: str) -> None:
    kind = ERROR_CODES[code]
    assert kind.meaning.endswith((".", ")."))
    assert kind.remedy.endswith(".")
    assert kind.status is None or 400 <= kind.status < 600


@pytest.mark.parametrize("code", sorted(set(ERROR_CODES) - LATER))
def test_a_test_names_the_code(code: str) -> None:
    here = ROOT / "tests" / "arch"
    tests = [
        p
        for p in tracked_files()
        if p.name.startswith("test_") and p.suffix == ".py" and here not in p.parents
    ]
    assert any(re.search(rf"\b{code}\b", p.read_text(encoding="utf-8")) for p in tests)
