"""Decode images to their end to know that they can be: a little here, much in a child process.

A child, because an 8192 x 8192 image takes hundreds of megabytes and seconds: its memory is limited and goes
with it, and the event loop of the web process keeps turning. This file runs in the child as a script, so
it imports nothing of ``app``.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.contract import PipelineError
from pipeline.damaged import refuse_damaged
from pipeline.header import ImageHeader, counted_pages, open_image, refuse_bomb

IN_PROCESS_PX = 4_000_000
"""Images of together fewer pixels are decoded here: some 12 MB and 50 ms."""

CHILD_MEMORY_BYTES = 2 * 2**30
CHILD_LIMIT_S = 60
CHILDREN = threading.BoundedSemaphore(2)
ROOT = Path(__file__).resolve().parent.parent.parent
_ORIENTATION = 0x0112
_TURNED = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, slots=True)
class Decoded:
    """Outcome of one file: its size in px after EXIF orientation, or why it does not decode."""

    width: int = 0
    height: int = 0
    problem: str | None = None


def check_decodes(paths: Sequence[Path], headers: Sequence[ImageHeader]) -> list[Decoded]:
    """Decode every file, and return one outcome a file in their order.

    Args:
        paths: files whose headers were read and found good.
        headers: of these files. A TIFF or HEIC goes to the child at any size: its tiles or its coded
            picture may be larger than it says.
    """
    n_px = sum(header.width * header.height for header in headers)
    if n_px > IN_PROCESS_PX or any(header.format in ("tiff", "heic") for header in headers):
        return _in_child(paths)
    outcomes = []
    for path in paths:
        outcomes.append(decode(path))
        time.sleep(0)  # lets other greenlets run
    return outcomes


def decode(path: Path) -> Decoded:
    """Decode one file here. JPEG at an eighth of its size, which reads every byte and saves the memory."""
    try:
        with open_image(path) as (opened, file_format):
            next(counted_pages(opened))
            refuse_bomb(opened.size)
            refuse_damaged(opened)
            width, height = opened.size
            if file_format == "jpeg":
                opened.draft(None, (width // 8, height // 8))  # None keeps the mode
            opened.load()
            if opened.getexif().get(_ORIENTATION) in _TURNED:
                width, height = height, width
            return Decoded(width, height)
    except PipelineError:
        return Decoded(problem="does not decode to its end")
    except MemoryError:
        return Decoded(problem="takes too much memory to decode")


def _in_child(paths: Sequence[Path]) -> list[Decoded]:
    """Run this file on the paths; what a dying or late child did not answer counts as undecodable."""
    command = [sys.executable, "-P", __file__, *map(str, paths)]
    inherited = os.environ.get("PYTHONPATH")  # what is installed for this process is for the child
    environment = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), inherited]))}
    with CHILDREN:
        try:
            done = subprocess.run(  # noqa: S603 - our own script; the paths are our own temporary names
                command, capture_output=True, timeout=CHILD_LIMIT_S, env=environment, check=False
            )
            output = done.stdout
        except subprocess.TimeoutExpired as error:
            output = error.stdout or b""
    answers = [Decoded(**json.loads(line)) for line in output.splitlines()]
    lost = Decoded(problem="takes too much memory or time to decode")
    return answers + [lost] * (len(paths) - len(answers))


def _main(paths: Sequence[str]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (CHILD_MEMORY_BYTES, CHILD_MEMORY_BYTES))
    for path in paths:
        found = decode(Path(path))
        line = {"width": found.width, "height": found.height, "problem": found.problem}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1:])
