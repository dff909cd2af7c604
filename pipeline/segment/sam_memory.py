"""What to do when memory runs out: fewer images at once, then fewer points, then the CPU, then say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from pipeline.contract import ErrorCode, PipelineError

T = TypeVar("T")

MIN_POINTS, MAX_POINTS = 4, 1024
POINT_BYTES = 96 << 20
"""Peak bytes one point prompt of SAM's 64 x 64 decoder takes on a GPU in float32 (docs/sam.md)."""

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


def points_that_fit(device: torch.device) -> int:
    """Return how many points to decode at once: half of the free memory's worth, a power of two."""
    if device.type != "cuda":
        return CPU_POINTS
    free_bytes, _ = torch.cuda.mem_get_info(device)
    fit = max(MIN_POINTS, min(MAX_POINTS, free_bytes // 2 // POINT_BYTES))
    return int(1 << (fit.bit_length() - 1))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an allocator refused: CUDA's, torch's on the CPU, or Python's."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    refusals = ("not enough memory", "can't allocate memory", "out of memory")
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in refusals)


def within_memory(budget: Budget, work: Callable[[Budget], T]) -> tuple[T, Budget]:
    """Return what ``work`` returns and the budget it returned it with, smaller where it had to be.

    Raises:
        PipelineError: OUT_OF_MEMORY when the smallest budget is too large, INFERENCE_ERROR when torch
            fails for another reason.
    """
    while True:
        try:
            return work(budget), budget
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise PipelineError(ErrorCode.INFERENCE_ERROR, f"the model failed: {error}") from error
            refusal = str(error).splitlines()[0] if str(error) else type(error).__name__
        smaller = budget.smaller()
        if smaller is None:
            raise PipelineError(
                ErrorCode.OUT_OF_MEMORY,
                f"want memory for one image and {budget.points} points on {budget.device}, got: {refusal}",
            )
        budget = smaller
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
