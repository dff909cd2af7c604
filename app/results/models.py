"""Table of the counted objects, as they stand after settings and human edits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.columns import Base


class Instance(Base):
    """One counted object of one job image.

    Convention:
        half-open box in image px; ``polygon`` is a flat list [x1, y1, x2, y2, ...] in image px.

    Attributes:
        object_id: stable within the job image: ``c<index>`` for a stored candidate, ``h<...>`` for
            one a human drew.
        number: the number on the overlay, from 1 in reading order.
        source: ``model`` or ``human``.
    """

    __tablename__ = "instances"
    __table_args__ = (
        UniqueConstraint("job_image_id", "object_id"),
        CheckConstraint("source IN ('model', 'human')", name="source"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    job_image_id: Mapped[int] = mapped_column(ForeignKey("job_images.id", ondelete="CASCADE"))
    object_id: Mapped[str] = mapped_column(String(40))
    number: Mapped[int]
    label: Mapped[str] = mapped_column(String(100))
    confidence: Mapped[float]
    x_min: Mapped[float]
    y_min: Mapped[float]
    x_max: Mapped[float]
    y_max: Mapped[float]
    area: Mapped[int]
    group_id: Mapped[int] = mapped_column(default=-1)
    polygon: Mapped[list[Any]] = mapped_column(JSON)
    source: Mapped[str] = mapped_column(String(8), default="model")
