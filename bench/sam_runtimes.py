"""Which runtime is best for SAM's encoder and mask decoder on the CPU: torch, ONNX Runtime or OpenVINO?

ViT-B in its real size with seeded random weights, float32: the package's own layers, then ours
(``FastEncoder``, ``FastDecoder``) in torch as they run, in torch with its own products (MKL's) in place of
oneDNN's, and in each runtime that is installed (OpenVINO is no dependency of Tally). The encoder: one image
of 1024 px; the other runtimes get the package's layers as well. The decoder: 32 points on one image, by
points at once; what all points of an image share is made beforehand; all masks are drawn. The ways take
turns; seconds are medians of this process's CPU seconds. ``off``: largest difference of features or logits
to the package's, as a share of their spread.

    python -m bench.sam_runtimes {encoder,decoder} [--quick] [--json PATH] [--threads N]
"""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam
from torch import Tensor, nn

from bench.report import arguments, report
from pipeline.segment import sam_encoder, sam_products
from pipeline.segment.sam_decoder import FastDecoder, ImageMemory
from pipeline.segment.sam_encoder import FastEncoder
from pipeline.segment.sam_package import PackageNet
from tests.doubles.small_sam import small_sam

POINTS = 32
AT_ONCE = (2, 8, 32)
INPUTS = ("pixels", "position", "keys_t", "values", "queries_t", "points_xy")
PACKAGE = "segment-anything's, "
MKL = "torch, MKL's products"

Run = Callable[[], NDArray[np.float32]]
"""All of the work once: features or logits."""

Infer = Callable[[list[Any]], Any]
"""Inputs in their order to the first output."""


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
    parser.add_argument("part", choices=("encoder", "decoder"))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    is_small = args.quick and args.part == "encoder"  # it takes minutes in its real size
    sam = small_sam() if is_small else sam_model_registry["vit_b"]().eval()
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        if args.part == "encoder":
            rows = _measure(_encoder_ways(sam, Path(folder), args.threads), 1 if args.quick else 3)
        else:
            sizes = AT_ONCE[-1:] if args.quick else AT_ONCE
            rows = _measure(_decoder_ways(sam, sizes, Path(folder), args.threads), 1 if args.quick else 5)
    unit = {"encoder": "images_at_once", "decoder": "points_at_once"}[args.part]
    rows = [{args.part: way, unit: n, **row, "threads": args.threads} for (way, n), row in rows]
    report(f"SAM's {args.part} on the CPU", rows, args.json)


def _encoder_ways(sam: Sam, folder: Path, threads: int) -> dict[tuple[str, int], Run]:
    """Return the package's encoder and ours in each runtime there is, for one image."""
    theirs = sam.image_encoder
    for name, weight in theirs.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            weight.normal_(std=0.2)  # they begin as zeros
    ours = FastEncoder(theirs)
    pixels = torch.randn(1, 3, theirs.img_size, theirs.img_size)
    ways: dict[tuple[str, int], Run] = {
        (PACKAGE + "torch", 1): lambda: theirs(pixels).numpy(),
        ("torch", 1): lambda: ours(pixels).numpy(),
        (MKL, 1): _with_mkl(lambda: ours(pixels).numpy()),
    }
    for prefix, encoder in ((PACKAGE, theirs), ("", ours)):
        path = folder / f"{prefix}encoder.onnx"
        with _exportable_rows():
            _export(encoder, (pixels,), path, ("pixels",))
        for name, infer in _runtimes(path, threads).items():
            ways[prefix + name, 1] = lambda infer=infer: infer([pixels.numpy()])
    return ways


@contextmanager
def _exportable_rows() -> Iterator[None]:
    """Let our encoder join its rows: written into one tensor, ONNX would copy that tensor each time."""
    written = sam_encoder._sdpa_by_rows
    sam_encoder._sdpa_by_rows = _sdpa_by_joined_rows
    try:
        yield
    finally:
        sam_encoder._sdpa_by_rows = written


def _sdpa_by_joined_rows(
    q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float
) -> Tensor:
    """Return what ``sam_encoder._sdpa_by_rows`` returns."""
    images = []
    for image in zip(q, k, v, rel_h, rel_w, strict=True):
        heads = []
        for asked, keys, values, down, across in zip(*image, strict=True):
            parts = []
            for start in range(0, len(asked), sam_encoder.CPU_ROWS):
                rows = slice(start, start + sam_encoder.CPU_ROWS)
                bias = down[rows, :, None] + across[rows, None, :]
                scores = (asked[rows] * scale) @ keys.t() + bias.flatten(1)
                parts.append(torch.softmax(scores, dim=-1) @ values)
            heads.append(torch.cat(parts))
        images.append(torch.stack(heads))
    return torch.stack(images)


def _decoder_ways(sam: Sam, sizes: tuple[int, ...], folder: Path, threads: int) -> dict[tuple[str, int], Run]:
    """Return the package's decoder, and ours in each runtime there is, by points at once."""
    features, points = torch.randn(256, 64, 64), torch.rand(POINTS, 2) * 1024
    package, decoder = PackageNet(sam, torch.device("cpu")), FastDecoder(sam)
    drawn, memory = Drawn(decoder).eval(), astuple(decoder.remember(features))
    fixed = [tensor.numpy() for tensor in memory]
    ways: dict[tuple[str, int], Run] = {
        (PACKAGE + "torch", POINTS): lambda: package._predict(features, points)[0].numpy()
    }
    for n in sizes:
        path, split = folder / f"{n}.onnx", torch.split(points, n)
        _export(drawn, (*memory, points[:n]), path, INPUTS)
        ways["torch", n] = lambda split=split: np.concatenate([drawn(*memory, p).numpy() for p in split])
        ways[MKL, n] = _with_mkl(ways["torch", n])
        for name, infer in _runtimes(path, threads).items():
            ways[name, n] = lambda split=split, infer=infer: np.concatenate(
                [infer([*fixed, some.numpy()]) for some in split]
            )
    return ways


def _export(module: nn.Module, inputs: tuple[Tensor, ...], path: Path, names: tuple[str, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        with _torch_products():  # ONNX does not know oneDNN's
            torch.onnx.export(module, inputs, path, input_names=list(names), dynamo=False)


@contextmanager
def _torch_products() -> Iterator[None]:
    """Let torch multiply as it does without us."""
    sam_products.HAS_ONEDNN, had = False, sam_products.HAS_ONEDNN
    try:
        yield
    finally:
        sam_products.HAS_ONEDNN = had


def _with_mkl(run: Run) -> Run:
    def other() -> NDArray[np.float32]:
        with _torch_products():
            return run()

    return other


def _runtimes(path: Path, threads: int) -> dict[str, Infer]:
    """Return the exported model in each runtime that is installed."""
    loads = {"onnxruntime": _onnxruntime, "openvino": _openvino}
    return {name: load(path, threads) for name, load in loads.items() if importlib.util.find_spec(name)}


def _onnxruntime(path: Path, threads: int) -> Infer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))[0]


def _openvino(path: Path, threads: int) -> Infer:
    import openvino

    exact = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
    model = openvino.Core().compile_model(str(path), "CPU", exact)
    return lambda inputs: model(inputs)[0].copy()


def _measure(ways: dict[tuple[str, int], Run], repeats: int) -> list[tuple[tuple[str, int], dict[str, Any]]]:
    """Let the ways take turns; return each with its row."""
    seconds: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
    made: dict[tuple[str, int], NDArray[np.float32]] = {}
    for _ in range(1 + repeats):  # the first is not counted
        for way, run in ways.items():
            started = time.process_time()
            made[way] = run()
            seconds[way].append(time.process_time() - started)
    want = next(iter(made.values()))
    first = statistics.median(next(iter(seconds.values()))[1:])
    rows = []
    for way, times in seconds.items():
        cpu_s = statistics.median(times[1:])
        off = float(np.abs(made[way] - want).max() / want.std())
        rows.append((way, {"repeats": repeats, "cpu_s": cpu_s, "ratio": first / cpu_s, "off": off}))
    return rows


if __name__ == "__main__":
    main()
