"""Table of the finite set of things that can be counted by name."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.columns import ID, LOCAL_OWNER, Base, UTCDateTime, utcnow
from app.ids import new_id


class ObjectType(Base):
    """A countable type: synonyms and prompts are lists of strings, colour is ``#rrggbb``."""

    __tablename__ = "object_types"
    __table_args__ = (UniqueConstraint("owner_id", "name"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=lambda: new_id("typ"))
    owner_id: Mapped[str] = mapped_column(ID, default=LOCAL_OWNER)
    name: Mapped[str] = mapped_column(String(100))
    synonyms: Mapped[list[Any]] = mapped_column(JSON, default=list)
    prompts: Mapped[list[Any]] = mapped_column(JSON, default=list)
    colour: Mapped[str] = mapped_column(String(7), default="#2f81f7")
    min_area_px: Mapped[int | None]
    max_area_px: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
