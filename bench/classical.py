"""How long does the classical engine take, and does it count right? Target: 1 megapixel in 0.5 s on one core.

Scenes are drawn, so their truth is known. python -m bench.classical [--quick] [--json PATH]
"""

from __future__ import annotations

import cv2
import numpy as np

from bench.report import arguments, report, timed
from pipeline.contract import CountSettings
from pipeline.segment.classical import load
from pipeline.types import Image

RADII_PX = (6, 12, 25, 60)


def drawn_scene(height: int, width: int, radius: int, seed: int) -> tuple[np.ndarray, int]:
    """Return discs of many colours on a plain, unevenly lit, noisy ground, and their number."""
    rng = np.random.default_rng(seed)
    scene = np.full((height, width, 3), 205, dtype=np.float32)
    step = int(radius * 3)
    centres = [(x, y) for y in range(step, height - step, step) for x in range(step, width - step, step)]
    for x, y in centres:
        place = int(x + rng.integers(-radius // 3, radius // 3 + 1)), int(y)
        cv2.circle(scene, place, radius, rng.integers(10, 90, 3).tolist(), -1, cv2.LINE_AA)
    light = np.linspace(1, 0.6, width, dtype=np.float32)[None, :, None]
    return (scene * light + rng.normal(0, 3, scene.shape)).clip(0, 255).astype(np.uint8), len(centres)


def main() -> None:
    """Time each size of image and object on one core."""
    args = arguments(__doc__).parse_args()
    cv2.setNumThreads(1)
    engine, settings, rows = load(), CountSettings(), []
    for height, width in ((1000, 1000),) if args.quick else ((500, 500), (1000, 1000), (3000, 4000)):
        for radius in RADII_PX:
            pixels, true = drawn_scene(height, width, radius, seed=radius)
            image = Image("drawn", pixels)
            counted = len(engine.segment([image], settings)[0])

            def segment(image: Image = image) -> object:
                return engine.segment([image], settings)

            times = timed(segment, 2 if args.quick else 7)
            row = {"megapixels": height * width / 1e6, "radius_px": radius, "true": true, "counted": counted}
            rows.append(row | times)
    report("classical engine, one core", rows, args.json)


if __name__ == "__main__":
    main()
