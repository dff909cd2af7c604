"""SAM's layers arranged for speed (``mode: exact`` and ``fast``): shared work once, survivors only.

On the CPU everything is float32; masks are drawn only for prompts with a mask that passes. On a GPU nothing
waits for the host between the first and the last of four portions of points (all of a 32 x 32 grid where
256 fit at once): their masks are drawn, then filtered together. ``fast`` encodes in bfloat16 with a compiled
encoder.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import torch
from segment_anything.modeling import Sam
from torch import Tensor

from pipeline.memory import is_out_of_memory
from pipeline.portions import OnPart, span, split, unheard
from pipeline.segment.sam_decoder import FastDecoder, ImageMemory
from pipeline.segment.sam_encoder import FastEncoder
from pipeline.segment.sam_package import Decoded, join, keep_good

log = logging.getLogger(__name__)

CPU_PIXEL_BYTES = 4 << 20
"""Prompts' pixels a CPU step holds a thread, so that they stay in the cache: one prompt of ViT-B."""

PORTIONS_HELD = 4
"""Portions of points whose masks a GPU holds before it filters them: a 32 x 32 grid where 256 points fit."""

WARM_UP_S = 300.0
"""No further size is compiled ahead after this, so that a slow compiler does not look like a hung worker."""


class FastNet:
    """A SAM whose encoder and decoder give the package's numbers to rounding, several times faster.

    Args:
        sam: moved to the device; its weights are shared, not copied, in float32.
        device: CPU or CUDA.
        half: encode in bfloat16, decode with TF32 products (CUDA only; a CPU stays in float32).
        compiled: compile the encoder (CUDA only). The first images wait for it, or ``warm_up`` does.
    """

    def __init__(self, sam: Sam, device: torch.device, half: bool = True, compiled: bool = True) -> None:
        """Share the layers."""
        self.sam, self.device = sam.to(device).eval(), device
        self.half = half and device.type == "cuda"
        self._eager: Callable[[Tensor], Tensor] = FastEncoder(self.sam.image_encoder).to(device)
        self._decoder = FastDecoder(self.sam)
        self._encoder: Callable[[Tensor], Tensor] = self._eager
        if compiled and device.type == "cuda":
            self._encoder = torch.compile(self._eager, dynamic=False)

    @torch.inference_mode()
    def warm_up(self, images: int) -> None:
        """Compile the encoder for every batch that up to ``images`` make; without a compiled one, do nothing.

        Sizes that fail, for want of memory say, are left to the images that need them.
        """
        side, started = self.sam.image_encoder.img_size, time.monotonic()
        for n in (1 << k for k in range((images - 1).bit_length() + 1)):
            is_late = n > 1 and time.monotonic() - started > WARM_UP_S
            if self._encoder is self._eager or is_late:
                return
            try:
                self.encode(torch.zeros(n, 3, side, side, device=self.device))
            except RuntimeError:
                log.warning("SAM's encoder cannot be warmed up for %d images at once", n, exc_info=True)
                return

    def encode(self, pixels: Tensor) -> Tensor:
        """Return (B, C, h, w) float32 features; on CUDA B is padded to a power of two, so shapes repeat."""
        if self.device.type != "cuda":
            return self._run_encoder(pixels)
        n = len(pixels)
        filled = torch.cat([pixels, pixels[:1].expand((1 << (n - 1).bit_length()) - n, -1, -1, -1)])
        with torch.autocast("cuda", torch.bfloat16, enabled=self.half):
            return self._run_encoder(filled)[:n].float()

    def _run_encoder(self, pixels: Tensor) -> Tensor:
        """Return the features; where the encoder does not compile (no C compiler, say), it runs as it is."""
        try:
            features: Tensor = self._encoder(pixels)
        except RuntimeError as error:
            if self._encoder is self._eager or is_out_of_memory(error):
                raise
            log.warning("SAM's encoder cannot be compiled here and runs slower", exc_info=True)
            self._encoder = self._eager
            features = self._encoder(pixels)
        return features

    def decode(
        self,
        features: Tensor,
        points_xy: Tensor,
        pred_iou_thresh: float,
        at_once: int,
        on_part: OnPart = unheard,
    ) -> Decoded:
        """Return the masks of (P, 2) points, px of the model's input, on (C, h, w) features of one image."""
        if self.device.type != "cuda":
            cached = CPU_PIXEL_BYTES * torch.get_num_threads() // features.nbytes
            at_once = max(1, min(at_once, cached))
            memory = self._decoder.remember(features)
            return self._decode_lazily(memory, points_xy, pred_iou_thresh, at_once, on_part)
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if self.half else "highest")
        try:
            memory = self._decoder.remember(features)
            return self._decode_all(memory, points_xy, pred_iou_thresh, at_once, on_part)
        finally:
            torch.set_float32_matmul_precision(precision)

    def _decode_all(
        self, memory: ImageMemory, points_xy: Tensor, pred_iou_thresh: float, at_once: int, on_part: OnPart
    ) -> Decoded:
        """Draw every mask, then filter: the host waits once for each ``PORTIONS_HELD`` portions of points."""
        parts, n = [], max(1, len(points_xy))
        for start, some in split(points_xy, PORTIONS_HELD * at_once, unheard):
            own = span(on_part, start / n, (start + len(some)) / n)
            drawn = [self._draw(memory, points) for _, points in split(some, at_once, own)]
            logits, iou = (torch.cat(column) for column in zip(*drawn, strict=True))
            row = torch.arange(start, start + len(some), device=self.device)
            parts.append(keep_good(logits, iou, row, pred_iou_thresh))
        return join(parts)

    def _draw(self, memory: ImageMemory, points_xy: Tensor) -> tuple[Tensor, Tensor]:
        """Return (P, M, 4h, 4w) logits and (P, M) predicted IoU."""
        prompted = self._decoder(memory, points_xy)
        return self._decoder.draw(prompted, slice(None)), prompted.predicted_iou

    def _decode_lazily(
        self, memory: ImageMemory, points_xy: Tensor, pred_iou_thresh: float, at_once: int, on_part: OnPart
    ) -> Decoded:
        """Draw masks only of prompts that have one that passes."""
        parts = []
        for start, points in split(points_xy, at_once, on_part):
            prompted = self._decoder(memory, points)
            iou = prompted.predicted_iou
            good = (
                (iou > pred_iou_thresh).any(1)
                if pred_iou_thresh > 0
                else torch.ones(len(iou), dtype=torch.bool)
            )
            rows = good.nonzero().flatten()
            parts.append(
                keep_good(self._decoder.draw(prompted, rows), iou[rows], rows + start, pred_iou_thresh)
            )
        return join(parts)
