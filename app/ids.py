"""Public identifiers: a prefix and a ULID, so they sort by time and cannot be guessed."""

import os
import time
from typing import Literal

from ulid import ULID

Prefix = Literal["upl", "img", "job", "cor", "typ", "req", "tpl"]


def new_id(prefix: Prefix) -> str:
    """Return a fresh id such as ``job_01j...`` (30 characters, lower case).

    ``ULID()`` itself only adds 1 to the one before in the same millisecond, which anybody can do.
    """
    milliseconds = time.time_ns() // 1_000_000
    return f"{prefix}_{ULID.from_bytes(milliseconds.to_bytes(6, 'big') + os.urandom(10))}".lower()
