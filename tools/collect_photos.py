"""Fetch the other photos that counts were measured on, each from the public repository it lies in.

    python -m tools.collect_photos FOLDER [--from 'https://github.com/{owner}/{name}']

FOLDER then holds images/ and manifest.json, as every script in ``bench`` that takes a folder of photos wants.
bench/other_photos.json says where they are, what is in them and where; no photo is part of Tally.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

LISTED = Path(__file__).parents[1] / "bench" / "other_photos.json"


def main() -> int:
    """Fetch what is listed; say what is not to be had, and exit with 1 if anything is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--from", dest="url", default="https://github.com/{owner}/{name}", help="clones: a URL or folder"
    )
    args = parser.parse_args()
    photos = json.loads(LISTED.read_text())
    got = collect(photos, args.folder, args.url)
    for photo in photos:
        if photo not in got:
            print(
                f"{photo['file']}: want {photo['source_path']} of {photo['source_repo']}, as it was in "
                f"{photo['source_commit'][:10]}",
                file=sys.stderr,
            )
    print(f"{len(got)} of {len(photos)} photos")
    return 0 if len(got) == len(photos) else 1


def collect(photos: list[dict[str, Any]], folder: Path, url: str) -> list[dict[str, Any]]:
    """Write the photos that are to be had, and the manifest of these, into a folder; return that."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    got = []
    source = ("source_repo", "source_commit")
    ordered = sorted(photos, key=lambda p: [p[key] for key in source])
    for (repo, commit), some in groupby(ordered, key=lambda p: tuple(p[key] for key in source)):
        owner, name = repo.split("/")
        for photo, content in files(url.format(owner=owner, name=name), commit, list(some)):
            if hashlib.sha256(content).hexdigest() == photo["sha256"]:
                (images / photo["file"]).write_bytes(content)
                got.append(photo)
    got.sort(key=photos.index)
    (folder / "manifest.json").write_text(json.dumps(got, indent=1))
    return got


def files(url: str, commit: str, photos: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield those of a repository's photos that it has at a commit; elsewhere only these are fetched."""
    with tempfile.TemporaryDirectory() as folder:
        git = partial(_git, url if Path(url).is_dir() else folder)
        if not Path(url).is_dir():
            git("init", "--quiet")
            git("remote", "add", "origin", url)
            git("config", "remote.origin.promisor", "true")
            git("fetch", "--quiet", "--depth", "1", "--filter", "blob:none", "origin", commit)
        for photo in photos:
            shown = git("show", f"{commit}:{photo['source_path']}")
            if shown.returncode == 0:
                yield photo, shown.stdout


def _git(folder: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", folder, *words], capture_output=True, check=False)  # noqa: S603, S607


if __name__ == "__main__":
    raise SystemExit(main())
