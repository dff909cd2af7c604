"""No text, however odd, makes a key that leads out of the storage folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.storage import UnsafeKeyError
from app.storage.keys import checked
from app.storage.local import LocalStorage

ROOT = Path("/storage/root")


@given(
    st.one_of(st.text(), st.lists(st.sampled_from(["..", ".", "a", "", "a.b", "~", "a..b"])).map("/".join))
)
@example("..")
@example("a/../../b")
def test_a_key_is_refused_or_stays_below_the_root(key: str) -> None:
    try:
        path = LocalStorage(ROOT)._path(key)
    except UnsafeKeyError:
        return
    assert path.resolve().is_relative_to(ROOT)
    assert path != ROOT
    assert path.relative_to(ROOT).as_posix() == key


@given(st.from_regex(r"[a-z0-9]{1,20}(/[a-z0-9]{1,20}){0,3}(\.[a-z]{3})?", fullmatch=True))
def test_ordinary_keys_are_accepted(key: str) -> None:
    assert checked(key) == key


def test_a_key_longer_than_the_database_column_is_refused() -> None:
    with pytest.raises(UnsafeKeyError):
        checked("a" * 256)
