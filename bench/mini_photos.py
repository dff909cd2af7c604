"""How long does mini take for a photo of one megapixel? Target: 1 s on two cores, under 1 GB.

FOLDER holds manifest.json and images/, as countbench does. Each photo is scaled to one megapixel and counted
by the engine alone, once. python -m bench.mini_photos FOLDER [--quick] [--json PATH]
"""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path

import cv2
import numpy as np

from bench.mini import CORES
from bench.report import arguments, report
from pipeline.contract import CountSettings
from pipeline.preprocess import preprocess
from pipeline.segment.mini_maps import resized
from pipeline.types import Image

PX = 1_000_000


def scaled(path: Path) -> Image:
    """Return a photo at about ``PX`` pixels."""
    image = preprocess(path.name, path, CountSettings())[0]
    factor = (PX / (image.size_hw[0] * image.size_hw[1])) ** 0.5
    return Image(path.name, resized(image.pixels_hw3, factor))


def main() -> None:
    """Time every photo, in --quick one in four, and report each kind of scene and all."""
    parser = arguments(__doc__)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    cv2.setNumThreads(CORES)
    from pipeline.segment.mini import load

    engine, settings = load(), CountSettings()
    photos = json.loads((args.folder / "manifest.json").read_text())[:: 4 if args.quick else 1]
    paths = [args.folder / "images" / photo["file"] for photo in photos]
    engine.segment([scaled(paths[0])], settings)
    seconds = []
    for path in paths:
        image = scaled(path)
        started = time.perf_counter()
        engine.segment([image], settings)
        seconds.append(time.perf_counter() - started)
    rows = []
    for scene in (*sorted({photo["scene"] for photo in photos}), "all"):
        taken = [s for s, photo in zip(seconds, photos, strict=True) if scene in (photo["scene"], "all")]
        q1, median, q3 = np.quantile(taken, [0.25, 0.5, 0.75])
        under = float(np.mean(np.array(taken) < 1))
        rows.append({"scene": scene, "photos": len(taken), "median_s": median, "q1_s": q1, "q3_s": q3})
        rows[-1]["under_1_s"] = under
    rows[-1]["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report("engine mini, photos of one megapixel, two cores", rows, args.json)


if __name__ == "__main__":
    main()
