"""The network of mini: a small U-shaped fully convolutional net, stride 32 inside, stride 2 out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.train.photos import WIDTHS as PHOTO_WIDTHS
from pipeline.train.photos import PhotoEncoder

OUTPUTS = ("foreground", "cone", "contact")
WIDTHS = (24, 48, 96, 160)
"""Channels at strides 2, 4, 8 and 16; what is seen at stride 32 is added to the last."""


def _conv(n_in: int, n_out: int, size: int = 3) -> nn.Sequential:
    """Return convolution, batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, size, 1, size // 2, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _conv(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H, W) of the same shape."""
        return torch.relu(x + self.second(self.first(x)))


class _MixStyle(nn.Module):
    """In training, gives half of the batches' pictures the channel means and spreads of other pictures.

    What is told from contrast and colour alone then says little, which is what differs between drawn
    scenes and photos (Zhou et al. 2021, MixStyle). No weights, and nothing in use.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H, W) of the same shape."""
        if not self.training or torch.rand(()) < 0.5:
            return x
        mean, spread = x.mean((2, 3), keepdim=True), x.std((2, 3), keepdim=True) + 1e-4
        other = torch.randperm(len(x), device=x.device)
        share = torch.distributions.Beta(0.2, 0.2).sample((len(x), 1, 1, 1)).to(x)
        plain = (x - mean.detach()) / spread.detach()
        new_mean = torch.lerp(mean[other], mean, share).detach()
        new_spread = torch.lerp(spread[other], spread, share).detach()
        return plain * new_spread + new_mean


class _Up(nn.Module):
    """Doubles the resolution and adds the encoder's features of that level."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(n_in, n_out, 1)
        self.mix = _Residual(n_out)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return (B, n_out, 2H, 2W)."""
        up = nn.functional.interpolate(self.narrow(x), scale_factor=2.0, mode="nearest")
        return torch.relu(self.mix(up + skip))


class MiniNet(nn.Module):
    """Maps (B, 3, H, W) float32 RGB in [0, 1] to (B, 3, H / 2, W / 2) logits of ``OUTPUTS``.

    H and W are multiples of 32.
    """

    def __init__(self, *, trained: bool = False) -> None:
        """Draw new weights from torch's generator; the encoder's are those of photos if ``trained``."""
        super().__init__()
        a, b, c, d = WIDTHS
        self.photos = PhotoEncoder(trained=trained)
        *near, far = PHOTO_WIDTHS
        self.adapt = nn.ModuleList(
            _conv(n_in, n_out, size=1) for n_in, n_out in zip(near, WIDTHS, strict=True)
        )
        self.wide = nn.Sequential(_conv(far, d, size=1), nn.Conv2d(d, d, 1))
        self.mix_style = _MixStyle()
        self.up3, self.up2, self.up1 = _Up(d, c), _Up(c, b), _Up(b, a)
        self.head = nn.Sequential(_conv(a, a), nn.Conv2d(a, len(OUTPUTS), 1))

    def encode(self, x: Tensor) -> list[Tensor]:
        """Return the features at strides 2, 4, 8 and 16."""
        *near, far = self.photos(x, self.mix_style)
        *features, last = (adapt(f) for adapt, f in zip(self.adapt, near, strict=True))
        wide = nn.functional.interpolate(self.wide(far), scale_factor=2.0, mode="nearest")
        return [*features, last + wide]

    def decode(self, features: list[Tensor]) -> Tensor:
        """Return the logits."""
        x1, x2, x3, x4 = features
        logits: Tensor = self.head(self.up1(self.up2(self.up3(x4, x3), x2), x1))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        return self.decode(self.encode(x))
