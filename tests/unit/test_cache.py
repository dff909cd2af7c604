"""What is kept to spare work: written in one step or not at all, and where it cannot be, told once."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pipeline import cache


@pytest.fixture(autouse=True)
def _untold() -> None:
    cache._tell_once.cache_clear()


def test_what_is_kept_is_there_with_its_folders_and_nothing_else(tmp_path: Path) -> None:
    for body in (b"first", b"second"):
        cache.keep(tmp_path / "texts" / "a.npy", body)
    assert [(file.name, file.read_bytes()) for file in (tmp_path / "texts").iterdir()] == [
        ("a.npy", b"second")
    ]


def test_a_write_that_fails_leaves_no_part(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.npy").mkdir()  # no file can take the place of a folder
    cache.keep(tmp_path / "a.npy", b"body")
    assert [file.name for file in tmp_path.iterdir()] == ["a.npy"]
    assert len(caplog.records) == 1


def test_a_folder_that_cannot_be_written_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "blocked").write_text("")
    for name in ("a", "b"):
        cache.keep(tmp_path / "blocked" / "texts" / name, b"body")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"want a folder that can be written, got {tmp_path / 'blocked' / 'texts'}" in record.getMessage()


def test_the_folder_is_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_CACHE_DIR", str(tmp_path))
    assert cache.cache_dir() == tmp_path
    monkeypatch.delenv("TALLY_CACHE_DIR")
    assert cache.cache_dir() == Path("var/cache")
