"""Tables of saved exemplars and settings, and of the images that they keep."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.columns import ID, LOCAL_OWNER, Base, UTCDateTime, utcnow
from app.ids import new_id
from app.uploads.models import Image


class Template(Base):
    """A way of counting under a name: a type, part of a ``config``, and exemplars with their ``file_id``."""

    __tablename__ = "templates"
    __table_args__ = (UniqueConstraint("owner_id", "name"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=lambda: new_id("tpl"))
    owner_id: Mapped[str] = mapped_column(ID, default=LOCAL_OWNER)
    name: Mapped[str] = mapped_column(String(100))
    type: Mapped[str] = mapped_column(String(100))
    config: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    exemplars: Mapped[list[Any]] = mapped_column(JSON, default=list)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    images: Mapped[list[Image]] = relationship(
        secondary="template_images", order_by="Image.id", passive_deletes=True
    )


class TemplateImage(Base):
    """An image that exemplars of a template lie in: retention spares it."""

    __tablename__ = "template_images"

    template_id: Mapped[str] = mapped_column(ForeignKey("templates.id", ondelete="CASCADE"), primary_key=True)
    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), primary_key=True, index=True)
