"""Fixtures of the service tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.storage.local import LocalStorage
from tests.services.client import Client
from tests.services.workplace import Workplace

MakeWorkplace = Callable[..., Workplace]


@pytest.fixture(autouse=True)
def roomy_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no upload be deleted early because the disk of the machine that runs the tests is nearly full."""
    monkeypatch.setattr(LocalStorage, "free_share", lambda self: 1.0)


@pytest.fixture
def make_workplace(
    request: pytest.FixtureRequest, database_url: str, tmp_path: Path
) -> Iterator[MakeWorkplace]:
    """Make a workplace on an empty database; ``redis_url`` defaults to an empty Redis."""
    made: list[Workplace] = []

    def make(redis_url: str | None = None, **settings: Any) -> Workplace:
        url = redis_url or request.getfixturevalue("redis_url")
        made.append(Workplace(database_url, url, tmp_path, **settings))
        return made[-1]

    yield make
    for workplace in made:
        workplace.close()


@pytest.fixture
def workplace(make_workplace: MakeWorkplace) -> Workplace:
    """Return a workplace with a database and a Redis of its own."""
    return make_workplace()


@pytest.fixture
def client(make_workplace: MakeWorkplace) -> Client:
    """Return a client of a workplace that lets it ask as often as it likes."""
    return Client(make_workplace(rate_limit_per_minute=100_000))
