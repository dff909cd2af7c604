"""What training minimises."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce


def mini_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the scalar loss.

    Args:
        logits: (B, 3, H, W) foreground, cone, contact.
        targets: (B, 4, H, W) foreground, cone, contact and weight, all in [0, 1].
    """
    logits = logits.float()
    weight = targets[:, 3]
    n = weight.sum().clamp(min=1)
    truth = targets[:, 0]
    inside = torch.sigmoid(logits[:, 0]) * weight
    overlap, both = (inside * truth).sum((1, 2)), (inside + truth * weight).sum((1, 2))
    dice = (1 - (2 * overlap + 20) / (both + 20)).mean()
    fore = (bce(logits[:, 0], truth, reduction="none") * weight).sum() / n
    off = (torch.sigmoid(logits[:, 1]) - targets[:, 1]).abs()
    cone = (off * weight * (1 + 4 * truth)).sum() / (weight * (1 + 4 * truth)).sum().clamp(min=1)
    touch = (bce(logits[:, 2], targets[:, 2], reduction="none") * weight * (1 + 5 * targets[:, 2])).sum() / n
    return fore + 0.5 * dice + 3 * cone + 0.5 * touch


def foreground_iou(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the IoU of the foreground over the whole batch, IGNORE left out."""
    seen = targets[:, 3] > 0
    guess, truth = (logits[:, 0] > 0) & seen, (targets[:, 0] > 0) & seen
    return (guess & truth).sum() / (guess | truth).sum().clamp(min=1)
