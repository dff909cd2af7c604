"""Things in pieces and things taken for one: what joining the pieces of lone clumps mends and breaks.

Drawn training scenes from other seeds, 384 px a side, seen at scale 1. "In pieces": more than one instance
lies mostly in the thing. "Taken for one": an instance holds most of several. Things hardly seen do not count.
python -m bench.pieces [--quick] [--json PATH]
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from bench.report import arguments, report
from pipeline.segment.mini import load
from pipeline.segment.mini_input import stretch_contrast
from pipeline.segment.mini_maps import STRIDE_PX, maps_at_scale
from pipeline.segment.mini_peaks import MIN_QUALITY, Found, find_instances
from pipeline.segment.mini_pieces import join_pieces
from pipeline.train.scenes import draw_scene

FIRST_SEED = 987_000_000
SCENE_PX = 384


def judged(found: Found, truth: np.ndarray[Any, Any]) -> dict[str, int]:
    """Return how many things of (h, w) ``truth`` are seen, in pieces, and taken for one with others."""
    shown = np.concatenate([[False], found.quality >= MIN_QUALITY])
    labels = np.where(shown[found.labels], found.labels, 0)
    n, things = len(shown), int(truth.max()) + 1
    common = np.bincount((labels * things + truth).ravel(), minlength=n * things).reshape(n, things)
    common[0], common[:, 0] = 0, 0
    area, size = np.bincount(labels.ravel(), minlength=n), np.bincount(truth.ravel(), minlength=things)
    seen = common.sum(axis=0) > 0.5 * size
    parts = (common > 0.5 * area[:, None]).sum(axis=0)[seen]
    held = (common[:, seen] > 0.5 * size[seen]).sum(axis=1)
    return {
        "things": int(seen.sum()),
        "in_pieces": int((parts > 1).sum()),
        "taken_for_one": int(held[held > 1].sum()),
    }


def main() -> None:
    """Draw, look and print."""
    args = arguments(__doc__).parse_args()
    session = load()._session
    sums = {"as seen": Counter[str](), "joined": Counter[str]()}
    scenes = 40 if args.quick else 1000
    for seed in range(FIRST_SEED, FIRST_SEED + scenes):
        scene = draw_scene(seed, SCENE_PX)
        truth = np.maximum(scene.labels[::STRIDE_PX, ::STRIDE_PX], 0)
        if truth.any():
            found = find_instances(maps_at_scale(session, stretch_contrast(scene.image), 1.0))
            sums["as seen"].update(judged(found, truth))
            sums["joined"].update(judged(join_pieces(found), truth))
    report("pieces of things", [{"instances": name} | counts for name, counts in sums.items()], args.json)


if __name__ == "__main__":
    main()
