"""Train mini from drawn scenes: ``python -m pipeline.train.mini --seed 0 --steps 2400 --out mini.onnx``.

The same seed, steps, batch and machine type give the same model; ``--minutes`` ends earlier, for
machines that are lent by the clock. ``--smoke`` is a short run that ends with 1 unless it learns.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.train import things
from pipeline.train.data import Draw, Replay, Source, augment, draw_sample, drawn_batches
from pipeline.train.export import averaged, export_onnx
from pipeline.train.losses import foreground_iou, mini_loss
from pipeline.train.network import MiniNet
from pipeline.train.scenes import SCENE_PX

LEARNED = 0.85
"""A short run has learned if its last loss is a smaller share than this of its first."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What decides a training.

    Attributes:
        steps: upper limit; minutes: another, whichever ends first. batch: scenes a step, of which
        fresh: are newly drawn, the rest come again from the last ``replay`` scenes. Every second
        step shows a quarter as many scenes, twice as wide and high.
        start: checkpoints whose mean weights training starts from; none draws new ones.
    """

    seed: int = 0
    steps: int = 2_400
    minutes: float = 1e9
    batch: int = 12
    fresh: int = 6
    replay: int = 3_000
    lr: float = 2e-3
    workers: int = 0
    device: str = "cpu"
    start: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """One line of the log: means since the last line."""

    step: int
    seconds: float
    loss: float
    foreground_iou: float


def _rate(settings: TrainSettings, step: int, elapsed_s: float) -> float:
    """Return the learning rate: a short rise, then a cosine to 1 % at the end of steps or minutes."""
    done = min(1.0, max(step / settings.steps, elapsed_s / (60 * settings.minutes)))
    rise = min(1.0, (step + 1) / min(300, 0.1 * settings.steps + 1))
    return float(settings.lr * rise * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * done))))


class _Average:
    """Exponential moving average of a network's weights: what is exported."""

    def __init__(self, net: nn.Module) -> None:
        self.net = copy.deepcopy(net).eval()

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        decay = min(0.999, (step + 1) / (step + 20))
        for mine, new in zip(self.net.state_dict().values(), net.state_dict().values(), strict=True):
            if mine.dtype.is_floating_point:
                mine.lerp_(new, 1 - decay)
            else:
                mine.copy_(new)


class Trainer:
    """Holds the network, its average and the optimiser between steps."""

    draws: ClassVar[Sequence[tuple[Draw, int]]] = (
        (draw_sample, 1),
        (partial(draw_sample, size=2 * SCENE_PX), 4),
    )
    """What the steps show in turn, and how many times as large as a usual sample it is. Only in the larger
    ones the network sees places from which no edge is within its sight."""
    rates: ClassVar[Mapping[str, float]] = {"photos": 0.1, "": 1.0}
    """Share of the learning rate for parameters whose names start so; the first that fits."""

    def __init__(self, settings: TrainSettings) -> None:
        """Seed everything and build the network."""
        torch.manual_seed(settings.seed)
        self.settings, self.device = settings, torch.device(settings.device)
        start = averaged([Path(state) for state in settings.start])["state"] if settings.start else None
        self.net = self.build(start).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = _Average(self.net)
        self.optimiser = torch.optim.AdamW(self.groups(), settings.lr, weight_decay=0.01)
        self._factors = [g["lr"] / settings.lr for g in self.optimiser.param_groups]
        self._choice = np.random.default_rng(settings.seed)
        self.sources = [self._source(draw, area) for draw, area in self.draws]

    def build(self, start: dict[str, Tensor] | None) -> nn.Module:
        """Return the network to train, with the weights it starts from if there are any."""
        net = MiniNet(trained=not start)
        if start:
            net.load_state_dict(start)
        return net

    def groups(self) -> list[dict[str, Any]]:
        """Return the optimiser's parameter groups; what was learned before changes more slowly."""
        groups: dict[str, list[nn.Parameter]] = {name: [] for name in self.rates}
        for name, weights in self.net.named_parameters():
            if weights.requires_grad:
                groups[next(start for start in self.rates if name.startswith(start))].append(weights)
        return [{"params": groups[name], "lr": self.settings.lr * rate} for name, rate in self.rates.items()]

    def _source(self, draw: Draw, area: int) -> Source:
        """Return a source of samples ``area`` times as large as the usual ones, and so many times fewer."""
        told = self.settings
        size, fresh, kept = max(1, told.batch // area), max(1, told.fresh // area), told.replay // area
        batches = drawn_batches(draw, told.seed, fresh, told.workers)
        return Source(batches, size, Replay(kept, told.seed) if kept else None, self.device)

    def _next(self, step: int) -> list[Tensor]:
        """Return a step's pictures, targets and what else was drawn, on the device."""
        return augment(self.sources[step % len(self.sources)].next(), self._choice)

    def step(self, step: int, elapsed_s: float) -> tuple[Tensor, Tensor]:
        """Do one step; return loss and foreground IoU of its batch."""
        images, targets, *told = self._next(step)
        rate = _rate(self.settings, step, elapsed_s)
        for group, factor in zip(self.optimiser.param_groups, self._factors, strict=True):
            group["lr"] = rate * factor
        with torch.autocast(self.device.type, torch.bfloat16):
            logits = self.net(images.contiguous(memory_format=torch.channels_last), *told)
        loss = mini_loss(logits, targets)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimiser.step()
        self.average.update(self.net, step)
        return loss.detach(), foreground_iou(logits.detach(), targets)


def train(
    settings: TrainSettings, out: Path, kind: type[Trainer] = Trainer, every: int = 100
) -> list[Progress]:
    """Train, write checkpoints ``out.pt`` as it goes and the model ``out``; return the log."""
    trainer, log, started = kind(settings), [], time.monotonic()
    sums, since, step = torch.zeros(2), 0, 0
    while step < settings.steps and time.monotonic() - started < 60 * settings.minutes:
        loss, iou = trainer.step(step, time.monotonic() - started)
        sums = sums.to(loss.device) + torch.stack([loss, iou])
        since, step = since + 1, step + 1
        if since == every or step == settings.steps:
            mean = (sums / since).tolist()
            log.append(
                Progress(step, round(time.monotonic() - started, 1), round(mean[0], 4), round(mean[1], 4))
            )
            print(json.dumps(asdict(log[-1])), flush=True)
            sums, since = torch.zeros(2), 0
            save_state(trainer, step, out)
    save_state(trainer, step, out)
    export_onnx([out.with_suffix(".pt")], out)
    return log


def save_state(trainer: Trainer, step: int, out: Path) -> None:
    """Write the averaged weights and how they came about beside ``out``."""
    meta = asdict(trainer.settings) | {
        "start": " ".join(Path(state).name for state in trainer.settings.start),
        "steps": step,
        "torch": str(torch.__version__),
        "scenes": sum(source.drawn for source in trainer.sources),
        "things": things.SHARE if things.folder() else 0,
    }
    if trainer.device.type == "cuda":
        meta["device"] = torch.cuda.get_device_name(trainer.device)
    state = {k: v.cpu().contiguous() for k, v in trainer.average.net.state_dict().items()}
    temporary = out.with_suffix(".pt.part")
    torch.save({"state": state, "meta": meta}, temporary)
    temporary.replace(out.with_suffix(".pt"))


def smoke(out: Path, seed: int = 0, kind: type[Trainer] = Trainer) -> list[Progress]:
    """Train for a minute on two cores; ``has_learned`` says whether the log shows that the loss falls."""
    return train(TrainSettings(seed=seed, steps=40, batch=6, fresh=6, replay=0, lr=3e-3), out, kind, every=8)


def has_learned(log: Sequence[Progress]) -> bool:
    """Return whether the loss of a short run has fallen below ``LEARNED`` of what it was; nan has not."""
    return log[-1].loss < LEARNED * log[0].loss


def main(description: str | None = __doc__, trainer: type[Trainer] = Trainer) -> None:
    """Parse arguments and train."""
    usual = TrainSettings()
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=usual.steps)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--fresh", type=int, default=usual.fresh)
    parser.add_argument("--replay", type=int, default=usual.replay)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--start", nargs="*", default=(), help="checkpoints to go on from, averaged")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = vars(parser.parse_args())
    out = args.pop("out")
    if args.pop("smoke"):
        log = smoke(out, args["seed"], trainer)
        if not has_learned(log):
            sys.exit(f"too little learned: want a loss below {LEARNED} of {log[0].loss}, got {log[-1].loss}")
    else:
        train(TrainSettings(**args | {"start": tuple(args["start"])}), out, trainer)


if __name__ == "__main__":
    main()
