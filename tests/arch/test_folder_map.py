"""docs/architecture.md names what is there, and nothing else."""

from __future__ import annotations

import re

from tests.arch.sources import ROOT, tracked_files

NOT_MAPPED = {"media"}  # run-time files


def mapped_paths() -> set[str]:
    """Return the paths in the folder map: a line is indented below its folder and names one or more paths."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    block = text.split("## The folders")[1].split("```")[1]
    folder, paths = "", set()
    for line in block.splitlines():
        depth = len(line) - len(line.lstrip())
        if not line.strip() or depth > 2:
            continue
        names = re.findall(r"(?:^|(?<=  ))[\w.]+(?:\.\w+|/)|^Makefile|^Procfile", line.strip())
        if depth == 0:
            folder = names[0] if names[0].endswith("/") else ""
        paths |= {(folder if depth else "") + name.rstrip("/") for name in names}
    return paths


def test_everything_on_the_map_exists() -> None:
    assert [path for path in sorted(mapped_paths()) if not (ROOT / path).exists()] == []


def test_every_folder_and_every_module_of_the_two_packages_is_on_the_map() -> None:
    names = [path.relative_to(ROOT).parts for path in tracked_files()]
    top = {parts[0] for parts in names if len(parts) > 1 and not parts[0].startswith(".")} - NOT_MAPPED
    inside = {
        "/".join(parts[:2])
        for parts in names
        if parts[0] in {"app", "pipeline"} and parts[-1].endswith((".py", ".json"))
    } - {"pipeline/__init__.py"}
    assert sorted((top | inside) - mapped_paths()) == []
