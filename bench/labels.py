"""How long do patches, embeddings and labels take, by number of candidates? Weights are not needed.

python -m bench.labels [--quick] [--json PATH]

ResNet-50 is timed with seeded weights where torch is installed: its time does not depend on them.
"""

from __future__ import annotations

import importlib.util
from functools import partial

import cv2
import numpy as np

from bench.recount import SIDE_PX, drawn_candidates
from bench.report import arguments, report, timed
from pipeline.classify import FULL_SIDE_PX
from pipeline.consistency import consistency
from pipeline.contract import CountSettings
from pipeline.embedding import handcrafted_embeddings
from pipeline.looks import SIDE_PX as LOOKS_SIDE_PX
from pipeline.looks import SMALL_SIDE_PX, looks_embeddings
from pipeline.patches import extract_patches
from pipeline.resnet import ResNet50
from pipeline.rules import apply_rules
from pipeline.types import Classification, Image


def resnet(device: str) -> ResNet50:
    """Return the network with seeded weights."""
    import torch
    from torchvision.models import resnet50

    torch.manual_seed(0)
    return ResNet50(resnet50().state_dict(), device)


def rows_for(n: int, repeats: int, network: ResNet50 | None) -> list[dict[str, object]]:
    """Return one row a step for n candidates of one image."""
    image = Image("noise", np.random.default_rng(0).integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8))
    candidates = drawn_candidates(n)
    settings = CountSettings()
    cut = {
        side: extract_patches(image, candidates.batch, settings, side_px=side)
        for side in (SMALL_SIDE_PX, LOOKS_SIDE_PX, FULL_SIDE_PX)
    }
    none = np.zeros((n, 0))
    seen = Classification(
        none.astype(np.int16),
        none.astype(np.float32),
        handcrafted_embeddings(cut[SMALL_SIDE_PX]),
        "handcrafted",
    )
    steps = {
        "patches, 64 px": lambda: extract_patches(image, candidates.batch, settings, side_px=SMALL_SIDE_PX),
        "patches, 224 px": lambda: extract_patches(image, candidates.batch, settings, side_px=FULL_SIDE_PX),
        "handcrafted embedding": lambda: handcrafted_embeddings(cut[SMALL_SIDE_PX]),
        "consistency": lambda: consistency(candidates.batch, seen),
        "rules, typical_size": lambda: apply_rules(candidates, "typical_size"),
    }
    for side in (SMALL_SIDE_PX, LOOKS_SIDE_PX):
        steps[f"EfficientNet-Lite0, {side} px"] = partial(looks_embeddings, cut[side])
    if network is not None:
        steps[f"ResNet-50, {network.device}"] = lambda: network.classify([cut[FULL_SIDE_PX]])
    return [{"step": name, "candidates": n, **timed(run, repeats)} for name, run in steps.items()]


def main() -> None:
    """Time each step between the masks and the count."""
    args = arguments(__doc__).parse_args()
    cv2.setNumThreads(1)
    network = None
    if importlib.util.find_spec("torchvision") is not None:
        import torch

        network = resnet("cuda" if torch.cuda.is_available() else "cpu")
    rows = []
    for n in (100,) if args.quick else (100, 1000):
        rows += rows_for(
            n,
            1 if args.quick else 3,
            network if n <= 100 or network is None or network.device == "cuda" else None,
        )
    report("from masks to labels", rows, args.json)


if __name__ == "__main__":
    main()
