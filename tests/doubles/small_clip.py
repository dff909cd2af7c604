"""A small CLIP with seeded weights, made of open_clip's own classes; its tokenizer is the real one's."""

from __future__ import annotations

from typing import Any

import open_clip
import torch

SMALL: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 64, "head_width": 32, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 48, "heads": 2, "layers": 2},
}


def small_clip() -> torch.nn.Module:
    """Return the same network at each call, on the CPU."""
    torch.manual_seed(5)
    return open_clip.CLIP(**SMALL).eval()
