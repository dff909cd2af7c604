"""Migrations: one head, equal to the models, and every step can be taken back, on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import inspect

from app import create_app
from app.columns import Base
from app.config import Config
from app.extensions import db
from tests.arch.sources import ROOT


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    app = create_app(Config(database_url=database_url))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def table_names() -> set[str]:
    return set(inspect(db.engine).get_table_names()) - {"alembic_version"}


def test_there_is_one_head_and_the_numbers_have_no_gap() -> None:
    script = ScriptDirectory(str(ROOT / "migrations"))
    assert len(script.get_heads()) == 1
    revisions = sorted(revision.revision for revision in script.walk_revisions())
    assert revisions == [f"{number:04}" for number in range(1, len(revisions) + 1)]


def test_the_migrated_schema_is_the_one_the_models_describe(app: Flask) -> None:
    flask_migrate.upgrade()
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_schema_goes_up_down_and_up_again(app: Flask) -> None:
    flask_migrate.upgrade()
    created = table_names()
    assert created == set(Base.metadata.tables)
    flask_migrate.downgrade(revision="base")
    assert table_names() == set()
    flask_migrate.upgrade()
    assert table_names() == created


def test_every_table_has_an_owner_or_belongs_to_a_row_that_has(app: Flask) -> None:
    unowned = {
        name
        for name, table in Base.metadata.tables.items()
        if "owner_id" not in table.columns and not table.foreign_keys
    }
    assert unowned == set()
