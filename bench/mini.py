"""How long does mini take and how much memory? Target: a 1-megapixel photo in 1 s on two cores, under 1 GB.

Scenes are drawn, so their truth is known. Each row is measured in a process of its own, because the
peak of a process never falls. python -m bench.mini [--quick] [--json PATH]
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time

from bench.classical import drawn_scene
from bench.report import arguments, report, timed

CORES = 2
RADII_PX = (5, 12, 25, 60)


def measure(height: int, width: int, radius: int, repeats: int) -> dict[str, float]:
    """Return one row: wall and CPU seconds of one picture, peak MB of the process, true and counted."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    from pipeline.contract import CountSettings
    from pipeline.segment.mini import load
    from pipeline.types import Image

    engine, settings = load(), CountSettings()
    pixels, true = drawn_scene(height, width, radius, seed=radius)
    times = timed(lambda: engine.segment([Image("drawn", pixels)], settings), repeats)
    started = time.process_time()
    counted = len(engine.segment([Image("drawn", pixels)], settings)[0])
    cpu_s = time.process_time() - started
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row = {"megapixels": height * width / 1e6, "radius_px": radius, "true": true, "counted": counted}
    return row | times | {"cpu_s": cpu_s, "peak_mb": peak_mb}


def main() -> None:
    """Time each size of image and object on two cores."""
    parser = arguments(__doc__)
    parser.add_argument("--one", nargs=4, type=int, help="height, width, radius, repeats: print one row")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(*args.one)))
        return
    rows = []
    for height, width in ((1000, 1000),) if args.quick else ((500, 500), (1000, 1000), (3000, 4000)):
        for radius in RADII_PX:
            numbers = map(str, (height, width, radius, 2 if args.quick else 5))
            command = [sys.executable, "-m", "bench.mini", "--one", *numbers]
            rows.append(
                json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            )
    report("engine mini, two cores", rows, args.json)


if __name__ == "__main__":
    main()
