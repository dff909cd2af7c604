"""Every error code is explained in docs/errors.md, with its status, and a test provokes it."""

from __future__ import annotations

import re

import pytest

from app.errors import HTTP_STATUS
from pipeline.contract import NOT_RETRIED, ErrorCode
from tests.arch.sources import ROOT, tracked_files

SECTION = re.compile(r"^## (\w+)\n\n\*(.+?)\.\* .+\n\nWhat to do: .+$", re.MULTILINE)
CODES = sorted(set(HTTP_STATUS) | set(ErrorCode))
LATER = {"UNAUTHORIZED", "FORBIDDEN"}  # reserved for accounts (spec section 5); nothing raises them yet


def documented() -> dict[str, str]:
    return dict(SECTION.findall((ROOT / "docs" / "errors.md").read_text()))


def test_the_page_explains_exactly_the_codes_there_are() -> None:
    assert sorted(documented()) == CODES


@pytest.mark.parametrize("code", CODES)
def test_the_page_gives_the_status_and_whether_it_is_retried(code: str) -> None:
    where = documented()[code]
    assert (f"HTTP {HTTP_STATUS[code]}" in where) if code in HTTP_STATUS else ("HTTP" not in where)
    assert ("job" in where) == (code in set(ErrorCode))
    assert ("not retried" in where) == (code in NOT_RETRIED)


@pytest.mark.parametrize("code", [code for code in CODES if code not in LATER])
def test_a_test_names_the_code(code: str) -> None:
    here = ROOT / "tests" / "arch"
    tests = [
        p
        for p in tracked_files()
        if p.name.startswith("test_") and p.suffix == ".py" and here not in p.parents
    ]
    assert any(re.search(rf"\b{code}\b", p.read_text(encoding="utf-8")) for p in tests)
