"""Fetch a weights file: resumed after a break, verified whole, then moved into place in one step."""

from __future__ import annotations

import fcntl
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from pipeline.contract import ErrorCode, PipelineError
from pipeline.weights import WeightsFile, check_file, file_sha256, how_to_get

ATTEMPTS = 5
"""Tries in a row that bring nothing new before giving up; any progress starts the count again."""

_CHUNK_BYTES = 2**20
_TIMEOUT_S = 30.0

Progress = Callable[[int, int | None], None]
"""Called with the bytes on disk and the total (None where it is not known)."""


def pull(
    wanted: WeightsFile, folder: Path, progress: Progress | None = None, *, pause_s: float = 1.0
) -> Path:
    """Return the verified file, fetching what is missing of it.

    Args:
        wanted: entry of the manifest.
        folder: the weights folder; made when missing.
        progress: told about every megabyte.
        pause_s: wait after the first failed try; doubled for each further one.

    Raises:
        PipelineError: MODEL_LOAD_ERROR when the folder cannot be written, the host cannot be reached or
            what came is not the published file. What came of a broken download stays as ``.part`` and is
            resumed by the next call.
    """
    target = folder / wanted.file
    if _is_genuine(wanted, target):
        return target  # also where nothing can be written
    part = target.with_name(target.name + ".part")
    with _locked(part) as stream:  # a second puller waits, then finds the file
        if _is_genuine(wanted, target):
            part.unlink(missing_ok=True)
            return target
        try:
            _fetch(wanted, target, stream, progress or _ignore, pause_s)
            stream.flush()
            os.fsync(stream.fileno())
            _refuse_if_wrong(wanted, part, target, stream)
            os.replace(part, target)
        finally:
            if not stream.tell():
                part.unlink(missing_ok=True)
    return check_file(wanted, target)


def _ignore(done: int, total: int | None) -> None:
    """Tell nobody."""


def _is_genuine(wanted: WeightsFile, target: Path) -> bool:
    try:
        check_file(wanted, target)
    except PipelineError:
        return False
    return True


def _locked(part: Path) -> BinaryIO:
    """Return the part, opened to append, for this puller alone."""
    while True:
        stream = _open_to_append(part)
        fcntl.flock(stream, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(part.stat(), os.fstat(stream.fileno())):
                return stream
        stream.close()  # who held it has moved or removed it


def _open_to_append(part: Path) -> BinaryIO:
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        return part.open("ab")
    except OSError as error:
        raise PipelineError(
            ErrorCode.MODEL_LOAD_ERROR,
            f"want a weights folder that can be written, got {part.parent.absolute()}: {error.strerror}. "
            "Pull where it can be, or into another TALLY_WEIGHTS_DIR; how to fill a volume: docs/runbook.md.",
        ) from error


def _fetch(wanted: WeightsFile, target: Path, stream: BinaryIO, progress: Progress, pause_s: float) -> None:
    """Append to ``stream`` until it holds as many bytes as the server or the manifest says."""
    failures = 0
    while True:
        before = stream.tell()
        if wanted.bytes is not None and before >= wanted.bytes:
            return  # whole, or not this file at all: the hash decides
        try:
            total = _continue(wanted, stream, progress)
        except (OSError, http.client.HTTPException) as error:
            trouble: str | Exception = error
        else:
            if stream.tell() == total or _is_too_long(wanted, stream):
                return
            trouble = f"the connection ended at {stream.tell()} of {total} bytes"
        failures = 1 if stream.tell() > before else failures + 1
        if _is_final(trouble) or failures == ATTEMPTS:
            break
        time.sleep(pause_s * 2 ** (failures - 1))
    raise PipelineError(ErrorCode.MODEL_LOAD_ERROR, f"{wanted.url}: {trouble}. {how_to_get(wanted, target)}")


def _is_final(trouble: str | Exception) -> bool:
    """Whether trying again is pointless: the server answered, and said no."""
    return isinstance(trouble, urllib.error.HTTPError) and trouble.code in (401, 403, 404, 410)


def _continue(wanted: WeightsFile, stream: BinaryIO, progress: Progress) -> int | None:
    """Read one answer into ``stream`` and return the total size it announced."""
    offset = stream.tell()
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    request = urllib.request.Request(wanted.url, headers=headers)  # noqa: S310 - from the manifest
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310 - from the manifest
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # more on disk than the server has: what is there is not this file
            _restart(stream)
        raise
    with answer:
        if offset and not _resumes_at(answer, offset):
            _restart(stream)
            offset = 0
        length = answer.headers.get("Content-Length")
        total = offset + int(length) if length else wanted.bytes
        while chunk := answer.read(_CHUNK_BYTES):
            stream.write(chunk)
            progress(stream.tell(), total)
            if _is_too_long(wanted, stream):
                break
    return total if total is not None else stream.tell()


def _is_too_long(wanted: WeightsFile, stream: BinaryIO) -> bool:
    """Whether what comes cannot be the file, so that its hash may be asked at once."""
    return wanted.bytes is not None and stream.tell() > wanted.bytes


def _restart(stream: BinaryIO) -> None:
    stream.seek(0)
    stream.truncate()


def _resumes_at(answer: http.client.HTTPResponse, offset: int) -> bool:
    return answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {offset}-")


def _refuse_if_wrong(wanted: WeightsFile, part: Path, target: Path, stream: BinaryIO) -> None:
    """Empty the part and raise unless it is the published file: a resume could not mend it."""
    digest = file_sha256(part)
    if digest == wanted.sha256:
        return
    size = stream.tell()
    _restart(stream)
    raise PipelineError(
        ErrorCode.MODEL_LOAD_ERROR,
        f"{wanted.url}: what came is not the published file ({size} bytes, sha256 {digest}); dropped. "
        f"{how_to_get(wanted, target)}",
    )
