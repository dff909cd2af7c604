"""Files by key, on a local folder or any S3 API: streamed, atomic, never under a user's name."""

from __future__ import annotations

from flask import current_app

from app.config import Config
from app.storage.keys import UnsafeKeyError
from app.storage.protocol import NotFoundError, Storage, StorageError

__all__ = ["NotFoundError", "Storage", "StorageError", "UnsafeKeyError", "open_storage", "storage"]


def open_storage(config: Config) -> Storage:
    """Return the storage that ``TALLY_STORAGE_URL`` names."""
    if config.storage_url.startswith("s3://"):
        from app.storage.s3 import S3Storage  # boto3 costs half a second and 30 MB: only who needs it

        return S3Storage.from_url(config.storage_url, config.s3_endpoint_url or None)
    from app.storage.local import LocalStorage

    return LocalStorage(config.storage_url)


def storage() -> Storage:
    """Return the running application's storage."""
    found: Storage = current_app.extensions["tally_storage"]
    return found
