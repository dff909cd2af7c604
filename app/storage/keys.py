"""The keys of all files: made of our own ids and hashes, so no user input ever reaches a path."""

from __future__ import annotations

import re
from uuid import uuid4

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*")
MAX_KEY_CHARS = 255


class UnsafeKeyError(ValueError):
    """A key is not ``part/part/...`` of letters, digits, ``_``, ``-`` and single inner dots."""


def checked(key: str) -> str:
    """Return ``key``, or raise UnsafeKeyError: no empty, dotted or absolute part leaves the root."""
    parts = key.split("/")
    if len(key) > MAX_KEY_CHARS or not all(_KEY.fullmatch(part) for part in parts):
        raise UnsafeKeyError(f"key: want parts of letters, digits, _ - and inner dots, got {key!r}")
    return key


def image_key(sha256: str) -> str:
    """Return the key of an uploaded file's bytes."""
    return checked(f"images/{sha256[:2]}/{sha256}")


def thumbnail_key(sha256: str, pages: str, extension: str) -> str:
    """Return the key of a thumbnail: of the first page of an uploaded file, or of all its pages."""
    return checked(f"thumbnails/{sha256}{'' if pages == 'first' else f'-{pages}'}.{extension}")


def candidates_key(job_id: str, image_id: str, version: int) -> str:
    """Return the key of the candidates of one image that a run's result of this version came from."""
    return checked(f"candidates/{job_id}/{image_id}/v{version}.npz")


def recounted_key(job_id: str, image_id: str) -> str:
    """Return a fresh key for the candidates of one image as another type or other rules leave them."""
    return checked(f"candidates/{job_id}/{image_id}/{uuid4().hex}.npz")


def exemplar_key(job_id: str, image_id: str) -> str:
    """Return the key of the candidates of an image that a job needs for its exemplars alone."""
    return checked(f"candidates/{job_id}/{image_id}/exemplars.npz")


def picture_folder(job_id: str, image_id: str, version: int) -> str:
    """Return the folder of the pictures that show one version of a result."""
    return checked(f"pictures/{job_id}/{image_id}/v{version}")


def picture_key(job_id: str, image_id: str, version: int, name: str, extension: str) -> str:
    """Return the key of a picture: ``name`` is annotated, heatmap or rejected."""
    return checked(f"{picture_folder(job_id, image_id, version)}/{name}.{extension}")


def job_prefixes(job_id: str) -> tuple[str, ...]:
    """Return the folders that belong to one job alone."""
    return tuple(checked(f"{folder}/{job_id}") for folder in ("candidates", "pictures"))
