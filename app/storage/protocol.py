"""What every storage can do, and the two ways it fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

CHUNK_BYTES = 1 << 20
"""Bytes that are in memory at once while a file is copied."""


class ByteSource(Protocol):
    """Anything that gives bytes in pieces: an open file, an upload, an S3 body."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most ``size`` bytes, b"" at the end."""


class StorageError(Exception):
    """The storage did not do what was asked; nothing half-written can be seen."""


class NotFoundError(StorageError):
    """There is no file under this key."""


class Storage(Protocol):
    """Files by key (``app.storage.keys``). A key holds a whole file or none, also after a crash."""

    def put(self, key: str, stream: ByteSource) -> None:
        """Store the bytes of ``stream``, replacing what was there; the stream is not closed.

        Raises:
            StorageError: nothing was stored. UnsafeKeyError: the key is malformed.
        """

    def open(self, key: str, start: int = 0) -> AbstractContextManager[ByteSource]:
        """Open the bytes of a file from ``start`` on.

        Raises:
            NotFoundError: no such file. StorageError: it cannot be read.
        """

    def local_path(self, key: str) -> AbstractContextManager[Path]:
        """Give a path with the file's bytes to read: the file itself, or a copy that ends with the block.

        Raises:
            NotFoundError: no such file. StorageError: it cannot be read.
        """

    def size(self, key: str) -> int:
        """Return the bytes of a file; raises NotFoundError when there is none."""

    def exists(self, key: str) -> bool:
        """Return whether there is a file under this key."""

    def delete(self, key: str) -> None:
        """Remove a file; nothing happens when there is none."""

    def delete_prefix(self, prefix: str) -> None:
        """Remove all files below a folder of keys; nothing happens when there are none."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Give the keys below a folder of keys, in no order."""

    def free_share(self) -> float | None:
        """Return the free share of the disk in [0, 1]; None where there is no such limit."""

    def check(self) -> None:
        """Raise StorageError unless files can be written now."""
