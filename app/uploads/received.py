"""Files of a request on their way in: straight to disk, hashed while written, never held in memory."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from flask import Request, current_app
from werkzeug.formparser import FormDataParser

from app.config import Config
from app.errors import TallyError
from app.storage import StorageError


class ReceivedFile:
    """One file part, as Werkzeug's form parser writes it; its temporary file ends with it.

    Attributes:
        size_bytes: of all that was sent. What exceeds the limit is counted, not kept.
    """

    def __init__(self, max_bytes: int) -> None:
        """Keep at most ``max_bytes``."""
        self._file = tempfile.NamedTemporaryFile(prefix="tally-upload-")
        self._hash = hashlib.sha256()
        self._max_bytes = max_bytes
        self.size_bytes = 0

    @property
    def path(self) -> Path:
        """Where the bytes lie until ``close``; raises StorageError when the disk is full."""
        with _full_disk_named():
            self._file.flush()
        return Path(self._file.name)

    @property
    def sha256(self) -> str:
        """Hex digest of what was kept."""
        return self._hash.hexdigest()

    @property
    def is_too_large(self) -> bool:
        """Whether more was sent than may be kept."""
        return self.size_bytes > self._max_bytes

    def write(self, data: bytes) -> int:
        """Take the next bytes.

        Raises:
            StorageError: the disk is full.
        """
        self.size_bytes += len(data)
        if not self.is_too_large:
            self._hash.update(data)
            with _full_disk_named():
                self._file.write(data)
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """Return bytes from the current position."""
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position; raises StorageError when the disk is full."""
        with _full_disk_named():
            return self._file.seek(offset, whence)

    def close(self) -> None:
        """Delete the temporary file."""
        with suppress(OSError):  # bytes that did not fit on the disk are not missed
            self._file.close()


@contextmanager
def _full_disk_named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot keep an upload: {error.strerror}") from error


class UploadRequest(Request):
    """A request whose file parts are ``ReceivedFile``, and whose form cannot be read by halves."""

    def make_form_data_parser(self) -> FormDataParser:
        """Return the parser of forms; it raises ValueError where Werkzeug's would give an empty form."""
        parser = super().make_form_data_parser()
        parser.silent = False
        return parser

    def _load_form_data(self) -> None:
        try:
            super()._load_form_data()
        except ValueError as error:
            message = f"the body cannot be read as {self.mimetype}: {error}"
            raise TallyError("INVALID_REQUEST", message) from error

    def _get_file_stream(self, *args: Any, **kwargs: Any) -> IO[bytes]:
        config: Config = current_app.extensions["tally_config"]
        return cast("IO[bytes]", ReceivedFile(config.max_file_bytes))
