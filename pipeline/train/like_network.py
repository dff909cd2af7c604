"""The network that looks for things like exemplars: mini's, told at every level what they look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, normalize

from pipeline.segment.mini_like import USUAL_CELLS
from pipeline.train.network import WIDTHS, MiniNet

LOOK_WIDTHS = (32, 32, 48)
"""Channels of the looks at strides 4, 8 and 16."""
LIKE_WIDTH = sum(LOOK_WIDTHS) + 1
"""Looks of an exemplar and the logarithm of its size."""


class LikeNet(nn.Module):
    """Maps a picture and exemplars to the maps of ``MiniNet``, of what is like the exemplars only.

    How near the looks of each cell are to those of the exemplars goes in beside the features of each level,
    and what the exemplars look like sets gains and shifts of these (FiLM, Perez et al. 2018).
    """

    def __init__(self, base: MiniNet) -> None:
        """Start from ``base``: at first exemplars change nothing."""
        super().__init__()
        b, c, d = WIDTHS[1:]
        self.base = base
        self.looks = nn.ModuleList(
            nn.Conv2d(n, look, 1) for n, look in zip((b, c, d), LOOK_WIDTHS, strict=True)
        )
        self.tell = nn.Sequential(nn.Linear(LIKE_WIDTH, 64), nn.ReLU(), nn.Linear(64, 2 * (b + c + d)))
        self.show = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * len(LOOK_WIDTHS), 24, 3, 1, 1), nn.ReLU(), nn.Conv2d(24, n, 1))
            for n in WIDTHS
        )
        for part in (self.tell, *self.show):
            for weights in part[-1].parameters():
                nn.init.zeros_(weights)

    def look(self, features: list[Tensor]) -> list[Tensor]:
        """Return the looks of each cell at strides 4, 8 and 16, unit length over the channels."""
        return [normalize(look(x), dim=1) for look, x in zip(self.looks, features[1:], strict=True)]

    def like(self, looks: list[Tensor], masks: Tensor) -> Tensor:
        """Return (B, E, LIKE_WIDTH): mean looks under (B, E, H / 4, W / 4) masks, and sizes."""
        out = []
        for look in looks:
            weight = avg_pool2d(masks, masks.shape[2] // look.shape[2])
            weight = weight / weight.sum((2, 3), keepdim=True).clamp(min=1e-6)
            out.append(normalize(torch.einsum("bchw,behw->bec", look, weight), dim=2))
        size = 0.5 * torch.log(masks.sum((2, 3)).clamp(min=1) / USUAL_CELLS)
        return torch.cat([*out, size[..., None]], 2)

    def decode(self, features: list[Tensor], looks: list[Tensor], like: Tensor) -> Tensor:
        """Return (B, 3, H / 2, W / 2) logits of what is like (B, E, LIKE_WIDTH) exemplars."""
        near = []
        for look, part in zip(looks, torch.split(like[..., :-1], list(LOOK_WIDTHS), 2), strict=True):
            same = torch.einsum("bchw,bec->behw", look, part)
            near += [same.amax(1, keepdim=True), same.mean(1, keepdim=True)]
        told = [
            x + show(torch.cat([_resized(n, x.shape[2:]) for n in near], 1))
            for x, show in zip(features, self.show, strict=True)
        ]
        changes = torch.split(self.tell(like.mean(1)), [n for n in WIDTHS[1:] for _ in range(2)], 1)
        for k, x in enumerate(features[1:], start=1):
            gain, shift = changes[2 * k - 2 : 2 * k]
            told[k] = told[k] + x * gain[..., None, None] + shift[..., None, None]
        return self.base.decode(told)

    def forward(self, x: Tensor, masks: Tensor) -> Tensor:
        """Return the logits of what is like the exemplars under the masks of the same pictures."""
        features = self.base.encode(x)
        looks = self.look(features)
        return self.decode(features, looks, self.like(looks, masks))


def is_told(state: Mapping[str, Any]) -> bool:
    """Return whether a state is that of a ``LikeNet``, and not of a ``MiniNet``."""
    return "tell.0.weight" in state


def _resized(x: Tensor, size: torch.Size) -> Tensor:
    """Return a map at another stride: mean of cells, or the same cell again."""
    if x.shape[2] > size[0]:
        return avg_pool2d(x, x.shape[2] // size[0])
    return interpolate(x, size=size, mode="nearest")
