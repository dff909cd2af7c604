"""How much of a SAM count is not a forward pass of a model? Target: at most 10 % of the wall time.

python -m bench.overhead [--quick] [--json PATH] [--threads N] [--grid N] [--images N] [--large]

SAM ViT-B in its real size with seeded random weights, its predicted IoU spread so that about 30 % of the
masks pass (as with the real weights), on photos, through all seven stages with pictures drawn, in ``exact``
mode and as the product counts by default: ``fast``, asked where ``mini`` proposes things.

Forward passes are SAM's encoder and decoder and the runs of the two bundled networks: ``mini`` in the
prompter, ``looks`` in "classify". All else is overhead: preparing pixels, filtering, drawing and packing
masks, and what the prompter does between its network's runs. The prompter is a row of its own and not in
"segment". Seconds are CPU seconds of this process, which a busy machine stretches less, but for ``wall_s``
and ``overhead_wall``; on one thread (the default) both tell the same where nothing else runs. ``--quick``
takes the tests' small SAM: it checks the script.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace
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
from pipeline import looks, prefetch
from pipeline import run as pipeline_run
from pipeline.contract import STAGES, CountRequest, CountSettings
from pipeline.run import ImageOutcome, count_batch
from pipeline.segment import mini
from pipeline.segment.base import EngineInfo
from pipeline.segment.sam_fast import FastNet
from pipeline.segment.sam_prompts import MiniPrompter
from pipeline.segment.sam_segmenter import SamSegmenter
from pipeline.segment.sam_settings import SamSettings
from pipeline.segment.tiles import TiledSegmenter
from pipeline.sessions import open_session
from tests.doubles.small_sam import calibrate, iou_quantile, small_sam

SHARE_THAT_PASSES = 0.3
SIZE_HW = (512, 512)
LARGE_HW = (960, 1280)
"""Where the objects are small, it is tiled: the same again and again, minutes a photo."""

MODES = ("exact", "fast")
FORWARD_PASSES = ("encode", "decode", "mini", "looks")


class Clock:
    """Adds up wall and CPU seconds of forward passes, and of the prompter, in which ``mini`` runs.

    Attributes:
        wall_s: seconds by name. cpu_s: the same. calls: how often. points: that SAM was asked.
    """

    def __init__(self) -> None:
        """Start at zero."""
        names = (*FORWARD_PASSES, "prompter")
        self.wall_s, self.cpu_s = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
        self.calls, self.points = dict.fromkeys(names, 0), 0

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, its time added under ``name``."""

        def run(*args: Any, **kwargs: Any) -> Any:
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.wall_s[name] += time.perf_counter() - wall
                self.cpu_s[name] += time.process_time() - cpu
                self.calls[name] += 1
                self.points += len(args[2]) if name == "decode" else 0

        return run

    def forward(self, seconds: dict[str, float]) -> float:
        """Return the seconds of all forward passes, of ``wall_s`` or ``cpu_s``."""
        return sum(seconds[name] for name in FORWARD_PASSES)


class Session:
    """An onnxruntime session whose runs can be timed."""

    def __init__(self, session: Any) -> None:
        """Wrap it."""
        self.run, self.get_inputs = session.run, session.get_inputs


@contextmanager
def forward_passes(sessions: dict[str, Session]) -> Iterator[Clock]:
    """Time what SAM, the prompter and the bundled networks compute while the block runs."""
    clock = Clock()
    places: dict[str, tuple[Any, str]] = {
        "encode": (FastNet, "encode"),
        "decode": (FastNet, "decode"),
        "prompter": (MiniPrompter, "__call__"),
        **{name: (session, "run") for name, session in sessions.items()},
    }
    originals = {name: getattr(owner, method) for name, (owner, method) in places.items()}
    for name, (owner, method) in places.items():
        setattr(owner, method, clock.timed(name, originals[name]))
    try:
        yield clock
    finally:
        for name, (owner, method) in places.items():
            setattr(owner, method, originals[name])


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
    engine: TiledSegmenter, requests: list[CountRequest], sessions: dict[str, Session]
) -> tuple[list[ImageOutcome], dict[str, Any]]:
    """Count the photos; return the outcomes, and seconds an image by part of the work."""
    load = pipeline_run.load
    pipeline_run.load = lambda name, model, mode: (engine, "a benchmark")
    prefetch.time = SimpleNamespace(perf_counter=time.process_time)  # the stages' clock
    try:
        with forward_passes(sessions) as clock:
            wall, cpu = time.perf_counter(), time.process_time()
            outcomes = count_batch(requests)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    finally:
        pipeline_run.load, prefetch.time = load, time
    n = len(requests)
    parts = {"encoded": clock.calls["encode"] / n, "points": clock.points / n}
    parts |= {"wall_s": wall / n, "cpu_s": cpu / n}
    parts |= {f"{name}_s": seconds / n for name, seconds in clock.cpu_s.items()}
    parts["overhead_wall"] = 1 - clock.forward(clock.wall_s) / wall
    parts["overhead_cpu"] = 1 - clock.forward(clock.cpu_s) / cpu
    parts["prompter_share"] = clock.cpu_s["prompter"] / cpu
    return outcomes, parts


def stage_rows(
    facts: dict[str, Any], outcomes: list[ImageOutcome], parts: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return one row a stage and the prompter's: seconds an image, and what is no forward pass of it."""
    spent = {
        stage: sum(o.result.timings_s[stage] for o in outcomes if o.result) / len(outcomes)
        for stage in STAGES
    }
    spent["segment"] -= parts["prompter_s"]
    forward = {"segment": parts["encode_s"] + parts["decode_s"], "classify": parts["looks_s"]}
    spent["prompter"] = parts["prompter_s"]
    forward["prompter"] = parts["mini_s"]
    rows = []
    for stage, seconds in spent.items():
        rest = seconds - forward.get(stage, 0.0)
        row = {"stage": stage, "seconds": seconds, "forward_s": seconds - rest, "overhead_s": rest}
        rows.append({**facts, **row, "share": rest / parts["cpu_s"]})
    return rows


def main() -> None:
    """Measure each mode and size of photo, print the stages and the totals, write both."""
    parser = arguments(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--grid", type=int, default=32, help="points a side; 32 are SAM's own")
    parser.add_argument("--images", type=int, default=1, help="photos of each size")
    parser.add_argument("--large", action="store_true", help="also 960 x 1280 px")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    sam, picture = model(args)
    limit = iou_quantile(sam, picture, 4, SHARE_THAT_PASSES)
    info = EngineInfo("sam", "small" if args.quick else "vit_b", None, "", "")
    sessions = {"mini": Session(open_session(mini.MODEL)), "looks": Session(open_session(looks.MODEL))}
    looks._session = lambda: sessions["looks"]
    stages, totals = [], []
    with tempfile.TemporaryDirectory(prefix="tally-") as name:
        warm = photos(Path(name), SIZE_HW, 1)
        count_batch([replace(warm[0], settings=CountSettings(engine="classical"))])  # imports and fonts
        for size_hw, mode in product((SIZE_HW, LARGE_HW) if args.large else (SIZE_HW,), MODES):
            settings = SamSettings(mode, args.grid, pred_iou_thresh=limit, stability_score_thresh=0.4)
            prompter = MiniPrompter(sessions["mini"])
            segmenter = SamSegmenter(sam, info, torch.device("cpu"), settings, prompter)
            requests = photos(Path(name), size_hw, args.images)
            outcomes, parts = measure(TiledSegmenter(segmenter), requests, sessions)
            facts = {"photo_hw": f"{size_hw[0]} x {size_hw[1]}", "mode": mode}
            stages += stage_rows(facts, outcomes, parts)
            masks = [len(o.candidates) for o in outcomes if o.candidates]
            facts |= {"model": info.model, "grid": args.grid, "images": len(outcomes)}
            facts |= {"threads": args.threads, "masks": sum(masks) / len(masks)}
            totals.append(facts | parts)
    report("stages, seconds an image", stages, None)
    report("overhead outside of forward passes", totals, None)
    if args.json:
        report("overhead", [*totals, *stages], args.json)


if __name__ == "__main__":
    main()
