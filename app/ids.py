"""Public identifiers: a prefix and a ULID, so they sort by time and cannot be guessed."""

from typing import Literal

from ulid import ULID

Prefix = Literal["upl", "img", "job", "cor", "typ", "req", "tpl"]


def new_id(prefix: Prefix) -> str:
    """Return a fresh id such as ``job_01j...`` (30 characters, lower case)."""
    return f"{prefix}_{str(ULID()).lower()}"
