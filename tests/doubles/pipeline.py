"""A pipeline that does what its images say: each "image" is a small JSON script instead of pixels.

Keys of a script, all optional: ``count`` objects to find; ``error`` a code the outcome carries; ``raise``
makes the whole call fail; ``die`` kills the process; ``begun`` is a file that gets a line when the image is
begun; ``wait_for`` is a file that must exist before the image is done.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.contract import CountRequest, ErrorCode, ObjectType, PipelineError, Provenance
from pipeline.count import count, summarise
from pipeline.run import ImageOutcome
from pipeline.settings import settings_to_json
from pipeline.types import Candidates
from tests.candidates import candidates_of

WAIT_LIMIT_S = 60.0
SIZE_HW = (60, 200)
MAX_COUNT = 60


def script(**keys: Any) -> bytes:
    """Return the bytes of an image that plays these keys."""
    return json.dumps(keys).encode()


def count_batch(
    requests: Sequence[CountRequest],
    *,
    object_types: Sequence[ObjectType],
    on_progress: Callable[[str, str, float], None],
    wanted: Callable[[str], bool],
    known: Mapping[str, Candidates],
    on_outcome: Callable[[ImageOutcome], None],
) -> list[ImageOutcome]:
    """Play the scripts in order; the same contract as ``pipeline.run.count_batch``."""
    outcomes = []
    for request in requests:
        if wanted(request.image_id):
            outcome = _play(request, on_progress)
        else:
            outcome = ImageOutcome(request.image_id, skipped=True)
        on_outcome(outcome)
        outcomes.append(outcome)
    return outcomes


def _play(request: CountRequest, on_progress: Callable[[str, str, float], None]) -> ImageOutcome:
    keys = json.loads(Path(request.path).read_bytes())
    on_progress(request.image_id, "segment", 0.4)
    if "begun" in keys:
        with Path(keys["begun"]).open("a") as file:
            file.write(f"{os.getpid()} {request.image_id}\n")
    if keys.get("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    if "wait_for" in keys:
        wait_for_file(Path(keys["wait_for"]))
    if "raise" in keys:
        raise RuntimeError(keys["raise"])
    if "error" in keys:
        error = PipelineError(ErrorCode(keys["error"]), "as the script says")
        return ImageOutcome(request.image_id, error=error)
    return outcome_of(request, keys.get("count", 0))


def outcome_of(request: CountRequest, n_objects: int) -> ImageOutcome:
    """Return a complete outcome with ``n_objects`` squares."""
    candidates = squares(n_objects, request.type)
    plain = replace(request.settings, exemplars=())  # scripts have no pixels to match exemplars with
    instances = count(candidates, plain)
    provenance = Provenance(
        "scripted", "a test", None, None, "float32", "cpu", "0", settings_to_json(request.settings)
    )
    result = summarise(candidates, instances, plain, {"segment": 0.001}, provenance)
    pictures = dict.fromkeys(("annotated", "heatmap", "rejected", "thumbnail"), b"\xff\xd8 scripted")
    return ImageOutcome(request.image_id, result, candidates, instances, pictures)


def squares(n_objects: int, type_name: str) -> Candidates:
    """Return ``n_objects`` well separated squares of 8 px."""
    if n_objects > MAX_COUNT:
        raise ValueError(f"want at most {MAX_COUNT} objects, got {n_objects}")
    masks = []
    for i in range(n_objects):
        mask = np.zeros(SIZE_HW, dtype=np.bool_)
        x, y = 10 * (i % 20), 10 * (i // 20)
        mask[y : y + 8, x : x + 8] = True
        masks.append(mask)
    return candidates_of(masks, SIZE_HW, (type_name,))


def wait_for_file(path: Path) -> None:
    """Return when the file exists; fail after a minute."""
    deadline = time.monotonic() + WAIT_LIMIT_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain for {path.name}")
        time.sleep(0.01)
