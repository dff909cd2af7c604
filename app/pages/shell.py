"""Which files the page shell loads: read from the manifest that the frontend's build leaves behind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

DIST = Path(__file__).resolve().parent.parent.parent / "frontend" / "dist"
ASSETS = "assets"
_ENTRY = "index.html"


@dataclass(frozen=True, slots=True)
class EntryFiles:
    """Addresses of the built frontend's first files.

    Attributes:
        script: the module that starts the app. styles: its style sheets, in order.
        preloads: modules that the script imports.
    """

    script: str
    styles: tuple[str, ...]
    preloads: tuple[str, ...]


def entry_files(dist: Path) -> EntryFiles | None:
    """Return what the shell loads, None when the frontend is not built; a new build is seen at once."""
    manifest = dist / ".vite" / "manifest.json"
    try:
        changed_ns = manifest.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    return _read(manifest, changed_ns)


@lru_cache(maxsize=1)
def _read(manifest: Path, _changed_ns: int) -> EntryFiles:
    chunks = json.loads(manifest.read_text())
    entry = chunks[_ENTRY]
    return EntryFiles(
        script=f"/{entry['file']}",
        styles=tuple(f"/{name}" for name in entry.get("css", [])),
        preloads=tuple(f"/{chunks[key]['file']}" for key in entry.get("imports", [])),
    )
