"""Train the network that is told of exemplars, from mini.

``python -m pipeline.train.like --start mini.pt --out mini_like.onnx``, otherwise as ``pipeline.train.mini``,
on scenes of several kinds of things.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.train.export import averaged
from pipeline.train.like_data import draw_like_sample
from pipeline.train.like_network import LikeNet, is_told
from pipeline.train.mini import Trainer, main
from pipeline.train.network import MiniNet

_RATES = {"base.up": 0.6, "base.head": 0.6, "base": 0.4, "": 1.0}
"""Share of the learning rate for parameters whose names start so; the first that fits."""


class LikeTrainer(Trainer):
    """Trains a ``LikeNet``; what was learned before changes more slowly than what is new."""

    draw = staticmethod(draw_like_sample)

    def build(self) -> nn.Module:
        """Return the network: from checkpoints of mini, or to go on from checkpoints of its own."""
        torch.manual_seed(0)  # the new parts start alike in all runs, so that runs can be averaged
        net = LikeNet(MiniNet())
        if self.settings.start:
            state = averaged([Path(path) for path in self.settings.start])["state"]
            (net if is_told(state) else net.base).load_state_dict(state)
        return net

    def groups(self) -> list[dict[str, Any]]:
        """Return the optimiser's parameter groups."""
        groups: dict[str, list[nn.Parameter]] = {name: [] for name in _RATES}
        for name, weights in self.net.named_parameters():
            groups[next(start for start in _RATES if name.startswith(start))].append(weights)
        return [{"params": groups[name], "lr": self.settings.lr * rate} for name, rate in _RATES.items()]


if __name__ == "__main__":
    main(__doc__, LikeTrainer)
