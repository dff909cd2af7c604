"""A small memory: torch's own allocator refuses what is larger, deterministically and in this process.

A limit of the address space (RLIMIT_AS) would refuse for real too, but native code below torch does not
check every allocation and then dies of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

IMPOSSIBLE_BYTES = 2**60


class SmallMemory(TorchDispatchMode):
    """While active, an operation whose result is larger than ``limit_bytes`` meets the allocator's refusal.

    With a ``device``, only results on that one are limited. "meta", where tensors have sizes and no values,
    can so stand in for a card without the memory.

    Attributes:
        largest_bytes: the largest result that was allowed.
    """

    def __init__(self, limit_bytes: int, device: str | None = None) -> None:
        super().__init__()
        self.limit_bytes, self.largest_bytes, self.device = limit_bytes, 0, device

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves(result) if isinstance(t, torch.Tensor)]
        limited = [t for t in tensors if self.device in (None, t.device.type)]
        sizes = [t.untyped_storage().nbytes() for t in limited]
        if max(sizes, default=0) > self.limit_bytes:
            torch.empty(IMPOSSIBLE_BYTES, dtype=torch.uint8)
        self.largest_bytes = max([self.largest_bytes, *sizes])
        return result
