"""Weights of the models: a manifest, and files that are never loaded unverified.

Files lie in ``TALLY_WEIGHTS_DIR`` (default ``./weights``), which may be a read-only volume that many
workers share: they are memory-mapped, not copied. ``pipeline.weights_download`` fetches them. What was
read is remembered in the folder of ``pipeline.cache``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zipfile
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.cache import cache_dir, keep
from pipeline.contract import ErrorCode, PipelineError

if TYPE_CHECKING:
    from torch import Tensor

_Read = tuple[str, int, int, str]
"""A file that was read: its path, size in bytes, time of change in ns, and hex sha256."""

log = logging.getLogger(__name__)

_READ_BYTES = 4 * 2**20
_read_here: dict[Path, _Read] = {}


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One entry of the manifest.

    Attributes:
        name: what code and commands call it. file: its name in the weights folder.
        url: where its publisher offers it. licence: SPDX identifier.
        bytes: its size; None where the publisher states none (the hash decides).
        sha256: hex digest of the whole file. used_for: one line for people.
    """

    name: str
    file: str
    url: str
    bytes: int | None
    sha256: str
    licence: str
    used_for: str


def weights_dir() -> Path:
    """Return the folder of the weights, which need not exist."""
    return Path(os.environ.get("TALLY_WEIGHTS_DIR") or "weights")


@lru_cache(maxsize=1)
def manifest() -> dict[str, WeightsFile]:
    """Return every known file by name, in the manifest's order."""
    text = resources.files("pipeline").joinpath("data/weights.json").read_text(encoding="utf-8")
    return {entry["name"]: WeightsFile(**entry) for entry in json.loads(text)}


def entry(name: str) -> WeightsFile:
    """Return one entry of the manifest.

    Raises:
        PipelineError: MODEL_LOAD_ERROR for a name that is not in it.
    """
    found = manifest().get(name)
    if found is None:
        raise PipelineError(
            ErrorCode.MODEL_LOAD_ERROR, f"weights: want one of {', '.join(manifest())}, got {name!r}"
        )
    return found


def available(name: str) -> tuple[bool, str]:
    """Say whether a file is there and genuine, and where it is or what is wrong with it.

    Tally goes on without a file that is not genuine, so the log says so, once.
    """
    try:
        return True, str(path(name))
    except PipelineError as error:
        if name in manifest() and (weights_dir() / manifest()[name].file).is_file():
            _warn_once(str(error))
        return False, str(error)


def state(
    wanted: WeightsFile, file: Path, *, read: bool = True
) -> Literal["missing", "unread", "damaged", "genuine"]:
    """Return what a file is; with ``read`` False without ever reading it: "unread" is not known yet."""
    if not file.is_file():
        return "missing"
    has_size = wanted.bytes in (None, file.stat().st_size)
    if has_size and not read and _known_sha256(file) is None:
        return "unread"
    try:
        check_file(wanted, file)
    except PipelineError:
        return "damaged"
    return "genuine"


def path(name: str) -> Path:
    """Return the verified file of a model.

    Raises:
        PipelineError: MODEL_LOAD_ERROR when it is missing or is not the published file; the message
            says which file to put where.
    """
    wanted = entry(name)
    return check_file(wanted, weights_dir() / wanted.file)


def check_file(wanted: WeightsFile, file: Path, *, rehash: bool = False) -> Path:
    """Return ``file`` after comparing its size and sha256 with the manifest.

    Its digest is remembered in the cache folder (with path, size and time of change) and in this
    process, so that nobody reads gigabytes again. Any change of size or time forgets it.

    Args:
        wanted: the manifest's entry.
        file: where it should lie.
        rehash: read it all, whatever was remembered.

    Raises:
        PipelineError: MODEL_LOAD_ERROR, as ``path``.
    """
    if not file.is_file():
        raise PipelineError(ErrorCode.MODEL_LOAD_ERROR, f"{file} is missing. {how_to_get(wanted, file)}")
    size = file.stat().st_size
    if wanted.bytes not in (None, size):
        raise _damaged(wanted, file, f"{size} bytes, want {wanted.bytes}")
    digest = (None if rehash else _known_sha256(file)) or _read_sha256(file)
    if digest != wanted.sha256:
        raise _damaged(wanted, file, f"sha256 {digest}, want {wanted.sha256}")
    return file


def file_sha256(file: Path) -> str:
    """Return the hex sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def how_to_get(wanted: WeightsFile, file: Path) -> str:
    """Return the sentence that gets an operator from nothing to a verified file, online or not."""
    size = f"{wanted.bytes} bytes, " if wanted.bytes else ""
    return (
        f"Run `tally weights pull {wanted.name}`; on a machine without a way out, download {wanted.url} "
        f"({size}sha256 {wanted.sha256}) elsewhere, put it at {file.absolute()} and run "
        f"`tally weights verify {wanted.name}`."
    )


def load_state_dict(name: str) -> dict[str, Tensor]:
    """Return a model's parameters, memory-mapped, from its verified file.

    Raises:
        PipelineError: MODEL_LOAD_ERROR when the file is missing, not genuine or not readable.
    """
    return read_state_dict(path(name))


def read_state_dict(file: Path) -> dict[str, Tensor]:
    """Return the parameters in a file, memory-mapped; no code in it is run.

    A wrapper ``{"state_dict": …}`` and the prefix ``module.`` of data-parallel training are removed.

    Raises:
        PipelineError: MODEL_LOAD_ERROR when it is not a file of tensors.
    """
    import torch

    try:
        loaded = torch.load(file, map_location="cpu", mmap=zipfile.is_zipfile(file), weights_only=True)
    except Exception as error:  # torch raises many kinds; all mean the same here
        message = f"{file.name} cannot be read as a file of parameters"
        raise PipelineError(ErrorCode.MODEL_LOAD_ERROR, message) from error
    state: dict[str, Tensor] = loaded.get("state_dict", loaded)
    return {key.removeprefix("module."): value for key, value in state.items()}


def _damaged(wanted: WeightsFile, file: Path, what: str) -> PipelineError:
    text = f"{file} is not the published file: {what}. Delete it. {how_to_get(wanted, file)}"
    return PipelineError(ErrorCode.MODEL_LOAD_ERROR, text)


@cache
def _warn_once(message: str) -> None:
    log.warning(message)


def _note(file: Path) -> Path:
    return cache_dir() / "weights-read" / f"{file.name}.json"


def _known_sha256(file: Path) -> str | None:
    """Return the digest of a file that was read before and has not changed since, else None."""
    place, now = file.resolve(), file.stat()
    for seen in (_read_here.get(place), _read_note(file)):
        if seen and seen[:3] == (str(place), now.st_size, now.st_mtime_ns):
            _read_here[place] = seen
            return seen[3]
    return None


def _read_note(file: Path) -> _Read | None:
    try:
        place, size, changed_ns, digest = json.loads(_note(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return None
    return place, size, changed_ns, digest


def _read_sha256(file: Path) -> str:
    """Read a file, and remember its digest as that of what it was before."""
    place, before = file.resolve(), file.stat()
    try:
        digest = file_sha256(file)
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}"
        raise PipelineError(ErrorCode.MODEL_LOAD_ERROR, message) from error
    seen = (str(place), before.st_size, before.st_mtime_ns, digest)
    _read_here[place] = seen
    keep(_note(file), json.dumps(seen).encode())
    return digest
