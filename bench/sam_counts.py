"""Count the pictures on which a faster mode changes SAM's number of masks (``fast`` may on 1 % of them).

Drawn pictures and the tests' small SAM with random weights, or with ``--images`` photos and SAM's verified
weights: random weights make noisy masks near every limit, which real ones seldom do, so only the latter
settles the question for photos. Stability is limited as in the product; ``dropped_early`` says how many masks
a mode did without: where there are none, dropping could not make it differ.

``exact`` and ``fast`` ask the whole grid: only their arithmetic differs. ``prompted`` is ``fast`` as the
product counts, at mini's proposals and a coarse grid. It is measured with ``--model`` only: random weights
make another mask of every point, so its count would say nothing. Whether its points lie on things can be
measured without weights: bench/sam_prompts.py.

    python bench/sam_counts.py --quick
    python bench/sam_counts.py --pictures 200 --json bench/results/sam_counts.json
    python bench/sam_counts.py --model vit_b --images photos/*.jpg --grid 32
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PILImage
from segment_anything import SamAutomaticMaskGenerator, sam_model_registry
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.report import arguments, environment  # noqa: E402
from pipeline import weights  # noqa: E402
from pipeline.contract import SAM_MODELS  # noqa: E402
from pipeline.segment import mini, sam_masks  # noqa: E402
from pipeline.segment.sam_fast import FastNet  # noqa: E402
from pipeline.segment.sam_generate import Generator  # noqa: E402
from pipeline.segment.sam_memory import points_that_fit  # noqa: E402
from pipeline.segment.sam_prompts import MiniPrompter  # noqa: E402
from pipeline.segment.sam_settings import COUNTING, SamSettings  # noqa: E402
from pipeline.sessions import open_session  # noqa: E402
from tests.doubles.small_sam import iou_quantile, picture, small_sam  # noqa: E402


def main() -> None:
    """Count with every mode, print and write how many pictures differ from the reference."""
    args = _arguments()
    device = torch.device(args.device)
    sam, settings = _model(args)
    settings["stability_score_thresh"] = COUNTING.stability_score_thresh
    sam.to(device)
    theirs = SamAutomaticMaskGenerator(sam, output_mode="uncompressed_rle", **settings)
    ours = _ours(sam, device, settings, prompted=args.model is not None)
    dropped = _counting_early_drops(device)
    off: dict[str, list[int]] = {mode: [] for mode in ours}
    early, masks = dict.fromkeys(ours, 0), 0
    for image in _pictures(args):
        wanted = len(theirs.generate(image))
        masks += wanted
        for mode, generator in ours.items():
            before = int(dropped)
            found = generator.generate([image], 1, points_that_fit(device))[0].rles
            off[mode].append(abs(len(found) - wanted))
            early[mode] += int(dropped) - before
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    answer: dict[str, Any] = {"model": args.model or "small, random weights", "device": name}
    answer |= {"pictures": len(off["exact"]), "masks": masks}
    for mode, counts in off.items():
        differ = sum(one > 0 for one in counts)
        answer[mode] = {"differ": differ, "share": differ / len(counts), "masks_off": sum(counts)}
        answer[mode]["dropped_early"] = early[mode]
    print(json.dumps(answer, indent=1))
    if args.json:
        args.json.write_text(json.dumps(answer | environment(), indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--images", type=Path, nargs="*", default=[])
    parser.add_argument("--model", choices=SAM_MODELS, help="default: the tests' small SAM")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--grid", type=int, default=8)
    args = parser.parse_args()
    if args.quick:
        args.pictures, args.images = min(args.pictures, 8), args.images[:1]
    return args


def _ours(sam: Any, device: torch.device, settings: dict[str, Any], prompted: bool) -> dict[str, Generator]:
    """Return our generators by the name of their row."""
    exact, fast = SamSettings(mode="exact", **settings), SamSettings(mode="fast", **settings)
    net, plain = FastNet(sam, device), FastNet(sam, device, half=False, compiled=False)
    ours = {"exact": Generator(plain, exact), "fast": Generator(net, fast)}
    if prompted:
        ours["prompted"] = Generator(net, fast, MiniPrompter(open_session(mini.MODEL)))
    return ours


def _model(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """Return the model and the generator's settings."""
    if args.model:
        sam = sam_model_registry[args.model]().eval()
        sam.load_state_dict(weights.load_state_dict(f"sam_{args.model}"))
        return sam, {"points_per_side": args.grid}
    sam = small_sam()
    limit = iou_quantile(sam, picture(128, 128), 6, 0.8)
    return sam, {"points_per_side": args.grid, "pred_iou_thresh": limit}


def _counting_early_drops(device: torch.device) -> Tensor:
    """Return a count that grows with each mask that ``fast`` drops before it is enlarged."""
    dropped = torch.zeros((), dtype=torch.int64, device=device)
    look = sam_masks.prefilter

    def looked(*args: Any) -> Tensor:
        stays = look(*args)
        dropped.add_((~stays).sum())
        return stays

    sam_masks.prefilter = looked
    return dropped


def _pictures(args: argparse.Namespace) -> list[NDArray[np.uint8]]:
    """Return the photos, or drawn pictures of many sizes."""
    if args.images:
        return [np.asarray(PILImage.open(path).convert("RGB")) for path in args.images]
    rng = np.random.default_rng(0)
    return [picture(*rng.integers(80, 260, 2).tolist(), seed) for seed in range(args.pictures)]


if __name__ == "__main__":
    main()
