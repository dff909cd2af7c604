"""Tables of what people send: one upload, its images."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.columns import ID, LOCAL_OWNER, Base, UTCDateTime, utcnow
from app.ids import new_id


class Upload(Base):
    """One request's files, kept until ``expires_at``."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=lambda: new_id("upl"))
    owner_id: Mapped[str] = mapped_column(ID, default=LOCAL_OWNER, index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)

    images: Mapped[list[Image]] = relationship(back_populates="upload", order_by="Image.position")


class Image(Base):
    """One uploaded file. Its bytes lie in storage under the sha256, once for all identical files.

    The public ``file_id`` is ``id``. ``filename`` is for display only. ``width`` and ``height`` are px
    after EXIF orientation. ``purged_at`` is set when retention has deleted the bytes.
    """

    __tablename__ = "images"
    __table_args__ = (
        CheckConstraint("width > 0 AND height > 0", name="size"),
        Index("ix_images_upload_position", "upload_id", "position"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=lambda: new_id("img"))
    owner_id: Mapped[str] = mapped_column(ID, default=LOCAL_OWNER, index=True)
    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"))
    position: Mapped[int]
    filename: Mapped[str] = mapped_column(String(255))
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    format: Mapped[str] = mapped_column(String(8))
    width: Mapped[int]
    height: Mapped[int]
    pages: Mapped[int] = mapped_column(default=1)
    size_bytes: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    purged_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    upload: Mapped[Upload] = relationship(back_populates="images")
