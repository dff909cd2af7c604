"""Matrix products on the CPU through oneDNN, which torch brings along and uses for convolutions only.

For float32 products torch asks MKL, which leaves out instructions of processors that are not Intel's: a layer
of ViT-B runs at 88 instead of 177 GFLOP/s on one core of an AMD EPYC. The sums are the same to rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

HAS_ONEDNN = hasattr(torch.ops.mkldnn, "_linear_pointwise")
"""``_linear_pointwise`` is what torch's own compiler calls; it takes weights as they lie in memory."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, gelu: bool = False) -> Tensor:
    """Return x weight' + bias, (..., N), after a GELU if asked; x: (..., K), weight: (N, K), bias: (N,)."""
    if HAS_ONEDNN and x.device.type == "cpu" and x.dtype == torch.float32:
        after, kind = ("gelu", "none") if gelu else ("none", "")
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, after, [], kind)
        return product
    product = functional.linear(x, weight, bias)
    return functional.gelu(product) if gelu else product


def matmul_t(a: Tensor, b: Tensor) -> Tensor:
    """Return the P products a b', (P, M, N), one after the other on a CPU; a: (P, M, K), b: (P, N, K)."""
    if a.device.type != "cpu" or not len(a):
        return a @ b.transpose(1, 2)
    products = [linear(*pair) for pair in zip(a, b, strict=True)]
    return torch.stack(products) if len(products) > 1 else products[0][None]
