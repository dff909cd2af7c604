"""What to do when memory runs out: fewer images at once, then fewer points, then the CPU, then say so."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

MIN_POINTS, MAX_POINTS = 4, 1024
POINT_BYTES = 32 << 20
"""Peak bytes one point of SAM's 64 x 64 decoder takes on a GPU in float32: its tensors are 24 MiB, and four
portions' small masks are held (docs/sam.md)."""

CPU_POINTS = 64


@dataclass(frozen=True, slots=True)
class Budget:
    """How much is attempted at once: images encoded, points decoded, and on which device."""

    images: int
    points: int
    device: torch.device

    def smaller(self) -> Budget | None:
        """Return the next step down, or None when there is none."""
        if self.images > 1:
            return replace(self, images=self.images // 2)
        if self.points > MIN_POINTS:
            return replace(self, points=max(MIN_POINTS, self.points // 2))
        if self.device.type != "cpu":
            return Budget(1, CPU_POINTS, torch.device("cpu"))
        return None

    def __str__(self) -> str:
        """Say what memory was wanted for."""
        images = "1 image" if self.images == 1 else f"{self.images} images"
        return f"{images} and {self.points} points on {self.device.type}"


def points_that_fit(device: torch.device) -> int:
    """Return how many points to decode at once: half of the free memory's worth, a power of two."""
    if device.type != "cuda":
        return CPU_POINTS
    free_bytes, _ = torch.cuda.mem_get_info(device)
    fit = max(MIN_POINTS, min(MAX_POINTS, free_bytes // 2 // POINT_BYTES))
    return int(1 << (fit.bit_length() - 1))
