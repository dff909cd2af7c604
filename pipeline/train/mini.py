"""Train mini from drawn scenes: ``python -m pipeline.train.mini --seed 0 --steps 2400 --out mini.onnx``.

The same seed, steps, batch and machine type give the same model; ``--minutes`` ends earlier, for
machines that are lent by the clock. ``--smoke`` is a short run that must learn, for CI.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.train.data import Replay, augment, drawn_batches
from pipeline.train.export import export_onnx
from pipeline.train.losses import foreground_iou, mini_loss
from pipeline.train.network import MiniNet


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What decides a training.

    Attributes:
        steps: upper limit; minutes: another, whichever ends first. batch: scenes a step, of which
        fresh: are newly drawn, the rest come again from the last ``replay`` scenes.
        start: checkpoint whose weights training starts from; "" draws new ones.
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
    start: str = ""


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

    def __init__(self, settings: TrainSettings) -> None:
        """Seed everything and build the network."""
        torch.manual_seed(settings.seed)
        self.settings, self.device = settings, torch.device(settings.device)
        self.net = MiniNet().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if settings.start:
            self.net.load_state_dict(
                torch.load(settings.start, map_location="cpu", weights_only=True)["state"]
            )
        self.average = _Average(self.net)
        self.optimiser = torch.optim.AdamW(self.net.parameters(), settings.lr, weight_decay=0.01)
        self._choice = np.random.default_rng(settings.seed)
        self._replay = Replay(settings.replay, settings.seed, self.device) if settings.replay else None
        self._batches = drawn_batches(settings.seed, settings.fresh, settings.workers)

    def _next(self) -> tuple[Tensor, Tensor]:
        """Return the next step's images and targets on the device."""
        images, targets = (
            torch.from_numpy(a).to(self.device, non_blocking=True) for a in next(self._batches)
        )
        if self._replay:
            self._replay.add(images, targets)
            again = self._replay.sample(self.settings.batch - len(images))
            images, targets = (torch.cat(pair) for pair in zip((images, targets), again, strict=True))
        return augment(images, targets, self._choice)

    def step(self, step: int, elapsed_s: float) -> tuple[Tensor, Tensor]:
        """Do one step; return loss and foreground IoU of its batch."""
        images, targets = self._next()
        for group in self.optimiser.param_groups:
            group["lr"] = _rate(self.settings, step, elapsed_s)
        with torch.autocast(self.device.type, torch.bfloat16):
            logits = self.net(images.contiguous(memory_format=torch.channels_last))
        loss = mini_loss(logits, targets)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimiser.step()
        self.average.update(self.net, step)
        return loss.detach(), foreground_iou(logits.detach(), targets)


def train(settings: TrainSettings, out: Path, every: int = 100) -> list[Progress]:
    """Train, write checkpoints ``out.pt`` as it goes and the model ``out``; return the log."""
    trainer, log, started = Trainer(settings), [], time.monotonic()
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
        "start": Path(trainer.settings.start).name,
        "steps": step,
        "torch": str(torch.__version__),
        "scenes": step * trainer.settings.fresh,
    }
    if trainer.device.type == "cuda":
        meta["device"] = torch.cuda.get_device_name(trainer.device)
    state = {k: v.cpu().contiguous() for k, v in trainer.average.net.state_dict().items()}
    temporary = out.with_suffix(".pt.part")
    torch.save({"state": state, "meta": meta}, temporary)
    temporary.replace(out.with_suffix(".pt"))


def smoke(out: Path, seed: int = 0) -> list[Progress]:
    """Train for a minute on two cores; the log must show that the loss falls."""
    return train(TrainSettings(seed=seed, steps=40, batch=6, fresh=6, replay=0, lr=3e-3), out, every=8)


def main() -> None:
    """Parse arguments and train."""
    usual = TrainSettings()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
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
    parser.add_argument("--start", default="", help="checkpoint to go on from")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = vars(parser.parse_args())
    out = args.pop("out")
    if args.pop("smoke"):
        smoke(out, args["seed"])
    else:
        train(TrainSettings(**args), out)


if __name__ == "__main__":
    main()
