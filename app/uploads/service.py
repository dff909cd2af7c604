"""Accept image files: check all of them, store their bytes once, write their rows."""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.columns import utcnow
from app.errors import TallyError
from app.extensions import config
from app.monitoring.metrics import UPLOADED_FILES
from app.storage import storage
from app.storage.keys import image_key
from app.uploads.decode import check_decodes
from app.uploads.models import Image, Upload
from app.uploads.received import ReceivedFile
from pipeline.contract import ErrorCode, PipelineError
from pipeline.header import ImageHeader, probe

log = logging.getLogger(__name__)

MIN_SIDE_PX, MAX_SIDE_PX = 64, 8192
MAX_NAME_CHARS = 255
_HIDDEN = {"Cc", "Cs", "Cn", "Zl", "Zp"}
_TURNING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that change the direction of text: a name could show another ending than it has."""


@dataclass(frozen=True, slots=True)
class GoodFile:
    """A file that passed every check. ``width``, ``height`` in px after EXIF orientation."""

    filename: str
    path: Path
    sha256: str
    size_bytes: int
    format: str
    width: int
    height: int
    pages: int


@dataclass(frozen=True, slots=True)
class CheckedFiles:
    """What of a request can be counted, and one detail (filename, field, code, message) a bad file."""

    good: list[GoodFile]
    bad: list[dict[str, Any]]


def display_name(name: str) -> str:
    """Return a name that is safe to show; it is never part of a path."""
    kept = (c for c in name if unicodedata.category(c) not in _HIDDEN and c not in _TURNING)
    return "".join(kept).strip()[-MAX_NAME_CHARS:] or "unnamed"


def check_files(
    received: Sequence[tuple[str, ReceivedFile]], *, partial: bool, field: str = "images"
) -> CheckedFiles:
    """Check every file: its header, and where that fits whether it decodes.

    Args:
        received: (name as sent, file) in the order of the request.
        partial: go on with the good files when others are bad.
        field: of the request that they came in.

    Raises:
        TallyError: NO_FILES, TOO_MANY_FILES; or the code of the bad files, with all of them in the
            details, when any is bad (with ``partial``: when all are).
    """
    limit = config().max_files
    if not received:
        raise TallyError("NO_FILES", f"want 1 to {limit} files in the field {field}, got none", field=field)
    if len(received) > limit:
        raise TallyError("TOO_MANY_FILES", f"want at most {limit} files, got {len(received)}", field=field)
    bad: dict[int, dict[str, Any]] = {}
    headers = {i: header for i, header in _headers(received, bad)}
    good = _decoded(received, headers, bad)
    problems = [bad[i] | {"field": f"{field}[{i}]"} for i in sorted(bad)]
    if problems and not (partial and good):
        raise _refusal(problems, len(received))
    return CheckedFiles(good, problems)


def store_files(files: Sequence[GoodFile]) -> None:
    """Put the bytes of every file under its hash; equal bytes lie there once.

    Raises:
        StorageError: a file could not be stored; no row speaks of any.
    """
    for file in {file.sha256: file for file in files}.values():
        if not storage().exists(image_key(file.sha256)):
            _put(file)


def add_upload(session: Session, files: Sequence[GoodFile]) -> Upload:
    """Write the rows of stored files inside the caller's transaction, and return the upload.

    The rows of equal bytes are locked, and the bytes looked for once more: a purge that runs at this moment
    has either finished (then they are stored again) or will see the new rows (then it keeps them).
    """
    by_hash = {file.sha256: file for file in files}
    known = session.scalars(select(Image.sha256).where(Image.sha256.in_(by_hash)).with_for_update())
    for sha256 in set(known):
        if not storage().exists(image_key(sha256)):
            _put(by_hash[sha256])
    upload = Upload(expires_at=utcnow() + timedelta(days=config().retention_days))
    upload.images = [_row(position, file) for position, file in enumerate(files)]
    session.add(upload)
    session.flush()
    UPLOADED_FILES.inc(len(files))
    return upload


@contextmanager
def closing(received: Sequence[tuple[str, ReceivedFile]]) -> Iterator[None]:
    """Delete the temporary files at the end, whatever happens."""
    try:
        yield
    finally:
        for _, file in received:
            file.close()


def _headers(
    received: Sequence[tuple[str, ReceivedFile]], bad: dict[int, dict[str, Any]]
) -> Iterator[tuple[int, ImageHeader]]:
    """Give the headers of the files that may go on; note the others in ``bad``."""
    for i, (name, file) in enumerate(received):
        try:
            yield i, _header(file)
        except TallyError as error:
            bad[i] = _problem(name, error.code, error.message)


def _header(file: ReceivedFile) -> ImageHeader:
    if file.is_too_large:
        limit = config().max_file_bytes
        raise TallyError("FILE_TOO_LARGE", f"want at most {limit} bytes, got {file.size_bytes}")
    try:
        header = probe(file.path)
    except PipelineError as error:
        if error.code == ErrorCode.FILE_ERROR:
            raise TallyError("INVALID_FORMAT", str(error)) from error
        raise TallyError("CORRUPTED_FILE", "the image's header does not read") from error
    if not all(MIN_SIDE_PX <= side <= MAX_SIDE_PX for side in (header.width, header.height)):
        wanted = f"{MIN_SIDE_PX} x {MIN_SIDE_PX} to {MAX_SIDE_PX} x {MAX_SIDE_PX} px"
        raise TallyError("INVALID_DIMENSIONS", f"want {wanted}, got {header.width} x {header.height}")
    return header


def _decoded(
    received: Sequence[tuple[str, ReceivedFile]],
    headers: dict[int, ImageHeader],
    bad: dict[int, dict[str, Any]],
) -> list[GoodFile]:
    """Return the files that decode to their end; note the others in ``bad``."""
    outcomes = check_decodes([received[i][1].path for i in headers], list(headers.values()))
    good = []
    for (i, header), outcome in zip(headers.items(), outcomes, strict=True):
        name, file = received[i]
        if outcome.problem:
            bad[i] = _problem(name, "CORRUPTED_FILE", f"the image {outcome.problem}")
            continue
        good.append(
            GoodFile(
                filename=display_name(name),
                path=file.path,
                sha256=file.sha256,
                size_bytes=file.size_bytes,
                format=header.format,
                width=outcome.width,
                height=outcome.height,
                pages=header.pages,
            )
        )
    return good


def _problem(name: str, code: str, message: str) -> dict[str, Any]:
    return {"filename": display_name(name), "code": code, "message": message}


def _refusal(problems: list[dict[str, Any]], n_files: int) -> TallyError:
    """Return one error for all bad files: the commonest code, and every file in the details."""
    code = Counter(problem["code"] for problem in problems).most_common(1)[0][0]
    listed = "; ".join(f"{p['filename']}: {p['message']}" for p in problems)
    message = f"{len(problems)} of {n_files} files cannot be accepted, so none was stored: {listed}"
    return TallyError(code, message, field=problems[0]["field"], details=problems)


def _put(file: GoodFile) -> None:
    with file.path.open("rb") as stream:
        storage().put(image_key(file.sha256), stream)


def _row(position: int, file: GoodFile) -> Image:
    return Image(
        position=position,
        filename=file.filename,
        sha256=file.sha256,
        format=file.format,
        width=file.width,
        height=file.height,
        pages=file.pages,
        size_bytes=file.size_bytes,
    )
