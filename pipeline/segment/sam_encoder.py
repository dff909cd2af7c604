"""SAM's image encoder with the same weights and the same sums, without walking over its score matrices.

segment-anything builds a (heads, 4096, 4096) matrix per global block and walks over it four times. Here the
two relative-position terms are added where the scores are made: in cache-sized rows on the CPU, inside
scaled-dot-product attention on a GPU, where their sum takes as much memory as scores would (0.4 GB an image
in bfloat16, ViT-B). Derived from segment_anything.modeling.image_encoder (Apache-2.0).
"""

from __future__ import annotations

import torch
from segment_anything.modeling.image_encoder import (
    Attention,
    Block,
    ImageEncoderViT,
    get_rel_pos,
    window_partition,
    window_unpartition,
)
from torch import Tensor, nn
from torch.nn import functional

from pipeline.segment.sam_products import linear

CPU_ROWS = 128
"""Query rows a CPU step scores at once: 128 x 4096 float32 is 2 MiB, which stays in the cache."""


class FastEncoder(nn.Module):
    """The layers of an ``ImageEncoderViT``, shared with it, run with attention that saves memory.

    Args:
        encoder: its parameters are used in place, neither copied nor changed.
    """

    def __init__(self, encoder: ImageEncoderViT) -> None:
        """Look up the relative positions of every block once."""
        super().__init__()
        self.encoder = encoder
        grid = encoder.img_size // encoder.patch_embed.proj.kernel_size[0]
        for index, block in enumerate(encoder.blocks):
            side = block.window_size or grid
            for axis in ("h", "w"):
                self.register_buffer(
                    f"rel_{axis}_{index}", _rel_table(block.attn, axis, side), persistent=False
                )

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the (B, C, h, w) features of (B, 3, S, S) normalised, padded images."""
        x = self.encoder.patch_embed(pixels)  # (B, h, w, D)
        if self.encoder.pos_embed is not None:
            x = x + self.encoder.pos_embed
        for index, block in enumerate(self.encoder.blocks):
            tables = getattr(self, f"rel_h_{index}"), getattr(self, f"rel_w_{index}")
            x = _run_block(block, x, tables)
        features: Tensor = self.encoder.neck(x.permute(0, 3, 1, 2))
        return features


def _rel_table(attn: Attention, axis: str, side: int) -> Tensor | None:
    """Return the (side, side, d) position embedding of each query and key row, None where there is none."""
    if not attn.use_rel_pos:
        return None
    table: Tensor = get_rel_pos(side, side, getattr(attn, f"rel_pos_{axis}")).detach()
    return table


def _run_block(block: Block, x: Tensor, tables: tuple[Tensor | None, Tensor | None]) -> Tensor:
    """Return what ``block(x)`` returns; x is (B, H, W, D)."""
    height, width = x.shape[1:3]
    y = block.norm1(x)
    if block.window_size > 0:
        y, padded_hw = window_partition(y, block.window_size)
    y = _attend(block.attn, y, tables)
    if block.window_size > 0:
        y = window_unpartition(y, block.window_size, padded_hw, (height, width))
    x = x + y
    up, down = block.mlp.lin1, block.mlp.lin2
    hidden = linear(block.norm2(x), up.weight, up.bias, gelu=True)
    return x + linear(hidden, down.weight, down.bias)


def _attend(attn: Attention, x: Tensor, tables: tuple[Tensor | None, Tensor | None]) -> Tensor:
    """Return what ``attn(x)`` returns; x is (B, H, W, D)."""
    b, h, w, _ = x.shape
    qkv = linear(x, attn.qkv.weight, attn.qkv.bias).reshape(b, h * w, 3, attn.num_heads, -1)
    q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (B, heads, N, d) each
    table_h, table_w = tables
    if table_h is None or table_w is None:
        out = functional.scaled_dot_product_attention(q, k, v, scale=attn.scale)
    else:
        grid = q.reshape(b, attn.num_heads, h, w, -1)
        rel_h = torch.einsum("bnhwc,hkc->bnhwk", grid, table_h).flatten(2, 3)  # (B, heads, N, H)
        rel_w = torch.einsum("bnhwc,wkc->bnhwk", grid, table_w).flatten(2, 3)  # (B, heads, N, W)
        by_rows = q.device.type == "cpu" and h * w > 2 * CPU_ROWS  # a window's scores are few
        out = (_sdpa_by_rows if by_rows else _sdpa)(q, k, v, rel_h, rel_w, attn.scale)
    return linear(out.transpose(1, 2).reshape(b, h, w, -1), attn.proj.weight, attn.proj.bias)


def _sdpa(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
    """Return softmax(q k' scale + rel_h + rel_w) v with the positions as an additive mask."""
    mask = (rel_h[..., :, None] + rel_w[..., None, :]).flatten(3)  # (B, heads, N, H * W)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)


def _sdpa_by_rows(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
    """Return the same, one head and ``CPU_ROWS`` queries at a time."""
    out = torch.empty_like(q)
    n, h, w = q.shape[2], rel_h.shape[-1], rel_w.shape[-1]
    for b in range(q.shape[0]):
        for head in range(q.shape[1]):
            asked, keys = (q[b, head] * scale).contiguous(), k[b, head].contiguous()
            values_t = v[b, head].t().contiguous()
            for start in range(0, n, CPU_ROWS):
                rows = slice(start, start + CPU_ROWS)
                scores = linear(asked[rows], keys)
                scores.view(-1, h, w).add_(rel_h[b, head, rows, :, None]).add_(rel_w[b, head, rows, None, :])
                out[b, head, rows] = linear(torch.softmax(scores, dim=-1), values_t)
    return out
