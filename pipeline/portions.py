"""A network's passes over any number of things: bounded portions, within the memory there is.

Between two passes the caller is told how far it is, so that it can report progress, or stop by raising.
Needs torch to run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pipeline.memory import copy_to, within_memory

if TYPE_CHECKING:
    from torch import Tensor, nn

CPU = "cpu"

Item = TypeVar("Item")
Answer = TypeVar("Answer")

OnPart = Callable[[float], None]
"""Told the share in [0, 1] that is done, after each pass of a network. May raise, to stop."""


def best_device() -> str:
    """Return "cuda" where torch sees a GPU, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else CPU


def unheard(share: float) -> None:
    """Let the share that is done go by: for callers who wait for the end."""


def span(on_part: OnPart, begins: float, ends: float) -> OnPart:
    """Return what one part of the work tells: its own [0, 1] is ``begins`` to ``ends`` of the whole."""
    return lambda share: on_part((1 - share) * begins + share * ends)


def rising(on_part: OnPart) -> OnPart:
    """Return what never tells less than it has told: for work that begins again with less at once."""
    told = 0.0

    def risen(share: float) -> None:
        nonlocal told
        told = max(told, share)
        on_part(told)

    return risen


def each(items: Sequence[Item], on_part: OnPart) -> Iterator[Item]:
    """Yield the items; tell the share that is done when the next one is asked for, and at the end."""
    for done, item in enumerate(items, start=1):
        yield item
        on_part(done / len(items))


def split(rows: Tensor, at_once: int, on_part: OnPart) -> Iterator[tuple[int, Tensor]]:
    """Yield the first row and the rows of each portion; tell the share that is done after each."""
    import torch

    start = 0
    for some in torch.split(rows, at_once):
        yield start, some
        start += len(some)
        on_part(start / max(1, len(rows)))


@dataclass(frozen=True, slots=True)
class Portion:
    """So many things of a kind in one pass, on a device; ``on_cpu`` is what the CPU begins with."""

    n: int
    kind: str
    device: str
    on_cpu: int

    def smaller(self) -> Portion | None:
        """Return half of it; after the last one on a GPU, the CPU's first portion."""
        if self.n > 1:
            return replace(self, n=self.n // 2)
        return None if self.device == CPU else replace(self, n=self.on_cpu, device=CPU)

    def __str__(self) -> str:
        """Say what memory was wanted for."""
        return f"{self.n} of the {self.kind} on {self.device}"


class Copies:
    """One network, on its own device and, once memory ran out there, on the CPU.

    The CPU's parameters are those it was given: memory-mapped ones stay mapped.

    Attributes:
        home: where passes begin.
    """

    def __init__(self, network: nn.Module, home: str) -> None:
        """Take a network that lies on the CPU; it is copied to ``home`` when first used there."""
        self.home = home
        self._copies = {CPU: network.requires_grad_(False).eval()}

    def on(self, device: str) -> nn.Module:
        """Return the network on a device."""
        if device not in self._copies:
            self._copies[device] = copy_to(self._copies[CPU], device)
        return self._copies[device]


class Passes(Generic[Item, Answer]):
    """One forward pass of a network, applied to any number of items.

    Args:
        copies: of the network.
        forward: (network, device, some items) to their answer, on the host.
        kind: what items are, in the plural.
        at_once: items of a pass by device type; ``"gpu"`` is any but the CPU.
    """

    def __init__(
        self,
        copies: Copies,
        forward: Callable[[Any, str, Sequence[Item]], Answer],
        kind: str,
        at_once: Mapping[str, int],
    ) -> None:
        """Keep what a pass is."""
        self._copies, self._forward = copies, forward
        n = at_once[CPU if copies.home == CPU else "gpu"]
        self._first = Portion(n, kind, copies.home, at_once[CPU])

    def over(
        self, items: Sequence[Item], on_part: OnPart = unheard
    ) -> Iterator[tuple[Sequence[Item], Answer]]:
        """Yield each portion with its answer, in order; smaller ones from where memory ran out.

        Raises:
            PipelineError: OUT_OF_MEMORY when not even one item fits the CPU; INFERENCE_ERROR.
        """
        portion, done = self._first, 0
        while done < len(items):
            answer, portion = self._next(items, done, portion)
            yield items[done : done + portion.n], answer
            done = min(done + portion.n, len(items))
            on_part(done / len(items))

    def _next(self, items: Sequence[Item], done: int, portion: Portion) -> tuple[Answer, Portion]:
        def work(some: Portion) -> Answer:
            network = self._copies.on(some.device)
            return self._forward(network, some.device, items[done : done + some.n])

        return within_memory(portion, work)
