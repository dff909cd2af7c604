"""``pytest tests/golden --update-golden`` rewrites the golden results before it compares."""

from __future__ import annotations

import pytest

from tests.golden import update


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag."""
    parser.addoption("--update-golden", action="store_true", help="write the golden results anew")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Write once, in the process that controls the others."""
    if session.config.getoption("--update-golden") and not hasattr(session.config, "workerinput"):
        update.main()
