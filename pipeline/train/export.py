"""Writes a trained network as an ONNX file with its history in the metadata."""

from __future__ import annotations

import argparse
import subprocess
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from pipeline.train.network import OUTPUTS, MiniNet
from pipeline.train.scenes import COUNTED_RADII


class _WithProbs(nn.Module):
    """The network followed by the sigmoid, so that whoever runs it gets values in [0, 1]."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        return torch.sigmoid(self.net(image))


def _commit() -> str:
    """Return the short commit of the code, or "unknown" outside a checkout."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    here = Path(__file__).parent
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() or "unknown"


def averaged(states: Sequence[Path]) -> dict[str, Any]:
    """Return the mean of several checkpoints' weights, and the first one's history.

    Runs that started from the same weights and saw other scenes lie in one valley; their mean errs less than
    each of them (Wortsman et al. 2022, model soups).
    """
    saved = [torch.load(path, map_location="cpu", weights_only=True) for path in states]
    mean = {
        name: torch.stack([s["state"][name].double() for s in saved]).mean(0).to(first.dtype)
        for name, first in saved[0]["state"].items()
    }
    return {"state": mean, "meta": saved[0]["meta"] | {"averaged": len(saved)}}


def export_onnx(states: Sequence[Path], out: Path) -> None:
    """Write the network whose checkpoints are ``states`` to ``out``, any batch and multiples of 16 px."""
    saved = averaged(states)
    net = MiniNet()
    net.load_state_dict(saved["state"])
    free = {0: "batch", 2: "height", 3: "width"}
    with warnings.catch_warnings():  # the newer exporter needs onnxscript, which nothing else does
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            _WithProbs(net.eval()).eval(),
            (torch.zeros(2, 3, 64, 96),),
            str(out),
            dynamo=False,
            dynamic_axes={"image": free, "maps": free},
            input_names=["image"],
            output_names=["maps"],
        )
    model = onnx.load(str(out))
    history = {k: str(v) for k, v in saved["meta"].items()}
    history |= {
        "commit": _commit(),
        "outputs": " ".join(OUTPUTS),
        "radii_px": f"{COUNTED_RADII[0]} {COUNTED_RADII[1]}",
    }
    onnx.helper.set_model_props(model, history)
    onnx.save(model, str(out))


def main() -> None:
    """Export a checkpoint, or the mean of several: ``python -m pipeline.train.export STATE… OUT``."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("states", type=Path, nargs="+")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    export_onnx(args.states, args.out)


if __name__ == "__main__":
    main()
