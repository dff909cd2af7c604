"""Train the network that is told of exemplars, from mini.

``python -m pipeline.train.like --start mini.pt --out mini_like.onnx``, otherwise as ``pipeline.train.mini``,
on scenes of several kinds of things.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.train.like_data import draw_like_sample
from pipeline.train.like_network import LikeNet, is_told
from pipeline.train.mini import Trainer, main
from pipeline.train.network import MiniNet
from pipeline.train.scenes import SCENE_PX


class LikeTrainer(Trainer):
    """Trains a ``LikeNet``; what was learned before changes more slowly than what is new."""

    draws: ClassVar = ((draw_like_sample, 1), (partial(draw_like_sample, size=2 * SCENE_PX), 4))
    rates: ClassVar = {"base.photos": 0.04, "base.up": 0.6, "base.head": 0.6, "base": 0.4, "": 1.0}

    def build(self, start: dict[str, Tensor] | None) -> nn.Module:
        """Return the network: from weights of mini, or to go on from weights of its own."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the new parts start alike in all runs, so that runs can be averaged
            net = LikeNet(MiniNet())
        if start:
            (net if is_told(start) else net.base).load_state_dict(start)
        return net


if __name__ == "__main__":
    main(__doc__, LikeTrainer)
