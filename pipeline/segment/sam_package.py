"""segment-anything's own layers behind the generator: the arithmetic of ``mode: reference``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from segment_anything.modeling import Sam
from torch import Tensor

from pipeline.portions import OnPart, split, unheard


@dataclass(frozen=True, slots=True)
class Decoded:
    """Masks whose predicted IoU passed, in SAM's order (points first, then the masks of each).

    Attributes:
        logits: (K, h, w) small mask logits. predicted_iou: (K,) float32.
        points: (K,) int64. Row of the prompt each mask answers.
    """

    logits: Tensor
    predicted_iou: Tensor
    points: Tensor


class SamNet(Protocol):
    """A SAM, loaded: images in, features out; features and points in, small masks out."""

    sam: Sam
    device: torch.device

    def encode(self, pixels: Tensor) -> Tensor:
        """Return (B, C, h, w) features of (B, 3, S, S) normalised, padded images."""
        ...

    def decode(
        self,
        features: Tensor,
        points_xy: Tensor,
        pred_iou_thresh: float,
        at_once: int,
        on_part: OnPart = unheard,
    ) -> Decoded:
        """Return the masks of (P, 2) points, px of the model's input, on (C, h, w) features of one image.

        ``on_part`` is told the share of the points that is done, after each ``at_once`` of them or fewer.
        """
        ...


class PackageNet:
    """segment-anything's encoder and decoder, called as its own generator calls them."""

    def __init__(self, sam: Sam, device: torch.device) -> None:
        """Move the model to the device."""
        self.sam, self.device = sam.to(device).eval(), device

    def encode(self, pixels: Tensor) -> Tensor:
        """Return the features, image by image: a batch would change the last bits."""
        return torch.cat([self.sam.image_encoder(one[None]) for one in pixels])

    def decode(
        self,
        features: Tensor,
        points_xy: Tensor,
        pred_iou_thresh: float,
        at_once: int,
        on_part: OnPart = unheard,
    ) -> Decoded:
        """Return the masks that pass; all are decoded, only survivors are kept."""
        parts = []
        for start, points in split(points_xy, at_once, on_part):
            logits, iou = self._predict(features, points)
            row = torch.arange(start, start + len(points), device=self.device)
            parts.append(keep_good(logits, iou, row, pred_iou_thresh))
        return join(parts)

    def _predict(self, features: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return (P, M, h, w) logits and (P, M) predicted IoU."""
        labels = torch.ones(len(points), 1, dtype=torch.int, device=self.device)
        sparse, dense = self.sam.prompt_encoder(points=(points[:, None], labels), boxes=None, masks=None)
        logits, iou = self.sam.mask_decoder(
            image_embeddings=features[None],
            image_pe=self.sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        return logits, iou


def keep_good(logits: Tensor, iou: Tensor, row: Tensor, pred_iou_thresh: float) -> Decoded:
    """Return the masks of (P, M, h, w) whose (P, M) predicted IoU is above the limit; 0 keeps all."""
    masks = logits.shape[1]
    logits, iou, row = logits.flatten(0, 1), iou.flatten(), row.repeat_interleave(masks)
    if pred_iou_thresh > 0.0:
        keep = (iou > pred_iou_thresh).nonzero().flatten()  # once: here a card is waited for
        logits, iou, row = logits[keep], iou[keep], row[keep]
    return Decoded(logits, iou, row)


def join(parts: list[Decoded]) -> Decoded:
    """Return the masks of several batches of points as one."""
    return Decoded(
        *(torch.cat([getattr(p, f) for p in parts]) for f in ("logits", "predicted_iou", "points"))
    )
