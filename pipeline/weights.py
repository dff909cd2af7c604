"""Weights of the models: a manifest, and files that are never loaded unverified.

Files lie in ``TALLY_WEIGHTS_DIR`` (default ``./weights``), which may be a read-only volume that many
workers share: they are memory-mapped, not copied. ``pipeline.weights_download`` fetches them. What was
verified is remembered in the folder of ``pipeline.cache``.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cache import cache_dir, keep
from pipeline.contract import ErrorCode, PipelineError

if TYPE_CHECKING:
    from torch import Tensor

_READ_BYTES = 4 * 2**20
_verified_here: dict[Path, tuple[int, int, str]] = {}


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
    """Say whether a file is there and genuine, and where it is or what is wrong with it."""
    try:
        return True, str(path(name))
    except PipelineError as error:
        return False, str(error)


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

    A positive answer is remembered in the cache folder (path, size, time of change, digest) and in this
    process, so that starting a worker does not read gigabytes. Any change of size or time forgets it.

    Args:
        wanted: the manifest's entry.
        file: where it should lie.
        rehash: read it all, whatever was remembered.

    Raises:
        PipelineError: MODEL_LOAD_ERROR, as ``path``.
    """
    if not file.is_file():
        raise PipelineError(ErrorCode.MODEL_LOAD_ERROR, f"{file} is missing. {how_to_get(wanted, file)}")
    state = file.stat()
    seen = (state.st_size, state.st_mtime_ns, wanted.sha256)
    if not rehash and seen in (_verified_here.get(file.resolve()), _read_note(file)):
        return file
    if wanted.bytes not in (None, state.st_size):
        raise _damaged(wanted, file, f"{state.st_size} bytes, want {wanted.bytes}")
    digest = file_sha256(file)
    if digest != wanted.sha256:
        raise _damaged(wanted, file, f"sha256 {digest}, want {wanted.sha256}")
    _remember(file, seen)
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


def _note(file: Path) -> Path:
    return cache_dir() / "verified" / f"{file.name}.json"


def _read_note(file: Path) -> tuple[int, int, str] | None:
    try:
        place, size, changed_ns, digest = json.loads(_note(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return None
    return (size, changed_ns, digest) if place == str(file.resolve()) else None


def _remember(file: Path, seen: tuple[int, int, str]) -> None:
    _verified_here[file.resolve()] = seen
    keep(_note(file), json.dumps([str(file.resolve()), *seen]).encode())
