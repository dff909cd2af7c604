"""An ideal SAM for pictures in flat colours: asked at a point, it answers with all that has its colour."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.portions import OnPart, unheard
from pipeline.segment.sam_package import Decoded, keep_good
from tests.doubles.small_sam import SIDE, small_sam

SURE = 20.0


class IdealNet:
    """A SamNet without weights; features are the picture itself.

    Attributes:
        asked_xy: (P, 2) px of the model's input; every point asked so far.
        judge: what it says of each mask's quality.
    """

    def __init__(self, judge: float = 0.99) -> None:
        self.sam, self.device, self.judge = small_sam(), torch.device("cpu"), judge
        self.asked_xy = torch.zeros(0, 2)

    def encode(self, pixels: Tensor) -> Tensor:
        return pixels

    def decode(
        self,
        features: Tensor,
        points_xy: Tensor,
        pred_iou_thresh: float,
        at_once: int,
        on_part: OnPart = unheard,
    ) -> Decoded:
        self.asked_xy = torch.cat([self.asked_xy, points_xy.float()])
        x, y = points_xy.long().clamp(0, SIDE - 1).unbind(1)
        colours = features[:, y, x].t()[:, :, None, None]  # (P, 3, 1, 1)
        same = (features - colours).abs().amax(1) < 0.05  # of 256 greys, normalised, one is 0.02
        logits = torch.where(same, SURE, -SURE)
        quality = torch.full((len(points_xy), 1), self.judge)
        on_part(1.0)
        return keep_good(logits[:, None], quality, torch.arange(len(points_xy)), pred_iou_thresh)
