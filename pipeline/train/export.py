"""Writes a trained network as an ONNX file with its history in the metadata."""

from __future__ import annotations

import argparse
import subprocess
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from pipeline.train.like_network import LIKE_WIDTH, LikeNet, is_told
from pipeline.train.network import OUTPUTS, MiniNet
from pipeline.train.scenes import COUNTED_RADII

_LARGE = 1_000
_TOLD_IN_8_BITS = 100_000
"""Numbers of the layers of the network that is told of exemplars that are: so both files stay under 10 MB."""


class _WithProbs(nn.Module):
    """The network followed by the sigmoid, so that whoever runs it gets values in [0, 1]."""

    def __init__(self, net: MiniNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        return torch.sigmoid(self.net(image))


class _Told(nn.Module):
    """The network that is told of exemplars, for one picture: its maps, and what each cell looks like."""

    def __init__(self, net: LikeNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, like: Tensor) -> tuple[Tensor, ...]:
        features = self.net.base.encode(image)
        looks = self.net.look(features)
        return torch.sigmoid(self.net.decode(features, looks, like[None])), *looks


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
    """Write the network whose checkpoints are ``states`` to ``out``, for pictures of multiples of 32 px."""
    saved = averaged(states)
    with warnings.catch_warnings():  # the newer exporter needs onnxscript, which nothing else does
        warnings.simplefilter("ignore", DeprecationWarning)
        # Sizes are traced as numbers; they are multiples of 32 there.
        warnings.filterwarnings("ignore", "Converting a tensor to a Python")
        warnings.filterwarnings("ignore", "Constant folding")  # of a padding, left as it is
        net = network_of(saved["state"])
        if isinstance(net, LikeNet):
            _write_told(net, out)
        else:
            _write_plain(net, out)
    model = onnx.load(str(out))
    if isinstance(net, LikeNet):
        to_8_bits(model, _TOLD_IN_8_BITS)
    halve(model)
    history = {k: str(v) for k, v in saved["meta"].items()}
    history |= {
        "commit": _commit(),
        "outputs": " ".join(OUTPUTS),
        "radii_px": f"{COUNTED_RADII[0]} {COUNTED_RADII[1]}",
    }
    onnx.helper.set_model_props(model, history)
    onnx.save(model, str(out))


def network_of(state: dict[str, Tensor]) -> MiniNet | LikeNet:
    """Return the network that a checkpoint's weights belong to, ready to run."""
    net = LikeNet(MiniNet()) if is_told(state) else MiniNet()
    net.load_state_dict(state)
    return net.eval()


def _write_plain(net: MiniNet, out: Path) -> None:
    free = {0: "batch", 2: "height", 3: "width"}
    torch.onnx.export(
        _WithProbs(net),
        (torch.zeros(2, 3, 64, 96),),
        str(out),
        dynamo=False,
        dynamic_axes={"image": free, "maps": free},
        input_names=["image"],
        output_names=["maps"],
    )


def _write_told(net: LikeNet, out: Path) -> None:
    names = ["like_maps", "look4", "look8", "look16"]
    free = {name: {2: f"{name}_height", 3: f"{name}_width"} for name in ("image", *names)}
    torch.onnx.export(
        _Told(net),
        (torch.zeros(1, 3, 64, 96), torch.zeros(3, LIKE_WIDTH)),
        str(out),
        dynamo=False,
        dynamic_axes=free | {"like": {0: "exemplars"}},
        input_names=["image", "like"],
        output_names=names,
    )


def halve(model: onnx.ModelProto) -> None:
    """Store a model's large weights as float16; they are made float32 when it is loaded."""
    for weights in [w for w in model.graph.initializer if w.data_type == onnx.TensorProto.FLOAT]:
        values = onnx.numpy_helper.to_array(weights)
        if values.size < _LARGE:
            continue
        name = weights.name
        weights.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        cast = onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT)
        model.graph.node.insert(0, cast)


def to_8_bits(model: onnx.ModelProto, least: int) -> None:
    """Store weights of ``least`` numbers or more as int8, and a scale an output channel."""
    for weights in [w for w in model.graph.initializer if w.data_type == onnx.TensorProto.FLOAT]:
        values = onnx.numpy_helper.to_array(weights)
        if values.size < least:
            continue
        name, highest = weights.name, np.abs(values).max(axis=(1, 2, 3), keepdims=True)
        scale = np.maximum(highest / 127, 1e-12).astype(np.float32)
        weights.CopyFrom(
            onnx.numpy_helper.from_array(np.rint(values / scale).astype(np.int8), f"{name}_int8")
        )
        model.graph.initializer.append(onnx.numpy_helper.from_array(scale, f"{name}_scale"))
        model.graph.node.insert(0, onnx.helper.make_node("Mul", [f"{name}_float", f"{name}_scale"], [name]))
        cast = onnx.helper.make_node("Cast", [f"{name}_int8"], [f"{name}_float"], to=onnx.TensorProto.FLOAT)
        model.graph.node.insert(0, cast)


def main() -> None:
    """Export a checkpoint, or the mean of several: ``python -m pipeline.train.export STATE… OUT``."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("states", type=Path, nargs="+")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    export_onnx(args.states, args.out)


if __name__ == "__main__":
    main()
