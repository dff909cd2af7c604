"""Photos that counts were measured on come from the commit that is listed, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.countbench import is_right
from tools.collect_photos import LISTED, collect

GIT = shutil.which("git") or ""
SERVED = ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant")
"""What a public host of repositories allows."""


def git(folder: Path, *words: str) -> str:
    """Run git in a folder; return what it prints."""
    named = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    return subprocess.run(
        [GIT, "-C", folder, *named, *words], capture_output=True, check=True
    ).stdout.decode()


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, str]:
    """Return a repository that two photos were in once, and the commit where they were."""
    there = tmp_path / "someone" / "things"
    there.mkdir(parents=True)
    git(there, "init", "--quiet")
    for key in SERVED:
        git(there, "config", key, "true")
    (there / "one.jpg").write_bytes(b"one")
    (there / "two.jpg").write_bytes(b"two")
    git(there, "add", ".")
    git(there, "commit", "-qm", "photos")
    commit = git(there, "rev-parse", "HEAD").strip()
    git(there, "rm", "-q", "one.jpg")
    git(there, "commit", "-qm", "gone")
    return there, commit


def listed(name: str, commit: str, content: bytes) -> dict[str, Any]:
    """Return the entry of a photo."""
    source = {"source_repo": "someone/things", "source_path": name, "source_commit": commit}
    return {"file": f"my_{name}", "sha256": hashlib.sha256(content).hexdigest()} | source


@pytest.mark.parametrize("how", ["{root}", "file://{root}"])
def test_photos_are_those_of_the_listed_commit(
    repository: tuple[Path, str], tmp_path: Path, how: str
) -> None:
    there, commit = repository
    photos = [listed(n, commit, c) for n, c in (("two.jpg", b"two"), ("one.jpg", b"one"))]
    url = how.format(root=there.parents[1]) + "/{owner}/{name}"
    assert collect(photos, tmp_path / "out", url) == photos
    assert (tmp_path / "out/images/my_one.jpg").read_bytes() == b"one"
    assert json.loads((tmp_path / "out/manifest.json").read_text()) == photos


def test_what_is_not_the_same_or_not_there_is_left_out(repository: tuple[Path, str], tmp_path: Path) -> None:
    there, commit = repository
    other, gone = listed("one.jpg", commit, b"other bytes"), listed("three.jpg", commit, b"three")
    good = listed("two.jpg", commit, b"two")
    url = str(there.parents[1]) + "/{owner}/{name}"
    assert collect([other, gone, good], tmp_path / "out", url) == [good]
    assert [p.name for p in (tmp_path / "out/images").iterdir()] == ["my_two.jpg"]


def test_every_listed_photo_says_what_is_in_it() -> None:
    photos = json.loads(LISTED.read_text())
    assert len({p["file"] for p in photos}) == len({p["sha256"] for p in photos}) == len(photos)
    for photo in photos:
        assert photo["scene"] in ("uniform", "clutter", "mixed")
        assert len(photo["exemplars"]) == 3
        assert is_right(len(photo.get("points", range(photo["count"]))), photo["count"])
        for x, y, width, height in photo["exemplars"]:
            assert min(x, y) >= 0
            assert min(width, height) > 0
            assert x + width <= photo["width"] + 1
            assert y + height <= photo["height"] + 1
