"""Do counts of photos hang on what does not change what is in them? Turns, mirrors, light, JPEG, a margin.

FOLDER holds manifest.json and images/, as countbench does. Photos of one kind of thing are counted as they
are and changed, through the whole pipeline. python -m bench.changed_photos FOLDER [--quick] [--json PATH]
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.countbench import is_right
from bench.report import arguments, report
from pipeline.contract import CountSettings
from pipeline.preprocess import preprocess
from tools.fit_calibration import find

Pixels = NDArray[np.uint8]

MARGIN_PX = 16


def _lit(pixels: Pixels, gain: float) -> Pixels:
    return np.clip(pixels * gain, 0, 255).astype(np.uint8)


def _as_jpeg(pixels: Pixels, quality: int) -> Pixels:
    data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1], np.uint8)


def _with_margin(pixels: Pixels) -> Pixels:
    """Return the picture in a frame of the colour that is most usual at its edge."""
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    margin = [MARGIN_PX] * 4
    colour = np.median(edge, axis=0).tolist()
    return np.asarray(cv2.copyMakeBorder(pixels, *margin, cv2.BORDER_CONSTANT, value=colour), np.uint8)


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "quarter turn": np.rot90,
    "half turn": lambda pixels: pixels[::-1, ::-1],
    "mirrored": lambda pixels: pixels[:, ::-1],
    "brightness 0.7": lambda pixels: _lit(pixels, 0.7),
    "brightness 1.15": lambda pixels: _lit(pixels, 1.15),
    "JPEG, quality 60": lambda pixels: _as_jpeg(pixels, 60),
    "JPEG, quality 30": lambda pixels: _as_jpeg(pixels, 30),
    f"margin of {MARGIN_PX} px": _with_margin,
}


def main() -> None:
    """Count each photo, in --quick one in six, as it is and changed."""
    parser = arguments(__doc__)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    from pipeline.segment.mini import load

    engine = load()
    photos = json.loads((args.folder / "manifest.json").read_text())
    photos = [photo for photo in photos if photo["scene"] in ("uniform", "clutter")][
        :: 6 if args.quick else 1
    ]
    counted: list[dict[str, Any]] = []
    for photo in photos:
        path = args.folder / "images" / photo["file"]
        pixels = preprocess(photo["file"], path, CountSettings())[0].pixels_hw3
        pictures = {"as it is": pixels} | {name: change(pixels) for name, change in CHANGES.items()}
        counts = {name: len(find(engine, np.ascontiguousarray(p))[1].counted) for name, p in pictures.items()}
        counted.append({"scene": photo["scene"], "true": photo["count"]} | counts)
    rows = [
        _row(scene, name, [one for one in counted if one["scene"] == scene])
        for scene in sorted({one["scene"] for one in counted})
        for name in ("as it is", *CHANGES)
    ]
    report("counts of changed photos, mini without boxes", rows, args.json)


def _row(scene: str, name: str, counted: list[dict[str, Any]]) -> dict[str, Any]:
    before, after = ([one[k] for one in counted] for k in ("as it is", name))
    off = [abs(np.log(max(b, 0.5) / max(a, 0.5))) for a, b in zip(before, after, strict=True)]
    return {
        "scene": scene,
        "change": name,
        "photos": len(counted),
        "same": float(np.mean([a == b for a, b in zip(before, after, strict=True)])),
        "within_10_percent": float(np.mean([is_right(b, a) for a, b in zip(before, after, strict=True)])),
        "right": float(np.mean([is_right(one[name], one["true"]) for one in counted])),
        "mean_log_change": float(np.mean(np.minimum(1, off))),
    }


if __name__ == "__main__":
    main()
