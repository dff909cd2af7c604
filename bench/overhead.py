"""How much of a SAM count is not a forward pass of the model? Target: at most 10 % of the wall time.

python -m bench.overhead [--quick] [--json PATH] [--threads N] [--grid N] [--images N]

SAM ViT-B in its real size with seeded random weights, its predicted IoU spread so that about 30 % of the
masks pass (as with the real weights), on photos of two sizes, through all seven stages with pictures drawn.
Encoder and decoder are timed inside ``FastNet``; what is left of "segment" is preparing pixels, filtering,
drawing and packing masks. On one thread (the default) CPU seconds are of this process, and the share they
give is the one to look at on a busy machine. ``--quick`` takes the tests' small SAM: it checks the script.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam
from skimage import data

from bench.report import arguments, report
from pipeline import run as pipeline_run
from pipeline.contract import STAGES, CountRequest, CountSettings
from pipeline.run import ImageOutcome, count_batch
from pipeline.segment.base import EngineInfo
from pipeline.segment.sam_fast import FastNet
from pipeline.segment.sam_segmenter import SamSegmenter
from pipeline.segment.sam_settings import SamSettings
from pipeline.segment.tiles import TiledSegmenter
from tests.doubles.small_sam import calibrate, iou_quantile, small_sam

SHARE_THAT_PASSES = 0.3
SIZES_HW = ((512, 512), (960, 1280))
"""Larger photos are tiled: the same again and again."""

FORWARD_PASSES = ("encode", "decode")


class Clock:
    """Adds up wall and CPU seconds of the model's forward passes."""

    def __init__(self) -> None:
        """Start at zero."""
        self.wall_s = dict.fromkeys(FORWARD_PASSES, 0.0)
        self.cpu_s = dict.fromkeys(FORWARD_PASSES, 0.0)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, its time added under ``name``."""

        def run(*args: Any, **kwargs: Any) -> Any:
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.wall_s[name] += time.perf_counter() - wall
                self.cpu_s[name] += time.process_time() - cpu

        return run


@contextmanager
def forward_passes() -> Iterator[Clock]:
    """Time what SAM computes while the block runs."""
    clock = Clock()
    originals = {name: getattr(FastNet, name) for name in FORWARD_PASSES}
    for name, function in originals.items():
        setattr(FastNet, name, clock.timed(name, function))
    try:
        yield clock
    finally:
        for name, function in originals.items():
            setattr(FastNet, name, function)


def photos(folder: Path, size_hw: tuple[int, int], n: int) -> list[CountRequest]:
    """Return requests for so many different photos of one size, as JPEG."""
    requests = []
    for index in range(n):
        pixels = cv2.resize(np.roll(data.astronaut(), 37 * index, axis=1), size_hw[::-1])
        path = folder / f"{size_hw[0]}_{index}.jpg"
        PillowImage.fromarray(pixels).save(path, quality=90)
        requests.append(CountRequest(path.stem, str(path), "object", CountSettings()))
    return requests


def model(args: argparse.Namespace) -> tuple[Sam, NDArray[np.uint8]]:
    """Return SAM with seeded weights whose heads behave a little like trained ones."""
    if args.quick:
        return small_sam(), data.astronaut()
    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"]().eval()
    calibrate(sam, data.astronaut())
    return sam, data.astronaut()


def measure(
    engine: TiledSegmenter, requests: list[CountRequest]
) -> tuple[list[ImageOutcome], dict[str, Any]]:
    """Count the photos; return the outcomes, and seconds an image by part of the work."""
    load = pipeline_run.load
    pipeline_run.load = lambda name, model, mode: (engine, "a benchmark")
    try:
        with forward_passes() as clock:
            wall, cpu = time.perf_counter(), time.process_time()
            outcomes = count_batch(requests)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    finally:
        pipeline_run.load = load
    n = len(requests)
    parts = {"wall_s": wall / n, "cpu_s": cpu / n}
    parts |= {f"{name}_s": seconds / n for name, seconds in clock.wall_s.items()}
    parts["overhead"] = 1 - sum(clock.wall_s.values()) / wall
    parts["overhead_cpu"] = 1 - sum(clock.cpu_s.values()) / cpu
    return outcomes, parts


def stage_rows(
    size_hw: tuple[int, int], outcomes: list[ImageOutcome], parts: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return one row a stage: seconds an image, without forward passes, and its share of the wall time."""
    rows = []
    for stage in STAGES:
        seconds = sum(o.result.timings_s[stage] for o in outcomes if o.result) / len(outcomes)
        forward = parts["encode_s"] + parts["decode_s"] if stage == "segment" else 0.0
        rows.append(
            {
                "photo_hw": f"{size_hw[0]} x {size_hw[1]}",
                "stage": stage,
                "seconds": seconds,
                "forward_s": forward,
                "overhead_s": seconds - forward,
                "share_of_wall": (seconds - forward) / parts["wall_s"],
            }
        )
    return rows


def main() -> None:
    """Measure each size of photo, print the stages and the totals, write both."""
    parser = arguments(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--grid", type=int, default=8, help="points a side; SAM's own are 32")
    parser.add_argument("--images", type=int, default=3, help="photos of each size")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    sam, picture = model(args)
    limit = iou_quantile(sam, picture, 4, SHARE_THAT_PASSES)
    settings = SamSettings(points_per_side=args.grid, pred_iou_thresh=limit, stability_score_thresh=0.4)
    info = EngineInfo("sam", "small" if args.quick else "vit_b", None, "", "")
    stages, totals = [], []
    with tempfile.TemporaryDirectory(prefix="tally-") as name:
        for size_hw in SIZES_HW:
            engine = TiledSegmenter(SamSegmenter(sam, info, torch.device("cpu"), settings))
            outcomes, parts = measure(engine, photos(Path(name), size_hw, args.images))
            stages += stage_rows(size_hw, outcomes, parts)
            masks = [len(o.candidates) for o in outcomes if o.candidates]
            facts = {"photo_hw": f"{size_hw[0]} x {size_hw[1]}", "model": info.model, "points": args.grid**2}
            facts |= {"images": len(outcomes), "threads": args.threads, "masks": sum(masks) / len(masks)}
            totals.append(facts | parts)
    report("stages, seconds an image", stages, None)
    report("overhead outside of forward passes", totals, None)
    if args.json:
        report("overhead", [*totals, *stages], args.json)


if __name__ == "__main__":
    main()
