"""Writes a trained network as an ONNX file with its history in the metadata."""

from __future__ import annotations

import argparse
import subprocess
import warnings
from pathlib import Path

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


def export_onnx(state: Path, out: Path) -> None:
    """Write the network whose checkpoint is ``state`` to ``out``, any batch and multiples of 16 px."""
    saved = torch.load(state, map_location="cpu", weights_only=True)
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
    """Export one checkpoint: ``python -m pipeline.train.export STATE OUT``."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("state", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    export_onnx(args.state, args.out)


if __name__ == "__main__":
    main()
