"""Which runtime is best for SAM's mask decoder on the CPU: torch, ONNX Runtime or OpenVINO?

ViT-B's decoder in its real size with seeded random weights, 32 points on one image, float32: the package's
own, then ours (``FastDecoder``) in each runtime that is installed, by points at once (OpenVINO is no
dependency of Tally). What all points of an image share is made beforehand; all masks are drawn. The ways take
turns; seconds are medians of this process's CPU seconds. ``off``: largest difference of the logits to the
package's, as a share of their spread.

    python -m bench.sam_runtimes [--quick] [--json PATH] [--threads N]
"""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segment_anything import sam_model_registry
from torch import Tensor, nn

from bench.report import arguments, report
from pipeline.segment.sam_decoder import FastDecoder, ImageMemory
from pipeline.segment.sam_package import PackageNet

POINTS = 32
AT_ONCE = (2, 8, 32)
INPUTS = ("pixels", "position", "keys_t", "values", "queries_t", "points_xy")

Decode = Callable[[Tensor], Any]
"""Points of one portion to their (P, M, h, w) logits."""


class Drawn(nn.Module):
    """The decoder as one function of tensors, so that it can be exported."""

    def __init__(self, decoder: FastDecoder) -> None:
        """Share the layers."""
        super().__init__()
        self.decoder = decoder

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the (P, M, 4h, 4w) logits of the ``INPUTS``."""
        prompted = self.decoder(ImageMemory(*inputs[:-1]), inputs[-1])
        return self.decoder.draw(prompted, slice(None))


def main() -> None:
    """Measure, print and write."""
    parser = arguments(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"]().eval()
    features, points = torch.randn(256, 64, 64), torch.rand(POINTS, 2) * 1024
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        package = PackageNet(sam, torch.device("cpu"))
        decoder = FastDecoder(sam)
        memory = astuple(decoder.remember(features))
        ways: dict[tuple[str, int], Decode] = {
            ("segment-anything's, torch", POINTS): lambda some: package._predict(features, some)[0]
        }
        for at_once in AT_ONCE[-1:] if args.quick else AT_ONCE:
            ways |= _ways(Drawn(decoder).eval(), memory, points[:at_once], Path(folder), args.threads)
        rows = _measure(ways, points, 1 if args.quick else 5)
    report("SAM's decoder on the CPU", [row | {"threads": args.threads} for row in rows], args.json)


def _ways(
    drawn: Drawn, memory: tuple[Tensor, ...], points: Tensor, folder: Path, threads: int
) -> dict[tuple[str, int], Decode]:
    """Return our decoder in each runtime there is, for so many points at once."""
    n = len(points)
    path = folder / f"{n}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        torch.onnx.export(drawn, (*memory, points), path, input_names=list(INPUTS), dynamo=False)
    fixed = [tensor.numpy() for tensor in memory]
    ways: dict[tuple[str, int], Decode] = {("torch", n): lambda some: drawn(*memory, some)}
    for name, load in (("onnxruntime", _onnxruntime), ("openvino", _openvino)):
        if importlib.util.find_spec(name):
            infer = load(path, threads)
            ways[name, n] = lambda some, infer=infer: infer([*fixed, some.numpy()])
    return ways


def _onnxruntime(path: Path, threads: int) -> Callable[[list[Any]], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, dict(zip(INPUTS, inputs, strict=True)))[0]


def _openvino(path: Path, threads: int) -> Callable[[list[Any]], Any]:
    import openvino

    exact = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
    model = openvino.Core().compile_model(str(path), "CPU", exact)
    return lambda inputs: model(inputs)[0].copy()


def _measure(ways: dict[tuple[str, int], Decode], points: Tensor, repeats: int) -> list[dict[str, Any]]:
    """Let the ways take turns; return a row for each."""
    seconds: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
    logits: dict[tuple[str, int], Any] = {}
    for _ in range(1 + repeats):  # the first is not counted
        for way, decode in ways.items():
            started = time.process_time()
            logits[way] = np.concatenate([np.asarray(decode(some)) for some in torch.split(points, way[1])])
            seconds[way].append(time.process_time() - started)
    want = next(iter(logits.values()))
    first = statistics.median(next(iter(seconds.values()))[1:])
    rows = []
    for (name, at_once), times in seconds.items():
        cpu_s = statistics.median(times[1:])
        off = float(np.abs(logits[name, at_once] - want).max() / want.std())
        rows.append(
            {"decoder": name, "points_at_once": at_once, "cpu_s": cpu_s, "ratio": first / cpu_s, "off": off}
        )
    return rows


if __name__ == "__main__":
    main()
