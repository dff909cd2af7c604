"""SAM's automatic masks: segment-anything's generator against ours, in one process, with the same weights.

The weights are random with a fixed seed; the output heads are scaled so that about 30 % of the masks pass the
predicted-IoU limit, as with the real weights (``share_that_passes`` is measured, of all masks the reference
predicts). Times are medians of interleaved runs on one picture a run, or on ``--batch`` pictures, divided by
their number. Every repetition uses new pixels, so nothing is cached.

``prompted`` is ``fast`` asked where ``mini`` proposes things, as the product does on a CPU; the others ask
the whole grid. Its masks are others, so ``equal`` says nothing there; what it finds: bench/sam_prompts.py.

    python bench/sam_masks.py --quick
    python bench/sam_masks.py --grid 32 --threads 1 --cpu-time --json bench/results/sam_masks_cpu.json
    python bench/sam_masks.py --grid 32 --batch 8 --device cuda --json bench/results/sam_masks_cuda_8.json
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything import SamAutomaticMaskGenerator, sam_model_registry
from skimage import data

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.ops.rle import rle_to_mask  # noqa: E402
from pipeline.segment import mini  # noqa: E402
from pipeline.segment.sam_fast import FastNet  # noqa: E402
from pipeline.segment.sam_generate import Generator  # noqa: E402
from pipeline.segment.sam_memory import points_that_fit  # noqa: E402
from pipeline.segment.sam_prompts import MiniPrompter  # noqa: E402
from pipeline.segment.sam_settings import SamSettings  # noqa: E402
from pipeline.sessions import open_session  # noqa: E402
from tests.doubles.small_sam import calibrate, small_sam  # noqa: E402

Masks = list[NDArray[np.uint32]]
MODES = ("reference", "exact", "fast", "prompted")


class Clock:
    """Adds up the seconds spent inside wrapped functions, the device's queue emptied on both sides."""

    def __init__(self, device: torch.device, cpu_time: bool) -> None:
        """Start at zero."""
        self._read = time.process_time if cpu_time else time.perf_counter
        self.device, self.seconds = device, {"encoder_s": 0.0, "decoder_s": 0.0, "prompter_s": 0.0}
        self.points = 0
        self.predicted_iou: list[torch.Tensor] = []

    def now(self) -> float:
        """Return seconds, with nothing left in the device's queue."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return self._read()

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, its time added to ``name``."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = self.now()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[name] += self.now() - start

        return timed

    def run(self, work: Callable[[], list[Masks]]) -> tuple[list[Masks], dict[str, float]]:
        """Return what the work returns, and the seconds: all of it, and by part."""
        self.seconds, self.points = dict.fromkeys(self.seconds, 0.0), 0
        start = self.now()
        masks = work()
        total = self.now() - start
        return masks, {"seconds": total, **self.seconds, "post_s": total - sum(self.seconds.values())} | {
            "points": self.points
        }


def main() -> None:
    """Measure, print a table, write JSON."""
    args = _arguments()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    torch.backends.cudnn.allow_tf32 = False  # a card's convolutions: float32 is what equality is about
    picture = data.astronaut()
    torch.manual_seed(0)
    sam = small_sam(0) if args.small else sam_model_registry["vit_b"]().eval()
    if not args.small:
        calibrate(sam, picture)
    sam.to(device)
    settings: dict[str, Any] = {
        "points_per_side": args.grid,
        "pred_iou_thresh": _limit_that_passes(sam, picture, device, 0.3),
        "stability_score_thresh": args.stability,
    }
    clock = Clock(device, args.cpu_time)
    modes = _modes(sam, device, settings, clock, args)
    cold = _cold_starts(modes, clock, picture, args) if device.type == "cuda" else {}
    clock.predicted_iou.clear()
    rows = _measure(modes, clock, picture, args, cold)
    shares = _shares(clock.predicted_iou, settings["pred_iou_thresh"])
    _report(rows, settings, shares, device, args)


def _limit_that_passes(sam: Any, picture: NDArray[np.uint8], device: torch.device, share: float) -> float:
    """Return the predicted IoU that ``share`` of the masks at 8 x 8 points exceed."""
    net = FastNet(sam, device, half=False, compiled=False)
    everything = SamSettings(mode="exact", points_per_side=8, pred_iou_thresh=0.0, stability_score_thresh=0.0)
    generator = Generator(net, replace(everything, box_nms_thresh=1.0))
    scores = generator.generate([picture], 1, points_that_fit(device))[0].predicted_iou
    return float(np.quantile(scores, 1 - share))


def _shares(predicted_iou: list[torch.Tensor], limit: float) -> dict[str, float]:
    """Return how many masks the reference predicted and the share above the limit, if it ran."""
    if not predicted_iou:
        return {}
    passes = torch.cat(predicted_iou) > limit
    return {"masks_predicted": passes.numel(), "share_that_passes": float(passes.double().mean())}


def _cold_starts(
    modes: dict[str, Any], clock: Clock, picture: NDArray[np.uint8], args: argparse.Namespace
) -> dict[str, float]:
    """Return the seconds of the first call of each mode: what compiling and warming up cost."""
    images = _turned(picture, 0, args.batch)
    return {mode: clock.run(lambda work=work: work(images))[1]["seconds"] for mode, work in modes.items()}


def _turned(picture: NDArray[np.uint8], first: int, n: int) -> list[NDArray[np.uint8]]:
    """Return pictures ``first`` to ``first + n`` of a row in which no two have the same pixels."""
    return [np.roll(picture, 37 * i, axis=1) for i in range(first, first + n)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="grid 4, one repetition")
    parser.add_argument("--small", action="store_true", help="the tests' small SAM: checks the script")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--grid", type=int, default=8)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--stability", type=float, default=0.4)
    parser.add_argument(
        "--cpu-time", action="store_true", help="CPU seconds: on a busy machine, with --threads 1"
    )
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES, help="ratios are to the first")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.quick:
        args.grid, args.repeat = 4, 1
    return args


def _modes(
    sam: Any, device: torch.device, settings: dict[str, Any], clock: Clock, args: argparse.Namespace
) -> dict[str, Callable[[list[NDArray[np.uint8]]], list[Masks]]]:
    """Return what runs each mode on a list of pictures."""
    theirs = SamAutomaticMaskGenerator(sam, output_mode="uncompressed_rle", **settings)
    predictor = theirs.predictor
    predictor.set_torch_image = clock.wrap("encoder_s", predictor.set_torch_image)
    decoder_forward = sam.mask_decoder.forward
    at_once = points_that_fit(device)

    def noted(*inputs: Any, **options: Any) -> Any:
        logits, predicted_iou = decoder_forward(*inputs, **options)
        clock.predicted_iou.append(predicted_iou.flatten())
        return logits, predicted_iou

    def reference(images: list[NDArray[np.uint8]]) -> list[Masks]:
        sam.mask_decoder.forward = clock.wrap("decoder_s", noted)
        found = [theirs.generate(image) for image in images]
        clock.points = args.grid**2 * len(images)
        sam.mask_decoder.forward = decoder_forward
        return [[np.array(m["segmentation"]["counts"], dtype=np.uint32) for m in masks] for masks in found]

    def ours(mode: str, prompter: MiniPrompter | None = None) -> Callable[..., list[Masks]]:
        net = FastNet(sam, device, half=mode == "fast", compiled=mode == "fast" and not args.small)
        decode = clock.wrap("decoder_s", net.decode)

        def counted(features: Any, points_xy: Any, *rest: Any) -> Any:
            clock.points += len(points_xy)
            return decode(features, points_xy, *rest)

        net.encode = clock.wrap("encoder_s", net.encode)  # type: ignore[method-assign]
        net.decode = counted  # type: ignore[method-assign]
        asked = clock.wrap("prompter_s", prompter) if prompter else None
        generator = Generator(net, SamSettings(mode=mode, **settings), asked)  # type: ignore[arg-type]
        return lambda images: [g.rles for g in generator.generate(images, len(images), at_once)]

    makers: dict[str, Callable[[], Any]] = {
        "reference": lambda: reference,
        "exact": lambda: ours("exact"),
        "fast": lambda: ours("fast"),
        "prompted": lambda: ours("fast", MiniPrompter(open_session(mini.MODEL))),
    }
    return {mode: makers[mode]() for mode in args.modes}


def _measure(
    modes: dict[str, Any],
    clock: Clock,
    picture: NDArray[np.uint8],
    args: argparse.Namespace,
    cold: dict[str, float],
) -> list[dict[str, Any]]:
    """Run the modes in turn on new pixels each time; return one row a mode."""
    times: dict[str, list[dict[str, float]]] = {mode: [] for mode in modes}
    same = {mode: {"equal": True, "count_equal": True, "min_iou": 1.0, "masks": 0} for mode in modes}
    for run in range(args.repeat):
        images = _turned(picture, (run + 1) * args.batch, args.batch)
        theirs: list[Masks] = []
        for mode, work in modes.items():
            masks, seconds = clock.run(lambda work=work, images=images: work(images))
            theirs = theirs or masks
            times[mode].append(seconds)
            _compare(same[mode], masks, theirs, images[0].shape[:2])
            print(
                f"run {run} {mode}: {seconds['seconds']:.2f} s, {[len(m) for m in masks]} masks", flush=True
            )
    rows = []
    for mode in modes:
        medians = {k: statistics.median(t[k] for t in times[mode]) / args.batch for k in times[mode][0]}
        rows.append({"mode": mode, **medians, **same[mode]} | ({"cold_start_s": cold[mode]} if cold else {}))
    for row in rows:
        row["ratio"] = rows[0]["seconds"] / row["seconds"]
    return rows


def _compare(same: dict[str, Any], masks: list[Masks], theirs: list[Masks], size_hw: tuple[int, int]) -> None:
    """Note whether masks are equal, RLE for RLE and in order; if not, how far apart."""
    for ours, reference in zip(masks, theirs, strict=True):
        same["masks"] += len(ours)
        same["count_equal"] &= len(ours) == len(reference)
        for a, b in zip(ours, reference, strict=False):
            if not np.array_equal(a, b):
                same["equal"] = False
                p, q = rle_to_mask(a, size_hw), rle_to_mask(b, size_hw)
                same["min_iou"] = min(same["min_iou"], float((p & q).sum() / max(1, (p | q).sum())))
    same["equal"] &= same["count_equal"]


def _report(
    rows: list[dict[str, Any]],
    settings: dict[str, Any],
    shares: dict[str, float],
    device: torch.device,
    args: argparse.Namespace,
) -> None:
    """Print the table and what passed; write both with the machine and the commit."""
    columns = [c for c in rows[0] if c != "mode"]
    print("mode      " + " ".join(f"{c:>12}" for c in columns))
    for row in rows:
        cells = (f"{row[c]:>12.3f}" if isinstance(row[c], float) else f"{row[c]!s:>12}" for c in columns)
        print(f"{row['mode']:<10}" + " ".join(cells))
    print(shares)
    if args.json:
        name = torch.cuda.get_device_name() if device.type == "cuda" else _processor()
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT
        )
        machine = {
            "device": name,
            "threads": args.threads,
            "torch": torch.__version__,
            "commit": commit.stdout.strip(),
        }
        setup = {
            "model": "small" if args.small else "vit_b",
            "batch": args.batch,
            "repeat": args.repeat,
            "clock": "CPU seconds" if args.cpu_time else "wall seconds",
            **settings,
            **shares,
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"machine": machine, "setup": setup, "rows": rows}, indent=1) + "\n")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
