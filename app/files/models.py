"""Table of stored files that nobody needs any more, and that are not gone yet."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.columns import ID, LOCAL_OWNER, Base, UTCDateTime, utcnow
from app.storage.keys import MAX_KEY_CHARS


class UnwantedFile(Base):
    """A key, or a folder of keys, to delete: written with what makes it unwanted, removed when it is gone.

    Attributes:
        sha256: of a thumbnail's file, which another job may show by now; None for what belongs to one job.
    """

    __tablename__ = "unwanted_files"

    key: Mapped[str] = mapped_column(String(MAX_KEY_CHARS), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ID, default=LOCAL_OWNER)
    sha256: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
