"""Table of human corrections; the counted objects are rebuilt from these, nothing is overwritten."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.columns import ID, LOCAL_OWNER, Base, UTCDateTime, utcnow
from app.ids import new_id


class Correction(Base):
    """One POST /correct. ``edits`` is its list of operations, ``human_count`` its bare number.

    ``version`` is the job image's version after it. A reverted one is kept and ignored, and
    ``count_after`` of later ones becomes what they make without it. It is below 0 where more is removed than
    a bare number leaves.
    """

    __tablename__ = "corrections"
    __table_args__ = (
        CheckConstraint("human_count IS NULL OR human_count >= 0", name="human_count"),
        Index("ix_corrections_job_image", "job_image_id", "version"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=lambda: new_id("cor"))
    owner_id: Mapped[str] = mapped_column(ID, default=LOCAL_OWNER, index=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    job_image_id: Mapped[int] = mapped_column(ForeignKey("job_images.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    edits: Mapped[list[Any]] = mapped_column(JSON, default=list)
    human_count: Mapped[int | None]
    count_before: Mapped[int]
    count_after: Mapped[int]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    reverted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
