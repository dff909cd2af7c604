"""What to do when memory runs out: less at once, step by step, then a clear error. Needs torch to run."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

import cv2

from pipeline.contract import ErrorCode, PipelineError, unforeseen

if TYPE_CHECKING:
    import torch
    from torch import nn

log = logging.getLogger(__name__)

REFUSALS = ("not enough memory", "can't allocate memory", "out of memory", "alloc_failed")
"""What allocators say: torch's on the CPU, the system's, CUDA's, and cuBLAS' or cuDNN's."""


class Step(Protocol):
    """How much is attempted at once; printed, it is what memory was wanted for."""

    def smaller(self) -> Self | None:
        """Return the next step down, or None when there is none."""
        ...


AnyStep = TypeVar("AnyStep", bound=Step)
AnyModule = TypeVar("AnyModule", bound="nn.Module")
T = TypeVar("T")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an allocator refused: CUDA's, torch's on the CPU, OpenCV's or Python's."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, cv2.error):
        return error.code == cv2.Error.StsNoMem
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in REFUSALS)


def within_memory(step: AnyStep, work: Callable[[AnyStep], T]) -> tuple[T, AnyStep]:
    """Return what ``work`` returns and the step it returned it with, smaller where it had to be.

    Raises:
        PipelineError: OUT_OF_MEMORY when the smallest step is too large, INFERENCE_ERROR when torch
            or OpenCV fails for another reason. What the allocator or they said is in the log.
    """
    import torch

    while True:
        try:
            return work(step), step
        except (RuntimeError, MemoryError, cv2.error) as error:
            if not is_out_of_memory(error):
                log.exception("the model failed", extra={"step": str(step)})
                raise unforeseen() from error
            refusal = str(error).splitlines()[0] if str(error) else type(error).__name__
        smaller = step.smaller()
        if smaller is None:
            log.error("out of memory at the smallest step", extra={"step": str(step), "reason": refusal})
            raise PipelineError(ErrorCode.OUT_OF_MEMORY, f"not enough memory even for {step}")
        log.warning("out of memory, trying less", extra={"step": str(smaller), "reason": refusal})
        step = smaller
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def copy_to(module: AnyModule, device: torch.device | str) -> AnyModule:
    """Return a frozen copy on another device that never exists twice on this one."""
    from torch import nn

    memo: dict[int, object] = {id(p): nn.Parameter(p.detach().to(device), False) for p in module.parameters()}
    memo |= {id(b): b.to(device) for b in module.buffers()}
    return copy.deepcopy(module, memo)
