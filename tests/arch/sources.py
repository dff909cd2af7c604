"""The tree these tests read: what git tracks, and what is new and not ignored."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@cache
def tracked_files() -> list[Path]:
    """Return the repository's files; all below the root when this is no git checkout."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = listing.stdout.splitlines()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def python_files(*folders: str) -> list[Path]:
    """Return the Python files below ``folders``."""
    roots = [ROOT / folder for folder in folders]
    return [p for p in tracked_files() if p.suffix == ".py" and any(r in p.parents for r in roots)]


@cache
def tree(path: Path) -> ast.Module:
    """Return the parsed file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    """Return the path below the root."""
    return path.relative_to(ROOT).as_posix()
