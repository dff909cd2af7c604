"""Files in a folder of this machine: written beside, flushed, then renamed into place."""

from __future__ import annotations

import io
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.storage.keys import checked
from app.storage.protocol import CHUNK_BYTES, ByteSource, NotFoundError, StorageError

INCOMING = ".incoming"
"""Folder of files being written; a key cannot start with a dot."""


class LocalStorage:
    """Storage in one folder."""

    def __init__(self, root: str | Path) -> None:
        """Use ``root``; it is created at the first write."""
        self.root = Path(root).absolute()

    def put(self, key: str, stream: ByteSource) -> None:
        """Store the bytes of ``stream`` under ``key``; see ``Storage.put``."""
        target = self._path(key)
        incoming = self.root / INCOMING / secrets.token_hex(8)
        try:
            incoming.parent.mkdir(parents=True, exist_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                _write_through(incoming, stream)
                incoming.replace(target)
                _flush_folder(target.parent)
            finally:
                incoming.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot write {key}: {error.strerror}") from error

    @contextmanager
    def open(self, key: str, start: int = 0) -> Iterator[ByteSource]:
        """Open a file; see ``Storage.open``."""
        with _named_errors(key), self._path(key).open("rb") as file:
            file.seek(start)
            yield file

    @contextmanager
    def local_path(self, key: str) -> Iterator[Path]:
        """Give the file itself; see ``Storage.local_path``."""
        self.size(key)
        yield self._path(key)

    def size(self, key: str) -> int:
        """Return the bytes of a file; see ``Storage.size``."""
        with _named_errors(key):
            return self._path(key).stat().st_size

    def exists(self, key: str) -> bool:
        """Return whether there is a file under this key."""
        return self._path(key).is_file()

    def delete(self, key: str) -> None:
        """Remove a file; nothing happens when there is none."""
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot delete {key}: {error.strerror}") from error

    def delete_prefix(self, prefix: str) -> None:
        """Remove all files below a folder of keys; nothing happens when there are none."""
        try:
            shutil.rmtree(self._path(prefix))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise StorageError(f"cannot delete {prefix}: {error.strerror}") from error

    def keys(self, prefix: str) -> Iterator[str]:
        """Give the keys below a folder of keys, in no order."""
        for folder, _, names in os.walk(self._path(prefix)):
            for name in names:
                yield (Path(folder) / name).relative_to(self.root).as_posix()

    def free_share(self) -> float | None:
        """Return the free share of the disk in [0, 1]."""
        self.root.mkdir(parents=True, exist_ok=True)
        usage = shutil.disk_usage(self.root)
        return usage.free / usage.total

    def check(self) -> None:
        """Raise StorageError unless files can be written now."""
        self.put("health/probe", io.BytesIO(b"ok"))

    def _path(self, key: str) -> Path:
        return self.root / checked(key)


@contextmanager
def _named_errors(key: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise NotFoundError(f"no file {key}") from error
    except OSError as error:
        raise StorageError(f"cannot read {key}: {error.strerror}") from error


def _write_through(path: Path, stream: ByteSource) -> None:
    """Copy the stream to the disk, not only to the page cache: accepted work survives a power cut."""
    with path.open("xb") as file:
        while chunk := stream.read(CHUNK_BYTES):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
