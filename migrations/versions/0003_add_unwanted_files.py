"""Add the files that are still to be deleted."""

import sqlalchemy as sa
from alembic import op

import app.columns

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BYTEWISE = {"mysql_collate": "utf8mb4_bin", "mariadb_collate": "utf8mb4_bin"}
"""Text compares byte by byte, as on SQLite: names that differ by case differ."""


def upgrade() -> None:
    """Create the table of files that nobody needs and that are not gone yet."""
    op.create_table(
        "unwanted_files",
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("owner_id", sa.String(length=32), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("created_at", app.columns.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_unwanted_files")),
        **BYTEWISE,
    )


def downgrade() -> None:
    """Drop the table; files that were still to be deleted stay."""
    op.drop_table("unwanted_files")
