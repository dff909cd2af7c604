"""Add templates."""

import sqlalchemy as sa
from alembic import op

import app.columns

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BYTEWISE = {"mysql_collate": "utf8mb4_bin", "mariadb_collate": "utf8mb4_bin"}
"""Text compares byte by byte, as on SQLite: names that differ by case differ."""


def upgrade() -> None:
    """Create the tables of templates and of the images that they keep."""
    op.create_table(
        "templates",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("exemplars", sa.JSON(), nullable=False),
        sa.Column("created_at", app.columns.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_templates")),
        sa.UniqueConstraint("owner_id", "name", name=op.f("uq_templates_owner_id_name")),
        **BYTEWISE,
    )
    op.create_table(
        "template_images",
        sa.Column("template_id", sa.String(length=32), nullable=False),
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["template_id"],
            ["templates.id"],
            name=op.f("fk_template_images_template_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_template_images_image_id")),
        sa.PrimaryKeyConstraint("template_id", "image_id", name=op.f("pk_template_images")),
        **BYTEWISE,
    )
    with op.batch_alter_table("template_images", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_template_images_image_id"), ["image_id"], unique=False)


def downgrade() -> None:
    """Drop the tables; jobs that used a template keep its settings."""
    op.drop_table("template_images")
    op.drop_table("templates")
