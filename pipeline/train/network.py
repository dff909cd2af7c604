"""The network of mini: a small U-shaped fully convolutional net, input stride 16 inside, stride 2 out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

OUTPUTS = ("foreground", "cone", "contact")
WIDTHS = (24, 48, 96, 160)


def _conv(n_in: int, n_out: int, stride: int = 1, dilation: int = 1, size: int = 3) -> nn.Sequential:
    """Return convolution, batch norm and ReLU."""
    pad = dilation * (size // 2)
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, size, stride, pad, dilation, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = _conv(width, width, dilation=dilation)
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, dilation, dilation, bias=False), nn.BatchNorm2d(width)
        )

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

    H and W are multiples of 16.
    """

    def __init__(self) -> None:
        """Draw new weights from torch's generator."""
        super().__init__()
        a, b, c, d = WIDTHS
        self.stem = nn.Sequential(_conv(3, a, stride=2, size=5), _conv(a, a))
        self.level2 = nn.Sequential(_conv(a, b, stride=2), _Residual(b))
        self.level3 = nn.Sequential(_conv(b, c, stride=2), _Residual(c), _Residual(c))
        self.level4 = nn.Sequential(_conv(c, d, stride=2), _Residual(d), _Residual(d, dilation=2))
        self.mix_style = _MixStyle()
        self.up3, self.up2, self.up1 = _Up(d, c), _Up(c, b), _Up(b, a)
        self.head = nn.Sequential(_conv(a, a), nn.Conv2d(a, len(OUTPUTS), 1))

    def encode(self, x: Tensor) -> list[Tensor]:
        """Return the features at strides 2, 4, 8 and 16."""
        x1 = self.mix_style(self.stem(x - 0.5))
        x2 = self.mix_style(self.level2(x1))
        x3 = self.level3(x2)
        return [x1, x2, x3, self.level4(x3)]

    def decode(self, features: list[Tensor]) -> Tensor:
        """Return the logits."""
        x1, x2, x3, x4 = features
        logits: Tensor = self.head(self.up1(self.up2(self.up3(x4, x3), x2), x1))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        return self.decode(self.encode(x))
