"""Alembic's entry point: migrate the application's database, or the URL a test sets."""

from alembic import context
from flask import current_app
from sqlalchemy import NullPool, create_engine

from app.columns import Base

config = context.config


def run() -> None:
    """Run the migrations in one transaction, in batch mode where the database is SQLite.

    On a server they have their own connection: on large tables a statement takes as long as it takes.
    """
    engine = current_app.extensions["migrate"].db.engine
    if engine.dialect.name != "sqlite":
        engine = create_engine(engine.url, poolclass=NullPool)
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=connection.dialect.name == "sqlite",
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
