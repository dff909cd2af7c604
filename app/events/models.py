"""Table of durable job events: what an SSE client that comes back has missed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.columns import ID, LOCAL_OWNER, Base, UTCDateTime, utcnow


class JobEvent(Base):
    """Event ``seq`` of a job; ``seq`` is the SSE id.

    It comes from ``Job.event_seq``, raised in the same transaction: the row lock makes commit order and
    number order the same, so that "all after n" never misses one that commits late.
    """

    __tablename__ = "job_events"
    __table_args__ = (UniqueConstraint("job_id", "seq"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ID, default=LOCAL_OWNER)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    seq: Mapped[int]
    type: Mapped[str] = mapped_column(String(32))
    data: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
