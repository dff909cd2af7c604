"""How much memory does a process take that counts the largest photos there may be?

python -m bench.memory [--quick] [--engine NAME] [--json PATH]

One row a process: its peak resident memory once it has counted so many copies of a photo, decoded ahead as
in a worker; with no images, what imports take. bench/results/memory.json has ``classical`` and ``mini``;
memory_sam.json has ``sam`` on the CPU in mode fast, asked at mini's proposals: ViT-B in its real size with
seeded random weights (heads scaled so that about 30 % of the masks pass), loaded as the product loads it, and
the tests' small SAM. ViT-B gets smaller photos: a tile takes it some 10 CPU s, and 8192 x 8192 px are 100
tiles. They come one by one; what grows with the photo are pixels and candidates, as with the small SAM.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from segment_anything import sam_model_registry

from bench.report import arguments, report
from pipeline import prefetch, weights
from pipeline import run as pipeline_run
from pipeline.contract import CountRequest, CountSettings
from pipeline.segment import mini, sam
from pipeline.segment.base import EngineInfo
from pipeline.segment.sam_prompts import MiniPrompter
from pipeline.segment.sam_segmenter import SamSegmenter
from pipeline.segment.sam_settings import COUNTING
from pipeline.segment.tiles import TiledSegmenter
from pipeline.sessions import open_session
from tests.doubles.small_sam import SIDE, calibrate, iou_quantile, picture, small_sam

LARGE_PX = 8192
BLOCK_PX = 1024
"""Photos are this picture, repeated."""

SHARE_THAT_PASSES = 0.3
STABLE = 0.4
"""Limit of the stability score: of random weights, SAM's own passes nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one process counts. ``unbounded``: however large photos are, the next one is decoded ahead."""

    engine: str
    images: int
    side_px: int = LARGE_PX
    model: str | None = None
    unbounded: bool = False


def plans(quick: bool) -> list[Plan]:
    """Return the processes to measure."""
    if quick:
        return [Plan("classical", 1, BLOCK_PX), Plan("sam", 1, 2 * BLOCK_PX, "small")]
    found = [Plan(engine, n) for engine in ("classical", "mini") for n in (0, 1, 3)]
    found += [Plan("classical", 3, unbounded=True), Plan("sam", 0), Plan("sam", 1, LARGE_PX, "small")]
    return found + [Plan("sam", 1, side_px, "vit_b") for side_px in (2048, 3072)]


def seeded_vit_b(folder: Path) -> None:
    """Write weights of the real size, and beside them the predicted IoU that 30 % of their masks pass."""
    torch.manual_seed(0)
    net, block = sam_model_registry["vit_b"]().eval(), picture(BLOCK_PX, BLOCK_PX)
    calibrate(net, block)
    torch.save(net.state_dict(), folder / "vit_b.pth")
    limit = iou_quantile(net, block, 4, SHARE_THAT_PASSES)
    (folder / "limit.json").write_text(json.dumps(limit))


def use_vit_b(folder: Path) -> None:
    """Have the product take the weights of ``seeded_vit_b`` for the published ones."""
    file = folder / "vit_b.pth"
    entry = weights.WeightsFile(
        "sam_vit_b", file.name, "", file.stat().st_size, weights.file_sha256(file), "", ""
    )
    weights.manifest = lambda: {entry.name: entry}
    os.environ["TALLY_WEIGHTS_DIR"] = str(folder)
    limit = json.loads((folder / "limit.json").read_text())
    sam.COUNTING = replace(COUNTING, pred_iou_thresh=limit, stability_score_thresh=STABLE)


def use_small_sam() -> None:
    """Have the product count with the tests' small SAM, in tiles as it does with a large one."""
    settings = replace(COUNTING, pred_iou_thresh=0.65, stability_score_thresh=STABLE)
    info, prompter = EngineInfo("sam", "small", None, "", ""), MiniPrompter(open_session(mini.MODEL))
    inner = SamSegmenter(small_sam(), info, torch.device("cpu"), settings, prompter)
    engine = TiledSegmenter(inner, SIDE)
    pipeline_run.load = lambda name, model, mode: (engine, "a benchmark")


def counted(plan: Plan, folder: Path) -> dict[str, Any]:
    """Count in this process and return its peak."""
    if plan.unbounded:
        prefetch.MAX_DECODED_PX = 1 << 40
    if plan.model == "vit_b":
        use_vit_b(folder)
    elif plan.model == "small":
        use_small_sam()
    settings = CountSettings(engine=plan.engine, visualize=False)
    path = str(folder / f"{plan.side_px}.jpg")
    started = time.process_time()
    outcomes = pipeline_run.count_batch(
        [CountRequest(str(i), path, "object", settings) for i in range(plan.images)]
    )
    row = {"what": f"memory, {plan.side_px} x {plan.side_px} px" + ", two in memory" * plan.unbounded}
    row |= {"engine": plan.engine} | ({"model": plan.model} if plan.model else {})
    return row | {
        "images": plan.images,
        "counted": sum(outcome.result is not None for outcome in outcomes),
        "candidates": sum(len(outcome.candidates) for outcome in outcomes if outcome.candidates),
        "cpu_s": round(time.process_time() - started),
        "peak_mb": round(peak_bytes() / 2**20),
    }


def peak_bytes() -> int:
    """Return this process's peak resident memory; getrusage would tell of the parent's too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


def in_processes(some: Sequence[Plan]) -> list[dict[str, Any]]:
    """Return one row a plan, each counted in a process of its own."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="tally-") as name:
        folder, block = Path(name), picture(BLOCK_PX, BLOCK_PX)
        for side_px in {plan.side_px for plan in some}:
            n = side_px // BLOCK_PX
            PillowImage.fromarray(np.tile(block, (n, n, 1))).save(folder / f"{side_px}.jpg", quality=85)
        if any(plan.model == "vit_b" for plan in some):
            seeded_vit_b(folder)
        for plan in some:
            command = [sys.executable, "-m", "bench.memory", "--one", json.dumps(asdict(plan)), name]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


def main() -> None:
    """Measure, print and write."""
    parser = arguments(__doc__)
    parser.add_argument("--engine", help="only this one")
    parser.add_argument("--one", nargs=2, metavar=("PLAN", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(counted(Plan(**json.loads(args.one[0])), Path(args.one[1]))))
        return
    chosen = [plan for plan in plans(args.quick) if args.engine in (None, plan.engine)]
    report("memory", in_processes(chosen), args.json)


if __name__ == "__main__":
    main()
